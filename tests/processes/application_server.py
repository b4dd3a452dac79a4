# SPDX-License-Identifier: Apache-2.0
"""Runs an application server, such as gunicorn, on a loopback port for a test."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

from servers import unmeasured
from servers.process import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flags import Places

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


class ApplicationServer:
    """A server that runs; ask it over HTTP.

    Args:
        port: where it listens.
        log: the file with what it has printed.
    """

    def __init__(self, port: int, log: Any) -> None:
        self._port = port
        self._log = log

    def ask(self, path: str = "/", timeout: float = 60.0) -> dict[str, Any]:
        """Return what the application answered, and the process that did: `pid`.

        Raises:
            OSError: nobody answers within `timeout` seconds.
        """
        connection = http.client.HTTPConnection(LOOPBACK, self._port, timeout=timeout)
        try:
            connection.request("GET", path)
            found: dict[str, Any] = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return found

    def answer(self, path: str) -> Any:
        """Return what the application answered."""
        found = self.ask(path)
        assert "answer" in found, f"{path}: {found['error']}"
        return found["answer"]

    def log(self) -> str:
        """Return what the server and the application have printed."""
        self._log.seek(0)
        return str(self._log.read())


@contextmanager
def run(
    command: list[str], port: int, places: Places, **environment: str
) -> Iterator[ApplicationServer]:
    """Run a server for `application:application`, and end it with all its processes."""
    with TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command,
            cwd=HERE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={
                **unmeasured(),
                "PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}",
                **places.environment(),
                **environment,
            },
        )
        server = ApplicationServer(port, log)
        try:
            _wait_until_ready(server, process)
            yield server
        finally:
            # uWSGI would take seconds for an orderly end, and without a master it would
            # leave its other workers behind.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_until_ready(
    server: ApplicationServer, process: subprocess.Popen[bytes]
) -> None:
    for _ in range(600):
        try:
            server.ask(timeout=1)
        except (OSError, http.client.HTTPException, ValueError):
            assert process.poll() is None, server.log()
            time.sleep(0.1)
        else:
            return
    raise AssertionError(server.log())


def python_program(name: str) -> str:
    """Return the path of a program that is installed beside this interpreter."""
    return str(Path(sys.executable).with_name(name))
