# SPDX-License-Identifier: Apache-2.0
"""The PostgreSQL store on real servers: table, statements, races, outages, forks."""

from __future__ import annotations

import json
import os
import pickle
import socket
import subprocess
import sys
import textwrap
import threading
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import psycopg
import pytest
from psycopg import errors, sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from flipper import Condition, FeatureFlagClient
from flipper.contracts.circuit_breaker import current_reader
from flipper.contrib.postgresql import (
    PostgresNotEnabled,
    PostgreSQLFeatureFlagStore,
    migrations,
)
from flipper.events import EventType
from flipper.exceptions import (
    FlagDoesNotExistError,
    InvalidArgumentError,
    MissingDependencyError,
)
from flipper.testing.contract import eventually
from servers import PostgresServer, Proxy, start_postgres
from support.broken_documents import hostile_documents
from support.outage_rules import check_circuit_breaker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Connection = psycopg.Connection[Any]

pytestmark = pytest.mark.postgres

THREADS, PROCESSES, TIMES = 8, 4, 50


@pytest.fixture
def store(postgres_conninfo: str) -> Iterator[PostgreSQLFeatureFlagStore]:
    """Give an empty store in a database of its own."""
    with PostgreSQLFeatureFlagStore(postgres_conninfo) as store:
        yield store


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


@pytest.fixture
def through(postgres_conninfo: str, proxy: Proxy) -> str:
    """Give the connection string by which the proxy is asked."""
    return make_conninfo(postgres_conninfo, host=proxy.host, port=proxy.port)


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresServer]:
    """Give a server that may be stopped; who does it starts it again."""
    with start_postgres() as server:
        yield server


def names(store: PostgreSQLFeatureFlagStore, **page: Any) -> list[str]:
    """Name the flags of a store in its order."""
    return [item.feature_name for item in store.list(**page)]


def together(*calls: Callable[[], object]) -> None:
    """Make calls at the same time, each in a thread, and raise the first error."""
    failures: list[BaseException] = []
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], object]) -> None:
        barrier.wait()
        try:
            call()
        except BaseException as error:  # noqa: BLE001 (raised below)
            failures.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def run(code: str, *arguments: str, **options: Any) -> str:
    """Run a program and give what it prints; it must end well, and not complain."""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


# The table


def columns(raw: Connection, table: str = "feature_flags") -> list[tuple[Any, ...]]:
    """Describe a table, column by column."""
    return raw.execute(
        "SELECT column_name, data_type, character_maximum_length, is_nullable"
        " FROM information_schema.columns WHERE table_name = %s"
        " ORDER BY ordinal_position",
        (table,),
    ).fetchall()


OLD_TABLE = "CREATE TABLE feature_flags (name varchar(40) PRIMARY KEY, item bytea)"
NEW_COLUMNS = [("name", "text", None, "NO"), ("item", "bytea", None, "NO")]


def test_a_flag_is_one_row_of_json(
    store: PostgreSQLFeatureFlagStore, raw: Connection
) -> None:
    """Other libraries and versions read the same rows."""
    item = store.create("eu/x y", is_enabled=True, client_data={"ö": 1})
    assert columns(raw) == NEW_COLUMNS
    ((name, stored),) = raw.execute("SELECT name, item FROM feature_flags").fetchall()
    assert (name, stored) == ("eu/x y", item.serialize())
    assert json.loads(stored) == item.to_dict()
    store.delete("eu/x y")
    assert raw.execute("SELECT count(*) FROM feature_flags").fetchone() == (0,)


def test_a_row_that_others_wrote_is_read_and_rewritten_without_loss(
    store: PostgreSQLFeatureFlagStore, raw: Connection
) -> None:
    """Spacing and escapes are the writer's own business."""
    document = (
        '{"meta": {"created_date": 7,\n"client_data":{"a":"é"}},"is_enabled": false, '
        '"feature_name":"x"}'
    )
    raw.execute("INSERT INTO feature_flags VALUES ('x', %s)", (document.encode(),))
    store.set("x", True)
    (stored,) = raw.execute("SELECT item FROM feature_flags").fetchone() or ()
    assert json.loads(stored) == {
        "feature_name": "x",
        "is_enabled": True,
        "meta": {
            "client_data": {"a": "é"},
            "created_date": 7,
            "conditions": [],
            "bucketer": {"type": "NoOpBucketer"},
        },
    }


