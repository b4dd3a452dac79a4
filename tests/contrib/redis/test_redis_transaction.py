# SPDX-License-Identifier: Apache-2.0
"""Writes of several clients to one flag of the Redis store, at the same time."""

from __future__ import annotations

import multiprocessing
import warnings
from typing import TYPE_CHECKING, Any

import fakeredis
import pytest
import redis

from flipper import Condition, FeatureFlagClient, FlagDoesNotExistError
from flipper.contrib.redis import RedisFeatureFlagStore
from flipper.testing.contract import at_once
from servers import Proxy, RedisServer, start_redis
from servers.process import free_port
from support.flags import conditions
from support.redis_rivals import Rivalry, before_command
from support.redis_servers import without_pauses

if TYPE_CHECKING:
    from collections.abc import Callable

    Connect = Callable[..., Any]

pytestmark = pytest.mark.redis


def add_conditions(url: str, base_key: str, times: int, threads: int) -> None:
    """Add equal conditions to the flag x, `times` by each of so many threads."""
    with redis.Redis.from_url(url) as client:
        flags = FeatureFlagClient(RedisFeatureFlagStore(client, base_key))

        def add() -> None:
            for _ in range(times):
                flags.add_condition("x", Condition(is_admin=True))

        at_once(*[add] * threads)


def test_concurrent_writes_of_threads_are_all_kept(
    store: RedisFeatureFlagStore, redis_server: RedisServer, base_key: str
) -> None:
    """Each of 400 equal conditions that eight threads add is kept."""
    store.create("x")
    add_conditions(redis_server.url, base_key, times=50, threads=8)
    assert len(conditions(store)) == 400


