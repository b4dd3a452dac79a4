# SPDX-License-Identifier: Apache-2.0
"""Remembers the last known state of each flag, for while the store cannot be read."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, ClassVar, Final, cast

from ..contrib.storage import FeatureFlagStoreItem
from ..exceptions import InvalidArgumentError, InvalidFlagDataError
from ..runtime.patching import Patchable, refresh_readers
from .event_loop import warn_in_event_loop
from .in_memory import NotInMemoryError, get_in_memory

MAX_REMEMBERED: Final = 10_000
"""How many flags are remembered at most."""
# The methods of a store that fast paths do not call, so a replacement must be noticed.
_BYPASSED_METHODS: Final = frozenset({"get", "set", "set_meta"})
ERRORS_OF_ONE_FLAG: Final = (InvalidArgumentError, InvalidFlagDataError)
"""Errors about one flag or one question; the store answered, so it is no outage."""


class FailedReadError(Exception):
    """A flag could not be read, and is not read again before a `memoize` block ends.

    Args:
        cause: the error of the store.
        item: the last known state of the flag, or `None`.
    """

    def __init__(self, cause: Exception, item: Any) -> None:
        super().__init__(cause, item)
        self.cause = cause
        self.item = item


def cause_of(error: Exception) -> Exception:
    """Return the error of the store, also if the read has failed earlier."""
    return error.cause if type(error) is FailedReadError else error


class SupportsLastKnown:
    """A store that knows, without I/O, what its `get` returned last.

    Flipper recognises it by this base class, because a test double seems to have every
    method.
    """

    local_copy: Any = None
    """A copy of all flags (`LocalCopy`), if the fast path has only the decoded ones."""

    get_in_memory_bypasses: ClassVar[Any] = None
    """The `get` that `get_in_memory` stands for; see `in_memory`."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Remember which `get` the new class answers from memory."""
        super().__init_subclass__(**kwargs)
        if "get_in_memory" in vars(cls):
            cls.get_in_memory_bypasses = getattr(cls, "get", None)

    def get_in_memory(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return what `get` returns, if that takes neither I/O nor a wait.

        A class that often answers from memory overrides this method.

        Raises:
            NotInMemoryError: it does, or it is not known whether it does.
        """
        raise NotInMemoryError(feature_name)

    def fast_path(self) -> Any:
        """Return an object whose `get` returns the same as this one's, or is faster.

        Whoever changes which object that is has to call `patching.refresh_readers`.
        """
        return self

    @property
    def outage_errors(self) -> tuple[type[Exception], ...]:
        """The errors of `get` which mean that the server is down, for every flag."""
        return ()

    def last_known(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag as last read or written, or `None`, without I/O."""
        raise NotImplementedError

    def known_names(self) -> tuple[str, ...]:
        """Return the names of the flags that `last_known` may know, without I/O."""
        return ()

    def record_write(self, feature_name: str, item: Any) -> None:
        """Record a write, for `last_known`. A store that wrote it has nothing to do.

        Args:
            feature_name: the flag.
            item: the flag as it was written; anything else means that it is not known.
        """

    def record_state(self, feature_name: str, is_enabled: bool) -> None:
        """Record a written state, for `last_known`. A store has nothing to do."""


class TableFastPath(SupportsLastKnown, metaclass=Patchable):
    """A store whose `get` only calls `get` of a table in one of its attributes.

    A client then calls the table directly. It notices when the `get` of the store, or
    the table, is replaced. A subclass that overrides `get` is called like any store.
    """

    _table: ClassVar[str]
    """The name of the table's attribute. The class that sets it also defines `get`."""
    _table_get: ClassVar[Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Remember the `get` that only reads the table."""
        super().__init_subclass__(**kwargs)
        if "_table" in vars(cls):
            cls._table_get = staticmethod(vars(cls)["get"])
            cls.get_in_memory_bypasses = vars(cls)["get"]

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute of the store, such as the replacement of a method."""
        is_replaced = name in _BYPASSED_METHODS or (
            name == self._table and name in vars(self)
        )
        super().__setattr__(name, value)
        if is_replaced:
            refresh_readers()

    def __delattr__(self, name: str) -> None:
        """Delete an attribute of the store."""
        super().__delattr__(name)
        if name in _BYPASSED_METHODS:
            refresh_readers()

    def fast_path(self) -> Any:
        """Return the table, or the store if its `get` was replaced or overridden."""
        kind: Any = type(self)
        is_replaced = kind.get is not self._table_get or "get" in vars(self)
        return self if is_replaced else getattr(self, self._table)

    def get_in_memory(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return what `get` returns, if the table answers without I/O."""
        found = get_in_memory(getattr(self, self._table), feature_name)
        return cast("FeatureFlagStoreItem | None", found)


class LastKnownFlags(SupportsLastKnown):
    """Reads a store that is not flipper's own, and remembers what it returned.

    The stores of flipper are `SupportsLastKnown` themselves: those of documents answer
    from the documents that they have decoded.

    Thread-safe without a lock: each access to the dict is one atomic step.
    """

    def __init__(self, store: Any) -> None:
        self._store = store
        self._items: dict[str, FeatureFlagStoreItem] = {}
        self._last_write = object()

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Read a flag from the store, and remember it."""
        warn_in_event_loop(self, self._store)
        last_write = self._last_write
        item: FeatureFlagStoreItem | None = self._store.get(feature_name)
        items = self._items
        if self._last_write is not last_write:
            # Race: the store may have been read before a write, which is newer.
            return item
        if item is None:
            items.pop(feature_name, None)
        elif items.get(feature_name) is not item:
            put_bounded(items, feature_name, item)
            if self._last_write is not last_write and items.get(feature_name) is item:
                # Race: it was written after the comparison above.
                items.pop(feature_name, None)
        return item

    def last_known(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag as last read or written, or `None`."""
        return self._items.get(feature_name)

    def known_names(self) -> tuple[str, ...]:
        """Return the names of the flags that are known."""
        return tuple(self._items)

    def record_write(self, feature_name: str, item: Any) -> None:
        """Record a write: after a failure, the flag before it must not come back."""
        self._last_write = object()
        if isinstance(item, FeatureFlagStoreItem):
            put_bounded(self._items, feature_name, item)
        else:
            self._items.pop(feature_name, None)

    def record_state(self, feature_name: str, is_enabled: bool) -> None:
        """Record a written state, if the rest of the flag is known."""
        known = self._items.get(feature_name)
        if type(known) is FeatureFlagStoreItem:
            known = known.replace(is_enabled=is_enabled)
        else:
            known = None
        self.record_write(feature_name, known)


def with_last_known(store: Any) -> LastKnownFlags:
    """Return the store if it is a `SupportsLastKnown`, else a reader of it that is."""
    if issubclass(type(store), SupportsLastKnown):
        return store  # type: ignore[no-any-return]  # it has the same methods
    return LastKnownFlags(store)


def has_room(items: dict[str, Any], feature_name: str) -> bool:
    """Return whether a table takes this entry without the removal of another one."""
    return len(items) < MAX_REMEMBERED or feature_name in items


def put_bounded(items: dict[str, Any], feature_name: str, value: Any) -> None:
    """Put an entry into a table; if the table is full, remove its oldest entry."""
    if feature_name not in items and len(items) >= MAX_REMEMBERED:
        # Race: another thread may change the dict meanwhile. Then the table may have an
        # entry too many or too few, which does not matter.
        with suppress(StopIteration, RuntimeError):
            items.pop(next(iter(items)), None)
    items[feature_name] = value