def test_the_names_of_table_and_columns_are_taken_as_they_are(
    postgres_conninfo: str, raw: Connection
) -> None:
    """A dot selects no schema, a percent sign stands for no parameter."""
    given = {
        "table_name": 'Fl.ags "x" 100%s',
        "name_column": "Key %",
        "item_column": "the; item",
    }
    for _ in range(2):  # the second finds what the first made
        with PostgreSQLFeatureFlagStore(postgres_conninfo, **given) as store:
            client = FeatureFlagClient(store)
            client.create("x")
            client.enable("x")
            client.add_condition("x", Condition(a=1))
            assert client.is_enabled("x", a=1) is True
            assert names(store) == ["x"]
            client.destroy("x")
            assert client.exists("x") is False
    made = columns(raw, given["table_name"])
    assert [name for name, *_ in made] == ["Key %", "the; item"]


def test_an_old_table_is_widened_with_what_is_in_it(
    postgres_conninfo: str, raw: Connection
) -> None:
    """Flags of flipper-client stay, and longer names can be given from then on."""
    raw.execute(OLD_TABLE)
    with PostgreSQLFeatureFlagStore(postgres_conninfo, run_migrations=False) as old:
        old.create("x", is_enabled=True)
    with PostgreSQLFeatureFlagStore(postgres_conninfo) as store:
        store.run_migrations()
        store.create("n" * 1000)
        assert columns(raw)[0] == NEW_COLUMNS[0]
        assert names(store) == ["n" * 1000, "x"]


@pytest.mark.parametrize("migrated", [OLD_TABLE, None])
def test_several_processes_may_migrate_at_once(
    postgres_conninfo: str, raw: Connection, migrated: str | None
) -> None:
    """A deployment starts many of them in the same second."""
    stores = [
        PostgreSQLFeatureFlagStore(postgres_conninfo, run_migrations=False)
        for _ in range(THREADS)
    ]
    for _ in range(5):
        raw.execute("DROP TABLE IF EXISTS feature_flags")
        if migrated:
            raw.execute(migrated)
        together(*(store.run_migrations for store in stores))
        assert columns(raw)[0] == NEW_COLUMNS[0]
    for store in stores:
        store.close()


