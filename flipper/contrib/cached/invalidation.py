# SPDX-License-Identifier: Apache-2.0
"""The background thread that drops the entries of changed flags from a cache."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from ...contracts.listener import CHECK_INTERVAL, BackgroundListener
from ...contracts.watch import WatchRefusedError
from ...runtime.jitter import uniform
from ...runtime.log_throttle import LogThrottle

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Collection
    from weakref import WeakMethod

logger = logging.getLogger(__name__)

_RETRY_AFTER_REFUSAL: Final = 30.0  # seconds; the server may allow it by then


class InvalidationListener(BackgroundListener):
    """Listens to the inner store of a cache. Safe for threads and forks.

    It holds only weak references to the cache, so that the cache can be
    garbage-collected while this thread runs.

    Args:
        store: the inner store.
        invalidate: called with the names of flags that have changed, or with `None` if
            any flag may have changed.
        set_listening: called with `True` when every change is reported from now on, and
            with `False` when that has ended.
    """

    def __init__(
        self,
        store: Any,
        invalidate: WeakMethod[Callable[[Collection[str] | None], None]],
        set_listening: WeakMethod[Callable[[bool], None]],
    ) -> None:
        super().__init__(store, "flipper-invalidation")
        self._invalidate = invalidate
        self._set_listening = set_listening
        self._is_listening: bool | None = None
        self._log = LogThrottle(__name__)

    def _listen(self, closed: threading.Event) -> None:
        try:
            watch = self._open_watch()
        except WatchRefusedError as refusal:
            self._note_failure(refusal)
            self._sleep(closed, uniform(0.8, 1.2) * _RETRY_AFTER_REFUSAL)
            return
        try:
            self._failures = 0  # no long pauses, since nothing is cached meanwhile
            # Race: first listen, then let the cache keep what it reads: whatever
            # changes after such a read is reported.
            _call(self._set_listening, True)
            self._log_transition(None)
            while not self._is_over(closed):
                changed = watch.wait(CHECK_INTERVAL)
                if changed is None or changed:
                    _call(self._invalidate, changed)
        finally:
            _call(self._set_listening, False)
            self._close_watch()

    def _note_failure(self, error: Exception) -> None:
        self._log_transition(error)

    def _log_transition(self, problem: Exception | None) -> None:
        """Log that listening has begun, or why it does not work; not each retry."""
        if self._is_listening is (problem is None):
            return
        is_first = self._is_listening is None
        self._is_listening = problem is None
        store = type(self._store).__name__
        message = "%s reports changes to its cache"
        if problem is not None:
            self._log.warning(
                "not listening",
                "%s does not report changes to its cache (%s: %s); flags are cached "
                "for at most ttl seconds, and not at all without a ttl",
                store,
                type(problem).__name__,
                problem,
            )
        elif is_first:
            logger.info(message, store)
        else:
            self._log.end("not listening", message, store)


def _call(method: WeakMethod[Callable[[Any], None]], argument: object) -> None:
    """Call a method if its object still exists, and keep no reference to it."""
    bound = method()
    if bound is not None:
        bound(argument)
