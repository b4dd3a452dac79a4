# SPDX-License-Identifier: Apache-2.0
"""`Notifications`: calls listeners, one after the other, in the order of the events."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from ...runtime.log_throttle import LogThrottle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Listener = Callable[[Any], object]


class Notifications:
    """Events of which listeners are still to be told. Safe for threads."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Listener, Any]] = deque()
        self._log = LogThrottle(__name__)
        self.after_fork()

    def after_fork(self) -> None:
        """Make a new lock, since its owner may be a thread of the parent."""
        self._delivering = threading.Lock()

    def add(self, listeners: Iterable[Listener], event: Any) -> None:
        """Let the next `deliver` call these listeners with an event."""
        self._waiting.extend((listener, event) for listener in listeners)

    def deliver(self) -> None:
        """Call the listeners; errors are logged."""
        # Race: one thread at a time calls listeners, so that the order is kept. Other
        # threads do not wait: that thread makes their notifications, too.
        while self._waiting and self._delivering.acquire(blocking=False):
            try:
                while self._waiting:
                    listener, event = self._waiting.popleft()
                    self._call(listener, event)
            finally:
                self._delivering.release()

    def _call(self, listener: Listener, event: Any) -> None:
        try:
            listener(event)
        except Exception as error:  # noqa: BLE001  (the other listeners are called)
            self._log.warning(
                (id(listener), type(error)),
                "A listener failed at %r",
                event,
                cause=error,
                is_error=True,
            )
