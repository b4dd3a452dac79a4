# SPDX-License-Identifier: Apache-2.0
"""Keeps the log readable while something fails thousands of times a second."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from .clock import monotonic
from .fork import renew_after_fork

if TYPE_CHECKING:
    from collections.abc import Hashable

APART: Final = 60.0
"""Seconds between two warnings of the same kind."""
KINDS: Final = 10_000
"""How many kinds of warnings are remembered at most; the oldest is forgotten first."""


class _Kind:
    """What is known of one kind of warning."""

    __slots__ = ("held_back", "is_open", "logged_at")

    def __init__(self, logged_at: float) -> None:
        self.logged_at = logged_at
        self.held_back = 0  # since it was logged last
        self.is_open = True  # logged, and not followed by its end yet


class LogThrottle:
    """Logs a warning of each kind once a minute, and counts the others. Thread-safe.

    A warning tells how many of its kind were held back since the last one.

    Args:
        logger_name: of the logger to use.
        counted: what warnings that are held back are counted as.
    """

    def __init__(self, logger_name: str, counted: str = "times") -> None:
        self._logger_name = logger_name
        self._counted = counted
        self._kinds: dict[Hashable, _Kind] = {}  # the one logged longest ago first
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Begin with a free lock: who held it is not in this process."""
        # Reentrant: a signal handler may ask for a flag in the middle of this.
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
            kind: what is counted together.
            message: the text, with placeholders as in `logging`.
            *values: what takes their place.
            cause: the error whose traceback is logged, too; left out when the warning
                is repeated.
            is_error: whether it is logged as an error.
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
        """Log that it is over, if a warning of this kind was logged and not its end."""
        with self._lock:
            found = self._kinds.get(kind)
            if found is None or not found.is_open:
                return
            found.is_open = False
            held_back, found.held_back = found.held_back, 0
        if held_back:
            message += " (%d more %s since the last warning)"
            values = (*values, held_back, self._counted)
        _logger(self._logger_name).info(message, *values)

    def _admit(self, kind: Hashable) -> int | None:
        """Return how many were held back before this one; `None` to hold it back."""
        now = monotonic()
        with self._lock:
            kinds = self._kinds
            found = kinds.get(kind)
            if found is None:
                if len(kinds) >= KINDS:
                    del kinds[next(iter(kinds))]
                kinds[kind] = _Kind(now)
                return 0
            if now - found.logged_at < APART:
                found.held_back += 1
                return None
            del kinds[kind]
            kinds[kind] = _Kind(now)
            return found.held_back


class OutageLog:
    """Logs the outages of one store: begin, end, and once a minute in between.

    An outage that begins within a minute after another one is not told of before that
    minute is over: a server may come and go all the time.

    Args:
        logger_name: of the logger to use.
        store: the store; only the name of its class is kept.
        consequence: how flags are answered meanwhile, as the end of a sentence.
    """

    def __init__(self, logger_name: str, store: object, consequence: str) -> None:
        self._throttle = LogThrottle(logger_name, "questions failed")
        self._name = type(store).__name__
        self._consequence = consequence

    def failed(self, error: BaseException, **extra: Any) -> None:
        """Hear that a question could not be answered by the store."""
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
        """Hear that the store answers again."""
        self._throttle.end("outage", "%s answers again", self._name)


def _logger(name: str) -> Any:
    # Only now: it takes a fifth of the time in which the library is imported.
    import logging

    return logging.getLogger(name)
