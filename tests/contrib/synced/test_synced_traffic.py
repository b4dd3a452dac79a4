# SPDX-License-Identifier: Apache-2.0
"""What a synced store sends and receives while nothing changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import redis

from flipper import (
    PostgreSQLFeatureFlagStore,
    RedisFeatureFlagStore,
    SyncedFeatureFlagStore,
)
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.contrib.synced import reading
from flipper.testing.contract import eventually
from servers import Proxy, start_postgres, start_redis

if TYPE_CHECKING:
    from servers.process import Server

INTERVALS = 20


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Give a list of the looks whether a reading is due, one for each interval."""
    looks: list[bool] = []
    is_due = reading.FlagReader.is_due

    def note(self: reading.FlagReader, watch: Any) -> bool:
        looks.append(is_due(self, watch))
        return looks[-1]

    monkeypatch.setattr(reading.FlagReader, "is_due", note)
    monkeypatch.setattr(reading, "_MOST_INTERVALS", 1e9)
    return looks


def bytes_of_intervals(inner: Any, flags: int, proxy: Proxy, looks: list[bool]) -> int:
    """Return how many bytes pass the proxy in 20 intervals without a change."""
    with SyncedFeatureFlagStore(inner, poll_interval=0.02) as store:
        eventually(lambda: len(list(store.list())) == flags)
        eventually(lambda: not store._follower._reader.unchecked)
        # The counts of PostgreSQL may be reported with a delay.
        eventually(lambda: len(looks) > INTERVALS and not any(looks[-INTERVALS:]))
        looks.clear()
        before = proxy.bytes
        eventually(lambda: len(looks) >= INTERVALS)
        assert not any(looks)
        return proxy.bytes - before


def documents(flags: int) -> list[tuple[str, bytes]]:
    """Return names and documents of flags."""
    items = (
        FeatureFlagStoreItem(f"f{number}", True, FeatureFlagStoreMeta(1))
        for number in range(flags)
    )
    return [(item.feature_name, item.serialize()) for item in items]


def fill_redis(server: Server, flags: int) -> None:
    """Write flags to a Redis server."""
    with redis.Redis(host=server.host, port=server.port) as client:
        client.mset({f"features/{name}": text for name, text in documents(flags)})


def fill_postgres(server: Server, flags: int) -> None:
    """Write flags to a PostgreSQL server."""
    with psycopg.connect(conninfo(server)) as raw, raw.cursor() as cursor:
        cursor.execute("DELETE FROM feature_flags")
        statement = "INSERT INTO feature_flags VALUES (%s, %s)"
        cursor.executemany(statement, documents(flags))


def conninfo(address: Any) -> str:
    """Return the connection string of a server's first database."""
    return f"host={address.host} port={address.port} user=postgres dbname=postgres"


@pytest.mark.redis
def test_the_idle_traffic_of_redis_does_not_depend_on_the_number_of_flags(
    looks: list[bool],
) -> None:
    """An interval costs nothing; only a `PING` passes now and then."""
    found = []
    with start_redis() as server, Proxy(server.host, server.port) as proxy:
        for flags in (10, 1000):
            fill_redis(server, flags)
            with redis.Redis(host=proxy.host, port=proxy.port) as client:
                inner = RedisFeatureFlagStore(client)
                found.append(bytes_of_intervals(inner, flags, proxy, looks))
    assert max(found) < 1000


@pytest.mark.postgres
def test_the_idle_traffic_of_postgresql_does_not_depend_on_the_number_of_flags(
    looks: list[bool],
) -> None:
    """An interval costs one request for some counts, and its answer."""
    found = []
    with start_postgres() as server, Proxy(server.host, server.port) as proxy:
        for flags in (10, 1000):
            with PostgreSQLFeatureFlagStore(conninfo(proxy)) as inner:
                fill_postgres(server, flags)
                found.append(bytes_of_intervals(inner, flags, proxy, looks))
    # The counts have more digits if there are more flags.
    assert abs(found[1] - found[0]) < 1000
    assert max(found) > 1000


@pytest.mark.redis
def test_a_thousand_flags_are_read_from_redis_in_two_round_trips() -> None:
    """A server that comes back gets few requests of each of many processes."""
    with start_redis() as server:
        fill_redis(server, 1000)
        with redis.Redis(host=server.host, port=server.port) as client:
            found: dict[str, Any] = {}
            client.config_resetstat()
            RedisFeatureFlagStore(client).read_undecoded(found, {})
            calls = client.info("commandstats")
    assert len(found) == 1000
    assert calls["cmdstat_mget"]["calls"] == 1
    # One SCAN looks at about a thousand keys, so a second one may be needed.
    assert calls["cmdstat_scan"]["calls"] <= 2


@pytest.mark.postgres
def test_a_thousand_flags_are_read_from_postgresql_by_one_statement() -> None:
    """A server that comes back gets few requests of each of many processes."""
    found: dict[str, Any] = {}
    with (
        start_postgres() as server,
        Proxy(server.host, server.port) as proxy,
        PostgreSQLFeatureFlagStore(conninfo(proxy)) as inner,
    ):
        fill_postgres(server, 1000)
        inner.get("f0")  # on a connection that is open from now on
        before = proxy.requests
        inner.read_undecoded(found, {})
        requests = proxy.requests - before
    assert len(found) == 1000
    assert requests == 1
