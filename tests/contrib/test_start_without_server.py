# SPDX-License-Identifier: Apache-2.0
"""Every store can be made while its server is away, and works once it answers."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

import boto3
import consul
import psycopg
import pytest
import redis
from psycopg import errors, sql
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.transport.TSocket import TSocket
from thrift.transport.TTransport import TBufferedTransport

from flipper import (
    CachedFeatureFlagStore,
    ConsulFeatureFlagStore,
    FailoverFeatureFlagStore,
    FeatureFlagClient,
    MemoryFeatureFlagStore,
    PostgreSQLFeatureFlagStore,
    ReadOnlyFeatureFlagStore,
    RedisFeatureFlagStore,
    ReplicatedFeatureFlagStore,
    S3FeatureFlagStore,
    SyncedFeatureFlagStore,
    ThriftRPCFeatureFlagStore,
)
from flipper.contrib.postgresql.first_task import is_permanent
from flipper.testing.contract import at_once, eventually
from flipper_thrift.python.feature_flag_store import FeatureFlagStore
from servers import PostgresServer, Proxy, start_postgres, unmeasured
from servers.process import free_port
from support.synced_rules import is_live

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.postgres

# PostgreSQL


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Give a server that tests stop and start again."""
    with start_postgres() as server:
        yield server


@pytest.fixture
def conninfo(server: PostgresServer) -> Iterator[str]:
    """Give the connection string of an empty database."""
    with server.scratch_database() as conninfo:
        yield conninfo


@contextmanager
def away(server: PostgresServer) -> Iterator[None]:
    """Stop the server for a while."""
    server.stop()
    try:
        yield
    finally:
        server.start()


class Counting(PostgreSQLFeatureFlagStore):
    """A store that counts how often its table was looked after."""

    migrations = 0

    def _migrate(self, connection: Any) -> None:
        super()._migrate(connection)
        self.migrations += 1


def triggers(conninfo: str) -> list[str]:
    """Name the triggers of the database."""
    with psycopg.connect(conninfo) as connection:
        rows = connection.execute("SELECT tgname FROM pg_trigger ORDER BY 1").fetchall()
    return [name for (name,) in rows]


TRIGGERS = ["flipper_notify", "flipper_notify_truncate"]


