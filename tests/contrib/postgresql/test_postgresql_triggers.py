# SPDX-License-Identifier: Apache-2.0
"""The triggers that report changes: how they are created, and with which rights."""

from __future__ import annotations

import logging
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import errors

from flipper.contracts.watch import WatchRefusedError
from flipper.contracts.watch import watch as find_watch
from flipper.contrib.postgresql import PostgreSQLFeatureFlagStore
from support.postgres_roles import (
    OLD_TABLE,
    TRIGGER_NAMES,
    role,
    trigger_names,
    triggers,
    user,
)
from support.watches import next_report

if TYPE_CHECKING:
    from flipper.contrib.postgresql.watch import PostgreSQLWatch

    Connection = psycopg.Connection[Any]

pytestmark = pytest.mark.postgres


def test_an_old_table_gets_the_triggers(
    postgres_conninfo: str, raw: Connection
) -> None:
    """An older table gets the triggers, and writes of flipper-client are reported."""
    raw.execute(OLD_TABLE)
    with (
        PostgreSQLFeatureFlagStore(postgres_conninfo) as store,
        closing(store.watch()) as watch,
    ):
        raw.execute("INSERT INTO feature_flags VALUES ('x', '')")
        assert next_report(watch) == {"x"}


def test_a_migration_keeps_existing_triggers(
    store: PostgreSQLFeatureFlagStore, postgres_conninfo: str, raw: Connection
) -> None:
    """A second migration leaves the triggers unchanged."""
    first = triggers(raw)
    assert [name for name, *_ in first] == TRIGGER_NAMES
    store.run_migrations()
    PostgreSQLFeatureFlagStore(postgres_conninfo).close()
    assert triggers(raw) == first


