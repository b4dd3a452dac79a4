# SPDX-License-Identifier: Apache-2.0
"""What a table of PostgreSQL tells of its changes, and to whom, on real servers."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import textwrap
import threading
from contextlib import ExitStack, closing, contextmanager, suppress
from time import sleep
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import errors, sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

from flipper.contracts.watch import WatchRefusedError, watch
from flipper.contrib.postgresql import PostgreSQLFeatureFlagStore, migrations
from flipper.contrib.postgresql.watch import PostgreSQLWatch
from flipper.testing.contract import eventually
from servers import PostgresServer, Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    Connection = psycopg.Connection[Any]

pytestmark = pytest.mark.postgres

TRIGGERS = (
    "SELECT tgname, tgenabled, oid FROM pg_trigger"
    " WHERE NOT tgisinternal AND tgrelid = %s::regclass ORDER BY tgname"
)
NAMES = ["flipper_notify", "flipper_notify_truncate"]
OLD_TABLE = "CREATE TABLE feature_flags (name varchar(40) PRIMARY KEY, item bytea)"


@pytest.fixture
def store(postgres_conninfo: str) -> Iterator[PostgreSQLFeatureFlagStore]:
    """Give an empty store in a database of its own."""
    with PostgreSQLFeatureFlagStore(postgres_conninfo) as store:
        yield store


@pytest.fixture
def listening(store: PostgreSQLFeatureFlagStore) -> Iterator[PostgreSQLWatch]:
    """Give a watch of the store."""
    with closing(store.watch()) as listening:
        yield listening


@pytest.fixture
def raw(postgres_conninfo: str) -> Iterator[Connection]:
    """Give a connection to the same database, past the store."""
    with psycopg.connect(postgres_conninfo, autocommit=True) as connection:
        yield connection


@pytest.fixture
def proxy(postgres_server: PostgresServer) -> Iterator[Proxy]:
    """Give a proxy before the server."""
    with Proxy(postgres_server.host, postgres_server.port) as proxy:
        yield proxy


def heard(listening: PostgreSQLWatch) -> set[str | None]:
    """Wait until something is heard, and give it: names, or `None` for any."""
    for _ in range(40):
        names = listening.wait(0.5)
        if names is None:
            return {None}
        if names:
            return set(names)
    pytest.fail("nothing was heard")


def made(raw: Connection, table: str = "feature_flags") -> list[str]:
    """Name the triggers of a table."""
    return [name for name, *_ in raw.execute(TRIGGERS, (table,))]


@contextmanager
def role(raw: Connection, postgres_conninfo: str, *options: str) -> Iterator[str]:
    """Make a role without rights, and give the connection string by which it comes."""
    name = f"flipper_{os.urandom(8).hex()}"
    raw.execute(f"CREATE ROLE {name} LOGIN {' '.join(options)}")
    try:
        yield make_conninfo(postgres_conninfo, user=name)
    finally:
        eventually(lambda: not sessions(raw, name))
        raw.execute(f"DROP OWNED BY {name}")
        raw.execute(f"DROP ROLE {name}")


def user(conninfo: str) -> str:
    """Name the role of a connection string."""
    return str(psycopg.conninfo.conninfo_to_dict(conninfo)["user"])


def sessions(raw: Connection, name: str | None = None) -> int:
    """Count connections of others to the same database, or only those of a role."""
    (count,) = raw.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        " AND datname = current_database() AND usename = coalesce(%s, usename)",
        (name,),
    ).fetchone() or (0,)
    return int(count)


def wait_for_long(listening: PostgreSQLWatch) -> None:
    """Wait for longer than it takes to notice that nothing can come any more."""
    for _ in range(20):
        listening.wait(0.5)


# What is told


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
        ("TRUNCATE feature_flags", {None}),
        ("INSERT INTO feature_flags VALUES ('ö 旗 \"''%s', '')", {"ö 旗 \"'%s"}),
        ("INSERT INTO feature_flags VALUES ('', '')", {None}),
    ],
)
def test_whatever_is_written_is_told(
    store: PostgreSQLFeatureFlagStore,
    raw: Connection,
    statement: str,
    names: set[str | None],
) -> None:
    """Others write as they like; an administrator does, too."""
    for name in "abc":
        store.create(name)
    with closing(store.watch()) as listening:
        raw.execute(statement)
        assert heard(listening) == names
        raw.execute("INSERT INTO feature_flags VALUES ('last', '')")
        assert heard(listening) == {"last"}


def test_copied_rows_are_told(listening: PostgreSQLWatch, raw: Connection) -> None:
    """That is how many flags are brought in at once."""
    expected: set[str | None] = {f"flag-{number}" for number in range(500)}
    with (
        raw.cursor() as cursor,
        cursor.copy("COPY feature_flags FROM STDIN") as copy,
    ):
        for name in expected:
            copy.write_row((name, b""))
    told: set[str | None] = set()
    while told != expected:
        told |= heard(listening)


def test_a_name_longer_than_a_message_stands_for_all(
    store: PostgreSQLFeatureFlagStore, listening: PostgreSQLWatch, raw: Connection
) -> None:
    """The server refuses to send it; the flag is written all the same."""
    raw.execute("ALTER TABLE feature_flags DROP CONSTRAINT feature_flags_pkey")
    for name, told in [
        ("n" * 7999, "n" * 7999),
        ("n" * 8000, None),
        ("ö" * 4000, None),
    ]:
        raw.execute("INSERT INTO feature_flags VALUES (%s, '')", (name,))
        assert heard(listening) == {told}


def test_what_is_rolled_back_is_not_told(
    listening: PostgreSQLWatch, raw: Connection
) -> None:
    """Nor is what is not committed yet: readers would find nothing new."""
    with suppress(errors.UniqueViolation), raw.transaction():
        raw.execute("INSERT INTO feature_flags VALUES ('a', '')")
        raw.execute("INSERT INTO feature_flags VALUES ('a', '')")
    with raw.transaction():
        raw.execute("INSERT INTO feature_flags VALUES ('b', '')")
        assert listening.wait(0.2) == ()
    assert heard(listening) == {"b"}


def test_tables_do_not_tell_of_each_other(
    postgres_conninfo: str,
    listening: PostgreSQLWatch,
    store: PostgreSQLFeatureFlagStore,
) -> None:
    """Several applications may share a database."""
    with (
        PostgreSQLFeatureFlagStore(postgres_conninfo, "others") as others,
        closing(others.watch()) as their,
    ):
        others.create("theirs")
        store.create("ours")
        assert heard(listening) == {"ours"}
        assert heard(their) == {"theirs"}


@pytest.mark.parametrize("schema", ["public", 'Sch.ema "%s"'])
def test_the_names_of_schema_table_and_columns_may_be_any(
    postgres_conninfo: str, raw: Connection, schema: str
) -> None:
    """They are not ours to choose, nor to be taken for anything else."""
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
    for _ in range(2):  # the second finds what the first made
        with ExitStack() as used:
            stores = [
                PostgreSQLFeatureFlagStore(postgres_conninfo, table, column, "i")
                for table, column in tables
            ]
            for store in stores:
                used.enter_context(store)
                listening = used.enter_context(closing(store.watch()))
                store.create("x")
                assert heard(listening) == {"x"}


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_databases_may_have_any_encoding(
    raw: Connection, postgres_conninfo: str, encoding: str
) -> None:
    """The names come as the store reads and writes them."""
    name = f"flipper_{os.urandom(8).hex()}"
    raw.execute(
        f"CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
        f" TEMPLATE template0"
    )
    conninfo = make_conninfo(postgres_conninfo, dbname=name)
    try:
        with (
            PostgreSQLFeatureFlagStore(conninfo) as store,
            closing(store.watch()) as listening,
        ):
            store.create("ö")
            assert heard(listening) == {"ö"}
    finally:
        raw.execute(f"DROP DATABASE {name} WITH (FORCE)")


# Making the triggers


def test_an_old_table_gets_the_triggers(
    postgres_conninfo: str, raw: Connection
) -> None:
    """Processes with flipper-client write it, and know nothing of them."""
    raw.execute(OLD_TABLE)
    with (
        PostgreSQLFeatureFlagStore(postgres_conninfo) as store,
        closing(store.watch()) as listening,
    ):
        raw.execute("INSERT INTO feature_flags VALUES ('x', '')")
        assert heard(listening) == {"x"}


def test_triggers_are_made_once(
    store: PostgreSQLFeatureFlagStore, postgres_conninfo: str, raw: Connection
) -> None:
    """Every start of every process asks for them."""
    first = raw.execute(TRIGGERS, ("feature_flags",)).fetchall()
    assert [name for name, *_ in first] == NAMES
    store.run_migrations()
    PostgreSQLFeatureFlagStore(postgres_conninfo).close()
    assert raw.execute(TRIGGERS, ("feature_flags",)).fetchall() == first


def test_several_processes_may_make_them_at_once(
    postgres_conninfo: str, raw: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """Of the same table, and of several in one schema."""
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
            assert made(raw, table) == NAMES
            raw.execute(f"DROP TABLE {table}")
    assert not caplog.records
    for store in stores:
        store.close()


def test_a_column_that_was_renamed_is_told_again(
    store: PostgreSQLFeatureFlagStore, postgres_conninfo: str, raw: Connection
) -> None:
    """The triggers have its name; writers must not stumble over the old one."""
    raw.execute("ALTER TABLE feature_flags RENAME name TO key")
    raw.execute("INSERT INTO feature_flags VALUES ('x', '')")
    with PostgreSQLFeatureFlagStore(
        postgres_conninfo, name_column="key", run_migrations=False
    ) as renamed:
        with pytest.raises(WatchRefusedError):
            renamed.watch()
        renamed.run_migrations()
        with closing(renamed.watch()) as listening:
            renamed.create("y")
            assert heard(listening) == {"y"}


def test_a_table_that_is_in_use_is_not_waited_for_long(
    postgres_conninfo: str,
    raw: Connection,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Changes are told sooner or later; a deployment has to go on."""
    caplog.set_level(logging.INFO, "flipper")
    monkeypatch.setattr(migrations, "_LOCK_TIMEOUT", "100ms")
    raw.execute("CREATE TABLE feature_flags (name text PRIMARY KEY, item bytea)")
    with raw.transaction():
        raw.execute("INSERT INTO feature_flags VALUES ('x', '')")
        with PostgreSQLFeatureFlagStore(postgres_conninfo) as store:
            store.get("x")
    assert "lock timeout" in caplog.text
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert made(raw) == []


