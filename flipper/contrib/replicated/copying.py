# SPDX-License-Identifier: Apache-2.0
"""How a write to the primary gets to a replica: repeated, or as a copy of the flag."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...contracts.update import update
from ...exceptions import InvalidFlagDataError
from ..storage import FeatureFlagStoreItem

if TYPE_CHECKING:
    from collections.abc import Callable


def copy_flag(feature_name: str, primary: Any, replica: Any) -> None:
    """Make a flag of a replica equal to that of the primary, or remove it there.

    Raises:
        Exception: whatever one of the stores raises.
    """
    found = primary.get(feature_name)
    if found is None:
        replica.delete(feature_name)
        return
    item = FeatureFlagStoreItem.from_item(found)
    state, meta = item.raw_is_enabled, item.raw_meta
    # Race: somebody may read the replica between two of these steps. The flag must be
    # off until it has its conditions.
    if not _has_flag(replica, feature_name):
        replica.create(feature_name, is_enabled=False, client_data=meta.client_data)
    elif not state:
        replica.set(feature_name, state)
    if item.rules is not None:
        # The state of a flag with rules is in its metadata.
        update(replica, feature_name, lambda _: item)
        return
    replica.set_meta(feature_name, meta)
    replica.set(feature_name, state)


def repeating_call(
    before: FeatureFlagStoreItem, after: FeatureFlagStoreItem
) -> Callable[[Any], Any] | None:
    """Return a call that repeats an update; `None` if that takes more than one."""
    feature_name, state, meta = after.feature_name, after.raw_is_enabled, after.raw_meta
    if before.rules is not None or after.rules is not None:
        return None  # the state of its document may change with the metadata
    if after.shares_meta_with(before):
        return lambda store: store.set(feature_name, state)
    if state is before.raw_is_enabled:
        return lambda store: store.set_meta(feature_name, meta)
    return None


def _has_flag(store: Any, feature_name: str) -> bool:
    try:
        return store.get(feature_name) is not None
    except InvalidFlagDataError:
        return False  # the document is broken, and `create` replaces it
