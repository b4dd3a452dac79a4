# SPDX-License-Identifier: Apache-2.0
"""Time limits and ages stay right in a test suite that freezes time.

freezegun replaces `time.monotonic` by a clock that stands still, decades ahead.
time-machine leaves it alone, and moves the clock of dates and of files.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from flipper import (
    CachedFeatureFlagStore,
    FeatureFlagClient,
    MemoryFeatureFlagStore,
    ReplicatedFeatureFlagStore,
    SyncedFeatureFlagStore,
)
from flipper.contracts import circuit_breaker
from flipper.contracts.circuit_breaker import current_reader
from flipper.contrib.synced.snapshot import Snapshot
from flipper.runtime import log_throttle
from flipper.testing.contract import eventually
from support.custom_stores import RemoteStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

freezegun = pytest.importorskip("freezegun")

FUTURE = "2040-01-01"


def freeze_with_freezegun(date: str) -> Any:
    """Freeze time with freezegun."""
    return freezegun.freeze_time(date)


def freeze_with_time_machine(date: str) -> Any:
    """Freeze time with time-machine."""
    return pytest.importorskip("time_machine").travel(date, tick=False)


freezers = pytest.mark.parametrize(
    "freeze", [freeze_with_freezegun, freeze_with_time_machine]
)


class PolledStore:
    """A custom store without a change signal."""

    def __init__(self) -> None:
        flags = MemoryFeatureFlagStore()
        self.create, self.get, self.list = flags.create, flags.get, flags.list
        self.set, self.set_meta = flags.set, flags.set_meta
        self.delete = flags.delete


@pytest.fixture
def server() -> RemoteStore:
    """Return a remote store with a flag that is off."""
    server = RemoteStore()
    server.create("x")
    return server


def is_on(store: Any) -> bool:
    """Return the state of the flag in the store."""
    return bool(store.get("x").raw_is_enabled)


@freezers
def test_an_entry_cached_in_a_freeze_expires(
    server: RemoteStore, freeze: Callable[[str], Any]
) -> None:
    """Its time to live does not include the distance to the frozen date."""
    store = CachedFeatureFlagStore(server, ttl=0.2)
    with freeze(FUTURE):
        assert is_on(store) is False
        server.set("x", is_enabled=True)
    eventually(lambda: is_on(store))


def test_an_entry_expires_when_the_frozen_clock_moves(server: RemoteStore) -> None:
    """As with flipper-client, a test moves the clock instead of waiting."""
    with freezegun.freeze_time(FUTURE) as frozen:
        store = CachedFeatureFlagStore(server, ttl=30)
        assert is_on(store) is False
        server.set("x", is_enabled=True)
        frozen.tick(29)
        assert is_on(store) is False
        frozen.tick(2)
        assert is_on(store) is True


def test_an_entry_cached_before_a_freeze_expires(server: RemoteStore) -> None:
    """By the frozen clock its time to live is over."""
    store = CachedFeatureFlagStore(server, ttl=1000)
    assert is_on(store) is False
    server.set("x", is_enabled=True)
    with freezegun.freeze_time(FUTURE):
        assert is_on(store) is True


def test_an_entry_cached_in_a_freeze_does_not_answer_for_years(
    server: RemoteStore,
) -> None:
    """An expired entry answers in an outage for `stale_if_error` seconds only."""
    store = CachedFeatureFlagStore(server, ttl=1, stale_if_error=60)
    with freezegun.freeze_time(FUTURE) as frozen:
        assert is_on(store) is False
        server.failure = ZeroDivisionError()
        frozen.tick(59)
        assert is_on(store) is False
    with pytest.raises(ZeroDivisionError):
        store.get("x")
    server.failure = None
    server.set("x", is_enabled=True)
    assert is_on(store) is True


@freezers
@pytest.mark.parametrize("has_threads", [True, False])
def test_an_outage_that_begins_in_a_freeze_ends(
    server: RemoteStore,
    freeze: Callable[[str], Any],
    monkeypatch: pytest.MonkeyPatch,
    has_threads: bool,
) -> None:
    """The end is noticed in the freeze and after it, with and without threads."""
    if not has_threads:
        monkeypatch.setattr(circuit_breaker, "start_thread", lambda *_: None)
    client = FeatureFlagClient(server)
    assert client.is_enabled("x") is False
    server.set("x", is_enabled=True)
    with freeze(FUTURE):
        server.failure = ConnectionError()
        assert client.is_enabled("x") is True  # by the last known state
        assert current_reader(server) is not server
        server.failure = None
        eventually(lambda: client.is_enabled("x") and current_reader(server) is server)
        server.failure = ConnectionError()
        client.is_enabled("x")
        assert current_reader(server) is not server
    server.failure = None
    eventually(lambda: client.is_enabled("x") and current_reader(server) is server)


@freezers
def test_a_warning_logged_in_a_freeze_does_not_hide_later_ones(
    server: RemoteStore,
    freeze: Callable[[str], Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The next warning is due a minute later, by real time."""
    monkeypatch.setattr(log_throttle, "INTERVAL", 0.05)
    client = FeatureFlagClient(server, strict="warn")
    with freeze(FUTURE):
        client.is_enabled("missing")
    assert len(caplog.records) == 1
    time.sleep(0.06)
    client.is_enabled("missing")
    assert len(caplog.records) == 2


