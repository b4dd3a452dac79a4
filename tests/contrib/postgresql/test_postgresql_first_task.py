# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL store that is made before its server answers, or is refused by it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from time import monotonic
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import errors, sql
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from flipper import (
    FeatureFlagClient,
    PostgreSQLFeatureFlagStore,
)
from flipper.contrib.postgresql.first_task import is_permanent
from flipper.testing.contract import at_once, eventually
from servers import PostgresServer, Proxy, unmeasured
from support.postgres_roles import (
    TRIGGER_NAMES,
    trigger_names,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.postgres


def triggers_of(conninfo: str) -> list[str]:
    """Return the names of the triggers of the flags' table."""
    with psycopg.connect(conninfo) as connection:
        return trigger_names(connection)


class CountingStore(PostgreSQLFeatureFlagStore):
    """A store that counts its migrations."""

    migrations = 0

    def _migrate(self, connection: Any) -> None:
        super()._migrate(connection)
        self.migrations += 1


def test_a_store_can_be_made_while_the_server_is_away(
    own_server: PostgresServer, conninfo: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The first of several calls creates the table, once the server answers."""
    with own_server.away():
        store = CountingStore(conninfo)
        assert "PostgreSQL is unavailable" in caplog.text
        with pytest.raises(psycopg.OperationalError):
            store.get("x")
        with pytest.raises(psycopg.OperationalError):
            store.run_migrations()
        assert FeatureFlagClient(store).is_enabled("x", default=True) is True
    with store:
        at_once(*[lambda: store.get("x")] * 4, *[lambda: store.set("y", True)] * 4)
        assert store.migrations == 1
        assert triggers_of(conninfo) == TRIGGER_NAMES
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
def test_any_first_call_creates_the_table(
    own_server: PostgresServer, conninfo: str, first: Callable[[Any], object]
) -> None:
    """Whichever call is the first creates the table and its triggers."""
    with Proxy(own_server.host, own_server.port) as proxy:
        proxy.cut()
        parts = psycopg.conninfo.conninfo_to_dict(conninfo)
        through = {**parts, "host": proxy.host, "port": proxy.port}
        with PostgreSQLFeatureFlagStore(
            psycopg.conninfo.make_conninfo("", **through)
        ) as store:
            proxy.restore()
            first(store)
    assert triggers_of(conninfo) == TRIGGER_NAMES


def test_an_interrupted_migration_is_repeated(
    own_server: PostgresServer, conninfo: str
) -> None:
    """A migration that loses any of its replies is repeated by the next call."""
    parts = psycopg.conninfo.conninfo_to_dict(conninfo)
    for lost in range(1, 40):
        with Proxy(own_server.host, own_server.port) as proxy:
            through = {**parts, "host": proxy.host, "port": proxy.port}
            proxy.drop_reply(lost)
            with PostgreSQLFeatureFlagStore(
                psycopg.conninfo.make_conninfo("", **through), f"table-{lost}"
            ) as store:
                was_dropped = proxy.dropped
                proxy.restore()
                eventually(lambda store=store: answers(store))
                store.watch().close()
        if not was_dropped:
            break
    assert lost > 5


def answers(store: Any) -> bool:
    """Return whether the store answers."""
    try:
        store.get("x")
    except psycopg.OperationalError:
        return False
    return True


@pytest.fixture
def locked_role(own_server: PostgresServer, conninfo: str) -> Iterator[str]:
    """Give the connection string of a role that needs a password, without one."""
    hba = own_server.folder / "data" / "pg_hba.conf"
    before = hba.read_text()
    with psycopg.connect(conninfo, autocommit=True) as raw:
        raw.execute("CREATE ROLE locked_role LOGIN PASSWORD 'right'")
        hba.write_text(f"host all locked_role all scram-sha-256\n{before}")
        raw.execute("SELECT pg_reload_conf()")
        base = psycopg.conninfo.make_conninfo(conninfo, user="locked_role")
        eventually(lambda: not can_connect(base))
        yield base
        hba.write_text(before)
        raw.execute("SELECT pg_reload_conf()")
        raw.execute("DROP ROLE locked_role")


def can_connect(conninfo: str) -> bool:
    """Return whether the server accepts a connection."""
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
def test_a_permanent_refusal_raises_in_the_constructor(
    locked_role: str, setting: dict[str, str], said: str, is_pool: bool
) -> None:
    """The constructor raises for errors that only an administrator can remove."""
    conninfo = psycopg.conninfo.make_conninfo(locked_role, **setting)
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
def test_a_temporary_error_is_not_permanent(message: str) -> None:
    """A server that starts, stops or is full is no permanent refusal."""
    assert is_permanent(errors.OperationalError(message)) is False
    assert is_permanent(errors.AdminShutdown(message)) is False


def test_an_error_code_of_the_server_is_permanent() -> None:
    """An error with the code of a refusal is permanent, whatever its text is."""
    assert is_permanent(errors.InvalidPassword("ВАЖНО")) is True
    assert is_permanent(errors.LockNotAvailable("busy")) is True


def test_a_given_pool_may_have_no_server_yet(
    own_server: PostgresServer, conninfo: str
) -> None:
    """The constructor does not wait for as long as the pool would."""
    with own_server.away():
        pool = ConnectionPool(conninfo, open=True, min_size=1, timeout=600)
        began = monotonic()
        store = PostgreSQLFeatureFlagStore(pool)
        assert monotonic() - began < 60
    with pool:
        store.set("x", True)
        assert triggers_of(conninfo) == TRIGGER_NAMES


def test_a_closed_pool_is_refused(conninfo: str) -> None:
    """The constructor raises if the pool is not open."""
    with pytest.raises(PoolClosed):
        PostgreSQLFeatureFlagStore(ConnectionPool(conninfo, open=False))


def test_a_given_pool_may_be_exhausted(
    conninfo: str,
) -> None:
    """The constructor succeeds if all connections of the pool are in use."""
    with ConnectionPool(conninfo, open=True, max_size=1, min_size=1, timeout=1) as pool:
        pool.wait()
        with pool.connection():
            store = PostgreSQLFeatureFlagStore(pool)
            with pytest.raises(PoolTimeout):
                store.get("x")
        assert store.get("x") is None


def test_a_role_without_rights_gets_an_error_until_the_table_exists(
    own_server: PostgresServer, conninfo: str
) -> None:
    """A role that may not create the table gets an error, until others create it."""
    with psycopg.connect(conninfo, autocommit=True) as raw:
        raw.execute("DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN")
        raw.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    as_reader = psycopg.conninfo.make_conninfo(conninfo, user="reader")
    with pytest.raises(errors.InsufficientPrivilege):
        PostgreSQLFeatureFlagStore(as_reader)
    with own_server.away():
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
def test_forked_children_create_the_table_together(
    own_server: PostgresServer, conninfo: str
) -> None:
    """Children of a process that started during an outage all find the table."""
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
    with own_server.away():
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
    assert triggers_of(conninfo) == TRIGGER_NAMES
