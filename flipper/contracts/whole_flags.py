# SPDX-License-Identifier: Apache-2.0
"""Writes whole flags to a store of any kind, for imports and copies."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ..exceptions import ConcurrentUpdateError
from .atomic import AtomicFeatureFlagStore
from .update import get_uncached, update, updates_atomically, write_lock

if TYPE_CHECKING:
    from ..contrib.storage import FeatureFlagStoreItem


def create_whole(store: Any, item: FeatureFlagStoreItem) -> None:
    """Write a flag with its state and its metadata, unless there is one of its name.

    An `AtomicFeatureFlagStore` does this in one step. In any other store the flag is
    created switched off, and then gets its metadata and its state.

    Raises:
        ConcurrentUpdateError: there is a flag of this name; nothing was written.
    """
    name = item.feature_name
    if issubclass(type(store), AtomicFeatureFlagStore) and updates_atomically(store):
        if not store.create_whole(item):
            raise _changed(name)
        return
    with write_lock(store, name):
        if get_uncached(store, name) is not None:
            raise _changed(name)
        store.create(name, is_enabled=False)
        update(store, name, lambda _: item)


def replace_whole(
    store: Any, item: FeatureFlagStoreItem, expected: FeatureFlagStoreItem
) -> None:
    """Replace a flag by `item`, if it still equals `expected`.

    Raises:
        ConcurrentUpdateError: it is another flag by now; nothing was written.
        FlagDoesNotExistError: it does not exist any more.
    """

    def change(found: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
        if not is_same_flag(found, expected):
            raise _changed(item.feature_name)
        return item

    update(store, item.feature_name, change)


def is_same_flag(one: FeatureFlagStoreItem, other: FeatureFlagStoreItem) -> bool:
    """Return whether two flags have the same name, state and metadata.

    Python takes 1, 1.0 and True for equal; here they are different, as in documents.
    """
    return one is other or _document(one) == _document(other)


def _document(item: FeatureFlagStoreItem) -> str:
    return json.dumps(item.to_dict(), sort_keys=True, default=repr)


def _changed(feature_name: str) -> ConcurrentUpdateError:
    return ConcurrentUpdateError(
        f"Feature {feature_name!r} was changed by somebody else meanwhile; nothing was "
        f"written, so look at it and try again",
        feature_name=feature_name,
    )
