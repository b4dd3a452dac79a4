# SPDX-License-Identifier: Apache-2.0
"""The background thread that drops the entries of changed flags."""

from __future__ import annotations

import gc
import logging
import weakref
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from flipper import CachedFeatureFlagStore
from flipper.contracts.watch import WatchRefusedError
from flipper.contracts.wrapper import FeatureFlagStoreWrapper
from flipper.testing.contract import eventually
from support.cached_stores import (
    TIMEOUT,
    WRITES,
    AwayError,
    OwnStore,
    PausePoint,
    SignallingStore,
    entries_of,
    in_progress,
    numbered,
    state_of,
    wait_until_listening,
)
from support.programs import needs_fork, run_program

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator
    from concurrent.futures import ThreadPoolExecutor

    from support.clock import Clock


@pytest.fixture
def store(remote: SignallingStore) -> Iterator[CachedFeatureFlagStore]:
    """Give a cache that listens to its inner store and whose entries never expire."""
    with CachedFeatureFlagStore(remote, invalidate=True) as store:
        wait_until_listening(store)
        yield store


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Give the longest possible pauses before retries, and make them short."""
    pauses: list[float] = []

    def shorten(_: float, longest: float) -> float:
        pauses.append(longest)
        return 0.001

    monkeypatch.setattr("flipper.contracts.listener.uniform", shorten)
    return pauses


# Changes by others


def test_a_change_elsewhere_drops_the_entry_of_that_flag_only(
    remote: SignallingStore, store: CachedFeatureFlagStore
) -> None:
    """Entries of other flags go on answering from memory."""
    assert store.get("y") is None
    for is_enabled in (False, True, False, True):
        remote.write_elsewhere("x", is_enabled)
        eventually(lambda on=is_enabled: state_of(store.get("x")) is on)
    remote.reads.clear()
    for _ in range(9):
        assert (store.get("y"), state_of(store.get("x"))) == (None, True)
    assert remote.reads == []


def test_a_flag_created_or_deleted_elsewhere_is_seen(
    remote: SignallingStore, store: CachedFeatureFlagStore
) -> None:
    """The change signal drops the entry of a missing flag, too."""
    assert store.get("new") is None
    remote.write_elsewhere("new", True)
    eventually(lambda: state_of(store.get("new")) is True)
    remote.flags.delete("new")
    remote.report("new")
    eventually(lambda: store.get("new") is None)


def test_all_entries_are_dropped_if_any_flag_may_have_changed(
    remote: SignallingStore, store: CachedFeatureFlagStore
) -> None:
    """All entries are dropped when the signal does not name the changed flags."""
    store.get("x")
    store.get("y")
    remote.report_unknown_changes()
    eventually(lambda: len(entries_of(store)) == 0)
    remote.reads.clear()
    store.get("x")
    store.get("y")
    assert remote.reads == ["x", "y"]


def test_a_read_that_began_before_the_signal_is_not_cached(
    remote: SignallingStore, store: CachedFeatureFlagStore, pool: ThreadPoolExecutor
) -> None:
    """A read in progress may be older than the reported change."""
    store.get("y")
    remote.after_read = pause = PausePoint()
    slow = pool.submit(store.get, "x")
    pause.wait_until_reached()
    remote.flags.set("x", is_enabled=True)
    remote.report("x", "y")
    eventually(lambda: "y" not in entries_of(store))
    assert state_of(store.get("x")) is True  # does not wait for the older read
    pause.resume()
    slow.result(TIMEOUT)
    assert state_of(store.get("x")) is True
    assert in_progress(store) == {}


@pytest.mark.parametrize("cause", ["unknown changes", "lost signal"])
def test_no_read_in_progress_is_cached_when_all_entries_are_dropped(
    remote: SignallingStore,
    store: CachedFeatureFlagStore,
    pool: ThreadPoolExecutor,
    cause: str,
) -> None:
    """Each read in progress may be of a flag that has changed."""
    store.get("y")
    remote.after_read = pause = PausePoint()
    slow = pool.submit(store.get, "x")
    pause.wait_until_reached()
    remote.flags.set("x", is_enabled=True)
    if cause == "lost signal":
        remote.disconnect()
        wait_until_listening(store, is_listening=False)
        remote.watch_error = None
        wait_until_listening(store)
    else:
        remote.report_unknown_changes()
        eventually(lambda: "y" not in entries_of(store))
    pause.resume()
    slow.result(TIMEOUT)
    assert state_of(store.get("x")) is True


def test_a_read_that_began_before_listening_is_not_cached(
    remote: SignallingStore, pool: ThreadPoolExecutor
) -> None:
    """A change between the read and the beginning of listening was not reported."""
    remote.watch_error = AwayError("not yet")
    with CachedFeatureFlagStore(remote, invalidate=True) as store:
        remote.after_read = pause = PausePoint()
        slow = pool.submit(store.get, "x")
        pause.wait_until_reached()
        remote.flags.set("x", is_enabled=True)
        remote.watch_error = None
        wait_until_listening(store)
        pause.resume()
        assert state_of(slow.result(TIMEOUT)) is False
        assert state_of(store.get("x")) is True


@pytest.mark.parametrize("write", ["create", "set", "set_meta", "update"])
def test_a_write_during_which_a_change_is_reported_is_not_cached(
    remote: SignallingStore,
    store: CachedFeatureFlagStore,
    pool: ThreadPoolExecutor,
    write: str,
) -> None:
    """A rival may have written later and have been reported before the write ended."""
    store.get("y")
    pause, flags = PausePoint(), remote.flags
    name = "set" if write == "update" else write
    method = getattr(remote, name)

    def slow(*args: Any, **kwargs: Any) -> Any:
        result = method(*args, **kwargs)
        pause()
        return result

    setattr(remote, name, slow)
    if write != "create":  # the result is read, and the flag read is outdated
        read = remote.get
        stale = flags.get("x")
        remote.get = lambda name: stale if pause.is_resumed else read(name)  # type: ignore[method-assign]
    writer = pool.submit(WRITES[write], store)
    pause.wait_until_reached()
    flags.create("x", client_data={"rival": 1})
    remote.report("x", "y")
    eventually(lambda: "y" not in entries_of(store))
    pause.resume()
    writer.result(TIMEOUT)
    remote.__dict__.pop("get", None)
    assert store.get("x") is flags.get("x")
    assert in_progress(store) == {}


def test_a_write_is_visible_at_once_although_it_is_reported(
    remote: SignallingStore, store: CachedFeatureFlagStore
) -> None:
    """The signal of one's own write may come at any time."""
    for number in range(100):
        store.set("x", bool(number % 2))
        assert state_of(store.get("x")) is bool(number % 2)
        remote.report("x")
        assert state_of(store.get("x")) is bool(number % 2)


