# SPDX-License-Identifier: Apache-2.0
"""The background thread that keeps the copy of a Consul store up to date."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import consul
import pytest
import requests

from flipper import FeatureFlagClient
from flipper.contrib.consul import ConsulFeatureFlagStore
from flipper.contrib.consul import follower as module
from flipper.testing.contract import eventually
from servers.process import free_port
from support.consul_clients import AWAY, BriefStore, ScriptedClient, TappedClient, row
from support.flags import document, names, state
from support.programs import run_program

if TYPE_CHECKING:
    from collections.abc import Callable

    from servers import ConsulServer

pytestmark = pytest.mark.consul


def test_an_idle_store_sends_few_requests(tapped: TappedClient, base_key: str) -> None:
    """An idle store has one request waiting, and sends no other."""
    with ConsulFeatureFlagStore(tapped, base_key) as store:
        assert store.wait >= 10
        eventually(lambda: tapped.asked == 2)
        time.sleep(2)
        assert tapped.asked == 2


def test_the_thread_pauses_if_the_server_answers_at_once() -> None:
    """The thread pauses between requests that a server answers without waiting."""

    class Hasty(TappedClient):
        def __init__(self) -> None:
            self.kv = self
            self.asked = 0
            self.asking = lambda *_, **__: ("0", None)

    hasty = Hasty()
    with ConsulFeatureFlagStore(hasty):
        eventually(lambda: hasty.asked > 2)
        before, began = hasty.asked, time.monotonic()
        time.sleep(1.5)
        asked = hasty.asked - before
        assert asked <= 5 * (time.monotonic() - began)


@pytest.mark.parametrize("kind", [int, str])
def test_an_index_that_goes_backwards_is_forgotten(kind: Callable[[int], Any]) -> None:
    """The thread asks without an index after Consul's index has become smaller."""
    script = ScriptedClient(
        (kind(50), [row("features/old", document("old"), 40)]),
        (kind(60), [row("features/old", document("old"), 40)]),
        (kind(7), [row("features/new", document("new").decode(), 7)]),
        (kind(7), [row("features/new", document("new").decode(), 7)]),
    )
    with ConsulFeatureFlagStore(script) as store:
        eventually(lambda: len(script.indexes) == 5)
        assert script.indexes == [None, "50", "60", None, "7"]
        assert names(store) == ["new"]
        script.may_go.set()


