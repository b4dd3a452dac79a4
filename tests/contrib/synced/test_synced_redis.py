# SPDX-License-Identifier: Apache-2.0
"""The synced store over real Redis servers, with a proxy in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import redis

from flipper.contrib.redis import RedisFeatureFlagStore
from flipper.contrib.synced import SyncedFeatureFlagStore
from flipper.testing.contract import eventually
from interop.conftest import original_python  # noqa: F401  (a fixture)
from servers import RedisServer, start_redis
from support.synced_rules import SyncedRules, is_live

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flipper import FeatureFlagClient
    from servers.process import Server
    from support.synced_programs import Address

pytestmark = pytest.mark.redis


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """Give a server that tests may stop."""
    with start_redis() as server:
        yield server


class TestSyncedRedis(SyncedRules):
    """The rules over Redis, and rules for Redis only."""

    backend = "redis"

    @staticmethod
    def connect(address: Address) -> RedisFeatureFlagStore:
        """Make an inner store with its own client."""
        client = redis.Redis(host=address.host, port=address.port, socket_timeout=10)
        return RedisFeatureFlagStore(client, address.place)

    def address_for_agent(self, address: Address) -> str:
        """Return the URL."""
        return f"redis://{address.host}:{address.port}"

    def test_an_emptied_server_is_seen(
        self, store: SyncedFeatureFlagStore, server: Server
    ) -> None:
        """`FLUSHALL` is reported without the names of the keys."""
        client = redis.Redis(host=server.host, port=server.port)
        with client:
            client.flushall()
        eventually(lambda: not list(store.list()))
        assert is_live(store)

    def test_a_change_costs_one_command_of_the_server(
        self, others: FeatureFlagClient, direct: Address, server: Server
    ) -> None:
        """A change costs one MGET; the flags are not listed."""
        with (
            SyncedFeatureFlagStore(self.connect(direct), poll_interval=3600) as store,
            redis.Redis(host=server.host, port=server.port) as client,
        ):
            eventually(lambda: is_live(store))

            def calls() -> dict[str, int]:
                found = client.info("commandstats")
                return {
                    name: found.get(f"cmdstat_{name}", {"calls": 0})["calls"]
                    for name in ("get", "mget", "scan")
                }

            before = calls()
            client.delete(f"{direct.place}/x")
            eventually(lambda: store.get("x") is None)
            after = calls()
        before["mget"] += 1
        assert after == before
