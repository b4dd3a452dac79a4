# SPDX-License-Identifier: Apache-2.0
"""This library on a file of SQLite, and the bare operations beside it."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from contenders.flipper_client import document

from flipper import FeatureFlagClient, SQLiteFeatureFlagStore

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workloads import Flag

_INSERT = "INSERT INTO feature_flags (name, item) VALUES (?, ?)"
_SELECT = "SELECT item FROM feature_flags WHERE name = ?"
_COPY = "CREATE TABLE bare (name TEXT PRIMARY KEY, item BLOB NOT NULL) WITHOUT ROWID"
_FILL = "INSERT INTO bare SELECT * FROM feature_flags"
_UPDATE = "UPDATE bare SET item = ? WHERE name = ?"
_SELECT_ALL = "SELECT name, item FROM feature_flags ORDER BY name"


class Contender:
    """Flags in a new file of SQLite."""

    exact = True

    def __init__(self, flags: Iterable[Flag], address: str) -> None:
        self._path = address
        self._features = self._new()
        connection = sqlite3.connect(address, isolation_level=None)
        self._execute = connection.execute
        rows = [(flag.name, document(flag)) for flag in flags]
        # A commit waits for the disk, as those of the store.
        for statement in ("PRAGMA synchronous = FULL", _COPY, "BEGIN"):
            self._execute(statement)
        connection.executemany(_INSERT, rows)
        for statement in (_FILL, "COMMIT", "PRAGMA wal_checkpoint(TRUNCATE)"):
            self._execute(statement)
        # SQLite writes nothing if a row is as it was: the documents have to differ.
        self._documents = [rows[0][1] + b" " * number for number in range(2)]

    def on_off(self, calls: list[Any]) -> list[Any]:
        is_enabled = self._features.is_enabled
        return [is_enabled(name) for name in calls]

    def bare_on_off(self, calls: list[Any]) -> list[Any]:
        execute = self._execute
        return [execute(_SELECT, (name,)).fetchone() for name in calls]

    def toggle(self, calls: list[Any]) -> list[Any]:
        enable, disable = self._features.enable, self._features.disable
        return [enable(name) if on else disable(name) for name, on in calls]

    def bare_toggle(self, calls: list[Any]) -> list[Any]:
        execute, documents = self._execute, self._documents
        return [execute(_UPDATE, (documents[on], name)) for name, on in calls]

    def list_all(self, calls: list[Any]) -> list[Any]:
        features = self._features
        return [list(features.list()) for _ in calls]

    def list_first(self, calls: list[Any]) -> list[Any]:
        new = self._new
        return [list(new().list()) for _ in calls]

    def bare_list_all(self, calls: list[Any]) -> list[Any]:
        execute = self._execute
        return [execute(_SELECT_ALL).fetchall() for _ in calls]

    bare_list_first = bare_list_all

    def _new(self) -> FeatureFlagClient:
        return FeatureFlagClient(SQLiteFeatureFlagStore(self._path))
