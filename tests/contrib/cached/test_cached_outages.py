# SPDX-License-Identifier: Apache-2.0
"""What the cached store answers while its inner store fails."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from flipper import (
    CachedFeatureFlagStore,
    Condition,
    FeatureFlagClient,
    ReplicatedFeatureFlagStore,
)
from flipper.contracts.circuit_breaker import current_reader
from flipper.contracts.wrapper import FeatureFlagStoreWrapper
from flipper.exceptions import InvalidArgumentError, InvalidFlagDataError
from flipper.testing.contract import eventually
from support.cached_stores import (
    TIMEOUT,
    WRITES,
    AwayError,
    Interrupted,
    OwnStore,
    PausePoint,
    RemoteStore,
    in_progress,
    state_of,
    wait_for_threads,
)

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from concurrent.futures import ThreadPoolExecutor

    from support.clock import Clock


# The last known state


def test_a_client_answers_from_an_expired_entry_while_the_store_fails(
    inner: OwnStore, clock: Clock
) -> None:
    """A client gets the last known state, and the new state after the failure."""
    client = FeatureFlagClient(CachedFeatureFlagStore(inner, ttl=1))
    client.create("x", is_enabled=True)
    inner.flags.set("x", is_enabled=False)
    clock.now += 2
    inner.read_error = OSError("on purpose")
    assert client.is_enabled("x") is True
    assert client.is_enabled("unknown", default="nothing") == "nothing"
    inner.read_error = None
    assert client.is_enabled("x") is False


@pytest.mark.parametrize("size", [0, 1])
def test_the_last_known_state_of_dropped_flags_is_kept(
    inner: OwnStore, size: int
) -> None:
    """The last known state of flags that the cache has dropped is answered."""
    store = CachedFeatureFlagStore(inner, size=size)
    client = FeatureFlagClient(store)
    client.create("x", is_enabled=True)
    client.create("y", is_enabled=True)
    client.disable("x")
    client.create("z")
    inner.read_error = OSError("on purpose")
    assert client.is_enabled("x", default="unknown") is False
    assert client.is_enabled("y", default="unknown") is True
    assert store.last_known("missing") is None


@pytest.mark.parametrize("ttl", [None, -10])
def test_a_deleted_flag_has_no_last_known_state(
    inner: OwnStore, ttl: float | None
) -> None:
    """A deleted flag does not come back when the store fails."""
    client = FeatureFlagClient(CachedFeatureFlagStore(inner, ttl=ttl))
    client.create("x", is_enabled=True)
    assert client.is_enabled("x") is True
    client.destroy("x")
    inner.read_error = OSError("on purpose")
    assert client.is_enabled("x", default="unknown") == "unknown"


@pytest.mark.parametrize("write", ["set", "update"])
def test_a_write_whose_result_cannot_be_read_is_the_last_known_state(
    inner: OwnStore, write: str
) -> None:
    """The state that was written is the last known one, though its read failed."""
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
def test_a_slow_read_does_not_undo_the_last_known_state(
    inner: OwnStore, pool: ThreadPoolExecutor, wrap: str, write: str
) -> None:
    """What was read before a write does not answer when the store fails."""
    client = FeatureFlagClient(WRAPPED[wrap](inner))
    client.create("x", is_enabled=True)
    inner.after_read = pause = PausePoint()
    slow = pool.submit(client.is_enabled, "x", a=2)
    pause.wait_until_reached()
    CLIENT_WRITES[write](client)
    pause.resume()
    assert slow.result(TIMEOUT) is True
    inner.read_error = OSError("on purpose")
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
def test_a_wrapper_has_the_away_errors_and_last_known_flags_of_its_inner_store(
    wrap: str,
) -> None:
    """`outage_errors` and `last_known` of a wrapper are those of its inner store."""
    remote = RemoteStore()
    made = remote.create("x")
    store = WRAPPED[wrap](remote)
    assert store.outage_errors == (AwayError,)
    assert store.get("x") is made
    remote.read_error = AwayError()
    with pytest.raises(AwayError):
        store.get("x")
    assert store.last_known("x") is made


@pytest.mark.parametrize("wrap", ["wrapper", "cached", "stack"])
def test_a_store_without_away_errors_is_asked_each_time(
    inner: OwnStore, wrap: str
) -> None:
    """A wrapped store that names no errors is asked again after each failure."""
    store = WRAPPED[wrap](inner)
    assert store.outage_errors == ()
    client = FeatureFlagClient(store)
    inner.read_error = AwayError()
    for _ in range(3):
        assert client.is_enabled("x", default=None) is None
    assert len(inner.reads) == 3


@pytest.mark.parametrize("wrap", WRAPPED)
def test_a_server_that_is_away_is_not_asked_through_a_wrapper(wrap: str) -> None:
    """The circuit breaker works through each wrapper, and closes after an answer."""
    remote = RemoteStore()
    store = WRAPPED[wrap](remote)
    client = FeatureFlagClient(store)
    client.create("x", is_enabled=True)
    assert client.is_enabled("x") is True
    remote.read_error = AwayError()
    known = [client.is_enabled("x", default="unknown") for _ in range(20)]
    assert known == [True] * 20
    assert current_reader(store) is not store
    remote.read_error = None
    remote.flags.set("x", is_enabled=False)
    eventually(lambda: client.is_enabled("x") is False)
    assert current_reader(store) is store


# stale_if_error


@pytest.fixture
def expired(inner: OwnStore, clock: Clock) -> CachedFeatureFlagStore:
    """Give a cache with an expired entry, which may answer for 60 seconds."""
    store = CachedFeatureFlagStore(inner, ttl=10, stale_if_error=60)
    store.create("x")
    clock.now += 10
    return store


@pytest.mark.parametrize("exists", [True, False])
def test_an_expired_entry_answers_until_stale_if_error_is_over(
    inner: OwnStore, clock: Clock, exists: bool
) -> None:
    """Expired entries answer for `stale_if_error` seconds, also of missing flags."""
    if exists:
        inner.flags.create("x", is_enabled=True)
    store = CachedFeatureFlagStore(inner, ttl=10, stale_if_error=60)
    before = store.get("x")
    inner.read_error = OSError("on purpose")
    for _ in range(69):
        clock.now += 1
        assert store.get("x") is before
    clock.now += 0.75
    assert store.get("x") is before
    clock.now += 0.25
    with pytest.raises(OSError, match="on purpose"):
        store.get("x")
    assert in_progress(store) == {}


def test_without_an_entry_the_error_is_raised(inner: OwnStore) -> None:
    """A flag that is not cached has no answer while the store fails."""
    store = CachedFeatureFlagStore(inner, ttl=10, stale_if_error=60)
    inner.read_error = OSError("on purpose")
    with pytest.raises(OSError, match="on purpose"):
        store.get("x")
    assert in_progress(store) == {}


@pytest.mark.parametrize("none", [None, 0, 0.0])
def test_without_stale_if_error_an_expired_entry_does_not_answer(
    inner: OwnStore, clock: Clock, none: float | None
) -> None:
    """Without `stale_if_error`, the error is raised once the entry has expired."""
    store = CachedFeatureFlagStore(inner, ttl=10, stale_if_error=none)
    store.create("x")
    clock.now += 10
    inner.read_error = OSError("on purpose")
    with pytest.raises(OSError, match="on purpose"):
        store.get("x")


def test_a_store_that_works_again_is_asked_soon(
    inner: OwnStore, expired: CachedFeatureFlagStore, clock: Clock
) -> None:
    """A stale answer is kept for half a second at most."""
    inner.read_error = OSError("on purpose")
    assert state_of(expired.get("x")) is False
    inner.read_error = None
    inner.flags.set("x", is_enabled=True)
    assert state_of(expired.get("x")) is False
    clock.now += 0.5
    assert state_of(expired.get("x")) is True
    clock.now += 9
    assert state_of(expired.get("x")) is True
    assert inner.reads == ["x", "x"]


@pytest.mark.parametrize(
    "error", [InvalidFlagDataError("on purpose"), InvalidArgumentError("on purpose")]
)
def test_the_error_of_a_broken_flag_is_raised(
    inner: OwnStore, expired: CachedFeatureFlagStore, error: Exception
) -> None:
    """An expired entry does not hide that the flag's document is broken."""
    inner.read_error = error
    with pytest.raises(type(error), match="on purpose"):
        expired.get("x")


