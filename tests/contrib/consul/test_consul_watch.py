# SPDX-License-Identifier: Apache-2.0
"""What the copy of a Consul store tells of changes, on real agents."""

from __future__ import annotations

import gc
import json
import shutil
import threading
import uuid
from typing import TYPE_CHECKING, Any
from weakref import ref

import consul
import pytest

from flipper.contracts.watch import WatchRefusedError
from flipper.contrib.consul import ConsulFeatureFlagStore
from flipper.contrib.consul import watch as module
from flipper.exceptions import StoreTimeoutError, StoreUnavailableError
from flipper.testing.contract import eventually
from servers import ConsulServer, Proxy, start_consul

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flipper.contrib.consul.watch import ConsulWatch

pytestmark = pytest.mark.consul

AWAY = (StoreTimeoutError, StoreUnavailableError)


class Brief(ConsulFeatureFlagStore):
    """A store whose thread can end soon, since no request of it waits for long."""

    wait = 1


@pytest.fixture
def client(consul_server: ConsulServer) -> consul.Consul:
    """Give a client, to write behind a store's back."""
    return consul.Consul(consul_server.host, consul_server.port)


@pytest.fixture
def base_key() -> str:
    """Give a base key that no other test has."""
    return f"flipper-{uuid.uuid4().hex}"


@pytest.fixture
def proxy(consul_server: ConsulServer) -> Iterator[Proxy]:
    """Give a proxy before the server."""
    with Proxy(consul_server.host, consul_server.port) as proxy:
        yield proxy


@pytest.fixture
def store(proxy: Proxy, base_key: str) -> Iterator[ConsulFeatureFlagStore]:
    """Give an empty store, which reaches the server through the proxy."""
    with Brief(consul.Consul(proxy.host, proxy.port), base_key) as store:
        yield store


def document(name: str, is_enabled: bool = True) -> str:
    """Make what another process writes of a flag."""
    fields = {"feature_name": name, "is_enabled": is_enabled}
    return json.dumps({**fields, "meta": {"created_date": 7}})


def hear(watch: ConsulWatch, last: str) -> set[str]:
    """Give the names that are heard until the last one is, that included."""
    heard: set[str] = set()
    eventually(lambda: heard.update(watch.wait(0.2)) or last in heard)
    return heard


def listen(watch: ConsulWatch) -> None:
    """Wait until the watch fails."""
    for _ in range(300):
        watch.wait(0.1)
    pytest.fail("it goes on")


def watch_again(store: ConsulFeatureFlagStore) -> ConsulWatch:
    """Try to begin until Consul has answered."""
    begun: list[ConsulWatch] = []

    def begins() -> bool:
        try:
            begun.append(store.watch())
        except StoreUnavailableError:
            return False
        return True

    eventually(begins)
    return begun[0]


# Names


def test_whatever_happens_to_a_flag_is_reported(
    store: ConsulFeatureFlagStore, client: consul.Consul, base_key: str
) -> None:
    """Whoever does it; and nothing is that is not under the base key."""
    watch = store.watch()
    store.create("mine")
    assert hear(watch, "mine") == {"mine"}
    client.kv.put(f"{base_key}2/x", document("x"))
    client.kv.put(f"{base_key}/eu/ö 旗", document("eu/ö 旗"))
    assert hear(watch, "eu/ö 旗") == {"eu/ö 旗"}
    client.kv.put(f"{base_key}/eu/ö 旗", document("eu/ö 旗", is_enabled=False))
    assert hear(watch, "eu/ö 旗") == {"eu/ö 旗"}
    client.kv.delete(f"{base_key}/eu/ö 旗")
    assert hear(watch, "eu/ö 旗") == {"eu/ö 旗"}
    assert store.get("eu/ö 旗") is None
    store.delete("mine")
    assert hear(watch, "mine") == {"mine"}


def test_what_is_reported_can_be_read(
    store: ConsulFeatureFlagStore, client: consul.Consul, base_key: str
) -> None:
    """The copy is changed first; each watch is told."""
    watches = [store.watch() for _ in range(3)]
    for number in range(20):
        client.kv.put(f"{base_key}/x", document("x", is_enabled=number % 2 == 0))
        for watch in watches:
            assert hear(watch, "x") == {"x"}
            item = store.get("x")
            assert item is not None
            assert item.raw_is_enabled is (number % 2 == 0)


def test_a_change_that_the_store_made_itself_is_reported_once_or_more(
    store: ConsulFeatureFlagStore, base_key: str
) -> None:
    """It is in the copy before Consul tells the thread of it."""
    for number in range(20):
        watch = store.watch()
        store.set("x", number % 2 == 0)
        assert "x" in watch.wait(0)
        watch.close()


