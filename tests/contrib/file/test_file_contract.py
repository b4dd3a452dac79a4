# SPDX-License-Identifier: Apache-2.0
"""The store contract on a file: its rules of reading, while the file is edited."""

from __future__ import annotations

import os
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from flipper import FileFeatureFlagStore, MemoryFeatureFlagStore, SyncedFeatureFlagStore
from flipper.flag_files import read_flags, write_flags
from flipper.testing.contract import StoreContract

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flipper.contracts.update import Change
    from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta

_editor = threading.Lock()


class EditedFile(FileFeatureFlagStore):
    """Writes by editing the file, as people do, so that the contract has what to read.

    Args:
        path: the file; it is made if it is missing.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_text(write_flags([], "json"), encoding="utf-8")
            _age(path)
        super().__init__(path, poll_interval=0)

    def _edit(self, write: Callable[[MemoryFeatureFlagStore], Any]) -> Any:
        with _editor:
            path = self._file.path
            flags = MemoryFeatureFlagStore()
            flags._items = {item.feature_name: item for item in read_flags(path)}
            result = write(flags)
            edited = path.with_suffix(".edited")
            edited.write_text(write_flags(flags.list(), "json"), encoding="utf-8")
            _age(edited)
            edited.replace(path)
        self._look()
        return result

    def _look(self) -> None:
        """Read the file, after any thread that is reading it now."""
        with self._file._lock:
            self._file._look()

    def get_uncached(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return a flag of the present file, since that is where writes go to."""
        self._look()
        return self._file.flags.get(feature_name)

    def create(
        self,
        feature_name: str,
        is_enabled: bool = False,
        client_data: dict[str, Any] | None = None,
    ) -> FeatureFlagStoreItem:
        """Add a flag."""
        self._edit(lambda s: s.create(feature_name, is_enabled, client_data))
        item = self._file.flags.get(feature_name)
        assert item is not None
        return item

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Change a state."""
        self._edit(lambda s: s.set(feature_name, is_enabled))

    def set_meta(self, feature_name: str, meta: FeatureFlagStoreMeta) -> None:
        """Change all but the state."""
        self._edit(lambda s: s.set_meta(feature_name, meta))

    def update(self, feature_name: str, change: Change) -> FeatureFlagStoreItem:
        """Change a flag."""
        item: FeatureFlagStoreItem = self._edit(partial(_update, feature_name, change))
        return item

    def delete(self, feature_name: str) -> None:
        """Remove a flag."""
        self._edit(lambda s: s.delete(feature_name))

    def delete_existing(self, feature_name: str) -> None:
        """Remove a flag that exists."""
        self._edit(lambda s: s.delete_existing(feature_name))


def _update(name: str, change: Change, store: MemoryFeatureFlagStore) -> Any:
    return store.update(name, change)


def _age(path: Path) -> None:
    """Set the date of a file back, so that it counts as complete."""
    date = path.stat().st_mtime - 10
    os.utime(path, (date, date))


class TestFileFeatureFlagStore(StoreContract):
    """A file that is edited."""

    atomic = True
    repetitions = 3

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path
        self.files = 0

    def make_store(self) -> Any:
        """Make a store with a file of its own."""
        self.files += 1
        return EditedFile(self.folder / f"{self.files}.json")

    def open_again(self, store: Any) -> Any:
        """Make another that reads the same file."""
        return EditedFile(store._file.path)


class TestSyncedFile(TestFileFeatureFlagStore):
    """A copy that follows the file."""

    def make_store(self) -> Any:
        """Follow a file."""
        return SyncedFeatureFlagStore(super().make_store())

    def close_store(self, store: Any) -> None:
        """Stop following."""
        store.close()

    def open_again(self, store: Any) -> Any:
        """Follow the same file."""
        return SyncedFeatureFlagStore(EditedFile(store._store._file.path))
