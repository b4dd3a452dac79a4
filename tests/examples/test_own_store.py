# SPDX-License-Identifier: Apache-2.0
"""The examples of own stores: one with six methods, and one with hooks."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from own_atomic_store import SqliteFeatureFlagStore
from own_store import JsonFileFeatureFlagStore
from run_example import run_example

from flipper import (
    CachedFeatureFlagStore,
    Condition,
    FeatureFlagClient,
    MemoryFeatureFlagStore,
    ReplicatedFeatureFlagStore,
)
from flipper.contracts.update import updates_atomically
from flipper.testing import StoreContract

if TYPE_CHECKING:
    from pathlib import Path


class TestJsonFile(StoreContract):
    """The contract of a store, which the six methods of this example keep."""

    atomic = False
    repetitions = 10

    @pytest.fixture(autouse=True)
    def path(self, tmp_path: Path) -> None:
        """Begin with a new file."""
        self._path = tmp_path / "flags.json"

    def make_store(self) -> JsonFileFeatureFlagStore:
        """Make a store on an empty file."""
        self._path.unlink(missing_ok=True)
        return JsonFileFeatureFlagStore(self._path)

    def open_again(self, store: Any) -> JsonFileFeatureFlagStore:
        """Make another one on the same file."""
        return JsonFileFeatureFlagStore(self._path)

    def write_document(self, store: Any, feature_name: str, document: bytes) -> None:
        """Write a document into the file."""
        text = document.decode(errors="surrogateescape")
        self._path.write_text(json.dumps({**self._documents(), feature_name: text}))

    def read_document(self, store: Any, feature_name: str) -> bytes | None:
        """Read a document from the file."""
        text = self._documents().get(feature_name)
        return None if text is None else text.encode(errors="surrogateescape")

    def _documents(self) -> dict[str, str]:
        if not self._path.exists():
            return {}
        documents: dict[str, str] = json.loads(self._path.read_text())
        return documents


class TestSqlite(StoreContract):
    """The contract of a store, which the hooks of this example keep."""

    atomic = True
    repetitions = 10

    @pytest.fixture(autouse=True)
    def path(self, tmp_path: Path) -> None:
        """Begin with a new database."""
        self._path = tmp_path / "flags.db"

    def make_store(self) -> SqliteFeatureFlagStore:
        """Make a store on an empty database."""
        self._path.unlink(missing_ok=True)
        return SqliteFeatureFlagStore(self._path)

    def open_again(self, store: Any) -> SqliteFeatureFlagStore:
        """Make another one on the same database."""
        return SqliteFeatureFlagStore(self._path)

    def write_document(self, store: Any, feature_name: str, document: bytes) -> None:
        """Write a document into the table."""
        self._execute("REPLACE INTO flags VALUES (?, ?)", feature_name, document)

    def read_document(self, store: Any, feature_name: str) -> bytes | None:
        """Read a document from the table."""
        select = "SELECT item FROM flags WHERE name = ?"
        for (document,) in self._execute(select, feature_name):
            return bytes(document)
        return None

    def _execute(self, statement: str, *values: Any) -> list[Any]:
        with closing(sqlite3.connect(self._path)) as connection, connection:
            return connection.execute(statement, values).fetchall()


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("own_store", []),
        ("own_atomic_store", ["40 of 40 conditions are there."]),
    ],
)
def test_each_store_runs_as_a_script(name: str, first: list[str]) -> None:
    """The last two lines of each script explain two answers of a flag."""
    *others, on, off = run_example(f"examples/{name}.py").stdout.splitlines()
    assert others == first
    assert on.startswith("Feature 'NEW_SEARCH' is on: every check on")
    assert off.startswith("Feature 'NEW_SEARCH' is off: the check ")


@pytest.mark.parametrize("kind", [JsonFileFeatureFlagStore, SqliteFeatureFlagStore])
def test_each_store_works_in_a_stack(kind: Any, tmp_path: Path) -> None:
    """The stores of the examples can be cached and replicated."""
    store, replica = kind(tmp_path / "flags"), MemoryFeatureFlagStore()
    stack = CachedFeatureFlagStore(ReplicatedFeatureFlagStore(store, replica))
    flag = FeatureFlagClient(stack).create("x", is_enabled=True)
    flag.add_condition(Condition(a=1))
    assert (flag.is_enabled(a=1), flag.is_enabled(a=2)) == (True, False)
    for each in (store, replica):
        assert each.get("x").to_dict() == stack.get("x").to_dict()


def test_the_store_with_hooks_is_atomic(tmp_path: Path) -> None:
    """The hooks make a compare-and-swap, which six methods cannot offer."""
    assert updates_atomically(SqliteFeatureFlagStore(tmp_path / "flags.db"))
    assert not updates_atomically(JsonFileFeatureFlagStore(tmp_path / "flags.json"))
