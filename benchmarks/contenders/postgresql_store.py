# SPDX-License-Identifier: Apache-2.0
"""flipper-client on a PostgreSQL server, and the bare operations beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
from contenders.flipper_client import document

from flipper import FeatureFlagClient, PostgreSQLFeatureFlagStore

try:
    from psycopg_pool import ConnectionPool
except ImportError:  # the published library does without
    ConnectionPool = None

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workloads import Flag

_INSERT = "INSERT INTO feature_flags (name, item) VALUES (%s, %s)"
_SELECT = "SELECT item FROM feature_flags WHERE name = %s"
_COPY = "CREATE TABLE bare (LIKE feature_flags INCLUDING ALL)"
_FILL = "INSERT INTO bare SELECT * FROM feature_flags"
_UPDATE = "UPDATE bare SET item = %s WHERE name = %s"
_SELECT_ALL = "SELECT name, item FROM feature_flags ORDER BY name"


class Contender:
    """Flags in an empty database of a PostgreSQL server."""

    exact = True

    def __init__(self, flags: Iterable[Flag], address: str) -> None:
        # Connections that a new store need not make; the published library makes one
        # for each call.
        self._source = ConnectionPool(address, open=True) if ConnectionPool else address
        self._features = FeatureFlagClient(PostgreSQLFeatureFlagStore(address))
        connection = psycopg.connect(address, autocommit=True)
        self._execute = connection.execute
        rows = [(flag.name, document(flag)) for flag in flags]
        with connection.cursor() as cursor:
            cursor.executemany(_INSERT, rows)
        for statement in (_COPY, _FILL, "ANALYZE"):
            self._execute(statement)
        self._document = rows[0][1]

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
        execute, document = self._execute, self._document
        return [execute(_UPDATE, (document, name)) for name, _ in calls]

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
        store = PostgreSQLFeatureFlagStore(self._source, run_migrations=False)
        return FeatureFlagClient(store)
