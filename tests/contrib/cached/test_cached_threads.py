# SPDX-License-Identifier: Apache-2.0
"""The cached store in many threads, and in forked processes."""

from __future__ import annotations

import threading
from random import Random
from time import sleep
from typing import TYPE_CHECKING, Any

import pytest

from flipper import (
    CachedFeatureFlagStore,
    Condition,
    FeatureFlagClient,
    MemoryFeatureFlagStore,
)
from support.cached_stores import (
    TIMEOUT,
    WRITES,
    Interrupted,
    OwnStore,
    PausePoint,
    entries_of,
    in_progress,
    number_of,
    numbered,
    state_of,
    wait_for_threads,
)
from support.programs import needs_fork, run_program

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import ThreadPoolExecutor

    from flipper.contrib.storage import FeatureFlagStoreItem


# Reads and writes of one flag at the same time


@pytest.mark.parametrize("ttl", [None, 60])
@pytest.mark.parametrize("write", WRITES)
def test_a_slow_read_does_not_undo_a_write(
    inner: OwnStore, pool: ThreadPoolExecutor, write: str, ttl: float | None
) -> None:
    """What was read before a write is not cached after it."""
    store = CachedFeatureFlagStore(inner, ttl=ttl)
    old = inner.flags.create("x", client_data={"n": 1})
    inner.after_read = pause = PausePoint()
    slow = pool.submit(store.get, "x")
    pause.wait_until_reached()
    WRITES[write](store)
    pause.resume()
    assert slow.result(TIMEOUT) is old
    assert store.get("x") is inner.flags.get("x") is not old
    assert in_progress(store) == {}


@pytest.mark.parametrize("write", WRITES)
def test_a_read_during_a_slow_write_is_not_cached(
    inner: OwnStore, pool: ThreadPoolExecutor, write: str
) -> None:
    """A read that begins during a write may be older than the write."""
    store = CachedFeatureFlagStore(inner)
    old = inner.flags.create("x", client_data={"n": 1})
    start, read = PausePoint(), PausePoint()
    inner.before_write = start
    writer = pool.submit(WRITES[write], store)
    start.wait_until_reached()
    inner.after_read = read
    reader = pool.submit(store.get, "x")
    read.wait_until_reached()
    start.resume()
    writer.result(TIMEOUT)
    read.resume()
    assert reader.result(TIMEOUT) is old
    assert store.get("x") is inner.flags.get("x") is not old
    assert in_progress(store) == {}


def test_a_flag_cached_during_a_write_is_dropped_after_it(
    inner: OwnStore, pool: ThreadPoolExecutor
) -> None:
    """A flag that was cached during a write is read again after it."""
    store = CachedFeatureFlagStore(inner)
    inner.flags.create("x")
    inner.before_write = start = PausePoint()
    writer = pool.submit(WRITES["set"], store)
    start.wait_until_reached()
    assert state_of(store.get("x")) is False
    start.resume()
    writer.result(TIMEOUT)
    assert state_of(store.get("x")) is True


def test_the_later_of_two_concurrent_writes_is_visible(
    inner: OwnStore, pool: ThreadPoolExecutor
) -> None:
    """A write whose result is read slowly does not undo a later write."""
    store = CachedFeatureFlagStore(inner)
    inner.after_read = pause = PausePoint()
    slow = pool.submit(WRITES["set"], store)
    pause.wait_until_reached()
    store.create("x", client_data={"n": 3})
    pause.resume()
    slow.result(TIMEOUT)
    assert store.get("x") is inner.flags.get("x")
    assert in_progress(store) == {}


def test_a_write_that_fails_during_a_read_does_not_disable_the_cache(
    inner: OwnStore, pool: ThreadPoolExecutor
) -> None:
    """After a write has failed during a read, the next read is cached."""
    store = CachedFeatureFlagStore(inner)
    inner.flags.create("x")
    inner.after_read = pause = PausePoint()
    slow = pool.submit(store.get, "x")
    pause.wait_until_reached()
    inner.write_error = OSError("on purpose")
    with pytest.raises(OSError, match="on purpose"):
        store.set("x", is_enabled=True)
    pause.resume()
    assert state_of(slow.result(TIMEOUT)) is False
    inner.reads.clear()
    store.get("x")
    store.get("x")
    assert inner.reads == ["x"]


# Reads that threads share


