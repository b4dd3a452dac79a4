# SPDX-License-Identifier: Apache-2.0
"""Fixtures for the tests of the cached store."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from flipper.contrib import cached
from flipper.contrib.cached import entries, lru
from support.cached_stores import TIMEOUT, OwnStore, SignallingStore
from support.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def inner() -> OwnStore:
    """Give an inner store that records its calls, and that can wait and fail."""
    return OwnStore()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Replace the clock of the cache."""
    clock = Clock()
    monkeypatch.setattr(cached, "monotonic", clock)
    monkeypatch.setattr(entries, "monotonic", clock)
    return clock


@pytest.fixture
def all_clocks(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Replace the clocks of the cache and of its circuit breaker, without a thread."""
    monkeypatch.setattr("flipper.contracts.circuit_breaker.monotonic", clock)
    no_thread = "flipper.contracts.circuit_breaker.start_thread"
    monkeypatch.setattr(no_thread, lambda *_: None)
    return clock


@pytest.fixture
def remote() -> SignallingStore:
    """Give an inner store with a change signal and a flag "x" that is off."""
    remote = SignallingStore()
    remote.flags.create("x")
    return remote


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Give a pool of threads."""
    with ThreadPoolExecutor(16) as pool:
        yield pool


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> threading.Semaphore:
    """Give a semaphore that each thread releases when it waits for another's read."""
    waiting = threading.Semaphore(0)

    class Counted(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waiting.release()
            return super().wait(TIMEOUT)

    class CountedRead(entries.ReadInProgress):
        def __init__(self) -> None:
            super().__init__()
            self.done = Counted()

    monkeypatch.setattr(entries, "ReadInProgress", CountedRead)
    return waiting


@pytest.fixture(params=["lru-dict", "plain"])
def table(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test with lru-dict, and with the table that replaces it."""
    if request.param == "plain":
        monkeypatch.setattr(lru, "LRU", None)
    elif lru.LRU is None:
        pytest.skip("lru-dict is not installed, or Python has no GIL")
    return str(request.param)


@pytest.fixture
def frequent_thread_switches() -> Iterator[None]:
    """Let the interpreter switch between threads far more often than usual."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(usual)
