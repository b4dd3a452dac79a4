# SPDX-License-Identifier: Apache-2.0
"""What the watch of a PostgreSQL store reports, on real servers."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import ExitStack, closing, suppress
from time import sleep
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import errors, sql
from psycopg.conninfo import make_conninfo

from flipper.contracts.watch import WatchRefusedError
from flipper.contrib.postgresql import PostgreSQLFeatureFlagStore
from flipper.contrib.postgresql import watch as module
from flipper.contrib.postgresql.watch import PostgreSQLWatch
from flipper.testing.contract import eventually
from support.postgres_roles import (
    role,
    sessions,
    user,
)
from support.programs import DEVELOPMENT_MODE, WITHOUT_WARNINGS, run_program
from support.watches import next_report, wait_for_failure

if TYPE_CHECKING:
    from servers import PostgresServer, Proxy

    Connection = psycopg.Connection[Any]

pytestmark = pytest.mark.postgres


# Reports


@pytest.mark.parametrize(
    ("statement", "names"),
    [
        ("INSERT INTO feature_flags VALUES ('new', '')", {"new"}),
        ("UPDATE feature_flags SET item = 'x' WHERE name = 'a'", {"a"}),
        ("UPDATE feature_flags SET name = 'z' WHERE name = 'a'", {"a", "z"}),
        ("UPDATE feature_flags SET item = 'x'", {"a", "b", "c"}),
        ("DELETE FROM feature_flags WHERE name > 'a'", {"b", "c"}),
        (
            """
            INSERT INTO feature_flags VALUES ('a', ''), ('new', '')
                ON CONFLICT (name) DO UPDATE SET item = EXCLUDED.item
            """,
            {"a", "new"},
        ),
        ("TRUNCATE feature_flags", None),
        ("INSERT INTO feature_flags VALUES ('ö 旗 \"''%s', '')", {"ö 旗 \"'%s"}),
        ("INSERT INTO feature_flags VALUES ('', '')", None),
    ],
)
def test_every_change_of_the_table_is_reported(
    store: PostgreSQLFeatureFlagStore,
    raw: Connection,
    statement: str,
    names: set[str] | None,
) -> None:
    """The watch reports which flags a statement of any kind has changed."""
    for name in "abc":
        store.create(name)
    with closing(store.watch()) as watch:
        raw.execute(statement)
        assert next_report(watch) == names
        raw.execute("INSERT INTO feature_flags VALUES ('last', '')")
        assert next_report(watch) == {"last"}


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO feature_flags VALUES ('b', '')",
        "UPDATE feature_flags SET item = 'x'",
        "DELETE FROM feature_flags",
        "TRUNCATE feature_flags",
    ],
)
def test_the_revision_changes_also_if_no_trigger_runs(
    store: PostgreSQLFeatureFlagStore, postgres_conninfo: str, statement: str
) -> None:
    """It is another one after any write, and stays the same while nobody writes."""
    store.create("a")
    store.close()  # a session reports its writes when it ends, at the latest
    with (
        PostgreSQLFeatureFlagStore(postgres_conninfo) as again,
        closing(again.watch()) as watch,
    ):
        eventually(lambda: "1 0 0" in str(watch.revision()))
        before = watch.revision()
        assert watch.wait(0.1) == ()
        assert watch.revision() == before
        with psycopg.connect(postgres_conninfo, autocommit=True) as writer:
            writer.execute("SET session_replication_role = replica")
            writer.execute(statement)
        eventually(lambda: watch.revision() != before)
        assert watch.wait(0.1) == ()


def test_the_revision_is_unknown_if_the_server_does_not_count(
    watch: PostgreSQLWatch, raw: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then, or if it has no such functions, all flags are read in each interval."""
    assert watch.revision() is not None
    monkeypatch.setattr(module, "_REVISION_SQL", "SELECT no_such_function({oid})")
    assert watch.revision() is None
    raw.execute("INSERT INTO feature_flags VALUES ('new', '')")
    assert next_report(watch) == {"new"}
    monkeypatch.undo()
    assert watch.revision() is not None
    raw.execute("ALTER SYSTEM SET track_counts = off")
    try:
        raw.execute("SELECT pg_reload_conf()")
        eventually(lambda: watch.revision() is None)
    finally:
        raw.execute("ALTER SYSTEM RESET track_counts")
        raw.execute("SELECT pg_reload_conf()")
    eventually(lambda: watch.revision() is not None)


