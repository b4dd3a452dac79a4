# SPDX-License-Identifier: Apache-2.0
"""The cache: what it remembers, for how long, and what threads and failures do to it.

That a cached store is a store like any other is in `tests/contract`.
"""

from __future__ import annotations

import gc
import logging
import subprocess
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from random import Random
from time import monotonic, process_time
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock, call

import pytest

from flipper import (
    CachedFeatureFlagStore,
    Condition,
    FeatureFlagClient,
    FlagDoesNotExistError,
    MemoryFeatureFlagStore,
    ReplicatedFeatureFlagStore,
)
from flipper.contracts.circuit_breaker import current_reader
from flipper.contracts.last_known import LastKnownFlags, SupportsLastKnown
from flipper.contracts.watch import SupportsWatch, WatchQueue, WatchRefusedError
from flipper.contracts.wrapper import FeatureFlagStoreWrapper
from flipper.contrib import cached
from flipper.contrib.cached import entries, lru
from flipper.contrib.cached.lru import PlainLRU, make_lru
from flipper.contrib.interface import AbstractFeatureFlagStore
from flipper.contrib.storage import FeatureFlagStoreMeta
from flipper.exceptions import InvalidArgumentError, InvalidFlagDataError
from flipper.testing.contract import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from flipper.contrib.storage import FeatureFlagStoreItem

AT_MOST = 30  # seconds until a thread that should have gone on counts as stuck

forks = pytest.mark.skipif(
    sys.platform == "win32", reason="processes do not fork on this system"
)


class OwnStore(AbstractFeatureFlagStore):
    """A store in the style of flipper-client that can be made to wait and to fail.

    `reads` and `writes` tell what was asked. `fail` raises instead of an answer, and
    `after_read` is called with the name once a flag has been read, before it is given.
    """

    def __init__(self) -> None:
        self.flags = MemoryFeatureFlagStore()
        self.reads: list[str] = []
        self.writes: list[str] = []
        self.fail_reads: BaseException | None = None
        self.fail_writes: BaseException | None = None
        self.after_read: Callable[[str], object] = lambda _: None

    def create(
        self,
        feature_name: str,
        is_enabled: bool = False,
        client_data: dict[str, Any] | None = None,
    ) -> FeatureFlagStoreItem:
        """Write a new flag."""
        self._written("create")
        return self.flags.create(feature_name, is_enabled, client_data)

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Read a flag."""
        self.reads.append(feature_name)
        if self.fail_reads is not None:
            raise self.fail_reads
        item = self.flags.get(feature_name)
        self.after_read(feature_name)
        return item

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Write the state."""
        self._written("set")
        self.flags.set(feature_name, is_enabled)

    def delete(self, feature_name: str) -> None:
        """Remove a flag."""
        self._written("delete")
        self.flags.delete(feature_name)

    def list(
        self, limit: int | None = None, offset: int = 0
    ) -> Iterator[FeatureFlagStoreItem]:
        """Give the flags."""
        return self.flags.list(limit, offset)

    def set_meta(self, feature_name: str, meta: FeatureFlagStoreMeta) -> None:
        """Write the metadata."""
        self._written("set_meta")
        self.flags.set_meta(feature_name, meta)

    def _written(self, method: str) -> None:
        self.writes.append(method)
        if self.fail_writes is not None:
            raise self.fail_writes


class AwayError(Exception):
    """The server is away."""


class Remote(OwnStore, SupportsLastKnown):
    """A store whose server can be away, and which remembers what it gave."""

    def __init__(self) -> None:
        super().__init__()
        self.known = LastKnownFlags(self.flags)

    @property
    def outage_errors(self) -> tuple[type[Exception], ...]:
        """The error of a server that is away."""
        return (AwayError,)

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Read a flag, and remember it."""
        super().get(feature_name)
        return self.known.get(feature_name)

    def last_known(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Give what was read last."""
        return self.known.last_known(feature_name)


class News(WatchQueue):
    """A watch that can also say that anything may have changed."""

    is_any = False

    def wait(self, timeout: float) -> Collection[str] | None:
        """Wait for changes."""
        names = super().wait(timeout)
        if names and self.is_any:
            self.is_any = False
            return None
        return names


class Announcing(SupportsWatch, Remote):
    """A remote store that tells of changes, as long as it is there and willing.

    `watches` are those who listen, `asked` counts who wanted to.
    """

    def __init__(self) -> None:
        super().__init__()
        self.watches: list[News] = []
        self.asked = 0
        self.fail_watch: Exception | None = None

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Read a flag, once: what is given is what was there before `after_read`."""
        return OwnStore.get(self, feature_name)

    def watch(self) -> News:
        """Listen."""
        self.asked += 1
        if self.fail_watch is not None:
            raise self.fail_watch
        news = News(lambda: self.watches.remove(news))
        self.watches.append(news)
        return news

    def write(self, feature_name: str, is_enabled: bool) -> None:
        """Write a flag as another process does, and tell of it."""
        self.flags.set(feature_name, is_enabled)
        self.tell(feature_name)

    def tell(self, *feature_names: str) -> None:
        """Tell of changes."""
        for news in list(self.watches):
            news.report(*feature_names)

    def tell_of_anything(self) -> None:
        """Tell that it is not known what has changed."""
        for news in list(self.watches):
            news.is_any = True
            news.report("")

    def leave(self, error: Exception | None = None) -> None:
        """Stop telling, for a reason."""
        self.fail_watch = error or AwayError("on purpose")
        for news in list(self.watches):
            news.fail(self.fail_watch)


class Clock:
    """Stands in for `monotonic`, and goes only when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


class Pause:
    """Holds the first thread that comes by until told; others go on."""

    def __init__(self) -> None:
        self._first = threading.Lock()
        self._reached = threading.Event()
        self._go_on = threading.Event()

    def __call__(self, *_: object) -> None:
        """Wait, if first."""
        if self._first.acquire(blocking=False):
            self._reached.set()
            assert self._go_on.wait(AT_MOST)

    def wait_until_reached(self) -> None:
        """Wait for the thread to be held."""
        assert self._reached.wait(AT_MOST)

    def end(self) -> None:
        """Let it go on."""
        self._go_on.set()


@pytest.fixture
def inner() -> OwnStore:
    """Give a store that counts, waits and fails."""
    return OwnStore()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Give the clock of the cache."""
    clock = Clock()
    monkeypatch.setattr(cached, "monotonic", clock)
    monkeypatch.setattr(entries, "monotonic", clock)
    return clock


@pytest.fixture
def all_clocks(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Give the clock of the cache and of its circuit breaker, which has no thread."""
    monkeypatch.setattr("flipper.contracts.circuit_breaker.monotonic", clock)
    no_thread = "flipper.contracts.circuit_breaker.start_thread"
    monkeypatch.setattr(no_thread, lambda *_: None)
    return clock


@pytest.fixture
def announcing() -> Announcing:
    """Give a store that tells of changes, with a flag that is off."""
    announcing = Announcing()
    announcing.flags.create("x")
    return announcing


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Give threads."""
    with ThreadPoolExecutor(16) as pool:
        yield pool


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> threading.Semaphore:
    """Give what is released for each thread that waits for the read of another."""
    waiting = threading.Semaphore(0)

    class Counted(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waiting.release()
            return super().wait(AT_MOST)

    class CountedRead(entries.ReadInProgress):
        def __init__(self) -> None:
            super().__init__()
            self.done = Counted()

    monkeypatch.setattr(entries, "ReadInProgress", CountedRead)
    return waiting


@pytest.fixture(params=["lru-dict", "plain"])
def table(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test with lru-dict, and with what there is without it."""
    if request.param == "plain":
        monkeypatch.setattr(lru, "LRU", None)
    else:
        pytest.importorskip("lru")
    return str(request.param)


def state(item: FeatureFlagStoreItem | None) -> Any:
    """Tell the state of a flag, `None` where there is none."""
    return None if item is None else item.raw_is_enabled


def wait_for(semaphore: threading.Semaphore, count: int) -> None:
    """Wait until it was released so many times."""
    for _ in range(count):
        assert semaphore.acquire(timeout=AT_MOST)


