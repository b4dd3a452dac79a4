# SPDX-License-Identifier: Apache-2.0
"""Stores as users of flipper-client wrote them: six methods, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flipper import FlagDoesNotExistError
from flipper.contrib.interface import AbstractFeatureFlagStore
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta

if TYPE_CHECKING:
    from collections.abc import Iterator


class DuckStore:
    """Keep serialized flags in a dict, without being a subclass of anything.

    `calls` lists the writes as they were called, `reads` counts what was read.
    """

    def __init__(self) -> None:
        self.rows: dict[str, bytes] = {}
        self.calls: list[Any] = []
        self.reads = 0

    def create(
        self,
        feature_name: str,
        is_enabled: bool = False,
        client_data: dict[str, Any] | None = None,
    ) -> FeatureFlagStoreItem:
        """Write a new flag."""
        kwargs = {"is_enabled": is_enabled, "client_data": client_data}
        self.calls.append(("create", feature_name, kwargs))
        meta = FeatureFlagStoreMeta(1500000000, client_data=client_data)
        return self._put(FeatureFlagStoreItem(feature_name, is_enabled, meta))

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Read a flag."""
        self.reads += 1
        row = self.rows.get(feature_name)
        return None if row is None else FeatureFlagStoreItem.deserialize(row)

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Write the state."""
        self.calls.append(("set", feature_name, is_enabled))
        item = self.get(feature_name)
        if item is None:
            self.create(feature_name, is_enabled)
            return
        meta = FeatureFlagStoreMeta.from_dict(item.meta)
        self._put(FeatureFlagStoreItem(feature_name, is_enabled, meta))

    def delete(self, feature_name: str) -> None:
        """Remove a flag."""
        self.calls.append(("delete", feature_name))
        self.rows.pop(feature_name, None)

    def list(
        self, limit: int | None = None, offset: int = 0
    ) -> Iterator[FeatureFlagStoreItem]:
        """List the flags in the order they were written."""
        end = None if limit is None else offset + limit
        for name in list(self.rows)[offset:end]:
            yield FeatureFlagStoreItem.deserialize(self.rows[name])

    def set_meta(self, feature_name: str, meta: FeatureFlagStoreMeta) -> None:
        """Write the metadata."""
        self.calls.append(("set_meta", feature_name, meta))
        item = self.get(feature_name)
        if item is None:
            raise FlagDoesNotExistError(f"Feature {feature_name} does not exist")
        self._put(FeatureFlagStoreItem(feature_name, item.raw_is_enabled, meta))

    def _put(self, item: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
        self.rows[item.feature_name] = item.serialize()
        return item


class SubclassStore(DuckStore, AbstractFeatureFlagStore):
    """The same, as a subclass of the interface."""