def test_the_revision_is_asked_for_beside_a_ping(
    watch: PostgreSQLWatch, raw: Connection
) -> None:
    """Changes that arrive meanwhile are reported, and lost triggers are noticed."""
    watch._send(watch._query)
    raw.execute("INSERT INTO feature_flags VALUES ('new', '')")
    assert watch.revision() is not None
    assert next_report(watch) == {"new"}
    raw.execute("DROP TRIGGER flipper_notify ON feature_flags")
    watch._send(watch._query)
    with pytest.raises(WatchRefusedError, match="trigger"):
        watch.revision()


def test_copied_rows_are_reported(watch: PostgreSQLWatch, raw: Connection) -> None:
    """The watch reports the rows that COPY has added."""
    expected: set[str] = {f"flag-{number}" for number in range(500)}
    with (
        raw.cursor() as cursor,
        cursor.copy("COPY feature_flags FROM STDIN") as copy,
    ):
        for name in expected:
            copy.write_row((name, b""))
    told: set[str] = set()
    while told != expected:
        told |= next_report(watch) or set()


def test_a_name_longer_than_a_message_is_reported_as_any_flag(
    store: PostgreSQLFeatureFlagStore, watch: PostgreSQLWatch, raw: Connection
) -> None:
    """A name too long for a notification is written, and reported as any flag."""
    raw.execute("ALTER TABLE feature_flags DROP CONSTRAINT feature_flags_pkey")
    for name, told in [
        ("n" * 7999, {"n" * 7999}),
        ("n" * 8000, None),
        ("ö" * 4000, None),
    ]:
        raw.execute("INSERT INTO feature_flags VALUES (%s, '')", (name,))
        assert next_report(watch) == told


def test_only_committed_changes_are_reported(
    watch: PostgreSQLWatch, raw: Connection
) -> None:
    """The watch reports a change after its commit, and none that is rolled back."""
    with suppress(errors.UniqueViolation), raw.transaction():
        raw.execute("INSERT INTO feature_flags VALUES ('a', '')")
        raw.execute("INSERT INTO feature_flags VALUES ('a', '')")
    with raw.transaction():
        raw.execute("INSERT INTO feature_flags VALUES ('b', '')")
        assert watch.wait(0.2) == ()
    assert next_report(watch) == {"b"}


def test_a_watch_reports_its_own_table_only(
    postgres_conninfo: str,
    watch: PostgreSQLWatch,
    store: PostgreSQLFeatureFlagStore,
) -> None:
    """Two tables in one database have reports of their own."""
    with (
        PostgreSQLFeatureFlagStore(postgres_conninfo, "others") as others,
        closing(others.watch()) as their,
    ):
        others.create("theirs")
        store.create("ours")
        assert next_report(watch) == {"ours"}
        assert next_report(their) == {"theirs"}


