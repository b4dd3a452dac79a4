# SPDX-License-Identifier: Apache-2.0
"""The change signal of Consul: what the thread of the store's copy is told."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from ...contracts.watch import WatchQueue
from ...exceptions import StoreTimeoutError
from ...runtime.clock import monotonic

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

# In seconds. Consul answers the thread only when something has changed.
_SILENCE: Final = 1.5  # after which it is asked whether it is there
_PATIENCE: Final = 2.5  # with its answer


class ConsulWatch(WatchQueue):
    """Reports what its copy is told of, and makes sure that somebody is there to tell.

    Args:
        look_after: is called at each `wait`, to end the watch of a store that is gone.
        ask: asks Consul for something small.
        distrust: called once when it has not answered.
    """

    def __init__(
        self,
        look_after: Callable[[], object],
        ask: Callable[[], object],
        distrust: Callable[[], None],
    ) -> None:
        super().__init__(lambda: None)
        self._look_after = look_after
        self._ask = ask
        self._distrust = distrust
        self._question: _Question | None = None
        self._heard = monotonic()

    def report(self, *feature_names: str) -> None:
        """Let these flags be given by `wait`. Without any it is a sign of life."""
        self._heard = monotonic()
        super().report(*feature_names)

    def wait(self, timeout: float) -> Collection[str]:
        """Wait for changes; return the names of the flags, or raise what failed.

        Raises:
            StoreTimeoutError: Consul is silent.
            StoreUnavailableError: it cannot be asked.
        """
        self._look_after()
        # The error of a closed store's question says only that it was interrupted.
        if self._error is None:
            self._make_sure()
        return super().wait(timeout)

    def _make_sure(self) -> None:
        question, now = self._question, monotonic()
        if question is None:
            if now > self._heard + _SILENCE:
                self._question = _Question(self._ask)
        elif question.is_answered.is_set():
            self._question, self._heard = None, now
            if question.error is not None:
                raise question.error
        elif now > question.asked + _PATIENCE:
            self._distrust()
            raise StoreTimeoutError(
                f"Consul has not answered for {now - self._heard:.1f} seconds"
            )


class _Question(threading.Thread):
    """Asks once, in a thread of its own: Consul's clients wait for ever."""

    def __init__(self, ask: Callable[[], object]) -> None:
        super().__init__(name="flipper-consul-question", daemon=True)
        self._ask = ask
        self.asked = monotonic()
        self.is_answered = threading.Event()
        self.error: Exception | None = None
        try:
            self.start()
        except RuntimeError:  # no more threads at the very end of a program
            self.is_answered.set()

    def run(self) -> None:
        """Ask."""
        try:
            self._ask()
        except Exception as error:  # noqa: BLE001  (raised by the watch)
            self.error = error
        self.is_answered.set()
