# SPDX-License-Identifier: Apache-2.0
"""What the watch of a Consul store reports, on real agents."""

from __future__ import annotations

import gc
import shutil
import threading
from typing import TYPE_CHECKING, Any
from weakref import ref

import consul
import pytest

from flipper.contracts.watch import WatchRefusedError
from flipper.contrib.consul import ConsulFeatureFlagStore
from flipper.contrib.consul import watch as module
from flipper.exceptions import StoreTimeoutError, StoreUnavailableError
from flipper.testing.contract import eventually
from servers import Proxy, start_consul
from support.consul_clients import BriefStore, watch_when_ready
from support.flags import document
from support.watches import reports_until, wait_for_failure

if TYPE_CHECKING:
    from collections.abc import Iterator


pytestmark = pytest.mark.consul


@pytest.fixture
def store(proxy: Proxy, base_key: str) -> Iterator[ConsulFeatureFlagStore]:
    """Give an empty store, which reaches the server through the proxy."""
    with BriefStore(consul.Consul(proxy.host, proxy.port), base_key) as store:
        yield store


def test_every_change_below_the_base_key_is_reported(
    store: ConsulFeatureFlagStore, client: consul.Consul, base_key: str
) -> None:
    """The watch reports what the store and others create, update and delete."""
    watch = store.watch()
    store.create("mine")
    assert reports_until(watch, "mine") == {"mine"}
    client.kv.put(f"{base_key}2/x", document("x"))
    client.kv.put(f"{base_key}/eu/ö 旗", document("eu/ö 旗"))
    assert reports_until(watch, "eu/ö 旗") == {"eu/ö 旗"}
    client.kv.put(f"{base_key}/eu/ö 旗", document("eu/ö 旗", is_enabled=False))
    assert reports_until(watch, "eu/ö 旗") == {"eu/ö 旗"}
    client.kv.delete(f"{base_key}/eu/ö 旗")
    assert reports_until(watch, "eu/ö 旗") == {"eu/ö 旗"}
    assert store.get("eu/ö 旗") is None
    store.delete("mine")
    assert reports_until(watch, "mine") == {"mine"}


def test_a_reported_change_can_be_read(
    store: ConsulFeatureFlagStore, client: consul.Consul, base_key: str
) -> None:
    """The copy is changed before any watch reports the change."""
    watches = [store.watch() for _ in range(3)]
    for number in range(20):
        client.kv.put(f"{base_key}/x", document("x", is_enabled=number % 2 == 0))
        for watch in watches:
            assert reports_until(watch, "x") == {"x"}
            item = store.get("x")
            assert item is not None
            assert item.raw_is_enabled is (number % 2 == 0)


def test_a_write_of_the_store_itself_is_reported(
    store: ConsulFeatureFlagStore, base_key: str
) -> None:
    """A write of the store is in its watch's next report."""
    for number in range(20):
        watch = store.watch()
        store.set("x", number % 2 == 0)
        assert "x" in watch.wait(0)
        watch.close()


class HeldAnswers:
    """A client that gives prepared answers, each when the test lets it go on."""

    def __init__(self, *answers: Any) -> None:
        self.kv = self
        self._answers = list(answers)
        self.may_go_on = threading.Semaphore(1)

    def get(self, key: str, **options: Any) -> Any:
        """Return the next answer, or raise it."""
        assert self.may_go_on.acquire(timeout=60)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        index, rows = answer
        return index, [
            {"Key": f"{key}{name}", "Value": text.encode(), "ModifyIndex": revision}
            for name, (text, revision) in rows.items()
        ]


def test_all_changes_are_reported_if_the_index_goes_backwards() -> None:
    """A watch reports every changed flag after the agent was given older data."""
    answers = HeldAnswers(
        (90, {"same": ("a", 7), "gone": ("b", 8), "other": ("c", 90)}),
        (20, {"same": ("a", 7), "new": ("d", 6), "other": ("e", 90)}),
    )
    store = BriefStore(answers)
    watch = store.watch()
    answers.may_go_on.release()
    assert reports_until(watch, "new") == {"gone", "new", "other"}
    store.close()
    answers.may_go_on.release()


# Refusals and outages


def test_a_watch_of_a_closed_store_fails(store: ConsulFeatureFlagStore) -> None:
    """Closing a store ends its watches, and no new one begins."""
    watch = store.watch()
    store.close()
    with pytest.raises(StoreUnavailableError, match="closed"):
        watch.wait(0)
    with pytest.raises(WatchRefusedError, match="closed"):
        store.watch()