def test_a_migration_that_is_not_needed_waits_for_nobody(
    store: PostgreSQLFeatureFlagStore,
    raw: Connection,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A restart must not stand in line behind a long report, and others behind it."""
    with raw.transaction():
        raw.execute("LOCK TABLE feature_flags IN ACCESS SHARE MODE")
        raw.execute("LOCK TABLE feature_flags IN SHARE ROW EXCLUSIVE MODE")
        store.run_migrations()
    assert not caplog.records


def test_a_table_that_cannot_be_widened_is_used_as_it_is(
    postgres_conninfo: str,
    raw: Connection,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Short names go on working: that is no reason not to start."""
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


def test_without_migrations_nothing_is_touched(
    postgres_conninfo: str, raw: Connection
) -> None:
    """Some databases are changed by their administrators only."""
    with PostgreSQLFeatureFlagStore(postgres_conninfo, run_migrations=False) as store:
        with pytest.raises(errors.UndefinedTable):
            store.create("x")
        assert columns(raw) == []
        raw.execute(OLD_TABLE)
        store.create("x")
        assert columns(raw)[0] == ("name", "character varying", 40, "NO")


@pytest.mark.parametrize("name", ["n" * 41, "n" + " " * 40])
def test_a_name_that_an_old_column_cannot_take_is_refused(
    postgres_conninfo: str, raw: Connection, name: str
) -> None:
    """Cut off, it would be another flag's name, or never be found again."""
    raw.execute(OLD_TABLE)
    with PostgreSQLFeatureFlagStore(postgres_conninfo, run_migrations=False) as store:
        for write in (store.create, lambda name: store.set(name, True)):
            with pytest.raises(InvalidArgumentError, match="run_migrations") as caught:
                write(name)
            assert caught.value.feature_name == name
        assert names(store) == []
        store.create(name[:40])
        store.create("ends in a space ")
        assert names(store) == sorted(["ends in a space ", name[:40]])
        assert store.get("ends in a space ") is not None


# Listing


def test_the_order_is_that_of_code_points_whatever_the_database_says(
    postgres_conninfo: str, raw: Connection
) -> None:
    """All stores list alike, and pages fit together."""
    collation = raw.execute(
        "SELECT collname FROM pg_collation WHERE collname IN ('und-x-icu', 'en_US')"
    ).fetchone()
    if collation is None:
        pytest.skip("the server has no collation but that of code points")
    raw.execute(
        sql.SQL(
            "CREATE TABLE feature_flags (name text COLLATE {} PRIMARY KEY, item bytea)"
        ).format(sql.Identifier(collation[0]))
    )
    with PostgreSQLFeatureFlagStore(postgres_conninfo) as store:
        for name in ("a", "B", "Ä", "b", "A b", "ab", "🐬", "\uffee"):
            store.create(name)
        assert names(store) == ["A b", "B", "a", "ab", "b", "Ä", "\uffee", "🐬"]
        for offset in range(9):
            assert names(store, limit=2, offset=offset) == names(store)[offset:][:2]


def test_writing_while_listing_neither_hides_nor_repeats_a_flag(
    store: PostgreSQLFeatureFlagStore, raw: Connection
) -> None:
    """An updated row moves to the end of its table, and a page must not miss it."""
    document = store.create("NAME").serialize().decode()
    store.delete("NAME")
    raw.execute(
        "INSERT INTO feature_flags SELECT name, convert_to("
        "replace(%s, 'NAME', name), 'UTF8')"
        " FROM generate_series(1, 2500) n, to_char(n, 'FM\"flag-\"0000') AS name",
        (document,),
    )
    expected = [f"flag-{number:04}" for number in range(1, 2501)]
    listed = []
    for item in store.list():
        listed.append(item.feature_name)
        if len(listed) % 50 == 0:
            store.set(item.feature_name, True)
            store.delete(expected[len(listed) - 10])
            store.create(f"a-{len(listed)}")  # before all that is still to come
    assert listed == expected
    assert names(store, limit=3, offset=2600) == []
    assert names(store, limit=0) == []
    assert names(store, offset=2**70) == []


def test_list_asks_when_it_is_asked_and_holds_no_connection(
    through: str, proxy: Proxy
) -> None:
    """Whoever takes the first of many flags may take their time over it."""
    with PostgreSQLFeatureFlagStore(through) as store:
        for number in range(300):
            store.create(f"flag-{number:03}")
        settle(store)
        before = proxy.requests
        flags = [store.list(limit=200) for _ in range(20)]
        assert proxy.requests == before
        for flag in flags:
            assert next(flag).feature_name == "flag-000"
        assert proxy.requests == before + 20
        before = proxy.connections
        assert len(list(flags[0])) == 199
        assert proxy.connections == before


def test_hostile_documents_do_no_harm(
    store: PostgreSQLFeatureFlagStore, raw: Connection
) -> None:
    """One broken row must not crash an application, open a flag or hide another."""
    hostile = hostile_documents()
    client = FeatureFlagClient(store)
    good = [f"good-{number}" for number in range(20)]
    for name in good:
        client.create(name, is_enabled=True)
    with raw.cursor() as cursor:
        cursor.executemany("INSERT INTO feature_flags VALUES (%s, %s)", hostile.items())
    assert not [name for name in hostile if client.is_enabled(name)]
    assert not [name for name in hostile if client.is_enabled(name, user_id=1)]
    listed = [flag.name for flag in client.list()]
    assert [name for name in listed if name in good] == sorted(good)
    assert not any(client.is_enabled(name) for name in set(listed) - set(good))
    assert all(client.is_enabled(name) for name in good)
    victim = next(iter(hostile))
    assert client.create(victim, is_enabled=True).is_enabled() is True


# Statements and connections


def settle(store: PostgreSQLFeatureFlagStore) -> None:
    """Wait for the connections that the pool makes on the quiet, for more callers."""

    def has_all() -> bool:
        found = store._connections._open_pool().get_stats()
        return bool(found["pool_available"] == found["pool_size"])

    eventually(has_all)


def test_how_many_statements_each_call_takes(through: str, proxy: Proxy) -> None:
    """A flag is asked for in the middle of page views, on a connection that is kept."""
    with PostgreSQLFeatureFlagStore(through) as store:
        client = FeatureFlagClient(store)
        client.create("x")
        settle(store)
        for _ in range(40):  # psycopg prepares what is repeated, in a round trip more
            client.is_enabled("x")
        statements = {}
        connections = proxy.connections

        def count(name: str, call: Callable[..., Any], *args: Any) -> None:
            before = proxy.requests
            call(*args)
            statements[name] = proxy.requests - before

        count("is_enabled", client.is_enabled, "x")
        count("enable", client.enable, "x")
        count("add_condition", client.add_condition, "x", Condition(a=1))
        count("create", client.create, "y")
        count("list", lambda: list(client.list()))
        client.events.on(EventType.PRE_ENABLE, str)
        count("enable, heard", client.enable, "x")
        count("destroy", client.destroy, "y")
        assert statements == {
            "is_enabled": 1,
            "enable": 1,
            "enable, heard": 2,
            "add_condition": 1,
            "create": 1,
            "list": 1,
            "destroy": 2,
        }
        before = proxy.requests
        together(*[lambda: client.is_enabled("x")] * THREADS)
        settle(store)
        for _ in range(500):
            client.is_enabled("x")
        assert proxy.requests - before >= THREADS + 500
        assert proxy.connections - connections <= THREADS  # one for each thread
        before, connections = proxy.requests, proxy.connections
        for _ in range(100):
            client.is_enabled("x")
        assert (proxy.requests - before, proxy.connections) == (100, connections)


def test_a_statement_that_the_server_has_forgotten_is_repeated(
    through: str, proxy: Proxy, raw: Connection
) -> None:
    """Behind a pooler each statement may come to another session."""
    with PostgreSQLFeatureFlagStore(through) as store:
        client = FeatureFlagClient(store)
        client.create("x", is_enabled=True)
        settle(store)
        for _ in range(40):
            assert client.is_enabled("x") is True
        connections = proxy.connections
        with store._connections.connection() as connection:
            connection.pgconn.exec_(b"DEALLOCATE ALL")  # behind psycopg's back, too
        assert store.get("x") is not None
        for _ in range(20):
            assert store.get("x") is not None
        assert proxy.connections == connections


def test_a_call_does_not_wait_long_for_a_server_that_does_not_answer(
    through: str, proxy: Proxy
) -> None:
    """The time limit is the connection string's own; flags go on as last known."""
    conninfo = make_conninfo(through, connect_timeout=2)
    with PostgreSQLFeatureFlagStore(conninfo) as store:
        client = FeatureFlagClient(store)
        client.create("x", is_enabled=True)
        assert client.is_enabled("x") is True
        proxy.cut()
        proxy.restore()
        proxy.blackhole()
        with pytest.raises(errors.ConnectionTimeout):
            client.exists("x")
        assert client.is_enabled("x") is True
        proxy.restore()
        assert client.exists("x") is True


def test_connections_notice_when_the_server_is_switched_off(
    postgres_conninfo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a farewell a system tries for a quarter of an hour."""
    if not hasattr(socket, "TCP_USER_TIMEOUT"):
        pytest.skip("this system has no such time limit")

    def limits(**given: Any) -> tuple[str, int]:
        conninfo = make_conninfo(postgres_conninfo, **given)
        with PostgreSQLFeatureFlagStore(conninfo) as store:
            store.get("x")
            with (
                store._connections.connection() as connection,
                closing(socket.socket(fileno=os.dup(connection.fileno()))) as own,
            ):
                return (
                    connection.info.get_parameters()["connect_timeout"],
                    own.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
                )

    assert limits() == ("5", 5000)
    assert limits(connect_timeout=7) == ("7", 7000)
    assert limits(connect_timeout=7, tcp_user_timeout=1234) == ("7", 1234)
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "9")
    assert limits()[1] == 9000


@pytest.mark.parametrize("given", [None, 5, b"dbname=x", object()])
def test_what_does_not_tell_how_to_connect_is_refused(given: Any) -> None:
    """The mistake is found where it is made."""
    with pytest.raises(InvalidArgumentError, match="connection string"):
        PostgreSQLFeatureFlagStore(given)


def test_a_connection_string_that_is_none_is_refused() -> None:
    """By psycopg, which knows what they look like."""
    with pytest.raises(psycopg.ProgrammingError):
        PostgreSQLFeatureFlagStore("host=localhost nonsense", run_migrations=False)


def test_a_uri_is_a_connection_string(postgres_server: PostgresServer) -> None:
    """It is how most settings are written."""
    parts = psycopg.conninfo.conninfo_to_dict(postgres_server.conninfo())
    user, host, port = parts["user"], parts["host"], parts["port"]
    uri = f"postgresql://{user}@{host}:{port}/{parts['dbname']}?connect_timeout=3"
    with PostgreSQLFeatureFlagStore(uri, "table_by_uri") as store:
        assert names(store) == []


def pool_threads() -> set[threading.Thread]:
    """Give the threads of the pools that stores make, and of other tests' stores."""
    return {t for t in threading.enumerate() if t.name.startswith("flipper-")}


def test_a_closed_store_has_no_connection_and_no_thread(
    postgres_conninfo: str, raw: Connection
) -> None:
    """Applications that are reloaded must not fill the server with sessions."""
    before = pool_threads()
    stores = [PostgreSQLFeatureFlagStore(postgres_conninfo) for _ in range(3)]
    for store in stores:
        assert store.get("x") is None
    assert pool_threads() - before
    stores.pop().close()
    with stores.pop() as closed:
        pool = closed._connections._pool
    assert pool.closed is True
    closed.close()
    with pytest.raises(psycopg.OperationalError, match="closed"):
        closed.get("x")
    del store, closed, pool
    stores.clear()  # the last one is dropped
    eventually(lambda: not pool_threads() - before)
    others = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    eventually(lambda: raw.execute(others).fetchone() == (0,))


def test_nobody_tries_whether_a_closed_store_is_back(postgres_conninfo: str) -> None:
    """No background thread goes on, whether it was closed before an outage or in it."""
    before = pool_threads()
    store = PostgreSQLFeatureFlagStore(postgres_conninfo)
    client = FeatureFlagClient(store)
    client.create("x", is_enabled=True)
    assert client.is_enabled("x") is True
    with patch.object(
        store._connections, "connection", side_effect=psycopg.OperationalError
    ):
        assert client.is_enabled("x") is True
        assert current_reader(store) is not store
        store.close()
        eventually(lambda: current_reader(store) is store)
    assert client.is_enabled("x") is True
    assert current_reader(store) is store
    eventually(lambda: not pool_threads() - before)


def test_a_program_that_closes_nothing_ends_quietly(postgres_conninfo: str) -> None:
    """Threads and connections left open must not hold it up, nor make it complain."""
    code = """
        import sys
        from flipper import FeatureFlagClient, PostgreSQLFeatureFlagStore

        store = PostgreSQLFeatureFlagStore(sys.argv[1])
        client = FeatureFlagClient(store)
        client.create("x", is_enabled=True)
        print(client.is_enabled("x"), client.is_enabled("x"))
    """
    assert run(code, postgres_conninfo) == "True True\n"


# A pool that was given


@contextmanager
def given_pool(conninfo: str, **options: Any) -> Iterator[ConnectionPool[Any]]:
    """Make a pool as an application has it."""
    options = {"min_size": 1, "max_size": 4, "timeout": 5, **options}
    with ConnectionPool(conninfo, open=True, **options) as pool:
        yield pool


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"autocommit": True},
        {"row_factory": dict_row, "cursor_factory": psycopg.ClientCursor},
        {"prepare_threshold": None},
    ],
    ids=", ".join,
)
def test_a_pool_that_was_given_is_used_and_left_as_it_was(
    through: str, proxy: Proxy, kwargs: dict[str, Any]
) -> None:
    """It is the application's, set up for its other needs."""
    with given_pool(through, kwargs=kwargs, max_size=1) as pool:
        with PostgreSQLFeatureFlagStore(pool) as store:
            client = FeatureFlagClient(store)
            client.create("x")
            client.add_condition("x", Condition(a=1))
            client.enable("x")
            for _ in range(20):
                assert client.is_enabled("x", a=1) is True
            before = proxy.requests
            assert client.is_enabled("x", a=1) is True
            assert proxy.requests == before + 1
            assert names(store) == ["x"]
        assert pool.closed is False
        with pool.connection() as connection:
            assert connection.autocommit is kwargs.get("autocommit", False)
            assert connection.execute("SELECT 1 AS a").fetchone() is not None
        assert proxy.connections == 1


