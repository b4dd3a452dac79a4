# SPDX-License-Identifier: Apache-2.0
"""Pauses and expiries are random, and take nothing from the application's numbers."""

from __future__ import annotations

import os
import random
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from flipper import CachedFeatureFlagStore, FeatureFlagClient, MemoryFeatureFlagStore
from flipper.bucketing import PercentageBucketer
from flipper.contracts.watch import SupportsWatch
from flipper.contrib.synced import SyncedFeatureFlagStore
from flipper.runtime.jitter import uniform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

forks = pytest.mark.skipif(
    sys.platform == "win32", reason="processes do not fork on this system"
)


@pytest.fixture(autouse=True)
def _own_seed() -> Iterator[None]:
    """Leave the random numbers of the other tests alone."""
    state = random.getstate()
    yield
    random.setstate(state)


class Rivalled(MemoryFeatureFlagStore):
    """A store in which three writes out of four come too late."""

    tries = 0

    def _swap(self, item: Any, expected: Any) -> bool:
        self.tries += 1
        return self.tries % 4 == 0 and super()._swap(item, expected)


class Counted(MemoryFeatureFlagStore):
    """A store that counts how often all flags are read."""

    lists = 0

    def list(self, *args: Any, **kwargs: Any) -> Any:
        """Read all flags."""
        self.lists += 1
        return super().list(*args, **kwargs)


class Away(SupportsWatch, MemoryFeatureFlagStore):
    """A store whose change signal cannot be reached."""

    watches = 0

    def watch(self) -> Any:
        """Fail."""
        self.watches += 1
        raise ConnectionError


def expire_early() -> None:
    """Fill a cache whose entries expire at random times."""
    store = CachedFeatureFlagStore(MemoryFeatureFlagStore(), ttl=60, jitter=0.5)
    for number in range(20):
        store.create(f"flag-{number}")
        store.get(f"flag-{number}")


def write_again() -> None:
    """Write against rivals, with pauses between the tries."""
    store = Rivalled()
    store.tries = 3
    store.create("x")
    store.update("x", lambda item: item.with_state(True))
    assert store.tries == 8


def follow() -> None:
    """Read all flags time and again."""
    inner = Counted()
    with SyncedFeatureFlagStore(inner, poll_interval=0.01):
        until(lambda: inner.lists > 3)


def listen() -> None:
    """Try to listen time and again."""
    inner = Away()
    with CachedFeatureFlagStore(inner, invalidate=True):
        until(lambda: inner.watches > 2)


def until(is_done: Callable[[], bool]) -> None:
    """Wait for something that happens in another thread."""
    deadline = time.monotonic() + 30
    while not is_done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def draw() -> list[float]:
    """Take twenty numbers, as an application does."""
    return [random.random() for _ in range(20)]  # noqa: S311


@pytest.mark.parametrize("use", [expire_early, write_again, follow, listen])
def test_the_numbers_of_the_application_stay_the_same(use: Callable[[], None]) -> None:
    """A simulation that calls `random.seed(1)` gives the same result every time."""
    random.seed(1)
    wanted = draw()
    random.seed(1)
    use()
    assert draw() == wanted


def test_a_random_bucketer_draws_from_the_numbers_of_the_application() -> None:
    """Existing tests seed `random` to know who is let in."""
    client = FeatureFlagClient(MemoryFeatureFlagStore())
    client.create("x", is_enabled=True)
    client.set_bucketer("x", PercentageBucketer(0.5))
    random.seed(1)
    wanted = [number <= 0.5 for number in draw()]
    random.seed(1)
    assert [client.is_enabled("x") for _ in range(20)] == wanted


@forks
# Python warns where threads of other tests are still there; this child needs none.
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_children_do_not_pause_alike() -> None:
    """Workers that all ask again at the same moment would overload the server."""
    uniform(0, 1)
    drawn = set()
    for _ in range(3):
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            os.write(writer, repr(uniform(0, 1)).encode())
            os._exit(0)
        os.waitpid(child, 0)
        os.close(writer)
        drawn.add(os.read(reader, 100))
        os.close(reader)
    assert len(drawn) == 3
