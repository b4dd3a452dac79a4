# SPDX-License-Identifier: Apache-2.0
"""Connections to PostgreSQL: made, lent, kept, and left to the parent after a fork."""

from __future__ import annotations

import os
import select
import threading
from contextlib import contextmanager, suppress
from math import ceil
from typing import TYPE_CHECKING, Any, Final
from weakref import finalize

from psycopg import Connection, errors
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from ..exceptions import InvalidArgumentError
from .postgresql_start import FirstTask, is_refusal
from .util.clock import monotonic
from .util.fork import detect_fork, renew_after_fork, uwsgi_is_to_fork
from .watch import WatchRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

_LARGEST_POOL: Final = 10
# All in seconds.
_CONNECT_TIMEOUT: Final = 5.0  # where none is given
_NO_TIMEOUT: Final = 30.0  # where it is forbidden
_KEEPALIVE: Final = 20
_DIAGNOSE_WITHIN: Final = 3
_ANSWER_WITHIN: Final = 30.0


class PatientConnection(Connection[Any]):
    """A connection that waits for the answer to a statement, but not for ever.

    There are servers, and proxies in between, that take a statement and never answer;
    psycopg has no limit of time for that. Before version 3.2 it does not let anybody
    else have one.
    """

    def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        """Do what psycopg does, and give up some time.

        Raises:
            psycopg.errors.ConnectionTimeout: it took too long; the statement may have
                taken effect, or may do so later.
        """
        return super().wait(self._limited(gen), *args, **kwargs)

    def _limited(self, steps: Any) -> Generator[Any, Any, Any]:
        """Hand psycopg's steps on; now and then nothing has happened."""
        deadline = monotonic() + _ANSWER_WITHIN
        try:
            awaited = next(steps)
            while True:
                happened = yield awaited
                if not happened and monotonic() >= deadline:
                    self.close()
                    raise errors.ConnectionTimeout(
                        f"The server has not answered within {_ANSWER_WITHIN:g} seconds"
                    )
                awaited = steps.send(happened)
        except StopIteration as end:
            return end.value