def run_script(script: str) -> None:
    """Run Python code in a process of its own, which has to end well."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


# Size


def test_the_table_is_the_one_that_is_installed(table: str) -> None:
    """lru-dict is used where it is there, plain Python elsewhere and for no entries."""
    assert isinstance(make_lru(3), PlainLRU) is (table == "plain")
    assert isinstance(make_lru(0), PlainLRU)
    assert isinstance(make_lru(-1), PlainLRU)


@pytest.mark.usefixtures("table")
def test_the_least_recently_used_flag_goes_first(inner: OwnStore) -> None:
    """Asking for a flag keeps it; the one not asked for longest makes room."""
    store = CachedFeatureFlagStore(inner, size=2)
    for name in ("a", "b", "a", "c"):
        store.get(name)
    inner.reads.clear()
    for name in ("a", "c", "b"):
        store.get(name)
    assert inner.reads == ["b"]


@pytest.mark.usefixtures("table")
def test_writing_a_flag_uses_it(inner: OwnStore) -> None:
    """A flag that was written is the most recently used."""
    store = CachedFeatureFlagStore(inner, size=2)
    store.create("a")
    store.create("b")
    store.set("a", is_enabled=True)
    store.create("c")
    inner.reads.clear()
    assert [state(store.get(name)) for name in "acb"] == [True, False, False]
    assert inner.reads == ["b"]


@pytest.mark.usefixtures("table")
def test_a_cache_of_one_keeps_the_last(inner: OwnStore) -> None:
    """With size 1 the last flag is remembered, and no other."""
    store = CachedFeatureFlagStore(inner, size=1)
    for name in ("a", "a", "b", "b", "a"):
        store.get(name)
    assert inner.reads == ["a", "b", "a"]
    assert len(store._cache) == 1


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize("size", [0, -1])
def test_a_cache_of_none_asks_each_time(inner: OwnStore, size: int) -> None:
    """With size 0 nothing is remembered, and everything works."""
    store = CachedFeatureFlagStore(inner, size=size)
    store.create("x")
    assert state(store.get("x")) is False
    store.set("x", is_enabled=True)
    inner.reads.clear()
    assert [state(store.get("x")) for _ in range(3)] == [True] * 3
    assert inner.reads == ["x"] * 3
    store.delete("x")
    assert store.get("x") is None
    assert len(store._cache) == 0


def test_the_plain_table_is_a_table() -> None:
    """It finds, forgets and gives defaults as lru-dict does."""
    table = PlainLRU(2)
    table["a"] = 1
    table["a"] = 2
    assert table["a"] == 2
    assert "a" in table
    assert "b" not in table
    assert table.pop("a") == 2
    assert table.pop("a") is None
    assert table.pop("a", 5) == 5
    with pytest.raises(KeyError):
        table["a"]


def test_a_large_plain_table_makes_room_as_fast_as_a_small_one() -> None:
    """Removing the oldest entry does not take longer the more entries there are.

    A dict passes all the places that were emptied before it finds its first entry, so
    that it takes more than ten times as long in the large table.
    """

    def seconds_each(size: int) -> float:
        table = PlainLRU(size)
        begun = process_time()
        for number in range(120_000):
            table[number] = number
        return (process_time() - begun) / 120_000

    small, large = (min(seconds_each(size) for _ in range(3)) for size in (10, 60_000))
    assert large < 8 * small


# Time


def test_without_a_ttl_entries_stay(inner: OwnStore, clock: Clock) -> None:
    """`None` is for ever."""
    store = CachedFeatureFlagStore(inner)
    store.create("x")
    clock.now += 1e9
    assert state(store.get("x")) is False
    assert inner.reads == []


@pytest.mark.parametrize("ttl", [0.25, 1, 900])
def test_an_entry_expires_exactly_after_its_ttl(
    inner: OwnStore, clock: Clock, ttl: float
) -> None:
    """Until then it answers, from then on the inner store is asked, once."""
    store = CachedFeatureFlagStore(inner, ttl=ttl)
    store.create("x")
    inner.flags.set("x", is_enabled=True)
    clock.now += ttl - 0.125
    assert state(store.get("x")) is False
    clock.now += 0.125
    assert state(store.get("x")) is True
    assert state(store.get("x")) is True
    assert inner.reads == ["x"]


def test_asking_does_not_make_an_entry_last(inner: OwnStore, clock: Clock) -> None:
    """The time counts from when it was put in, not from when it was asked for."""
    store = CachedFeatureFlagStore(inner, ttl=4)
    store.get("x")
    for _ in range(3):
        clock.now += 1
        store.get("x")
    clock.now += 1
    store.get("x")
    assert inner.reads == ["x", "x"]


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("ttl", [0, 0.0, -10])
def test_a_ttl_of_zero_or_less_finds_nothing(inner: OwnStore, ttl: float) -> None:
    """It is accepted, and each question goes to the inner store."""
    store = CachedFeatureFlagStore(inner, ttl=ttl)
    store.create("x")
    assert [state(store.get("x")) for _ in range(3)] == [False] * 3
    assert inner.reads == ["x"] * 3


def test_the_absence_of_a_flag_expires_too(inner: OwnStore, clock: Clock) -> None:
    """A flag made elsewhere is seen once the entry has expired."""
    store = CachedFeatureFlagStore(inner, ttl=5)
    assert store.get("x") is None
    inner.flags.create("x", is_enabled=True)
    assert store.get("x") is None
    clock.now += 5
    assert state(store.get("x")) is True


# What is remembered


@pytest.mark.parametrize("ttl", [None, 60])
def test_that_there_is_no_flag_is_remembered(
    inner: OwnStore, ttl: float | None
) -> None:
    """However often a missing flag is asked for, the inner store is asked once."""
    store = CachedFeatureFlagStore(inner, ttl=ttl)
    assert [store.get("x") for _ in range(9)] == [None] * 9
    assert inner.reads == ["x"]


@pytest.mark.parametrize("ttl", [None, 60])
def test_create_caches_what_the_inner_store_returns(ttl: float | None) -> None:
    """The created item is cached and returned, and nothing is read for it."""
    inner = MagicMock()
    store = CachedFeatureFlagStore(inner, ttl=ttl)
    made = store.create("x", is_enabled=True, client_data={"a": 1})
    assert made is inner.create.return_value
    assert store.get("x") is made
    assert inner.mock_calls == [call.create("x", is_enabled=True, client_data={"a": 1})]


def test_a_written_flag_is_read_once_and_cached() -> None:
    """`set` and `set_meta` go through by position, and read what came of it."""
    inner = MagicMock()
    store = CachedFeatureFlagStore(inner)
    meta = FeatureFlagStoreMeta(1)
    store.set("x", is_enabled=True)
    store.set_meta("x", meta)
    assert store.get("x") is inner.get.return_value
    assert inner.mock_calls == [
        call.set("x", True),
        call.get("x"),
        call.set_meta("x", meta),
        call.get("x"),
    ]


WRITES: dict[str, Callable[[Any], object]] = {
    "create": lambda store: store.create("x", is_enabled=True, client_data={"n": 2}),
    "set": lambda store: store.set("x", True),
    "set_meta": lambda store: store.set_meta(
        "x", FeatureFlagStoreMeta(7, client_data={"n": 2})
    ),
    "update": lambda store: store.update("x", lambda it: it.replace(is_enabled=True)),
    "delete": lambda store: store.delete("x"),
}


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize("inner_kind", [OwnStore, MemoryFeatureFlagStore])
@pytest.mark.parametrize("ttl", [None, 60])
@pytest.mark.parametrize("write", WRITES)
def test_a_write_is_read_at_once(
    inner_kind: Callable[[], Any], ttl: float | None, write: str
) -> None:
    """After any write the cache gives what the inner store holds."""
    inner = inner_kind()
    store = CachedFeatureFlagStore(inner, ttl=ttl)
    store.create("x", client_data={"n": 1})
    before = store.get("x")
    WRITES[write](store)
    after, stored = store.get("x"), inner.get("x")
    assert after is stored
    assert after is not before


def test_a_write_to_a_flag_that_was_missing_is_seen(inner: OwnStore) -> None:
    """A remembered absence gives way to a write."""
    store = CachedFeatureFlagStore(inner)
    assert store.get("x") is None
    store.set("x", is_enabled=True)
    assert state(store.get("x")) is True
    store.delete("x")
    assert store.get("x") is None
    store.create("x")
    assert state(store.get("x")) is False


def test_list_goes_past_the_cache(inner: OwnStore) -> None:
    """It neither gives what is cached, nor puts anything in."""
    store = CachedFeatureFlagStore(inner)
    store.create("x")
    inner.flags.set("x", is_enabled=True)
    inner.flags.create("y")
    assert [state(item) for item in store.list()] == [True, False]
    assert state(store.get("x")) is False
    store.get("y")
    assert inner.reads == ["y"]


def test_list_is_forwarded_by_keyword() -> None:
    """The inner store gets `limit` and `offset` by their names."""
    inner = MagicMock()
    found = CachedFeatureFlagStore(inner).list(10, 25)
    assert found is inner.list.return_value
    assert inner.mock_calls == [call.list(limit=10, offset=25)]


class BareTable:
    """A table with three methods, as existing tests put in place of the cache's."""

    def __init__(self) -> None:
        self.entries: dict[str, Any] = {}

    def __contains__(self, name: object) -> bool:
        """Refuse: who asks this first may find the entry gone afterwards."""
        raise AssertionError(name)

    def __getitem__(self, name: str) -> Any:
        """Find."""
        return self.entries[name]

    def __setitem__(self, name: str, entry: Any) -> None:
        """Put."""
        self.entries[name] = entry


