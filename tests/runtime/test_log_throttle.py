# SPDX-License-Identifier: Apache-2.0
"""`LogThrottle` and `OutageLog` log a repeated failure at most once a minute."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading

import pytest

from flipper import MemoryFeatureFlagStore
from flipper.runtime import log_throttle
from flipper.runtime.log_throttle import LogThrottle, OutageLog
from support.clock import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Replace the clock of the throttle."""
    clock = Clock()
    monkeypatch.setattr(log_throttle, "monotonic", clock)
    return clock


@pytest.fixture(autouse=True)
def log_level(caplog: pytest.LogCaptureFixture) -> None:
    """Capture records of level INFO."""
    caplog.set_level(logging.INFO, "flipper")


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged since the last call."""
    said = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return said


def test_each_kind_is_logged_once_a_minute_with_a_count(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """The next record says how many warnings were held back."""
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


def test_the_end_of_an_outage_is_logged_once_and_only_after_its_begin(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """A store that answers is logged only if its failure was logged."""
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


def test_a_full_table_forgets_its_oldest_kind(
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A table that forgot all kinds at once would log all of them again."""
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


@pytest.mark.usefixtures("threads_switch_often")
def test_threads_log_one_record_and_lose_no_count(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Eight threads that fail at once log one warning, and the end has the number."""
    outage = OutageLog("flipper.test", MemoryFeatureFlagStore(), "nobody knows")
    together = threading.Barrier(8)

    def fail() -> None:
        together.wait(30)
        for _ in range(500):
            outage.failed(OSError("cut"))

    threads = [threading.Thread(target=fail) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outage.ended()
    begin, end = messages(caplog)
    assert begin == "MemoryFeatureFlagStore fails (OSError: cut); nobody knows"
    assert "(3999 more questions failed" in end


def test_logging_is_not_imported_before_something_is_logged() -> None:
    """The import of `logging` takes a fifth of the time to import the library."""
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
