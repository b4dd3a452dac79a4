# SPDX-License-Identifier: Apache-2.0
"""The copy that the Consul store keeps of its flags, and what it lists."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
import requests

from flipper import AsyncFeatureFlagClient, FeatureFlagClient
from flipper.async_client.worker_threads import WorkerThreads
from flipper.contrib.consul import ConsulFeatureFlagStore
from flipper.testing.contract import eventually
from support.consul_clients import (
    BriefStore,
    TappedClient,
    connect_to_consul,
    wait_until_level,
    watch_when_ready,
)
from support.flags import document, names, state

if TYPE_CHECKING:
    import consul

    from servers import Proxy

pytestmark = pytest.mark.consul


def test_a_new_store_has_all_flags(client: consul.Consul, base_key: str) -> None:
    """A store has read all flags when its constructor returns."""
    for number in range(30):
        client.kv.put(f"{base_key}/flag-{number:02}", document(f"flag-{number:02}"))
    with BriefStore(client, base_key) as store:
        assert names(store) == [f"flag-{number:02}" for number in range(30)]


def test_changes_of_others_are_copied(
    store: ConsulFeatureFlagStore, client: consul.Consul, base_key: str
) -> None:
    """The copy follows writes and deletions of other programs."""
    for is_enabled in (True, False, True):
        client.kv.put(f"{base_key}/x", document("x", is_enabled))
        eventually(lambda expected=is_enabled: state(store) is expected)
    client.kv.delete(f"{base_key}/x")
    eventually(lambda: store.get("x") is None)
    assert names(store) == []


def test_reads_send_no_request(
    proxy: Proxy, client: consul.Consul, base_key: str
) -> None:
    """Asking for flags and listing them read the copy, and send nothing."""
    with ConsulFeatureFlagStore(connect_to_consul(proxy), base_key) as store:
        flags = FeatureFlagClient(store)
        for number in range(3):
            flags.create(f"flag-{number}", is_enabled=True)
        # Until the thread waits for a change, which will not come.
        wait_until_level(store, client)
        eventually(lambda: proxy.requests == proxy.replies + 1)
        before = proxy.requests
        for _ in range(200):
            assert flags.is_enabled("flag-1") is True
            assert [flag.name for flag in flags.list(limit=1)] == ["flag-0"]
        assert proxy.requests == before


def test_a_list_is_in_the_order_of_keys(store: ConsulFeatureFlagStore) -> None:
    """Flags are listed in Consul's order, by bytes, also across pages."""
    for name in ("b", "Ä", "a/b", "B", "a", "a b", "\uffee", "🐬"):
        store.create(name)
    ordered = ["B", "a", "a b", "a/b", "b", "Ä", "\uffee", "🐬"]
    assert names(store) == ordered
    for offset in range(9):
        assert names(store, limit=3, offset=offset) == ordered[offset:][:3]


def test_a_list_leaves_out_flags_that_were_deleted_meanwhile(
    store: ConsulFeatureFlagStore,
) -> None:
    """A list reads each flag when it gets there, and leaves out those that are gone."""
    for name in "abcd":
        store.create(name)
    listed = store.list()
    assert next(listed).feature_name == "a"
    store.delete("c")
    assert [item.feature_name for item in listed] == ["b", "d"]


class HeldAnswer:
    """Holds an answer to the thread back, as a slow network would."""

    def __init__(self, tapped: TappedClient) -> None:
        self.tapped = tapped
        self.has_answer = threading.Event()
        self.is_open = threading.Event()

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Get the answer, and give it when the gate is open."""
        answer = self.tapped.inner.get(*arguments, **options)
        self.has_answer.set()
        assert self.is_open.wait(30)
        return answer


@pytest.mark.parametrize("write", ["create", "set", "update", "delete", "create again"])
def test_a_store_reads_its_own_write_at_once(
    tapped: TappedClient, client: consul.Consul, base_key: str, write: str
) -> None:
    """A store reads its own write at once, and an older answer does not undo it."""
    gate = HeldAnswer(tapped)
    with BriefStore(tapped, base_key) as store:
        if write in {"set", "update", "delete", "create again"}:
            store.create("x")
            wait_until_level(store, client)
        tapped.asking = gate
        watch_when_ready(store).close()
        # Another flag has changed, so the thread's next answer is of this moment.
        client.kv.put(f"{base_key}/other", document("other"))
        assert gate.has_answer.wait(30)
        if write == "delete":
            store.delete("x")
            expected = None
        elif write == "update":
            store.update("x", lambda item: item.replace(is_enabled=True))
            expected = True
        elif write == "set":
            store.set("x", True)
            expected = True
        else:
            store.create("x", is_enabled=True)
            expected = True
        assert state(store) is expected
        seen = set()
        asked = tapped.asked
        tapped.asking = tapped.inner.get
        gate.is_open.set()
        while tapped.asked < asked + 2 or state(store, "other") is None:
            seen.add(state(store))
        seen.add(state(store))
        assert seen == {expected}


def test_a_later_write_of_another_replaces_the_stores_own(
    tapped: TappedClient, client: consul.Consul, base_key: str
) -> None:
    """The copy follows a write of another program that came after the store's own."""
    with BriefStore(tapped, base_key) as store:
        for number in range(10):
            store.create("x", is_enabled=True)
            client.kv.put(f"{base_key}/x", document("x", is_enabled=False))
            eventually(lambda: state(store) is False)
            store.delete("x")
            assert state(store) is None
            client.kv.put(f"{base_key}/x", document("x", bool(number % 2)))
            eventually(lambda n=number: state(store) is bool(n % 2))


def test_a_write_is_read_even_if_the_request_after_it_fails(
    client: consul.Consul, base_key: str
) -> None:
    """A store reads its own write even if it could not ask for its revision."""

    class Deaf(TappedClient):
        def get(self, key: str, recurse: bool = False, **options: Any) -> Any:
            if not recurse:
                raise requests.exceptions.ConnectionError
            return super().get(key, recurse=True, **options)

    with BriefStore(Deaf(client), base_key) as store:
        flags = FeatureFlagClient(store)
        flags.create("x", client_data={"a": 1})
        assert flags.get_client_data("x") == {"a": 1}
        # A change needs the revision of the flag, which the thread will have read.
        wait_until_level(store, client)
        flags.enable("x")
        assert flags.is_enabled("x") is True
        assert flags.get_client_data("x") == {"a": 1}
        # A client would first check whether the flag exists.
        store.delete("x")
        assert flags.exists("x") is False


def test_an_event_loop_reads_the_copy(
    store: ConsulFeatureFlagStore, caplog: pytest.LogCaptureFixture
) -> None:
    """It needs no thread for that, and the sync client may do it too."""
    store.create("x", is_enabled=True)
    client = AsyncFeatureFlagClient(store)

    async def ask() -> None:
        with mock.patch.object(WorkerThreads, "start", side_effect=AssertionError):
            assert await client.is_enabled("x") is True
            assert await client.exists("x") is True
            assert client.sync_client.is_enabled("x") is True
            assert len(list(client.sync_client.list())) == 1

    asyncio.run(ask(), debug=True)
    assert not [r for r in caplog.records if "event loop" in r.getMessage()]


def test_an_event_loop_does_not_wait_for_the_first_answer(
    store: ConsulFeatureFlagStore,
) -> None:
    """A thread does, for example in a forked child."""
    client = AsyncFeatureFlagClient(store)
    store._follower._has_waited = False
    asyncio.run(client.is_enabled("x"))
    assert client._threads._threads == 1
    assert store._follower._has_waited
