# SPDX-License-Identifier: Apache-2.0
"""Caches that break a rule which no other store breaks."""

from __future__ import annotations

from typing import Any

from broken import cache_breaks
from flipper.contracts.wrapper import FeatureFlagStoreWrapper


class NaiveCache(FeatureFlagStoreWrapper):
    """A cache that has no protection against races or other processes."""

    def __init__(self, store: Any) -> None:
        super().__init__(store)
        self.entries: dict[str, Any] = {}

    def get(self, feature_name: str) -> Any:
        """Read a flag without an entry."""
        if feature_name not in self.entries:
            self.entries[feature_name] = super().get(feature_name)
        return self.entries[feature_name]

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Write, and drop the entry."""
        super().set(feature_name, is_enabled)
        self.entries.pop(feature_name, None)

    def set_meta(self, feature_name: str, meta: Any) -> None:
        """Write, and drop the entry."""
        super().set_meta(feature_name, meta)
        self.entries.pop(feature_name, None)

    def create(self, *args: Any, **kwargs: Any) -> Any:
        """Write, and cache the result."""
        item = super().create(*args, **kwargs)
        self.entries[item.feature_name] = item
        return item

    def delete(self, feature_name: str) -> None:
        """Remove, and drop the entry."""
        super().delete(feature_name)
        self.entries.pop(feature_name, None)


class CacheThatKeepsDeletedFlags(NaiveCache):
    """A cache that keeps an entry after `delete`."""

    def delete(self, feature_name: str) -> None:
        """Remove the flag, and keep the entry."""
        self._store.delete(feature_name)


class CacheThatKeepsMissingFlags(NaiveCache):
    """A cache that keeps the entry of a missing flag after `create`."""

    def create(self, *args: Any, **kwargs: Any) -> Any:
        """Write, and keep the entry."""
        return self._store.create(*args, **kwargs)


class CacheThatWritesFirst(NaiveCache):
    """A cache that changes its entry before the write is made."""

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Change the entry, and then write."""
        item = self.get(feature_name)
        if item is not None:
            self.entries[feature_name] = item.replace(is_enabled=is_enabled)
        self._store.set(feature_name, is_enabled)


cache_breaks(
    NaiveCache,
    "test_a_slow_read_does_not_undo_a_write",
    *(
        f"{rule}[{listener}]"
        for rule in (
            "test_what_another_process_has_just_created_can_be_written",
            "test_what_another_process_has_just_destroyed_is_missing",
        )
        for listener in ("listener", "no-listener")
    ),
)
cache_breaks(
    CacheThatKeepsMissingFlags, "test_a_missing_flag_is_found_once_it_is_created"
)
cache_breaks(CacheThatKeepsDeletedFlags, "test_a_client_sees_its_own_writes")
cache_breaks(
    CacheThatWritesFirst, "test_a_write_that_the_backend_refuses_shows_nowhere"
)
