# SPDX-License-Identifier: Apache-2.0
"""How the PostgreSQL store creates its table, and brings an older one up to date."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import errors

from flipper.contrib.postgresql import (
    PostgreSQLFeatureFlagStore,
    migrations,
)
from flipper.testing.contract import at_once
from support.flags import names
from support.postgres_roles import (
    OLD_TABLE,
    TRIGGER_NAMES,
    trigger_names,
)

if TYPE_CHECKING:
    Connection = psycopg.Connection[Any]

pytestmark = pytest.mark.postgres


NEW_COLUMNS = [("name", "text", None, "NO"), ("item", "bytea", None, "NO")]
THREADS = 8


def columns(raw: Connection, table: str = "feature_flags") -> list[tuple[Any, ...]]:
    """Describe a table, column by column."""
    return raw.execute(
        "SELECT column_name, data_type, character_maximum_length, is_nullable"
        " FROM information_schema.columns WHERE table_name = %s"
        " ORDER BY ordinal_position",
        (table,),
    ).fetchall()


def test_a_migration_widens_an_old_table(
    postgres_conninfo: str, raw: Connection
) -> None:
    """A migration keeps the flags of flipper-client, and allows longer names."""
    raw.execute(OLD_TABLE)
    with PostgreSQLFeatureFlagStore(postgres_conninfo, run_migrations=False) as old:
        old.create("x", is_enabled=True)
    with PostgreSQLFeatureFlagStore(postgres_conninfo) as store:
        store.run_migrations()
        store.create("n" * 1000)
        assert columns(raw)[0] == NEW_COLUMNS[0]
        assert names(store) == ["n" * 1000, "x"]


@pytest.mark.parametrize("migrated", [OLD_TABLE, None])
def test_concurrent_migrations_succeed(
    postgres_conninfo: str, raw: Connection, migrated: str | None
) -> None:
    """Eight stores that migrate at the same time all succeed."""
    stores = [
        PostgreSQLFeatureFlagStore(postgres_conninfo, run_migrations=False)
        for _ in range(THREADS)
    ]
    for _ in range(5):
        raw.execute("DROP TABLE IF EXISTS feature_flags")
        if migrated:
            raw.execute(migrated)
        at_once(*(store.run_migrations for store in stores))
        assert columns(raw)[0] == NEW_COLUMNS[0]
    for store in stores:
        store.close()


def test_a_migration_without_changes_waits_for_no_lock(
    store: PostgreSQLFeatureFlagStore,
    raw: Connection,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A migration that changes nothing does not wait for locks on the table."""
    with raw.transaction():
        raw.execute("LOCK TABLE feature_flags IN ACCESS SHARE MODE")
        raw.execute("LOCK TABLE feature_flags IN SHARE ROW EXCLUSIVE MODE")
        store.run_migrations()
    assert not caplog.records


def test_a_table_that_cannot_be_widened_is_used_unchanged(
    postgres_conninfo: str,
    raw: Connection,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The store logs that it cannot widen a table, and uses it for short names."""
    monkeypatch.setattr(migrations, "_LOCK_TIMEOUT", "100ms")
    raw.execute(OLD_TABLE)
    with (
        raw.transaction(),
        PostgreSQLFeatureFlagStore(postgres_conninfo, run_migrations=False) as store,
    ):
        raw.execute("LOCK TABLE feature_flags IN ACCESS SHARE MODE")
        store.run_migrations()
        assert "lock timeout" in caplog.text
        store.create("x", is_enabled=True)
        assert names(store) == ["x"]


def test_without_run_migrations_no_table_changes(
    postgres_conninfo: str, raw: Connection
) -> None:
    """With `run_migrations=False` the store creates no table and changes none."""
    with PostgreSQLFeatureFlagStore(postgres_conninfo, run_migrations=False) as store:
        with pytest.raises(errors.UndefinedTable):
            store.create("x")
        assert columns(raw) == []
        raw.execute(OLD_TABLE)
        store.create("x")
        assert columns(raw)[0] == ("name", "character varying", 40, "NO")


def test_a_migration_waits_briefly_for_a_table_in_use(
    postgres_conninfo: str,
    raw: Connection,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A migration goes on without triggers if it does not get its lock soon."""
    caplog.set_level(logging.INFO, "flipper")
    monkeypatch.setattr(migrations, "_LOCK_TIMEOUT", "100ms")
    raw.execute("CREATE TABLE feature_flags (name text PRIMARY KEY, item bytea)")
    with raw.transaction():
        raw.execute("INSERT INTO feature_flags VALUES ('x', '')")
        with PostgreSQLFeatureFlagStore(postgres_conninfo) as store:
            store.get("x")
    assert "lock timeout" in caplog.text
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert trigger_names(raw) == []


def test_a_migration_does_not_wait_for_readers(
    postgres_conninfo: str, raw: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """A migration creates the triggers while a transaction reads the table."""
    caplog.set_level(logging.INFO, "flipper")
    raw.execute("CREATE TABLE feature_flags (name text PRIMARY KEY, item bytea)")
    with raw.transaction():
        raw.execute("SELECT FROM feature_flags")
        PostgreSQLFeatureFlagStore(postgres_conninfo).close()
        assert trigger_names(raw) == TRIGGER_NAMES
    assert not caplog.records
