# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL server for the tests."""

from __future__ import annotations

import contextlib
import functools
import importlib
import signal
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .process import Server, ServerMissingError, program

if TYPE_CHECKING:
    from collections.abc import Iterator


class PostgresServer(Server):
    """A PostgreSQL with the superuser `postgres`, who needs no password."""

    variable = "FLIPPER_TEST_POSTGRES_CONNINFO"
    refuses_root = True
    # The fast shutdown: the plain one would wait until every client has left.
    stop_signal = signal.SIGINT
    # The immediate shutdown: no checkpoint, the next start recovers as after a crash.
    # After SIGKILL its shared memory would stay behind on the machine.
    kill_signal = signal.SIGQUIT

    @functools.cached_property
    def _psycopg(self) -> Any:
        try:
            return importlib.import_module("psycopg")
        except ImportError as error:
            raise ServerMissingError(f"psycopg cannot be imported: {error}") from error

    def conninfo(self, dbname: str = "postgres") -> str:
        """Give the connection string for a database of this server."""
        if self.address is not None:
            return self._psycopg.conninfo.make_conninfo(self.address, dbname=dbname)
        return self._psycopg.conninfo.make_conninfo(
            host=self.host, port=self.port, user="postgres", dbname=dbname
        )

    @contextlib.contextmanager
    def scratch_database(self) -> Iterator[str]:
        """Give the connection string of an empty database, and drop it at the end."""
        name = f"flipper_{uuid.uuid4().hex}"
        with self._psycopg.connect(self.conninfo(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        yield self.conninfo(name)
        with self._psycopg.connect(self.conninfo(), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def parse(self, address: str) -> tuple[str, int]:
        """Take any libpq connection string or URI."""
        parts = self._psycopg.conninfo.conninfo_to_dict(address)
        return str(parts.get("host") or "localhost"), int(parts.get("port") or 5432)

    def find_programs(self) -> None:
        """Find initdb and postgres; Debian keeps them in a folder for each version."""
        self._psycopg  # noqa: B018 # as necessary as they are
        folders = sorted(
            Path("/usr/lib/postgresql").glob("*/bin"),
            key=lambda folder: float(folder.parent.name),
            reverse=True,
        )
        self._initdb = program("initdb", *folders)
        self._postgres = program("postgres", *folders)

    def prepare(self) -> None:
        """Make the database cluster."""
        initdb = self.spawn(
            [
                *(self._initdb, "--pgdata", str(self.folder / "data")),
                *("--username", "postgres", "--auth", "trust", "--no-sync"),
                *("--encoding", "UTF8", "--no-locale"),
            ]
        )
        if initdb.wait() != 0:
            self._fail(f"initdb ended with {initdb.returncode}")

    def command(self) -> list[str]:
        """Sync nothing: the data has to outlive the process, not the machine."""
        return [
            *(self._postgres, "-D", str(self.folder / "data"), "-p", str(self.port)),
            *("-c", f"listen_addresses={self.host}", "-c", "unix_socket_directories="),
            *("-c", "fsync=off", "-c", "full_page_writes=off"),
            *("-c", "shared_buffers=32MB"),
        ]

    def answers(self) -> bool:
        """Open a connection; while it starts or recovers PostgreSQL refuses."""
        try:
            self._psycopg.connect(self.conninfo(), connect_timeout=5).close()
        except self._psycopg.OperationalError:
            return False
        return True