@pytest.mark.parametrize("schema", ["public", 'Sch.ema "%s"'])
def test_a_watch_works_with_any_names(
    postgres_conninfo: str, raw: Connection, schema: str
) -> None:
    """Schema, table and columns may have any names, and be as long as they can be."""
    raw.execute(
        sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema))
    )
    raw.execute(
        sql.SQL("ALTER DATABASE {} SET search_path = {}").format(
            sql.Identifier(raw.info.dbname), sql.Identifier(schema)
        )
    )
    tables = [
        ('Fl.ags "x" 100%s', "Key\\ 'ö' \"%\" $$ {}"),
        ("t" * 63, "c" * 63),
        ("t" * 62, "n"),
    ]
    for _ in range(2):  # the second finds what the first has created
        with ExitStack() as used:
            stores = [
                PostgreSQLFeatureFlagStore(postgres_conninfo, table, column, "i")
                for table, column in tables
            ]
            for store in stores:
                used.enter_context(store)
                watch = used.enter_context(closing(store.watch()))
                store.create("x")
                assert next_report(watch) == {"x"}


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_watch_works_in_any_encoding(
    raw: Connection, postgres_conninfo: str, encoding: str
) -> None:
    """The watch reports names as the store reads them, whatever the encoding is."""
    name = f"flipper_{os.urandom(8).hex()}"
    raw.execute(
        f"CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
        f" TEMPLATE template0"
    )
    conninfo = make_conninfo(postgres_conninfo, dbname=name)
    try:
        with (
            PostgreSQLFeatureFlagStore(conninfo) as store,
            closing(store.watch()) as watch,
        ):
            store.create("ö")
            assert next_report(watch) == {"ö"}
    finally:
        raw.execute(f"DROP DATABASE {name} WITH (FORCE)")


# Refusals


def test_a_watch_needs_a_connection_of_its_own(
    store: PostgreSQLFeatureFlagStore, postgres_conninfo: str, raw: Connection
) -> None:
    """`watch` raises if the server allows no further connection."""
    with role(raw, postgres_conninfo, "CONNECTION LIMIT 2") as conninfo:
        raw.execute(f"GRANT ALL ON feature_flags TO {user(conninfo)}")
        with PostgreSQLFeatureFlagStore(conninfo) as theirs, ExitStack() as others:

            def takes_no_more() -> bool:
                try:
                    others.enter_context(psycopg.connect(conninfo))
                except psycopg.OperationalError:
                    return True
                return False

            theirs.create("x")
            theirs.get("x")  # on one connection that is kept, or on two
            # A connection that the store has closed may exist for a moment longer.
            eventually(lambda: takes_no_more() and not sleep(0.3) and takes_no_more())
            with pytest.raises(WatchRefusedError, match="too many connections"):
                theirs.watch()


class ProxyWithoutNotifications:
    """A proxy that loses all notifications, as a pooler of transactions does."""

    def __init__(self, server: PostgresServer) -> None:
        self._target = server.host, server.port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Accept no more connections."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                for run in (self._requests, self._answers):
                    threading.Thread(
                        target=run, args=(client, server), daemon=True
                    ).start()

    @staticmethod
    def _requests(client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError), server:
            while data := client.recv(65536):
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    @staticmethod
    def _answers(client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError), client, server.makefile("rb") as answers:
            # A letter, the length of the rest including these four bytes, the rest.
            while head := answers.read(5):
                rest = answers.read(int.from_bytes(head[1:], "big") - 4)
                if head[:1] != b"A":
                    client.sendall(head + rest)


def test_a_pooler_that_loses_notifications_is_refused(
    store: PostgreSQLFeatureFlagStore,
    postgres_conninfo: str,
    postgres_server: PostgresServer,
) -> None:
    """`watch` raises if notifications do not arrive, although LISTEN succeeds."""
    with closing(ProxyWithoutNotifications(postgres_server)) as pooler:
        conninfo = make_conninfo(
            postgres_conninfo,
            host="127.0.0.1",
            port=pooler.port,
            sslmode="disable",
            gssencmode="disable",
        )
        with PostgreSQLFeatureFlagStore(conninfo) as behind:
            behind.create("x")
            with pytest.raises(WatchRefusedError, match="pooler"):
                behind.watch()


