# SPDX-License-Identifier: Apache-2.0
"""Random pauses do not use the random numbers of the application."""

from __future__ import annotations

import os
import random
import sys
from typing import TYPE_CHECKING, Any

import pytest

from flipper import CachedFeatureFlagStore, FeatureFlagClient, MemoryFeatureFlagStore
from flipper.bucketing import PercentageBucketer
from flipper.contracts.watch import SupportsWatch
from flipper.contrib.synced import SyncedFeatureFlagStore
from flipper.runtime.jitter import uniform
from flipper.testing.contract import eventually
from servers import unmeasured
from support.programs import needs_fork, run_program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(autouse=True)
def _restore_random_state() -> Iterator[None]:
    """Keep the random numbers of other tests as they are."""
    state = random.getstate()
    yield
    random.setstate(state)


class ContestedStore(MemoryFeatureFlagStore):
    """A store in which three of four writes lose a race."""

    tries = 0

    def _swap(self, item: Any, expected: Any) -> bool:
        self.tries += 1
        return self.tries % 4 == 0 and super()._swap(item, expected)


class CountingStore(MemoryFeatureFlagStore):
    """A store that counts how often all flags are read."""

    lists = 0

    def list(self, *args: Any, **kwargs: Any) -> Any:
        """Read all flags."""
        self.lists += 1
        return super().list(*args, **kwargs)


class StoreWithoutServer(SupportsWatch, MemoryFeatureFlagStore):
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
    """Write until no race is lost, with random pauses."""
    store = ContestedStore()
    store.tries = 3
    store.create("x")
    store.update("x", lambda item: item.with_state(True))
    assert store.tries == 8


def follow() -> None:
    """Read all flags again and again."""
    inner = CountingStore()
    with SyncedFeatureFlagStore(inner, poll_interval=0.01):
        eventually(lambda: inner.lists > 3)


def listen() -> None:
    """Try to listen again and again."""
    inner = StoreWithoutServer()
    with CachedFeatureFlagStore(inner, invalidate=True):
        eventually(lambda: inner.watches > 2)


def draw() -> list[float]:
    """Draw twenty random numbers, like an application."""
    return [random.random() for _ in range(20)]  # noqa: S311


@pytest.mark.parametrize("use", [expire_early, write_again, follow, listen])
def test_pauses_do_not_change_the_random_numbers_of_the_application(
    use: Callable[[], None],
) -> None:
    """`random.seed(1)` gives the application the same numbers with every store.

    In a process of its own, since the threads of other tests may draw numbers.
    """
    program = f"""
        import random
        from {__name__} import draw, {use.__name__}

        random.seed(1)
        wanted = draw()
        random.seed(1)
        {use.__name__}()
        assert draw() == wanted
    """
    path = os.pathsep.join(sys.path)
    run_program(program, environment={**unmeasured(), "PYTHONPATH": path}, may_log=True)


def test_a_random_bucketer_draws_from_the_module_random() -> None:
    """Existing tests call `random.seed` to know the answers."""
    client = FeatureFlagClient(MemoryFeatureFlagStore())
    client.create("x", is_enabled=True)
    client.set_bucketer("x", PercentageBucketer(0.5))
    random.seed(1)
    wanted = [number <= 0.5 for number in draw()]
    random.seed(1)
    assert [client.is_enabled("x") for _ in range(20)] == wanted


@needs_fork
# Python warns if threads of other tests still run; this child needs none of them.
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_forked_children_pause_differently() -> None:
    """Workers that try again at the same moment would overload the server."""
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
