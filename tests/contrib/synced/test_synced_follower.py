# SPDX-License-Identifier: Apache-2.0
"""The background thread of the synced store: how it follows, and outages."""

from __future__ import annotations

import logging
from time import sleep
from typing import TYPE_CHECKING, Any

import pytest

from flipper import FeatureFlagClient, MemoryFeatureFlagStore, SyncedFeatureFlagStore
from flipper.contracts import listener
from flipper.exceptions import StoreTimeoutError
from flipper.testing.contract import eventually
from support.synced_stores import AwayError, InnerStore, synced, wait_for_state

if TYPE_CHECKING:
    from flipper.contrib.storage import FeatureFlagStoreItem
    from flipper.contrib.synced.copy import FlagChange


# Following


def test_a_reported_change_costs_one_read_of_that_flag(
    inner: InnerStore, store: SyncedFeatureFlagStore
) -> None:
    """A reported change makes the store read this flag and no other."""
    inner.set("on", False)
    eventually(lambda: not FeatureFlagClient(store).is_enabled("on"))
    eventually(lambda: "get on" in inner.calls)
    assert [c for c in inner.calls if not c.startswith("write")] == [
        "watch",
        "list",
        "get on",
    ]


def test_flags_created_and_deleted_elsewhere_are_seen(
    inner: InnerStore, store: SyncedFeatureFlagStore
) -> None:
    """The copy follows the creation and deletion of flags."""
    inner.create("new", is_enabled=True)
    eventually(lambda: store.get("new"))
    inner.delete("on")
    eventually(lambda: store.get("on") is None)
    assert [item.feature_name for item in store.list()] == ["new"]


def test_many_reported_changes_are_read_by_one_list(
    inner: InnerStore, store: SyncedFeatureFlagStore
) -> None:
    """A thousand changes are read by one `list` instead of a thousand `get`s."""
    inner.is_silent = True
    for number in range(1000):
        inner.create(f"f{number}")
    inner.is_silent = False
    inner.report(*(f"f{number}" for number in range(1000)))
    eventually(lambda: len(list(store.list())) == 1001)
    assert not any(call.startswith("get") for call in inner.calls)


def test_a_lost_signal_is_made_up_for_by_polling(inner: InnerStore) -> None:
    """All flags are read from time to time, also while the signal works."""
    with synced(inner, poll_interval=0.1) as store:
        inner.is_silent = True
        inner.set("on", False)
        eventually(lambda: not FeatureFlagClient(store).is_enabled("on"))
        assert store.status().state == "live"


def test_a_store_without_a_signal_is_polled() -> None:
    """Any store can be followed, also one without a change signal."""
    inner = MemoryFeatureFlagStore()
    with synced(inner, poll_interval=0.05) as store:
        assert store.status().state == "polling"
        inner.create("new")
        eventually(lambda: store.get("new"))
        inner.delete("new")
        eventually(lambda: store.get("new") is None)


def test_a_refused_signal_is_tried_again(inner: InnerStore) -> None:
    """A store that polls begins to listen when the inner store allows it."""
    inner.has_signal = False
    with synced(inner, poll_interval=0.05) as store:
        wait_for_state(store, "polling")
        inner.has_signal = True
        wait_for_state(store, "live")


def test_an_unchanged_flag_stays_the_same_object(inner: InnerStore) -> None:
    """An unchanged item is kept, since its conditions are compiled already."""
    with synced(inner, poll_interval=0.02) as store:
        before, calls = store.get("on"), len(inner.calls)
        list_all = inner.list
        inner.list = lambda *page: (copy_of(item) for item in list_all(*page))  # type: ignore[method-assign]
        eventually(lambda: len(inner.calls) > calls + 3)
        assert store.get("on") is before
        assert store.status().revision == 1


