# SPDX-License-Identifier: Apache-2.0
"""Closes all connections to SQLite before the process forks.

A child must not inherit a connection. It does not have its parent's locks on the file,
but SQLite, whose memory was copied, believes so. Even a new connection of the child to
the same file would then read and write without locks, and damage the file.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from time import sleep
from typing import TYPE_CHECKING, Any, Final, Protocol

from ...runtime.clock import monotonic
from ...runtime.fork import at_fork
from ...runtime.weak_objects import WeakObjects

if TYPE_CHECKING:
    import sqlite3

Identity = tuple[int, int]
"""The device and the inode of a file."""

# In seconds.
_LONGEST_WAIT: Final = 5.0  # for which a fork waits for statements of other threads
_LONGEST_WAIT_FOR_FORK: Final = 1.0


class _Pool(Protocol):
    def close_idle(self) -> bool:
        """Close idle connections; return whether no other is left."""


_pools: WeakObjects[_Pool] = WeakObjects()
_opening = threading.RLock()
_abandoned: list[sqlite3.Connection] = []
_inherited: set[Identity | None] = set()  # files that must not be used in this process


def register(pool: _Pool) -> None:
    """Close the connections of a pool before each fork, while the pool exists."""
    with _opening:
        _pools.add(pool)


def opening() -> Any:
    """Return the lock to hold while a connection is opened. A fork holds it, too."""
    return _opening


def close(connection: sqlite3.Connection) -> None:
    """Close a connection, but not while the process forks."""
    lock = _opening
    # The wait has a limit, because the garbage collector may call this in any thread,
    # and that may hold a lock for which the fork waits.
    is_locked = lock.acquire(timeout=_LONGEST_WAIT_FOR_FORK)
    try:
        connection.close()
    finally:
        if is_locked:
            lock.release()


def abandon(connections: list[sqlite3.Connection], identity: Identity | None) -> None:
    """Give up connections that this process has inherited, and their file.

    They are neither used nor closed, not even at the end of the program: closing them
    could remove the write-ahead log that other processes use.
    """
    _abandoned.extend(connections)
    # The list is emptied at the end of the program; one more reference outlives it.
    with suppress(ImportError, AttributeError):
        import ctypes

        for connection in connections:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
    if identity is not None:
        _inherited.add(identity)


def is_inherited(identity: Identity | None) -> bool:
    """Return whether this process has inherited connections to a file."""
    return identity in _inherited


def _before_fork() -> None:
    _opening.acquire()
    end = monotonic() + _LONGEST_WAIT
    for pool in list(_pools):
        while not pool.close_idle() and monotonic() < end:
            sleep(0.001)  # until a thread has run its statement


def _after_fork_in_parent() -> None:
    _opening.release()


def _after_fork_in_child() -> None:
    global _opening  # noqa: PLW0603  (a thread of the parent may hold the old one)
    _opening = threading.RLock()


at_fork(after_in_child=_after_fork_in_child)
if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent)
