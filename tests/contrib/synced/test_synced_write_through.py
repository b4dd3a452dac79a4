# SPDX-License-Identifier: Apache-2.0
"""Writes through the synced store."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from flipper import Condition, FeatureFlagClient, SyncedFeatureFlagStore
from flipper.contrib.storage import FeatureFlagStoreMeta
from flipper.exceptions import StoreTimeoutError
from flipper.testing.contract import at_once, eventually
from support.synced_stores import AwayError, InnerStore, synced


def test_a_write_is_visible_at_once(
    inner: InnerStore, store: SyncedFeatureFlagStore
) -> None:
    """A write is visible in this process without any signal."""
    inner.is_silent = True
    client = FeatureFlagClient(store)
    flag = client.create("f", client_data={"a": 1})
    assert flag.exists()
    flag.enable()
    assert flag.is_enabled()
    flag.add_condition(Condition(plan="pro"))
    assert not flag.is_enabled(plan="free")
    flag.set_client_data({"b": 2})
    assert flag.get_client_data() == {"a": 1, "b": 2}
    store.set_meta("f", FeatureFlagStoreMeta(7))
    assert store.get("f").meta["created_date"] == 7
    flag.disable()
    assert not flag.is_enabled()
    flag.destroy()
    assert not flag.exists()
    assert inner.get("f") is None


def test_a_failed_write_does_not_change_the_copy(
    inner: InnerStore, store: SyncedFeatureFlagStore
) -> None:
    """The error of the inner store is raised, and the copy stays as it was."""
    inner.is_away = True
    client = FeatureFlagClient(store)
    for write in (
        lambda: client.create("f"),
        lambda: client.disable("on"),
        lambda: client.destroy("on"),
        lambda: client.add_condition("on", Condition(a=1)),
    ):
        with pytest.raises(AwayError):
            write()
    assert client.is_enabled("on", a=2) is True
    assert not client.exists("f")


def test_a_flag_whose_write_failed_is_read_again(
    inner: InnerStore, store: SyncedFeatureFlagStore
) -> None:
    """A write whose reply was lost may have taken effect without a signal."""
    inner.is_silent = True

    def lose_the_reply() -> None:
        raise AwayError

    inner.after_write = lose_the_reply
    with pytest.raises(AwayError):
        store.set("on", False)
    eventually(lambda: store.get("on").raw_is_enabled is False)


def test_a_written_state_is_visible_although_the_flag_cannot_be_read(
    inner: InnerStore, store: SyncedFeatureFlagStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flag that was switched off does not stay on because its read failed."""

    def fail(_: str) -> Any:
        raise AwayError

    monkeypatch.setattr(inner, "get", fail)
    store.set("on", False)
    assert store.get("on").raw_is_enabled is False


def test_a_write_without_an_answer_raises_after_write_timeout(
    inner: InnerStore,
) -> None:
    """A write that hangs does not delay other writes of the flag for ever."""
    with synced(inner, write_timeout=0.2) as store:
        inner.answers.clear()
        for _ in range(3):
            with pytest.raises(StoreTimeoutError, match="may have taken effect"):
                store.set("on", False)
        assert FeatureFlagClient(store).is_enabled("on") is True
        inner.answers.set()
        eventually(lambda: store.get("on").raw_is_enabled is False)


def test_without_a_timeout_a_write_is_made_in_the_calling_thread(
    inner: InnerStore,
) -> None:
    """An inner store may keep a transaction for each thread."""
    threads: list[threading.Thread] = []
    inner.after_write = lambda: threads.append(threading.current_thread())
    with synced(inner, write_timeout=None) as store:
        store.create("f")
    assert threads == [threading.current_thread()]


def test_concurrent_writers_of_a_flag_lose_no_change(inner: InnerStore) -> None:
    """Writes through two copies are all stored, and both copies get them."""
    with synced(inner) as store, synced(inner) as other:
        clients = [FeatureFlagClient(store), FeatureFlagClient(other)]

        def add(writer: int) -> None:
            for number in range(25):
                clients[writer % 2].set_client_data("on", {f"{writer}-{number}": 1})

        at_once(*(lambda writer=w: add(writer) for w in range(4)))
        assert len(inner.get("on").meta["client_data"]) == 100
        for copy in (store, other):
            eventually(lambda copy=copy: len(copy.get("on").meta["client_data"]) == 100)


def test_the_write_of_a_rival_during_ones_own_write_is_seen(inner: InnerStore) -> None:
    """The copy has the last write, also if its signal came during one's own write."""
    with synced(inner) as store:
        update = inner.update

        def update_before_rival(feature_name: str, change: Any) -> Any:
            item = update(feature_name, change)
            calls = len(inner.calls)
            inner.create("on", is_enabled=False, client_data={"rival": 1})
            eventually(lambda: "get on" in inner.calls[calls:])
            return item

        inner.update = update_before_rival  # type: ignore[method-assign]
        FeatureFlagClient(store).set_client_data("on", {"mine": 1})
        eventually(lambda: store.get("on").meta["client_data"] == {"rival": 1})
