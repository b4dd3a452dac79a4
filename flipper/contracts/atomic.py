# SPDX-License-Identifier: Apache-2.0
"""Writes that never undo each other: the rule, written once for all stores.

A write reads a flag, changes it, and puts it back only if nobody else wrote meanwhile;
otherwise it begins again. A store brings four hooks, one of them that compare-and-swap,
and gets the six methods and `update` from `AtomicFeatureFlagStore`. The client writes
by the function `update`, which takes the six methods of any other store instead.
"""

from __future__ import annotations

import threading
from abc import abstractmethod
from contextlib import contextmanager, nullcontext
from itertools import islice
from time import sleep
from typing import TYPE_CHECKING, Any, ClassVar, Final
from weakref import WeakValueDictionary

from ..contrib.interface import AbstractFeatureFlagStore
from ..contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from ..exceptions import ConcurrentUpdateError, FlagDoesNotExistError
from ..runtime.fork import at_fork, detect_fork
from ..runtime.jitter import uniform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, MutableMapping
    from contextlib import AbstractContextManager

    Change = Callable[[FeatureFlagStoreItem], FeatureFlagStoreItem]
    Make = Callable[[], FeatureFlagStoreItem]


class _Expectation:
    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


ANY: Final = _Expectation("ANY")
"""What `_swap` may find: anything, or nothing."""
ABSENT: Final = _Expectation("ABSENT")
"""What `_swap` has to find: no such flag."""

# What a caller may override, and `update` would then go round.
_CALLS = ("get", "set", "set_meta")
# What makes a class a way of updating, whose calls belong to it: `update` itself, and
# the hooks of `AtomicFeatureFlagStore` and `DocumentFeatureFlagStore` that write.
_WRITES = frozenset({"update", "_swap", "_replace"})


class SupportsUpdate:
    """A store that can change a flag in one atomic step.

    To be derived from, not to be imitated: a test double seems to have any method.
    """

    _own_calls: ClassVar[tuple[Any, ...]] = ()
    # The `get` and the `delete` that the same class brings as the method which goes
    # past them; an override of a subclass is not gone past.
    _get_beside: ClassVar[Any] = None
    _delete_beside: ClassVar[Any] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Remember which methods belong to this way of updating."""
        super().__init_subclass__(**kwargs)
        own: Any = vars(cls)
        if "get_uncached" in own:
            cls._get_beside = getattr(cls, "get", None)
        if "delete_existing" in own:
            cls._delete_beside = getattr(cls, "delete", None)
        if "update" in own and not _changes_flags(own["update"]):
            cls._own_calls = ()
        elif not _WRITES.isdisjoint(own):
            cls._own_calls = tuple(getattr(cls, name, None) for name in _CALLS)

    def update(self, feature_name: str, change: Change) -> FeatureFlagStoreItem:
        """Replace a flag by what `change` makes of it, and return that.

        Args:
            feature_name: the flag.
            change: takes the stored flag and returns the one to be stored. It may run
                several times for one write, so it does nothing else: no I/O, no events.

        Raises:
            FlagDoesNotExistError: there is no such flag.
            ConcurrentUpdateError: other writers were faster, too many times in a row.
        """
        raise NotImplementedError

    def get_uncached(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag as it is where writes go, past every cache and copy.

        A class that answers `get` from a cache or a copy overrides this.

        Raises:
            Exception: that place cannot be reached.
        """
        return self.get(feature_name)  # type: ignore[attr-defined, no-any-return]

    def delete_existing(self, feature_name: str) -> None:
        """Remove the flag.

        Raises:
            FlagDoesNotExistError: there is no such flag, as far as the store can tell
                in the same step.
        """
        raise NotImplementedError


def _changes_flags(update: Any) -> bool:
    # Drop-in: a subclass of a store, written for flipper-client, may have an `update`
    # that does something else.
    code = getattr(update, "__code__", None)
    return code is not None and code.co_varnames[1:3] == ("feature_name", "change")


