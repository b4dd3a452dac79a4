# SPDX-License-Identifier: Apache-2.0
"""What may fail thousands of times is logged once a minute."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from flipper import MemoryFeatureFlagStore, ReplicatedFeatureFlagStore
from flipper.contracts import listener
from flipper.contracts.watch import SupportsWatch, Watch
from flipper.contrib.cached import CachedFeatureFlagStore
from flipper.contrib.synced import SyncedFeatureFlagStore, follower
from flipper.contrib.synced.copy import LocalCopy
from flipper.contrib.synced.snapshot import Snapshot
from flipper.runtime import log_throttle
from flipper.runtime.log_throttle import LogThrottle, OutageLog
from flipper.testing.contract import eventually
from support.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Give the clock of the throttle."""
    clock = Clock()
    monkeypatch.setattr(log_throttle, "monotonic", clock)
    return clock


@pytest.fixture(autouse=True)
def level(caplog: pytest.LogCaptureFixture) -> None:
    """Hear of all that is logged."""
    caplog.set_level(logging.INFO, "flipper")


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Give what was logged since the last call."""
    said = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return said


def test_each_kind_is_logged_once_a_minute_with_the_number_of_the_others(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is lost: what was held back is counted."""
    throttle = LogThrottle("flipper.test")
    for _ in range(5):
        throttle.warning("a", "%s is wrong", "a")
        throttle.warning("b", "%s is wrong", "b")
    assert messages(caplog) == ["a is wrong", "b is wrong"]
    clock.now += 60
    throttle.warning("a", "%s is wrong", "a")
    assert messages(caplog) == ["a is wrong (4 more times since the last warning)"]
    clock.now += 60
    throttle.warning("a", "%s is wrong", "a")
    assert messages(caplog) == ["a is wrong"]


def test_an_end_is_logged_once_and_only_after_its_begin(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """A store that answers is no news, unless it was said that it does not."""
    outage = OutageLog("flipper.test", MemoryFeatureFlagStore(), "nobody knows")
    outage.ended()
    assert messages(caplog) == []
    for _ in range(3):
        outage.failed(OSError("cut"))
    outage.ended()
    outage.ended()
    begin, end = messages(caplog)
    assert begin == "MemoryFeatureFlagStore fails (OSError: cut); nobody knows"
    assert end == (
        "MemoryFeatureFlagStore answers again "
        "(2 more questions failed since the last warning)"
    )
    outage.failed(OSError("cut"))
    outage.ended()
    assert messages(caplog) == []  # within the minute


def test_the_table_forgets_the_oldest_and_never_all(
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To forget all at once would let all of them be logged again."""
    monkeypatch.setattr(log_throttle, "MAX_KINDS", 100)
    throttle = LogThrottle("flipper.test")
    for number in range(101):
        throttle.warning(number, "%d", number)
    assert len(messages(caplog)) == 101
    for number in range(1, 101):
        throttle.warning(number, "%d", number)
    assert messages(caplog) == []
    throttle.warning(0, "%d", 0)
    assert messages(caplog) == ["0"]


def test_threads_log_a_kind_once(caplog: pytest.LogCaptureFixture) -> None:
    """And lose no count."""
    outage = OutageLog("flipper.test", MemoryFeatureFlagStore(), "nobody knows")
    together = threading.Barrier(8)

    def fail() -> None:
        together.wait(30)
        for _ in range(500):
            outage.failed(OSError("cut"))

    threads = [threading.Thread(target=fail) for _ in range(8)]
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(usual)
    outage.ended()
    begin, end = messages(caplog)
    assert begin == "MemoryFeatureFlagStore fails (OSError: cut); nobody knows"
    assert "(3999 more questions failed" in end


def test_logging_is_not_imported_before_something_is_logged() -> None:
    """It takes a fifth of the time in which the library is imported."""
    script = (
        "import sys; import flipper;"
        "client = flipper.FeatureFlagClient(flipper.MemoryFeatureFlagStore());"
        "client.create('x'); assert not client.is_enabled('x');"
        "print('logging' in sys.modules)"
    )
    command = [sys.executable, "-S", "-c", script]
    path = os.pathsep.join(each for each in sys.path if each)
    run = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout == "False\n", run.stderr


# Who may fail all the time


class Broken(Watch):
    """A watch that ends as soon as it is listened to."""

    def wait(self, timeout: float) -> Collection[str]:
        """Fail."""
        raise OSError("cut")

    def close(self) -> None:
        """Do nothing."""


class Flapping(SupportsWatch, MemoryFeatureFlagStore):
    """A store whose change signal is lost as soon as it is there.

    Attributes:
        watched: how often it was.
    """

    watched = 0

    def watch(self) -> Watch:
        """Begin."""
        self.watched += 1
        return Broken()


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let threads try again at once."""
    monkeypatch.setattr(listener, "_LONGEST_PAUSE", 0.001)


@pytest.mark.usefixtures("no_pauses")
def test_a_copy_that_is_lost_all_the_time_is_told_of_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each time the store can be read, and its signal is lost at once."""
    inner = Flapping()
    with SyncedFeatureFlagStore(inner):
        eventually(lambda: inner.watched > 20)
    levels = [record.levelname for record in caplog.records]
    assert levels.count("WARNING") == 1
    assert levels.count("INFO") <= 2  # live at first, and once more


@pytest.mark.usefixtures("no_pauses")
def test_a_cache_that_is_told_now_and_then_says_so_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As the copy."""
    inner = Flapping()
    with CachedFeatureFlagStore(inner, invalidate=True):
        eventually(lambda: inner.watched > 20)
    levels = [record.levelname for record in caplog.records]
    assert levels.count("WARNING") == 1
    assert levels.count("INFO") <= 2


def test_a_snapshot_that_cannot_be_written_is_told_of_once_a_minute(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk may be full for a night, and it is tried every second."""
    monkeypatch.setattr(follower, "_SAVE_INTERVAL", 0.0)
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


def test_a_flag_that_no_snapshot_can_have_is_told_of_once_a_minute(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is left out each time that the others are saved."""
    store = MemoryFeatureFlagStore()
    for name in ("x", "y"):
        store.create(name, client_data={"object": object()})
    snapshot = Snapshot(tmp_path / "flags.json")
    for _ in range(10):
        snapshot.save(store.list())
    assert len(messages(caplog)) == 2


def test_a_listener_that_fails_is_told_of_once_a_minute(
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


def test_a_replica_that_fails_now_and_then_is_told_of_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One flag that it cannot take makes it fail and answer in turns."""

    class Picky(MemoryFeatureFlagStore):
        def create(self, feature_name: str, *args: Any, **kwargs: Any) -> Any:
            if feature_name == "bad":
                raise ValueError("bad")
            return super().create(feature_name, *args, **kwargs)

    store = ReplicatedFeatureFlagStore(MemoryFeatureFlagStore(), Picky())
    store.create("bad")
    for number in range(20):
        before = store.status()[0].failures
        eventually(lambda before=before: store.status()[0].failures > before + 1)
        store.create(f"good-{number}")
    levels = [record.levelname for record in caplog.records]
    assert levels.count("WARNING") == 1
    assert levels.count("INFO") <= 1
    store.delete("bad")