def test_concurrent_writes_of_processes_are_all_kept(
    store: RedisFeatureFlagStore, redis_server: RedisServer, base_key: str
) -> None:
    """Each of 200 equal conditions that four processes add is kept."""
    store.create("x")
    context = multiprocessing.get_context("spawn")
    arguments = (redis_server.url, base_key, 50, 1)
    processes = [
        context.Process(target=add_conditions, args=arguments) for _ in range(4)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert len(conditions(store)) == 200


def test_writes_of_the_state_and_of_metadata_are_all_kept(
    redis_server: RedisServer, connect: Connect, base_key: str
) -> None:
    """A write of the state does not undo one of metadata, nor the other way round."""
    flags = [
        FeatureFlagClient(RedisFeatureFlagStore(connect(redis_server), base_key))
        for _ in range(4)
    ]
    flags[0].create("x")

    def switch() -> None:
        for _ in range(40):
            flags[0].disable("x")
            flags[0].enable("x")

    def describe(number: int) -> None:
        for time_ in range(25):
            flags[number].set_client_data("x", {f"{number}-{time_}": time_})

    def limit() -> None:
        for number in range(25):
            flags[3].add_condition("x", Condition(a__ne=number))

    at_once(switch, lambda: describe(1), lambda: describe(2), limit)
    assert len(flags[0].get_client_data("x")) == 50
    assert len(flags[0].get_meta("x")["conditions"]) == 25
    assert flags[0].is_enabled("x") is True


@pytest.fixture(params=["server", "fake"])
def any_client(request: pytest.FixtureRequest) -> redis.Redis:
    """Give a client of a server, or of a Redis in this process."""
    if request.param == "fake":
        return fakeredis.FakeRedis()
    return request.getfixturevalue("client")


@pytest.mark.parametrize("command", ["WATCH", "MULTI"])
@pytest.mark.parametrize("times", [1, 5])
def test_a_write_does_not_undo_one_in_the_middle_of_it(
    any_client: redis.Redis,
    command: str,
    times: int,
    base_key: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A write is repeated if a rival writes between its reading and its writing."""
    ours = FeatureFlagClient(RedisFeatureFlagStore(any_client, base_key))
    theirs = FeatureFlagClient(RedisFeatureFlagStore(any_client, base_key))
    ours.create("x")
    rivalry = Rivalry(monkeypatch, any_client, command, times)
    rivalry.rival = lambda: theirs.add_condition("x", Condition(a=1))
    ours.add_condition("x", Condition(a=1))
    assert len(ours.get_meta("x")["conditions"]) == times + 1
    rivalry.left = times
    ours.enable("x")
    assert len(ours.get_meta("x")["conditions"]) == 2 * times + 1
    assert ours.is_enabled("x", a=1) is True


def test_a_flag_that_a_rival_deletes_is_not_restored(
    client: redis.Redis, base_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`update` raises if a rival deletes the flag; `set` creates a new one."""
    store = RedisFeatureFlagStore(client, base_key)
    rival = RedisFeatureFlagStore(client, base_key)
    rivalry = Rivalry(monkeypatch, client, "MULTI", times=1)
    rivalry.rival = lambda: rival.delete("x")
    store.create("x", client_data={"a": 1})
    with pytest.raises(FlagDoesNotExistError):
        store.update("x", lambda item: item.replace(is_enabled=True))
    assert store.get("x") is None
    store.create("x", client_data={"a": 1})
    rivalry.left = 1
    store.set("x", True)
    assert store.get("x").meta["client_data"] == {}


def test_set_keeps_a_flag_that_a_rival_creates(
    client: redis.Redis, base_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`set` keeps the metadata of a flag that a rival creates in the middle of it."""
    store = RedisFeatureFlagStore(client, base_key)
    rival = RedisFeatureFlagStore(client, base_key)
    rivalry = Rivalry(monkeypatch, client, "MULTI", times=1)
    rivalry.rival = lambda: rival.create("x", client_data={"a": 1})
    store.set("x", True)
    assert store.get("x").meta["client_data"] == {"a": 1}
    assert store.get("x").is_enabled() is True


def test_a_lost_race_is_repeated_inside_an_except_clause(
    client: redis.Redis, base_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write is repeated after a lost race, also while an error is handled."""
    flags = FeatureFlagClient(RedisFeatureFlagStore(client, base_key))
    flags.create("x")
    rivalry = Rivalry(monkeypatch, client, "MULTI", times=1)
    rivalry.rival = lambda: flags.add_condition("x", Condition(b=1))
    try:
        redis.Redis(port=free_port(), retry=without_pauses()).ping()
    except redis.ConnectionError:
        flags.add_condition("x", Condition(a=1))
    assert len(flags.get_meta("x")["conditions"]) == 2


def test_a_refused_write_leaves_no_watched_key(
    redis_server: RedisServer,
    connect: Connect,
    base_key: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After a refused write, a transaction of the application on it works."""
    rival = RedisFeatureFlagStore(connect(redis_server), base_key)
    rival.create("x")
    client = connect(redis_server, max_connections=1)
    store = RedisFeatureFlagStore(client, base_key)
    store.get("x")
    rivalry = Rivalry(monkeypatch, client, "WATCH", times=1)
    rivalry.rival = lambda: rival.set("x", True)
    item = store.get("x")
    assert store._swap(item, item.serialize()) is False
    rival.set("x", False)
    with client.pipeline() as pipe:
        pipe.delete(f"{base_key}/x")
        assert pipe.execute() == [1]


def test_a_pool_may_require_a_command_name(
    redis_server: RedisServer, store: RedisFeatureFlagStore, base_key: str
) -> None:
    """The store works with pools that need a command name for a connection."""

    class CommandNamePool(redis.ConnectionPool):
        def get_connection(self, command_name: str, *keys: Any, **options: Any) -> Any:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                return super().get_connection(command_name, *keys, **options)

    store.create("x")
    item = store.get("x")
    pool = CommandNamePool.from_url(redis_server.url)
    asking = RedisFeatureFlagStore(redis.Redis(connection_pool=pool), base_key)
    assert asking._swap(item.replace(is_enabled=True), item.serialize()) is True
    assert store.get("x").is_enabled() is True
    pool.disconnect()


def test_an_error_leaves_no_reply_on_the_connection(connect: Connect) -> None:
    """The connection is usable after the server has refused a write."""
    with start_redis() as server:
        client = connect(server, max_connections=1)
        store = RedisFeatureFlagStore(client)
        store.create("x")
        client.config_set("maxmemory", 1)
        with pytest.raises(redis.ResponseError, match=r"OOM|memory"):
            store.set("x", True)
        assert store.get("x").is_enabled() is False
        client.config_set("maxmemory", 0)
        store.set("x", True)
        assert store.get("x").is_enabled() is True


def test_an_error_inside_a_transaction_is_raised(
    store: RedisFeatureFlagStore,
    client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A write raises if its command in the transaction has failed."""
    store.create("x")
    kind = client.connection_pool.connection_class
    read = kind.read_response

    def fail(connection: Any, *args: Any, **kwargs: Any) -> Any:
        reply = read(connection, *args, **kwargs)
        return [redis.ResponseError("misconfigured")] if reply == [b"OK"] else reply

    monkeypatch.setattr(kind, "read_response", fail)
    with pytest.raises(redis.ResponseError, match="misconfigured"):
        store.set("x", True)


def test_a_write_fails_if_its_connection_is_replaced(
    redis_server: RedisServer,
    store: RedisFeatureFlagStore,
    connect: Connect,
    base_key: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A write raises if redis-py reconnects after WATCH: nothing is watched then."""
    with Proxy(redis_server.host, redis_server.port) as proxy:
        options = {"health_check_interval": 60, "retry": without_pauses(3)}
        client = connect(redis_server, proxy, **options)
        flags = FeatureFlagClient(RedisFeatureFlagStore(client, base_key))
        flags.create("x")

        def break_off(connection: Any) -> None:
            monkeypatch.undo()
            proxy.cut()
            proxy.restore()
            store.set("x", True)
            connection.next_health_check = 0

        before_command(monkeypatch, client, "MULTI", break_off)
        with pytest.raises(redis.ConnectionError):
            flags.add_condition("x", Condition(a=1))
        assert store.get("x").raw_is_enabled is True


def test_a_lost_reply_is_not_a_lost_race(
    redis_server: RedisServer,
    store: RedisFeatureFlagStore,
    connect: Connect,
    base_key: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A write whose reply is lost raises, and is not applied a second time."""
    with Proxy(redis_server.host, redis_server.port) as proxy:
        client = connect(redis_server, proxy, retry=without_pauses(3))
        flags = FeatureFlagClient(RedisFeatureFlagStore(client, base_key))
        flags.create("x")
        get = client.get

        def go_on_and_get(key: str) -> Any:
            if proxy.dropped:
                FeatureFlagClient(store).add_condition("x", Condition(b=1))
            return get(key)

        def lose(_: Any) -> None:
            monkeypatch.undo()
            monkeypatch.setattr(client, "get", go_on_and_get)
            proxy.drop_reply()

        before_command(monkeypatch, client, "MULTI", lose)
        with pytest.raises(redis.ConnectionError):
            flags.add_condition("x", Condition(a=1))
        assert [list(condition) for condition in conditions(store)] == [["a"], ["b"]]


@pytest.mark.parametrize("retries", [0, 3])
def test_a_write_that_was_not_sent_raises(
    redis_server: RedisServer,
    connect: Connect,
    base_key: str,
    retries: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A write raises, and has no effect, if the connection breaks before MULTI."""
    with Proxy(redis_server.host, redis_server.port) as proxy:
        client = connect(redis_server, proxy, retry=without_pauses(retries))
        store = RedisFeatureFlagStore(client, base_key)
        store.create("x")

        def cut(_: Any) -> None:
            monkeypatch.undo()
            proxy.cut()
            proxy.restore()

        before_command(monkeypatch, client, "MULTI", cut)
        with pytest.raises(redis.ConnectionError):
            store.set("x", True)
        assert store.get("x").is_enabled() is False
