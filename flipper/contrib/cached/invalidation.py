# SPDX-License-Identifier: Apache-2.0
"""The thread that tells a cache what has changed in the store behind it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from ...contracts.listener import SLICE, BackgroundListener
from ...contracts.watch import WatchRefusedError
from ...runtime.jitter import uniform
from ...runtime.log_throttle import LogThrottle

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Collection
    from weakref import WeakMethod

logger = logging.getLogger(__name__)

_ASK_AGAIN: Final = 30.0  # seconds after a refusal: it may be allowed by then


class Invalidation(BackgroundListener):
    """Listens to a store on behalf of a cache, which is free to go meanwhile.

    Args:
        store: the store behind the cache.
        drop: called with the names of flags that have changed, `None` if it may be any.
        trust: called with `True` when every change will be told from now on, and with
            `False` when that is over.
    """

    def __init__(
        self,
        store: Any,
        drop: WeakMethod[Callable[[Collection[str] | None], None]],
        trust: WeakMethod[Callable[[bool], None]],
    ) -> None:
        super().__init__(store, "flipper-invalidation")
        self._drop = drop
        self._trust = trust
        self._is_told: bool | None = None
        self._log = LogThrottle(__name__)

    def _listen(self, closed: threading.Event) -> None:
        try:
            watch = self._open_watch()
        except WatchRefusedError as refusal:
            self._note_failure(refusal)
            self._sleep(closed, uniform(0.8, 1.2) * _ASK_AGAIN)
            return
        try:
            self._failures = 0
            # Race: first listen, then trust: what is read from now on and changes after
            # that is reported.
            _call(self._trust, True)
            self._note(None)
            while not self._is_over(closed):
                changed = watch.wait(SLICE)
                if changed is None or changed:
                    _call(self._drop, changed)
        finally:
            _call(self._trust, False)
            self._close_watch()

    def _note_failure(self, error: Exception) -> None:
        self._note(error)

    def _note(self, problem: Exception | None) -> None:
        if self._is_told is (problem is None):
            return
        is_first = self._is_told is None
        self._is_told = problem is None
        store = type(self._store).__name__
        told = "%s tells its cache what changes"
        if problem is not None:
            self._log.warning(
                "untold",
                "%s does not tell its cache what changes (%s: %s); no flag is kept "
                "longer than its ttl, and none without one",
                store,
                type(problem).__name__,
                problem,
            )
        elif is_first:
            logger.info(told, store)
        else:
            self._log.end("untold", told, store)


def _call(method: WeakMethod[Callable[[Any], None]], argument: object) -> None:
    """Call a method if its object is still there, and do not hold on to it."""
    bound = method()
    if bound is not None:
        bound(argument)
