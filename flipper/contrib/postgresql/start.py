# SPDX-License-Identifier: Apache-2.0
"""What a PostgreSQL store does when it reaches its server for the first time."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakMethod

from ...runtime.fork import renew_after_fork

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg import Connection, errors

_PATIENCE: Final = 30.0  # seconds, with the thread that does the task

# SQLSTATE: connection lost, resources used up, operator intervention.
_PASSING: Final = frozenset({"08", "53", "57"})
_REFUSED: Final = re.compile(
    r"authentication failed|does not exist|no such (database|user)|pg_hba\.conf"
    r"|not permitted to log in|permission denied for database|no password supplied"
    r"|certificate|does not support SSL|invalid .* value"
)


class FirstTask:
    """Something to be done once, before anything else is done. Safe for threads, forks.

    Args:
        task: a method that takes a connection; its object is not held.
    """

    def __init__(self, task: Callable[[Connection[Any]], None]) -> None:
        self.is_done = False
        self._task = WeakMethod(task)
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Begin with a free lock: who does the task in the parent is not here."""
        self._lock = threading.RLock()

    def do(self, connection: Connection[Any]) -> None:
        """Do it, unless it is done. If it fails, the next to come tries again."""
        if self.is_done:
            return
        # Race: the others wait, since they need what the task does. Not for ever: no
        # harm is done when several do it at once.
        mine = self._lock.acquire(timeout=_PATIENCE)
        try:
            task = self._task()
            if task is not None and not self.is_done:
                task(connection)
            self.is_done = True
        finally:
            if mine:
                self._lock.release()


def is_refusal(error: errors.OperationalError) -> bool:
    """Tell whether to connect again later would be of no use, as with a wrong password.

    A server that is starting, going down or full has not refused.
    """
    if error.sqlstate is not None:
        return error.sqlstate[:2] not in _PASSING
    # libpq does not give the code of what goes wrong while connecting, and the server's
    # words may be in any language. What is not recognised is taken to pass: it is
    # logged, and the first call raises it.
    needs_password = getattr(error.pgconn, "needs_password", False)
    return bool(needs_password or _REFUSED.search(str(error)))