@pytest.mark.parametrize("ttl", [None, 60, -10])
def test_the_table_can_be_replaced_by_a_bare_one(
    inner: OwnStore, ttl: float | None
) -> None:
    """`get` and `set` read and put entries, and want nothing else of the table."""
    store = CachedFeatureFlagStore(inner, ttl=ttl)
    store._cache = BareTable()
    store.set("x", is_enabled=True)
    assert state(store.get("x")) is True
    assert store.get("y") is None
    assert set(store._cache.entries) == {"x", "y"}


# Failures


@pytest.mark.parametrize("ttl", [None, 60])
@pytest.mark.parametrize("write", WRITES)
def test_a_failed_write_leaves_the_cache_as_it_was(
    inner: OwnStore, write: str, ttl: float | None
) -> None:
    """The error comes out, and the flag still answers from memory."""
    store = CachedFeatureFlagStore(inner, ttl=ttl)
    before = store.create("x", client_data={"n": 1})
    inner.fail_writes = OSError("on purpose")
    with pytest.raises(OSError, match="on purpose"):
        WRITES[write](store)
    inner.reads.clear()
    assert store.get("x") is before
    assert inner.reads == []
    assert store._in_progress == {}


def test_a_refused_write_leaves_the_cache_as_it_was(inner: OwnStore) -> None:
    """`set_meta` of a missing flag raises; the flag stays known as missing."""
    store = CachedFeatureFlagStore(inner)
    assert store.get("x") is None
    with pytest.raises(FlagDoesNotExistError):
        store.set_meta("x", FeatureFlagStoreMeta(1))
    assert store.get("x") is None
    assert inner.reads == ["x"]


def test_a_failed_read_is_not_remembered(inner: OwnStore) -> None:
    """The error comes out, and the next call asks again."""
    inner.flags.create("x")
    store = CachedFeatureFlagStore(inner)
    inner.fail_reads = OSError("on purpose")
    with pytest.raises(OSError, match="on purpose"):
        store.get("x")
    inner.fail_reads = None
    assert state(store.get("x")) is False
    assert store._in_progress == {}


def test_a_failed_read_leaves_an_expired_entry(inner: OwnStore, clock: Clock) -> None:
    """What had expired is no answer of `get`, but it stays the last known state."""
    store = CachedFeatureFlagStore(inner, ttl=1)
    made = store.create("x")
    clock.now += 2
    inner.fail_reads = OSError("on purpose")
    with pytest.raises(OSError, match="on purpose"):
        store.get("x")
    assert store.last_known("x") is made


@pytest.mark.parametrize("write", ["set", "set_meta", "update"])
def test_a_write_whose_result_cannot_be_read_is_done(
    inner: OwnStore, write: str
) -> None:
    """It does not fail, and what was cached is forgotten: it is no longer so."""
    store = CachedFeatureFlagStore(inner)
    store.create("x", client_data={"n": 1})
    if write == "update":  # it reads before it writes, so only the second read fails
        reads = iter([None, OSError("on purpose"), None])

        def fail_second(_: str) -> None:
            error = next(reads)
            if error is not None:
                raise error

        inner.after_read = fail_second
    else:
        inner.fail_reads = OSError("on purpose")
    WRITES[write](store)
    inner.fail_reads = None
    inner.reads.clear()
    assert store.get("x") is inner.flags.get("x")
    assert inner.reads == ["x"]


@pytest.mark.parametrize("write", WRITES)
def test_an_interrupted_write_leaves_nothing_cached(
    inner: OwnStore, write: str
) -> None:
    """Whether it was written is unknown, so the inner store is asked."""
    store = CachedFeatureFlagStore(inner)
    store.create("x")
    inner.fail_writes = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        WRITES[write](store)
    inner.flags.set("x", is_enabled="as written")  # type: ignore[arg-type]
    assert state(store.get("x")) == "as written"


# Threads


@pytest.mark.parametrize("ttl", [None, 60])
@pytest.mark.parametrize("write", WRITES)
def test_a_slow_read_never_undoes_a_write(
    inner: OwnStore, pool: ThreadPoolExecutor, write: str, ttl: float | None
) -> None:
    """What was read before a write is not cached after it."""
    store = CachedFeatureFlagStore(inner, ttl=ttl)
    old = inner.flags.create("x", client_data={"n": 1})
    inner.after_read = pause = Pause()
    slow = pool.submit(store.get, "x")
    pause.wait_until_reached()
    WRITES[write](store)
    pause.end()
    assert slow.result(AT_MOST) is old
    assert store.get("x") is inner.flags.get("x") is not old
    assert store._in_progress == {}


@pytest.mark.parametrize("write", WRITES)
def test_a_read_during_a_slow_write_is_not_kept(
    inner: OwnStore, pool: ThreadPoolExecutor, write: str
) -> None:
    """A read that began after a write began may still be older than it."""
    store = CachedFeatureFlagStore(inner)
    old = inner.flags.create("x", client_data={"n": 1})
    start, read = Pause(), Pause()
    written = inner._written
    inner._written = lambda name: (start(), written(name))  # type: ignore[method-assign,assignment]
    writer = pool.submit(WRITES[write], store)
    start.wait_until_reached()
    inner.after_read = read
    reader = pool.submit(store.get, "x")
    read.wait_until_reached()
    start.end()
    writer.result(AT_MOST)
    read.end()
    assert reader.result(AT_MOST) is old
    assert store.get("x") is inner.flags.get("x") is not old
    assert store._in_progress == {}


def test_a_read_that_ends_during_a_write_is_forgotten_after_it(
    inner: OwnStore, pool: ThreadPoolExecutor
) -> None:
    """A flag that was cached while it was written is asked for again."""
    store = CachedFeatureFlagStore(inner)
    inner.flags.create("x")
    start = Pause()
    written = inner._written
    inner._written = lambda name: (start(), written(name))  # type: ignore[method-assign,assignment]
    writer = pool.submit(WRITES["set"], store)
    start.wait_until_reached()
    assert state(store.get("x")) is False
    start.end()
    writer.result(AT_MOST)
    assert state(store.get("x")) is True


def test_of_two_writes_at_once_the_later_is_seen(
    inner: OwnStore, pool: ThreadPoolExecutor
) -> None:
    """A write whose re-read is slow does not undo one that came meanwhile."""
    store = CachedFeatureFlagStore(inner)
    inner.after_read = pause = Pause()
    slow = pool.submit(WRITES["set"], store)
    pause.wait_until_reached()
    store.create("x", client_data={"n": 3})
    pause.end()
    slow.result(AT_MOST)
    found = store.get("x")
    assert found is inner.flags.get("x")
    assert store._in_progress == {}


def test_a_failed_write_does_not_keep_a_slow_read_from_the_next(
    inner: OwnStore, pool: ThreadPoolExecutor
) -> None:
    """After a write failed during a read, the flag is cached by the next read."""
    store = CachedFeatureFlagStore(inner)
    inner.flags.create("x")
    inner.after_read = pause = Pause()
    slow = pool.submit(store.get, "x")
    pause.wait_until_reached()
    inner.fail_writes = OSError("on purpose")
    with pytest.raises(OSError, match="on purpose"):
        store.set("x", is_enabled=True)
    pause.end()
    assert state(slow.result(AT_MOST)) is False
    inner.reads.clear()
    store.get("x")
    store.get("x")
    assert inner.reads == ["x"]


@pytest.mark.parametrize("exists", [True, False])
def test_misses_at_once_make_one_read(
    inner: OwnStore,
    pool: ThreadPoolExecutor,
    waiting: threading.Semaphore,
    exists: bool,
) -> None:
    """Eight threads that miss one flag get the answer of one read."""
    if exists:
        inner.flags.create("x")
    store = CachedFeatureFlagStore(inner)
    inner.after_read = pause = Pause()
    answers = [pool.submit(store.get, "x") for _ in range(8)]
    pause.wait_until_reached()
    wait_for(waiting, 7)
    pause.end()
    assert {answer.result(AT_MOST) for answer in answers} == {inner.flags.get("x")}
    assert inner.reads == ["x"]


