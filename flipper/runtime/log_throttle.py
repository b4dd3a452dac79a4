# SPDX-License-Identifier: Apache-2.0
"""Logs repeated warnings at most once a minute."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from .clock import monotonic
from .fork import renew_after_fork

if TYPE_CHECKING:
    from collections.abc import Hashable

INTERVAL: Final = 60.0
"""Seconds between two warnings of the same kind."""
MAX_KINDS: Final = 10_000
"""The number of kinds of warnings that are remembered; the oldest is dropped first."""


class _Kind:
    """When one kind of warning was logged last, and what happened since then."""

    __slots__ = ("held_back", "is_ongoing", "logged_at")

    def __init__(self, logged_at: float) -> None:
        self.logged_at = logged_at
        self.held_back = 0  # how many were not logged since then
        self.is_ongoing = True  # its end has not been logged yet


class LogThrottle:
    """Logs a warning of each kind at most once a minute, and counts the others.

    Each warning says how many of its kind were held back since the last one. Safe for
    threads and forks.

    Args:
        logger_name: the name of the logger.
        counted: the noun that follows the number of warnings held back.
    """

    def __init__(self, logger_name: str, counted: str = "times") -> None:
        self._logger_name = logger_name
        self._counted = counted
        self._kinds: dict[Hashable, _Kind] = {}  # the oldest first
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Make a new lock: a thread that held the old one is not in this process."""
        # Reentrant: a signal handler may ask for a flag while its thread holds this.
        self._lock = threading.RLock()

    def warning(
        self,
        kind: Hashable,
        message: str,
        *values: Any,
        cause: BaseException | None = None,
        is_error: bool = False,
        **extra: Any,
    ) -> None:
        """Log a warning, unless one of its kind was logged within the last minute.

        Args:
            kind: warnings with equal kinds are counted together.
            message: the text, with placeholders as in `logging`.
            *values: the values of the placeholders.
            cause: an error whose traceback is logged, but not when the warning is
                repeated.
            is_error: log at the level ERROR instead of WARNING.
            **extra: attributes of the log record.
        """
        held_back = self._admit(kind)
        if held_back is None:
            return
        if held_back:
            message += " (%d more %s since the last warning)"
            values = (*values, held_back, self._counted)
            cause = None
        logger = _logger(self._logger_name)
        log = logger.error if is_error else logger.warning
        log(message, *values, exc_info=cause, extra=extra)

    def end(self, kind: Hashable, message: str, *values: Any) -> None:
        """Log the end of a problem if a warning of this kind was logged before."""
        with self._lock:
            found = self._kinds.get(kind)
            if found is None or not found.is_ongoing:
                return
            found.is_ongoing = False
            held_back, found.held_back = found.held_back, 0
        if held_back:
            message += " (%d more %s since the last warning)"
            values = (*values, held_back, self._counted)
        _logger(self._logger_name).info(message, *values)

    def _admit(self, kind: Hashable) -> int | None:
        """Return how many were held back before; `None` if this one is, too."""
        now = monotonic()
        with self._lock:
            kinds = self._kinds
            found = kinds.get(kind)
            if found is None:
                if len(kinds) >= MAX_KINDS:
                    del kinds[next(iter(kinds))]
                kinds[kind] = _Kind(now)
                return 0
            if now - found.logged_at < INTERVAL:
                found.held_back += 1
                return None
            del kinds[kind]
            kinds[kind] = _Kind(now)
            return found.held_back


class OutageLog:
    """Logs the outages of one store: their start, their end, and once a minute between.

    An outage that starts within a minute after another one is logged only when that
    minute is over, since a server may go away and come back all the time. Safe for
    threads and forks.

    Args:
        logger_name: the name of the logger.
        store: the store; only the name of its class is kept.
        consequence: how flags are answered meanwhile, as the end of a sentence.
    """

    def __init__(self, logger_name: str, store: object, consequence: str) -> None:
        self._throttle = LogThrottle(logger_name, "questions failed")
        self._name = type(store).__name__
        self._consequence = consequence

    def failed(self, error: BaseException, **extra: Any) -> None:
        """Log that the store has failed to answer."""
        self._throttle.warning(
            "outage",
            "%s fails (%s: %s); %s",
            self._name,
            type(error).__name__,
            error,
            self._consequence,
            cause=error,
            **extra,
        )

    def ended(self) -> None:
        """Log that the store answers again, if its failure was logged."""
        self._throttle.end("outage", "%s answers again", self._name)


def _logger(name: str) -> Any:
    # Imported late: this would take a fifth of the import time of the library.
    import logging

    return logging.getLogger(name)