def test_readers_are_not_waited_for(
    postgres_conninfo: str, raw: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """A report or a backup may take hours."""
    caplog.set_level(logging.INFO, "flipper")
    raw.execute("CREATE TABLE feature_flags (name text PRIMARY KEY, item bytea)")
    with raw.transaction():
        raw.execute("SELECT FROM feature_flags")
        PostgreSQLFeatureFlagStore(postgres_conninfo).close()
        assert made(raw) == NAMES
    assert not caplog.records


def test_a_trigger_that_is_missing_is_made_again(
    store: PostgreSQLFeatureFlagStore, raw: Connection
) -> None:
    """One without the other is not enough."""
    for name in NAMES:
        raw.execute(f"DROP TRIGGER {name} ON feature_flags")
        with pytest.raises(WatchRefusedError):
            store.watch()
        store.run_migrations()
        assert made(raw) == NAMES
        store.watch().close()


def test_without_rights_a_table_stays_as_it_is(
    store: PostgreSQLFeatureFlagStore,
    postgres_conninfo: str,
    raw: Connection,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Most applications may not change tables: that is nothing to be warned of."""
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
        assert made(raw, "others") == []


def test_whoever_may_write_may_be_heard(
    listening: PostgreSQLWatch, postgres_conninfo: str, raw: Connection
) -> None:
    """The trigger runs with the rights of the writer, who may have very few."""
    with role(raw, postgres_conninfo) as conninfo:
        raw.execute(f"GRANT INSERT ON feature_flags TO {user(conninfo)}")
        raw.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        raw.execute(f"GRANT USAGE ON SCHEMA public TO {user(conninfo)}")
        raw.execute("REVOKE ALL ON FUNCTION flipper_notify_feature_flags FROM PUBLIC")
        with psycopg.connect(conninfo, autocommit=True) as writer:
            writer.execute("INSERT INTO feature_flags VALUES ('x', '')")
            assert heard(listening) == {"x"}


def test_nobody_can_get_between_the_trigger_and_the_server(
    listening: PostgreSQLWatch, raw: Connection
) -> None:
    """By functions of the same names in a schema that the writer looks into first."""
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
    assert heard(listening) == {"x"}


def test_a_flag_is_written_though_nobody_may_be_notified(
    store: PostgreSQLFeatureFlagStore, postgres_conninfo: str, raw: Connection
) -> None:
    """Some servers take that right from everybody."""
    with role(raw, postgres_conninfo) as conninfo:
        raw.execute(f"GRANT ALL ON feature_flags TO {user(conninfo)}")
        raw.execute("REVOKE EXECUTE ON FUNCTION pg_notify FROM PUBLIC")
        with PostgreSQLFeatureFlagStore(conninfo) as theirs:
            theirs.create("x", is_enabled=True)
            assert store.get("x") is not None
            with pytest.raises(WatchRefusedError, match="pg_notify"):
                theirs.watch()


# Refusals


@pytest.mark.parametrize("name", NAMES)
def test_a_trigger_that_was_disabled_stays_so(
    store: PostgreSQLFeatureFlagStore, raw: Connection, name: str
) -> None:
    """Somebody had a reason; flags are asked for then."""
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
def test_what_is_no_plain_table_tells_nothing(
    postgres_conninfo: str, raw: Connection, table: str
) -> None:
    """Its rows are somewhere else, and so would be its triggers."""
    raw.execute(table)
    with PostgreSQLFeatureFlagStore(postgres_conninfo, run_migrations=False) as store:
        if table != "SELECT":
            store.run_migrations()
        with pytest.raises(WatchRefusedError):
            watch(store)


def test_without_a_connection_to_spare_nothing_is_told(
    store: PostgreSQLFeatureFlagStore, postgres_conninfo: str, raw: Connection
) -> None:
    """The store needs those that there are, and can be asked by them."""
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
            theirs.get("x")  # by one that is kept, or by two
            # One that the store has closed may be there for a moment yet.
            eventually(lambda: takes_no_more() and not sleep(0.3) and takes_no_more())
            with pytest.raises(WatchRefusedError, match="too many connections"):
                theirs.watch()


class Muffler:
    """A proxy that loses all notifications, as a pooler of transactions does."""

    def __init__(self, server: PostgresServer) -> None:
        self._target = server.host, server.port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
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
            # A letter, the length of what follows with its own four bytes, the rest.
            while head := answers.read(5):
                rest = answers.read(int.from_bytes(head[1:], "big") - 4)
                if head[:1] != b"A":
                    client.sendall(head + rest)


def test_a_pooler_that_loses_notifications_is_found_out(
    store: PostgreSQLFeatureFlagStore,
    postgres_conninfo: str,
    postgres_server: PostgresServer,
) -> None:
    """It takes the order to listen without a word, and nothing ever comes."""
    with closing(Muffler(postgres_server)) as muffler:
        conninfo = make_conninfo(
            postgres_conninfo,
            host="127.0.0.1",
            port=muffler.port,
            sslmode="disable",
            gssencmode="disable",
        )
        with PostgreSQLFeatureFlagStore(conninfo) as behind:
            behind.create("x")
            with pytest.raises(WatchRefusedError, match="pooler"):
                behind.watch()


def test_a_refusal_leaves_no_connection(
    store: PostgreSQLFeatureFlagStore, raw: Connection, postgres_conninfo: str
) -> None:
    """It is tried again and again."""

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


def test_a_lost_connection_is_told(
    postgres_conninfo: str, store: PostgreSQLFeatureFlagStore, proxy: Proxy
) -> None:
    """What was missed cannot be known; a new watch has to be made."""
    through = make_conninfo(postgres_conninfo, host=proxy.host, port=proxy.port)
    with PostgreSQLFeatureFlagStore(through) as behind:
        for outage in (proxy.cut, proxy.blackhole):
            with closing(behind.watch()) as listening:
                outage()
                with pytest.raises(errors.OperationalError):
                    wait_for_long(listening)
            with pytest.raises(errors.OperationalError):
                behind.watch()
            proxy.restore()
        with closing(behind.watch()) as listening:
            store.create("x")
            assert heard(listening) == {"x"}


def test_a_server_that_falls_silent_at_once_is_not_waited_for(
    postgres_conninfo: str, store: PostgreSQLFeatureFlagStore, proxy: Proxy
) -> None:
    """The one who asks may have given up by then, and cannot close the connection."""
    through = make_conninfo(postgres_conninfo, host=proxy.host, port=proxy.port)

    def connect() -> Connection:
        connection = psycopg.connect(through)
        opened.append(connection)
        proxy.blackhole()
        return connection

    opened: list[Connection] = []
    with pytest.raises(errors.OperationalError, match="not answer"):
        PostgreSQLWatch(connect, "feature_flags", "name", store._notify)
    assert opened[0].closed


def test_a_watch_is_ended_by_the_server(
    listening: PostgreSQLWatch, raw: Connection
) -> None:
    """An administrator may end any session."""
    raw.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE query LIKE 'UNLISTEN%'"
    )
    with pytest.raises(errors.OperationalError):
        wait_for_long(listening)


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
def test_a_table_that_tells_no_more_is_noticed(
    listening: PostgreSQLWatch, raw: Connection, change: str
) -> None:
    """Or nobody would know why changes take so long."""
    assert listening.wait(3) == ()
    raw.execute(change)
    with pytest.raises(WatchRefusedError):
        wait_for_long(listening)


def test_a_closed_store_is_not_listened_to(
    store: PostgreSQLFeatureFlagStore,
) -> None:
    """It makes no connections any more."""
    store.close()
    with pytest.raises(errors.OperationalError, match="closed"):
        store.watch()


# A pool that was given


def test_a_pool_that_was_given_says_how_to_connect(
    postgres_conninfo: str, raw: Connection
) -> None:
    """Listening takes a connection of its own, made alike, and none of the pool's."""
    raw.execute("CREATE SCHEMA elsewhere")

    def configure(connection: Connection) -> None:
        connection.autocommit = False
        connection.execute("SET search_path = elsewhere")
        connection.commit()

    kwargs = {"row_factory": dict_row, "cursor_factory": psycopg.ClientCursor}
    with ConnectionPool(
        postgres_conninfo,
        kwargs=kwargs,
        configure=configure,
        min_size=1,
        max_size=1,
        open=True,
    ) as pool:
        store = PostgreSQLFeatureFlagStore(pool)
        assert made(raw, "elsewhere.feature_flags") == NAMES
        listening = store.watch()
        with pool.connection():
            raw.execute("INSERT INTO elsewhere.feature_flags VALUES ('x', '')")
            assert heard(listening) == {"x"}
            assert sessions(raw) == 2
        listening.close()
        listening.close()
        eventually(lambda: sessions(raw) == 1)
        assert store.get("missing") is None


def test_a_pool_of_another_kind_does_not_say_how_to_connect(
    store: PostgreSQLFeatureFlagStore,
) -> None:
    """Then flags are asked for, by its connections."""

    class Lender:
        getconn = store._connections._pool.getconn
        putconn = store._connections._pool.putconn

    lent = PostgreSQLFeatureFlagStore(Lender())  # type: ignore[arg-type]
    lent.create("x")
    with pytest.raises(WatchRefusedError):
        lent.watch()


# Forks


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_child_leaves_the_watch_to_its_parent(
    store: PostgreSQLFeatureFlagStore, postgres_conninfo: str
) -> None:
    """A farewell of the child would end the parent's session."""
    code = """
        import os
        import sys
        import warnings
        from flipper import PostgreSQLFeatureFlagStore

        warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads
        store = PostgreSQLFeatureFlagStore(sys.argv[1])
        listening = store.watch()
        for number in range(3):
            child = os.fork()
            if not child:
                if number == 0:
                    listening.close()
                if number == 1:
                    listening = None
                own = store.watch()
                own.close()
                sys.exit(0)  # with all that Python does at its end
            assert os.waitpid(child, 0)[1] == 0
            store.create("x")
            names = ()
            while not names:
                names = listening.wait(5)
            print(*names)
        listening.close()
        store.close()
    """
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", textwrap.dedent(code), postgres_conninfo],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "x\nx\nx\n"), done.stderr
    assert "Error" not in done.stderr