def test_a_refused_watch_leaves_no_connection(
    store: PostgreSQLFeatureFlagStore, raw: Connection, postgres_conninfo: str
) -> None:
    """A watch that raises in its constructor closes its connection."""

    def connect() -> Connection:
        return psycopg.connect(postgres_conninfo)

    with pytest.raises(ZeroDivisionError):
        PostgreSQLWatch(connect, "feature_flags", "name", lambda _: 1 // 0)
    raw.execute("DROP TRIGGER flipper_notify ON feature_flags")
    for _ in range(5):
        with pytest.raises(WatchRefusedError):
            store.watch()
    store.close()
    eventually(lambda: not sessions(raw))


# Outages


def test_a_watch_fails_if_its_connection_is_lost(
    through: str, store: PostgreSQLFeatureFlagStore, proxy: Proxy
) -> None:
    """A watch fails after a lost or silent connection, and a new one works again."""
    conninfo = make_conninfo(through, connect_timeout=2)
    with PostgreSQLFeatureFlagStore(conninfo) as behind:
        for outage in (proxy.cut, proxy.blackhole):
            with closing(behind.watch()) as watch:
                outage()
                with pytest.raises(errors.OperationalError):
                    wait_for_failure(watch)
            with pytest.raises(errors.OperationalError):
                behind.watch()
            proxy.restore()
        with closing(behind.watch()) as watch:
            store.create("x")
            assert next_report(watch) == {"x"}


def test_a_watch_does_not_wait_for_a_silent_server(
    through: str, store: PostgreSQLFeatureFlagStore, proxy: Proxy
) -> None:
    """A watch raises, and closes its connection, if the server does not answer."""

    def connect() -> Connection:
        connection = psycopg.connect(through)
        opened.append(connection)
        proxy.blackhole()
        return connection

    opened: list[Connection] = []
    with pytest.raises(errors.OperationalError, match="not answer"):
        PostgreSQLWatch(connect, "feature_flags", "name", lambda _: None)
    assert opened[0].closed


def test_a_watch_fails_if_its_session_is_terminated(
    watch: PostgreSQLWatch, raw: Connection
) -> None:
    """A watch fails if an administrator ends its session."""
    raw.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE query LIKE 'LISTEN%'"
    )
    with pytest.raises(errors.OperationalError):
        wait_for_failure(watch)


@pytest.mark.parametrize(
    "change",
    [
        "DROP TRIGGER flipper_notify ON feature_flags",
        "ALTER TABLE feature_flags DISABLE TRIGGER flipper_notify_truncate",
        """
        ALTER TABLE feature_flags RENAME TO old;
        CREATE TABLE feature_flags (LIKE old INCLUDING ALL)
        """,
        "DROP TABLE feature_flags",
    ],
)
def test_a_watch_fails_if_its_triggers_are_gone(
    watch: PostgreSQLWatch,
    raw: Connection,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
) -> None:
    """A watch notices that its table or triggers were dropped, disabled or renamed."""
    monkeypatch.setattr(module, "_PING_AFTER", 0.2)
    assert watch.wait(0.5) == ()
    raw.execute(change)
    with pytest.raises(WatchRefusedError):
        wait_for_failure(watch)


def test_a_closed_store_cannot_be_watched(
    store: PostgreSQLFeatureFlagStore,
) -> None:
    """`watch` of a closed store raises."""
    store.close()
    with pytest.raises(errors.OperationalError, match="closed"):
        store.watch()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_does_not_end_the_watch(
    store: PostgreSQLFeatureFlagStore, postgres_conninfo: str
) -> None:
    """A child that closes or deletes its watch does not end the parent's session."""
    code = """
        import os
        import sys
        import warnings
        from flipper import PostgreSQLFeatureFlagStore

        warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads
        store = PostgreSQLFeatureFlagStore(sys.argv[1])
        watch = store.watch()
        for number in range(3):
            child = os.fork()
            if not child:
                if number == 0:
                    watch.close()
                if number == 1:
                    watch = None
                own = store.watch()
                own.close()
                sys.exit(0)  # with everything that Python does at exit
            assert os.waitpid(child, 0)[1] == 0
            store.create("x")
            names = ()
            while not names:
                names = watch.wait(5)
            print(*names)
        watch.close()
        store.close()
    """
    options = (*DEVELOPMENT_MODE, *WITHOUT_WARNINGS)
    said = run_program(code, postgres_conninfo, options=options)
    assert said == "x\nx\nx\n"
