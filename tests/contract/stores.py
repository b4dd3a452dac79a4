# SPDX-License-Identifier: Apache-2.0
"""The stores that the contract runs on, and the stacks made of them.

A new store is a class with what `StoreContract` asks for, and a line in `STORES`. The
name is what `make contract STORE=name` looks for, in capitals or not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flipper.contrib.cached import CachedFeatureFlagStore
from flipper.contrib.interface import AbstractFeatureFlagStore
from flipper.contrib.memory import MemoryFeatureFlagStore
from flipper.contrib.replicated import ReplicatedFeatureFlagStore
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.contrib.util.date import now
from flipper.contrib.wrapper import FeatureFlagStoreWrapper
from flipper.exceptions import FlagDoesNotExistError, InvalidFlagDataError
from flipper.testing.contract import innermost

if TYPE_CHECKING:
    from collections.abc import Iterator


class Duck:
    """A store as users wrote them: six methods, and no class of flipper's as its base.

    Args:
        rows: where the documents are, by name.
    """

    def __init__(self, rows: dict[str, bytes]) -> None:
        self.rows = rows

    def create(
        self,
        feature_name: str,
        is_enabled: bool = False,
        client_data: dict[str, Any] | None = None,
    ) -> FeatureFlagStoreItem:
        """Write a new flag."""
        meta = FeatureFlagStoreMeta(now(), client_data=client_data)
        return self._put(FeatureFlagStoreItem(feature_name, is_enabled, meta))

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Read a flag."""
        row = self.rows.get(feature_name)
        return None if row is None else FeatureFlagStoreItem.deserialize(row)

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Write the state."""
        item = self.get(feature_name)
        if item is None:
            self.create(feature_name, is_enabled)
        else:
            meta = FeatureFlagStoreMeta.from_dict(item.meta)
            self._put(FeatureFlagStoreItem(feature_name, is_enabled, meta))

    def delete(self, feature_name: str) -> None:
        """Remove a flag."""
        self.rows.pop(feature_name, None)

    def list(
        self, limit: int | None = None, offset: int = 0
    ) -> Iterator[FeatureFlagStoreItem]:
        """List the flags by name."""
        end = None if limit is None else offset + limit
        for name in sorted(self.rows)[offset:end]:
            try:
                item = self.get(name)
            except InvalidFlagDataError:
                continue
            if item is not None:
                yield item

    def set_meta(self, feature_name: str, meta: FeatureFlagStoreMeta) -> None:
        """Write the metadata."""
        item = self.get(feature_name)
        if item is None:
            raise FlagDoesNotExistError(f"Feature {feature_name} does not exist")
        self._put(FeatureFlagStoreItem(feature_name, item.raw_is_enabled, meta))

    def _put(self, item: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
        self.rows[item.feature_name] = item.serialize()
        return item


class Subclass(Duck, AbstractFeatureFlagStore):
    """The same, as a subclass of the interface."""


class Memory:
    """Live objects in a dict."""

    atomic = True

    def make_store(self) -> Any:
        """Make a store of its own."""
        return MemoryFeatureFlagStore()


class OldStyle:
    """Documents in a dict, written by the six methods only."""

    atomic = False
    repetitions = 20
    kind: type[Any] = Subclass

    def make_store(self) -> Any:
        """Make a store with rows of its own."""
        return self.kind({})

    def open_again(self, store: Any) -> Any:
        """Make another with the same rows."""
        return self.kind(innermost(store).rows)

    def write_document(self, store: Any, feature_name: str, document: bytes) -> None:
        """Write a row."""
        innermost(store).rows[feature_name] = document

    def read_document(self, store: Any, feature_name: str) -> bytes | None:
        """Read a row."""
        return innermost(store).rows.get(feature_name)


class DuckTyped(OldStyle):
    """The same, without a base class."""

    kind = Duck


class Cached:
    """A cache before the store."""

    ttl: float | None = None
    size = 5000

    def make_store(self) -> Any:
        """Put the cache before it."""
        store = super().make_store()
        return CachedFeatureFlagStore(store, size=self.size, ttl=self.ttl)

    def close_store(self, store: Any) -> None:
        """Close the inner store."""
        super().close_store(innermost(store))


class CachedBriefly(Cached):
    """A cache whose entries expire all the time."""

    ttl = 0.002


class CachedExpired(Cached):
    """A cache whose entries have expired when they are put in."""

    ttl = -10


class CachedTiny(Cached):
    """A cache that forgets whatever is not asked for at once."""

    size = 1


class CachedEmpty(Cached):
    """A cache that keeps nothing."""

    size = 0


class Replicated:
    """A replica in memory beside the store, which is the primary."""

    def make_store(self) -> Any:
        """Put a replica beside it."""
        replica = MemoryFeatureFlagStore()
        return ReplicatedFeatureFlagStore(super().make_store(), replica)

    def close_store(self, store: Any) -> None:
        """Let the replica come level, and close the primary."""
        if isinstance(store, ReplicatedFeatureFlagStore):
            store.close()
        super().close_store(innermost(store))


class Wrapped:
    """A wrapper that changes nothing."""

    def make_store(self) -> Any:
        """Put the wrapper around it."""
        return FeatureFlagStoreWrapper(super().make_store())

    def close_store(self, store: Any) -> None:
        """Close the inner store."""
        super().close_store(innermost(store))


# Of each store: the stacks that it is run in, beside itself. The first class is the
# outermost, so `Cached, Replicated` is a cache before a replicated store.
USUAL = [(Cached,), (Replicated,)]
STORES: dict[type[Any], list[tuple[type[Any], ...]]] = {
    Memory: [
        *USUAL,
        (CachedBriefly,),
        (CachedExpired,),
        (CachedTiny,),
        (CachedEmpty,),
        (Wrapped,),
        (Cached, Replicated),
        (Replicated, Cached),
    ],
    OldStyle: [*USUAL, (Wrapped,), (Cached, Replicated)],
    DuckTyped: [(Cached,)],
}
