# SPDX-License-Identifier: Apache-2.0
"""`LocalCopy`: a complete copy of a store's flags, and its listeners. It does no I/O.

A flag that this process writes while the store is read may be newer in the copy than
the flag that was read. Such a flag is not replaced. It is uncertain, and is read again.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from time import sleep
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ...exceptions import StoreTimeoutError
from ..storage import FeatureFlagStoreItem
from ..storage.undecoded import decode, decoded_or_none
from ..util.iter import batchify
from .notifications import Notifications

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from .notifications import Listener


# Threads that answer questions wait for one that compares many flags. So it makes a
# pause of some seconds after this number of flags.
_FLAGS_PER_PAUSE: Final = 200
_PAUSE: Final = 0.0005


class FlagChange(NamedTuple):
    """A change of one flag.

    Attributes:
        feature_name: the flag.
        old: the flag before the change, `None` if it did not exist.
        new: the flag after the change, `None` if it was deleted.
    """

    feature_name: str
    old: Any
    new: Any

    @property
    def kind(self) -> str:
        """The kind of change: "created", "changed" or "deleted"."""
        if self.old is None:
            return "created"
        return "deleted" if self.new is None else "changed"


class _FlagWrites:
    """The writes of one flag by this process: their lock and their number."""

    __slots__ = ("lock", "pending")

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.pending = 0


class LocalCopy:
    """Keeps flags by name, and calls listeners when they change. Safe for threads.

    Others only read the two dicts, which are never replaced: this needs no lock.

    Attributes:
        flags: all flags by name: their documents, as bytes, or the flags themselves, if
            there are no documents.
        decoded: those flags that were asked for. They are not in `flags` because the
            garbage collector does not walk through a dict that has bytes only (up to
            Python 3.13), which takes milliseconds with 100,000 of them.
        revision: the number of changes so far.
    """

    def __init__(self) -> None:
        self.flags: dict[str, Any] = {}
        self.decoded: dict[str, Any] = {}
        self.revision = 0
        self._listeners: list[Listener] = []
        self._notifications = Notifications()
        self.after_fork()

    def after_fork(self) -> None:
        """Make new locks, and forget writes: their threads are in the parent only."""
        self._lock = threading.RLock()
        self._notifications.after_fork()
        self._writes: dict[str, _FlagWrites] = {}
        self._written_meanwhile: set[str] = set()
        self._uncertain: set[str] = set()

    # -- reading the store, by one thread ----------------------------------------------

    def begin_reading(self) -> None:
        """Note that the store is read from now on, until the next `apply`."""
        with self._lock:
            self._written_meanwhile.clear()

    def apply(self, items: Mapping[str, Any], *, complete: bool) -> None:
        """Apply flags that were read from the store since `begin_reading`.

        Args:
            items: the flags by name, `None` for a flag that does not exist.
            complete: whether `items` has all flags, so that others do not exist.
        """
        if complete and self.fill(items):
            return
        self._apply_in_slices(items.items())
        if complete:
            # Not by a difference of sets, which would stop all other threads.
            missing = ((name, None) for name in list(self.flags) if name not in items)
            self._apply_in_slices(missing)

    def _apply_in_slices(self, items: Iterable[tuple[str, Any]]) -> None:
        flags, is_first = self.flags, True
        for batch in batchify(items, _FLAGS_PER_PAUSE):
            if not is_first:
                sleep(_PAUSE)
            is_first = False
            with self._lock:
                for feature_name, item in batch:
                    if item is None or flags.get(feature_name) is not item:
                        self._apply_one(feature_name, item)
            self._notifications.deliver()

    @property
    def is_unused(self) -> bool:
        """Whether there are no flags, nobody listens, and no flag is written."""
        is_in_use = self.flags or self._listeners or self._writes
        return not (is_in_use or self._written_meanwhile)

    def fill(self, items: Mapping[str, Any]) -> bool:
        """Put in all flags of the store if the copy is unused; return whether it was.

        Nothing is compared, and the flags need not be decoded: a start waits for this.
        """
        with self._lock:
            if not self.is_unused:
                return False
            self.flags.update(items)
            self.revision += len(items)
            return True

    def discard(self, feature_name: str, document: bytes) -> None:
        """Take out a document, which is not a flag, without a notification."""
        with self._lock:
            if self.flags.get(feature_name) is document:
                del self.flags[feature_name]

    def get(self, feature_name: str) -> Any:
        """Return a flag, decoded, or `None` if there is none.

        Raises:
            InvalidFlagDataError: the document is not a flag of this name.
        """
        item = self.decoded.get(feature_name)
        if item is not None:
            return item
        found = self.flags.get(feature_name)
        if found is None:
            return None
        item = decode(feature_name, found) if type(found) is bytes else found
        # A question does not wait for a thread that applies many flags. The next one
        # decodes the document again.
        if self._lock.acquire(blocking=False):
            try:
                # Race: another thread may have put a newer flag there meanwhile.
                if self.flags.get(feature_name) is found:
                    self.decoded[feature_name] = item
            finally:
                self._lock.release()
        return item

    get_in_memory = get_in_memory_bypasses = get

    def all_decoded(self) -> list[Any] | None:
        """Return all flags, or `None` if some are not decoded, or the copy changes."""
        if self._lock.acquire(blocking=False):
            try:
                if len(self.decoded) == len(self.flags):
                    return [self.decoded[name] for name in self.flags]
            finally:
                self._lock.release()
        return None

    def _apply_one(self, feature_name: str, item: Any) -> None:
        # Race: it was written while it was read, and the order of both is not known.
        if feature_name in self._writes or feature_name in self._written_meanwhile:
            self._uncertain.add(feature_name)
        else:
            self._set_flag(feature_name, item)

    def pop_uncertain(self) -> set[str]:
        """Return the names of flags that have to be read again, and forget them."""
        with self._lock:
            uncertain, self._uncertain = self._uncertain, set()
            return uncertain

    # -- writing the store -------------------------------------------------------------

    @contextmanager
    def writing(
        self, feature_name: str, timeout: float | None
    ) -> Iterator[Callable[[Any], None]]:
        """Hold a flag in a `with` statement while it is written to the store.

        One thread after the other gets a flag. The `with` statement gives a function
        that records the written flag. If it is not called, the flag is uncertain.

        Raises:
            StoreTimeoutError: another write of the flag took `timeout` seconds.
        """
        with self._lock:
            writes = self._writes.setdefault(feature_name, _FlagWrites())
            writes.pending += 1
        recorded: list[Any] = []
        try:
            with _hold(writes.lock, feature_name, timeout):
                try:
                    yield recorded.append
                finally:
                    with self._lock:
                        for item in recorded:
                            self._set_flag(feature_name, item)
        finally:
            with self._lock:
                writes.pending -= 1
                if not writes.pending:
                    self._writes.pop(feature_name, None)
                self._written_meanwhile.add(feature_name)
                if not recorded:
                    self._uncertain.add(feature_name)
            self._notifications.deliver()

    # -- listeners ---------------------------------------------------------------------

    def add_listener(self, listener: Listener) -> None:
        """Call `listener` with each `FlagChange` from now on."""
        with self._lock:
            self._listeners = [*self._listeners, listener]

    def remove_listener(self, listener: Listener) -> None:
        """Stop calling `listener`."""
        with self._lock:
            self._listeners = [one for one in self._listeners if one != listener]

    def notify(self, listeners: list[Listener], event: Any) -> None:
        """Call these listeners with an event, after all earlier notifications."""
        self._notifications.add(listeners, event)
        self._notifications.deliver()

    def _set_flag(self, feature_name: str, found: Any) -> None:
        """Put in a flag, or its checked document; `None` removes the flag."""
        flags, decoded = self.flags, self.decoded
        old = decoded.get(feature_name, flags.get(feature_name))
        new = found
        if type(found) is bytes and isinstance(old, FeatureFlagStoreItem):
            is_known = old.document == found
            new = old if is_known else decoded_or_none(feature_name, found)
        if _is_equal(old, new):
            # An equal flag is kept, since its conditions may be compiled already.
            if type(found) is bytes:
                flags[feature_name] = found
            return
        # Race: a fork or a signal may come in between. A flag that is not in `decoded`
        # is decoded again, while nobody would ever replace one that is outdated.
        was_decoded = decoded.pop(feature_name, None) is not None
        if found is None:
            flags.pop(feature_name, None)
        else:
            flags[feature_name] = found
            if was_decoded and new is not None and type(new) is not bytes:
                decoded[feature_name] = new
        self.revision += 1
        if self._listeners:
            self._announce(feature_name, old, new)

    def _announce(self, feature_name: str, old: Any, new: Any) -> None:
        old, new = (decoded_or_none(feature_name, each) for each in (old, new))
        if not _is_equal(old, new):  # only the documents were different
            change = FlagChange(feature_name, old, new)
            self._notifications.add(self._listeners, change)


@contextmanager
def _hold(lock: Any, feature_name: str, timeout: float | None) -> Iterator[None]:
    if not lock.acquire(timeout=-1 if timeout is None else timeout):
        raise StoreTimeoutError(
            f"Feature {feature_name!r} was not written: another write of it has waited "
            f"for the store for {timeout:g} seconds",
            feature_name=feature_name,
        )
    try:
        yield
    finally:
        lock.release()


def _is_equal(old: Any, new: Any) -> bool:
    if old is new:
        return True
    if type(old) is bytes:
        return bool(old == new) or bool(old == getattr(new, "document", None))
    if type(old) is not type(new):
        return False
    # Equal documents are equal flags. To compare them is the fastest.
    document = getattr(old, "document", None)
    if document is not None and document == getattr(new, "document", None):
        return True
    return old.raw_is_enabled == new.raw_is_enabled and bool(old.meta == new.meta)