class AtomicFeatureFlagStore(SupportsUpdate, AbstractFeatureFlagStore):
    """A store made of four hooks: `_load`, `_swap`, `_remove` and `_scan`.

    It has no constructor, so there is none to call. A `_now` that returns seconds since
    the epoch dates new flags.
    """

    max_attempts: ClassVar[int] = 200
    """How often a write is tried before it raises `ConcurrentUpdateError`."""
    longest_pause: ClassVar[float] = 0.02
    """The longest wait between two tries, in seconds; waits are random up to that."""

    @abstractmethod
    def _load(self, feature_name: str) -> tuple[FeatureFlagStoreItem, Any] | None:
        """Read a flag, and a token that tells this version of it from all others."""

    @abstractmethod
    def _swap(self, item: FeatureFlagStoreItem, expected: Any) -> bool:
        """Write `item` if the store holds what is expected, and tell whether it did.

        Args:
            item: the flag to be stored.
            expected: the token of the version to be replaced, `ABSENT` or `ANY`.
        """

    @abstractmethod
    def _remove(self, feature_name: str) -> bool | None:
        """Remove a flag, if it is there.

        Returns:
            `False` if it was not there; what the backend does not tell is `None`.
        """

    @abstractmethod
    def _scan(self) -> Iterator[FeatureFlagStoreItem]:
        """Give every flag, each once; documents that are no flags are left out."""

    @abstractmethod
    def _now(self) -> int:
        """Return the creation date of a new flag, seconds since the epoch."""

    def create(
        self,
        feature_name: str,
        is_enabled: bool = False,
        client_data: dict[str, Any] | None = None,
    ) -> FeatureFlagStoreItem:
        """Write a new flag over whatever was there, and return it."""
        item = self._new(feature_name, is_enabled, client_data)
        self._swap(item, ANY)
        return item

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag, or `None` if there is none."""
        loaded = self._load(feature_name)
        return None if loaded is None else loaded[0]

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Change the state and keep the metadata; create the flag if it is missing."""
        self._write(
            feature_name,
            lambda item: item.switched(is_enabled),
            lambda: self._new(feature_name, is_enabled),
        )

    def delete(self, feature_name: str) -> None:
        """Remove the flag, if it is there."""
        self._delete_flag(feature_name)

    def delete_existing(self, feature_name: str) -> None:
        """Remove the flag, or raise if the backend says that there is none."""
        if self._delete_flag(feature_name) is False:
            raise FlagDoesNotExistError.for_flag(feature_name)

    def list(
        self, limit: int | None = None, offset: int = 0
    ) -> Iterator[FeatureFlagStoreItem]:
        """Return an iterator of the flags: `offset` are skipped, `limit` given."""
        stop = None if limit is None else offset + limit
        return islice(self._scan(), offset, stop)

    def set_meta(self, feature_name: str, meta: FeatureFlagStoreMeta) -> None:
        """Replace the metadata and keep the state.

        Raises:
            FlagDoesNotExistError: there is no such flag.
        """
        self._write(
            feature_name,
            lambda item: FeatureFlagStoreItem(feature_name, item.raw_is_enabled, meta),
        )

    def update(self, feature_name: str, change: Change) -> FeatureFlagStoreItem:
        """Replace a flag by what `change` makes of it, and return that."""
        return self._write(feature_name, change)

    def _delete_flag(self, feature_name: str) -> bool | None:
        return self._remove(feature_name)

    def _new(
        self,
        feature_name: str,
        is_enabled: Any,
        client_data: dict[str, Any] | None = None,
    ) -> FeatureFlagStoreItem:
        meta = FeatureFlagStoreMeta(self._now(), client_data=client_data)
        return FeatureFlagStoreItem(feature_name, is_enabled, meta)

    def _write(
        self, feature_name: str, change: Change, make: Make | None = None
    ) -> FeatureFlagStoreItem:
        """Put what `change` makes of a flag, or `make` of its absence; return it."""
        attempts = 0
        pause = 0.001
        while True:
            loaded = self._load(feature_name)
            if loaded is not None:
                before, token = loaded
                after = change(before.named(feature_name))
            elif make is not None:
                after, token = make(), ABSENT
            else:
                raise FlagDoesNotExistError.for_flag(feature_name)
            # Race: between `_load` and here others may write; `_swap` notices.
            if self._swap(after, token):
                return after
            attempts += 1
            if attempts >= self.max_attempts:
                raise ConcurrentUpdateError(
                    f"Feature {feature_name!r} was not written: other writers were "
                    f"faster {attempts} times in a row; try again, or write it less "
                    f"often",
                    feature_name=feature_name,
                    attempts=attempts,
                )
            sleep(uniform(0, min(self.longest_pause, pause)))
            pause *= 2