def test_misses_of_other_flags_do_not_wait(
    inner: OwnStore, pool: ThreadPoolExecutor
) -> None:
    """A slow read of one flag holds up nobody who asks for another, or writes one."""
    store = CachedFeatureFlagStore(inner)
    inner.after_read = pause = Pause()
    slow = pool.submit(store.get, "x")
    pause.wait_until_reached()
    assert store.get("y") is None
    store.set("z", is_enabled=True)
    assert state(store.get("z")) is True
    assert not slow.done()
    pause.end()
    assert slow.result(AT_MOST) is None


def test_a_failed_read_fails_for_all_who_waited(
    inner: OwnStore, pool: ThreadPoolExecutor, waiting: threading.Semaphore
) -> None:
    """They get its error, and a store that is away is not asked by each of them."""
    store = CachedFeatureFlagStore(inner)
    pause = Pause()

    def fail(name: str) -> None:
        pause(name)
        raise OSError("on purpose")

    inner.after_read = fail
    answers = [pool.submit(store.get, "x") for _ in range(8)]
    pause.wait_until_reached()
    wait_for(waiting, 7)
    pause.end()
    for answer in answers:
        with pytest.raises(OSError, match="on purpose"):
            answer.result(AT_MOST)
    assert inner.reads == ["x"]
    inner.after_read = lambda _: None
    assert store.get("x") is None


class Interrupted(BaseException):
    """What a thread is stopped by; no failure of the store."""


def test_an_interrupted_read_fails_for_its_own_thread_only(
    inner: OwnStore, pool: ThreadPoolExecutor, waiting: threading.Semaphore
) -> None:
    """Those who waited for it read anew: one of them, for all."""
    inner.flags.create("x")
    store = CachedFeatureFlagStore(inner)
    first, second = Pause(), Pause()

    def interrupt(name: str) -> None:
        first(name)
        inner.after_read = second
        raise Interrupted

    inner.after_read = interrupt
    stopped = pool.submit(store.get, "x")
    first.wait_until_reached()
    others = [pool.submit(store.get, "x") for _ in range(7)]
    wait_for(waiting, 7)
    first.end()
    second.wait_until_reached()
    wait_for(waiting, 6)
    second.end()
    with pytest.raises(Interrupted):
        stopped.result(AT_MOST)
    assert [state(other.result(AT_MOST)) for other in others] == [False] * 7
    assert inner.reads == ["x", "x"]


def test_a_thread_does_not_wait_for_its_own_read(inner: OwnStore) -> None:
    """A signal handler may ask for the flag that its thread is reading."""
    inner.flags.create("x")
    store = CachedFeatureFlagStore(inner)
    asked: list[Any] = []

    def handler(name: str) -> None:
        inner.after_read = lambda _: None
        asked.append(state(store.get(name)))

    inner.after_read = handler
    thread = threading.Thread(target=store.get, args=["x"], daemon=True)
    thread.start()
    thread.join(AT_MOST)
    assert not thread.is_alive()
    assert asked == [False]
    inner.reads.clear()
    assert state(store.get("x")) is False
    assert inner.reads == []


@pytest.fixture
def hurried() -> Iterator[None]:
    """Let threads take turns far more often than usual."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(usual)


def numbered(n: int) -> FeatureFlagStoreMeta:
    """Make metadata that carries a number."""
    return FeatureFlagStoreMeta(1, client_data={"n": n})


def number_of(item: FeatureFlagStoreItem | None) -> Any:
    """Tell the number that a flag carries, `None` where there is no flag."""
    return None if item is None else item.raw_meta.client_data["n"]


NUMBERING: list[Callable[[Any, str, int], object]] = [
    lambda store, name, n: store.create(name, client_data={"n": n}),
    lambda store, name, n: store.set_meta(name, numbered(n)),
    lambda store, name, n: store.update(name, lambda it: it.replace(meta=numbered(n))),
]


class Storm:
    """Threads that ask for flags and write them as fast as they can.

    Each flag carries a number that only grows, and is written by one thread, which has
    to see what it wrote. No thread may see a number smaller than one it has seen.
    """

    def __init__(self, store: Any, names: list[str], threads: int) -> None:
        self.store = store
        self.names = names
        self.threads = threads
        self.written = dict.fromkeys(names)
        self.largest = 0
        self.end = monotonic() + 3

    def rage(self, thread: int) -> int:
        """Do what one of the threads does, and return how often."""
        random, turns = Random(thread), 0  # noqa: S311  (the same each time)
        seen = dict.fromkeys(self.names, 0)
        while monotonic() < self.end:
            turns += 1
            position = random.randrange(len(self.names))
            name = self.names[position]
            if position % self.threads == thread and random.random() < 0.5:
                self.write(name, turns, random)
                assert number_of(self.store.get(name)) == self.written[name], name
                seen[name] = turns
            else:
                item = self.store.get(name)
                assert item is None or item.feature_name == name
                assert item is None or number_of(item) >= seen[name], name
                seen[name] = number_of(item) or seen[name]
            self.largest = max(self.largest, len(self.store._cache))
        return turns

    def write(self, name: str, n: int, random: Random) -> None:
        """Make, change or remove a flag."""
        if random.random() < 0.2:
            self.store.delete(name)
            self.written[name] = None
            return
        change = NUMBERING[0]
        if self.written[name] is not None:
            change = random.choice(NUMBERING)
        change(self.store, name, n)
        self.written[name] = n  # type: ignore[assignment]


@pytest.mark.usefixtures("table", "hurried")
def test_a_storm_gets_right_answers_only(pool: ThreadPoolExecutor) -> None:
    """Eight threads, eviction, expiry: no error, nothing old, never too many."""
    inner = MemoryFeatureFlagStore()
    store = CachedFeatureFlagStore(inner, size=100, ttl=0.01)
    storm = Storm(store, [f"flag-{number}" for number in range(300)], threads=8)
    turns = [*pool.map(storm.rage, range(8))]
    assert min(turns) > 0
    assert 0 < storm.largest <= 100
    assert store._in_progress == {}
    for name, n in storm.written.items():
        assert number_of(store.get(name)) == number_of(inner.get(name)) == n


def test_conditions_added_through_a_cache_are_all_there(
    pool: ThreadPoolExecutor,
) -> None:
    """Eight threads adding fifty conditions each, one of two caches: all 400."""
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


# Processes

FORK = """
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
    signal.alarm(20)  # a child that is stuck ends so
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


@forks
def test_a_child_does_not_wait_for_a_read_of_its_parent() -> None:
    """A fork while a thread reads a flag: the child reads it itself."""
    make = "store = CachedFeatureFlagStore(inner)"
    run_script(FORK.format(make=make, target="lambda: store.get('x')"))


@forks
@pytest.mark.parametrize("lock", ["store._lock", "store._cache._lock"])
def test_a_child_does_not_wait_for_a_lock_of_its_parent(lock: str) -> None:
    """A fork while a thread changes the cache: the child has locks of its own."""
    make = f"""
lru.LRU = None
store = CachedFeatureFlagStore(inner)
def hold():
    with {lock}:
        reached.set()
        go_on.wait(30)
"""
    run_script(FORK.format(make=make, target="hold"))


# What is known when the store fails


def test_an_expired_entry_answers_while_the_store_fails(
    inner: OwnStore, clock: Clock
) -> None:
    """A client gets the last known state, and the new one once the store is back."""
    client = FeatureFlagClient(CachedFeatureFlagStore(inner, ttl=1))
    client.create("x", is_enabled=True)
    inner.flags.set("x", is_enabled=False)
    clock.now += 2
    inner.fail_reads = OSError("on purpose")
    assert client.is_enabled("x") is True
    assert client.is_enabled("unknown", default="nothing") == "nothing"
    inner.fail_reads = None
    assert client.is_enabled("x") is False


@pytest.mark.parametrize("size", [0, 1])
def test_what_the_cache_forgot_is_known_inside(inner: OwnStore, size: int) -> None:
    """Flags that fell out of the cache are known as they were read or written last."""
    store = CachedFeatureFlagStore(inner, size=size)
    client = FeatureFlagClient(store)
    client.create("x", is_enabled=True)
    client.create("y", is_enabled=True)
    client.disable("x")
    client.create("z")
    inner.fail_reads = OSError("on purpose")
    assert client.is_enabled("x", default="unknown") is False
    assert client.is_enabled("y", default="unknown") is True
    assert store.last_known("missing") is None