@pytest.mark.parametrize(
    "answer",
    [
        consul.base.ConsulException("500 No cluster leader"),
        requests.exceptions.ConnectionError("refused"),
        None,
        ("no number", []),
        ("5", 5),
        ("5", [None]),
        ("5", [{}]),
        ("5", [{"Key": None, "Value": b"1", "ModifyIndex": 5}]),
        ("5", [{"Key": "features/x", "Value": b"1", "ModifyIndex": None}]),
    ],
    ids=repr,
)
def test_no_answer_ends_the_thread(
    answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The thread logs a failure or broken answer once, and asks without an index."""
    good = ("9", [row("features/x", document("x"), 9)])
    script = ScriptedClient(good, answer, answer, good)
    with ConsulFeatureFlagStore(script) as store:
        eventually(lambda: not script.answers)
        eventually(lambda: "again" in caplog.text or len(script.indexes) > 4)
        assert script.indexes[:4] == [None, "9", None, None]
        assert state(store) is True
        script.may_go.set()
    assert [r.levelno for r in caplog.records].count(logging.WARNING) == 1


def test_an_empty_answer_counts_when_it_is_repeated() -> None:
    """The copy becomes empty only if Consul says twice that there are no flags."""
    full = ("9", [row("features/x", document("x"), 9)])
    empty = ("10", None)
    script = ScriptedClient(full, empty, full)
    with ConsulFeatureFlagStore(script) as store:
        eventually(lambda: len(script.indexes) == 4)
        # Without an index it is answered at once.
        assert script.indexes == [None, "9", None, "9"]
        assert state(store) is True
        script.may_go.set()
    script = ScriptedClient(full, empty, empty)
    with ConsulFeatureFlagStore(script) as store:
        eventually(lambda: len(script.indexes) == 4)
        assert script.indexes == [None, "9", None, "10"]
        assert state(store) is None
        script.may_go.set()


def test_a_store_can_be_made_while_the_agent_is_away(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A store without an agent has no flags, logs that, and refuses writes."""
    nowhere = consul.Consul(host="127.0.0.1", port=free_port())
    with ConsulFeatureFlagStore(nowhere) as store:
        assert "Consul does not answer" in caplog.text
        assert names(store) == []
        assert FeatureFlagClient(store).is_enabled("x", default="mine") == "mine"
        with pytest.raises(AWAY):
            store.create("x")


def test_a_thread_that_hangs_is_replaced(
    tapped: TappedClient,
    client: consul.Consul,
    base_key: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A new thread replaces one whose request hangs; a late answer changes nothing."""
    monkeypatch.setattr(module, "_GRACE", 0.1)
    is_over = threading.Event()

    def hang(*arguments: Any, **options: Any) -> Any:
        tapped.asking = tapped.inner.get
        is_over.wait(90)
        return "1", None  # far too late, and outdated

    with BriefStore(tapped, base_key) as store:
        store.create("x", is_enabled=True)
        tapped.asking = hang
        eventually(lambda: tapped.asking is not hang)
        client.kv.put(f"{base_key}/x", document("x", is_enabled=False))
        eventually(lambda: state(store) is False)
        is_over.set()
        client.kv.put(f"{base_key}/y", document("y"))
        eventually(lambda: state(store, "y"))
        assert names(store) == ["x", "y"]


def test_few_threads_hang_at_once(
    base_key: str,
    monkeypatch: pytest.MonkeyPatch,
    own_threads: Callable[[], set[threading.Thread]],
) -> None:
    """A store has three threads at most, even if each of them hangs."""
    monkeypatch.setattr(module, "_GRACE", -2.0)  # each thread counts as hanging at once
    monkeypatch.setattr(module, "_FIRST_ANSWER_TIMEOUT", 0.1)
    script = ScriptedClient()
    with BriefStore(script, base_key) as store:
        for _ in range(200):
            assert store.get("x") is None
        assert len(own_threads()) <= 3
        script.may_go.set()


def test_a_closed_store_has_no_thread_and_keeps_its_copy(
    client: consul.Consul,
    base_key: str,
    own_threads: Callable[[], set[threading.Thread]],
) -> None:
    """A closed or deleted store has no thread; a closed one still answers."""
    with BriefStore(client, base_key) as closed:
        closed.create("x", is_enabled=True)
    closed.close()
    dropped = BriefStore(client, base_key)
    assert state(dropped) is True
    del dropped
    eventually(lambda: not own_threads())
    assert state(closed) is True
    assert names(closed) == ["x"]
    assert not own_threads()


def test_deleting_a_store_waits_for_no_lock(
    tapped: TappedClient, base_key: str
) -> None:
    """The garbage collector can delete a store while another thread holds its locks."""
    store = BriefStore(tapped, base_key)
    lock, closed = store._copy.lock, store._follower._closed
    is_held, may_go = threading.Event(), threading.Event()

    def hold() -> None:
        with lock, closed._cond:  # type: ignore[attr-defined]
            is_held.set()
            may_go.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    assert is_held.wait(60)
    stores = [store]
    del store
    dropper = threading.Thread(target=stores.clear)
    dropper.start()
    dropper.join(30)
    is_stuck = dropper.is_alive()
    may_go.set()
    holder.join()
    dropper.join()
    assert not is_stuck


def test_an_invalid_address_is_logged_as_such(caplog: pytest.LogCaptureFixture) -> None:
    """The log names the error of an invalid address."""
    with ConsulFeatureFlagStore(consul.Consul(scheme="gopher")):
        assert "InvalidSchema" in caplog.text
        assert "incomplete" not in caplog.text


def test_an_open_store_does_not_delay_the_end_of_the_program(
    consul_server: ConsulServer, base_key: str
) -> None:
    """A program that does not close its store ends at once, and prints nothing."""
    code = """
        import sys
        import consul
        from flipper import ConsulFeatureFlagStore, FeatureFlagClient

        _, host, port, base_key = sys.argv
        store = ConsulFeatureFlagStore(consul.Consul(host, int(port)), base_key)
        client = FeatureFlagClient(store)
        client.create("x", is_enabled=True)
        print(client.is_enabled("x"))
    """
    began = time.monotonic()
    address = consul_server.host, str(consul_server.port)
    assert run_program(code, *address, base_key) == "True\n"
    assert time.monotonic() - began < ConsulFeatureFlagStore.wait


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_has_its_own_thread(
    consul_server: ConsulServer, base_key: str
) -> None:
    """Each child and the parent follow Consul with connections of their own."""
    code = """
        import os
        import sys
        import time
        import consul
        from flipper import Condition, ConsulFeatureFlagStore, FeatureFlagClient

        _, host, port, base_key = sys.argv
        store = ConsulFeatureFlagStore(consul.Consul(host, int(port)), base_key)
        client = FeatureFlagClient(store)
        client.create("x")

        def until(condition):
            deadline = time.monotonic() + 30
            while not condition():
                assert time.monotonic() < deadline
                time.sleep(0.01)

        children = []
        for number in range(3):
            child = os.fork()
            if not child:
                assert client.exists("x")
                for _ in range(30):
                    client.add_condition("x", Condition(**{f"a{number}": 1}))
                client.create(f"child-{number}", is_enabled=True)
                until(lambda: client.is_enabled("the end"))
                sys.exit(0)  # with everything that Python does at exit
            children.append(child)
        for _ in range(30):
            client.add_condition("x", Condition(parent=1))
        until(lambda: all(client.is_enabled(f"child-{n}") for n in range(3)))
        until(lambda: len(client.get_meta("x")["conditions"]) == 120)
        client.create("the end", is_enabled=True)
        print([os.waitpid(child, 0)[1] for child in children])
    """
    given = consul_server.host, str(consul_server.port), base_key
    assert run_program(code, *given) == "[0, 0, 0]\n"
