# SPDX-License-Identifier: Apache-2.0
"""Limits of time for connections: to connect, and to get an answer."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from psycopg import Connection, errors
from psycopg.conninfo import conninfo_to_dict

from ...runtime.clock import monotonic
from ...runtime.readable import is_readable

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

# All in seconds.
DEFAULT_CONNECT_TIMEOUT: Final = 5.0
_UNLIMITED_CONNECT_TIMEOUT: Final = 30.0  # where the application asks for no limit
_ANSWER_WITHIN: Final = 30.0  # where the store has no timeout


class TimeLimitedConnection(Connection[Any]):
    """A connection that waits for the answer to a statement, but for a limited time.

    Some servers, and proxies before them, accept a statement and never answer. psycopg
    itself waits for ever. Before version 3.2 it does not support this limit either.
    """

    answer_within: float | None = None
    """Seconds; `None` is 30."""

    @classmethod
    def within(cls, seconds: float | None) -> type[TimeLimitedConnection]:
        """Return the class of connections with another limit, in seconds."""
        return type(cls.__name__, (cls,), {"answer_within": seconds})

    def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        """Wait as psycopg does, but only for a limited time.

        Raises:
            psycopg.errors.ConnectionTimeout: it took too long. The statement may have
                taken effect, or may take effect later.
        """
        return super().wait(self._limited(gen), *args, **kwargs)

    def _limited(self, steps: Any) -> Generator[Any, Any, Any]:
        """Run the steps of psycopg. It sends in a false value if no data has come."""
        limit = _ANSWER_WITHIN if self.answer_within is None else self.answer_within
        deadline = monotonic() + limit
        try:
            awaited = next(steps)
            while True:
                ready = yield awaited
                if not ready and monotonic() >= deadline:
                    self.close()
                    raise errors.ConnectionTimeout(
                        f"The server has not answered within {limit:g} seconds"
                    )
                awaited = steps.send(ready)
        except StopIteration as end:
            return end.value


@contextmanager
def default_timeout(connection: Connection[Any]) -> Iterator[None]:
    """Wait 30 seconds for each answer: a migration may have to wait for locks."""
    limit = getattr(connection, "answer_within", None)
    if limit is None or not isinstance(connection, TimeLimitedConnection):
        yield
        return
    connection.answer_within = None
    try:
        yield
    finally:
        connection.answer_within = limit


def connect_timeout(conninfo: str) -> float:
    """Return how many seconds connecting may take with a connection string.

    Raises:
        psycopg.ProgrammingError: the text is not a valid connection string.
    """
    given = conninfo_to_dict(conninfo).get("connect_timeout")
    timeout = given or os.environ.get("PGCONNECT_TIMEOUT") or DEFAULT_CONNECT_TIMEOUT
    seconds = float(timeout)
    return seconds if seconds > 0 else _UNLIMITED_CONNECT_TIMEOUT


def is_stale(connection: Connection[Any]) -> bool:
    """Return whether the server has closed an idle connection, without waiting."""
    # An idle connection expects no data. If there is some, the server says goodbye.
    return connection.closed or is_readable(connection, 0)