@pytest.mark.parametrize("ttl", [None, -10])
def test_a_flag_that_is_gone_is_not_known(inner: OwnStore, ttl: float | None) -> None:
    """After a delete, a failing store cannot bring the flag back."""
    client = FeatureFlagClient(CachedFeatureFlagStore(inner, ttl=ttl))
    client.create("x", is_enabled=True)
    assert client.is_enabled("x") is True
    client.destroy("x")
    inner.fail_reads = OSError("on purpose")
    assert client.is_enabled("x", default="unknown") == "unknown"


@pytest.mark.parametrize("write", ["set", "update"])
def test_a_write_that_cannot_be_read_again_is_known(
    inner: OwnStore, write: str
) -> None:
    """The state that was written is the last known, though the re-read failed."""
    store = CachedFeatureFlagStore(inner)
    store.create("x")
    reads = 1 if write == "update" else 0

    def fail(_: str) -> None:
        nonlocal reads
        reads -= 1
        if reads < 0:
            raise OSError("on purpose")

    inner.after_read = fail
    WRITES[write](store)
    assert FeatureFlagClient(store).is_enabled("x", default="unknown") is True


CLIENT_WRITES: dict[str, Callable[[FeatureFlagClient], object]] = {
    "create": lambda client: client.create("x", is_enabled=False),
    "disable": lambda client: client.disable("x"),
    "set_conditions": lambda client: client.set_conditions("x", [Condition(a=1)]),
    "destroy": lambda client: client.destroy("x"),
}


@pytest.mark.parametrize("write", CLIENT_WRITES)
@pytest.mark.parametrize("wrap", ["itself", "wrapper"])
def test_a_slow_read_does_not_undo_what_is_known(
    inner: OwnStore, pool: ThreadPoolExecutor, wrap: str, write: str
) -> None:
    """What was read before a write is not what answers when the store fails."""
    client = FeatureFlagClient(WRAPPED[wrap](inner))
    client.create("x", is_enabled=True)
    inner.after_read = pause = Pause()
    slow = pool.submit(client.is_enabled, "x", a=2)
    pause.wait_until_reached()
    CLIENT_WRITES[write](client)
    pause.end()
    assert slow.result(AT_MOST) is True
    inner.fail_reads = OSError("on purpose")
    assert client.is_enabled("x", a=2) is False


WRAPPED: dict[str, Callable[[Any], Any]] = {
    "itself": lambda store: store,
    "wrapper": FeatureFlagStoreWrapper,
    "cached": lambda store: CachedFeatureFlagStore(store, ttl=-1),
    "replicated": ReplicatedFeatureFlagStore,
    "stack": lambda store: FeatureFlagStoreWrapper(
        CachedFeatureFlagStore(FeatureFlagStoreWrapper(store), size=0)
    ),
}


@pytest.mark.parametrize("wrap", WRAPPED)
def test_a_wrapper_tells_what_its_inner_store_tells(wrap: str) -> None:
    """Which errors mean that the server is away, and what was known last."""
    remote = Remote()
    made = remote.create("x")
    store = WRAPPED[wrap](remote)
    assert store.outage_errors == (AwayError,)
    assert store.get("x") is made
    remote.fail_reads = AwayError()
    with pytest.raises(AwayError):
        store.get("x")
    assert store.last_known("x") is made


@pytest.mark.parametrize("wrap", ["wrapper", "cached", "stack"])
def test_a_store_of_ones_own_names_no_errors(inner: OwnStore, wrap: str) -> None:
    """Nothing is known about its errors, so it is asked each time."""
    store = WRAPPED[wrap](inner)
    assert store.outage_errors == ()
    client = FeatureFlagClient(store)
    inner.fail_reads = AwayError()
    for _ in range(3):
        assert client.is_enabled("x", default=None) is None
    assert len(inner.reads) == 3


@pytest.mark.parametrize("wrap", WRAPPED)
def test_a_server_that_is_away_is_spared(wrap: str) -> None:
    """The client spares it through every wrapper, until the first answer."""
    remote = Remote()
    store = WRAPPED[wrap](remote)
    client = FeatureFlagClient(store)
    client.create("x", is_enabled=True)
    assert client.is_enabled("x") is True
    remote.fail_reads = AwayError()
    known = [client.is_enabled("x", default="unknown") for _ in range(20)]
    assert known == [True] * 20
    assert current_reader(store) is not store
    remote.fail_reads = None
    remote.flags.set("x", is_enabled=False)
    eventually(lambda: client.is_enabled("x") is False)
    assert current_reader(store) is store


# Expired entries while the store fails, by choice


@pytest.mark.parametrize("exists", [True, False])
def test_an_expired_entry_answers_for_as_long_as_it_may(
    inner: OwnStore, clock: Clock, exists: bool
) -> None:
    """Also that there is no such flag; and after that the error comes out."""
    if exists:
        inner.flags.create("x", is_enabled=True)
    store = CachedFeatureFlagStore(inner, ttl=10, stale_if_error=60)
    before = store.get("x")
    inner.fail_reads = OSError("on purpose")
    for _ in range(69):
        clock.now += 1
        assert store.get("x") is before
    clock.now += 0.75
    assert store.get("x") is before
    clock.now += 0.25
    with pytest.raises(OSError, match="on purpose"):
        store.get("x")
    assert store._in_progress == {}


def test_without_an_entry_a_failure_is_an_error(inner: OwnStore) -> None:
    """There is nothing that could be answered."""
    store = CachedFeatureFlagStore(inner, ttl=10, stale_if_error=60)
    inner.fail_reads = OSError("on purpose")
    with pytest.raises(OSError, match="on purpose"):
        store.get("x")
    assert store._in_progress == {}


@pytest.mark.parametrize("none", [None, 0, 0.0])
def test_an_expired_entry_answers_by_choice_only(
    inner: OwnStore, clock: Clock, none: float | None
) -> None:
    """As a rule the error comes out at once."""
    store = CachedFeatureFlagStore(inner, ttl=10, stale_if_error=none)
    store.create("x")
    clock.now += 10
    inner.fail_reads = OSError("on purpose")
    with pytest.raises(OSError, match="on purpose"):
        store.get("x")


def test_a_store_that_is_back_is_asked_again(inner: OwnStore, clock: Clock) -> None:
    """The stale answer is not kept longer than the pause between two questions."""
    store = CachedFeatureFlagStore(inner, ttl=10, stale_if_error=60)
    store.create("x")
    clock.now += 10
    inner.fail_reads = OSError("on purpose")
    assert state(store.get("x")) is False
    inner.fail_reads = None
    inner.flags.set("x", is_enabled=True)
    assert state(store.get("x")) is False
    clock.now += 0.5
    assert state(store.get("x")) is True
    clock.now += 9
    assert state(store.get("x")) is True
    assert inner.reads == ["x", "x"]


@pytest.mark.parametrize(
    "error", [InvalidFlagDataError("on purpose"), InvalidArgumentError("on purpose")]
)
def test_a_flag_that_is_broken_is_an_answer(
    inner: OwnStore, clock: Clock, error: Exception
) -> None:
    """The store is there, and what it says is not hidden."""
    store = CachedFeatureFlagStore(inner, ttl=10, stale_if_error=60)
    store.create("x")
    clock.now += 10
    inner.fail_reads = error
    with pytest.raises(type(error), match="on purpose"):
        store.get("x")


def test_an_interrupt_is_no_failure_of_the_store(inner: OwnStore, clock: Clock) -> None:
    """Who is stopped gets no answer."""
    store = CachedFeatureFlagStore(inner, ttl=10, stale_if_error=60)
    store.create("x")
    clock.now += 10
    inner.fail_reads = Interrupted()
    with pytest.raises(Interrupted):
        store.get("x")


def test_a_flag_that_fails_is_asked_for_now_and_then(
    inner: OwnStore, clock: Clock
) -> None:
    """Once in half a second, whatever is wrong with it."""
    store = CachedFeatureFlagStore(inner, ttl=10, stale_if_error=60)
    store.create("x")
    clock.now += 10
    inner.fail_reads = OSError("on purpose")
    for _ in range(8):  # quarters of a second
        for _ in range(20):
            assert state(store.get("x")) is False
        clock.now += 0.25
    assert inner.reads == ["x"] * 4


def test_a_flag_that_fails_does_not_hide_the_others(
    inner: OwnStore, clock: Clock
) -> None:
    """The store is not away: what has expired is asked for."""
    store = CachedFeatureFlagStore(inner, ttl=10, stale_if_error=60)
    store.create("broken")
    store.create("x")
    clock.now += 10
    inner.fail_reads = OSError("on purpose")
    assert state(store.get("broken")) is False
    inner.fail_reads = None
    inner.flags.set("x", is_enabled=True)
    assert state(store.get("x")) is True


