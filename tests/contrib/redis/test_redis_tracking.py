# SPDX-License-Identifier: Apache-2.0
"""The connection on which Redis reports changes: silence, loss, end, forks."""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING

import pytest
import redis

from flipper.contrib.redis import RedisFeatureFlagStore, tracking
from flipper.exceptions import StoreTimeoutError, StoreUnavailableError
from flipper.testing.contract import eventually
from servers import unmeasured
from support.programs import run_program
from support.redis_servers import tracking_connections
from support.watches import reports_until, wait_for_failure

if TYPE_CHECKING:
    from servers import Proxy, RedisServer

pytestmark = pytest.mark.redis


def test_an_idle_watch_pings_the_server(
    proxy: Proxy, proxied_store: RedisFeatureFlagStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A watch without reports checks that the server answers, and goes on."""
    monkeypatch.setattr(tracking, "_PING_AFTER", 0.02)
    watch = proxied_store.watch()
    before = proxy.requests
    for _ in range(20):
        assert not watch.wait(0.05)
    assert proxy.requests - before > 5
    proxied_store.create("x")
    assert reports_until(watch, "x") == {"x"}
    watch.close()


def test_a_watch_fails_if_the_server_is_silent(
    proxy: Proxy, proxied_store: RedisFeatureFlagStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A watch notices that the server does not answer any more."""
    monkeypatch.setattr(tracking, "_PING_AFTER", 0.1)
    watch = proxied_store.watch()
    proxy.blackhole()
    with pytest.raises(StoreTimeoutError, match="not answered for"):
        wait_for_failure(watch)
    with pytest.raises(redis.TimeoutError):
        proxied_store.watch()
    proxy.restore()
    assert not proxied_store.watch().wait(0)


def test_a_watch_fails_if_its_connection_is_lost(
    proxy: Proxy, proxied_store: RedisFeatureFlagStore
) -> None:
    """A watch does not connect again, since it has missed changes."""
    watch = proxied_store.watch()
    proxy.cut()
    with pytest.raises(redis.ConnectionError):
        wait_for_failure(watch)
    with pytest.raises(redis.ConnectionError):
        proxied_store.watch()
    proxy.restore()
    with pytest.raises(StoreUnavailableError):
        watch.wait(0)
    assert proxy.clients() == 0


def test_a_closed_or_deleted_watch_leaves_no_connection(
    client: redis.Redis, store: RedisFeatureFlagStore
) -> None:
    """The connection ends when its watch is closed or deleted."""
    before = tracking_connections(client)
    watch = store.watch()
    forgotten = store.watch()
    assert tracking_connections(client) == before + 2
    watch.close()
    watch.close()
    del forgotten
    gc.collect()
    eventually(lambda: tracking_connections(client) == before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_does_not_use_the_connection(
    redis_server: RedisServer, base_key: str
) -> None:
    """A child that deletes its watch sends nothing on the parent's connection."""
    code = """
        import gc, os, sys
        import redis
        from flipper.contrib.redis import RedisFeatureFlagStore

        client = redis.Redis.from_url(sys.argv[1])
        watch = RedisFeatureFlagStore(client, sys.argv[2]).watch()
        for leaves in (lambda: sys.exit(0), lambda: os._exit(0)):
            child = os.fork()
            if not child:
                del watch
                gc.collect()
                leaves()
            assert os.waitpid(child, 0)[1] == 0
        assert watch.wait(0) == set()
        client.set(sys.argv[2] + "/x", "{}")
        assert watch.wait(30) == {"x"}
    """
    run_program(code, redis_server.url, base_key, environment=unmeasured())