@pytest.mark.usefixtures("frequent_thread_switches")
def test_caches_that_listen_end_with_the_stored_flag(
    remote: SignallingStore, pool: ThreadPoolExecutor
) -> None:
    """No outdated flag stays in any of three caches, whichever of them was written."""

    class Reporting(FeatureFlagStoreWrapper):
        def update(self, feature_name: str, change: Any) -> Any:
            item = super().update(feature_name, change)
            remote.report(feature_name)
            return item

    inner = Reporting(remote)
    caches = [CachedFeatureFlagStore(inner, invalidate=True) for _ in range(3)]
    for store in caches:
        wait_until_listening(store)

    def write(thread: int) -> None:
        random = Random(thread)  # noqa: S311  (the same each time)
        for n in range(200):
            store = random.choice(caches)
            store.get("x")
            change = numbered(1000 * thread + n)
            store.update("x", lambda it, meta=change: it.replace(meta=meta))

    list(pool.map(write, range(4)))
    for store in caches:
        eventually(lambda store=store: store.get("x") is remote.flags.get("x"))
        assert in_progress(store) == {}
        store.close()


# Without a change signal


def test_while_nobody_listens_no_flag_without_a_ttl_is_cached(
    remote: SignallingStore, store: CachedFeatureFlagStore
) -> None:
    """An entry without a ttl might be outdated for ever."""
    store.get("x")
    remote.disconnect()
    wait_until_listening(store, is_listening=False)
    remote.flags.set("x", is_enabled=True)
    assert state_of(store.get("x")) is True
    store.set("x", False)
    remote.flags.set("x", is_enabled=True)
    assert state_of(store.get("x")) is True
    remote.reads.clear()
    for _ in range(5):
        store.get("x")
    assert remote.reads == ["x"] * 5
    remote.watch_error = None
    wait_until_listening(store)
    store.get("x")
    remote.reads.clear()
    for _ in range(5):
        assert state_of(store.get("x")) is True
    assert remote.reads == []