def test_a_server_that_is_away_is_asked_by_one_flag_only(all_clocks: Clock) -> None:
    """A call that has to time out is not made for each of a hundred flags."""
    remote = Remote()
    store = CachedFeatureFlagStore(remote, ttl=10, stale_if_error=60)
    names = [f"flag-{number}" for number in range(100)]
    for name in names:
        store.create(name)
    all_clocks.now += 10
    remote.fail_reads = AwayError()
    for asked in range(1, 4):
        assert [state(store.get(name)) for name in names] == [False] * 100
        assert len(remote.reads) == asked
        all_clocks.now += 0.5
    remote.fail_reads = None
    remote.flags.set("flag-7", is_enabled=True)
    remote.reads.clear()
    assert [state(store.get(name)) for name in names] == [
        name == "flag-7" for name in names
    ]
    assert remote.reads[0] == names[0]
    assert len(remote.reads) >= 100


@pytest.mark.parametrize("write", WRITES)
def test_what_a_write_has_replaced_never_answers(
    inner: OwnStore, clock: Clock, write: str
) -> None:
    """Though the store fails from then on: what is off now must not read as on."""
    store = CachedFeatureFlagStore(inner, ttl=10, stale_if_error=60)
    before = store.create("x", client_data={"n": 1})
    clock.now += 10
    reads = iter([None] if write == "update" else [])

    def fail_after(_: str) -> None:
        if next(reads, "end") == "end":
            raise OSError("on purpose")

    inner.after_read = fail_after
    WRITES[write](store)
    if write == "create":
        assert store.get("x") is inner.flags.get("x") is not before
    else:
        for _ in range(3):
            with pytest.raises(OSError, match="on purpose"):
                store.get("x")
            clock.now += 1


@pytest.mark.parametrize("write", ["create", "delete"])
def test_a_write_during_a_failing_read_is_not_undone(
    inner: OwnStore, pool: ThreadPoolExecutor, clock: Clock, write: str
) -> None:
    """What answers is what the flag is when the read has failed, not when it began."""
    store = CachedFeatureFlagStore(inner, ttl=10, stale_if_error=60)
    store.create("x")
    clock.now += 10
    pause = Pause()

    def fail(name: str) -> None:
        pause(name)
        raise OSError("on purpose")

    inner.after_read = fail
    slow = pool.submit(store.get, "x")
    pause.wait_until_reached()
    WRITES[write](store)
    pause.end()
    if write == "create":
        assert slow.result(AT_MOST) is inner.flags.get("x")
        clock.now += 9
        assert store.get("x") is inner.flags.get("x")  # as fresh as it was
        assert inner.reads == ["x"]
    else:
        with pytest.raises(OSError, match="on purpose"):
            slow.result(AT_MOST)
        with pytest.raises(OSError, match="on purpose"):
            store.get("x")


def test_who_waits_for_a_failing_read_gets_the_expired_entry(
    inner: OwnStore,
    pool: ThreadPoolExecutor,
    clock: Clock,
    waiting: threading.Semaphore,
) -> None:
    """The store is asked once for all of them."""
    store = CachedFeatureFlagStore(inner, ttl=10, stale_if_error=60)
    made = store.create("x")
    clock.now += 10
    pause = Pause()

    def fail(name: str) -> None:
        pause(name)
        raise OSError("on purpose")

    inner.after_read = fail
    found = [pool.submit(store.get, "x") for _ in range(8)]
    pause.wait_until_reached()
    wait_for(waiting, 7)
    pause.end()
    assert {each.result(AT_MOST) for each in found} == {made}
    assert inner.reads == ["x"]


