# SPDX-License-Identifier: Apache-2.0
"""The PostgreSQL store with a pool that the application gives it."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from flipper import Condition, FeatureFlagClient
from flipper.contracts.watch import WatchRefusedError
from flipper.contrib.postgresql import (
    PostgreSQLFeatureFlagStore,
)
from flipper.testing.contract import eventually
from support.flags import names
from support.postgres_roles import (
    TRIGGER_NAMES,
    sessions,
    trigger_names,
)
from support.watches import next_report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from servers import Proxy

    Connection = psycopg.Connection[Any]

pytestmark = pytest.mark.postgres


@contextmanager
def application_pool(conninfo: str, **options: Any) -> Iterator[ConnectionPool[Any]]:
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
def test_a_given_pool_is_used_and_left_unchanged(
    through: str, proxy: Proxy, kwargs: dict[str, Any]
) -> None:
    """The store works with the pool's own settings, and restores them."""
    with application_pool(through, kwargs=kwargs, max_size=1) as pool:
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


def attempt(call: Callable[..., Any], *arguments: Any) -> Any:
    """Make a call; return its result, or `None` if the server is away."""
    with suppress(psycopg.OperationalError):
        return call(*arguments)


def test_the_timeout_of_a_given_pool_counts(through: str, proxy: Proxy) -> None:
    """The store waits for a connection as long as the pool says."""
    with application_pool(through, timeout=0.5, max_size=1) as pool:
        pool.wait()
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


def test_a_watch_connects_with_the_settings_of_a_given_pool(
    postgres_conninfo: str, raw: Connection
) -> None:
    """The watch has a connection of its own, configured like those of the pool."""
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
        assert trigger_names(raw, "elsewhere.feature_flags") == TRIGGER_NAMES
        watch = store.watch()
        with pool.connection():
            raw.execute("INSERT INTO elsewhere.feature_flags VALUES ('x', '')")
            assert next_report(watch) == {"x"}
            assert sessions(raw) == 2
        watch.close()
        watch.close()
        eventually(lambda: sessions(raw) == 1)
        assert store.get("missing") is None


def test_a_pool_of_another_kind_cannot_be_watched(postgres_conninfo: str) -> None:
    """`watch` raises if the pool does not say how to connect."""
    with application_pool(postgres_conninfo) as pool:

        class OtherPool:
            getconn = pool.getconn
            putconn = pool.putconn

        store = PostgreSQLFeatureFlagStore(OtherPool())  # type: ignore[arg-type]
        store.create("x")
        with pytest.raises(WatchRefusedError):
            store.watch()