class Answers:
    """Answers for `kv`, given one after the other; the last one waits for ever."""

    def __init__(self, *answers: Any) -> None:
        self.kv = self
        self._answers = list(answers)
        self.may_go_on = threading.Semaphore(1)

    def get(self, key: str, **options: Any) -> Any:
        """Give the next answer, or the error that stands in its place."""
        assert self.may_go_on.acquire(timeout=60)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        index, rows = answer
        return index, [
            {"Key": f"{key}{name}", "Value": text.encode(), "ModifyIndex": revision}
            for name, (text, revision) in rows.items()
        ]


def test_an_index_that_goes_backwards_hides_no_change() -> None:
    """An agent may have been given older data, where numbers mean something else."""
    answers = Answers(
        (90, {"same": ("a", 7), "gone": ("b", 8), "other": ("c", 90)}),
        (20, {"same": ("a", 7), "new": ("d", 6), "other": ("e", 90)}),
    )
    store = Brief(answers)
    watch = store.watch()
    answers.may_go_on.release()
    assert hear(watch, "new") == {"gone", "new", "other"}
    store.close()
    answers.may_go_on.release()


# Refusals and outages


def test_a_closed_store_is_refused(store: ConsulFeatureFlagStore) -> None:
    """It follows nothing any more, and says so to those that listen."""
    watch = store.watch()
    store.close()
    with pytest.raises(StoreUnavailableError, match="closed"):
        watch.wait(0)
    with pytest.raises(WatchRefusedError, match="closed"):
        store.watch()


def test_a_copy_that_was_never_level_is_not_watched(proxy: Proxy) -> None:
    """No flags known is not the same as no flags."""
    proxy.cut()
    with Brief(consul.Consul(proxy.host, proxy.port)) as store:
        with pytest.raises(StoreUnavailableError, match="ConnectionError"):
            store.watch()
        assert list(store.list()) == []
        proxy.restore()
        watch_again(store)


def test_a_lost_link_ends_the_watch(
    store: ConsulFeatureFlagStore, client: consul.Consul, proxy: Proxy, base_key: str
) -> None:
    """The next one begins when all that has changed meanwhile is in the copy."""
    watch = store.watch()
    proxy.cut()
    with pytest.raises(StoreUnavailableError, match="ConnectionError"):
        listen(watch)
    client.kv.put(f"{base_key}/x", document("x"))
    with pytest.raises(StoreUnavailableError):
        store.watch()
    proxy.restore()
    again = watch_again(store)
    assert store.get("x") is not None
    client.kv.delete(f"{base_key}/x")
    assert hear(again, "x") == {"x"}


def test_silence_ends_the_watch(
    proxy: Proxy, client: consul.Consul, base_key: str
) -> None:
    """The thread's own request may wait for half a minute, and rightly so."""
    with ConsulFeatureFlagStore(consul.Consul(proxy.host, proxy.port), base_key) as s:
        watch = s.watch()
        proxy.blackhole()
        with pytest.raises(AWAY):
            listen(watch)
        client.kv.put(f"{base_key}/x", document("x"))
        with pytest.raises(StoreUnavailableError):
            s.watch()
        proxy.restore()
        watch_again(s)
        assert s.get("x") is not None


def test_an_agent_without_news_is_asked_whether_it_is_there(
    store: ConsulFeatureFlagStore, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And goes on being listened to."""
    monkeypatch.setattr(module, "_PING_AFTER", 0.02)
    watch = store.watch()
    before = proxy.requests
    for _ in range(30):
        assert not watch.wait(0.05)
    assert proxy.requests - before > 5
    store.create("x")
    assert hear(watch, "x") == {"x"}


@pytest.mark.parametrize(
    ("error", "is_answer"),
    [(consul.base.ACLPermissionDenied(), True), (consul.base.ConsulException(), False)],
)
def test_a_refusal_is_a_sign_of_life(
    client: consul.Consul, error: Exception, is_answer: bool
) -> None:
    """A token may be for the flags and not for their folder. Other errors are none."""

    class Tapped:
        def __init__(self) -> None:
            self.kv = self

        def get(self, key: str, **options: Any) -> Any:
            if options:
                return client.kv.get(key, **options)
            raise error

    with Brief(Tapped(), "nothing-here") as store:
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


def test_an_agent_that_has_lost_its_data_has_no_flags() -> None:
    """Its index begins anew, lower than what the thread waits for."""
    with start_consul() as server:
        client = consul.Consul(server.host, server.port)
        for number in range(50):
            client.kv.put("features/x", document("x", is_enabled=number % 2 == 0))
        with Brief(client) as store:
            assert store.get("x") is not None
            watch = store.watch()
            server.stop()
            shutil.rmtree(server.folder / "data")
            server.start()
            with pytest.raises(StoreUnavailableError):
                listen(watch)
            again = watch_again(store)
            assert store.get("x") is None
            eventually(lambda: client.kv.put("features/y", document("y")))
            assert hear(again, "y") == {"y"}


# The end


def test_a_watch_keeps_no_store_alive(client: consul.Consul, base_key: str) -> None:
    """Nor does a store keep a watch that nobody has any more."""
    store = Brief(client, base_key)
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
