# SPDX-License-Identifier: Apache-2.0
"""How a client writes: with one read, with events, and without losing a write."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from flipper import (
    CachedFeatureFlagStore,
    Condition,
    FeatureFlagClient,
    FlagDoesNotExistError,
    MemoryFeatureFlagStore,
    ReplicatedFeatureFlagStore,
)
from flipper.bucketing import PercentageBucketer
from flipper.contracts.atomic import AtomicFeatureFlagStore
from flipper.contracts.wrapper import FeatureFlagStoreWrapper
from flipper.events import EventType, FlipperEventEmitter
from flipper.exceptions import InvalidArgumentError
from flipper.testing.contract import CHANGES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
from support.custom_stores import CustomStore, FailingMemoryStore


@pytest.fixture
def store() -> MemoryFeatureFlagStore:
    """Return an empty store."""
    return MemoryFeatureFlagStore()


SHORT_WRITES: dict[str, Callable[[FeatureFlagClient, str], object]] = {
    "enable": lambda client, name: client.enable(name),
    "disable": lambda client, name: client.disable(name),
    "add_condition": lambda client, name: client.add_condition(name, Condition(a=1)),
}


# Writes without listeners


class HookedStore(AtomicFeatureFlagStore):
    """An atomic store in a dict that lists the flags that it loads."""

    def __init__(self) -> None:
        self.items: dict[str, Any] = {}
        self.loaded: list[str] = []

    def _load(self, feature_name: str) -> Any:
        self.loaded.append(feature_name)
        item = self.items.get(feature_name)
        return None if item is None else (item, item)

    def _swap(self, item: Any, expected: object) -> bool:
        self.items[item.feature_name] = item
        return True

    def _remove(self, feature_name: str) -> None:
        del self.items[feature_name]

    def _scan(self) -> Iterator[Any]:
        yield from self.items.values()

    def _now(self) -> int:
        return 0


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("wrap", [lambda inner: inner, FeatureFlagStoreWrapper])
def test_a_write_without_listeners_reads_once(wrap: Any, name: str) -> None:
    """The write itself finds out whether the flag exists."""
    inner = HookedStore()
    client = FeatureFlagClient(wrap(inner))
    client.create("x")
    CHANGES[name](client, "x")
    with pytest.raises(FlagDoesNotExistError):
        CHANGES[name](client, "missing")
    assert inner.loaded == ["x", "missing"]


@pytest.mark.parametrize("write", SHORT_WRITES.values(), ids=SHORT_WRITES)
def test_a_write_without_listeners_does_not_create_a_missing_flag(
    store: MemoryFeatureFlagStore, write: Callable[[FeatureFlagClient, str], object]
) -> None:
    """A write of a missing flag raises, and writes nothing."""
    client = FeatureFlagClient(store)
    with pytest.raises(FlagDoesNotExistError, match="Feature x does not exist"):
        write(client, "x")
    assert store.get("x") is None


@pytest.mark.parametrize("write", SHORT_WRITES.values(), ids=SHORT_WRITES)
@pytest.mark.parametrize("replaced", ["get", "set", "set_meta"])
def test_a_replaced_method_of_the_store_is_called(
    store: MemoryFeatureFlagStore,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[FeatureFlagClient, str], object],
    replaced: str,
) -> None:
    """A spy that replaces a method of the store sees the writes of every client."""
    client = FeatureFlagClient(store)
    client.create("x")
    calls: list[Any] = []
    original = getattr(store, replaced)

    def spy(*args: Any) -> Any:
        calls.append(args)
        return original(*args)

    monkeypatch.setattr(store, replaced, spy)
    write(client, "x")
    SHORT_WRITES["disable" if write is SHORT_WRITES["enable"] else "enable"](
        client, "x"
    )
    client.add_condition("x", Condition(b=1))
    assert calls
    monkeypatch.undo()
    calls.clear()
    write(client, "x")
    assert calls == []


@pytest.mark.parametrize("write", SHORT_WRITES.values(), ids=SHORT_WRITES)
def test_listeners_and_replaced_emitters_get_every_event(
    store: MemoryFeatureFlagStore,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[FeatureFlagClient, str], object],
) -> None:
    """A listener is called, and so is an `emit` that a test has replaced."""
    client = FeatureFlagClient(store)
    client.create("x")
    emitted: list[Any] = []

    def emit(*args: Any, **kwargs: Any) -> bool:
        emitted.append(args)
        return True

    with monkeypatch.context() as patched:
        patched.setattr(client.events, "emit", emit)
        write(client, "x")
    assert len(emitted) == 2
    # Older releases of pytest leave a method at the object that was patched.
    client = FeatureFlagClient(store)
    with monkeypatch.context() as patched:
        patched.setattr(FlipperEventEmitter, "emit", emit)
        write(client, "x")
    assert len(emitted) == 4
    for event in EventType:
        client.events.on(event, emit)
    write(client, "x")
    assert len(emitted) == 6


# Errors


@pytest.mark.parametrize("kind", [CustomStore, MemoryFeatureFlagStore])
@pytest.mark.parametrize("name", ["set_client_data", "set_conditions", "set_bucketer"])
@pytest.mark.parametrize("has_listener", [False, True])
def test_a_missing_flag_is_reported_before_an_invalid_value(
    kind: Any, name: str, has_listener: bool
) -> None:
    """The error is the same with and without listeners."""
    client = FeatureFlagClient(kind())
    if has_listener:
        client.events.on(EventType.PRE_ENABLE, lambda *_: None)
    write = getattr(client, name)
    with pytest.raises(FlagDoesNotExistError):
        write("x", 1)
    client.create("x")
    with pytest.raises(InvalidArgumentError):
        write("x", 1)


# Destroying a flag


def test_only_one_of_two_clients_destroys_a_flag() -> None:
    """If another client was faster, `destroy` raises, and sends no post event."""
    store = MemoryFeatureFlagStore()
    for wrap in (
        lambda inner: inner,
        CachedFeatureFlagStore,
        lambda inner: ReplicatedFeatureFlagStore(inner, MemoryFeatureFlagStore()),
    ):
        client = FeatureFlagClient(wrap(store))
        client.create("x")
        done: list[str] = []
        client.events.on(EventType.PRE_DESTROY, store.delete)
        client.events.on(EventType.POST_DESTROY, done.append)
        with pytest.raises(FlagDoesNotExistError):
            client.destroy("x")
        assert not done


def test_an_overridden_delete_is_called_to_destroy() -> None:
    """A subclass or a test that replaces `delete` sees what is removed."""
    deleted: list[str] = []

    class Audited(MemoryFeatureFlagStore):
        def delete(self, feature_name: str) -> None:
            deleted.append(feature_name)
            super().delete(feature_name)

    for store in (Audited(), CachedFeatureFlagStore(Audited())):
        client = FeatureFlagClient(store)
        client.create("x").destroy()
        assert not client.exists("x")
    patched = MemoryFeatureFlagStore()
    FeatureFlagClient(patched).create("x")
    with mock.patch.object(patched, "delete", deleted.append):
        FeatureFlagClient(patched).destroy("x")
    assert deleted == ["x", "x", "x"]


# Threads


THREADS = 8


class Writers:
    """Eight threads, and the flag that all of them write.

    Args:
        store: where the flag is.
        each: how often each thread writes.
    """

    def __init__(self, store: Any, each: int) -> None:
        self.flag = FeatureFlagClient(store).create("x", is_enabled=True)
        self.each = each

    def run(self, *writes: Callable[[int, int], object]) -> None:
        """Start all threads at once; each repeats one of the writes."""
        barrier = threading.Barrier(THREADS)

        def work(thread: int) -> None:
            barrier.wait()
            for count in range(self.each):
                writes[thread % len(writes)](thread, count)

        with ThreadPoolExecutor(THREADS) as pool:
            for done in [pool.submit(work, thread) for thread in range(THREADS)]:
                done.result()


@pytest.fixture(
    params=[
        pytest.param((MemoryFeatureFlagStore, 50), id="atomic"),
        pytest.param((FailingMemoryStore, 50), id="atomic-with-another-get"),
        pytest.param(
            (CustomStore, 12), id="six-methods"
        ),  # decodes the whole flag each time
    ]
)
def writers(request: pytest.FixtureRequest, threads_switch_often: None) -> Writers:
    """Return threads that write a flag in a store of each kind."""
    kind, each = request.param
    return Writers(kind(), each)


def test_threads_lose_no_condition(writers: Writers) -> None:
    """All conditions that threads add at once are stored."""
    flag = writers.flag
    writers.run(lambda thread, n: flag.add_condition(Condition(n__ne=[thread, n])))
    conditions = [str(condition) for condition in flag.get_meta()["conditions"]]
    assert len(conditions) == len({*conditions}) == THREADS * writers.each


def test_threads_lose_no_client_data(writers: Writers) -> None:
    """All client data that threads set at once is stored."""
    flag = writers.flag
    writers.run(lambda thread, n: flag.set_client_data({f"{thread}.{n}": n}))
    expected = {f"{t}.{n}": n for t in range(THREADS) for n in range(writers.each)}
    assert flag.get_client_data() == expected


def test_a_new_state_and_new_metadata_do_not_undo_each_other(writers: Writers) -> None:
    """Threads that switch a flag keep what others write into its metadata."""
    flag = writers.flag
    writers.run(
        lambda thread, n: (flag.disable if n % 2 else flag.enable)(),
        lambda thread, n: flag.set_client_data({f"{thread}.{n}": n}),
        lambda thread, n: flag.add_condition(Condition(n__ne=n)),
        lambda thread, n: flag.set_bucketer(PercentageBucketer(0.5)),
    )
    meta = flag.get_meta()
    assert len(meta["client_data"]) == THREADS // 4 * writers.each
    assert len(meta["conditions"]) == THREADS // 4 * writers.each
    assert meta["bucketer"]["percentage"]["value"] == 0.5
    assert flag.is_enabled() is False


def test_a_custom_set_is_not_interrupted_by_another_write() -> None:
    """No other write happens between the read and the write of a store's own `set`."""
    read, written = threading.Event(), threading.Event()

    class SlowStore(CustomStore):
        def set(self, feature_name: str, is_enabled: bool) -> None:
            item = self.get(feature_name)
            assert item is not None
            read.set()
            written.wait(0.3)  # nobody sets it: the other thread has to wait
            self.write(item.replace(is_enabled=is_enabled))

    flag = FeatureFlagClient(SlowStore()).create("x")

    def describe() -> None:
        assert read.wait(30)
        flag.set_client_data({"a": 1})
        written.set()

    with ThreadPoolExecutor(2) as pool:
        for done in (pool.submit(flag.enable), pool.submit(describe)):
            done.result(30)
    assert flag.is_enabled() is True
    assert flag.get_client_data() == {"a": 1}