def test_an_outage_is_logged_once(
    inner: OwnStore,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Once a minute, and at its end."""
    monkeypatch.setattr("flipper.runtime.log_throttle.monotonic", clock)
    caplog.set_level(logging.INFO, "flipper")
    store = CachedFeatureFlagStore(inner, ttl=1, stale_if_error=1000)
    for name in ("x", "y"):
        store.create(name)
    inner.fail_reads = OSError("on purpose")
    for _ in range(100):
        clock.now += 1
        store.get("x")
        store.get("y")
    begin, again = (record.getMessage() for record in caplog.records)
    assert begin.startswith("OwnStore fails (OSError: on purpose)")
    assert again.endswith("more questions failed since the last warning)")
    inner.fail_reads = None
    for _ in range(60):
        clock.now += 1
        store.get("x")
    assert "OwnStore answers again" in caplog.records[2].getMessage()
    assert len(caplog.records) == 3


def test_a_child_asks_though_its_parent_was_asking(
    all_clocks: Clock, pool: ThreadPoolExecutor
) -> None:
    """The thread that asks while all others rest is not in the child."""
    remote = Remote()
    store = CachedFeatureFlagStore(remote, ttl=1, stale_if_error=60)
    store.create("x")
    all_clocks.now += 1
    remote.fail_reads = AwayError()
    store.get("x")
    all_clocks.now += 0.5
    remote.fail_reads = None
    remote.after_read = pause = Pause()
    slow = pool.submit(store.get, "x")
    pause.wait_until_reached()
    remote.flags.set("x", is_enabled=True)
    for each in (current_reader(remote), store):
        each.after_fork()  # as in the child
    assert state(store.get("x")) is True
    pause.end()
    slow.result(AT_MOST)


@pytest.mark.parametrize("value", [-1, -0.001, float("nan"), "60", [], 1j])
def test_a_time_that_is_none_is_refused(inner: OwnStore, value: Any) -> None:
    """The message names it, and what to do instead."""
    with pytest.raises(InvalidArgumentError, match="use seconds") as caught:
        CachedFeatureFlagStore(inner, stale_if_error=value)
    assert f"stale_if_error={value!r}" in str(caught.value)
    assert caught.value.value is value


# Jitter


@pytest.mark.parametrize(
    ("jitter", "lasts"), [(0, 8.0), (0.25, 7.0), (0.5, 6.0), (1, 4.0), (1.0, 4.0)]
)
def test_an_entry_expires_earlier_by_a_random_part_of_the_jitter(
    inner: OwnStore,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    jitter: float,
    lasts: float,
) -> None:
    """Here it is always half of it."""
    monkeypatch.setattr(entries, "uniform", lambda low, high: (low + high) / 2)
    store = CachedFeatureFlagStore(inner, ttl=8, jitter=jitter)
    store.get("x")
    clock.now += lasts - 0.125
    store.get("x")
    assert inner.reads == ["x"]
    clock.now += 0.125
    store.get("x")
    assert inner.reads == ["x", "x"]


def test_entries_made_at_once_do_not_expire_at_once(
    inner: OwnStore, clock: Clock
) -> None:
    """Each has an expiry of its own, within the fraction that was told."""
    store = CachedFeatureFlagStore(inner, ttl=100, jitter=0.5)
    names = [f"flag-{number}" for number in range(100)]
    for name in names:
        store.get(name)
    left = [store._cache[name][2] - clock.now for name in names]
    assert 50 <= min(left) < 60
    assert 90 < max(left) <= 100
    assert len(set(left)) > 90


def test_what_never_expires_does_so_with_jitter_too(
    inner: OwnStore, clock: Clock
) -> None:
    """A part of for ever is for ever."""
    store = CachedFeatureFlagStore(inner, jitter=1.0, stale_if_error=1)
    store.get("x")
    clock.now += 1e9
    store.get("x")
    assert inner.reads == ["x"]


@pytest.mark.parametrize("value", [-0.1, 1.1, 20, float("nan"), None, "0.2"])
def test_a_jitter_that_is_no_fraction_is_refused(inner: OwnStore, value: Any) -> None:
    """The message names it, and what to do instead."""
    with pytest.raises(InvalidArgumentError, match="a fraction from 0 to 1") as caught:
        CachedFeatureFlagStore(inner, ttl=1, jitter=value)
    assert f"jitter={value!r}" in str(caught.value)
    assert caught.value.value is value


@pytest.mark.parametrize("option", ["stale_if_error", "jitter", "invalidate"])
def test_options_are_given_by_name(inner: OwnStore, option: str) -> None:
    """The three positions are flipper-client's."""
    with pytest.raises(TypeError, match="positional"):
        CachedFeatureFlagStore(inner, 10, 10, 1)  # type: ignore[misc]
    CachedFeatureFlagStore(inner, 10, 10, **{option: 0})


# Entries dropped by the change signal


def listens(store: CachedFeatureFlagStore, is_told: bool = True) -> None:
    """Wait until the store is told of changes, or knows that it is not."""
    assert store._listener is not None
    eventually(lambda: store._listener._is_listening is is_told)  # type: ignore[union-attr]


@pytest.fixture
def told(announcing: Announcing) -> Iterator[CachedFeatureFlagStore]:
    """Give a cache that is told what changes, and in which nothing expires."""
    with CachedFeatureFlagStore(announcing, invalidate=True) as store:
        listens(store)
        yield store


def test_a_change_elsewhere_drops_the_entry_of_that_flag(
    announcing: Announcing, told: CachedFeatureFlagStore
) -> None:
    """And no other: they go on answering from memory."""
    assert told.get("y") is None
    for is_enabled in (False, True, False, True):
        announcing.write("x", is_enabled)
        eventually(lambda on=is_enabled: state(told.get("x")) is on)
    announcing.reads.clear()
    for _ in range(9):
        assert (told.get("y"), state(told.get("x"))) == (None, True)
    assert announcing.reads == []


def test_a_flag_made_elsewhere_is_seen(
    announcing: Announcing, told: CachedFeatureFlagStore
) -> None:
    """That there was none is an entry like any other."""
    assert told.get("new") is None
    announcing.write("new", True)
    eventually(lambda: state(told.get("new")) is True)
    announcing.flags.delete("new")
    announcing.tell("new")
    eventually(lambda: told.get("new") is None)


def test_when_anything_may_have_changed_all_entries_are_dropped(
    announcing: Announcing, told: CachedFeatureFlagStore
) -> None:
    """As when somebody has emptied the server."""
    told.get("x")
    told.get("y")
    announcing.tell_of_anything()
    eventually(lambda: len(told._cache) == 0)
    announcing.reads.clear()
    told.get("x")
    told.get("y")
    assert announcing.reads == ["x", "y"]


def test_a_read_that_began_before_the_signal_is_not_kept(
    announcing: Announcing, told: CachedFeatureFlagStore, pool: ThreadPoolExecutor
) -> None:
    """It may be older than the change that was told of, and nobody tells again."""
    told.get("y")
    announcing.after_read = pause = Pause()
    slow = pool.submit(told.get, "x")
    pause.wait_until_reached()
    announcing.flags.set("x", is_enabled=True)
    announcing.tell("x", "y")
    eventually(lambda: "y" not in told._cache)
    assert state(told.get("x")) is True  # nor does it wait for the older read
    pause.end()
    slow.result(AT_MOST)
    assert state(told.get("x")) is True
    assert told._in_progress == {}


@pytest.mark.parametrize("how", ["anything", "lost"])
def test_no_read_that_was_under_way_is_kept_when_all_entries_go(
    announcing: Announcing,
    told: CachedFeatureFlagStore,
    pool: ThreadPoolExecutor,
    how: str,
) -> None:
    """It may be of a flag that has changed."""
    told.get("y")
    announcing.after_read = pause = Pause()
    slow = pool.submit(told.get, "x")
    pause.wait_until_reached()
    announcing.flags.set("x", is_enabled=True)
    if how == "lost":
        announcing.leave()
        listens(told, is_told=False)
        announcing.fail_watch = None
        listens(told)
    else:
        announcing.tell_of_anything()
        eventually(lambda: "y" not in told._cache)
    pause.end()
    slow.result(AT_MOST)
    assert state(told.get("x")) is True


def test_a_read_that_began_before_the_watch_is_not_kept(
    announcing: Announcing, pool: ThreadPoolExecutor
) -> None:
    """What changed between the two was not told."""
    announcing.fail_watch = AwayError("not yet")
    with CachedFeatureFlagStore(announcing, invalidate=True) as store:
        announcing.after_read = pause = Pause()
        slow = pool.submit(store.get, "x")
        pause.wait_until_reached()
        announcing.flags.set("x", is_enabled=True)
        announcing.fail_watch = None
        listens(store)
        pause.end()
        assert state(slow.result(AT_MOST)) is False
        assert state(store.get("x")) is True


@pytest.mark.parametrize("write", ["create", "set", "set_meta", "update"])
def test_a_write_during_which_a_change_is_told_is_not_kept(
    announcing: Announcing,
    told: CachedFeatureFlagStore,
    pool: ThreadPoolExecutor,
    write: str,
) -> None:
    """A rival may have written after it, and the signal have come before its end."""
    told.get("y")
    pause, flags = Pause(), announcing.flags
    method = getattr(announcing, {"update": "set"}.get(write, write))

    def slow(*args: Any, **kwargs: Any) -> Any:
        result = method(*args, **kwargs)
        pause()
        return result

    setattr(announcing, {"update": "set"}.get(write, write), slow)
    if write != "create":  # these read again, and that is slow, too
        read = announcing.get
        stale = flags.get("x")
        announcing.get = lambda name: stale if pause_is_over() else read(name)  # type: ignore[method-assign]
    pause_is_over = pause._go_on.is_set
    writer = pool.submit(WRITES[write], told)
    pause.wait_until_reached()
    flags.create("x", client_data={"rival": 1})
    announcing.tell("x", "y")
    eventually(lambda: "y" not in told._cache)
    pause.end()
    writer.result(AT_MOST)
    announcing.__dict__.pop("get", None)
    assert told.get("x") is flags.get("x")
    assert told._in_progress == {}


def test_a_write_is_seen_at_once_though_it_is_told_of(
    announcing: Announcing, told: CachedFeatureFlagStore
) -> None:
    """Whenever the signal of one's own write comes."""
    for number in range(100):
        told.set("x", bool(number % 2))
        assert state(told.get("x")) is bool(number % 2)
        announcing.tell("x")
        assert state(told.get("x")) is bool(number % 2)


def test_while_nothing_is_told_no_flag_without_ttl_is_kept(
    announcing: Announcing, told: CachedFeatureFlagStore
) -> None:
    """It might be wrong for ever."""
    told.get("x")
    announcing.leave()
    listens(told, is_told=False)
    announcing.flags.set("x", is_enabled=True)
    assert state(told.get("x")) is True
    told.set("x", False)
    announcing.flags.set("x", is_enabled=True)
    assert state(told.get("x")) is True
    announcing.reads.clear()
    for _ in range(5):
        told.get("x")
    assert announcing.reads == ["x"] * 5
    announcing.fail_watch = None
    listens(told)
    told.get("x")
    announcing.reads.clear()
    for _ in range(5):
        assert state(told.get("x")) is True
    assert announcing.reads == []


def test_while_nothing_is_told_flags_expire_by_their_ttl(
    announcing: Announcing, clock: Clock
) -> None:
    """And when the signal is lost, or back, they expire at once."""
    announcing.fail_watch = AwayError("not yet")
    with CachedFeatureFlagStore(announcing, ttl=10, invalidate=True) as store:
        assert state(store.get("x")) is False
        announcing.flags.set("x", is_enabled=True)
        clock.now += 9
        assert state(store.get("x")) is False
        clock.now += 1
        assert state(store.get("x")) is True
        announcing.flags.set("x", is_enabled=False)
        announcing.fail_watch = None
        listens(store)
        assert state(store.get("x")) is False
        announcing.flags.set("x", is_enabled=True)
        announcing.leave()
        listens(store, is_told=False)
        assert state(store.get("x")) is True


def test_flags_that_are_told_of_expire_by_their_ttl_all_the_same(
    announcing: Announcing, clock: Clock
) -> None:
    """That is what heals a message that was lost."""
    with CachedFeatureFlagStore(announcing, ttl=10, invalidate=True) as store:
        listens(store)
        store.get("x")
        announcing.flags.set("x", is_enabled=True)  # and nobody is told
        clock.now += 9
        assert state(store.get("x")) is False
        clock.now += 1
        assert state(store.get("x")) is True


def test_a_signal_that_is_refused_is_said_once_and_asked_for_again(
    announcing: Announcing,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Somebody may allow it meanwhile; until then it is a cache by ttl."""
    monkeypatch.setattr(
        "flipper.contrib.cached.invalidation._RETRY_AFTER_REFUSAL", 0.01
    )
    caplog.set_level(logging.INFO, "flipper")
    announcing.fail_watch = WatchRefusedError("no rights")
    with CachedFeatureFlagStore(announcing, ttl=60, invalidate=True) as store:
        eventually(lambda: announcing.asked > 3)
        store.get("x")
        store.get("x")
        assert announcing.reads == ["x"]
        announcing.fail_watch = None
        listens(store)
        announcing.write("x", True)
        eventually(lambda: state(store.get("x")) is True)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "(WatchRefusedError: no rights)" in caplog.text


@pytest.mark.parametrize(("ttl", "asked"), [(60, 0), (None, 3)])
def test_a_store_without_a_signal_will_do(
    inner: OwnStore, ttl: float | None, asked: int
) -> None:
    """Any store: its flags are kept for their ttl, and not at all without one."""
    with CachedFeatureFlagStore(inner, ttl=ttl, invalidate=True) as store:
        listens(store, is_told=False)
        store.create("x")
        assert [state(store.get("x")) for _ in range(3)] == [False] * 3
        assert inner.reads == ["x"] * asked


def test_a_signal_that_is_lost_is_said_once(
    announcing: Announcing,
    told: CachedFeatureFlagStore,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """However often it is asked for until it is back."""
    caplog.set_level(logging.INFO, "flipper")
    announcing.leave()
    asked = announcing.asked
    eventually(lambda: announcing.asked > asked + 2)
    announcing.fail_watch = None
    listens(told)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "Announcing does not report changes to its cache" in caplog.text


def test_a_signal_that_is_away_is_asked_for_less_and_less(
    announcing: Announcing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to a longest pause; and after each success anew."""
    pauses: list[float] = []

    def shorten(_: float, longest: float) -> float:
        pauses.append(longest)
        return 0.001

    monkeypatch.setattr("flipper.contracts.listener.uniform", shorten)
    announcing.fail_watch = AwayError("not yet")
    with CachedFeatureFlagStore(announcing, invalidate=True) as store:
        eventually(lambda: len(pauses) > 5)
        assert pauses[:6] == [0.2, 0.4, 0.8, 1.6, 3.0, 3.0]
        announcing.fail_watch = None
        listens(store)
        pauses.clear()
        announcing.leave()
        eventually(lambda: len(pauses) > 1)
        assert pauses[:2] == [0.2, 0.4]


@pytest.mark.parametrize("ttl", [None, 10])
def test_what_a_lost_signal_lets_expire_answers_while_the_store_fails(
    announcing: Announcing, all_clocks: Clock, ttl: float | None
) -> None:
    """By choice: the two are lost together, as a rule."""
    with CachedFeatureFlagStore(
        announcing, ttl=ttl, stale_if_error=60, invalidate=True
    ) as store:
        listens(store)
        store.get("x")
        store.get("changed")
        store.get("missing")
        announcing.write("changed", True)
        eventually(lambda: "changed" not in store._cache)
        announcing.fail_reads = AwayError("on purpose")
        announcing.leave()
        listens(store, is_told=False)
        for _ in range(59):
            all_clocks.now += 1
            assert state(store.get("x")) is False
            assert store.get("missing") is None
            with pytest.raises(AwayError):
                store.get("changed")
        all_clocks.now += 1
        with pytest.raises(AwayError):
            store.get("x")


@pytest.mark.usefixtures("table")
def test_entries_that_expire_all_at_once_keep_their_order(
    announcing: Announcing,
) -> None:
    """The least recently used still goes first."""
    with CachedFeatureFlagStore(
        announcing, size=3, stale_if_error=60, invalidate=True
    ) as store:
        listens(store)
        for name in "abca":
            store.get(name)
        announcing.leave()
        listens(store, is_told=False)
        store.get("d")
        assert store._cache.keys() == ["d", "a", "c"]


def test_a_closed_cache_listens_no_more(
    announcing: Announcing, told: CachedFeatureFlagStore
) -> None:
    """It goes on answering, of what the store says then; and may be closed again."""
    told.get("x")
    told.close()
    told.close()
    assert announcing.watches == []
    assert told._listener is not None
    assert not told._listener._thread.is_alive()  # type: ignore[union-attr]
    announcing.flags.set("x", is_enabled=True)
    assert state(told.get("x")) is True
    told.set("x", False)
    assert state(told.get("x")) is False
    assert announcing.watches == []


def test_a_closed_cache_stays_closed_in_a_child(
    announcing: Announcing, told: CachedFeatureFlagStore
) -> None:
    """It listens there no more than here."""
    told.close()
    asked = announcing.asked
    told.after_fork()  # as in the child
    assert state(told.get("x")) is False
    assert told._listener is not None
    assert told._listener._thread is None
    assert announcing.asked == asked


def test_a_cache_without_signal_can_be_closed_too(inner: OwnStore) -> None:
    """It stays what it was, and has no thread."""
    threads = threading.active_count()
    with CachedFeatureFlagStore(inner, stale_if_error=1, jitter=0.5) as store:
        store.create("x")
        assert threading.active_count() == threads
    store.close()
    assert state(store.get("x")) is False
    assert inner.reads == []


def test_caches_that_nobody_holds_leave_nothing(announcing: Announcing) -> None:
    """No thread, no watch, and not themselves."""
    threads = threading.active_count()
    gone = []
    for _ in range(100):
        store = CachedFeatureFlagStore(announcing, invalidate=True)
        store.get("x")
        gone.append(weakref.ref(store))
        del store
    gc.collect()
    eventually(lambda: not any(ref() is not None for ref in gone))
    eventually(lambda: threading.active_count() <= threads)
    assert announcing.watches == []


@pytest.mark.usefixtures("hurried")
def test_caches_that_are_told_come_level(
    announcing: Announcing, pool: ThreadPoolExecutor
) -> None:
    """Whoever wrote through whichever, nothing old stays in any of them."""

    class Reporting(FeatureFlagStoreWrapper):
        def update(self, feature_name: str, change: Any) -> Any:
            item = super().update(feature_name, change)
            announcing.tell(feature_name)
            return item

    inner = Reporting(announcing)
    caches = [CachedFeatureFlagStore(inner, invalidate=True) for _ in range(3)]
    for store in caches:
        listens(store)

    def write(thread: int) -> None:
        random = Random(thread)  # noqa: S311  (the same each time)
        for n in range(200):
            store = random.choice(caches)
            store.get("x")
            change = numbered(1000 * thread + n)
            store.update("x", lambda it, meta=change: it.replace(meta=meta))

    list(pool.map(write, range(4)))
    for store in caches:
        eventually(lambda store=store: store.get("x") is announcing.flags.get("x"))
        assert store._in_progress == {}
        store.close()


HEARING_CHILD = """
import os, threading, time
from flipper import CachedFeatureFlagStore, MemoryFeatureFlagStore
from flipper.contracts.watch import SupportsWatch, WatchQueue

class Announcing(SupportsWatch, MemoryFeatureFlagStore):
    watches = ()
    is_away = False
    def watch(self):
        if self.is_away:
            raise ConnectionError
        queue = WatchQueue(lambda: None)
        self.watches = (*self.watches, queue)
        return queue
    def _swap(self, item, expected):
        done = super()._swap(item, expected)
        for queue in self.watches:
            queue.report(item.feature_name)
        return done

def until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)

def is_told():
    return store._listener._is_listening and len(inner.watches) == 1

inner = Announcing()
inner.create("x")
store = CachedFeatureFlagStore(inner, invalidate=True)
until(is_told)
assert store.get("x").raw_is_enabled is False
children = []
for number in range(20):
    child = os.fork()
    if not child:
        code = 3
        try:
            assert threading.active_count() == 1
            inner.watches, inner.is_away = (), True
            for on in (True, False, True):  # and nobody is told
                item = inner.get("x").replace(is_enabled=on)
                MemoryFeatureFlagStore._swap(inner, item, ANY)
                assert store.get("x").raw_is_enabled is on
            inner.is_away = False
            until(lambda: len(inner.watches) == 1)
            until(lambda: store._ttl == float("inf"))
            store.get("x")
            inner.set("x", False)
            until(lambda: store.get("x").raw_is_enabled is False)
            code = 0
        finally:
            os._exit(code)
    children.append(child)
codes = [os.waitpid(child, 0)[1] for child in children]
assert not any(codes), codes
assert store.get("x").raw_is_enabled is False
"""


@forks
def test_a_forked_child_hears_of_changes_by_itself() -> None:
    """From its first question on, which finds nothing that the parent has cached."""
    run_script("from flipper.contracts.atomic import ANY\n" + HEARING_CHILD)


HANGING = """
import time
from flipper import CachedFeatureFlagStore, MemoryFeatureFlagStore
from flipper.contracts.watch import SupportsWatch

class Hanging(SupportsWatch, MemoryFeatureFlagStore):
    def watch(self):
        time.sleep(600)

store = CachedFeatureFlagStore(Hanging(), invalidate=True)
store.set("x", True)
assert store.get("x").raw_is_enabled is True
"""


def test_a_program_ends_though_the_signal_hangs() -> None:
    """And what is asked for does not wait for it."""
    run_script(HANGING)