def test_an_interrupt_is_not_taken_for_a_failure_of_the_store(
    inner: OwnStore, expired: CachedFeatureFlagStore
) -> None:
    """An interrupt is raised, whatever is in the cache."""
    inner.read_error = Interrupted()
    with pytest.raises(Interrupted):
        expired.get("x")


def test_a_flag_that_fails_is_read_every_half_second(
    inner: OwnStore, expired: CachedFeatureFlagStore, clock: Clock
) -> None:
    """While a flag cannot be read, its read is tried once in half a second."""
    inner.read_error = OSError("on purpose")
    for _ in range(8):  # quarters of a second
        for _ in range(20):
            assert state_of(expired.get("x")) is False
        clock.now += 0.25
    assert inner.reads == ["x"] * 4


def test_a_flag_that_fails_does_not_affect_the_others(
    inner: OwnStore, clock: Clock
) -> None:
    """Other expired flags are read, since the store is not away."""
    store = CachedFeatureFlagStore(inner, ttl=10, stale_if_error=60)
    store.create("broken")
    store.create("x")
    clock.now += 10
    inner.read_error = OSError("on purpose")
    assert state_of(store.get("broken")) is False
    inner.read_error = None
    inner.flags.set("x", is_enabled=True)
    assert state_of(store.get("x")) is True