def update(store: Any, feature_name: str, change: Change) -> FeatureFlagStoreItem:
    """Change a flag in any store: atomically where the store can.

    Otherwise, and where a subclass, an instance or a test has replaced `get`, `set` or
    `set_meta`, by these three calls, one write at a time in this process.

    Raises:
        FlagDoesNotExistError: there is no such flag.
        ConcurrentUpdateError: other writers were faster, too many times in a row.
    """
    if updates_atomically(store):
        return store.update(feature_name, change)  # type: ignore[no-any-return]
    with write_lock(store, feature_name):
        found = get_uncached(store, feature_name)
        if found is None:
            raise FlagDoesNotExistError.for_flag(feature_name)
        before = FeatureFlagStoreItem.of(found)
        after = change(before)
        if after is before:
            return after
        has_new_meta = not after.shares_meta_with(before)
        # Drop-in: who switches a flag on that is on already writes it all the same.
        if not has_new_meta or after.raw_is_enabled is not before.raw_is_enabled:
            store.set(feature_name, after.raw_is_enabled)
        if has_new_meta:
            store.set_meta(feature_name, after.raw_meta)
        return after


def updates_atomically(store: Any) -> bool:
    """Tell whether `store` has an `update` that nobody's override would miss."""
    kind: Any = type(store)  # not isinstance, which believes a double with a spec
    try:
        # All the methods in one comparison, since this is asked before every write.
        if kind._own_calls != (kind.get, kind.set, kind.set_meta):  # noqa: SLF001
            return False
        own = store.__dict__
    except AttributeError:
        return False
    return not ("get" in own or "set" in own or "set_meta" in own)


def get_uncached(store: Any, feature_name: str) -> Any:
    """Return a flag as it is where the writes of any store go, `None` if it is missing.

    A store that has no `get_uncached`, or whose `get` a subclass, an instance or a test
    has replaced, is asked by `get`.
    """
    if _brings(store, "get", "_get_beside"):
        return store.get_uncached(feature_name)
    return store.get(feature_name)


def delete_existing(store: Any, feature_name: str) -> None:
    """Remove a flag from any store, after a look whether it exists.

    Raises:
        FlagDoesNotExistError: it does not exist any more. Of a store that has no
            `delete_existing`, or whose `get` or `delete` somebody has replaced,
            `delete` is called, which does not tell.
    """
    if updates_atomically(store) and _brings(store, "delete", "_delete_beside"):
        store.delete_existing(feature_name)
        return
    with write_lock(store, feature_name):
        store.delete(feature_name)


def _brings(store: Any, method: str, beside: str) -> bool:
    """Tell whether nobody has replaced a method since the class that goes past it."""
    kind: Any = type(store)
    try:
        return getattr(kind, beside) is getattr(kind, method) and (
            method not in store.__dict__
        )
    except AttributeError:
        return False


_NO_LOCK = nullcontext()
_PATIENCE: Final = 1.0  # seconds
# One for each flag that is being written.
# Reentrant, and never one for two flags or stores: such a store may well be made of
# others, and then two threads could wait for each other for ever.
_locks: MutableMapping[tuple[int, str], Any] = WeakValueDictionary()
_locks_change = threading.RLock()


def write_lock(store: Any, feature_name: str) -> AbstractContextManager[Any]:
    """Return what keeps other writers of this process from a flag, where needed."""
    if updates_atomically(store):
        return _NO_LOCK
    lock: AbstractContextManager[Any] = lock_of(store, feature_name)
    return lock


@contextmanager
def per_flag_lock(store: Any, feature_name: str) -> Iterator[None]:
    """Let the threads of this process write a flag one after the other, if it may be.

    It is a courtesy, not a promise: a store that compares and swaps does without, but
    then most tries of many writers are in vain. Who waits too long goes ahead.
    """
    lock = lock_of(store, feature_name)
    mine = lock.acquire(timeout=_PATIENCE)
    try:
        yield
    finally:
        if mine:
            lock.release()


def lock_of(owner: Any, feature_name: str) -> Any:
    """Return the lock of a flag, reentrant and for this process alone.

    Args:
        owner: the store, or what several stores share.
        feature_name: the flag.
    """
    detect_fork()
    with _locks_change:
        return _locks.setdefault((id(owner), feature_name), threading.RLock())


def _forget_locks() -> None:
    # Race: a thread that held a lock while the process forked is not in the child.
    global _locks, _locks_change
    _locks, _locks_change = WeakValueDictionary(), threading.RLock()


at_fork(after_in_child=_forget_locks)
