# SPDX-License-Identifier: Apache-2.0
"""What a flag was when its store could last be read, for while its server is away."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, ClassVar, Final

from ..contrib.storage import FeatureFlagStoreItem
from ..exceptions import InvalidArgumentError, InvalidFlagDataError
from ..runtime.patching import Patchable, refresh_readers

REMEMBERED: Final = 10_000
"""How many flags are remembered at most."""
# What takes another way when somebody replaces it.
_CALLS: Final = frozenset({"get", "set", "set_meta"})
ANSWERS: Final = (InvalidArgumentError, InvalidFlagDataError)
"""What is wrong with a flag or with a question is no outage of the store."""


class SupportsLastKnown:
    """A store that can tell, without I/O, what its `get` gave last.

    To be derived from, not to be imitated: a test double seems to have any method.
    """

    def fast_path(self) -> Any:
        """Return what answers `get` as this does by now, or faster.

        What may change that calls `patching.refresh_readers`.
        """
        return self

    @property
    def away_errors(self) -> tuple[type[Exception], ...]:
        """The errors of `get` that mean: the server is away, asking again is no use."""
        return ()

    def last_known(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag as last read or written, or `None`, without I/O."""
        raise NotImplementedError

    def record_write(self, feature_name: str, item: Any) -> None:
        """Hear what was written; nothing to do for a store, which wrote it itself."""

    def record_state(self, feature_name: str, is_enabled: bool) -> None:
        """Hear which state was written; nothing to do for a store either."""


class TableFastPath(SupportsLastKnown, metaclass=Patchable):
    """A store whose `get` looks the name up in a table, by its `get`, and no more.

    A client then does that itself, as long as nobody has replaced the store's `get` or
    the table. A subclass with a `get` of its own is asked like any store.
    """

    _table: ClassVar[str]
    """The attribute that has the table; the class that says so brings the `get`."""
    _own_get: ClassVar[Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Remember the `get` that does no more."""
        super().__init_subclass__(**kwargs)
        if "_table" in vars(cls):
            cls._own_get = vars(cls)["get"]

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute of the store, such as the replacement of a method."""
        is_replaced = name in _CALLS or (name == self._table and name in vars(self))
        super().__setattr__(name, value)
        if is_replaced:
            refresh_readers()

    def __delattr__(self, name: str) -> None:
        """Delete an attribute of the store."""
        super().__delattr__(name)
        if name in _CALLS:
            refresh_readers()

    def fast_path(self) -> Any:
        """Return the table, as long as nothing takes the place of `get`."""
        kind: Any = type(self)
        is_replaced = kind.get is not kind._own_get or "get" in vars(self)  # noqa: SLF001  (its own)
        return self if is_replaced else getattr(self, self._table)


class LastKnownFlags(SupportsLastKnown):
    """Reads flags of a store that does not remember, and remembers them.

    Safe for threads, without a lock: what they do to the dict are single steps.
    """

    def __init__(self, store: Any) -> None:
        self._store = store
        self._items: dict[str, FeatureFlagStoreItem] = {}
        self._last_write = object()

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Ask the store, and remember what it gave."""
        last_write = self._last_write
        item: FeatureFlagStoreItem | None = self._store.get(feature_name)
        items = self._items
        if self._last_write is not last_write:
            # Race: what was read may be older than what was written meanwhile.
            return item
        if item is None:
            items.pop(feature_name, None)
        elif items.get(feature_name) is not item:
            remember(self._items, feature_name, item)
        return item

    def last_known(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return what the store gave last for this name."""
        return self._items.get(feature_name)

    def record_write(self, feature_name: str, item: Any) -> None:
        """Take in what was written: what was known must not come back by a failure."""
        self._last_write = object()
        if isinstance(item, FeatureFlagStoreItem):
            remember(self._items, feature_name, item)
        else:
            self._items.pop(feature_name, None)

    def record_state(self, feature_name: str, is_enabled: bool) -> None:
        """Take in which state was written, where the rest of the flag is known."""
        known = self._items.get(feature_name)
        if type(known) is FeatureFlagStoreItem:
            known = known.replace(is_enabled=is_enabled)
        else:
            known = None
        self.record_write(feature_name, known)


def remembering(store: Any) -> LastKnownFlags:
    """Return `store` itself if it remembers what it gave, else a reader that does."""
    if issubclass(type(store), SupportsLastKnown):
        return store  # type: ignore[no-any-return]  # has the same two methods
    return LastKnownFlags(store)


def remember(items: dict[str, Any], feature_name: str, value: Any) -> None:
    """Put an entry into a table, and forget the oldest one of a full table for it."""
    if feature_name not in items and len(items) >= REMEMBERED:
        # Race: another thread may change the dict in between; one entry more or less
        # does not matter.
        with suppress(StopIteration, RuntimeError):
            items.pop(next(iter(items)), None)
    items[feature_name] = value