def test_a_server_that_is_away_is_asked_for_one_flag_only(all_clocks: Clock) -> None:
    """A call that has to time out is not made for each of a hundred flags."""
    remote = RemoteStore()
    store = CachedFeatureFlagStore(remote, ttl=10, stale_if_error=60)
    names = [f"flag-{number}" for number in range(100)]
    for name in names:
        store.create(name)
    all_clocks.now += 10
    remote.read_error = AwayError()
    for asked in range(1, 4):
        assert [state_of(store.get(name)) for name in names] == [False] * 100
        assert len(remote.reads) == asked
        all_clocks.now += 0.5
    remote.read_error = None
    remote.flags.set("flag-7", is_enabled=True)
    remote.reads.clear()
    assert [state_of(store.get(name)) for name in names] == [
        name == "flag-7" for name in names
    ]
    assert remote.reads[0] == names[0]
    assert len(remote.reads) >= 100


@pytest.mark.parametrize("write", WRITES)
def test_an_entry_that_a_write_has_replaced_never_answers(
    inner: OwnStore, clock: Clock, write: str
) -> None:
    """A flag that was switched off does not read as on while the store fails."""
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
    inner: OwnStore,
    expired: CachedFeatureFlagStore,
    pool: ThreadPoolExecutor,
    clock: Clock,
    write: str,
) -> None:
    """A read that fails is answered with the entry after a write, not before it."""
    inner.after_read = pause = PausePoint(OSError("on purpose"))
    slow = pool.submit(expired.get, "x")
    pause.wait_until_reached()
    WRITES[write](expired)
    pause.resume()
    if write == "create":
        assert slow.result(TIMEOUT) is inner.flags.get("x")
        clock.now += 9
        assert expired.get("x") is inner.flags.get("x")  # as fresh as it was
        assert inner.reads == ["x"]
    else:
        with pytest.raises(OSError, match="on purpose"):
            slow.result(TIMEOUT)
        with pytest.raises(OSError, match="on purpose"):
            expired.get("x")


def test_threads_that_wait_for_a_failing_read_get_the_expired_entry(
    inner: OwnStore,
    pool: ThreadPoolExecutor,
    clock: Clock,
    waiting: threading.Semaphore,
) -> None:
    """The store is read once for all threads, which get the expired entry."""
    store = CachedFeatureFlagStore(inner, ttl=10, stale_if_error=60)
    made = store.create("x")
    clock.now += 10
    inner.after_read = pause = PausePoint(OSError("on purpose"))
    found = [pool.submit(store.get, "x") for _ in range(8)]
    pause.wait_until_reached()
    wait_for_threads(waiting, 7)
    pause.resume()
    assert {each.result(TIMEOUT) for each in found} == {made}
    assert inner.reads == ["x"]


def test_an_outage_is_logged_once_a_minute(
    inner: OwnStore,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An outage is logged when it begins, once a minute, and when it ends."""
    monkeypatch.setattr("flipper.runtime.log_throttle.monotonic", clock)
    caplog.set_level(logging.INFO, "flipper")
    store = CachedFeatureFlagStore(inner, ttl=1, stale_if_error=1000)
    for name in ("x", "y"):
        store.create(name)
    inner.read_error = OSError("on purpose")
    for _ in range(100):
        clock.now += 1
        store.get("x")
        store.get("y")
    begin, again = (record.getMessage() for record in caplog.records)
    assert begin.startswith("OwnStore fails (OSError: on purpose)")
    assert again.endswith("more questions failed since the last warning)")
    inner.read_error = None
    for _ in range(60):
        clock.now += 1
        store.get("x")
    assert "OwnStore answers again" in caplog.records[2].getMessage()
    assert len(caplog.records) == 3


def test_a_child_reads_though_a_thread_of_its_parent_was_reading(
    all_clocks: Clock, pool: ThreadPoolExecutor
) -> None:
    """The one thread that tries the store does not exist in the forked child."""
    remote = RemoteStore()
    store = CachedFeatureFlagStore(remote, ttl=1, stale_if_error=60)
    store.create("x")
    all_clocks.now += 1
    remote.read_error = AwayError()
    store.get("x")
    all_clocks.now += 0.5
    remote.read_error = None
    remote.after_read = pause = PausePoint()
    slow = pool.submit(store.get, "x")
    pause.wait_until_reached()
    remote.flags.set("x", is_enabled=True)
    for each in (current_reader(remote), store):
        each.after_fork()  # as in the child
    assert state_of(store.get("x")) is True
    pause.resume()
    slow.result(TIMEOUT)
