# SPDX-License-Identifier: Apache-2.0
"""The task that a store runs once, on its first connection, and errors that forbid it.

A store can be created while its server is down. What has to be done before any other
statement, such as creating the table, waits for the first connection.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakMethod

from ...runtime.fork import renew_after_fork

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg import Connection, errors

_WAIT_FOR_TASK: Final = 30.0  # seconds, while another thread runs it

# Classes of SQLSTATE: connection lost, out of resources, operator intervention.
_TEMPORARY_CLASSES: Final = frozenset({"08", "53", "57"})
_PERMANENT_ERROR: Final = re.compile(
    r"authentication failed|does not exist|no such (database|user)|pg_hba\.conf"
    r"|not permitted to log in|permission denied for database|no password supplied"
    r"|certificate|does not support SSL|invalid .* value"
)


class FirstTask:
    """A task that runs once, before anything else is done. Safe for threads and forks.

    Args:
        task: a method that takes a connection. Its object is referenced weakly.
    """

    def __init__(self, task: Callable[[Connection[Any]], None]) -> None:
        self.is_done = False
        self._task = WeakMethod(task)
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Take a new lock: the thread that holds the old one is not in the child."""
        self._lock = threading.RLock()

    def run(self, connection: Connection[Any]) -> None:
        """Run the task, unless it is done. After an error the next call tries again.

        Raises:
            Exception: whatever the task raises.
        """
        if self.is_done:
            return
        # Race: other threads wait, since they need what the task does. The wait has a
        # limit, because several threads may run the task at once without harm.
        is_locked = self._lock.acquire(timeout=_WAIT_FOR_TASK)
        try:
            task = self._task()
            if task is not None and not self.is_done:
                task(connection)
            self.is_done = True
        finally:
            if is_locked:
                self._lock.release()


def is_permanent(error: errors.OperationalError) -> bool:
    """Return whether connecting again later would fail, too, as with a wrong password.

    The error of a server that starts, shuts down or is full is not permanent.
    """
    if error.sqlstate is not None:
        return error.sqlstate[:2] not in _TEMPORARY_CLASSES
    # libpq gives no SQLSTATE for errors while connecting, and the server's messages may
    # be in any language. An error that is not recognised counts as temporary: it is
    # logged, and the first call of the store raises it.
    needs_password = getattr(error.pgconn, "needs_password", False)
    return bool(needs_password or _PERMANENT_ERROR.search(str(error)))
