# SPDX-License-Identifier: Apache-2.0
"""The connections of the PostgreSQL store: their number, limits, end, and forks."""

from __future__ import annotations

import os
import socket
from contextlib import closing
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import psycopg
import pytest
from psycopg import errors
from psycopg.conninfo import make_conninfo

from flipper import Condition, FeatureFlagClient
from flipper.contracts.circuit_breaker import current_reader
from flipper.contrib.postgresql import (
    PostgreSQLFeatureFlagStore,
)
from flipper.events import EventType
from flipper.exceptions import (
    InvalidArgumentError,
)
from flipper.testing.contract import at_once, eventually
from support.flags import names
from support.programs import DEVELOPMENT_MODE, run_program

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from servers import PostgresServer, Proxy

    Connection = psycopg.Connection[Any]

pytestmark = pytest.mark.postgres


THREADS = 8


def wait_for_pool(store: PostgreSQLFeatureFlagStore) -> None:
    """Wait for the connections that the pool still makes in the background."""

    def has_all() -> bool:
        found = store._connections._open_pool().get_stats()
        return bool(found["pool_available"] == found["pool_size"])

    eventually(has_all)


def test_each_call_takes_few_statements(through: str, proxy: Proxy) -> None:
    """Each call takes exactly so many statements, on connections that are kept."""
    with PostgreSQLFeatureFlagStore(through) as store:
        client = FeatureFlagClient(store)
        client.create("x")
        wait_for_pool(store)
        for _ in range(
            40
        ):  # psycopg prepares repeated statements, in a further round trip
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
        count("enable with a listener", client.enable, "x")
        count("destroy", client.destroy, "y")
        assert statements == {
            "is_enabled": 1,
            "enable": 1,
            "enable with a listener": 2,
            "add_condition": 1,
            "create": 1,
            "list": 1,
            "destroy": 2,
        }
        before = proxy.requests
        at_once(*[lambda: client.is_enabled("x")] * THREADS)
        wait_for_pool(store)
        for _ in range(500):
            client.is_enabled("x")
        assert proxy.requests - before >= THREADS + 500
        assert proxy.connections - connections <= THREADS  # one for each thread
        before, connections = proxy.requests, proxy.connections
        for _ in range(100):
            client.is_enabled("x")
        assert (proxy.requests - before, proxy.connections) == (100, connections)


def test_a_list_holds_no_connection_between_its_pages(
    through: str, proxy: Proxy
) -> None:
    """A list reads when its first flag is wanted, and then returns the connection."""
    with PostgreSQLFeatureFlagStore(through) as store:
        for number in range(300):
            store.create(f"flag-{number:03}")
        wait_for_pool(store)
        before = proxy.requests
        flags = [store.list(limit=200) for _ in range(20)]
        assert proxy.requests == before
        for flag in flags:
            assert next(flag).feature_name == "flag-000"
        assert proxy.requests == before + 20
        before = proxy.connections
        assert len(list(flags[0])) == 199
        assert proxy.connections == before


def test_a_lost_prepared_statement_is_repeated(
    through: str, proxy: Proxy, raw: Connection
) -> None:
    """A read is repeated if the session does not know its prepared statement."""
    with PostgreSQLFeatureFlagStore(through) as store:
        client = FeatureFlagClient(store)
        client.create("x", is_enabled=True)
        wait_for_pool(store)
        for _ in range(40):
            assert client.is_enabled("x") is True
        connections = proxy.connections
        with store._connections.connection() as connection:
            connection.pgconn.exec_(b"DEALLOCATE ALL")  # psycopg does not notice it
        assert store.get("x") is not None
        for _ in range(20):
            assert store.get("x") is not None
        assert proxy.connections == connections


def test_connect_timeout_limits_the_wait_for_a_connection(
    through: str, proxy: Proxy
) -> None:
    """A call raises after `connect_timeout`, and flags answer as last known."""
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


def test_connections_have_tcp_time_limits(
    postgres_conninfo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each connection has time limits, preferably those of the connection string."""
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
def test_an_argument_that_is_no_connection_string_is_refused(given: Any) -> None:
    """The constructor refuses what is neither connection string nor pool."""
    with pytest.raises(InvalidArgumentError, match="connection string"):
        PostgreSQLFeatureFlagStore(given)


def test_an_invalid_connection_string_is_refused() -> None:
    """The constructor raises psycopg's error for an invalid connection string."""
    with pytest.raises(psycopg.ProgrammingError):
        PostgreSQLFeatureFlagStore("host=localhost nonsense", run_migrations=False)


def test_a_uri_is_a_connection_string(postgres_server: PostgresServer) -> None:
    """A connection string may be a URI."""
    parts = psycopg.conninfo.conninfo_to_dict(postgres_server.conninfo())
    user, host, port = parts["user"], parts["host"], parts["port"]
    uri = f"postgresql://{user}@{host}:{port}/{parts['dbname']}?connect_timeout=3"
    with PostgreSQLFeatureFlagStore(uri, "table_by_uri") as store:
        assert names(store) == []


def test_a_closed_store_has_no_connection_and_no_thread(
    postgres_conninfo: str,
    raw: Connection,
    own_threads: Callable[[], set[threading.Thread]],
) -> None:
    """A closed or deleted store leaves no session on the server and no thread."""
    stores = [PostgreSQLFeatureFlagStore(postgres_conninfo) for _ in range(3)]
    for store in stores:
        assert store.get("x") is None
    assert own_threads()
    stores.pop().close()
    with stores.pop() as closed:
        pool = closed._connections._pool
    assert pool.closed is True
    closed.close()
    with pytest.raises(psycopg.OperationalError, match="closed"):
        closed.get("x")
    del store, closed, pool
    stores.clear()  # deletes the last one
    eventually(lambda: not own_threads())
    others = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    eventually(lambda: raw.execute(others).fetchone() == (0,))


def test_no_thread_retries_for_a_closed_store(
    postgres_conninfo: str, own_threads: Callable[[], set[threading.Thread]]
) -> None:
    """No background thread retries for a closed store, even during an outage."""
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
    eventually(lambda: not own_threads())


def test_an_open_store_does_not_delay_the_end_of_the_program(
    postgres_conninfo: str,
) -> None:
    """A program that does not close its store ends at once, and prints nothing."""
    code = """
        import sys
        from flipper import FeatureFlagClient, PostgreSQLFeatureFlagStore

        store = PostgreSQLFeatureFlagStore(sys.argv[1])
        client = FeatureFlagClient(store)
        client.create("x", is_enabled=True)
        print(client.is_enabled("x"), client.is_enabled("x"))
    """
    said = run_program(code, postgres_conninfo, options=DEVELOPMENT_MODE)
    assert said == "True True\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_has_connections_of_its_own(
    postgres_conninfo: str,
) -> None:
    """A child opens new connections, and its parent keeps the old ones."""
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
                    sys.exit(0)  # with everything that Python does at exit
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
    said = run_program(code, postgres_conninfo, options=DEVELOPMENT_MODE)
    assert said == "played\n"
