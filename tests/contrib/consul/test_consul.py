# SPDX-License-Identifier: Apache-2.0
"""The Consul store on real agents: keys, the copy and its thread, races, outages."""

from __future__ import annotations

import gc
import io
import json
import logging
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import consul
import pytest
import requests

from flipper import Condition, FeatureFlagClient, FlagDoesNotExistError
from flipper.contrib.consul import ConsulFeatureFlagStore
from flipper.contrib.consul import follower as module
from flipper.contrib.consul.connections import ConsulConnections, renew_connections
from flipper.contrib.consul.copy import UNKNOWN_REVISION
from flipper.events import EventType
from flipper.exceptions import InvalidArgumentError, StoreUnavailableError
from flipper.testing.contract import eventually
from servers import ConsulServer, Proxy, start_consul
from servers.process import free_port
from support.broken_documents import hostile_documents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.consul

THREADS, PROCESSES, TIMES = 8, 4, 50
AWAY = (requests.exceptions.RequestException, consul.base.ConsulException)


def connect(server: ConsulServer | Proxy) -> consul.Consul:
    """Make a client as applications do."""
    return consul.Consul(host=server.host, port=server.port)


class Brief(ConsulFeatureFlagStore):
    """A store whose thread can end soon, since no request of it waits for long."""

    wait = 1


@pytest.fixture
def client(consul_server: ConsulServer) -> consul.Consul:
    """Give a client of the server, to look behind a store's back."""
    return connect(consul_server)


@pytest.fixture
def base_key() -> str:
    """Give a base key that no other test has."""
    return f"flipper-{uuid.uuid4().hex}"


@pytest.fixture
def store(client: consul.Consul, base_key: str) -> Iterator[ConsulFeatureFlagStore]:
    """Give an empty store."""
    with Brief(client, base_key) as store:
        yield store


@pytest.fixture(scope="module")
def own_server() -> Iterator[ConsulServer]:
    """Give a server that may be stopped; who does it starts it again."""
    with start_consul() as server:
        yield server


class Tapped:
    """A client whose requests can be counted, held, made to fail, or sent elsewhere.

    Attributes:
        asked: how many requests for all keys have begun, answers to which the store's
            thread waits for.
        asking: takes the place of these requests.
        putting: takes the place of the requests that write.
    """

    def __init__(self, inner: Any) -> None:
        self.kv = self
        self.inner = inner.kv
        self.asked = 0
        self.asking: Callable[..., Any] = self.inner.get
        self.putting: Callable[..., Any] = self.inner.put

    def get(self, key: str, recurse: bool = False, **options: Any) -> Any:
        """Read."""
        if not recurse:
            return self.inner.get(key, **options)
        self.asked += 1
        return self.asking(key, recurse=True, **options)

    def put(self, key: str, value: bytes, **options: Any) -> Any:
        """Write."""
        return self.putting(key, value, **options)

    def delete(self, key: str) -> Any:
        """Remove."""
        return self.inner.delete(key)


@pytest.fixture
def tapped(client: consul.Consul) -> Tapped:
    """Give a client that does more than it is asked for."""
    return Tapped(client)


def names(store: ConsulFeatureFlagStore, **page: Any) -> list[str]:
    """Name the flags of a store in its order."""
    return [item.feature_name for item in store.list(**page)]


def document(name: str, is_enabled: bool = True) -> bytes:
    """Make what another process writes of a flag."""
    meta = {"created_date": 7, "client_data": {"a": "é"}}
    fields = {"feature_name": name, "is_enabled": is_enabled, "meta": meta}
    return json.dumps(fields, indent=1, ensure_ascii=False).encode()


def state(store: ConsulFeatureFlagStore, name: str = "x") -> Any:
    """Give the state of a flag, `None` if there is none."""
    item = store.get(name)
    return None if item is None else item.raw_is_enabled