def test_a_pool_that_was_given_keeps_its_own_time_limit(
    through: str, proxy: Proxy
) -> None:
    """How long to wait for a connection has been decided there."""
    with given_pool(through, timeout=0.5, max_size=1) as pool:
        store = PostgreSQLFeatureFlagStore(pool)
        client = FeatureFlagClient(store)
        client.create("x", is_enabled=True)
        with pool.connection(), pytest.raises(PoolTimeout):
            store.get("x")
        assert isinstance(PoolTimeout(), store.outage_errors)
        proxy.cut()
        assert client.is_enabled("x") is True
        proxy.restore()
        eventually(lambda: attempt(store.get, "x") is not None)


def attempt(call: Callable[..., Any], *arguments: Any) -> Any:
    """Make a call that may fail while a server is away, and give `None` if it does."""
    with suppress(psycopg.OperationalError):
        return call(*arguments)


# Several writers


def test_threads_that_write_one_flag_lose_nothing(
    store: PostgreSQLFeatureFlagStore,
) -> None:
    """Each change is made on top of all others, also of those of the state."""
    client = FeatureFlagClient(store)
    client.create("x")

    def add(thread: int) -> None:
        for number in range(TIMES):
            if number % 2:
                client.add_condition("x", Condition(**{f"a{thread}": number}))
            else:
                client.set_client_data("x", {f"{thread}-{number}": number})

    def switch() -> None:
        for number in range(TIMES):
            (client.enable if number % 2 else client.disable)("x")

    together(switch, *(lambda thread=t: add(thread) for t in range(THREADS)))
    meta = client.get_meta("x")
    assert len(meta["conditions"]) == THREADS * TIMES // 2
    assert len(meta["client_data"]) == THREADS * TIMES // 2
    assert store.get("x").raw_is_enabled is True  # type: ignore[union-attr]


