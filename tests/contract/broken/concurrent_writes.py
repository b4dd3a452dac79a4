# SPDX-License-Identifier: Apache-2.0
"""Stores that lose or reveal what threads write at the same time."""

from __future__ import annotations

import threading
from time import sleep
from typing import TYPE_CHECKING, Any

from stores import Rows, Subclass

from broken import breaks
from flipper.contracts.atomic import ANY
from flipper.contrib.memory import MemoryFeatureFlagStore

if TYPE_CHECKING:
    from flipper.contrib.storage import FeatureFlagStoreItem


@breaks(
    "test_a_change_keeps_what_another_writer_wrote_meanwhile",
    "test_a_change_that_loses_is_tried_again",
    "test_switching_keeps_what_another_writer_wrote_meanwhile",
    "test_set_meta_keeps_the_state_that_another_writer_set_meanwhile",
    "test_set_of_a_flag_that_another_writer_creates_meanwhile_keeps_it",
    "test_set_of_a_flag_that_another_writer_deletes_meanwhile_creates_it",
    "test_a_change_of_a_flag_that_another_writer_deletes_meanwhile_raises",
    "test_a_change_of_a_flag_that_another_writer_replaces_meanwhile_is_of_the_new",
    "test_two_processes_lose_nothing",
)
class LosesUpdates(Rows):
    """Writes without comparing what is stored."""

    def _read(self, feature_name: str) -> tuple[bytes, Any] | None:
        found = super()._read(feature_name)
        sleep(0.0005)  # long enough for other threads to read it, too
        return found

    def _replace(self, feature_name: str, document: bytes, expected: Any) -> bool:
        return super()._replace(feature_name, document, ANY)


class Slow(MemoryFeatureFlagStore):
    """Takes a while between reading and writing."""

    def __init__(self, _: dict[str, bytes]) -> None:
        super().__init__()
        self.loaded = threading.Event()

    def _load(self, feature_name: str) -> Any:
        loaded = super()._load(feature_name)
        self.loaded.set()
        sleep(0.002)
        return loaded


@breaks(
    "test_threads_that_add_conditions_lose_none",
    "test_threads_that_set_client_data_lose_none",
    "test_switching_and_describing_at_once_lose_nothing",
)
class LosesUpdatesOfThreads(Slow):
    """Writes without comparing what is stored, and has no documents."""

    def _swap(self, item: FeatureFlagStoreItem, expected: Any) -> bool:
        return super()._swap(item, ANY)


@breaks(
    "test_a_change_of_a_flag_that_another_writer_deletes_meanwhile_raises",
    "test_a_change_does_not_bring_a_deleted_flag_back",
)
class BringsDeletedFlagsBack(Slow):
    """Writes a flag that was deleted after it was read."""

    def _swap(self, item: FeatureFlagStoreItem, expected: Any) -> bool:
        self.loaded.clear()
        gone = item.feature_name not in self._items
        return super()._swap(item, ANY if gone else expected)

    def _remove(self, feature_name: str) -> None:
        self.loaded.wait(1)  # until a change has read the flag
        super()._remove(feature_name)


@breaks("test_a_change_that_always_loses_raises")
class GivesUpSilently(Rows):
    """A write that gave up returns as if it had succeeded."""

    losses = 0

    def _replace(self, feature_name: str, document: bytes, expected: Any) -> bool:
        if super()._replace(feature_name, document, expected):
            self.losses = 0
            return True
        self.losses += 1
        return self.losses > 0


@breaks("test_readers_see_whole_writes")
class WritesInTwoSteps(Subclass):
    """`set_meta` writes twice, so that readers see half of it."""

    def set_meta(self, feature_name: str, meta: Any) -> None:
        """Write the client data, then the rest."""
        item = self.get(feature_name)
        if item is not None:
            half = item.raw_meta
            half.client_data = meta.client_data
            self._put(item.replace(meta=half))
            sleep(0.001)
        super().set_meta(feature_name, meta)


@breaks("test_the_store_is_as_atomic_as_it_says")
class ClaimsToBeAtomic(Rows):
    """Claims to be atomic, but has a `set` of its own."""

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Write the state."""
        super().set(feature_name, is_enabled)