def together(*calls: Callable[[], object]) -> None:
    """Make calls at the same time, each in a thread, and raise the first error."""
    failures: list[BaseException] = []

    def run(call: Callable[[], object]) -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 (raised below)
            failures.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def run(code: str, *arguments: str) -> str:
    """Run a program and give what it prints; it must end well, and not complain."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def followers() -> set[threading.Thread]:
    """Give the threads of all stores, also of those of earlier tests."""
    return {each for each in threading.enumerate() if each.name == "flipper-consul"}


# Keys and bytes


def test_a_flag_is_one_key_with_json(
    store: ConsulFeatureFlagStore, client: consul.Consul, base_key: str
) -> None:
    """Other libraries and versions read the same keys."""
    item = store.create("eu/x y", is_enabled=True, client_data={"ö": 1})
    (row,) = client.kv.get(f"{base_key}/", recurse=True)[1]
    assert (row["Key"], row["Value"]) == (f"{base_key}/eu/x y", item.serialize())
    store.set("eu/x y", False)
    (row,) = client.kv.get(f"{base_key}/", recurse=True)[1]
    assert row["Value"] == store.get("eu/x y").serialize()  # type: ignore[union-attr]
    store.delete("eu/x y")
    assert client.kv.get(f"{base_key}/", recurse=True)[1] is None


def test_a_flag_that_others_wrote_is_read_and_rewritten_without_loss(
    store: ConsulFeatureFlagStore, client: consul.Consul, base_key: str
) -> None:
    """Spacing and escapes are the writer's own business."""
    client.kv.put(f"{base_key}/x", document("x", is_enabled=False).decode())
    eventually(lambda: state(store) is False)
    store.set("x", True)
    fields = json.loads(client.kv.get(f"{base_key}/x")[1]["Value"])
    assert fields["is_enabled"] is True
    assert fields["meta"]["client_data"] == {"a": "é"}
    assert fields["meta"]["created_date"] == 7


@pytest.mark.parametrize("given", ["flags", "flags/", "a/b"])
def test_the_base_key_can_be_read(client: consul.Consul, given: str) -> None:
    """Suites build keys with it. A slash at its end is the one before the names."""
    own = f"flipper-{uuid.uuid4().hex}/{given}"
    with Brief(client, own) as store:
        assert store.base_key == own
        store.create("x")
        assert client.kv.get(f"{own.rstrip('/')}/x")[1] is not None
        assert names(store) == ["x"]


@pytest.mark.parametrize(
    "name",
    ["x/", "n" * 1000, "旗" * 333, "a?b#c%2Fd+e", "...", "a..b", "😀", "a:b;c\\"],
)
def test_names_are_kept_as_they_are(
    store: ConsulFeatureFlagStore, client: consul.Consul, base_key: str, name: str
) -> None:
    """Nearly any text that the client lets through is a name."""
    flags = FeatureFlagClient(store)
    flags.create(name)
    flags.enable(name)
    assert [row["Key"] for row in client.kv.get(f"{base_key}/", recurse=True)[1]] == [
        f"{base_key}/{name}"
    ]
    assert (names(store), flags.is_enabled(name)) == ([name], True)
    flags.destroy(name)
    assert names(store) == []


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", ".", "a/.", "a//b", "/x", "a\nb", "a\u2028b"]
)
def test_a_name_that_would_be_another_key_is_refused(
    store: ConsulFeatureFlagStore, client: consul.Consul, base_key: str, name: str
) -> None:
    """A URL with dots or double slashes in it is cleaned on its way to the server."""
    client.kv.put("x", b"not ours")
    store.create("x")
    store.create("a/b")
    for write in (store.create, lambda name: store.set(name, True)):
        with pytest.raises(InvalidArgumentError, match="another name") as caught:
            write(name)
        assert caught.value.feature_name == name
    assert store.get(name) is None
    store.delete(name)
    with pytest.raises(FlagDoesNotExistError):
        store.update(name, lambda item: item)
    assert names(store) == ["a/b", "x"]
    assert client.kv.get("x")[1]["Value"] == b"not ours"
    client.kv.delete("x")


def test_a_key_without_a_value_is_a_missing_flag(
    store: ConsulFeatureFlagStore, client: consul.Consul, base_key: str
) -> None:
    """Folders are such keys; a flag can be written there like any missing one."""
    for key in ("", "folder/", "x"):
        client.kv.put(f"{base_key}/{key}", b"")
    client.kv.put(f"{base_key}/last", document("last"))
    eventually(lambda: state(store, "last"))
    assert names(store) == ["last"]
    assert store.get("x") is None
    store.set("x", True)
    assert (names(store), state(store)) == (["last", "x"], True)


def test_what_begins_with_the_same_letters_is_not_under_the_base_key(
    store: ConsulFeatureFlagStore, client: consul.Consul, base_key: str
) -> None:
    """Nor is what stands beside it."""
    client.kv.put(f"{base_key}2/x", document("x"))
    client.kv.put(base_key, document("x"))
    client.kv.put(f"{base_key}/deep/er", document("deep/er"))
    client.kv.put(f"{base_key}/copy", document("another"))
    client.kv.put(f"{base_key}/last", document("last"))
    eventually(lambda: state(store, "last"))
    assert names(store) == ["deep/er", "last"]
    assert store.get("x") is None


