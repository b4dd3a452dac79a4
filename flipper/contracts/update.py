# SPDX-License-Identifier: Apache-2.0
"""Functions that write to a store of any kind, in one atomic step where it can.

A store that derives from `SupportsUpdate` changes a flag atomically. For any other
store the functions call `get`, `set`, `set_meta` and `delete` under a per-flag lock.
They also do so when somebody has replaced one of these methods: a subclass, an
instance or a test expects to be called.
"""

from __future__ import annotations

from contextlib import nullcontext
from operator import methodcaller
from typing import TYPE_CHECKING, Any, ClassVar

from ..contrib.storage import FeatureFlagStoreItem
from ..exceptions import FlagDoesNotExistError
from .flag_locks import reentrant_flag_lock

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    Change = Callable[[FeatureFlagStoreItem], FeatureFlagStoreItem]

_METHODS_UPDATE_BYPASSES = ("get", "set", "set_meta")
# A class that defines one of these methods decides how a flag is updated: `update`
# itself, or a hook of `AtomicFeatureFlagStore` or `DocumentFeatureFlagStore` that
# writes. `update` may bypass the other methods of such a class.
_METHODS_THAT_WRITE = frozenset({"update", "_swap", "_replace"})
_NO_LOCK = nullcontext()


class SupportsUpdate:
    """A store that can change a flag in one atomic step.

    A store has to derive from this class. Having the same methods is not enough: a test
    double seems to have any method.
    """

    # The methods that `update`, `get_uncached` and `delete_existing` bypass, as they
    # were when the class that defines the latter was made. Where the present methods
    # differ, a subclass has overridden them, and they must not be bypassed.
    update_bypasses: ClassVar[tuple[Any, ...]] = ()
    get_uncached_bypasses: ClassVar[Any] = None
    delete_existing_bypasses: ClassVar[Any] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Remember which methods the new class may bypass."""
        super().__init_subclass__(**kwargs)
        own: Any = vars(cls)
        if "get_uncached" in own:
            cls.get_uncached_bypasses = getattr(cls, "get", None)
        if "delete_existing" in own:
            cls.delete_existing_bypasses = getattr(cls, "delete", None)
        if "update" in own and not _has_parameters_of_update(own["update"]):
            cls.update_bypasses = ()
        elif not _METHODS_THAT_WRITE.isdisjoint(own):
            cls.update_bypasses = tuple(
                getattr(cls, name, None) for name in _METHODS_UPDATE_BYPASSES
            )

    def update(self, feature_name: str, change: Change) -> FeatureFlagStoreItem:
        """Replace a flag by the result of `change`, and return that result.

        Args:
            feature_name: the flag.
            change: takes the stored flag and returns the one to store. It may run
                several times for one write, so it must have no other effect: no I/O,
                no events.

        Raises:
            FlagDoesNotExistError: there is no such flag.
            ConcurrentUpdateError: other writers were faster, too many times in a row.
        """
        raise NotImplementedError

    def get_uncached(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag from the place that writes go to, not from a cache or a copy.

        A class whose `get` answers from a cache or a copy overrides this method.

        Raises:
            Exception: that place cannot be reached.
        """
        return self.get(feature_name)  # type: ignore[attr-defined, no-any-return]

    def delete_existing(self, feature_name: str) -> None:
        """Remove the flag.

        Raises:
            FlagDoesNotExistError: there is no such flag, as far as the store can find
                out in the same step.
        """
        raise NotImplementedError


def _has_parameters_of_update(update: Any) -> bool:
    # Drop-in: a subclass of a store, written for flipper-client, may have an `update`
    # that does something else.
    code = getattr(update, "__code__", None)
    return code is not None and code.co_varnames[1:3] == ("feature_name", "change")


