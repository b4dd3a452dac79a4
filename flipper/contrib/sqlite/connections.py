# SPDX-License-Identifier: Apache-2.0
"""Opens connections to one SQLite file, and tries again while the file is locked."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import suppress
from functools import partial
from time import sleep
from typing import TYPE_CHECKING, Any, Final
from weakref import finalize

from ...exceptions import StoreUnavailableError
from ...runtime.clock import monotonic
from ...runtime.fork import detect_fork, renew_after_fork, uwsgi_is_to_fork
from ...runtime.jitter import uniform
from ...runtime.weak_objects import WeakObjects
from . import forks
from .errors import is_locked, is_undecodable, locked_error, to_flipper_error
from .schema import prepare, set_up

if TYPE_CHECKING:
    from .file import DatabaseFile

# All in seconds.
_LOCK_TIMEOUT: Final = 0.05  # for one attempt, after which a fork can take place
_LONGEST_PAUSE: Final = 0.005  # between two attempts
# Connections that are kept open; threads that read at once may have more for a moment.
_MOST_IDLE: Final = 8

_ANY_TEXT: Final = partial(str, encoding="utf-8", errors="surrogateescape")


class _Connection(sqlite3.Connection):
    """A connection that can be referenced weakly."""


class Connections:
    """Runs statements on one file, each on a connection of its own at that moment.

    Each statement is a transaction. Safe for threads and forks.

    Args:
        file: the file, which is created by the first connection if it is missing.
        timeout: how many seconds to wait while the file is locked.

    Attributes:
        is_closed: whether `close` was called.
        opened: how many connections have been opened so far.
    """

    def __init__(self, file: DatabaseFile, timeout: float) -> None:
        self.is_closed = False
        self.opened = 0
        self._file = file
        self._timeout = timeout
        self._is_prepared = False
        # Taking the last one and adding one are single steps, so there is no lock.
        self._idle: list[sqlite3.Cursor] = []  # one of each connection
        self._all: WeakObjects[sqlite3.Connection] = WeakObjects()
        self._keeps_connections = True
        self._writing = threading.Lock()
        finalize(self, _close_all, self._idle)
        renew_after_fork(self)
        forks.register(self)

    def after_fork(self) -> None:
        """Make sure that this process uses no connection of its parent."""
        self._writing = threading.Lock()
        inherited = [connection for connection in self._all if _is_open(connection)]
        if inherited:
            forks.abandon(inherited, self._file.identity)
        self._idle.clear()
        self._all = WeakObjects()

    @property
    def path(self) -> str:
        """The absolute path of the file."""
        return self._file.path

    def another(self) -> Connections:
        """Return other connections to the same file, which the caller has to close.

        Raises:
            StoreUnavailableError: these connections are closed.
        """
        self._refuse_if_closed()
        return Connections(self._file, self._timeout)

    def fetch(self, statement: str, parameters: tuple[Any, ...] = ()) -> list[Any]:
        """Read rows.

        Raises:
            StoreUnavailableError: the file cannot be read, or this is closed.
            StoreTimeoutError: the file is locked.
        """
        detect_fork()
        if monotonic() >= self._file.check_at:
            self._file.check()
        return self._run(statement, parameters)[0]

    def write(self, statement: str, parameters: tuple[Any, ...]) -> bool:
        """Run a writing statement, and return whether it has changed any row.

        Raises:
            StoreUnavailableError: the file cannot be written, or this is closed.
            StoreTimeoutError: the file is locked.
        """
        detect_fork()
        # A write to a file that was deleted would be lost.
        self._file.check()
        # SQLite would let threads wait for each other by sleeping.
        writing = self._writing
        if not writing.acquire(timeout=self._timeout):
            raise locked_error(self._file.path, self._timeout)
        try:
            return self._run(statement, parameters)[1] > 0
        finally:
            writing.release()

    def close(self) -> None:
        """Close all connections. May be called again."""
        detect_fork()
        self.is_closed = True
        _close_all(self._idle)

    def close_idle(self) -> bool:
        """Close the connections that no thread uses; return whether no other is left.

        The caller holds the lock of `forks`.
        """
        _close_all(self._idle)
        return not any(_is_open(connection) for connection in self._all)

    def _run(
        self, statement: str, parameters: tuple[Any, ...]
    ) -> tuple[list[Any], int]:
        """Return the rows that a statement selects, and how many it has changed."""
        end = None
        while True:
            try:
                cursor = self._idle.pop()
            except IndexError:  # also if another thread was faster
                cursor = None
            if cursor is None:
                cursor = self._open()
            try:
                return cursor.execute(statement, parameters).fetchall(), cursor.rowcount
            except sqlite3.Error as error:
                if is_undecodable(error) and cursor.connection.text_factory is str:
                    cursor.connection.text_factory = _ANY_TEXT
                    continue
                end = self._next_attempt(error, end)
            finally:
                if self._keeps_connections:
                    self._idle.append(cursor)
                else:
                    forks.close(cursor.connection)
                # Race: `close` may have closed the others just before.
                if self.is_closed or len(self._idle) > _MOST_IDLE:
                    _close_all(self._idle, 0 if self.is_closed else _MOST_IDLE)
            sleep(uniform(0, _LONGEST_PAUSE))

    def _next_attempt(self, error: sqlite3.Error, end: float | None) -> float:
        """Return when to stop trying, or raise the error that the caller gets."""
        now = monotonic()
        if end is None:
            end = now + self._timeout
        if now >= end or not is_locked(error):
            raise to_flipper_error(error, self._file.path, self._timeout) from error
        return end

    def _open(self) -> sqlite3.Cursor:
        """Open a connection, and prepare the file if this is the first one."""
        # No thread may open one while uWSGI forks, which closes none before.
        self._keeps_connections = not uwsgi_is_to_fork()
        end = None
        while True:
            try:
                return self._connect()
            except sqlite3.Error as error:
                end = self._next_attempt(error, end)
            sleep(uniform(0, _LONGEST_PAUSE))

    def _connect(self) -> sqlite3.Cursor:
        # Race: a process that forks holds this lock until it has forked.
        with forks.opening():
            self._refuse_if_closed()
            self._file.refuse_if_inherited()
            connection = sqlite3.connect(
                self._file.uri(),
                timeout=_LOCK_TIMEOUT,
                isolation_level=None,
                check_same_thread=False,
                factory=_Connection,
                uri=True,
            )
            self._all.add(connection)
            self.opened += 1
        try:
            self._file.identify()
            set_up(connection)
            if not self._is_prepared:
                prepare(connection, self._file.path)
                self._is_prepared = True
            return connection.cursor()
        except BaseException:
            forks.close(connection)
            raise

    def _refuse_if_closed(self) -> None:
        if self.is_closed:
            raise StoreUnavailableError(
                f"The feature flag store of {self._file.path!r} is closed"
            )


def _close_all(cursors: list[sqlite3.Cursor], keep: int = 0) -> None:
    """Close the connections of cursors, and remove them from the list."""
    # Other threads may take some of them meanwhile.
    with suppress(IndexError):
        while len(cursors) > keep:
            forks.close(cursors.pop(0).connection)


def _is_open(connection: sqlite3.Connection) -> bool:
    try:
        connection.total_changes  # noqa: B018  (raises if it is closed)
    except sqlite3.ProgrammingError:
        return False
    return True