@freezers
def test_a_copy_is_updated_in_a_freeze(freeze: Callable[[str], Any]) -> None:
    """The copy is read again as often as before, and its age is that of real time."""
    inner = PolledStore()
    inner.create("x")
    store = SyncedFeatureFlagStore(inner, poll_interval=0.05, max_staleness=50)
    with store:
        client = FeatureFlagClient(store, on_error="raise")
        for number in range(3):
            with freeze(FUTURE):
                inner.set("x", number % 2 == 0)
                eventually(lambda n=number: client.is_enabled("x") is (n % 2 == 0))
                assert store.status().age < 50
            inner.set("x", number % 2 == 1)
            eventually(lambda n=number: client.is_enabled("x") is (n % 2 == 1))
            assert store.status().age < 50


def test_the_delay_of_a_replica_is_measured_in_real_time(server: RemoteStore) -> None:
    """`behind` is right in the freeze and after it."""
    is_hanging, go_on = threading.Event(), threading.Event()

    class Slow(MemoryFeatureFlagStore):
        def create(self, *args: Any, **kwargs: Any) -> Any:
            is_hanging.set()
            assert go_on.wait(30)
            return super().create(*args, **kwargs)

    store = ReplicatedFeatureFlagStore(server, Slow())
    with freezegun.freeze_time(FUTURE):
        store.create("y")
        assert is_hanging.wait(30)
    assert 0 <= store.status()[0].behind < 1000
    with freezegun.freeze_time(FUTURE):
        assert 0 <= store.status()[0].behind < 1000
    go_on.set()


@pytest.mark.parametrize(
    ("ahead", "age"), [(86400.0, float("inf")), (5.0, 0.0)], ids=["a day", "5 s"]
)
def test_a_snapshot_of_the_future_has_no_known_age(
    tmp_path: Path, ahead: float, age: float
) -> None:
    """It was saved while the clock was wrong; a few seconds are ignored."""
    snapshot = Snapshot(tmp_path / "flags.json")
    snapshot.save([])
    changed = time.time() + ahead
    os.utime(snapshot.path, (changed, changed))
    assert snapshot.load() == (age, {})


@freezers
def test_a_snapshot_read_in_the_past_has_no_known_age(
    tmp_path: Path, freeze: Callable[[str], Any]
) -> None:
    """Files have the date of the system, not that of the test."""
    snapshot = Snapshot(tmp_path / "flags.json")
    snapshot.save([])
    with freeze("2001-01-01"):
        assert snapshot.load() == (float("inf"), {})
