# SPDX-License-Identifier: Apache-2.0
"""`MemoryFeatureFlagStore`: keeps flags in the memory of this process."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from ..contracts.atomic import ABSENT, ANY, AtomicFeatureFlagStore
from ..contracts.last_known import TableFastPath
from ..runtime.fork import at_fork
from .interface import AbstractFeatureFlagStore as AbstractFeatureFlagStore
from .interface import FlagDoesNotExistError as FlagDoesNotExistError
from .storage import FeatureFlagStoreItem as FeatureFlagStoreItem  # noqa: TC001
from .storage import FeatureFlagStoreMeta as FeatureFlagStoreMeta
from .util.date import now

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..contracts.update import Change

# One lock for all memory stores: it is held only for a comparison and an assignment.
# A store without a lock of its own can be copied and pickled.
_lock = threading.Lock()


def _renew_lock() -> None:
    # Race: a thread that held the lock while the process forked is not in the child.
    global _lock  # noqa: PLW0603  (one lock for all stores)
    _lock = threading.Lock()


at_fork(after_in_child=_renew_lock)


class MemoryFeatureFlagStore(TableFastPath, AtomicFeatureFlagStore):
    """Keeps flags in a dict: for tests, development, and as a part of other stores.

    Nothing is serialised, so client data may contain any object. Safe for threads and
    forks. Reading takes no lock.
    """

    _table = "_items"
    # Sorted, and kept: sorting would take most of the time of `list`.
    _names: list[str] | None = None

    def __init__(self) -> None:
        self._items: dict[str, FeatureFlagStoreItem] = {}

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag, or `None` if there is none."""
        return self._items.get(feature_name)

    def last_known(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag, which is always known."""
        return self._items.get(feature_name)

    def known_names(self) -> tuple[str, ...]:
        """Return the names of all flags."""
        return tuple(self._items)

    def _load(self, feature_name: str) -> tuple[FeatureFlagStoreItem, Any] | None:
        item = self._items.get(feature_name)
        return None if item is None else (item, item)

    def _swap(self, item: FeatureFlagStoreItem, expected: Any) -> bool:
        lock = _lock
        # Race: no other writer comes between comparing and assigning.
        lock.acquire()  # a `with` statement takes a third longer than all of this
        try:
            items = self._items
            found = items.get(item.feature_name, ABSENT)
            if found is not expected and expected is not ANY:
                return False
            items[item.feature_name] = item
            if found is ABSENT:
                self._names = None
            return True
        finally:
            lock.release()

    def update(self, feature_name: str, change: Change) -> FeatureFlagStoreItem:
        """Replace a flag by the result of `change`, and return that result."""
        # The first attempt is made here, since calling `_write` would take longer than
        # the attempt itself. A subclass may have a `_load` of its own.
        if type(self) is MemoryFeatureFlagStore:
            before = self._items.get(feature_name)
            if before is not None:
                after = change(before)
                if self._swap(after, before):
                    return after
        return self._write(feature_name, change)

    def _remove(self, feature_name: str) -> bool:
        with _lock:
            self._names = None
            return self._items.pop(feature_name, None) is not None

    def _scan(self) -> Iterator[FeatureFlagStoreItem]:
        items, names = self._items, self._names
        if names is None or len(names) != len(items):
            with _lock:
                names = self._names = sorted(items)
        for feature_name in names:
            item = items.get(feature_name)
            if item is not None:  # None: deleted since the names were read
                yield item

    def _now(self) -> int:
        return now()
