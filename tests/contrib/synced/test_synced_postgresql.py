# SPDX-License-Identifier: Apache-2.0
"""The synced store over PostgreSQL, whose triggers report changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql

from flipper import FeatureFlagClient
from flipper.contrib.postgresql import PostgreSQLFeatureFlagStore
from flipper.contrib.synced import SyncedFeatureFlagStore
from flipper.testing.contract import eventually
from interop.conftest import original_python  # noqa: F401  (a fixture)
from servers import PostgresServer, start_postgres
from support.synced_programs import Address
from support.synced_rules import SyncedRules, is_live

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Give a server, which the rules stop and start again."""
    with start_postgres() as server:
        yield server


def conninfo(address: Address) -> str:
    """Return the connection string of a server's first database."""
    return f"host={address.host} port={address.port} user=postgres dbname=postgres"


class TestSyncedPostgreSQL(SyncedRules):
    """The rules, each with a table of its own on one server."""

    backend = "postgres"

    @staticmethod
    def connect(address: Address) -> PostgreSQLFeatureFlagStore:
        """Make an inner store."""
        return PostgreSQLFeatureFlagStore(conninfo(address), address.place)

    def address_for_agent(self, address: Address) -> str:
        """Return the connection string; the agent uses the default table."""
        return conninfo(address)

    @pytest.fixture
    def shared_place(self, server: PostgresServer) -> Address:
        """Give the address of the table that agents use."""
        return Address(server.host, server.port, "feature_flags")

    def test_a_change_without_a_trigger_is_found_by_polling(
        self, direct: Address, inner: PostgreSQLFeatureFlagStore
    ) -> None:
        """Administrators and replicas can write without running the triggers."""
        with (
            SyncedFeatureFlagStore(inner, poll_interval=3) as store,
            psycopg.connect(conninfo(direct), autocommit=True) as raw,
        ):
            eventually(lambda: is_live(store))
            raw.execute("SET session_replication_role = replica")
            raw.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(direct.place)))
            eventually(lambda: not list(store.list()))

    def test_an_emptied_table_is_seen(
        self, store: SyncedFeatureFlagStore, direct: Address, others: FeatureFlagClient
    ) -> None:
        """`TRUNCATE` is reported without the names of the flags."""
        for number in range(10):
            others.create(f"flag-{number}")
        eventually(lambda: len(list(store.list())) == 11)
        with psycopg.connect(conninfo(direct), autocommit=True) as raw:
            raw.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier(direct.place)))
        eventually(lambda: not list(store.list()))

    def test_changes_of_many_rows_are_seen(
        self, store: SyncedFeatureFlagStore, direct: Address, others: FeatureFlagClient
    ) -> None:
        """Rows that one statement copies, changes or deletes are reported."""
        document = store.get("x").serialize().decode()  # type: ignore[union-attr]
        table = sql.Identifier(direct.place)
        with psycopg.connect(conninfo(direct), autocommit=True) as raw:
            with (
                raw.cursor() as cursor,
                cursor.copy(sql.SQL("COPY {} FROM STDIN").format(table)) as copy,
            ):
                for number in range(300):
                    name = f"flag-{number}"
                    row = document.replace('"x"', f'"{name}"')
                    copy.write_row((name, row.encode()))
            flags = FeatureFlagClient(store)
            eventually(lambda: len(list(store.list())) == 301)
            assert flags.is_enabled("flag-299") is True
            raw.execute(
                sql.SQL(
                    "UPDATE {} SET item = convert_to(replace("
                    "convert_from(item, 'UTF8'), 'true', 'false'), 'UTF8')"
                ).format(table)
            )
            eventually(lambda: not any(item.raw_is_enabled for item in store.list()))
            raw.execute(sql.SQL("DELETE FROM {}").format(table))
            eventually(lambda: not list(store.list()))

    @pytest.mark.parametrize("reason", ["no rights", "no trigger"])
    def test_a_table_without_triggers_is_polled(
        self, direct: Address, others: FeatureFlagClient, reason: str
    ) -> None:
        """A table is polled until its owner has made the triggers."""
        triggers = "flipper_notify", "flipper_notify_truncate"
        table, settings = sql.Identifier(direct.place), conninfo(direct)
        with psycopg.connect(settings, autocommit=True) as raw:
            for name in triggers:
                raw.execute(
                    sql.SQL("DROP TRIGGER {} ON {}").format(sql.Identifier(name), table)
                )
            if reason == "no rights":
                raw.execute("DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN")
                raw.execute(sql.SQL("GRANT SELECT ON {} TO reader").format(table))
                settings = settings.replace("user=postgres", "user=reader")
        with (
            PostgreSQLFeatureFlagStore(
                settings, direct.place, run_migrations=reason == "no rights"
            ) as inner,
            SyncedFeatureFlagStore(inner, poll_interval=0.5) as store,
        ):
            flags = FeatureFlagClient(store)
            eventually(lambda: store.status().state == "polling")
            others.disable("x")
            eventually(lambda: not flags.is_enabled("x"))
            with PostgreSQLFeatureFlagStore(conninfo(direct), direct.place):
                eventually(lambda: is_live(store))

    def test_garbage_collected_stores_leave_no_sessions(
        self, direct: Address, others: FeatureFlagClient
    ) -> None:
        """The sessions of stores that are no longer referenced end."""
        mine = (
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE application_name = 'dropped' AND pid <> pg_backend_pid()"
        )
        settings = f"{conninfo(direct)} application_name=dropped"

        def make_and_drop() -> None:
            store = SyncedFeatureFlagStore(
                PostgreSQLFeatureFlagStore(settings, direct.place)
            )
            eventually(lambda: is_live(store))
            assert raw.execute(mine).fetchone() != (0,)

        with psycopg.connect(settings, autocommit=True) as raw:
            for _ in range(20):
                make_and_drop()
            eventually(lambda: raw.execute(mine).fetchone() == (0,))
