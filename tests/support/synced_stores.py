# SPDX-License-Identifier: Apache-2.0
"""What the tests of the synced store share: an inner store that hangs and fails."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from flipper import MemoryFeatureFlagStore, SyncedFeatureFlagStore
from flipper.contracts.watch import SupportsWatch, WatchQueue, WatchRefusedError
from flipper.testing.contract import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RARELY = 1000.0  # seconds


class AwayError(Exception):
    """The server is away."""


class InnerStore(SupportsWatch, MemoryFeatureFlagStore):
    """Flags in memory with a change signal, as if on a server that may be away.

    Attributes:
        calls: the calls, in order.
        is_away: whether every call fails.
        is_silent: whether changes are not reported.
        has_signal: whether there is a change signal.
        answers: every call waits until this is set.
        after_write: called after a flag was written, before the call returns.
        watches: the watches that are open.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.is_away = self.is_silent = False
        self.has_signal = True
        self.answers = threading.Event()
        self.answers.set()
        self.after_write: Callable[[], object] = lambda: None
        self.watches: list[WatchQueue] = []

    def watch(self) -> WatchQueue:
        """Listen to changes."""
        self._begin("watch")
        if not self.has_signal:
            raise WatchRefusedError("it has no change signal")
        queue = WatchQueue(lambda: self.watches.remove(queue))
        self.watches.append(queue)
        return queue

    def get(self, feature_name: str) -> Any:
        """Read a flag."""
        self._begin(f"get {feature_name}")
        return super().get(feature_name)

    def list(self, limit: int | None = None, offset: int = 0) -> Any:
        """Read all flags."""
        self._begin("list")
        return super().list(limit, offset)

    def _swap(self, item: Any, expected: Any) -> bool:
        self._begin(f"write {item.feature_name}")
        done = super()._swap(item, expected)
        self.after_write()
        self.report(item.feature_name)
        return done

    def _remove(self, feature_name: str) -> None:
        self._begin(f"delete {feature_name}")
        super()._remove(feature_name)
        self.report(feature_name)

    def report(self, *feature_names: str) -> None:
        """Report changes of these flags."""
        for watch in [] if self.is_silent else list(self.watches):
            watch.report(*feature_names)

    def disconnect(self) -> None:
        """Be away from now on, and end all watches with an error."""
        self.is_away = True
        for watch in list(self.watches):
            watch.fail(AwayError("the connection is lost"))

    def _begin(self, call: str) -> None:
        self.calls.append(call)
        self.answers.wait()
        if self.is_away:
            raise AwayError(call)


@contextmanager
def synced(inner: Any, **options: Any) -> Iterator[SyncedFeatureFlagStore]:
    """Give a synced store that polls rarely."""
    options = {"poll_interval": RARELY, **options}
    with SyncedFeatureFlagStore(inner, **options) as store:
        yield store


def wait_for_state(store: SyncedFeatureFlagStore, state: str) -> None:
    """Wait until the status of a synced store has this state."""
    eventually(lambda: store.status().state == state)
