# SPDX-License-Identifier: Apache-2.0
"""Chooses the connection on which the store reads and writes its table."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, TypeVar

from django.db import OperationalError, ProgrammingError, connections, router

from ...exceptions import StoreUnavailableError
from ...runtime.fork import detect_fork, renew_after_fork
from .models import TABLE, Flag

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

# What databases say of a table that there is not.
_NO_TABLE: Final = ("no such table", "does not exist", "doesn't exist")
# Connections of the parent process. If they were freed, they would be closed, also for
# the parent.
_inherited: Final[list[Any]] = []


class FlagDatabase:
    """Runs statements on the database of the flags. Safe for threads and forks.

    A statement runs on the connection that Django has for the present thread, unless
    this thread is in a transaction that the flags do not take part in, or in an event
    loop, where Django refuses statements. Then it runs in a thread of this object,
    which has a connection of its own.

    Args:
        using: the alias of the database; `None` asks the routers of the site.
        in_transaction: whether flags take part in the transactions of the site.
    """

    def __init__(self, using: str | None, *, in_transaction: bool) -> None:
        self.in_transaction = in_transaction
        self._using = using
        self._used: set[str] = set()  # aliases, for a forked process
        self._thread: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        renew_after_fork(self)

    @property
    def alias(self) -> str:
        """The alias of the database, where the site writes flags, and reads them."""
        return self._using or router.db_for_write(Flag)

    def after_fork(self) -> None:
        """Use no thread and no connection of the parent process."""
        self._lock = threading.Lock()
        self._thread = None
        for connection in map(connections.__getitem__, self._used):
            opened = connection.connection
            if not (
                opened is None or connection.in_atomic_block or _is_only(connection)
            ):
                _inherited.append(opened)
                connection.connection = None

    def read(self, work: Callable[[str], T]) -> T:
        """Call a function that reads, with the alias of the database.

        Raises:
            StoreUnavailableError: the table was not made.
            Exception: any error of the function.
        """
        return self._run(work, is_write=False)

    def write(self, work: Callable[[str], T]) -> T:
        """Call a function that writes, with the alias of the database.

        Raises:
            StoreUnavailableError: the table was not made.
            Exception: any error of the function.
        """
        return self._run(work, is_write=True)

    def close(self) -> None:
        """End the thread and its connection, if there are any. Idempotent."""
        detect_fork()
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.submit(connections.close_all)
            thread.shutdown()

    def _run(self, work: Callable[[str], T], *, is_write: bool) -> T:
        try:
            return self._run_where_allowed(work, is_write=is_write)
        except (OperationalError, ProgrammingError) as error:
            text = str(error)
            if TABLE in text and any(each in text for each in _NO_TABLE):
                raise StoreUnavailableError(
                    f"The database has no table {TABLE!r}; make it by "
                    f"`python manage.py migrate`"
                ) from error
            raise

    def _run_where_allowed(self, work: Callable[[str], T], *, is_write: bool) -> T:
        detect_fork()
        alias = self.alias
        self._used.add(alias)
        if _is_in_event_loop():
            return self._run_in_thread(work, alias)
        connection: Any = connections[alias]
        if not connection.in_atomic_block and connection.get_autocommit():
            return work(alias)
        if self._joins(connection) and (is_write or not connection.needs_rollback):
            return work(alias)
        return self._run_in_thread(work, alias)

    def _joins(self, connection: Any) -> bool:
        """Return whether flags take part in the transaction of this connection.

        That is also so in Django's `TestCase`, which rolls everything back, and in
        SQLite: it has one writer, so a second connection would wait for this one.
        """
        if self.in_transaction or connection.vendor == "sqlite":
            return True
        blocks = connection.atomic_blocks
        return bool(blocks) and getattr(blocks[0], "_from_testcase", False)

    def _run_in_thread(self, work: Callable[[str], T], alias: str) -> T:
        def call() -> T:
            connection: Any = connections[alias]
            try:
                if not connection.get_autocommit():  # by the setting AUTOCOMMIT
                    connection.set_autocommit(True)
                return work(alias)
            finally:
                # As Django does after each request, by the setting CONN_MAX_AGE.
                connection.close_if_unusable_or_obsolete()

        with self._lock:
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, "flipper-django")
            future = self._thread.submit(call)
        return future.result()


def _is_in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _is_only(connection: Any) -> bool:
    """Return whether a connection is the only one to its data, which is in memory."""
    return connection.vendor == "sqlite" and connection.is_in_memory_db()
