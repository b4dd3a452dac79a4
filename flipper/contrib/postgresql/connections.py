# SPDX-License-Identifier: Apache-2.0
"""Lend connections to PostgreSQL, and replace those that are lost or inherited."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from math import ceil
from typing import TYPE_CHECKING, Any, Final
from weakref import finalize

from psycopg import Connection, errors
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from ...contracts.watch import WatchRefusedError
from ...exceptions import InvalidArgumentError
from ...runtime.fork import detect_fork, renew_after_fork, uwsgi_is_to_fork
from .first_task import FirstTask, is_permanent
from .pools import connect_like, connection_settings, copy_pool, pool_for
from .time_limits import (
    DEFAULT_CONNECT_TIMEOUT,
    TimeLimitedConnection,
    connect_timeout,
    is_stale,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_DIAGNOSIS_TIMEOUT: Final = 3  # seconds


class Connections:
    """Lends connections that commit each statement. Safe for threads and forks.

    With a connection string it makes a pool of its own, when that is needed first.

    Args:
        source: a connection string, or a pool.
        timeout: seconds that connections, except those of a pool, wait for an answer;
            `None` is 30.

    Attributes:
        is_closed: whether `close` was called; after that there are no connections.

    Raises:
        InvalidArgumentError: the source is neither.
        psycopg.ProgrammingError: the text is not a valid connection string.
    """

    def __init__(self, source: Any, timeout: float | None = None) -> None:
        self._source = source
        self._kind = TimeLimitedConnection.within(timeout)
        self._owns_pool = isinstance(source, str)
        if self._owns_pool:
            self._timeout = connect_timeout(source)
            self._settings = connection_settings(source, self._timeout)
        elif not hasattr(source, "getconn"):
            raise InvalidArgumentError(
                f"conninfo={source!r} is neither text nor a pool; use a connection "
                f"string, or a psycopg_pool.ConnectionPool",
                value=source,
            )
        self._pool: Any = None if self._owns_pool else source
        self._lock = threading.Lock()
        self.is_closed = False
        self._close_pool: finalize[Any, Any] | None = None
        self._server_answers = False  # according to the last use of a connection
        self._first_task: FirstTask | None = None
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Give up the pool of the parent process, and leave its connections open."""
        self._lock = threading.Lock()
        self._server_answers = False
        if self._close_pool is not None:
            self._close_pool.detach()
            self._close_pool = None
        if self._pool is not None:
            _pools_of_parents.append(self._pool)
            self._pool = None

    def run_first(
        self, task: Callable[[Connection[Any]], None]
    ) -> errors.OperationalError | None:
        """Call a method with a connection, before any other use of connections.

        If the server is down, the method is called with the first connection later.

        Returns:
            Why the server cannot be reached, or `None` if the task is done.

        Raises:
            psycopg.Error: the server refuses the connection, or the task fails.
        """
        self._first_task = FirstTask(task)
        try:
            with self.connection(pool_timeout=DEFAULT_CONNECT_TIMEOUT):
                return None
        except PoolClosed:
            raise
        except PoolTimeout as error:
            reason = self._diagnose() or error
        except errors.OperationalError as error:
            reason = error
        if is_permanent(reason):
            raise reason
        return reason.with_traceback(None)

    def run_pending_first_task(self) -> None:
        """Run the task that was given to `run_first`, unless it is done.

        Raises:
            psycopg.Error: the server is down, or the task fails.
        """
        if self._first_task is not None and not self._first_task.is_done:
            with self.connection():
                pass

    @contextmanager
    def connection(
        self, *, pool_timeout: float | None = None
    ) -> Iterator[Connection[Any]]:
        """Lend a connection for one statement, or for a few that belong together.

        Args:
            pool_timeout: the greatest number of seconds to wait for a pool of the
                caller. A shorter timeout of the pool itself remains valid.

        Raises:
            psycopg.OperationalError: the server is down, or the store is closed.
        """
        detect_fork()
        pool: Any = None
        connection: Connection[Any] | None = None
        # A pool has threads, and no thread may run while uWSGI forks.
        if not (self._owns_pool and uwsgi_is_to_fork()):
            pool = self._pool or self._open_pool()
            connection = self._take_from_pool(pool, pool_timeout)
        if connection is None:
            with self._kind.connect(self._source, **self._settings) as connection:
                self._server_answers = True
                if self._first_task is not None:
                    self._first_task.run(connection)
                yield connection
            return
        commits = connection.autocommit
        if not commits:  # the default in a pool of the caller
            connection.autocommit = True
        try:
            if self._first_task is not None:
                self._first_task.run(connection)
            yield connection
        finally:
            if connection.closed:
                self._server_answers = False
            elif not commits:
                connection.autocommit = False
            pool.putconn(connection)

    def connect(self, timeout: int) -> Connection[Any]:
        """Create a connection that the caller keeps and closes.

        Args:
            timeout: how many seconds connecting may take at most.

        Raises:
            WatchRefusedError: the pool of the caller does not show its settings.
            psycopg.OperationalError: the server is down, or the store is closed.
        """
        detect_fork()
        if self.is_closed:
            raise PoolClosed("The feature flag store is closed")
        if not self._owns_pool:
            return connect_like(self._source, timeout)
        timeout = min(timeout, ceil(self._timeout))
        settings: dict[str, Any] = {**self._settings, "connect_timeout": timeout}
        return self._kind.connect(self._source, **settings)

    def close(self) -> None:
        """Close the pool of this object, but not a pool of the caller. Idempotent."""
        detect_fork()
        with self._lock:
            self.is_closed = True
            self._pool = None
            close_pool, self._close_pool = self._close_pool, None
        if close_pool is not None:
            close_pool()

    def _diagnose(self) -> errors.OperationalError | None:
        """Return why a pool of the caller cannot connect: the pool hides the error."""
        try:
            with suppress(WatchRefusedError):  # the pool may hide its settings, too
                self.connect(_DIAGNOSIS_TIMEOUT).close()
        except errors.OperationalError as reason:
            return reason
        return None

    def _take_from_pool(
        self, pool: Any, pool_timeout: float | None = None
    ) -> Connection[Any] | None:
        """Take a working connection, or return `None` if the caller has to connect."""
        limit = {}
        if pool_timeout is not None and isinstance(pool, ConnectionPool):
            limit = {"timeout": min(pool_timeout, pool.timeout)}
        # A pool connects in the background, again and again, and hides the errors. So
        # while the server does not answer, callers do not wait for the pool's attempts
        # but connect directly, which shows at once whether the server is back.
        while self._server_answers or not self._owns_pool:
            try:
                connection: Connection[Any] = pool.getconn(**limit)
            except PoolTimeout:
                self._server_answers = False
                raise
            if not is_stale(connection):
                return connection
            self._server_answers = False
            connection.close()
            pool.putconn(connection)
        return None

    def _open_pool(self) -> Any:
        with self._lock:
            if self.is_closed:
                raise PoolClosed("The feature flag store is closed")
            if self._pool is None:
                pool = self._make_pool()
                pool.open()
                # `finalize` also runs at the end of the program. A pool that only the
                # garbage collector closes waits in vain for its threads then.
                self._close_pool = finalize(self, pool.close)
                self._pool = pool
            return self._pool

    def _make_pool(self) -> Any:
        if self._owns_pool:
            return pool_for(self._source, self._settings, self._timeout, self._kind)
        return copy_pool(self._source)  # the given pool belongs to the parent process


# A child process keeps the pools of its parents here. If they were garbage-collected,
# they would close connections that the parents use.
_pools_of_parents: list[Any] = []
