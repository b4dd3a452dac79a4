# SPDX-License-Identifier: Apache-2.0
"""The Redis store while its server is away, loses replies or is restarted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from flipper import FeatureFlagClient
from flipper.bucketing import ConsistentHashPercentageBucketer, Percentage
from flipper.contrib.redis import RedisFeatureFlagStore
from flipper.testing.contract import eventually
from servers import Proxy, RedisServer, start_redis, unmeasured
from support.flags import conditions, names
from support.lost_replies import WRITES, lose_each_reply
from support.outage_rules import check_circuit_breaker
from support.programs import run_program
from support.redis_servers import (
    without_pauses,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    Connect = Callable[..., Any]

pytestmark = pytest.mark.redis


@pytest.mark.parametrize("retries", [0, 3])
@pytest.mark.parametrize("write", WRITES)
def test_a_write_whose_reply_is_lost_raises_or_has_taken_effect(
    store: RedisFeatureFlagStore,
    proxy: Proxy,
    through: Connect,
    write: str,
    retries: int,
) -> None:
    """A write is applied once at most, and returns only if it was applied."""

    def connected() -> FeatureFlagClient:
        # One connection, which is free again before the store checks what happened.
        options = {"retry": without_pauses(retries), "max_connections": 1}
        if retries:
            options["retry_on_error"] = [redis.ConnectionError]
        client = through(**options)
        client.ping()
        return FeatureFlagClient(RedisFeatureFlagStore(client, store.base_key))

    lose_each_reply(write, proxy, connected, store, redis.ConnectionError)


def test_flags_answer_as_last_known_during_an_outage(
    connect: Connect,
) -> None:
    """During an outage flags answer as last known, and all other calls raise."""
    with start_redis() as server:
        client = connect(server)
        store = RedisFeatureFlagStore(client)
        flags = FeatureFlagClient(store)
        flags.create("on", is_enabled=True)
        flags.create("off")
        flags.create("half", is_enabled=True)
        bucketer = ConsistentHashPercentageBucketer(percentage=Percentage(0.5))
        flags.set_bucketer("half", bucketer)
        before = [flags.is_enabled("half", user_id=user) for user in range(100)]
        assert flags.is_enabled("on") is True
        assert flags.is_enabled("off") is False
        server.kill()
        assert [flags.is_enabled("on") for _ in range(2000)] == [True] * 2000
        assert flags.is_enabled("off", default=True) is False
        assert flags.is_enabled("never reported of", default=True) is True
        after = [flags.is_enabled("half", user_id=user) for user in range(100)]
        assert after == before
        for call in (
            lambda: store.get("on"),
            lambda: flags.exists("on"),
            lambda: flags.create("new"),
            lambda: flags.enable("off"),
            lambda: flags.destroy("on"),
            lambda: store.set("off", True),
            lambda: flags.set_client_data("on", {"a": 1}),
            lambda: list(flags.list()),
        ):
            with pytest.raises(redis.ConnectionError):
                call()
        server.start()
        assert store.get("on").is_enabled() is True
        flags.disable("on")
        eventually(lambda: not flags.is_enabled("on"))
        assert flags.is_enabled("on") is False
        assert sorted(names(store)) == ["half", "off", "on"]


def test_one_call_finds_out_that_the_server_is_away(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """During an outage only the first call, and a background thread, try to connect."""
    with start_redis() as server:
        client = connect(server, retry=Retry(ConstantBackoff(0.05), 5))
        check_circuit_breaker(RedisFeatureFlagStore(client), server, caplog)


def test_a_restarted_server_is_used_by_the_next_call(connect: Connect) -> None:
    """The first call after a restart succeeds, without the old connections."""
    with start_redis() as server:
        flags = FeatureFlagClient(RedisFeatureFlagStore(connect(server)))
        flags.create("x")
        server.restart()
        flags.enable("x")
        server.restart()
        assert flags.is_enabled("x") is True


def test_the_timeout_of_the_client_is_an_outage(
    proxy: Proxy, through: Connect, base_key: str
) -> None:
    """A server that does not answer in time counts as one that is away."""
    client = through(socket_timeout=0.2)
    store = RedisFeatureFlagStore(client, base_key)
    flags = FeatureFlagClient(store)
    flags.create("x", is_enabled=True)
    proxy.blackhole()
    assert flags.is_enabled("x") is True
    with pytest.raises(redis.TimeoutError) as caught:
        flags.disable("x")
    assert isinstance(caught.value, store.outage_errors)
    proxy.restore()
    flags.disable("x")


def test_a_store_works_in_parent_and_child_after_a_fork(
    redis_server: RedisServer, store: RedisFeatureFlagStore, base_key: str
) -> None:
    """Parent and child write with the same store, and lose nothing."""
    program = """
        import os, sys
        import redis
        from flipper import Condition, FeatureFlagClient
        from flipper.contrib.redis import RedisFeatureFlagStore

        client = redis.Redis.from_url(sys.argv[1])
        flags = FeatureFlagClient(RedisFeatureFlagStore(client, sys.argv[2]))
        flags.create("x", is_enabled=True)
        child = os.fork()
        for number in range(20):
            flags.add_condition("x", Condition(a__ne=number))
            assert flags.is_enabled("x") is True
        if child:
            assert os.waitpid(child, 0)[1] == 0
        client.close()
    """
    run_program(
        program,
        redis_server.url,
        base_key,
        options=("-W", "error", "-W", "ignore::ResourceWarning"),
        environment=unmeasured(),
    )
    assert len(conditions(store)) == 40
