# SPDX-License-Identifier: Apache-2.0
"""What the tests of the cached store share: inner stores that fail, and its state.

`entries_of`, `in_progress` and `wait_until_listening` are the only functions that read
private attributes of the cached store; the tests use these functions.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from flipper import MemoryFeatureFlagStore
from flipper.contracts.last_known import LastKnownFlags, SupportsLastKnown
from flipper.contracts.watch import SupportsWatch, WatchQueue
from flipper.contrib.interface import AbstractFeatureFlagStore
from flipper.contrib.storage import FeatureFlagStoreMeta
from flipper.testing.contract import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from flipper import CachedFeatureFlagStore
    from flipper.contrib.storage import FeatureFlagStoreItem

TIMEOUT = 30  # seconds until a thread that should have gone on counts as stuck

WRITES: dict[str, Callable[[Any], object]] = {
    "create": lambda store: store.create("x", is_enabled=True, client_data={"n": 2}),
    "set": lambda store: store.set("x", True),
    "set_meta": lambda store: store.set_meta(
        "x", FeatureFlagStoreMeta(7, client_data={"n": 2})
    ),
    "update": lambda store: store.update("x", lambda it: it.replace(is_enabled=True)),
    "delete": lambda store: store.delete("x"),
}
"""Every kind of write, each of the flag "x"."""


class Interrupted(BaseException):
    """Interrupts a thread; it is no failure of the store."""


class AwayError(Exception):
    """The server is away."""


class OwnStore(AbstractFeatureFlagStore):
    """A store in the style of flipper-client that can be made to wait and to fail.

    Attributes:
        flags: the store that keeps the flags.
        reads: the names of the flags that were read.
        writes: the methods that were called to write.
        read_error: raised by `get`.
        write_error: raised by every write.
        after_read: called with the name after a flag was read, before `get` returns.
        before_write: called with the name of the method before a flag is written.
    """

    def __init__(self) -> None:
        self.flags = MemoryFeatureFlagStore()
        self.reads: list[str] = []
        self.writes: list[str] = []
        self.read_error: BaseException | None = None
        self.write_error: BaseException | None = None
        self.after_read: Callable[[str], object] = lambda _: None
        self.before_write: Callable[[str], object] = lambda _: None

    def create(
        self,
        feature_name: str,
        is_enabled: bool = False,
        client_data: dict[str, Any] | None = None,
    ) -> FeatureFlagStoreItem:
        """Write a new flag."""
        self._begin_write("create")
        return self.flags.create(feature_name, is_enabled, client_data)

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Read a flag."""
        self.reads.append(feature_name)
        if self.read_error is not None:
            raise self.read_error
        item = self.flags.get(feature_name)
        self.after_read(feature_name)
        return item

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Write the state."""
        self._begin_write("set")
        self.flags.set(feature_name, is_enabled)

    def delete(self, feature_name: str) -> None:
        """Remove a flag."""
        self._begin_write("delete")
        self.flags.delete(feature_name)

    def list(
        self, limit: int | None = None, offset: int = 0
    ) -> Iterator[FeatureFlagStoreItem]:
        """List the flags."""
        return self.flags.list(limit, offset)

    def set_meta(self, feature_name: str, meta: FeatureFlagStoreMeta) -> None:
        """Write the metadata."""
        self._begin_write("set_meta")
        self.flags.set_meta(feature_name, meta)

    def _begin_write(self, method: str) -> None:
        self.before_write(method)
        self.writes.append(method)
        if self.write_error is not None:
            raise self.write_error


class RemoteStore(OwnStore, SupportsLastKnown):
    """A store whose server can be away, and which has last known flags."""

    def __init__(self) -> None:
        super().__init__()
        self.known = LastKnownFlags(self.flags)

    @property
    def outage_errors(self) -> tuple[type[Exception], ...]:
        """The error of a server that is away."""
        return (AwayError,)

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Read a flag, and record it as last known."""
        super().get(feature_name)
        return self.known.get(feature_name)

    def last_known(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return what was read last."""
        return self.known.last_known(feature_name)


class SignalWatch(WatchQueue):
    """A watch that can also report that any flag may have changed."""

    any_may_have_changed = False

    def wait(self, timeout: float) -> Collection[str] | None:
        """Wait for changes."""
        names = super().wait(timeout)
        if names and self.any_may_have_changed:
            self.any_may_have_changed = False
            return None
        return names


class SignallingStore(SupportsWatch, RemoteStore):
    """A remote store with a change signal.

    Attributes:
        watches: the watches that are open.
        watch_calls: how often `watch` was called.
        watch_error: raised by `watch`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.watches: list[SignalWatch] = []
        self.watch_calls = 0
        self.watch_error: Exception | None = None

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Read a flag once, before `after_read` is called, and return that."""
        return OwnStore.get(self, feature_name)

    def watch(self) -> SignalWatch:
        """Listen to changes."""
        self.watch_calls += 1
        if self.watch_error is not None:
            raise self.watch_error
        watch = SignalWatch(lambda: self.watches.remove(watch))
        self.watches.append(watch)
        return watch

    def write_elsewhere(self, feature_name: str, is_enabled: bool) -> None:
        """Write a flag as another process does, and report it."""
        self.flags.set(feature_name, is_enabled)
        self.report(feature_name)

    def report(self, *feature_names: str) -> None:
        """Report changes of these flags."""
        for watch in list(self.watches):
            watch.report(*feature_names)

    def report_unknown_changes(self) -> None:
        """Report that any flag may have changed."""
        for watch in list(self.watches):
            watch.any_may_have_changed = True
            watch.report("")

    def disconnect(self) -> None:
        """End all watches with an error, and refuse new ones."""
        self.watch_error = AwayError("on purpose")
        for watch in list(self.watches):
            watch.fail(self.watch_error)


class PausePoint:
    """A function that makes the first thread that calls it wait until `resume`.

    Args:
        error: raised by every call, after it has waited.
    """

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error
        self._first = threading.Lock()
        self._reached = threading.Event()
        self._resumed = threading.Event()

    def __call__(self, *_: object) -> None:
        """Wait, if this is the first call."""
        if self._first.acquire(blocking=False):
            self._reached.set()
            assert self._resumed.wait(TIMEOUT)
        if self._error is not None:
            raise self._error

    @property
    def is_resumed(self) -> bool:
        """Whether `resume` was called."""
        return self._resumed.is_set()

    def wait_until_reached(self) -> None:
        """Wait until a thread waits here."""
        assert self._reached.wait(TIMEOUT)

    def resume(self) -> None:
        """Let the thread go on."""
        self._resumed.set()


def state_of(item: FeatureFlagStoreItem | None) -> Any:
    """Return the state of a flag, `None` if there is no flag."""
    return None if item is None else item.raw_is_enabled


def numbered(n: int) -> FeatureFlagStoreMeta:
    """Make metadata that has a number."""
    return FeatureFlagStoreMeta(1, client_data={"n": n})


def number_of(item: FeatureFlagStoreItem | None) -> Any:
    """Return the number that a flag has, `None` if there is no flag."""
    return None if item is None else item.raw_meta.client_data["n"]


def wait_for_threads(semaphore: threading.Semaphore, count: int) -> None:
    """Wait until `count` threads have released a semaphore."""
    for _ in range(count):
        assert semaphore.acquire(timeout=TIMEOUT)


def entries_of(store: CachedFeatureFlagStore) -> Any:
    """Return the table of a cache."""
    return store._cache


def in_progress(store: CachedFeatureFlagStore) -> dict[str, object]:
    """Return the reads and writes of a cache that are in progress."""
    return store._in_progress


def wait_until_listening(
    store: CachedFeatureFlagStore, is_listening: bool = True
) -> None:
    """Wait until a cache listens to its inner store, or knows that it does not."""
    listener = store._listener
    assert listener is not None
    eventually(lambda: listener._is_listening is is_listening)
