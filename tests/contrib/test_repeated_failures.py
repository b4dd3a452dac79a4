# SPDX-License-Identifier: Apache-2.0
"""Stores whose background work fails again and again log it once a minute."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from flipper import MemoryFeatureFlagStore, ReplicatedFeatureFlagStore
from flipper.contracts import listener
from flipper.contracts.watch import SupportsWatch, Watch
from flipper.contrib.cached import CachedFeatureFlagStore
from flipper.contrib.synced import SyncedFeatureFlagStore, follower
from flipper.contrib.synced.copy import LocalCopy
from flipper.contrib.synced.snapshot import Snapshot
from flipper.runtime.clock import monotonic
from flipper.testing.contract import eventually

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path


@pytest.fixture(autouse=True)
def log_level(caplog: pytest.LogCaptureFixture) -> None:
    """Capture records of level INFO."""
    caplog.set_level(logging.INFO, "flipper")


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged since the last call."""
    said = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return said


class BrokenWatch(Watch):
    """A watch that fails as soon as it waits."""

    def wait(self, timeout: float) -> Collection[str]:
        """Fail."""
        raise OSError("cut")

    def close(self) -> None:
        """Do nothing."""


class StoreWithBrokenWatch(SupportsWatch, MemoryFeatureFlagStore):
    """A store whose change signal is lost at once, again and again.

    Attributes:
        watched: how often a watch was opened.
    """

    watched = 0

    def watch(self) -> Watch:
        """Begin."""
        self.watched += 1
        return BrokenWatch()


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the pauses after which listeners try again."""
    monkeypatch.setattr(listener, "uniform", lambda *_: 0.001)


@pytest.mark.usefixtures("no_pauses")
def test_a_copy_whose_signal_is_lost_again_and_again_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each time the store can be read, but its change signal is lost at once."""
    inner = StoreWithBrokenWatch()
    with SyncedFeatureFlagStore(inner):
        eventually(lambda: inner.watched > 20)
    levels = [record.levelname for record in caplog.records]
    assert levels.count("WARNING") == 1
    assert levels.count("INFO") <= 2  # the copy is live at first, and once more


@pytest.mark.usefixtures("no_pauses")
def test_a_cache_whose_signal_is_lost_again_and_again_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each time the cache can listen, but the change signal is lost at once."""
    inner = StoreWithBrokenWatch()
    with CachedFeatureFlagStore(inner, invalidate=True):
        eventually(lambda: inner.watched > 20)
    levels = [record.levelname for record in caplog.records]
    assert levels.count("WARNING") == 1
    assert levels.count("INFO") <= 2


def test_a_snapshot_that_cannot_be_written_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk may be full for hours, and each second another attempt is made."""
    # A snapshot is written once a second at most, by this clock.
    monkeypatch.setattr(follower, "monotonic", lambda: 1000 * monotonic())
    monkeypatch.setattr(follower, "CHECK_INTERVAL", 0.001)
    tries = []

    def save(self: Snapshot, items: Any) -> None:
        tries.append(items)
        raise OSError("no space left")

    monkeypatch.setattr(Snapshot, "save", save)
    inner = MemoryFeatureFlagStore()
    inner.create("x")
    with SyncedFeatureFlagStore(inner, snapshot=tmp_path / "flags.json"):
        eventually(lambda: len(tries) > 20)
    said = [one for one in messages(caplog) if "snapshot" in one]
    assert said == ["The snapshot was not written: no space left"]


def test_a_flag_that_a_snapshot_cannot_contain_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is left out each time that the other flags are saved."""
    store = MemoryFeatureFlagStore()
    for name in ("x", "y"):
        store.create(name, client_data={"object": object()})
    snapshot = Snapshot(tmp_path / "flags.json")
    for _ in range(10):
        snapshot.save(store.list())
    assert len(messages(caplog)) == 2


def test_a_change_listener_that_fails_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Thousands of flags may change at once."""
    copy = LocalCopy()

    def fail(change: Any) -> None:
        raise ValueError(change)

    copy.add_listener(fail)
    store = MemoryFeatureFlagStore()
    for number in range(100):
        store.create(f"x{number}")
    copy.begin_reading()
    copy.apply({item.feature_name: item for item in store.list()}, complete=True)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage().startswith("A listener failed at FlagChange(")
    assert record.exc_info is not None


def test_a_replica_that_fails_and_recovers_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A flag that it refuses makes it fail and recover again and again."""

    class Picky(MemoryFeatureFlagStore):
        def create(self, feature_name: str, *args: Any, **kwargs: Any) -> Any:
            if feature_name == "bad":
                raise ValueError("bad")
            return super().create(feature_name, *args, **kwargs)

    store = ReplicatedFeatureFlagStore(MemoryFeatureFlagStore(), Picky())
    store.create("bad")
    for number in range(8):
        before = store.status()[0].failures
        eventually(lambda before=before: store.status()[0].failures > before + 1)
        store.create(f"good-{number}")
    levels = [record.levelname for record in caplog.records]
    assert levels.count("WARNING") == 1
    assert levels.count("INFO") <= 1
    store.delete("bad")