def test_threads_that_add_the_same_condition_add_it_each(
    store: PostgreSQLFeatureFlagStore,
) -> None:
    """Equal conditions are not merged, and a rival's is not taken for one's own."""
    client = FeatureFlagClient(store)
    client.create("x")

    def add() -> None:
        for _ in range(10):
            client.add_condition("x", Condition(a=1))

    together(*[add] * THREADS)
    assert len(client.get_meta("x")["conditions"]) == THREADS * 10


def test_of_two_who_destroy_a_flag_at_once_one_is_told(
    store: PostgreSQLFeatureFlagStore, postgres_conninfo: str
) -> None:
    """Both have seen it, but only one of them has removed it."""
    with PostgreSQLFeatureFlagStore(postgres_conninfo) as other:
        client = FeatureFlagClient(store)
        client.create("x")
        done: list[str] = []
        client.events.on(EventType.PRE_DESTROY, other.delete)
        client.events.on(EventType.POST_DESTROY, done.append)
        with pytest.raises(FlagDoesNotExistError):
            client.destroy("x")
        assert not done


def test_processes_that_write_one_flag_lose_nothing(
    postgres_conninfo: str, store: PostgreSQLFeatureFlagStore
) -> None:
    """Each has connections of its own, and knows nothing of the others."""
    code = """
        import sys
        from flipper import Condition, FeatureFlagClient, PostgreSQLFeatureFlagStore

        _, conninfo, own, times = sys.argv
        with PostgreSQLFeatureFlagStore(conninfo) as store:
            client = FeatureFlagClient(store)
            for number in range(int(times)):
                client.add_condition("x", Condition(**{own: number}))
    """
    client = FeatureFlagClient(store)
    client.create("x", client_data={"kept": True})
    together(
        *(
            lambda own=own: run(code, postgres_conninfo, f"a{own}", str(TIMES))
            for own in range(PROCESSES)
        )
    )
    meta = client.get_meta("x")
    assert len(meta["conditions"]) == PROCESSES * TIMES
    assert meta["client_data"] == {"kept": True}


