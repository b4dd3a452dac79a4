# SPDX-License-Identifier: Apache-2.0
"""`WeakObjects`: objects that are only kept as long as somebody else keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")


class WeakObjects(Generic[T]):
    """Objects that are kept by weak references, by identity. Safe for threads.

    A `WeakSet` is not: to iterate over one fails if another thread adds or frees an
    object meanwhile.
    """

    def __init__(self) -> None:
        self._by_id: WeakValueDictionary[int, T] = WeakValueDictionary()

    def add(self, added: T) -> None:
        """Add an object, until it is freed."""
        self._by_id[id(added)] = added

    def __iter__(self) -> Iterator[T]:
        # Race: `valuerefs` copies the references in one step; `values` does not before
        # Python 3.14.
        for reference in self._by_id.valuerefs():
            found = reference()
            if found is not None:
                yield found
