# SPDX-License-Identifier: Apache-2.0
"""What the Consul store reads and writes on a real agent."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import requests

from flipper import Condition, FeatureFlagClient, FlagDoesNotExistError
from flipper.contrib.consul import ConsulFeatureFlagStore
from flipper.events import EventType
from flipper.exceptions import InvalidArgumentError
from flipper.testing.contract import at_once, eventually
from support.broken_documents import check_hostile_documents
from support.consul_clients import (
    BriefStore,
    ScriptedClient,
    TappedClient,
    row,
    wait_until_level,
)
from support.flags import document, names, state
from support.programs import run_program

if TYPE_CHECKING:
    import consul

    from servers import ConsulServer

pytestmark = pytest.mark.consul


THREADS, PROCESSES, TIMES = 8, 4, 50


# Keys and values


def test_a_flag_is_one_key_with_json(
    store: ConsulFeatureFlagStore, client: consul.Consul, base_key: str
) -> None:
    """The store keeps each flag as JSON in one key, under the base key and the name."""
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
    """A write keeps all fields of a document that another program has written."""
    client.kv.put(f"{base_key}/x", document("x", is_enabled=False).decode())
    eventually(lambda: state(store) is False)
    store.set("x", True)
    fields = json.loads(client.kv.get(f"{base_key}/x")[1]["Value"])
    assert fields["is_enabled"] is True
    assert fields["meta"]["client_data"] == {"a": "é"}
    assert fields["meta"]["created_date"] == 7


@pytest.mark.parametrize("given", ["flags", "flags/", "a/b"])
def test_the_base_key_may_end_with_a_slash(client: consul.Consul, given: str) -> None:
    """`base_key` is what was given; a slash at its end is not doubled in the keys."""
    own = f"flipper-{uuid.uuid4().hex}/{given}"
    with BriefStore(client, own) as store:
        assert store.base_key == own
        store.create("x")
        assert client.kv.get(f"{own.rstrip('/')}/x")[1] is not None
        assert names(store) == ["x"]


@pytest.mark.parametrize(
    "name",
    ["x/", "n" * 1000, "旗" * 333, "a?b#c%2Fd+e", "...", "a..b", "😀", "a:b;c\\"],
)
def test_a_name_is_part_of_the_key_unchanged(
    store: ConsulFeatureFlagStore, client: consul.Consul, base_key: str, name: str
) -> None:
    """Nearly every text that the client accepts is a name, and part of the key."""
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
def test_a_name_that_urls_would_change_is_refused(
    store: ConsulFeatureFlagStore, client: consul.Consul, base_key: str, name: str
) -> None:
    """A name whose dots or slashes an URL would lose is refused, and touches no key."""
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


@pytest.mark.parametrize("is_heard", [False, True])
def test_no_flag_has_a_name_that_urls_would_change(
    client: consul.Consul, base_key: str, is_heard: bool
) -> None:
    """No flag has such a name, and the client does not change another flag."""
    with BriefStore(client, base_key) as store:
        flags = FeatureFlagClient(store)
        flags.create("x")
        if is_heard:
            flags.events.on(EventType.PRE_ENABLE, lambda *_: None)
        with pytest.raises(FlagDoesNotExistError):
            flags.enable("y/../x")
        assert flags.is_enabled("x") is False


def test_a_key_without_a_value_is_no_flag(
    store: ConsulFeatureFlagStore, client: consul.Consul, base_key: str
) -> None:
    """Consul's folders are such keys; a flag can be created there."""
    for key in ("", "folder/", "x"):
        client.kv.put(f"{base_key}/{key}", b"")
    client.kv.put(f"{base_key}/last", document("last"))
    eventually(lambda: state(store, "last"))
    assert names(store) == ["last"]
    assert store.get("x") is None
    store.set("x", True)
    assert (names(store), state(store)) == (["last", "x"], True)


