# SPDX-License-Identifier: Apache-2.0
"""`FeatureFlagStoreWrapper`: the base of stores that wrap another store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..contrib.interface import AbstractFeatureFlagStore
from ..exceptions import FlagDoesNotExistError
from .in_memory import get_in_memory
from .last_known import SupportsLastKnown, with_last_known
from .transactions import SupportsTransactions, is_uncommitted, supports_transactions
from .update import (
    SupportsUpdate,
    delete_existing,
    get_many,
    get_uncached,
    update,
    write_lock,
)
from .watch import SupportsWatch, watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ..contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
    from .update import Change
    from .watch import Watch


class FeatureFlagStoreWrapper(
    SupportsUpdate,
    SupportsLastKnown,
    SupportsTransactions,
    SupportsWatch,
    AbstractFeatureFlagStore,
):
    """Forwards every call to an inner store, once and with the same arguments.

    Derive from it and override what differs. The wrapper can do what the inner store
    can: its `update` is atomic if the inner one is. Safe for threads if the inner store
    is.

    Args:
        store: the inner store, of any kind.
    """

    def __init__(self, store: Any) -> None:
        self._store = store
        self._reader = with_last_known(store)

    def create(
        self,
        feature_name: str,
        is_enabled: bool = False,
        client_data: dict[str, Any] | None = None,
    ) -> FeatureFlagStoreItem:
        """Write a new flag, replacing any flag of that name, and return it."""
        with write_lock(self._store, feature_name):
            item: FeatureFlagStoreItem = self._store.create(
                feature_name, is_enabled=is_enabled, client_data=client_data
            )
        self._reader.record_write(feature_name, item)
        return item

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag, or `None` if there is none."""
        return self._reader.get(feature_name)

    def get_in_memory(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return what `get` returns, if the inner store answers without I/O."""
        item: FeatureFlagStoreItem | None = get_in_memory(self._reader, feature_name)
        return item

    def get_many(
        self, feature_names: Sequence[str]
    ) -> dict[str, FeatureFlagStoreItem | None]:
        """Return flags by name, `None` for those that are missing.

        A flag whose document is broken is left out, since `get` has its error.
        """
        return get_many(self._reader, feature_names)

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Change the state and keep the metadata; create the flag if it is missing."""
        with write_lock(self._store, feature_name):
            self._store.set(feature_name, is_enabled)
        self._reader.record_state(feature_name, is_enabled)

    def delete(self, feature_name: str) -> None:
        """Remove the flag if it exists."""
        with write_lock(self._store, feature_name):
            self._store.delete(feature_name)
        self._reader.record_write(feature_name, None)

    def list(
        self, limit: int | None = None, offset: int = 0
    ) -> Iterator[FeatureFlagStoreItem]:
        """Return an iterator of at most `limit` flags, from number `offset` on."""
        return self._store.list(limit=limit, offset=offset)  # type: ignore[no-any-return]

    def set_meta(self, feature_name: str, meta: FeatureFlagStoreMeta) -> None:
        """Replace the metadata and keep the state.

        Raises:
            FlagDoesNotExistError: there is no such flag.
        """
        with write_lock(self._store, feature_name):
            self._store.set_meta(feature_name, meta)
        self._reader.record_write(feature_name, None)

    def update(self, feature_name: str, change: Change) -> FeatureFlagStoreItem:
        """Replace a flag by the result of `change`, and return that result."""
        try:
            after = update(self._store, feature_name, change)
        except FlagDoesNotExistError:
            self._reader.record_write(feature_name, None)
            raise
        self._reader.record_write(feature_name, after)
        return after

    def get_uncached(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag from the place that the inner store's writes go to."""
        item: FeatureFlagStoreItem | None = get_uncached(self._store, feature_name)
        if item is None:
            self._reader.record_write(feature_name, None)
        return item

    def delete_existing(self, feature_name: str) -> None:
        """Remove the flag.

        Raises:
            FlagDoesNotExistError: the inner store says that there is no such flag.
        """
        try:
            delete_existing(self._store, feature_name)
        finally:
            # Also after an error: the flag may be deleted, and must not be answered.
            self._reader.record_write(feature_name, None)

    @property
    def outage_errors(self) -> tuple[type[Exception], ...]:
        """The errors that the inner store raises when its server is down."""
        return self._reader.outage_errors

    def last_known(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag as the inner store last gave it, or `None`, without I/O."""
        return self._reader.last_known(feature_name)

    def known_names(self) -> tuple[str, ...]:
        """Return the names of the flags that the inner store knows."""
        return self._reader.known_names()

    @property
    def joins_transactions(self) -> bool:
        """Whether the inner store writes in a transaction that the caller has begun."""
        return supports_transactions(self._store) and self._store.joins_transactions

    def is_uncommitted(self, feature_name: str) -> bool:
        """Return whether a write of this process is neither committed nor undone."""
        return is_uncommitted(self._store, feature_name)

    def after_transaction(self, feature_name: str, call: Callable[[], object]) -> None:
        """Call a function at the end of the transaction with the last write."""
        if supports_transactions(self._store):
            self._store.after_transaction(feature_name, call)

    def watch(self) -> Watch:
        """Return a watch that listens to the inner store.

        Raises:
            WatchRefusedError: it has no change signal.
            Exception: its server is down.
        """
        return watch(self._store)
