# SPDX-License-Identifier: Apache-2.0
"""A complete copy of a store's flags, kept level with writes of one's own and others'.

It does no I/O. What was written here while the store was read may be newer than what
was read: such a flag keeps what it is, and is read again (`doubtful`).
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from ...exceptions import StoreTimeoutError
from ...runtime.log_throttle import LogThrottle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Listener = Callable[[Any], object]


class FlagChange(NamedTuple):
    """One flag is not what it was.

    Attributes:
        feature_name: the flag.
        old: what it was, `None` if it was not there.
        new: what it is, `None` if it is not there any more.
    """

    feature_name: str
    old: Any
    new: Any

    @property
    def kind(self) -> str:
        """What happened: "created", "changed" or "deleted"."""
        if self.old is None:
            return "created"
        return "deleted" if self.new is None else "changed"


class _Writes:
    """The writes of one flag by this process: one at a time, and how many so far."""

    __slots__ = ("lock", "under_way")

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.under_way = 0


class LocalCopy:
    """Flags by name, and who is told when they change. Safe for threads.

    Attributes:
        flags: the flags; for all others to be read only. It is always the same dict, so
            that reading takes no lock and no detour.
        revision: how many changes it has seen.
    """

    def __init__(self) -> None:
        self.flags: dict[str, Any] = {}
        self.revision = 0
        self._listeners: list[Listener] = []
        self._untold: deque[tuple[Listener, Any]] = deque()
        self._log = LogThrottle(__name__)
        self.after_fork()

    def after_fork(self) -> None:
        """Begin with free locks, and with no writes under way."""
        self._lock = threading.RLock()
        self._telling = threading.Lock()
        self._writes: dict[str, _Writes] = {}
        self._written: set[str] = set()
        self._doubtful: set[str] = set()

    # -- reading the store, by one thread ----------------------------------------------

    def begin_reading(self) -> None:
        """Say that the store is being read from now on, for the next `take`."""
        with self._lock:
            self._written.clear()

    def take(self, items: Mapping[str, Any], *, complete: bool) -> None:
        """Take in flags that were read from the store since `begin_reading`.

        Args:
            items: the flags by name, `None` for one that is not there.
            complete: whether flags that `items` does not name are not there.
        """
        with self._lock:
            known_to_some = self.flags or self._listeners or self._writes
            if complete and not (known_to_some or self._written):
                # Nothing to compare and nobody to tell: a start waits for this.
                self.flags.update(items)
                self.revision += len(items)
                return
            for feature_name, item in items.items():
                self._take_one(feature_name, item)
            if complete:
                for feature_name in self.flags.keys() - items.keys():
                    self._take_one(feature_name, None)
        self._tell()

    def _take_one(self, feature_name: str, item: Any) -> None:
        # Race: it was written here while it was read. Which came first is not known.
        if feature_name in self._writes or feature_name in self._written:
            self._doubtful.add(feature_name)
        else:
            self._put(feature_name, item)

    def doubtful(self) -> set[str]:
        """Return the flags that have to be read again, and forget that they have to."""
        with self._lock:
            doubtful, self._doubtful = self._doubtful, set()
            return doubtful

    # -- writing the store -------------------------------------------------------------

    @contextmanager
    def writing(
        self, feature_name: str, patience: float | None
    ) -> Iterator[Callable[[Any], None]]:
        """Write a flag to the store meanwhile, one thread after the other.

        Gives a function that takes in the flag as it was written. Where it is not
        called, the flag is read again by and by.

        Raises:
            StoreTimeoutError: another write of the flag took `patience` seconds.
        """
        with self._lock:
            writes = self._writes.setdefault(feature_name, _Writes())
            writes.under_way += 1
        learnt: list[Any] = []
        try:
            with _held(writes.lock, feature_name, patience):
                try:
                    yield learnt.append
                finally:
                    with self._lock:
                        for item in learnt:
                            self._put(feature_name, item)
        finally:
            with self._lock:
                writes.under_way -= 1
                if not writes.under_way:
                    self._writes.pop(feature_name, None)
                self._written.add(feature_name)
                if not learnt:
                    self._doubtful.add(feature_name)
            self._tell()

    # -- telling -----------------------------------------------------------------------

    def add_listener(self, listener: Listener) -> None:
        """Tell `listener` of each `FlagChange` from now on."""
        with self._lock:
            self._listeners = [*self._listeners, listener]

    def remove_listener(self, listener: Listener) -> None:
        """Tell `listener` no more."""
        with self._lock:
            self._listeners = [one for one in self._listeners if one != listener]

    def announce(self, listeners: list[Listener], news: Any) -> None:
        """Tell these listeners, after all that is still to be told."""
        self._untold.extend((listener, news) for listener in listeners)
        self._tell()

    def _put(self, feature_name: str, item: Any) -> None:
        old = self.flags.get(feature_name)
        if item is None:
            self.flags.pop(feature_name, None)
        # What is alike stays the same object: whoever has evaluated it has compiled it.
        elif old is None or not _alike(old, item):
            self.flags[feature_name] = item
        else:
            return
        if old is not item:
            self.revision += 1
            change = FlagChange(feature_name, old, item)
            self._untold.extend((listener, change) for listener in self._listeners)

    def _tell(self) -> None:
        # Race: in the order of the changes, so by one thread at a time; but no thread
        # waits for another one's listener, it leaves its news to that thread.
        while self._untold and self._telling.acquire(blocking=False):
            try:
                while self._untold:
                    listener, news = self._untold.popleft()
                    self._call(listener, news)
            finally:
                self._telling.release()

    def _call(self, listener: Listener, news: Any) -> None:
        try:
            listener(news)
        except Exception as error:  # noqa: BLE001  (the others have to be told)
            self._log.warning(
                (id(listener), type(error)),
                "A listener failed at %r",
                news,
                cause=error,
                is_error=True,
            )


@contextmanager
def _held(lock: Any, feature_name: str, patience: float | None) -> Iterator[None]:
    if not lock.acquire(timeout=-1 if patience is None else patience):
        raise StoreTimeoutError(
            f"Feature {feature_name!r} was not written: another write of it has waited "
            f"for the store for {patience:g} seconds",
            feature_name=feature_name,
        )
    try:
        yield
    finally:
        lock.release()


def _alike(old: Any, new: Any) -> bool:
    return old is new or (
        type(old) is type(new)
        and old.raw_is_enabled == new.raw_is_enabled
        and old.meta == new.meta
    )
