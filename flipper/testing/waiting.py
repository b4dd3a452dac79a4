# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: S101  (these are tests)
"""Functions that run jobs in threads, and that wait for what has to happen."""

from __future__ import annotations

import sys
import threading
from time import sleep
from typing import TYPE_CHECKING

from ..runtime.clock import monotonic

if TYPE_CHECKING:
    from collections.abc import Callable

TIMEOUT = 60.0
"""Seconds that a test waits for what has to happen, before it fails."""
WRITERS = 8
"""How many threads write at once."""


def at_once(*jobs: Callable[[], object]) -> None:
    """Run every job in a thread of its own; all threads start at the same moment.

    Raises:
        BaseException: what the first job that failed raised.
    """
    start = threading.Barrier(len(jobs))
    failures: list[BaseException] = []

    def run(job: Callable[[], object]) -> None:
        try:
            start.wait(TIMEOUT)
            job()
        except BaseException as error:  # noqa: BLE001  (raised below)
            failures.append(error)

    threads = [threading.Thread(target=run, args=[job], daemon=True) for job in jobs]
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # so that they race far more often
    try:
        for thread in threads:
            thread.start()
        _join(threads, failures)
    finally:
        sys.setswitchinterval(usual)
    if failures:
        raise failures[0]
    assert not any(thread.is_alive() for thread in threads), "threads do not end"


def _join(threads: list[threading.Thread], failures: list[BaseException]) -> None:
    deadline = monotonic() + TIMEOUT
    while any(thread.is_alive() for thread in threads):
        if failures:  # the others may wait for the one that failed
            deadline = min(deadline, monotonic() + 1)
        if monotonic() > deadline:
            break
        for thread in threads:
            thread.join(0.1)


def eventually(condition: Callable[[], object]) -> None:
    """Wait until a condition is true, `TIMEOUT` seconds at most.

    Other processes may see a write a little later.

    Raises:
        AssertionError: the time is up.
    """
    deadline = monotonic() + TIMEOUT
    while not condition():
        assert monotonic() < deadline, "it did not come true"
        sleep(0.01)


def wait_for(event: threading.Event) -> None:
    """Wait until an event is set, `TIMEOUT` seconds at most.

    Raises:
        AssertionError: the time is up.
    """
    assert event.wait(TIMEOUT), "the event was not set"
