# SPDX-License-Identifier: Apache-2.0
"""An S3 server for the tests: moto, which keeps its objects in memory."""

from __future__ import annotations

import functools
import http.client
import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .process import Server, ServerMissingError, free_port
from .proxy import Proxy


class S3Server(Server):
    """Moto's S3 in a process of its own.

    Its objects are in memory, so `stop` does not end the process. It cuts a `Proxy`
    before the process, which is the same for every client.
    """

    variable = "FLIPPER_TEST_S3_ENDPOINT"
    _proxy: Proxy | None = None

    @property
    def endpoint(self) -> str:
        """The address for boto3's `endpoint_url`."""
        return self.address or f"http://{self.host}:{self.port}"

    def client(self, endpoint: str | None = None, **options: Any) -> Any:
        """Make a boto3 client with credentials that open nothing; close it after use.

        Args:
            endpoint: another address of this server, that of a `Proxy` for instance.
            options: further arguments of `Session.client`, such as `config`.
        """
        endpoint_url = endpoint or self.endpoint
        return _session().client("s3", endpoint_url=endpoint_url, **options)

    def parse(self, address: str) -> tuple[str, int]:
        """Take `http://host:port`."""
        parts = urlsplit(address)
        return parts.hostname or "localhost", parts.port or 80

    def find_programs(self) -> None:
        """Look for the packages boto3 and moto[s3,server]."""
        for package in ("boto3", "moto", "flask", "flask_cors"):
            if importlib.util.find_spec(package) is None:
                raise ServerMissingError(f"the package {package} is not installed")

    def prepare(self) -> None:
        """Make the proxy that clients connect to."""
        self._moto_port = free_port()
        self._proxy = Proxy(self.host, self._moto_port, port=self.port)

    def command(self) -> list[str]:
        """Return the command that runs moto behind the proxy."""
        script = Path(__file__).with_name("s3_process.py")
        return [sys.executable, "-I", str(script), self.host, str(self._moto_port)]

    def answers(self) -> bool:
        """Ask for the list of buckets; a refusal is an answer too."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=5)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status < 500
        except http.client.HTTPException:
            return False
        finally:
            connection.close()

    def start(self) -> None:
        """Start moto, or let the proxy listen again."""
        super().start()
        if self._proxy is not None:
            self._proxy.restore()

    def stop(self) -> None:
        """Cut the proxy with all its connections."""
        if self._proxy is None:
            super().stop()
        else:
            self._proxy.cut()

    def kill(self) -> None:
        """Do what `stop` does, since moto saves nothing."""
        self.stop()

    def close(self) -> None:
        """End moto and its proxy."""
        if self._proxy is not None:
            self._proxy.close()
        super().close()


@functools.cache
def _session() -> Any:
    """Return the only session, since it takes a tenth of a second to make one."""
    boto3 = importlib.import_module("boto3")
    return boto3.session.Session(
        aws_access_key_id="testing",
        aws_secret_access_key="testing",  # noqa: S106 # opens nothing
        region_name="us-east-1",
    )