def test_hostile_documents_do_no_harm(
    client: consul.Consul, store: ConsulFeatureFlagStore, base_key: str
) -> None:
    """One broken value must not end the thread, open a flag or hide another."""
    hostile = hostile_documents()
    flags = FeatureFlagClient(store)
    good = [f"good-{number:02}" for number in range(20)]
    for name in good:
        flags.create(name, is_enabled=True)
    with ThreadPoolExecutor(THREADS) as threads:
        for name, value in hostile.items():
            threads.submit(client.kv.put, f"{base_key}/{name}", value)
    client.kv.put(f"{base_key}/last", document("last"))
    eventually(lambda: state(store, "last"))
    assert not [name for name in hostile if flags.is_enabled(name)]
    assert not [name for name in hostile if flags.is_enabled(name, user_id=1)]
    listed = names(store)
    assert [name for name in listed if name in good] == good
    assert all(flags.is_enabled(name) for name in good)
    victim = next(iter(hostile))
    assert flags.create(victim, is_enabled=True).is_enabled() is True
    client.kv.delete(f"{base_key}/last")
    eventually(lambda: state(store, "last") is None)


# The copy


def test_all_flags_are_there_when_the_store_has_been_made(
    client: consul.Consul, base_key: str
) -> None:
    """A process that has just started must not show everybody the old page."""
    for number in range(30):
        client.kv.put(f"{base_key}/flag-{number:02}", document(f"flag-{number:02}"))
    with Brief(client, base_key) as store:
        assert names(store) == [f"flag-{number:02}" for number in range(30)]


def test_what_others_do_is_seen(
    store: ConsulFeatureFlagStore, client: consul.Consul, base_key: str
) -> None:
    """A deletion too."""
    for is_enabled in (True, False, True):
        client.kv.put(f"{base_key}/x", document("x", is_enabled))
        eventually(lambda expected=is_enabled: state(store) is expected)
    client.kv.delete(f"{base_key}/x")
    eventually(lambda: store.get("x") is None)
    assert names(store) == []


def test_asking_and_listing_take_no_request(
    consul_server: ConsulServer, base_key: str
) -> None:
    """That is why one would take Consul: the flags are there already."""
    with (
        Proxy(consul_server.host, consul_server.port) as proxy,
        ConsulFeatureFlagStore(connect(proxy), base_key) as store,
    ):
        flags = FeatureFlagClient(store)
        for number in range(3):
            flags.create(f"flag-{number}", is_enabled=True)
        # Until the thread waits for what is not going to happen.
        eventually(lambda: not store._copy._single_reads)
        time.sleep(0.5)
        before = proxy.requests
        for _ in range(200):
            assert flags.is_enabled("flag-1") is True
            assert [flag.name for flag in flags.list(limit=1)] == ["flag-0"]
        assert proxy.requests == before


def test_pages_are_in_the_order_of_keys(store: ConsulFeatureFlagStore) -> None:
    """Consul's own order, by bytes."""
    for name in ("b", "Ä", "a/b", "B", "a", "a b", "\uffee", "🐬"):
        store.create(name)
    ordered = ["B", "a", "a b", "a/b", "b", "Ä", "\uffee", "🐬"]
    assert names(store) == ordered
    for offset in range(9):
        assert names(store, limit=3, offset=offset) == ordered[offset:][:3]


def test_flags_deleted_meanwhile_are_left_out(store: ConsulFeatureFlagStore) -> None:
    """Nothing is kept of the moment when listing began but the names."""
    for name in "abcd":
        store.create(name)
    listed = store.list()
    assert next(listed).feature_name == "a"
    store.delete("c")
    assert [item.feature_name for item in listed] == ["b", "d"]


class Gate:
    """Holds an answer to the thread back, as a slow network would."""

    def __init__(self, tapped: Tapped) -> None:
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
def test_ones_own_write_is_seen_at_once_and_from_then_on(
    tapped: Tapped, client: consul.Consul, base_key: str, write: str
) -> None:
    """An answer that is older than the write may come after it."""
    gate = Gate(tapped)
    with Brief(tapped, base_key) as store:
        if write in {"set", "update", "delete", "create again"}:
            store.create("x")
            eventually(lambda: not store._copy._single_reads)
        tapped.asking = gate
        eventually(lambda: tapped.asked and store._copy.index)
        # The thread's next answer is of this moment: another flag has changed.
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


def test_what_others_wrote_later_wins_over_ones_own(
    tapped: Tapped, client: consul.Consul, base_key: str
) -> None:
    """What is known of an own write must not outlive it."""
    with Brief(tapped, base_key) as store:
        for number in range(10):
            store.create("x", is_enabled=True)
            client.kv.put(f"{base_key}/x", document("x", is_enabled=False))
            eventually(lambda: state(store) is False)
            store.delete("x")
            assert state(store) is None
            client.kv.put(f"{base_key}/x", document("x", bool(number % 2)))
            eventually(lambda n=number: state(store) is bool(n % 2))