# Outages


def writes(client: FeatureFlagClient) -> dict[str, Callable[[], object]]:
    """Name the ways of writing a flag that is there, each to be counted afterwards."""
    return {
        "create": lambda: client.create("x", client_data={"new": 1}),
        "create another": lambda: client.create("y"),
        "enable": lambda: client.enable("x"),
        "add_condition": lambda: client.add_condition("x", Condition(new=1)),
        "set_client_data": lambda: client.set_client_data("x", {"new": 1}),
        "destroy": lambda: client.destroy("x"),
    }


def is_written(raw: PostgreSQLFeatureFlagStore, name: str) -> bool:
    """Tell whether a write has taken effect, and see that it did so once at most."""
    item, other = raw.get("x"), raw.get("y")
    if name == "create another":
        return other is not None
    if item is None or name == "destroy":
        return item is None
    conditions = [condition for condition in item.meta["conditions"] if condition]
    assert len(conditions) <= 1
    return bool(
        {
            "create": "new" in item.meta["client_data"],
            "enable": item.raw_is_enabled,
            "add_condition": conditions,
            "set_client_data": "new" in item.meta["client_data"],
        }[name]
    )


@pytest.mark.parametrize("name", writes(None))  # type: ignore[arg-type]
def test_a_write_whose_reply_is_lost_raises_or_took_effect(
    through: str, proxy: Proxy, store: PostgreSQLFeatureFlagStore, name: str
) -> None:
    """Whichever reply it is, nothing is written twice, and nothing said that is not."""
    with PostgreSQLFeatureFlagStore(through) as behind:
        client = FeatureFlagClient(behind)
        for lost in range(1, 20):
            store.create("x")
            store.delete("y")
            attempt(behind.get, "x")
            dropped = proxy.dropped
            proxy.drop_reply(lost)
            try:
                writes(client)[name]()
                is_acknowledged = True
            except psycopg.OperationalError:
                is_acknowledged = False
            is_lost = proxy.dropped > dropped
            proxy.restore()
            assert is_written(store, name) or not is_acknowledged
            if not is_lost:
                assert is_acknowledged
                assert lost > 1
                return
    pytest.fail("there was no end of replies")


