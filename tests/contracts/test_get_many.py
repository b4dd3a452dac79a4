# SPDX-License-Identifier: Apache-2.0
"""Reading several flags at once. The contract has the rules for all stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest import mock
from uuid import uuid4

import psycopg
import pytest
import redis

from flipper import (
    CachedFeatureFlagStore,
    FailoverFeatureFlagStore,
    MemoryFeatureFlagStore,
    PostgreSQLFeatureFlagStore,
    ReadOnlyFeatureFlagStore,
    RedisFeatureFlagStore,
    ReplicatedFeatureFlagStore,
    SQLiteFeatureFlagStore,
    SyncedFeatureFlagStore,
)
from flipper.contracts.update import get_many
from support.custom_stores import FailingMemoryStore, ForwardingStore, RemoteStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from servers import RedisServer

NAMES = [f"flag-{number}" for number in range(20)]
WRAPPERS: list[Callable[[Any], Any]] = [
    lambda store: store,
    CachedFeatureFlagStore,
    lambda store: CachedFeatureFlagStore(store, ttl=60, stale_if_error=60),
    ReadOnlyFeatureFlagStore,
    lambda store: ReplicatedFeatureFlagStore(store, MemoryFeatureFlagStore()),
    lambda store: FailoverFeatureFlagStore(store, MemoryFeatureFlagStore()),
    lambda store: ReadOnlyFeatureFlagStore(CachedFeatureFlagStore(store)),
]


@pytest.fixture
def base_key() -> str:
    """Return a base key of Redis that no other test uses."""
    return f"features-{uuid4()}"


def states(found: dict[str, Any]) -> dict[str, bool | None]:
    """Return the states of flags, `None` for those that are missing."""
    return {name: item and item.raw_is_enabled for name, item in found.items()}


def fill(store: Any) -> dict[str, bool | None]:
    """Create every second flag, and return the states of all."""
    wanted: dict[str, bool | None] = dict.fromkeys(NAMES)
    for number, name in enumerate(NAMES[::2]):
        wanted[name] = number % 2 == 0
        store.create(name, is_enabled=wanted[name])
    return wanted


@pytest.mark.redis
@pytest.mark.parametrize("decodes", [False, True])
@pytest.mark.parametrize("wrap", WRAPPERS)
def test_redis_gets_one_command(
    redis_server: RedisServer, base_key: str, wrap: Callable[[Any], Any], decodes: bool
) -> None:
    """Also through wrappers, many flags are one MGET."""
    client = redis.Redis(redis_server.host, redis_server.port, decode_responses=decodes)
    store = RedisFeatureFlagStore(client, base_key)
    wanted = fill(store)
    wrapped = wrap(store)
    with mock.patch.object(
        client, "execute_command", wraps=client.execute_command
    ) as execute:
        assert states(get_many(wrapped, NAMES)) == wanted
    assert [call.args[0] for call in execute.mock_calls] == ["MGET"]
    client.close()


@pytest.mark.postgres
@pytest.mark.parametrize("wrap", WRAPPERS)
def test_postgresql_gets_one_statement(
    postgres_conninfo: str, wrap: Callable[[Any], Any]
) -> None:
    """Also through wrappers, many flags are one SELECT."""
    with PostgreSQLFeatureFlagStore(postgres_conninfo) as store:
        wanted = fill(store)
        wrapped = wrap(store)
        execute = psycopg.Cursor.execute
        with mock.patch.object(psycopg.Cursor, "execute", autospec=True) as spied:
            spied.side_effect = execute
            assert states(get_many(wrapped, NAMES)) == wanted
        assert [call.args[1].split()[0] for call in spied.mock_calls] == ["SELECT"]


def test_sqlite_gets_one_statement_for_500_flags(tmp_path: Path) -> None:
    """SQLite limits the parameters of a statement, so more flags take more of them."""
    with SQLiteFeatureFlagStore(tmp_path / "flags.db") as store:
        wanted = fill(store)
        more = [f"more-{number}" for number in range(1200)]
        fetch = store._connections.fetch
        with mock.patch.object(store._connections, "fetch", wraps=fetch) as spied:
            assert states(get_many(store, NAMES)) == wanted
            assert spied.call_count == 1
            found = states(get_many(store, [*more, *NAMES]))
            assert spied.call_count == 4
        assert found == {**dict.fromkeys(more), **wanted}


def test_stores_in_memory_answer_from_memory() -> None:
    """The copy of a synced store answers without the inner store."""
    inner = ForwardingStore()
    wanted = fill(inner)
    with SyncedFeatureFlagStore(inner) as store:
        inner.calls.clear()
        assert states(get_many(store, NAMES)) == wanted
        assert inner.calls == []


def test_a_store_of_an_application_is_asked_for_each_flag() -> None:
    """A store with only the six methods needs no other one."""
    store = ForwardingStore()
    wanted = fill(store)
    store.calls.clear()
    assert states(get_many(store, NAMES)) == wanted
    assert store.calls == ["get"] * len(NAMES)


def test_a_replaced_get_is_called(tmp_path: Path) -> None:
    """A subclass or a test that replaces `get` expects that it is called."""

    class OwnGet(SQLiteFeatureFlagStore):
        def get(self, feature_name: str) -> Any:
            return "own", feature_name

    with OwnGet(tmp_path / "flags.db") as own:
        assert get_many(own, ["a"]) == {"a": ("own", "a")}
    with SQLiteFeatureFlagStore(tmp_path / "flags.db") as store:
        with mock.patch.object(store, "get", return_value="replaced"):
            assert get_many(store, ["a"]) == {"a": "replaced"}
        with mock.patch.object(SQLiteFeatureFlagStore, "get", return_value="too"):
            assert get_many(store, ["a"]) == {"a": "too"}
        assert get_many(store, ["a"]) == {"a": None}


def test_another_method_of_the_same_name_is_not_called(tmp_path: Path) -> None:
    """A subclass that was written for flipper-client may have a `get_many` of its own.

    It may have other parameters, and return something else.
    """

    class OwnMethod(SQLiteFeatureFlagStore):
        def get_many(self, limit: int) -> Any:  # type: ignore[override]  # on purpose
            raise AssertionError(limit)

    with OwnMethod(tmp_path / "flags.db") as store:
        wanted = fill(store)
        assert states(get_many(store, NAMES)) == wanted


@pytest.mark.redis
def test_a_broken_document_is_left_out(
    redis_server: RedisServer, base_key: str
) -> None:
    """It hides no other flag, and `get` has its error."""
    client = redis.Redis(redis_server.host, redis_server.port)
    store = RedisFeatureFlagStore(client, base_key)
    wanted = fill(store)
    client.set(f"{base_key}/{NAMES[0]}", b"{")
    del wanted[NAMES[0]]
    assert states(get_many(store, NAMES)) == wanted
    cached = CachedFeatureFlagStore(store)
    assert states(get_many(cached, NAMES)) == wanted
    assert states(get_many(cached, NAMES[:1])) == {}
    client.close()


def test_a_cache_reads_only_what_it_does_not_know() -> None:
    """Flags that are cached are not read again, also those that are missing."""
    inner = ForwardingStore()
    wanted = fill(inner)
    store = CachedFeatureFlagStore(inner)
    inner.calls.clear()
    store.get(NAMES[0])
    store.get(NAMES[1])
    assert states(get_many(store, NAMES)) == wanted
    assert states(get_many(store, NAMES)) == wanted
    assert inner.calls == ["get"] * len(NAMES)
    assert store.get(NAMES[2]) is not None
    assert inner.calls == ["get"] * len(NAMES)


def test_a_cache_answers_with_stale_entries_while_its_store_fails() -> None:
    """`stale_if_error` also holds for many flags at once."""
    inner = RemoteStore()
    wanted = fill(inner)
    store = CachedFeatureFlagStore(inner, ttl=0, stale_if_error=60)
    assert states(get_many(store, NAMES)) == wanted
    inner.failure = ConnectionError("down")
    assert states(get_many(store, NAMES)) == wanted


def test_a_cache_raises_the_error_of_its_store() -> None:
    """No read is left in progress then, for which other threads would wait."""
    inner = FailingMemoryStore()
    wanted = fill(inner)
    plain = CachedFeatureFlagStore(inner)
    inner.failure = ConnectionError("down")
    with pytest.raises(ConnectionError, match="down"):
        get_many(plain, NAMES)
    inner.failure = None
    assert states(get_many(plain, NAMES)) == wanted
    assert not plain._in_progress


def test_failover_reads_all_flags_from_the_secondary() -> None:
    """While the primary fails, no flag comes from it."""
    primary, secondary = RemoteStore(), MemoryFeatureFlagStore()
    fill(primary)
    secondary.create(NAMES[1], is_enabled=True)
    store = FailoverFeatureFlagStore(primary, secondary)
    primary.failure = ConnectionError("down")
    wanted = {**dict.fromkeys(NAMES), NAMES[1]: True}
    for _ in range(2):  # the second time, the circuit breaker is open
        assert states(get_many(store, NAMES)) == wanted
