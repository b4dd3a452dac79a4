# SPDX-License-Identifier: Apache-2.0
"""A Redis server for the tests."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from .process import Server, program


class RedisServer(Server):
    """A Redis that keeps its data over restarts and crashes."""

    variable = "FLIPPER_TEST_REDIS_URL"

    @property
    def url(self) -> str:
        """The address for `redis.Redis.from_url`, with database 0."""
        return self.address or f"redis://{self.host}:{self.port}/0"

    def parse(self, address: str) -> tuple[str, int]:
        """Take `redis://host:port/database`."""
        parts = urlsplit(address)
        return parts.hostname or "localhost", parts.port or 6379

    def find_programs(self) -> None:
        """Find redis-server."""
        self._program = program("redis-server")

    def command(self) -> list[str]:
        """Write every change to the append-only file before it is answered."""
        return [
            *(self._program, "--bind", self.host, "--port", str(self.port)),
            *("--dir", str(self.folder), "--daemonize", "no", "--save", ""),
            *("--appendonly", "yes", "--appendfsync", "no"),
        ]

    def answers(self) -> bool:
        """Send a PING; while it reads its data Redis answers, but with an error."""
        with socket.create_connection((self.host, self.port), timeout=5) as connection:
            connection.sendall(b"PING\r\n")
            # A server that wants a password first is somebody else's, and is ready.
            return connection.recv(100).startswith((b"+PONG", b"-NOAUTH"))