def test_while_nobody_listens_flags_expire_by_their_ttl(
    remote: SignallingStore, clock: Clock
) -> None:
    """All entries expire when listening begins or ends, and by ttl in between."""
    remote.watch_error = AwayError("not yet")
    with CachedFeatureFlagStore(remote, ttl=10, invalidate=True) as store:
        assert state_of(store.get("x")) is False
        remote.flags.set("x", is_enabled=True)
        clock.now += 9
        assert state_of(store.get("x")) is False
        clock.now += 1
        assert state_of(store.get("x")) is True
        remote.flags.set("x", is_enabled=False)
        remote.watch_error = None
        wait_until_listening(store)
        assert state_of(store.get("x")) is False
        remote.flags.set("x", is_enabled=True)
        remote.disconnect()
        wait_until_listening(store, is_listening=False)
        assert state_of(store.get("x")) is True


def test_flags_expire_by_their_ttl_also_while_listening(
    remote: SignallingStore, clock: Clock
) -> None:
    """The ttl limits how long a lost message has an effect."""
    with CachedFeatureFlagStore(remote, ttl=10, invalidate=True) as store:
        wait_until_listening(store)
        store.get("x")
        remote.flags.set("x", is_enabled=True)  # which nobody reports
        clock.now += 9
        assert state_of(store.get("x")) is False
        clock.now += 1
        assert state_of(store.get("x")) is True


