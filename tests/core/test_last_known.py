# SPDX-License-Identifier: Apache-2.0
"""How a store whose server is away is left alone for a while."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from flipper.contrib import last_known
from flipper.contrib.last_known import Rest
from flipper.contrib.memory import MemoryFeatureFlagStore


class AwayError(Exception):
    """The server is away."""


class Server(MemoryFeatureFlagStore):
    """A store that fails, and takes its time to.

    Attributes:
        asked: how often.
        takes: seconds until it fails, by the clock of the test.
    """

    away_errors = (AwayError,)

    def __init__(self, clock: list[float]) -> None:
        super().__init__()
        self.clock = clock
        self.asked = 0
        self.takes = 0.0

    def get(self, feature_name: str) -> Any:
        """Fail."""
        self.asked += 1
        self.clock[0] += self.takes
        raise AwayError


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Give a clock that stands still unless it is put forward."""
    clock = [1000.0]
    monkeypatch.setattr(last_known, "monotonic", lambda: clock[0])
    return clock


def asked_within(rest: Rest, server: Server, clock: list[float], seconds: int) -> int:
    """Ask ten times a second, and count what gets through."""
    before = server.asked
    for _ in range(seconds * 10):
        with pytest.raises(AwayError):
            rest.get("x")
        clock[0] += 0.1
    return server.asked - before


def test_who_fails_at_once_is_asked_twice_a_second(clock: list[float]) -> None:
    """A server that is back is used again soon."""
    server = Server(clock)
    rest = Rest(server, AwayError(), lambda: None)
    assert asked_within(rest, server, clock, 10) in {19, 20}


def test_who_takes_long_to_fail_is_asked_more_seldom(clock: list[float]) -> None:
    """Or a program of one thread would do hardly anything but wait."""
    server = Server(clock)
    server.takes = 10.0
    rest = Rest(server, AwayError(), lambda: None)
    began, waited = clock[0], 0.0
    while clock[0] < began + 600:
        before = clock[0]
        with pytest.raises(AwayError):
            rest.get("x")
        waited += clock[0] - before
        clock[0] += 0.1
    assert waited <= 0.55 * 600


def test_a_child_asks_though_its_parent_was_asking(clock: list[float]) -> None:
    """The thread that would end the rest is not in a forked child."""
    server = Server(clock)
    rest = Rest(server, AwayError(), lambda: None)
    clock[0] += 1
    asking, over = threading.Event(), threading.Event()
    get = server.get

    def hang(feature_name: str) -> Any:
        asking.set()
        over.wait()
        return get(feature_name)

    server.get = hang  # type: ignore[method-assign]

    def ask() -> None:
        with pytest.raises(AwayError):
            rest.get("x")

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    asking.wait()
    del server.get
    clock[0] += 100
    assert asked_within(rest, server, clock, 2) == 0
    rest.after_fork()  # what a fork does in the child
    assert asked_within(rest, server, clock, 2) > 0
    over.set()
    thread.join()