def test_a_watch_does_not_begin_before_the_copy_is_read(proxy: Proxy) -> None:
    """A watch does not begin before Consul has answered once."""
    proxy.cut()
    with BriefStore(consul.Consul(proxy.host, proxy.port)) as store:
        with pytest.raises(StoreUnavailableError, match="ConnectionError"):
            store.watch()
        assert list(store.list()) == []
        proxy.restore()
        watch_when_ready(store)


def test_a_lost_connection_ends_the_watch(
    store: ConsulFeatureFlagStore, client: consul.Consul, proxy: Proxy, base_key: str
) -> None:
    """The next watch begins when the copy has all changes of the meantime."""
    watch = store.watch()
    proxy.cut()
    with pytest.raises(StoreUnavailableError, match="ConnectionError"):
        wait_for_failure(watch)
    client.kv.put(f"{base_key}/x", document("x"))
    with pytest.raises(StoreUnavailableError):
        store.watch()
    proxy.restore()
    again = watch_when_ready(store)
    assert store.get("x") is not None
    client.kv.delete(f"{base_key}/x")
    assert reports_until(again, "x") == {"x"}


def test_a_watch_fails_if_the_agent_is_silent(
    proxy: Proxy, client: consul.Consul, base_key: str
) -> None:
    """A watch notices that the agent does not answer any more."""
    with ConsulFeatureFlagStore(consul.Consul(proxy.host, proxy.port), base_key) as s:
        watch = s.watch()
        proxy.blackhole()
        with pytest.raises((StoreTimeoutError, StoreUnavailableError)):
            wait_for_failure(watch)
        client.kv.put(f"{base_key}/x", document("x"))
        with pytest.raises(StoreUnavailableError):
            s.watch()
        proxy.restore()
        watch_when_ready(s)
        assert s.get("x") is not None


def test_an_idle_watch_pings_the_agent(
    store: ConsulFeatureFlagStore, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A watch without reports checks that the agent answers, and goes on."""
    monkeypatch.setattr(module, "_PING_AFTER", 0.02)
    watch = store.watch()
    before = proxy.requests
    for _ in range(30):
        assert not watch.wait(0.05)
    assert proxy.requests - before > 5
    store.create("x")
    assert reports_until(watch, "x") == {"x"}


@pytest.mark.parametrize(
    ("error", "is_answer"),
    [(consul.base.ACLPermissionDenied(), True), (consul.base.ConsulException(), False)],
)
def test_a_refused_ping_is_an_answer(
    client: consul.Consul, error: Exception, is_answer: bool
) -> None:
    """A ping without permission shows that the agent is there; other errors do not."""

    class TappedClient:
        def __init__(self) -> None:
            self.kv = self

        def get(self, key: str, **options: Any) -> Any:
            if options:
                return client.kv.get(key, **options)
            raise error

    with BriefStore(TappedClient(), "nothing-here") as store:
        watch = store.watch()
        watch._last_sign_of_life -= 60
        assert watch.wait(0) == set()
        assert watch._ping is not None
        watch._ping.join()
        if is_answer:
            assert watch.wait(0) == set()
        else:
            with pytest.raises(consul.base.ConsulException):
                watch.wait(0)


def test_a_watch_fails_if_the_agent_has_lost_its_data() -> None:
    """The watch ends when the agent has lost its data, and the next one goes on."""
    with start_consul() as server:
        client = consul.Consul(server.host, server.port)
        for number in range(50):
            client.kv.put("features/x", document("x", is_enabled=number % 2 == 0))
        with BriefStore(client) as store:
            assert store.get("x") is not None
            watch = store.watch()
            server.stop()
            shutil.rmtree(server.folder / "data")
            server.start()
            with pytest.raises(StoreUnavailableError):
                wait_for_failure(watch)
            again = watch_when_ready(store)
            assert store.get("x") is None
            eventually(lambda: client.kv.put("features/y", document("y")))
            assert reports_until(again, "y") == {"y"}


# The end


def test_a_watch_and_its_store_do_not_keep_each_other_alive(
    client: consul.Consul, base_key: str
) -> None:
    """The garbage collector can delete a store with a watch, and a watch of a store."""
    store = BriefStore(client, base_key)
    watch = store.watch()
    forgotten = ref(store.watch())
    gc.collect()
    assert forgotten() is None
    gone = ref(store)
    del store
    gc.collect()
    assert gone() is None
    with pytest.raises(StoreUnavailableError, match="closed"):
        watch.wait(0)
    watch.close()
    watch.close()