@pytest.mark.parametrize("exists", [True, False])
def test_concurrent_misses_of_a_flag_share_one_read(
    inner: OwnStore,
    pool: ThreadPoolExecutor,
    waiting: threading.Semaphore,
    exists: bool,
) -> None:
    """Eight threads that miss one flag at once get the result of one read."""
    if exists:
        inner.flags.create("x")
    store = CachedFeatureFlagStore(inner)
    inner.after_read = pause = PausePoint()
    answers = [pool.submit(store.get, "x") for _ in range(8)]
    pause.wait_until_reached()
    wait_for_threads(waiting, 7)
    pause.resume()
    assert {answer.result(TIMEOUT) for answer in answers} == {inner.flags.get("x")}
    assert inner.reads == ["x"]


def test_misses_of_other_flags_do_not_wait(
    inner: OwnStore, pool: ThreadPoolExecutor
) -> None:
    """A slow read of one flag does not delay reads and writes of others."""
    store = CachedFeatureFlagStore(inner)
    inner.after_read = pause = PausePoint()
    slow = pool.submit(store.get, "x")
    pause.wait_until_reached()
    assert store.get("y") is None
    store.set("z", is_enabled=True)
    assert state_of(store.get("z")) is True
    assert not slow.done()
    pause.resume()
    assert slow.result(TIMEOUT) is None


def test_all_threads_that_wait_for_a_failed_read_get_its_error(
    inner: OwnStore, pool: ThreadPoolExecutor, waiting: threading.Semaphore
) -> None:
    """A store that fails is not read by each of the waiting threads."""
    store = CachedFeatureFlagStore(inner)
    inner.after_read = pause = PausePoint(OSError("on purpose"))
    answers = [pool.submit(store.get, "x") for _ in range(8)]
    pause.wait_until_reached()
    wait_for_threads(waiting, 7)
    pause.resume()
    for answer in answers:
        with pytest.raises(OSError, match="on purpose"):
            answer.result(TIMEOUT)
    assert inner.reads == ["x"]
    inner.after_read = lambda _: None
    assert store.get("x") is None


def test_an_interrupted_read_fails_for_its_own_thread_only(
    inner: OwnStore, pool: ThreadPoolExecutor, waiting: threading.Semaphore
) -> None:
    """One of the threads that waited for an interrupted read makes a new read."""
    inner.flags.create("x")
    store = CachedFeatureFlagStore(inner)
    first, second = PausePoint(), PausePoint()

    def interrupt(name: str) -> None:
        first(name)
        inner.after_read = second
        raise Interrupted

    inner.after_read = interrupt
    stopped = pool.submit(store.get, "x")
    first.wait_until_reached()
    others = [pool.submit(store.get, "x") for _ in range(7)]
    wait_for_threads(waiting, 7)
    first.resume()
    second.wait_until_reached()
    wait_for_threads(waiting, 6)
    second.resume()
    with pytest.raises(Interrupted):
        stopped.result(TIMEOUT)
    assert [state_of(other.result(TIMEOUT)) for other in others] == [False] * 7
    assert inner.reads == ["x", "x"]


def test_a_thread_does_not_wait_for_its_own_read(inner: OwnStore) -> None:
    """A signal handler may read the flag that its own thread is reading."""
    inner.flags.create("x")
    store = CachedFeatureFlagStore(inner)
    answers: list[Any] = []

    def handler(name: str) -> None:
        inner.after_read = lambda _: None
        answers.append(state_of(store.get(name)))

    inner.after_read = handler
    thread = threading.Thread(target=store.get, args=["x"], daemon=True)
    thread.start()
    thread.join(TIMEOUT)
    assert not thread.is_alive()
    assert answers == [False]
    inner.reads.clear()
    assert state_of(store.get("x")) is False
    assert inner.reads == []


# Many threads


NUMBERING: list[Callable[[Any, str, int], object]] = [
    lambda store, name, n: store.create(name, client_data={"n": n}),
    lambda store, name, n: store.set_meta(name, numbered(n)),
    lambda store, name, n: store.update(name, lambda it: it.replace(meta=numbered(n))),
]


STEPS = 2500