def update(store: Any, feature_name: str, change: Change) -> FeatureFlagStoreItem:
    """Change a flag in a store of any kind: atomically where the store can.

    Otherwise, and where a subclass, an instance or a test has replaced `get`, `set` or
    `set_meta`, these three methods are called, under the per-flag lock.

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
        before = FeatureFlagStoreItem.from_item(found)
        after = change(before)
        if after is before:
            return after
        has_new_meta = not after.shares_meta_with(before)
        # Drop-in: enabling a flag that is enabled already writes it all the same.
        sets_state = not has_new_meta or (
            after.document_state is not before.found_state
        )
        # A flag is switched off before its metadata changes, and on after that, so that
        # it is never on by the wrong rules.
        if sets_state and not after.document_state:
            store.set(feature_name, after.document_state)
        if has_new_meta:
            try:
                _set_meta(store, before, after, sets_state=sets_state)
            except Exception:
                # Such as one about a value that cannot be stored: nothing is changed.
                if sets_state and before.found_state and not after.document_state:
                    store.set(feature_name, before.found_state)
                raise
        if sets_state and after.document_state:
            store.set(feature_name, after.document_state)
        return after


def set_state(store: Any, feature_name: str, is_enabled: bool) -> None:
    """Change the state of a flag in a store of any kind; its `set` creates the flag.

    A store that is not flipper's own may keep states apart from metadata. The state of
    a flag with rules is in the metadata, so that is written.
    """
    if not updates_atomically(store):
        found = get_uncached(store, feature_name)
        if found is not None and FeatureFlagStoreItem.from_item(found).rules:
            update(store, feature_name, methodcaller("with_state", is_enabled))
            return
    store.set(feature_name, is_enabled)


def _set_meta(
    store: Any,
    before: FeatureFlagStoreItem,
    after: FeatureFlagStoreItem,
    *,
    sets_state: bool,
) -> None:
    meta = after.raw_meta
    if sets_state or after.raw_is_enabled is not before.raw_is_enabled:
        meta.decide_state()
    store.set_meta(after.feature_name, meta)


def updates_atomically(store: Any) -> bool:
    """Return whether `store` has an `update` that bypasses no overridden method."""
    kind: Any = type(store)  # not isinstance: it is true of a double with a spec
    try:
        # One comparison for all the methods, since this runs before every write.
        if kind.update_bypasses != (kind.get, kind.set, kind.set_meta):
            return False
        own = store.__dict__
    except AttributeError:
        return False
    return not ("get" in own or "set" in own or "set_meta" in own)


def get_uncached(store: Any, feature_name: str) -> Any:
    """Return a flag from the place that the store's writes go to, `None` if missing.

    The `get` of a store is called if the store has no `get_uncached`, or if a subclass,
    an instance or a test has replaced `get`.
    """
    if _may_bypass(store, "get", "get_uncached_bypasses"):
        return store.get_uncached(feature_name)
    return store.get(feature_name)


def delete_existing(store: Any, feature_name: str) -> None:
    """Remove a flag that the caller has just found in a store of any kind.

    Raises:
        FlagDoesNotExistError: it does not exist any more. This is not noticed for a
            store that has no `delete_existing`, or whose `get` or `delete` somebody has
            replaced: then `delete` is called.
    """
    if updates_atomically(store) and _may_bypass(
        store, "delete", "delete_existing_bypasses"
    ):
        store.delete_existing(feature_name)
        return
    with write_lock(store, feature_name):
        store.delete(feature_name)


def _may_bypass(store: Any, method: str, bypassed: str) -> bool:
    """Return whether a method is still the one that may be bypassed."""
    kind: Any = type(store)
    try:
        return getattr(kind, bypassed) is getattr(kind, method) and (
            method not in store.__dict__
        )
    except AttributeError:
        return False


def write_lock(store: Any, feature_name: str) -> AbstractContextManager[Any]:
    """Return the per-flag lock, or no lock if the store updates atomically."""
    if updates_atomically(store):
        return _NO_LOCK
    lock: AbstractContextManager[Any] = reentrant_flag_lock(store, feature_name)
    return lock