def test_a_write_that_cannot_be_read_again_is_seen_all_the_same(
    client: consul.Consul, base_key: str
) -> None:
    """It has been acknowledged."""

    class Deaf(Tapped):
        def get(self, key: str, recurse: bool = False, **options: Any) -> Any:
            if not recurse:
                raise requests.exceptions.ConnectionError
            return super().get(key, recurse=True, **options)

    with Brief(Deaf(client), base_key) as store:
        flags = FeatureFlagClient(store)
        flags.create("x", client_data={"a": 1})
        assert flags.get_client_data("x") == {"a": 1}
        # What is to be changed has to be known, though: from the thread, here.
        eventually(lambda: store._copy.rows["x"].revision != UNKNOWN_REVISION)
        flags.enable("x")
        assert flags.is_enabled("x") is True
        assert flags.get_client_data("x") == {"a": 1}
        # A client would ask first whether there is such a flag.
        store.delete("x")
        assert flags.exists("x") is False


@pytest.mark.parametrize("is_heard", [False, True])
def test_a_name_that_consul_cannot_keep_is_of_no_flag(
    client: consul.Consul, base_key: str, is_heard: bool
) -> None:
    """Consul is not asked: under that name it would look at another key."""
    with Brief(client, base_key) as store:
        flags = FeatureFlagClient(store)
        flags.create("x")
        if is_heard:
            flags.events.on(EventType.PRE_ENABLE, lambda *_: None)
        with pytest.raises(FlagDoesNotExistError):
            flags.enable("y/../x")
        assert flags.is_enabled("x") is False


def test_a_write_of_which_it_cannot_be_told_whether_it_took_effect_raises() -> None:
    """It may be a rival's write that came first, or the repetition of one's own."""

    class Mute(Script):
        def get(self, key: str, recurse: bool = False, **options: Any) -> Any:
            if not recurse:
                raise requests.exceptions.ConnectionError
            return super().get(key, **options)

        def put(self, *_: Any, **__: Any) -> bool:
            return False

    mute = Mute(("9", [row("features/x", document("x", is_enabled=False), 9)]))
    with ConsulFeatureFlagStore(mute) as store:
        with pytest.raises(requests.exceptions.ConnectionError):
            store.set("x", True)
        assert state(store) is False
        mute.may_go.set()


# The thread


def test_an_idle_store_asks_once_in_a_while(tapped: Tapped, base_key: str) -> None:
    """Hundreds of processes do that, all day long."""
    with ConsulFeatureFlagStore(tapped, base_key) as store:
        assert store.wait >= 10
        eventually(lambda: tapped.asked == 2)
        time.sleep(2)
        assert tapped.asked == 2


def test_a_server_that_does_not_wait_is_not_asked_without_pause() -> None:
    """Nor is a double that answers everything at once."""

    class Hasty(Tapped):
        def __init__(self) -> None:
            self.kv = self
            self.asked = 0
            self.asking = lambda *_, **__: ("0", None)

    hasty = Hasty()
    with ConsulFeatureFlagStore(hasty):
        time.sleep(1.5)
        assert 2 <= hasty.asked <= 10


class Script(Tapped):
    """Answers with what is written down, then holds the thread until it may go."""

    def __init__(self, *answers: Any) -> None:
        self.kv = self
        self.answers = list(answers)
        self.indexes: list[Any] = []
        self.may_go = threading.Event()

    def get(self, key: str, index: Any = None, **_: Any) -> Any:
        """Give the next answer, or raise it."""
        self.indexes.append(index)
        if not self.answers:
            self.may_go.wait(30)
            raise OSError
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def row(key: str, value: Any, index: Any) -> dict[str, Any]:
    """Make what a client gives for a key."""
    return {"Key": key, "Value": value, "ModifyIndex": index, "Flags": 0}


