# SPDX-License-Identifier: Apache-2.0
"""Changes of flags, as `update` of a store takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from flipper.contrib.storage import FeatureFlagStoreItem


def switch_on(item: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
    """Switch a flag on."""
    return item.replace(is_enabled=True)


def with_data(**data: Any) -> Callable[[FeatureFlagStoreItem], FeatureFlagStoreItem]:
    """Return the change that merges client data."""

    def change(item: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
        meta = item.raw_meta
        meta.update(client_data=data)
        return item.replace(meta=meta)

    return change


def stored(store: Any, feature_name: str = "x") -> FeatureFlagStoreItem:
    """Return a flag of a store, which must exist."""
    item: FeatureFlagStoreItem | None = store.get(feature_name)
    assert item is not None
    return item
