# SPDX-License-Identifier: Apache-2.0
"""Servers for `benchmarks.fleet`, which count the requests that they get."""

from __future__ import annotations

import contextlib
import re
import threading
from collections import deque
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self

_SAMPLE: Final = 0.02  # seconds
_MOST_CONNECTIONS: Final = 1000


class Counted(NamedTuple):
    """What a server has seen since the last time.

    Attributes:
        count: the requests.
        most_in_a_second: the most requests within any second.
        connections: the most connections at once.
    """

    count: int
    most_in_a_second: int
    connections: int


class Requests:
    """Counts the requests and connections of a server, in a thread of its own.

    Args:
        server: the server, whose `sample` gives the number of requests so far and of
            connections.
    """

    def __init__(self, server: Any) -> None:
        self._server = server
        self._samples: deque[tuple[float, int, int]] = deque()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        """Begin to count."""
        self._thread.start()
        while not self._samples:
            sleep(_SAMPLE)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop counting."""
        self._stopped.set()
        self._thread.join()

    def since(self) -> Counted:
        """Return what was counted since the last call, or the beginning."""
        sleep(2 * _SAMPLE)
        samples = [*self._samples]
        while len(self._samples) > 1:
            self._samples.popleft()
        most, begin = 0, 0
        for now, count, _ in samples:
            while samples[begin][0] < now - 1:
                begin += 1
            most = max(most, count - samples[begin][1])
        connections = max(each[2] for each in samples)
        return Counted(samples[-1][1] - samples[0][1], most, connections)

    def _run(self) -> None:
        while not self._stopped.wait(_SAMPLE):
            count, connections = self._server.sample()
            self._samples.append((monotonic(), count, connections))


@contextlib.contextmanager
def serve(name: str, flags: int) -> Iterator[Any]:
    """Start a server with some flags, and `change`, which sets the state of one."""
    server = {"redis": _redis, "postgresql": _postgresql}[name]()
    with server:
        server.open(flags)
        yield server


class _Flags:
    """What both servers do with flags."""

    url: str

    def open(self, flags: int) -> None:
        """Create the flags, by a store whose connection writes all changes."""
        from flipper import Condition, FeatureFlagClient, store_from_url

        self._client = FeatureFlagClient(store_from_url(self.url))
        for number in range(flags):
            name = _name(number)
            self._client.create(name)
            self._client.add_condition(name, Condition(plan="pro", seats__gt=10))

    def change(self, number: int) -> str:
        """Switch a flag on, and return its name."""
        name = _name(number)
        self._client.enable(name)
        return name

    def requests(self) -> Requests:
        """Return what counts the requests to this server while it runs."""
        return Requests(self)


def _redis() -> Any:
    import redis

    from servers.redis_server import RedisServer

    class FleetRedis(_Flags, RedisServer):
        """A Redis that is asked for its counters."""

        _monitor: Any = None

        def sample(self) -> tuple[int, int]:
            """Return the requests and the connections, without those of this thread.

            SUBSCRIBE is not counted: it is sent together with another command.
            """
            self._monitor = self._monitor or redis.Redis.from_url(self.url)
            connections = self._monitor.info("clients")["connected_clients"] - 1
            calls = self._monitor.info("commandstats")
            requests = sum(
                found["calls"]
                for command, found in calls.items()
                if command not in {"cmdstat_subscribe", "cmdstat_info"}
            )
            return requests, connections

        def stop(self) -> None:
            """Stop, and forget the connection that asks for the counters."""
            super().stop()
            self._monitor = None

    return FleetRedis()


def _postgresql() -> Any:
    import psycopg

    from servers.postgres_server import PostgresServer

    class FleetPostgres(_Flags, PostgresServer):
        """A PostgreSQL that logs each statement, and whose log is counted."""

        url = property(lambda self: f"postgresql://postgres@{self.host}:{self.port}")
        _read_until = 0
        _statements = 0

        def command(self) -> list[str]:
            settings = {
                "log_statement": "all",
                "log_line_prefix": "%a|",
                "max_connections": _MOST_CONNECTIONS,
            }
            added = [("-c", f"{key}={value}") for key, value in settings.items()]
            return [*super().command(), *(each for pair in added for each in pair)]

        def sample(self) -> tuple[int, int]:
            """Return the statements and the connections, without those of this."""
            with self._log.open("rb") as log:
                log.seek(self._read_until)
                text = log.read()
                self._read_until = log.tell()
            found = re.findall(
                rb"^([^|\n]*)\|LOG:  (?:statement|execute)", text, re.MULTILINE
            )
            self._statements += sum(name != b"monitor" for name in found)
            return self._statements, self._connections()

        def _connections(self) -> int:
            if self._monitor is None:
                self._monitor = psycopg.connect(
                    self.conninfo(), application_name="monitor", autocommit=True
                )
            query = "SELECT count(*) FROM pg_stat_activity WHERE client_port > 0"
            return self._monitor.execute(query).fetchone()[0] - 1

        _monitor: Any = None

        def stop(self) -> None:
            """Stop, and forget the connection that asks for the connections."""
            super().stop()
            self._monitor = None

    return FleetPostgres()


def _name(number: int) -> str:
    return f"feature-{number:06d}"