class RandomReadsAndWrites:
    """Threads that each read and write flags `STEPS` times, as fast as they can.

    Each flag has a number that only grows. One thread writes a flag, and has to see
    what it wrote. No thread may see a number smaller than one that it has seen.
    """

    def __init__(self, store: Any, names: list[str], threads: int) -> None:
        self.store = store
        self.names = names
        self.threads = threads
        self.written = dict.fromkeys(names)
        self.largest = 0

    def run(self, thread: int) -> None:
        """Read and write in one of the threads."""
        random = Random(thread)  # noqa: S311  (the same each time)
        seen = dict.fromkeys(self.names, 0)
        for step in range(1, STEPS + 1):
            position = random.randrange(len(self.names))
            name = self.names[position]
            if position % self.threads == thread and random.random() < 0.5:
                self.write(name, step, random)
                assert number_of(self.store.get(name)) == self.written[name], name
                seen[name] = step
            else:
                item = self.store.get(name)
                assert item is None or item.feature_name == name
                assert item is None or number_of(item) >= seen[name], name
                seen[name] = number_of(item) or seen[name]
            self.largest = max(self.largest, len(entries_of(self.store)))

    def write(self, name: str, n: int, random: Random) -> None:
        """Create, change or delete a flag."""
        if random.random() < 0.2:
            self.store.delete(name)
            self.written[name] = None
            return
        change = NUMBERING[0]
        if self.written[name] is not None:
            change = random.choice(NUMBERING)
        change(self.store, name, n)
        self.written[name] = n  # type: ignore[assignment]


class SlowStore(MemoryFeatureFlagStore):
    """A store in memory that returns a flag a moment after it was read.

    Without that moment, hardly any read meets a write.
    """

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Read a flag."""
        item = super().get(feature_name)
        sleep(0.0002)
        return item


@pytest.mark.usefixtures("table", "frequent_thread_switches")
def test_threads_that_read_and_write_at_random_see_no_outdated_flag(
    pool: ThreadPoolExecutor,
) -> None:
    """Eight threads see no outdated flag, and the cache never exceeds its size."""
    inner = SlowStore()
    store = CachedFeatureFlagStore(inner, size=10, ttl=0.01)
    names = [f"flag-{number}" for number in range(30)]
    work = RandomReadsAndWrites(store, names, threads=8)
    list(pool.map(work.run, range(8)))
    assert 0 < work.largest <= 10
    assert in_progress(store) == {}
    for name, n in work.written.items():
        assert number_of(store.get(name)) == number_of(inner.get(name)) == n


def test_conditions_added_through_two_caches_are_all_stored(
    pool: ThreadPoolExecutor,
) -> None:
    """Eight threads add 50 conditions each through two caches, and none is lost."""
    inner = MemoryFeatureFlagStore()
    clients = [FeatureFlagClient(CachedFeatureFlagStore(inner)) for _ in range(2)]
    clients[0].create("x")

    def add(thread: int) -> None:
        for number in range(50):
            clients[thread % 2].add_condition("x", Condition(a=(thread, number)))

    list(pool.map(add, range(8)))
    item = inner.get("x")
    assert item is not None
    assert len(item.raw_meta.conditions) == 400


# Forks


FORK_SCRIPT = """
import os, signal, threading
from flipper import CachedFeatureFlagStore, MemoryFeatureFlagStore
from flipper.contrib.cached import lru
from flipper.contrib.cached.lru import PlainLRU

class Slow(MemoryFeatureFlagStore):
    def get(self, feature_name):
        item = super().get(feature_name)
        if threading.current_thread() is not threading.main_thread():
            reached.set()
            go_on.wait(30)
        return item

reached, go_on = threading.Event(), threading.Event()
inner = Slow()
inner.create("x", is_enabled=True)
{make}
thread = threading.Thread(target={target})
thread.start()
assert reached.wait(30)
pid = os.fork()
if not pid:
    signal.alarm(20)  # ends a child that is stuck
    right = store.get("x").raw_is_enabled is True
    store.set("x", False)
    right = right and store.get("x").raw_is_enabled is False
    os._exit(0 if right else 3)
status = os.waitpid(pid, 0)[1]
go_on.set()
thread.join(30)
assert status == 0, status
assert store.get("x").raw_is_enabled is True
"""


@needs_fork
def test_a_child_does_not_wait_for_a_read_of_its_parent() -> None:
    """A child that was forked during a read of its parent reads the flag itself."""
    make = "store = CachedFeatureFlagStore(inner)"
    run_program(FORK_SCRIPT.format(make=make, target="lambda: store.get('x')"))


@needs_fork
@pytest.mark.parametrize("lock", ["store._lock", "store._cache._lock"])
def test_a_child_does_not_wait_for_a_lock_of_its_parent(lock: str) -> None:
    """A child that was forked while a thread held a lock has locks of its own."""
    make = f"""
lru.LRU = None
store = CachedFeatureFlagStore(inner)
def hold():
    with {lock}:
        reached.set()
        go_on.wait(30)
"""
    run_program(FORK_SCRIPT.format(make=make, target="hold"))
