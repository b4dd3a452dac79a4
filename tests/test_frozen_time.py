# SPDX-License-Identifier: Apache-2.0
"""What is stored or begun while a test suite freezes time does not outlive the freeze.

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

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

freezegun = pytest.importorskip("freezegun")

FUTURE = "2040-01-01"


def freeze_with_freezegun(date: str) -> Any:
    """Freeze time."""
    return freezegun.freeze_time(date)


def freeze_with_time_machine(date: str) -> Any:
    """Freeze time."""
    return pytest.importorskip("time_machine").travel(date, tick=False)


freezers = pytest.mark.parametrize(
    "freeze", [freeze_with_freezegun, freeze_with_time_machine]
)


class AwayError(Exception):
    """The server is away."""


class Server(MemoryFeatureFlagStore):
    """Flags as if on a server, which may be away."""

    outage_errors = (AwayError,)
    error: Exception | None = None

    def get(self, feature_name: str) -> Any:
        """Read a flag, or fail."""
        if self.error is not None:
            raise self.error
        return super().get(feature_name)


class Polled:
    """A store of one's own, without a change signal."""

    def __init__(self) -> None:
        flags = MemoryFeatureFlagStore()
        self.create, self.get, self.list = flags.create, flags.get, flags.list
        self.set, self.set_meta = flags.set, flags.set_meta
        self.delete = flags.delete


@pytest.fixture
def server() -> Server:
    """Give a server with a flag that is off."""
    server = Server()
    server.create("x")
    return server


def is_on(store: Any) -> bool:
    """Tell the state of the flag."""
    return bool(store.get("x").raw_is_enabled)


@freezers
def test_an_entry_cached_meanwhile_expires(
    server: Server, freeze: Callable[[str], Any]
) -> None:
    """Its ttl is a fifth of a second, not that and fourteen years."""
    store = CachedFeatureFlagStore(server, ttl=0.2)
    with freeze(FUTURE):
        assert is_on(store) is False
        server.set("x", is_enabled=True)
    eventually(lambda: is_on(store))


def test_an_entry_expires_when_the_frozen_clock_is_put_forward(server: Server) -> None:
    """As it did in the cache of flipper-client: tests need not wait."""
    with freezegun.freeze_time(FUTURE) as frozen:
        store = CachedFeatureFlagStore(server, ttl=30)
        assert is_on(store) is False
        server.set("x", is_enabled=True)
        frozen.tick(29)
        assert is_on(store) is False
        frozen.tick(2)
        assert is_on(store) is True


def test_an_entry_cached_before_expires(server: Server) -> None:
    """The frozen clock says that its time is long over."""
    store = CachedFeatureFlagStore(server, ttl=1000)
    assert is_on(store) is False
    server.set("x", is_enabled=True)
    with freezegun.freeze_time(FUTURE):
        assert is_on(store) is True


def test_an_entry_cached_meanwhile_is_no_answer_for_a_failing_store(
    server: Server,
) -> None:
    """What has expired may answer for a minute, not for fourteen years."""
    store = CachedFeatureFlagStore(server, ttl=1, stale_if_error=60)
    with freezegun.freeze_time(FUTURE) as frozen:
        assert is_on(store) is False
        server.error = ZeroDivisionError()
        frozen.tick(59)
        assert is_on(store) is False
    with pytest.raises(ZeroDivisionError):
        store.get("x")
    server.error = None
    server.set("x", is_enabled=True)
    assert is_on(store) is True


@freezers
@pytest.mark.parametrize("has_threads", [True, False])
def test_an_outage_that_begins_meanwhile_ends(
    server: Server,
    freeze: Callable[[str], Any],
    monkeypatch: pytest.MonkeyPatch,
    has_threads: bool,
) -> None:
    """In the freeze, and after it; also where a question has to try the server."""
    if not has_threads:
        monkeypatch.setattr(circuit_breaker, "start_thread", lambda *_: None)
    client = FeatureFlagClient(server)
    assert client.is_enabled("x") is False
    server.set("x", is_enabled=True)
    with freeze(FUTURE):
        server.error = AwayError()
        assert client.is_enabled("x") is True  # learnt from the write
        assert current_reader(server) is not server
        server.error = None
        eventually(lambda: client.is_enabled("x") and current_reader(server) is server)
        server.error = AwayError()
        client.is_enabled("x")
        assert current_reader(server) is not server
    server.error = None
    eventually(lambda: client.is_enabled("x") and current_reader(server) is server)


@freezers
def test_a_warning_logged_meanwhile_does_not_hide_the_next_ones(
    server: Server,
    freeze: Callable[[str], Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """There is one a minute, and not one in fourteen years."""
    monkeypatch.setattr(log_throttle, "INTERVAL", 0.05)
    client = FeatureFlagClient(server, strict="warn")
    with freeze(FUTURE):
        client.is_enabled("missing")
    assert len(caplog.records) == 1
    time.sleep(0.06)
    client.is_enabled("missing")
    assert len(caplog.records) == 2


@freezers
def test_a_copy_is_followed_meanwhile(freeze: Callable[[str], Any]) -> None:
    """It is read again as often as ever, and is as old as it is."""
    inner = Polled()
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


def test_a_replica_is_not_said_to_be_years_behind(server: Server) -> None:
    """It is as far behind as it is, for who looks in the freeze and after it."""
    hanging, go_on = threading.Event(), threading.Event()

    class Slow(MemoryFeatureFlagStore):
        def create(self, *args: Any, **kwargs: Any) -> Any:
            hanging.set()
            assert go_on.wait(30)
            return super().create(*args, **kwargs)

    store = ReplicatedFeatureFlagStore(server, Slow())
    with freezegun.freeze_time(FUTURE):
        store.create("y")
        assert hanging.wait(30)
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
    """It was saved while the clock was wrong; clocks that differ a little are usual."""
    snapshot = Snapshot(tmp_path / "flags.json")
    snapshot.save([])
    changed = time.time() + ahead
    os.utime(snapshot.path, (changed, changed))
    assert snapshot.load() == (age, {})


@freezers
def test_a_snapshot_read_in_the_past_has_no_known_age(
    tmp_path: Path, freeze: Callable[[str], Any]
) -> None:
    """Files have the date of the system, not the one of the test."""
    snapshot = Snapshot(tmp_path / "flags.json")
    snapshot.save([])
    with freeze("2001-01-01"):
        assert snapshot.load() == (float("inf"), {})
