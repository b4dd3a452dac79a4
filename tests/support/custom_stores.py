# SPDX-License-Identifier: Apache-2.0
"""Stores as applications write them, and stores whose reads fail on request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flipper import FlagDoesNotExistError, MemoryFeatureFlagStore
from flipper.contrib.interface import AbstractFeatureFlagStore
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta

if TYPE_CHECKING:
    from collections.abc import Iterator


class CustomStore:
    """A store of an application: the six methods, and documents in a dict.

    Attributes:
        documents: what it keeps, by feature name.
        failure: raised by `get`, if it is not `None`.
    """

    def __init__(self) -> None:
        self.documents: dict[str, bytes] = {}
        self.failure: BaseException | None = None

    def create(
        self,
        feature_name: str,
        is_enabled: bool = False,
        client_data: dict[str, Any] | None = None,
    ) -> FeatureFlagStoreItem:
        """Write a new flag."""
        meta = FeatureFlagStoreMeta(1_500_000_000, client_data=client_data)
        return self.write(FeatureFlagStoreItem(feature_name, is_enabled, meta))

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Read a flag."""
        if self.failure is not None:
            raise self.failure
        document = self.documents.get(feature_name)
        return None if document is None else FeatureFlagStoreItem.deserialize(document)

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Write the state."""
        item = self.get(feature_name)
        if item is None:
            self.create(feature_name, is_enabled)
        else:
            self.write(item.replace(is_enabled=is_enabled))

    def delete(self, feature_name: str) -> None:
        """Remove a flag."""
        self.documents.pop(feature_name, None)

    def list(
        self, limit: int | None = None, offset: int = 0
    ) -> Iterator[FeatureFlagStoreItem]:
        """List the flags."""
        stop = None if limit is None else offset + limit
        for name in [*self.documents][offset:stop]:
            yield FeatureFlagStoreItem.deserialize(self.documents[name])

    def set_meta(self, feature_name: str, meta: FeatureFlagStoreMeta) -> None:
        """Write the metadata."""
        item = self.get(feature_name)
        if item is None:
            raise FlagDoesNotExistError(f"Feature {feature_name} does not exist")
        self.write(item.replace(meta=meta))

    def write(self, item: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
        """Write the document of a flag."""
        self.documents[item.feature_name] = item.serialize()
        return item


class ForwardingStore(AbstractFeatureFlagStore):
    """A store in the style of flipper-client, which forwards its calls to another one.

    Attributes:
        flags: the store that is called.
        calls: the names of the methods that were called, except `list`.
    """

    def __init__(self, flags: Any = None) -> None:
        self.flags = MemoryFeatureFlagStore() if flags is None else flags
        self.calls: list[str] = []

    def create(
        self,
        feature_name: str,
        is_enabled: bool = False,
        client_data: dict[str, Any] | None = None,
    ) -> FeatureFlagStoreItem:
        """Write a new flag."""
        self.calls.append("create")
        item: FeatureFlagStoreItem = self.flags.create(
            feature_name, is_enabled=is_enabled, client_data=client_data
        )
        return item

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Read a flag."""
        self.calls.append("get")
        item: FeatureFlagStoreItem | None = self.flags.get(feature_name)
        return item

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Write the state."""
        self.calls.append("set")
        self.flags.set(feature_name, is_enabled)

    def delete(self, feature_name: str) -> None:
        """Remove a flag."""
        self.calls.append("delete")
        self.flags.delete(feature_name)

    def list(
        self, limit: int | None = None, offset: int = 0
    ) -> Iterator[FeatureFlagStoreItem]:
        """List the flags."""
        found: Iterator[FeatureFlagStoreItem] = self.flags.list(limit, offset)
        return found

    def set_meta(self, feature_name: str, meta: FeatureFlagStoreMeta) -> None:
        """Write the metadata."""
        self.calls.append("set_meta")
        self.flags.set_meta(feature_name, meta)


class FailingMemoryStore(MemoryFeatureFlagStore):
    """A store in memory.

    Attributes:
        failure: raised by `get`, if it is not `None`.
        reads: how often `get` was called.
    """

    failure: BaseException | None = None
    reads = 0

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Read a flag."""
        self.reads += 1
        if self.failure is not None:
            raise self.failure
        return super().get(feature_name)


class RemoteStore(FailingMemoryStore):
    """A store that behaves as if its flags were on a server.

    A `failure` that is a `ConnectionError` means that the server is away.
    """

    outage_errors = (ConnectionError,)
