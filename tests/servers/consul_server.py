# SPDX-License-Identifier: Apache-2.0
"""A Consul agent for the tests."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
from urllib.parse import urlsplit

from .process import CACHE, Server, free_port, program


class ConsulServer(Server):
    """A Consul server of one node, whose data outlives restarts and crashes."""

    variable = "FLIPPER_TEST_CONSUL_URL"
    syncs = True

    @property
    def url(self) -> str:
        """The address of the HTTP interface."""
        return self.address or f"http://{self.host}:{self.port}"

    def parse(self, address: str) -> tuple[str, int]:
        """Take `http://host:port`."""
        parts = urlsplit(address)
        return parts.hostname or "localhost", parts.port or 8500

    def find_programs(self) -> None:
        """Find consul, also where install.sh unpacks it."""
        self._program = program("consul", CACHE / "consul" / "usr" / "bin")

    def prepare(self) -> None:
        """Write the configuration; development mode would keep the data in memory."""
        ports = {
            "http": self.port,
            "server": free_port(),
            "serf_lan": free_port(),
            **dict.fromkeys(("serf_wan", "dns", "grpc"), -1),
        }
        if self._version() >= (1, 14):
            ports["grpc_tls"] = -1  # older ones refuse the word, newer ones the absence
        configuration = {
            "server": True,
            "bootstrap_expect": 1,
            "node_name": "flipper-tests",
            "data_dir": str(self.folder / "data"),
            "bind_addr": self.host,
            "client_addr": self.host,
            "ports": ports,
            "connect": {"enabled": False},
            "performance": {"raft_multiplier": 1},  # the quickest election
            "disable_update_check": True,
            # It counts a connection that the client has closed, too, until the query
            # that was waiting on it is over.
            "limits": {"http_max_conns_per_client": 2000},
        }
        (self.folder / "consul.json").write_text(json.dumps(configuration))

    def command(self) -> list[str]:
        """Run the agent with that configuration."""
        return [self._program, "agent", "-config-file", "consul.json"]

    def answers(self) -> bool:
        """Read a key as only an elected leader can answer it."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=5)
        try:
            connection.request("GET", "/v1/kv/flipper-tests?consistent")
            return connection.getresponse().status in (200, 404)
        except http.client.HTTPException:
            return False
        finally:
            connection.close()

    def _version(self) -> tuple[int, ...]:
        said = subprocess.run(
            [self._program, "version"], check=True, capture_output=True, text=True
        ).stdout
        found = re.search(r"v(\d+)\.(\d+)", said)
        return tuple(map(int, found.groups())) if found else (0,)