@pytest.mark.parametrize("kind", [int, str])
def test_an_index_that_goes_backwards_is_given_up(kind: Callable[[int], Any]) -> None:
    """A restored server counts anew, and would not answer for hours otherwise."""
    script = Script(
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
def test_nothing_ends_the_thread(answer: Any, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and tried again with a question that is answered at once."""
    good = ("9", [row("features/x", document("x"), 9)])
    with ConsulFeatureFlagStore(Script(good, answer, answer, good)) as store:
        eventually(lambda: not store._consul.answers)
        eventually(lambda: "again" in caplog.text or len(store._consul.indexes) > 4)
        assert store._consul.indexes[:4] == [None, "9", None, None]
        assert state(store) is True
        store._consul.may_go.set()
    assert [r.levelno for r in caplog.records].count(logging.WARNING) == 1


def test_that_all_flags_are_gone_is_believed_the_second_time() -> None:
    """One answer may be of an agent that has lost its data for a moment."""
    full = ("9", [row("features/x", document("x"), 9)])
    empty = ("10", None)
    script = Script(full, empty, full)
    with ConsulFeatureFlagStore(script) as store:
        eventually(lambda: len(script.indexes) == 4)
        # Without an index it is answered at once.
        assert script.indexes == [None, "9", None, "9"]
        assert state(store) is True
        script.may_go.set()
    script = Script(full, empty, empty)
    with ConsulFeatureFlagStore(script) as store:
        eventually(lambda: len(script.indexes) == 4)
        assert script.indexes == [None, "9", None, "10"]
        assert state(store) is None
        script.may_go.set()


def test_an_agent_that_is_not_there_yet_is_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An application starts without its flags rather than not at all."""
    nowhere = consul.Consul(host="127.0.0.1", port=free_port())
    with ConsulFeatureFlagStore(nowhere) as store:
        assert "Consul does not answer" in caplog.text
        assert names(store) == []
        assert FeatureFlagClient(store).is_enabled("x", default="mine") == "mine"
        with pytest.raises(AWAY):
            store.create("x")


def test_a_thread_that_hangs_is_replaced(
    tapped: Tapped,
    client: consul.Consul,
    base_key: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A request whose answer got lost may wait for ever: the client has no limit."""
    monkeypatch.setattr(module, "_GRACE", 0.1)
    is_over = threading.Event()

    def hang(*arguments: Any, **options: Any) -> Any:
        tapped.asking = tapped.inner.get
        is_over.wait(90)
        return "1", None  # far too late, and long untrue

    with Brief(tapped, base_key) as store:
        store.create("x", is_enabled=True)
        tapped.asking = hang
        eventually(lambda: tapped.asking is not hang)
        client.kv.put(f"{base_key}/x", document("x", is_enabled=False))
        eventually(lambda: state(store) is False)
        is_over.set()
        client.kv.put(f"{base_key}/y", document("y"))
        eventually(lambda: state(store, "y"))
        assert names(store) == ["x", "y"]


def test_threads_that_hang_do_not_pile_up(
    base_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that swallows everything may do so for days."""
    monkeypatch.setattr(module, "_GRACE", -2.0)  # each hangs as soon as it has begun
    monkeypatch.setattr(module, "_FIRST_ANSWER_TIMEOUT", 0.1)
    script = Script()
    before = followers()
    with Brief(script, base_key) as store:
        for _ in range(200):
            assert store.get("x") is None
        assert len(followers() - before) <= 3
        script.may_go.set()


def test_a_closed_store_has_no_thread_and_knows_what_it_knew(
    client: consul.Consul, base_key: str
) -> None:
    """Applications that are reloaded must not go on asking."""
    before = followers()
    with Brief(client, base_key) as closed:
        closed.create("x", is_enabled=True)
    closed.close()
    dropped = Brief(client, base_key)
    assert state(dropped) is True
    del dropped
    eventually(lambda: followers() <= before)
    assert state(closed) is True
    assert names(closed) == ["x"]
    assert followers() <= before


class Stopwatch:
    """Tells how long it is since it was made."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def is_below(self, seconds: float) -> bool:
        """Tell whether it is less than so many seconds."""
        return time.monotonic() - self._began < seconds


@pytest.mark.parametrize("end", ["close", "drop"])
@pytest.mark.parametrize("is_silent", [False, True])
def test_the_end_of_a_store_interrupts_its_requests(
    consul_server: ConsulServer,
    base_key: str,
    caplog: pytest.LogCaptureFixture,
    end: str,
    is_silent: bool,
) -> None:
    """Also those to a server that would never answer, and without a complaint."""
    before = set(threading.enumerate())

    def threads() -> set[str]:
        mine = set(threading.enumerate()) - before
        return {one.name for one in mine if one.name.startswith("flipper-")}

    with Proxy(consul_server.host, consul_server.port) as proxy:
        store = ConsulFeatureFlagStore(connect(proxy), base_key)
        store.create("x")
        watch = store.watch()
        # Until the thread waits for what is not going to happen.
        eventually(lambda: not store._copy._single_reads)  # noqa: F821  (deleted below)
        time.sleep(0.2)
        assert proxy.requests == proxy.replies + 1
        if is_silent:
            proxy.blackhole()
            eventually(lambda: watch.wait(0.1) or len(threads()) == 2)
        stopwatch = Stopwatch()
        if end == "close":
            store.close()
        del store
        eventually(lambda: gc.collect() and not threads())
        assert stopwatch.is_below(ConsulFeatureFlagStore.wait / 2)
        assert "Consul does not answer" not in caplog.text
        with pytest.raises(StoreUnavailableError, match="closed"):
            watch.wait(0)


def test_a_dropped_store_takes_no_lock(tapped: Tapped, base_key: str) -> None:
    """The garbage collector drops it wherever a thread is, with the locks it holds."""
    store = Brief(tapped, base_key)
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


def test_the_clients_own_requests_go_on(client: consul.Consul, base_key: str) -> None:
    """The client may be the application's for other things, too."""
    other = f"{base_key}-other/x"
    client.kv.put(other, "before")
    index = client.kv.get(other)[0]
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(client.kv.get, other, index=index, wait="60s")
        for _ in range(3):
            with ConsulFeatureFlagStore(client, base_key) as store:
                store.create("x")
            assert not waiting.done()
        client.kv.put(other, "after")
        assert waiting.result()[1]["Value"] == b"after"
    client.kv.delete(other)


def test_changes_of_the_clients_settings_are_heeded(
    consul_server: ConsulServer, client: consul.Consul, base_key: str
) -> None:
    """Tokens expire, and applications give the client another."""
    with Proxy(consul_server.host, consul_server.port) as proxy:
        mine = connect(proxy)
        with ConsulFeatureFlagStore(mine, base_key) as store:
            proxy.cut()
            client.kv.put(f"{base_key}/x", document("x"))
            mine.http.base_uri = client.http.base_uri
            eventually(lambda: state(store))


class Particular(requests.adapters.HTTPAdapter):
    """An adapter that makes its pools with a setting of its own."""

    def __init__(self, blocksize: int) -> None:
        self.blocksize = blocksize
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Make the pools."""
        super().init_poolmanager(*arguments, blocksize=self.blocksize, **options)


def test_adapters_of_the_clients_session_are_used(
    client: consul.Consul, base_key: str
) -> None:
    """Applications mount them for certificates and repetitions."""
    client.http.session.mount("http://", Particular(4096))
    with Brief(client, base_key) as store:
        store.create("x")
        adapters = [own for _, own in store._follower._connections._adapters.values()]
        (own,) = [each for each in adapters if isinstance(each, Particular)]
        assert own.poolmanager.connection_pool_kw["blocksize"] == 4096
        assert len(own.poolmanager.pools) == 1


class Hurried(Particular):
    """An adapter that waits for nothing longer than a minute."""

    def send(self, request: Any, **options: Any) -> Any:
        """Send, with a limit."""
        return super().send(request, **{**options, "timeout": 60})


class Canned(requests.adapters.BaseAdapter):
    """An adapter that answers by itself, as suites have, and makes no connection."""

    def send(self, request: Any, **_: Any) -> Any:
        """Answer that there is no flag."""
        answer = requests.Response()
        answer.status_code = 404
        answer.headers["X-Consul-Index"] = "5"
        answer.url, answer.request = request.url, request
        answer.raw = io.BytesIO()
        return answer

    def close(self) -> None:
        """Close nothing."""


@pytest.mark.parametrize("adapter", [Hurried(4096), Canned()])
def test_the_store_works_over_any_adapter(
    client: consul.Consul, base_key: str, adapter: Any
) -> None:
    """Those with limits of time, and those that make no connections, too."""
    client.http.session.mount("http://", adapter)
    with Brief(client, base_key) as store:
        assert names(store) == []
        eventually(lambda: store._copy.error is None)


def test_a_client_that_is_unlike_consuls_is_used_as_it_is(
    client: consul.Consul,
) -> None:
    """Such as one whose `kv` is that of another client, or a double."""
    connections = ConsulConnections()
    wrapper = SimpleNamespace(http=client.http, kv=client.kv)
    for given in (wrapper, SimpleNamespace(kv=client.kv), SimpleNamespace()):
        assert connections.client(given) is given
        renew_connections(given)
    own = connections.client(client)
    assert own is not client
    assert own.kv.agent is own
    connections.track(SimpleNamespace())  # a connection of a double


def test_only_the_process_that_connected_interrupts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A child has the parent's sockets, whoever forked it."""
    connections = ConsulConnections()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        connections.track(SimpleNamespace(sock=ours))
        connections._sockets.add(lambda: None)  # one that has just gone
        process = os.getpid()
        monkeypatch.setattr(os, "getpid", lambda: process + 1)
        connections.interrupt()
        with pytest.raises(BlockingIOError):
            theirs.recv(1)
        monkeypatch.undo()
        connections.interrupt()
        assert theirs.recv(1) == b""


def test_an_address_that_is_none_is_called_so(caplog: pytest.LogCaptureFixture) -> None:
    """It is no incomplete reply."""
    with ConsulFeatureFlagStore(consul.Consul(scheme="gopher")):
        assert "InvalidSchema" in caplog.text
        assert "incomplete" not in caplog.text


def test_a_program_that_closes_nothing_ends_quietly(
    consul_server: ConsulServer, base_key: str
) -> None:
    """A request that waits for half a minute must not hold it up."""
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
    assert run(code, *address, base_key) == "True\n"
    assert time.monotonic() - began < ConsulFeatureFlagStore.wait


# Several writers


def test_threads_that_write_one_flag_lose_nothing(
    store: ConsulFeatureFlagStore,
) -> None:
    """Each change is made on top of all others, also of those of the state."""
    flags = FeatureFlagClient(store)
    flags.create("x")

    def add(thread: int) -> None:
        for number in range(TIMES):
            if number % 2:
                flags.add_condition("x", Condition(a=1))
            else:
                flags.set_client_data("x", {f"{thread}-{number}": number})

    def switch() -> None:
        for number in range(TIMES):
            (flags.enable if number % 2 else flags.disable)("x")

    together(switch, *(lambda thread=t: add(thread) for t in range(THREADS)))
    meta = flags.get_meta("x")
    assert len(meta["conditions"]) == THREADS * TIMES // 2
    assert len(meta["client_data"]) == THREADS * TIMES // 2
    assert state(store) is True


def test_processes_that_write_one_flag_lose_nothing(
    consul_server: ConsulServer, store: ConsulFeatureFlagStore, base_key: str
) -> None:
    """Each has a copy of its own, which is behind most of the time."""
    code = """
        import sys
        import consul
        from flipper import Condition, ConsulFeatureFlagStore, FeatureFlagClient

        _, host, port, base_key, times = sys.argv
        with ConsulFeatureFlagStore(consul.Consul(host, int(port)), base_key) as store:
            client = FeatureFlagClient(store)
            for _ in range(int(times)):
                client.add_condition("x", Condition(a=1))
    """
    flags = FeatureFlagClient(store)
    flags.create("x", client_data={"kept": True})
    given = consul_server.host, str(consul_server.port), base_key, str(TIMES)
    together(*[lambda: run(code, *given)] * PROCESSES)
    expected = PROCESSES * TIMES  # equal ones are not merged
    eventually(lambda: len(flags.get_meta("x")["conditions"]) == expected)
    assert flags.get_client_data("x") == {"kept": True}


@pytest.mark.parametrize("index", [None, "soon"])
def test_a_write_is_no_failure_if_only_the_reply_to_the_reading_is_incomplete(
    tapped: Tapped, base_key: str, index: Any
) -> None:
    """Consul has said that it was done."""

    class Cut(Tapped):
        def get(self, key: str, recurse: bool = False, **options: Any) -> Any:
            found = super().get(key, recurse=recurse, **options)
            return found if recurse else (index, None)

    with Brief(Cut(tapped), base_key) as store:
        assert store.create("x", is_enabled=True).is_enabled() is True
        assert state(store) is True
        store.delete("x")
        assert state(store) is None


def test_two_who_create_a_flag_at_once_make_one(
    store: ConsulFeatureFlagStore, client: consul.Consul, base_key: str
) -> None:
    """The second finds the first's, although its copy had none."""
    with Brief(client, base_key) as other:
        for number in range(10):
            name = f"flag-{number}"
            together(
                lambda name=name: store.set(name, True),
                lambda name=name: other.set(name, True),
            )
            store.update(name, lambda item: item.replace(is_enabled=False))
            eventually(lambda name=name: state(other, name) is False)
        assert len(names(store)) == 10


# Outages


def writes(flags: FeatureFlagClient) -> dict[str, Callable[[], object]]:
    """Name the ways of writing a flag that is there, each to be counted afterwards."""
    return {
        "create": lambda: flags.create("x", client_data={"new": 1}),
        "create another": lambda: flags.create("y"),
        "enable": lambda: flags.enable("x"),
        "add_condition": lambda: flags.add_condition("x", Condition(new=1)),
        "set_client_data": lambda: flags.set_client_data("x", {"new": 1}),
        "destroy": lambda: flags.destroy("x"),
    }


def is_written(client: consul.Consul, base_key: str, name: str) -> bool:
    """Tell whether a write has taken effect, and see that it did so once at most."""

    def fields(key: str) -> Any:
        found = client.kv.get(f"{base_key}/{key}")[1]
        return found and json.loads(found["Value"])

    if name == "create another":
        return fields("y") is not None
    item = fields("x")
    if item is None or name == "destroy":
        return item is None
    assert len(item["meta"]["conditions"]) <= 1
    return bool(
        {
            "create": "new" in item["meta"]["client_data"],
            "enable": item["is_enabled"],
            "add_condition": item["meta"]["conditions"],
            "set_client_data": "new" in item["meta"]["client_data"],
        }[name]
    )


@pytest.mark.parametrize("name", writes(None))  # type: ignore[arg-type]
def test_a_write_whose_reply_is_lost_raises_or_took_effect(
    consul_server: ConsulServer, client: consul.Consul, base_key: str, name: str
) -> None:
    """Whichever reply it is, nothing is written twice, and nothing said that is not."""

    class Aside(Tapped):
        """Keeps the thread's requests off the proxy, so that replies can be counted."""

        def get(self, key: str, recurse: bool = False, **options: Any) -> Any:
            source = client.kv if recurse else self.inner
            return source.get(key, recurse=recurse, **options)

    with (
        Proxy(consul_server.host, consul_server.port) as proxy,
        Brief(client, base_key) as store,
        Brief(Aside(connect(proxy)), base_key) as behind,
    ):
        flags = FeatureFlagClient(behind)
        for lost in range(1, 20):
            store.create("x", client_data={"round": lost})
            store.delete("y")
            eventually(lambda lost=lost: _is_in_round(behind, lost))
            dropped = proxy.dropped
            proxy.drop_reply(lost)
            try:
                writes(flags)[name]()
                is_acknowledged = True
            except AWAY:
                is_acknowledged = False
            is_lost = proxy.dropped > dropped
            proxy.restore()
            assert is_written(client, base_key, name) or not is_acknowledged
            if not is_lost:
                assert is_acknowledged
                assert lost > 1
                return
    pytest.fail("there was no end of replies")


def _is_in_round(store: ConsulFeatureFlagStore, number: int) -> bool:
    item = store.get("x")
    if item is None or store.get("y") is not None:
        return False
    return item.meta["client_data"] == {"round": number}


def test_a_write_that_the_client_repeats_is_made_once(
    tapped: Tapped, base_key: str
) -> None:
    """The repetition of a request whose answer was lost is no rival's write."""

    def put_twice(*arguments: Any, **options: Any) -> Any:
        tapped.inner.put(*arguments, **options)
        return tapped.inner.put(*arguments, **options)

    tapped.putting = put_twice
    with Brief(tapped, base_key) as store:
        flags = FeatureFlagClient(store)
        store.set("x", True)
        for number in range(5):
            flags.add_condition("x", Condition(a=number))
        assert len(flags.get_meta("x")["conditions"]) == 5


def test_an_agent_that_was_restarted_is_followed_again(
    own_server: ConsulServer,
) -> None:
    """While it is away flags are as last known, and writing fails at once."""
    client = connect(own_server)
    with ConsulFeatureFlagStore(connect(own_server), "restarted") as store:
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


def test_a_connection_that_was_cut_is_made_anew(
    consul_server: ConsulServer, client: consul.Consul, base_key: str
) -> None:
    """In the middle of a request that waits, too."""
    with (
        Proxy(consul_server.host, consul_server.port) as proxy,
        ConsulFeatureFlagStore(connect(proxy), base_key) as store,
    ):
        store.create("x", is_enabled=True)
        for is_enabled in (False, True):
            proxy.cut()
            client.kv.put(f"{base_key}/x", document("x", is_enabled))
            assert state(store) is not is_enabled
            proxy.restore()
            eventually(lambda expected=is_enabled: state(store) is expected)
            store.set("y", True)


# Forks


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_follows_by_itself(
    consul_server: ConsulServer, base_key: str
) -> None:
    """It has no thread of the parent's, and must not use its connections."""
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
                sys.exit(0)  # with all that Python does at its end
            children.append(child)
        for _ in range(30):
            client.add_condition("x", Condition(parent=1))
        until(lambda: all(client.is_enabled(f"child-{n}") for n in range(3)))
        until(lambda: len(client.get_meta("x")["conditions"]) == 120)
        client.create("the end", is_enabled=True)
        print([os.waitpid(child, 0)[1] for child in children])
    """
    given = consul_server.host, str(consul_server.port), base_key
    assert run(code, *given) == "[0, 0, 0]\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("fork", ["os.fork", "ctypes.PyDLL(None).fork"])
def test_a_child_that_ends_its_store_leaves_the_parents_requests_alone(
    consul_server: ConsulServer, base_key: str, fork: str
) -> None:
    """Whoever forks: not all application servers call what Python has for that."""
    code = f"""
        import ctypes, os, sys
        import consul
        from flipper import ConsulFeatureFlagStore

        _, host, port, base_key = sys.argv
        stores = [ConsulFeatureFlagStore(consul.Consul(host, int(port)), base_key)]
        for end in (stores[0].close, stores.clear):
            child = {fork}()
            if not child:
                end()
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        print("forked", flush=True)
        sys.stdin.read()
    """
    with Proxy(consul_server.host, consul_server.port) as proxy:
        arguments = proxy.host, str(proxy.port), base_key
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "forked\n"
            time.sleep(0.5)
            # One connection of the thread, on which it is still waiting.
            assert (proxy.connections, proxy.clients()) == (1, 1)
            process.communicate()
        assert process.returncode == 0
