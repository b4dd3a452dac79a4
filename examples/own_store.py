# SPDX-License-Identifier: Apache-2.0
"""Your own store: the six methods, here for a JSON file.

Run it by `python examples/own_store.py`. `own_atomic_store.py` shows a shorter way. It
also lets several processes write without undoing each other's changes.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from time import time
from typing import Any

from flipper import Condition, FeatureFlagClient, FlagDoesNotExistError
from flipper.contrib.interface import AbstractFeatureFlagStore
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.exceptions import InvalidFlagDataError


class JsonFileFeatureFlagStore(AbstractFeatureFlagStore):
    """Keeps flags in a file. One process may write it, and any number may read it.

    Args:
        path: the file; its folder must exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()

    def create(
        self,
        feature_name: str,
        is_enabled: bool = False,
        client_data: dict[str, Any] | None = None,
    ) -> FeatureFlagStoreItem:
        """Write a new flag, replacing any flag of that name, and return it."""
        meta = FeatureFlagStoreMeta(int(time()), client_data=client_data)
        return self._put(FeatureFlagStoreItem(feature_name, is_enabled, meta))

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag, or `None` if there is none."""
        document = self._read().get(feature_name)
        return None if document is None else FeatureFlagStoreItem.deserialize(document)

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Change the state and keep the metadata; create the flag if it is missing."""
        item = self.get(feature_name)
        if item is None:
            self.create(feature_name, is_enabled)
        else:
            self._put(item.replace(is_enabled=is_enabled))

    def delete(self, feature_name: str) -> None:
        """Remove the flag if it exists."""
        self._change(feature_name, None)

    def list(
        self, limit: int | None = None, offset: int = 0
    ) -> Iterator[FeatureFlagStoreItem]:
        """Return an iterator of at most `limit` flags, from number `offset` on."""
        stop = None if limit is None else offset + limit
        return islice(self._items(), offset, stop)

    def set_meta(self, feature_name: str, meta: FeatureFlagStoreMeta) -> None:
        """Replace the metadata and keep the state."""
        item = self.get(feature_name)
        if item is None:
            raise FlagDoesNotExistError.for_flag(feature_name)
        self._put(item.replace(meta=meta))

    def _items(self) -> Iterator[FeatureFlagStoreItem]:
        for document in self._read().values():
            with suppress(InvalidFlagDataError):
                yield FeatureFlagStoreItem.deserialize(document)

    def _put(self, item: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
        self._change(item.feature_name, item.serialize().decode())
        return item

    def _change(self, feature_name: str, document: str | None) -> None:
        # The client lets only one thread at a time write a flag. But all flags are in
        # one file, so two threads must not write different flags at once either.
        with self._lock:
            documents = self._read()
            documents.pop(feature_name, None)
            if document is not None:
                documents[feature_name] = document
            new = self._path.with_suffix(".new")
            new.write_text(json.dumps(documents))
            new.replace(self._path)

    def _read(self) -> dict[str, str]:
        try:
            documents: dict[str, str] = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        return documents


def main() -> None:
    """Create a flag in the store, and ask for it."""
    with TemporaryDirectory() as folder:
        store = JsonFileFeatureFlagStore(Path(folder, "flags.json"))
        features = FeatureFlagClient(store)
        flag = features.create("NEW_SEARCH", is_enabled=True)
        flag.add_condition(Condition(is_admin=True))
        print(flag.explain(is_admin=True))
        print(flag.explain(is_admin=False))


if __name__ == "__main__":
    main()