def test_only_keys_below_the_base_key_are_flags(
    store: ConsulFeatureFlagStore, client: consul.Consul, base_key: str
) -> None:
    """Keys with the same prefix, and copies under another name, are not listed."""
    client.kv.put(f"{base_key}2/x", document("x"))
    client.kv.put(base_key, document("x"))
    client.kv.put(f"{base_key}/deep/er", document("deep/er"))
    client.kv.put(f"{base_key}/copy", document("another"))
    client.kv.put(f"{base_key}/last", document("last"))
    eventually(lambda: state(store, "last"))
    assert names(store) == ["deep/er", "last"]
    assert store.get("x") is None


def test_hostile_documents_are_never_on_and_hide_no_flag(
    client: consul.Consul, store: ConsulFeatureFlagStore, base_key: str
) -> None:
    """A broken document is never on, hides no other flag, and can be written over."""

    def write(documents: dict[str, bytes]) -> None:
        with ThreadPoolExecutor(THREADS) as threads:
            for name, value in documents.items():
                threads.submit(client.kv.put, f"{base_key}/{name}", value)
        wait_until_level(store, client)

    check_hostile_documents(store, write)


# Writes


def test_concurrent_writes_of_threads_are_all_kept(
    store: ConsulFeatureFlagStore,
) -> None:
    """Each write of eight threads to one flag adds to the result of the others."""
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

    at_once(switch, *(lambda thread=t: add(thread) for t in range(THREADS)))
    meta = flags.get_meta("x")
    assert len(meta["conditions"]) == THREADS * TIMES // 2
    assert len(meta["client_data"]) == THREADS * TIMES // 2
    assert state(store) is True


def test_concurrent_writes_of_processes_are_all_kept(
    consul_server: ConsulServer, store: ConsulFeatureFlagStore, base_key: str
) -> None:
    """Each write of four processes to one flag is kept, although their copies lag."""
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
    at_once(*[lambda: run_program(code, *given)] * PROCESSES)
    expected = PROCESSES * TIMES  # equal ones are not merged
    eventually(lambda: len(flags.get_meta("x")["conditions"]) == expected)
    assert flags.get_client_data("x") == {"kept": True}


def test_two_stores_that_create_a_flag_at_once_create_one(
    store: ConsulFeatureFlagStore, client: consul.Consul, base_key: str
) -> None:
    """The second store finds the flag of the first, although its copy had none."""
    with BriefStore(client, base_key) as other:
        for number in range(10):
            name = f"flag-{number}"
            at_once(
                lambda name=name: store.set(name, True),
                lambda name=name: other.set(name, True),
            )
            store.update(name, lambda item: item.replace(is_enabled=False))
            eventually(lambda name=name: state(other, name) is False)
        assert len(names(store)) == 10


@pytest.mark.parametrize("index", [None, "soon"])
def test_a_write_succeeds_even_if_the_reply_after_it_is_incomplete(
    tapped: TappedClient, base_key: str, index: Any
) -> None:
    """A write that Consul has acknowledged succeeds, whatever the next reply is."""

    class Cut(TappedClient):
        def get(self, key: str, recurse: bool = False, **options: Any) -> Any:
            found = super().get(key, recurse=recurse, **options)
            return found if recurse else (index, None)

    with BriefStore(Cut(tapped), base_key) as store:
        assert store.create("x", is_enabled=True).is_enabled() is True
        assert state(store) is True
        store.delete("x")
        assert state(store) is None


def test_a_write_of_unknown_outcome_raises() -> None:
    """A refused write raises if nobody can say whether it is a repetition of itself."""

    class Mute(ScriptedClient):
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


def test_a_write_that_the_client_sends_twice_is_applied_once(
    tapped: TappedClient, base_key: str
) -> None:
    """A store does not take the repetition of its own write for a rival's write."""

    def put_twice(*arguments: Any, **options: Any) -> Any:
        tapped.inner.put(*arguments, **options)
        return tapped.inner.put(*arguments, **options)

    tapped.putting = put_twice
    with BriefStore(tapped, base_key) as store:
        flags = FeatureFlagClient(store)
        store.set("x", True)
        for number in range(5):
            flags.add_condition("x", Condition(a=number))
        assert len(flags.get_meta("x")["conditions"]) == 5
