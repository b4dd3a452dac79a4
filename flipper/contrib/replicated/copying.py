# SPDX-License-Identifier: Apache-2.0
"""Copying of one flag from the primary to a replica."""

from __future__ import annotations

from typing import Any

from ...contracts.update import update
from ...exceptions import InvalidFlagDataError
from ..storage import FeatureFlagStoreItem


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


def _has_flag(store: Any, feature_name: str) -> bool:
    try:
        return store.get(feature_name) is not None
    except InvalidFlagDataError:
        return False  # the document is broken, and `create` replaces it