def test_a_store_is_made_while_the_server_is_away(
    server: PostgresServer, conninfo: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The table is made before the first statement, by one of the threads that ask."""
    with away(server):
        store = Counting(conninfo)
        assert "PostgreSQL is unavailable" in caplog.text
        with pytest.raises(psycopg.OperationalError):
            store.get("x")
        with pytest.raises(psycopg.OperationalError):
            store.run_migrations()
        assert FeatureFlagClient(store).is_enabled("x", default=True) is True
    with store:
        at_once(*[lambda: store.get("x")] * 4, *[lambda: store.set("y", True)] * 4)
        assert store.migrations == 1
        assert triggers(conninfo) == TRIGGERS
        assert [item.feature_name for item in store.list()] == ["y"]


@pytest.mark.parametrize(
    "first",
    [
        lambda store: store.create("x"),
        lambda store: store.delete("x"),
        lambda store: list(store.list()),
        lambda store: store.watch().close(),
        lambda store: store.run_migrations(),
    ],
    ids=lambda first: first.__code__.co_names[-1],
)
def test_whatever_is_done_first_finds_the_table(
    server: PostgresServer, conninfo: str, first: Callable[[Any], object]
) -> None:
    """With what tells of changes."""
    with Proxy(server.host, server.port) as proxy:
        proxy.cut()
        parts = psycopg.conninfo.conninfo_to_dict(conninfo)
        through = {**parts, "host": proxy.host, "port": proxy.port}
        with PostgreSQLFeatureFlagStore(
            psycopg.conninfo.make_conninfo("", **through)
        ) as store:
            proxy.restore()
            first(store)
    assert triggers(conninfo) == TRIGGERS


def test_a_server_that_goes_away_during_the_migration_is_asked_again(
    server: PostgresServer, conninfo: str
) -> None:
    """A table whose triggers could not be made yet gets them later."""
    parts = psycopg.conninfo.conninfo_to_dict(conninfo)
    for lost in range(1, 40):
        with Proxy(server.host, server.port) as proxy:
            through = {**parts, "host": proxy.host, "port": proxy.port}
            proxy.drop_reply(lost)
            with PostgreSQLFeatureFlagStore(
                psycopg.conninfo.make_conninfo("", **through), f"table-{lost}"
            ) as store:
                was_dropped = proxy.dropped
                proxy.restore()
                eventually(lambda store=store: _answers(store))
                store.watch().close()
        if not was_dropped:
            break
    assert lost > 5


def _answers(store: Any) -> bool:
    try:
        store.get("x")
    except psycopg.OperationalError:
        return False
    return True


@pytest.fixture
def locked(server: PostgresServer, conninfo: str) -> Iterator[str]:
    """Give the connection string of a role that needs a password, and has none."""
    hba = server.folder / "data" / "pg_hba.conf"
    before = hba.read_text()
    with psycopg.connect(conninfo, autocommit=True) as raw:
        raw.execute("CREATE ROLE locked LOGIN PASSWORD 'right'")
        hba.write_text(f"host all locked all scram-sha-256\n{before}")
        raw.execute("SELECT pg_reload_conf()")
        base = psycopg.conninfo.make_conninfo(conninfo, user="locked")
        eventually(lambda: not _connects(base))
        yield base
        hba.write_text(before)
        raw.execute("SELECT pg_reload_conf()")
        raw.execute("DROP ROLE locked")


def _connects(conninfo: str) -> bool:
    try:
        psycopg.connect(conninfo).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.mark.parametrize("is_pool", [False, True])
@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"password": "wrong"}, "password authentication failed"),
        ({}, "password"),
        ({"user": "nobody"}, "role"),
        ({"user": "postgres", "dbname": "nowhere"}, "database"),
        ({"user": "postgres", "sslmode": "require"}, "SSL"),
    ],
    ids=["wrong password", "no password", "no such role", "no such database", "no SSL"],
)
def test_what_would_not_pass_by_itself_raises_at_once(
    locked: str, setting: dict[str, str], said: str, is_pool: bool
) -> None:
    """To wait for the administrator would hide a mistake of the configuration."""
    conninfo = psycopg.conninfo.make_conninfo(locked, **setting)
    if not is_pool:
        with pytest.raises(psycopg.OperationalError, match=said):
            PostgreSQLFeatureFlagStore(conninfo)
        return
    with (
        ConnectionPool(conninfo, open=True, min_size=1, timeout=0.5) as pool,
        pytest.raises(psycopg.OperationalError, match=said),
    ):
        PostgreSQLFeatureFlagStore(pool)


@pytest.mark.parametrize(
    "message",
    [
        "connection failed: FATAL:  the database system is starting up",
        "connection failed: FATAL:  the database system is shutting down",
        "connection failed: FATAL:  sorry, too many clients already",
        "connection failed: FATAL:  remaining connection slots are reserved",
        "connection failed: server closed the connection unexpectedly",
        "connection is bad: No such file or directory",
        "could not translate host name: Name or service not known",
        "connection failed: ВАЖНО:  система баз данных запускается",
    ],
)
def test_what_passes_by_itself_is_no_refusal(message: str) -> None:
    """A server that starts is there in a moment."""
    assert is_permanent(errors.OperationalError(message)) is False
    assert is_permanent(errors.AdminShutdown(message)) is False


def test_a_server_that_refuses_a_statement_has_refused() -> None:
    """By its code, whatever its words."""
    assert is_permanent(errors.InvalidPassword("ВАЖНО")) is True
    assert is_permanent(errors.LockNotAvailable("busy")) is True


def test_a_pool_that_was_given_may_have_no_server_yet(
    server: PostgresServer, conninfo: str
) -> None:
    """The store does not wait as long as the pool would, and is made all the same."""
    with away(server):
        pool = ConnectionPool(conninfo, open=True, min_size=1, timeout=600)
        began = monotonic()
        store = PostgreSQLFeatureFlagStore(pool)
        assert monotonic() - began < 60
    with pool:
        store.set("x", True)
        assert triggers(conninfo) == TRIGGERS


def test_a_pool_that_is_not_open_raises_at_once(conninfo: str) -> None:
    """That is a mistake of the program, and no outage."""
    with pytest.raises(PoolClosed):
        PostgreSQLFeatureFlagStore(ConnectionPool(conninfo, open=False))


def test_a_pool_whose_connections_are_all_lent_is_waited_for_later(
    conninfo: str,
) -> None:
    """The server is there, and nobody has refused anything."""
    with ConnectionPool(conninfo, open=True, max_size=1, min_size=1, timeout=1) as pool:
        with pool.connection():
            store = PostgreSQLFeatureFlagStore(pool)
            with pytest.raises(PoolTimeout):
                store.get("x")
        assert store.get("x") is None


def test_a_role_that_may_make_no_table_is_told_so_until_there_is_one(
    server: PostgresServer, conninfo: str
) -> None:
    """As without an outage; the administrator may make it meanwhile."""
    with psycopg.connect(conninfo, autocommit=True) as raw:
        raw.execute("DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN")
        raw.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    as_reader = psycopg.conninfo.make_conninfo(conninfo, user="reader")
    with pytest.raises(errors.InsufficientPrivilege):
        PostgreSQLFeatureFlagStore(as_reader)
    with away(server):
        store = PostgreSQLFeatureFlagStore(as_reader)
    with store:
        for _ in range(2):
            with pytest.raises(errors.InsufficientPrivilege):
                store.get("x")
        with PostgreSQLFeatureFlagStore(conninfo) as owner:
            owner.create("x")
            table = sql.Identifier("feature_flags")
            with psycopg.connect(conninfo, autocommit=True) as raw:
                raw.execute(sql.SQL("GRANT SELECT ON {} TO reader").format(table))
        assert store.get("x") is not None
    with psycopg.connect(conninfo, autocommit=True) as raw:
        raw.execute("DROP OWNED BY reader; DROP ROLE reader")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_each_forked_child_finds_the_table(
    server: PostgresServer, conninfo: str
) -> None:
    """A web server may load the application, and fork, before the database is there."""
    code = """
        import os, sys, warnings
        from flipper import PostgreSQLFeatureFlagStore

        warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads
        store = PostgreSQLFeatureFlagStore(sys.argv[1])
        children = []
        for number in range(4):
            child = os.fork()
            if not child:
                sys.stdin.readline() if number == 0 else os.read(sys.stdin.fileno(), 1)
                store.create(f"by-{number}")
                store.watch().close()
                os._exit(0)
            children.append(child)
        print("forked", flush=True)
        assert not any(os.waitpid(child, 0)[1] for child in children)
        print(*(item.feature_name for item in store.list()))
    """
    with away(server):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), conninfo],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=unmeasured(),
            text=True,
        )
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "forked\n"
    with process:
        process.stdin.close()
        assert process.stdout.read() == "by-0 by-1 by-2 by-3\n"
    assert process.returncode == 0
    assert triggers(conninfo) == TRIGGERS


# What stands before PostgreSQL


def test_a_copy_begins_with_its_snapshot_and_becomes_live(
    server: PostgresServer, conninfo: str, tmp_path: Path
) -> None:
    """A process that starts during an outage answers as the last one did."""
    file = tmp_path / "flags.json"
    with (
        PostgreSQLFeatureFlagStore(conninfo, "old") as inner,
        SyncedFeatureFlagStore(inner, snapshot=file) as store,
    ):
        FeatureFlagClient(store).create("x", is_enabled=True)
    with away(server):
        inner = PostgreSQLFeatureFlagStore(conninfo)  # whose table is still to be made
        store = SyncedFeatureFlagStore(inner, snapshot=file, start_timeout=0.5)
        flags = FeatureFlagClient(store)
        assert flags.is_enabled("x") is True
    with inner, store, PostgreSQLFeatureFlagStore(conninfo) as other:
        eventually(lambda: is_live(store))
        other.create("y", is_enabled=True)
        eventually(lambda: flags.is_enabled("y"))
        assert flags.is_enabled("x") is False


def test_a_cache_is_told_of_changes_once_the_server_is_there(
    server: PostgresServer, conninfo: str
) -> None:
    """Without being made again, and though the table was not there before."""
    with away(server):
        inner = PostgreSQLFeatureFlagStore(conninfo)
        store = CachedFeatureFlagStore(inner, invalidate=True)
    with inner, store, PostgreSQLFeatureFlagStore(conninfo) as other:
        eventually(lambda: store._listener._is_listening)
        assert store.get("x") is None
        other.create("x")
        eventually(lambda: store.get("x") is not None)


# The other stores


def redis_store(port: int) -> Any:
    """Make a store of Redis."""
    return RedisFeatureFlagStore(redis.Redis(port=port))


def consul_store(port: int) -> Any:
    """Make a store of Consul."""
    return ConsulFeatureFlagStore(consul.Consul(port=port))


def s3_store(port: int) -> Any:
    """Make a store of S3."""
    endpoint = f"http://127.0.0.1:{port}"
    options = {"region_name": "eu-west-1", "endpoint_url": endpoint}
    keys = {"aws_access_key_id": "id", "aws_secret_access_key": "key"}
    return S3FeatureFlagStore(boto3.client("s3", **options, **keys), "flags")


def thrift_store(port: int) -> Any:
    """Make a store of a Thrift service."""
    transport = TBufferedTransport(TSocket("127.0.0.1", port))
    return ThriftRPCFeatureFlagStore(
        FeatureFlagStore.Client(TBinaryProtocol(transport))
    )


def postgresql_store(port: int) -> Any:
    """Make a store of PostgreSQL."""
    return PostgreSQLFeatureFlagStore(f"host=127.0.0.1 port={port} dbname=flags")


STACKS: dict[str, Callable[[Any], Any]] = {
    "itself": lambda inner: inner,
    "cached": lambda inner: CachedFeatureFlagStore(inner, invalidate=True),
    "replicated": lambda inner: ReplicatedFeatureFlagStore(
        MemoryFeatureFlagStore(), inner
    ),
    "failover": lambda inner: FailoverFeatureFlagStore(inner, inner),
    "read-only": ReadOnlyFeatureFlagStore,
    "synced": lambda inner: SyncedFeatureFlagStore(
        inner, start_timeout=0, on_start_failure="empty"
    ),
}


@pytest.mark.parametrize(
    "make", [redis_store, consul_store, s3_store, thrift_store, postgresql_store]
)
def test_no_store_needs_its_server_to_be_made(make: Callable[[int], Any]) -> None:
    """An application starts though a database is away, and does not wait long."""
    began = monotonic()
    with contextlib.ExitStack() as made:
        inner = make(free_port())
        for wrap in STACKS.values():
            store = wrap(inner)
            made.callback(getattr(store, "close", str))
    assert monotonic() - began < 60


@pytest.mark.thrift
def test_a_thrift_server_starts_without_its_database(
    server: PostgresServer, conninfo: str
) -> None:
    """It serves the table as soon as the database answers."""
    program = [sys.executable, "-m", "flipper.contrib.thrift.server", "--port", "0"]
    with away(server):
        process = subprocess.Popen(
            [*program, "--store", conninfo],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=unmeasured(),
            text=True,
        )
        assert process.stdout is not None
        port = int(process.stdout.readline().rpartition(":")[2])
    with process:
        transport = TBufferedTransport(TSocket("127.0.0.1", port))
        protocol = TBinaryProtocol(transport)
        client = FeatureFlagClient(
            ThriftRPCFeatureFlagStore(FeatureFlagStore.Client(protocol))
        )
        client.create("x", is_enabled=True)
        assert client.is_enabled("x") is True
        transport.close()
        process.terminate()
    assert triggers(conninfo) == TRIGGERS