def test_concurrent_migrations_of_several_tables_succeed(
    postgres_conninfo: str, raw: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """Nine stores that migrate three tables at the same time all succeed."""
    caplog.set_level(logging.INFO, "flipper")
    tables = [f"table_{number % 3}" for number in range(9)]
    stores = [
        PostgreSQLFeatureFlagStore(postgres_conninfo, table, run_migrations=False)
        for table in tables
    ]
    for _ in range(3):
        threads = [threading.Thread(target=store.run_migrations) for store in stores]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for table in set(tables):
            assert trigger_names(raw, table) == TRIGGER_NAMES
            raw.execute(f"DROP TABLE {table}")
    assert not caplog.records
    for store in stores:
        store.close()


def test_triggers_are_replaced_after_a_column_was_renamed(
    store: PostgreSQLFeatureFlagStore, postgres_conninfo: str, raw: Connection
) -> None:
    """A migration replaces triggers that have the old name of the column."""
    raw.execute("ALTER TABLE feature_flags RENAME name TO key")
    raw.execute("INSERT INTO feature_flags VALUES ('x', '')")
    with PostgreSQLFeatureFlagStore(
        postgres_conninfo, name_column="key", run_migrations=False
    ) as renamed:
        with pytest.raises(WatchRefusedError):
            renamed.watch()
        renamed.run_migrations()
        with closing(renamed.watch()) as watch:
            renamed.create("y")
            assert next_report(watch) == {"y"}


def test_a_missing_trigger_is_created_again(
    store: PostgreSQLFeatureFlagStore, raw: Connection
) -> None:
    """`watch` raises if a trigger is missing, and a migration creates it again."""
    for name in TRIGGER_NAMES:
        raw.execute(f"DROP TRIGGER {name} ON feature_flags")
        with pytest.raises(WatchRefusedError):
            store.watch()
        store.run_migrations()
        assert trigger_names(raw) == TRIGGER_NAMES
        store.watch().close()


def test_without_rights_no_trigger_is_created(
    store: PostgreSQLFeatureFlagStore,
    postgres_conninfo: str,
    raw: Connection,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The store logs that it may not create triggers, and `watch` names the remedy."""
    caplog.set_level(logging.INFO, "flipper")
    raw.execute("CREATE TABLE others (LIKE feature_flags INCLUDING ALL)")
    with role(raw, postgres_conninfo) as conninfo:
        raw.execute(f"GRANT ALL ON feature_flags, others TO {user(conninfo)}")
        raw.execute(f"REVOKE TRIGGER ON others FROM {user(conninfo)}")
        with PostgreSQLFeatureFlagStore(conninfo, "others") as others:
            others.create("x")
            assert [record.levelname for record in caplog.records] == ["INFO"]
            assert "others" in caplog.text
            with pytest.raises(WatchRefusedError, match="run_migrations"):
                others.watch()
        assert trigger_names(raw, "others") == []


def test_the_writes_of_any_role_are_reported(
    watch: PostgreSQLWatch, postgres_conninfo: str, raw: Connection
) -> None:
    """The trigger works for roles that may do nothing but write."""
    with role(raw, postgres_conninfo) as conninfo:
        raw.execute(f"GRANT INSERT ON feature_flags TO {user(conninfo)}")
        raw.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        raw.execute(f"GRANT USAGE ON SCHEMA public TO {user(conninfo)}")
        raw.execute("REVOKE ALL ON FUNCTION flipper_notify_feature_flags FROM PUBLIC")
        with psycopg.connect(conninfo, autocommit=True) as writer:
            writer.execute("INSERT INTO feature_flags VALUES ('x', '')")
            assert next_report(watch) == {"x"}


def test_a_writer_cannot_replace_the_functions_of_the_trigger(
    watch: PostgreSQLWatch, raw: Connection
) -> None:
    """The trigger ignores functions of the same names in the writer's search path."""
    raw.execute(
        """
        CREATE SCHEMA evil;
        CREATE FUNCTION evil.pg_notify(text, text) RETURNS void LANGUAGE plpgsql AS
            $$ BEGIN RAISE 'caught'; END $$;
        CREATE FUNCTION evil.format(text, text) RETURNS text LANGUAGE plpgsql AS
            $$ BEGIN RAISE 'caught'; END $$;
        SET search_path = evil, pg_catalog, public
        """
    )
    with pytest.raises(errors.RaiseException):
        raw.execute("SELECT pg_notify('x', 'y')")
    raw.execute("INSERT INTO feature_flags VALUES ('x', '')")
    assert next_report(watch) == {"x"}


def test_a_write_succeeds_without_the_right_to_notify(
    store: PostgreSQLFeatureFlagStore, postgres_conninfo: str, raw: Connection
) -> None:
    """A role that may not call `pg_notify` can write, and its `watch` raises."""
    with role(raw, postgres_conninfo) as conninfo:
        raw.execute(f"GRANT ALL ON feature_flags TO {user(conninfo)}")
        raw.execute("REVOKE EXECUTE ON FUNCTION pg_notify FROM PUBLIC")
        with PostgreSQLFeatureFlagStore(conninfo) as theirs:
            theirs.create("x", is_enabled=True)
            assert store.get("x") is not None
            with pytest.raises(WatchRefusedError, match="pg_notify"):
                theirs.watch()


@pytest.mark.parametrize("name", TRIGGER_NAMES)
def test_a_migration_leaves_a_disabled_trigger_disabled(
    store: PostgreSQLFeatureFlagStore, raw: Connection, name: str
) -> None:
    """A migration does not enable a trigger, and `watch` asks the user to do it."""
    raw.execute(f"ALTER TABLE feature_flags DISABLE TRIGGER {name}")
    store.run_migrations()
    with pytest.raises(WatchRefusedError, match="enable"):
        store.watch()
    raw.execute(f"ALTER TABLE feature_flags ENABLE ALWAYS TRIGGER {name}")
    store.watch().close()


@pytest.mark.parametrize(
    "table",
    [
        "CREATE VIEW feature_flags AS SELECT ''::text AS name, ''::bytea AS item",
        """
        CREATE TABLE feature_flags (name text PRIMARY KEY, item bytea)
            PARTITION BY LIST (name)
        """,
        "SELECT",
    ],
    ids=["a view", "partitions", "nothing"],
)
def test_a_view_or_partitioned_table_cannot_be_watched(
    postgres_conninfo: str, raw: Connection, table: str
) -> None:
    """`watch` raises for views, partitioned tables and missing tables."""
    raw.execute(table)
    with PostgreSQLFeatureFlagStore(postgres_conninfo, run_migrations=False) as store:
        if table != "SELECT":
            store.run_migrations()
        with pytest.raises(WatchRefusedError):
            find_watch(store)
