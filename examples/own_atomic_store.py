# SPDX-License-Identifier: Apache-2.0
"""Your own store with atomic writes: a few hooks, here for an SQLite database.

Run it by `python examples/own_atomic_store.py`. Eight threads write one flag at once,
and no write is lost.
"""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from time import time
from typing import Any

from flipper import Condition, FeatureFlagClient
from flipper.contracts.atomic import ABSENT, ANY, AtomicFeatureFlagStore
from flipper.contrib.storage import FeatureFlagStoreItem
from flipper.exceptions import InvalidFlagDataError


class SqliteFeatureFlagStore(AtomicFeatureFlagStore):
    """Keeps flags in an SQLite database, for threads and processes of one machine.

    Args:
        path: the file of the database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._execute("CREATE TABLE IF NOT EXISTS flags (name TEXT PRIMARY KEY, item)")

    def _load(self, feature_name: str) -> tuple[FeatureFlagStoreItem, Any] | None:
        rows, _ = self._execute("SELECT item FROM flags WHERE name = ?", feature_name)
        for (document,) in rows:
            return FeatureFlagStoreItem.deserialize(document), document
        return None

    def _swap(self, item: FeatureFlagStoreItem, expected: Any) -> bool:
        name, new = item.feature_name, item.serialize()
        if expected is ANY:
            _, count = self._execute("REPLACE INTO flags VALUES (?, ?)", name, new)
        elif expected is ABSENT:
            insert = "INSERT OR IGNORE INTO flags VALUES (?, ?)"
            _, count = self._execute(insert, name, new)
        else:
            update = "UPDATE flags SET item = ? WHERE name = ? AND item = ?"
            _, count = self._execute(update, new, name, expected)
        return count == 1

    def _remove(self, feature_name: str) -> None:
        self._execute("DELETE FROM flags WHERE name = ?", feature_name)

    def _scan(self) -> Iterator[FeatureFlagStoreItem]:
        rows, _ = self._execute("SELECT item FROM flags ORDER BY name")
        for (document,) in rows:
            with suppress(InvalidFlagDataError):
                yield FeatureFlagStoreItem.deserialize(document)

    def _now(self) -> int:
        return int(time())

    def _execute(self, statement: str, *values: Any) -> tuple[list[Any], int]:
        with closing(sqlite3.connect(self._path, timeout=30)) as connection, connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall(), cursor.rowcount


def main() -> None:
    """Let eight threads add 40 conditions to one flag."""
    with TemporaryDirectory() as folder:
        store = SqliteFeatureFlagStore(Path(folder, "flags.db"))
        features = FeatureFlagClient(store)
        flag = features.create("NEW_SEARCH", is_enabled=True)
        with ThreadPoolExecutor(8) as pool:
            conditions = [Condition(user_id__ne=user) for user in range(40)]
            list(pool.map(flag.add_condition, conditions))
        print(f"{len(flag.get_meta()['conditions'])} of 40 conditions are there.")
        print(flag.explain(user_id=40))
        print(flag.explain(user_id=39))


if __name__ == "__main__":
    main()