def test_a_read_whose_reply_is_lost_is_repeated(through: str, proxy: Proxy) -> None:
    """It changes nothing, so nobody needs to hear of it."""
    with PostgreSQLFeatureFlagStore(through) as store:
        client = FeatureFlagClient(store, on_error="raise")
        client.create("x", is_enabled=True)
        assert client.is_enabled("x") is True
        for _ in range(5):
            proxy.drop_reply()
            assert client.is_enabled("x") is True
            proxy.drop_reply()
            assert names(store) == ["x"]
        assert proxy.dropped == 10


def test_a_server_that_was_restarted_is_used_again(own_server: PostgresServer) -> None:
    """Nobody has to do anything, not even to try twice."""
    with PostgreSQLFeatureFlagStore(own_server.conninfo(), "restarted") as store:
        client = FeatureFlagClient(store, on_error="raise")
        first_calls: list[Callable[[], object]] = [
            lambda: client.create("x", is_enabled=True),
            lambda: client.is_enabled("x"),
            lambda: names(store),
            lambda: client.add_condition("x", Condition(a=1)),
            lambda: store.set("x", True),
            lambda: client.create("y"),
            lambda: client.destroy("y"),
        ]
        for call in first_calls:
            together(*[lambda: store.get("x")] * 4)  # keeps a connection for each
            own_server.restart()
            call()
        assert client.is_enabled("x", a=1) is True
        assert names(store) == ["x"]


