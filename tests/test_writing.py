# SPDX-License-Identifier: Apache-2.0
"""How a client writes: with one read, with events, and without losing a write."""

from __future__ import annotations

import sys
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
    """Give an empty store."""
    return MemoryFeatureFlagStore()


SHORT_WRITES: dict[str, Callable[[FeatureFlagClient, str], object]] = {
    "enable": lambda client, name: client.enable(name),
    "disable": lambda client, name: client.disable(name),
    "add_condition": lambda client, name: client.add_condition(name, Condition(a=1)),
}


# Writes that nobody listens to


class HookedStore(AtomicFeatureFlagStore):
    """A store of hooks that lists what it is asked to load."""

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
def test_an_unheard_write_asks_once(wrap: Any, name: str) -> None:
    """Whether the flag exists is found out by the write itself."""
    inner = HookedStore()
    client = FeatureFlagClient(wrap(inner))
    client.create("x")
    CHANGES[name](client, "x")
    with pytest.raises(FlagDoesNotExistError):
        CHANGES[name](client, "missing")
    assert inner.loaded == ["x", "missing"]


@pytest.mark.parametrize("write", SHORT_WRITES.values(), ids=SHORT_WRITES)
def test_an_unheard_write_of_a_missing_flag_raises_and_makes_none(
    store: MemoryFeatureFlagStore, write: Callable[[FeatureFlagClient, str], object]
) -> None:
    """The write finds that out itself, without a question before."""
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
    """A spy in a test suite, put there before or after the client was made."""
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
def test_an_emitter_in_any_disguise_hears_of_it(
    store: MemoryFeatureFlagStore,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[FeatureFlagClient, str], object],
) -> None:
    """A listener, a spy in the object or the class, or an emitter of one's own."""
    client = FeatureFlagClient(store)
    client.create("x")
    heard: list[Any] = []

    def emit(*args: Any, **kwargs: Any) -> bool:
        heard.append(args)
        return True

    with monkeypatch.context() as patched:
        patched.setattr(client.events, "emit", emit)
        write(client, "x")
    assert len(heard) == 2
    with monkeypatch.context() as patched:
        patched.setattr(FlipperEventEmitter, "emit", emit)
        write(client, "x")
    assert len(heard) == 4
    for event in EventType:
        client.events.on(event, emit)
    write(client, "x")
    assert len(heard) == 6


# Errors


@pytest.mark.parametrize("kind", [CustomStore, MemoryFeatureFlagStore])
@pytest.mark.parametrize("name", ["set_client_data", "set_conditions", "set_bucketer"])
@pytest.mark.parametrize("is_heard", [False, True])
def test_a_missing_flag_is_said_before_a_bad_value(
    kind: Any, name: str, is_heard: bool
) -> None:
    """The same mistake is told in the same words, whoever listens."""
    client = FeatureFlagClient(kind())
    if is_heard:
        client.events.on(EventType.PRE_ENABLE, lambda *_: None)
    write = getattr(client, name)
    with pytest.raises(FlagDoesNotExistError):
        write("x", 1)
    client.create("x")
    with pytest.raises(InvalidArgumentError):
        write("x", 1)


# Destroying a flag


def test_of_two_who_destroy_a_flag_at_once_one_is_told() -> None:
    """Both have seen it, but only one of them has removed it."""
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
    """A store that audits what is removed sees it."""
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


@pytest.fixture
def often() -> Iterator[None]:
    """Let Python change threads as often as it can, so that they really meet."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


class Crowd:
    """Eight threads, and the flag that all of them write.

    Args:
        store: where the flag is.
        each: how often each thread writes.
    """

    def __init__(self, store: Any, each: int) -> None:
        self.flag = FeatureFlagClient(store).create("x", is_enabled=True)
        self.each = each

    def writes(self, *writes: Callable[[int, int], object]) -> None:
        """Let each thread make one of the writes again and again, all at once."""
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
        pytest.param((MemoryFeatureFlagStore, 50), id="swaps"),
        pytest.param((FailingMemoryStore, 50), id="swaps-but-for-get"),
        pytest.param((CustomStore, 12), id="six-methods"),  # each decodes all there is
    ]
)
def crowd(request: pytest.FixtureRequest, often: None) -> Crowd:
    """Give threads that write a flag in a store of each kind."""
    kind, each = request.param
    return Crowd(kind(), each)


def test_no_condition_is_lost(crowd: Crowd) -> None:
    """Two administrators who save at once both get what they saved."""
    flag = crowd.flag
    crowd.writes(lambda thread, n: flag.add_condition(Condition(n__ne=[thread, n])))
    conditions = [str(condition) for condition in flag.get_meta()["conditions"]]
    assert len(conditions) == len({*conditions}) == THREADS * crowd.each


def test_no_client_data_is_lost(crowd: Crowd) -> None:
    """Each name is somebody's."""
    flag = crowd.flag
    crowd.writes(lambda thread, n: flag.set_client_data({f"{thread}.{n}": n}))
    expected = {f"{t}.{n}": n for t in range(THREADS) for n in range(crowd.each)}
    assert flag.get_client_data() == expected


def test_state_and_metadata_do_not_undo_each_other(crowd: Crowd) -> None:
    """Switching and describing a flag are two things, done by two people."""
    flag = crowd.flag
    crowd.writes(
        lambda thread, n: (flag.disable if n % 2 else flag.enable)(),
        lambda thread, n: flag.set_client_data({f"{thread}.{n}": n}),
        lambda thread, n: flag.add_condition(Condition(n__ne=n)),
        lambda thread, n: flag.set_bucketer(PercentageBucketer(0.5)),
    )
    meta = flag.get_meta()
    assert len(meta["client_data"]) == THREADS // 4 * crowd.each
    assert len(meta["conditions"]) == THREADS // 4 * crowd.each
    assert meta["bucketer"]["percentage"]["value"] == 0.5
    assert flag.is_enabled() is False


def test_switching_waits_for_who_describes() -> None:
    """A store's own `set` reads and writes; nobody's write may come in between."""
    read, written = threading.Event(), threading.Event()

    class SlowStore(CustomStore):
        def set(self, feature_name: str, is_enabled: bool) -> None:
            item = self.get(feature_name)
            assert item is not None
            read.set()
            written.wait(0.3)  # in vain, if the other has to wait
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