class Connections:
    """Lends connections that commit each statement, and keeps them. Safe for threads.

    Args:
        source: a connection string, or a pool.

    Attributes:
        is_closed: whether `close` was called, so that nothing is lent any more.
    """

    def __init__(self, source: Any) -> None:
        self._source = source
        self._makes_pool = isinstance(source, str)
        if self._makes_pool:
            self._timeout = _connect_timeout(source)
            self._settings = _settings(source, self._timeout)
        elif not hasattr(source, "getconn"):
            raise InvalidArgumentError(
                f"conninfo={source!r} does not tell how to connect; use a connection "
                f"string, or a psycopg_pool.ConnectionPool",
                value=source,
            )
        self._pool: Any = None if self._makes_pool else source
        self._lock = threading.Lock()
        self.is_closed = False
        self._closing: finalize[Any, Any] | None = None
        # Whether the server has, when it was asked last.
        self._answers = False
        self._first: FirstTask | None = None
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Make a pool of this process, and leave the connections to the parent."""
        self._lock = threading.Lock()
        self._answers = False
        if self._closing is not None:
            self._closing.detach()
            self._closing = None
        if self._pool is not None:
            _parents.append(self._pool)
            self._pool = None

    def do_first(
        self, task: Callable[[Connection[Any]], None]
    ) -> errors.OperationalError | None:
        """Call a method with a connection, before any is lent for something else.

        While the server is away that waits until a connection can be had.

        Returns:
            Why the server cannot be reached, `None` if the task is done.

        Raises:
            psycopg.Error: the server refuses the connection, or the task fails.
        """
        self._first = FirstTask(task)
        try:
            with self.lend(patience=_CONNECT_TIMEOUT):
                return None
        except PoolClosed:
            raise
        except PoolTimeout as error:
            reason = self._reason() or error
        except errors.OperationalError as error:
            reason = error
        if is_refusal(reason):
            raise reason
        return reason.with_traceback(None)

    def catch_up(self) -> None:
        """Do what has to be done first, unless it is done."""
        if self._first is not None and not self._first.is_done:
            with self.lend():
                pass

    @contextmanager
    def lend(self, *, patience: float | None = None) -> Iterator[Connection[Any]]:
        """Lend a connection for one statement, or for a few that belong together.

        Args:
            patience: seconds to wait at most for a pool that was given, if that would
                wait longer.
        """
        detect_fork()
        pool: Any = None
        connection: Connection[Any] | None = None
        # A pool has threads, and none may be at work while uWSGI forks.
        if not (self._makes_pool and uwsgi_is_to_fork()):
            pool = self._pool or self._open()
            connection = self._take(pool, patience)
        if connection is None:
            with PatientConnection.connect(
                self._source, **self._settings
            ) as connection:
                self._answers = True
                if self._first is not None:
                    self._first.do(connection)
                yield connection
            return
        commits = connection.autocommit
        if not commits:  # as is usual for a pool that was given
            connection.autocommit = True
        try:
            if self._first is not None:
                self._first.do(connection)
            yield connection
        finally:
            if connection.closed:
                self._answers = False
            elif not commits:
                connection.autocommit = False
            pool.putconn(connection)

    def connect(self, timeout: int) -> Connection[Any]:
        """Make a connection for somebody who keeps it, within so many seconds.

        Raises:
            WatchRefusedError: the pool that was given does not tell how to connect.
        """
        detect_fork()
        if self.is_closed:
            raise PoolClosed("The feature flag store is closed")
        given: Any = self._source
        if self._makes_pool:
            timeout = min(timeout, ceil(self._timeout))
            settings = {**self._settings, "connect_timeout": timeout}
            return PatientConnection.connect(given, **settings)
        if not isinstance(given, ConnectionPool):
            raise WatchRefusedError(f"{given!r} does not tell how to connect")
        conninfo, kwargs = _called(given.conninfo), _called(given.kwargs)
        settings = {**(kwargs or {}), "autocommit": True, "connect_timeout": timeout}
        connection: Connection[Any]
        connection = given.connection_class.connect(conninfo, **settings)
        configure: Any = getattr(given, "_configure", None)
        if configure is not None:
            configure(connection)
        return connection

    def close(self) -> None:
        """Close the pool that was made."""
        detect_fork()
        with self._lock:
            self.is_closed = True
            self._pool = None
            closing, self._closing = self._closing, None
        if closing is not None:
            closing()

    def _reason(self) -> errors.OperationalError | None:
        """Return why a pool that was given has no connection: it does not tell."""
        try:
            with suppress(WatchRefusedError):  # a pool that does not tell how
                self.connect(_DIAGNOSE_WITHIN).close()
        except errors.OperationalError as reason:
            return reason
        return None

    def _take(self, pool: Any, patience: float | None = None) -> Connection[Any] | None:
        """Take a connection that is alive from a pool; `None` to connect here."""
        limit = {}
        if patience is not None and isinstance(pool, ConnectionPool):
            limit = {"timeout": min(patience, pool.timeout)}
        # A pool connects in the background, time and again, and does not tell why it
        # cannot. Whether the server is there is found out by who asks, and at once.
        while self._answers or not self._makes_pool:
            try:
                connection: Connection[Any] = pool.getconn(**limit)
            except PoolTimeout:
                self._answers = False
                raise
            if not _is_stale(connection):
                return connection
            self._answers = False
            connection.close()
            pool.putconn(connection)
        return None

    def _open(self) -> Any:
        with self._lock:
            if self.is_closed:
                raise PoolClosed("The feature flag store is closed")
            if self._pool is None:
                pool = self._make_pool()
                pool.open()
                # At the end of the program, too: a pool that is left to the garbage
                # collector waits for its threads in vain then.
                self._closing = finalize(self, pool.close)
                self._pool = pool
            return self._pool

    def _make_pool(self) -> Any:
        if self._makes_pool:
            return ConnectionPool(
                self._source,
                kwargs=self._settings,
                connection_class=PatientConnection,
                min_size=1,
                max_size=_LARGEST_POOL,
                open=False,
                name="flipper",
                timeout=self._timeout,
                # It is not to go on trying: see `_take`.
                reconnect_timeout=0,
                num_workers=1,
            )
        # The pool that was given is the parent's; this one is the same, as far as it
        # can be known.
        given = self._source
        return type(given)(
            given.conninfo,
            kwargs=given.kwargs,
            connection_class=given.connection_class,
            min_size=given.min_size,
            max_size=given.max_size,
            open=False,
            configure=getattr(given, "_configure", None),
            reset=getattr(given, "_reset", None),
            timeout=given.timeout,
            max_waiting=given.max_waiting,
            max_lifetime=given.max_lifetime,
            max_idle=given.max_idle,
            reconnect_timeout=given.reconnect_timeout,
            num_workers=given.num_workers,
        )


def is_readable(connection: Any, timeout: float) -> bool:
    """Wait for something to come from a connection, or for its end, so many seconds."""
    timeout = max(timeout, 0.0)  # to poll, less would be for ever
    if not hasattr(select, "poll"):
        return bool(select.select([connection], [], [], timeout)[0])
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(timeout * 1000))


def _is_stale(connection: Connection[Any]) -> bool:
    """Tell whether a connection that was kept has been closed by the server."""
    # Nothing is expected: if there is something to be read, it is a farewell.
    return connection.closed or is_readable(connection, 0)


# Never to be collected: the pools of a parent, in a child that was forked.
_parents: list[Any] = []


def _connect_timeout(source: str) -> float:
    """Return how long connecting takes at most, in seconds.

    Raises:
        psycopg.ProgrammingError: it is no connection string.
    """
    given = conninfo_to_dict(source).get("connect_timeout")
    seconds = float(given or os.environ.get("PGCONNECT_TIMEOUT") or _CONNECT_TIMEOUT)
    return seconds if seconds > 0 else _NO_TIMEOUT


def _called(given: Any) -> Any:
    """Give a setting of a pool, which may be a function that tells it."""
    return given() if callable(given) else given


def _settings(source: str, timeout: float) -> dict[str, Any]:
    """Complete a connection string, with what it does not say itself."""
    usual = {
        "connect_timeout": ceil(timeout),
        # A server that is switched off says no farewell, and a system tries to reach it
        # for a quarter of an hour.
        "tcp_user_timeout": int(timeout * 1000),
        "keepalives_idle": _KEEPALIVE,
        "keepalives_interval": _KEEPALIVE,
        "client_encoding": "utf8",
    }
    given = conninfo_to_dict(source)
    return {
        "autocommit": True,
        **{name: value for name, value in usual.items() if name not in given},
    }