def copy_of(item: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
    """Return an equal item that is another object."""
    return item.deserialize(item.serialize())


# Outages


def test_an_outage_changes_no_answer(inner: InnerStore) -> None:
    """During an outage only writes fail; missed changes are read after it."""
    with synced(inner) as store:
        client = FeatureFlagClient(store, on_error="raise")
        inner.disconnect()
        wait_for_state(store, "stale")
        assert all(client.is_enabled("on") for _ in range(1000))
        assert isinstance(store.status().last_error, AwayError)
        inner.is_away = False
        inner.set("on", False)
        wait_for_state(store, "live")
        assert client.is_enabled("on") is False
        assert store.status().last_error is None


def test_an_inner_store_that_hangs_is_noticed(
    inner: InnerStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No call of the background thread may hang for ever."""
    monkeypatch.setattr("flipper.contrib.synced.reading._ANSWER_TIMEOUT", 0.1)
    with synced(inner, poll_interval=0.05) as store:
        inner.answers.clear()
        wait_for_state(store, "stale")
        assert isinstance(store.status().last_error, StoreTimeoutError)
        assert FeatureFlagClient(store).is_enabled("on") is True
        inner.answers.set()
        wait_for_state(store, "live")


class ForgetfulStore(InnerStore):
    """An inner store without a signal whose next lists can be replaced.

    Attributes:
        lists: what the next calls of `list` return instead of the flags.
    """

    def __init__(self) -> None:
        super().__init__()
        self.has_signal = False
        self.lists: list[list[Any]] = []

    def list(self, limit: int | None = None, offset: int = 0) -> Any:
        """Return the next of `lists`, or else all flags."""
        found = super().list(limit, offset)
        return iter(self.lists.pop(0)) if self.lists else found


@pytest.mark.parametrize("others", [[], ["new"]])
def test_the_loss_of_all_flags_is_accepted_the_second_time(others: list[str]) -> None:
    """One empty list may come from a server that just started, or be incomplete."""
    inner = ForgetfulStore()
    for name in ("a", "b"):
        inner.create(name, is_enabled=True)
    found = [inner.get("a").with_name(name) for name in others]  # type: ignore[union-attr]
    changes: list[FlagChange] = []
    with synced(inner, poll_interval=0.01) as store:
        store.on_change(changes.append)
        for _ in range(3):
            inner.lists = [found]
            eventually(lambda: not inner.lists)
            inner.calls.clear()
            eventually(lambda: inner.calls.count("list") > 1)
        assert changes == []
        assert [item.feature_name for item in store.list()] == ["a", "b"]
        inner.lists = [found, found]
        eventually(lambda: len(changes) >= 2 + len(others))
        names = [(change.feature_name, change.kind) for change in changes]
        assert ("a", "deleted") in names
        assert ("b", "deleted") in names


def test_a_store_may_be_closed_before_it_accepts_the_loss_of_all_flags() -> None:
    """A store closed after one empty list keeps its flags and reads no more."""
    inner = ForgetfulStore()
    inner.create("a")
    with synced(inner, poll_interval=0.01) as store:
        inner.lists = [[]]
        eventually(lambda: not inner.lists)
        store.close()
        inner.calls.clear()
        assert [item.feature_name for item in store.list()] == ["a"]
        assert inner.calls == []


def test_the_attempts_of_many_processes_stay_spread(
    inner: InnerStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a loss the first pause is random, and all later ones are of equal length.

    So whenever the server is back, the processes come evenly spread.
    """
    pauses: list[float] = []
    monkeypatch.setattr(listener, "uniform", lambda low, high: (low + high) / 1000)
    with synced(inner) as store:

        def note_pause(_: object, pause: float) -> None:
            pauses.append(pause)
            sleep(0.01)

        monkeypatch.setattr(store._follower, "_sleep", note_pause)
        for _ in range(2):  # after each success again
            pauses.clear()
            inner.disconnect()
            eventually(lambda: len(pauses) > 3)
            assert pauses[:4] == [0.0045, 4.5, 4.5, 4.5]
            inner.is_away = False
            wait_for_state(store, "live")


def test_changes_of_the_status_are_logged_once_and_reported(
    inner: InnerStore,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A long outage is logged once, and reported once to status listeners."""
    monkeypatch.setattr(listener, "_LONGEST_PAUSE", 0.1)
    caplog.set_level(logging.INFO, "flipper")
    states: list[str] = []
    with synced(inner) as store:
        store.on_status(lambda status: states.append(status.state))
        inner.disconnect()
        wait_for_state(store, "stale")
        calls = len(inner.calls)
        eventually(lambda: len(inner.calls) > calls + 2)
        inner.is_away = False
        wait_for_state(store, "live")
    eventually(lambda: states == ["stale", "live", "closed"])
    levels = [
        record.levelname
        for record in caplog.records
        if record.name == "flipper.contrib.synced.follower"
    ]
    assert levels == ["INFO", "WARNING", "INFO", "INFO"]


def test_the_age_grows_during_an_outage(inner: InnerStore) -> None:
    """The age of the copy is small, and grows while the inner store is away."""
    with synced(inner) as store:
        assert store.status().age < 30
        inner.disconnect()
        wait_for_state(store, "stale")
        before = store.status().age
        sleep(0.05)
        assert store.status().age >= before + 0.05
