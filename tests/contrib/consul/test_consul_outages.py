# SPDX-License-Identifier: Apache-2.0
"""The Consul store while its agent is away, loses replies or is restarted."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from flipper import Condition, FeatureFlagClient
from flipper.contrib.consul import ConsulFeatureFlagStore
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.testing.contract import eventually
from servers import ConsulServer, Proxy
from support.consul_clients import AWAY, BriefStore, TappedClient, connect_to_consul
from support.flags import document, names, state
from support.lost_replies import WRITES, lose_each_reply

if TYPE_CHECKING:
    import consul

pytestmark = pytest.mark.consul


class DirectAccess:
    """The flags as Consul has them, and a wait until the copy of a store has them."""

    def __init__(self, client: consul.Consul, store: ConsulFeatureFlagStore) -> None:
        self._kv = client.kv
        self._store = store

    def get(self, name: str) -> Any:
        """Read a flag."""
        found = self._kv.get(f"{self._store.base_key}/{name}")[1]
        return (
            None if found is None else FeatureFlagStoreItem.deserialize(found["Value"])
        )

    def create(self, name: str) -> None:
        """Write a new flag, which differs from all before."""
        data = {"unique": uuid.uuid4().hex}
        item = FeatureFlagStoreItem(name, False, FeatureFlagStoreMeta(7, data))
        self._kv.put(f"{self._store.base_key}/{name}", item.serialize())

        def is_read() -> bool:
            found = self._store.get(name)
            return found is not None and found.meta["client_data"] == data

        eventually(is_read)

    def delete(self, name: str) -> None:
        """Delete a flag."""
        self._kv.delete(f"{self._store.base_key}/{name}")
        eventually(lambda: self._store.get(name) is None)


@pytest.mark.parametrize("write", WRITES)
def test_a_write_whose_reply_is_lost_raises_or_has_taken_effect(
    proxy: Proxy, client: consul.Consul, base_key: str, write: str
) -> None:
    """A write is applied once at most, and returns only if it was applied."""

    class ThreadPassesProxy(TappedClient):
        """Keeps the thread's requests off the proxy, so that replies can be counted."""

        def get(self, key: str, recurse: bool = False, **options: Any) -> Any:
            source = client.kv if recurse else self.inner
            return source.get(key, recurse=recurse, **options)

    with BriefStore(ThreadPassesProxy(connect_to_consul(proxy)), base_key) as store:
        flags = FeatureFlagClient(store)
        lose_each_reply(write, proxy, lambda: flags, DirectAccess(client, store), AWAY)


def test_the_copy_answers_while_the_agent_is_away(
    own_server: ConsulServer,
) -> None:
    """During an outage flags answer as last known, and writes fail."""
    client = connect_to_consul(own_server)
    with ConsulFeatureFlagStore(connect_to_consul(own_server), "restarted") as store:
        flags = FeatureFlagClient(store)
        flags.create("on", is_enabled=True)
        flags.create("off")
        for stop in (own_server.stop, own_server.kill):
            stop()
            for _ in range(1000):
                assert flags.is_enabled("on") is True
                assert flags.is_enabled("off") is False
            assert names(store) == ["off", "on"]
            for call in (
                lambda: flags.create("new"),
                lambda: flags.enable("on"),
                lambda: flags.add_condition("on", Condition(a=1)),
                lambda: flags.destroy("on"),
            ):
                with pytest.raises(AWAY):
                    call()
            own_server.start()
            client.kv.put("restarted/on", document("on", is_enabled=False))
            eventually(lambda: flags.is_enabled("on") is False)
            flags.enable("on")
            assert flags.is_enabled("on") is True
        assert flags.exists("new") is False


def test_a_lost_connection_is_replaced(
    consul_server: ConsulServer, client: consul.Consul, base_key: str
) -> None:
    """The thread connects again if its connection is cut while a request waits."""
    with (
        Proxy(consul_server.host, consul_server.port) as proxy,
        ConsulFeatureFlagStore(connect_to_consul(proxy), base_key) as store,
    ):
        store.create("x", is_enabled=True)
        for is_enabled in (False, True):
            proxy.cut()
            client.kv.put(f"{base_key}/x", document("x", is_enabled))
            assert state(store) is not is_enabled
            proxy.restore()
            eventually(lambda expected=is_enabled: state(store) is expected)
            store.set("y", True)