def test_one_question_notices_that_the_server_is_away(
    own_server: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    """All others are answered at once, and a background thread tries to connect."""
    with PostgreSQLFeatureFlagStore(own_server.conninfo(), "spared") as store:
        check_circuit_breaker(store, own_server, caplog)


def test_while_the_server_is_away_flags_are_as_last_known(
    own_server: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Asking never fails; all else fails at once, and with psycopg's own error."""
    with PostgreSQLFeatureFlagStore(own_server.conninfo(), "away") as store:
        client = FeatureFlagClient(store)
        client.create("on", is_enabled=True)
        client.create("off")
        client.create("some", is_enabled=True)
        client.add_condition("some", Condition(a=1))
        asked = [("on", {}, True), ("off", {}, False), ("some", {"a": 2}, False)]
        asked += [("some", {"a": 1}, True), ("never seen", {}, False)]
        assert all(client.is_enabled(n, **given) is says for n, given, says in asked)
        own_server.kill()
        for _ in range(400):
            for name, given, says in asked:
                assert client.is_enabled(name, **given) is says
        for call in (
            lambda: client.create("new"),
            lambda: client.exists("on"),
            lambda: client.enable("on"),
            lambda: client.add_condition("on", Condition(a=1)),
            lambda: client.get_meta("on"),
            lambda: list(client.list()),
            lambda: client.destroy("on"),
            lambda: store.delete("on"),
        ):
            with pytest.raises(psycopg.OperationalError):
                call()
        own_server.start()
        assert client.exists("on") is True
        assert client.exists("new") is False
        client.disable("on")
        eventually(lambda: client.is_enabled("on") is False)
    assert "PostgreSQLFeatureFlagStore fails" in caplog.text


# Forks


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_leaves_the_connections_to_its_parent(
    postgres_conninfo: str,
) -> None:
    """Two processes on one connection would get each other's answers."""
    code = """
        import os
        import sys
        import warnings
        from flipper import FeatureFlagClient, PostgreSQLFeatureFlagStore
        from psycopg_pool import ConnectionPool

        warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads

        def pid(store):
            with store._connections.connection() as connection:
                return connection.info.backend_pid

        def play(store):
            client = FeatureFlagClient(store, on_error="raise")
            client.create("x", is_enabled=True)
            store.get("x")
            before = pid(store)
            children = []
            for _ in range(3):
                child = os.fork()
                if not child:
                    for _ in range(100):
                        assert client.is_enabled("x") is True
                    client.set_client_data("x", {str(os.getpid()): 1})
                    assert pid(store) != before
                    sys.exit(0)  # with all that Python does at its end
                children.append(child)
            for _ in range(100):
                assert client.is_enabled("x") is True
            ends = [os.waitpid(child, 0)[1] for child in children]
            assert ends == [0, 0, 0]
            assert client.is_enabled("x") is True
            assert pid(store) == before
            assert len(client.get_client_data("x")) == 3

        play(PostgreSQLFeatureFlagStore(sys.argv[1]))
        pool = ConnectionPool(sys.argv[1], min_size=1, max_size=1, open=True)
        play(PostgreSQLFeatureFlagStore(pool))
        pool.close()
        print("played")
    """
    assert run(code, postgres_conninfo) == "played\n"


# Without psycopg


@pytest.mark.parametrize("missing", ["psycopg", "psycopg_pool"])
def test_without_its_packages_the_store_says_what_to_install(missing: str) -> None:
    """The module can be imported; whoever makes the store hears what it needs."""
    code = f"""
        import sys
        sys.modules[{missing!r}] = None  # as if it were not installed
        from flipper.contrib.postgresql import (
            POSTGRES_ENABLED, PostgreSQLFeatureFlagStore, PostgresNotEnabled
        )
        assert POSTGRES_ENABLED is False
        try:
            PostgreSQLFeatureFlagStore("dbname=x")
        except PostgresNotEnabled as error:
            print(error)
    """
    said = "Postgres is not enabled, please install extra dependency [postgres]\n"
    assert run(code) == said


def test_without_libpq_the_store_says_what_to_install() -> None:
    """That is an ImportError too, although the package is there."""
    code = """
        from flipper.contrib.postgresql import POSTGRES_ENABLED
        print(POSTGRES_ENABLED)
    """
    environment = {**os.environ, "PSYCOPG_IMPL": "nonsense"}
    assert run(code, env=environment) == "False\n"


def test_the_error_can_be_caught_and_pickled_like_its_kind() -> None:
    """It is made without arguments, by callers too."""
    error = pickle.loads(pickle.dumps(PostgresNotEnabled()))  # noqa: S301 (our own)
    assert type(error) is PostgresNotEnabled
    assert isinstance(error, MissingDependencyError)
    assert str(error) == str(PostgresNotEnabled())


def test_a_missing_flag_is_told(store: PostgreSQLFeatureFlagStore) -> None:
    """An update that meets no row must not look like one that did."""
    with pytest.raises(FlagDoesNotExistError):
        store.update("x", lambda item: item)
    store.delete("x")
    assert store.get("x") is None