def test_a_refused_signal_is_logged_once_and_tried_again(
    remote: SignallingStore,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The cache works by ttl until the inner store allows to listen."""
    monkeypatch.setattr(
        "flipper.contrib.cached.invalidation._RETRY_AFTER_REFUSAL", 0.01
    )
    caplog.set_level(logging.INFO, "flipper")
    remote.watch_error = WatchRefusedError("no rights")
    with CachedFeatureFlagStore(remote, ttl=60, invalidate=True) as store:
        eventually(lambda: remote.watch_calls > 3)
        store.get("x")
        store.get("x")
        assert remote.reads == ["x"]
        remote.watch_error = None
        wait_until_listening(store)
        remote.write_elsewhere("x", True)
        eventually(lambda: state_of(store.get("x")) is True)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "(WatchRefusedError: no rights)" in caplog.text


@pytest.mark.parametrize(("ttl", "reads"), [(60, 0), (None, 3)])
def test_a_store_without_a_signal_can_be_wrapped(
    inner: OwnStore, ttl: float | None, reads: int
) -> None:
    """Flags of a store without a signal are cached for their ttl, if they have one."""
    with CachedFeatureFlagStore(inner, ttl=ttl, invalidate=True) as store:
        wait_until_listening(store, is_listening=False)
        store.create("x")
        assert [state_of(store.get("x")) for _ in range(3)] == [False] * 3
        assert inner.reads == ["x"] * reads


@pytest.mark.usefixtures("pauses")
def test_a_lost_signal_is_logged_once(
    remote: SignallingStore,
    store: CachedFeatureFlagStore,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The loss and the return of the signal are logged, but not each retry."""
    caplog.set_level(logging.INFO, "flipper")
    remote.disconnect()
    calls = remote.watch_calls
    eventually(lambda: remote.watch_calls > calls + 2)
    remote.watch_error = None
    wait_until_listening(store)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "SignallingStore does not report changes to its cache" in caplog.text


def test_pauses_between_retries_grow(
    remote: SignallingStore, pauses: list[float]
) -> None:
    """Pauses between retries grow up to a limit, and start over after a success."""
    remote.watch_error = AwayError("not yet")
    with CachedFeatureFlagStore(remote, invalidate=True) as store:
        eventually(lambda: len(pauses) > 5)
        assert pauses[:6] == [0.2, 0.4, 0.8, 1.6, 3.2, 4.5]
        remote.watch_error = None
        wait_until_listening(store)
        pauses.clear()
        remote.disconnect()
        eventually(lambda: len(pauses) > 1)
        assert pauses[:2] == [0.2, 0.4]


@pytest.mark.parametrize("ttl", [None, 10])
def test_stale_if_error_works_after_the_signal_is_lost(
    remote: SignallingStore, all_clocks: Clock, ttl: float | None
) -> None:
    """With `stale_if_error`, flags answer when signal and store fail together."""
    with CachedFeatureFlagStore(
        remote, ttl=ttl, stale_if_error=60, invalidate=True
    ) as store:
        wait_until_listening(store)
        store.get("x")
        store.get("changed")
        store.get("missing")
        remote.write_elsewhere("changed", True)
        eventually(lambda: "changed" not in entries_of(store))
        remote.read_error = AwayError("on purpose")
        remote.disconnect()
        wait_until_listening(store, is_listening=False)
        for _ in range(59):
            all_clocks.now += 1
            assert state_of(store.get("x")) is False
            assert store.get("missing") is None
            with pytest.raises(AwayError):
                store.get("changed")
        all_clocks.now += 1
        with pytest.raises(AwayError):
            store.get("x")


@pytest.mark.usefixtures("table")
def test_entries_keep_their_order_when_the_signal_is_lost(
    remote: SignallingStore,
) -> None:
    """The least recently used entry is still dropped first."""
    with CachedFeatureFlagStore(
        remote, size=3, stale_if_error=60, invalidate=True
    ) as store:
        wait_until_listening(store)
        for name in "abca":
            store.get(name)
        remote.disconnect()
        wait_until_listening(store, is_listening=False)
        store.get("d")
        assert entries_of(store).keys() == ["d", "a", "c"]


# Close, forks and exit


def test_a_closed_cache_stops_listening_and_goes_on_answering(
    remote: SignallingStore, own_threads: Callable[[], set[threading.Thread]]
) -> None:
    """A closed cache reads the inner store; it may be closed again."""
    store = CachedFeatureFlagStore(remote, invalidate=True)
    wait_until_listening(store)
    store.get("x")
    store.close()
    store.close()
    assert remote.watches == []
    assert not own_threads()
    remote.flags.set("x", is_enabled=True)
    assert state_of(store.get("x")) is True
    store.set("x", False)
    assert state_of(store.get("x")) is False
    assert remote.watches == []


def test_a_closed_cache_stays_closed_in_a_child(
    remote: SignallingStore, own_threads: Callable[[], set[threading.Thread]]
) -> None:
    """A closed cache does not listen in a forked child either."""
    store = CachedFeatureFlagStore(remote, invalidate=True)
    wait_until_listening(store)
    store.close()
    calls = remote.watch_calls
    store.after_fork()  # as in the child
    assert state_of(store.get("x")) is False
    assert not own_threads()
    assert remote.watch_calls == calls


def test_garbage_collected_caches_leave_no_threads(
    remote: SignallingStore, own_threads: Callable[[], set[threading.Thread]]
) -> None:
    """Caches that are no longer referenced leave no thread and no watch."""
    gone = []
    for _ in range(100):
        store = CachedFeatureFlagStore(remote, invalidate=True)
        store.get("x")
        gone.append(weakref.ref(store))
        del store
    gc.collect()
    eventually(lambda: not any(ref() is not None for ref in gone))
    eventually(lambda: not own_threads())
    assert remote.watches == []


FORK_SCRIPT = """
import os, threading, time
from flipper import CachedFeatureFlagStore, MemoryFeatureFlagStore
from flipper.contracts.atomic import ANY
from flipper.contracts.watch import SupportsWatch, WatchQueue

class SignallingStore(SupportsWatch, MemoryFeatureFlagStore):
    watches = ()
    is_away = False
    reads = 0
    def get(self, feature_name):
        self.reads += 1
        return super().get(feature_name)
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

def keeps_flags():  # as it does only while it listens
    store.get("x")
    reads = inner.reads
    store.get("x")
    return inner.reads == reads

inner = SignallingStore()
inner.create("x")
store = CachedFeatureFlagStore(inner, invalidate=True)
until(keeps_flags)
assert len(inner.watches) == 1
assert store.get("x").raw_is_enabled is False
children = []
for number in range(20):
    child = os.fork()
    if not child:
        code = 3
        try:
            assert threading.active_count() == 1
            inner.watches, inner.is_away = (), True
            for on in (True, False, True):  # which nobody reports
                item = inner.get("x").replace(is_enabled=on)
                MemoryFeatureFlagStore._swap(inner, item, ANY)
                assert store.get("x").raw_is_enabled is on
            inner.is_away = False
            until(lambda: len(inner.watches) == 1)
            until(keeps_flags)
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


@needs_fork
def test_a_forked_child_listens_by_itself() -> None:
    """A child has no entries of its parent, and listens after its first read."""
    run_program(FORK_SCRIPT, may_log=True)


HANGING_SCRIPT = """
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


def test_a_program_ends_although_the_signal_hangs() -> None:
    """A call of `watch` that hangs delays neither reads nor the exit."""
    run_program(HANGING_SCRIPT)
