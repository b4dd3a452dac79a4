# SPDX-License-Identifier: Apache-2.0
"""Writes that never undo each other, on stores that can and on stores that cannot.

That every store keeps to the rule is in `tests/contract`.
"""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
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
from flipper.bucketing import ConsistentHashPercentageBucketer, Percentage
from flipper.contracts import atomic, flag_locks
from flipper.contracts.atomic import AtomicFeatureFlagStore
from flipper.contracts.update import (
    SupportsUpdate,
    update,
    updates_atomically,
    write_lock,
)
from flipper.contracts.wrapper import FeatureFlagStoreWrapper
from flipper.contrib.interface import AbstractFeatureFlagStore
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.exceptions import ConcurrentUpdateError, InvalidFlagDataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

AT_MOST = 30  # seconds until a thread that should have gone on counts as stuck

forks = pytest.mark.skipif(
    sys.platform == "win32", reason="processes do not fork on this system"
)


class OwnStore(AbstractFeatureFlagStore):
    """A store in the style of flipper-client: six methods around another store."""

    def __init__(self, flags: Any = None) -> None:
        self.flags = MemoryFeatureFlagStore() if flags is None else flags
        self.calls: list[str] = []

    def create(
        self,
        feature_name: str,
        is_enabled: bool = False,
        client_data: dict[str, Any] | None = None,
    ) -> FeatureFlagStoreItem:
        """Write a new flag."""
        self.calls.append("create")
        item: FeatureFlagStoreItem = self.flags.create(
            feature_name, is_enabled=is_enabled, client_data=client_data
        )
        return item

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Read a flag."""
        self.calls.append("get")
        item: FeatureFlagStoreItem | None = self.flags.get(feature_name)
        return item

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Write the state."""
        self.calls.append("set")
        self.flags.set(feature_name, is_enabled)

    def delete(self, feature_name: str) -> None:
        """Remove a flag."""
        self.calls.append("delete")
        self.flags.delete(feature_name)

    def list(
        self, limit: int | None = None, offset: int = 0
    ) -> Iterator[FeatureFlagStoreItem]:
        """Give the flags."""
        found: Iterator[FeatureFlagStoreItem] = self.flags.list(limit, offset)
        return found

    def set_meta(self, feature_name: str, meta: FeatureFlagStoreMeta) -> None:
        """Write the metadata."""
        self.calls.append("set_meta")
        self.flags.set_meta(feature_name, meta)


class Rivalled(MemoryFeatureFlagStore):
    """A memory store in which a rival writes between each read and its write."""

    def __init__(self, rival: Callable[[], object] = lambda: None) -> None:
        super().__init__()
        self.rival = rival
        self.rounds = 1_000_000
        self._is_rival = False

    def _swap(self, item: FeatureFlagStoreItem, expected: Any) -> bool:
        if not self._is_rival and self.rounds > 0:
            self.rounds -= 1
            self._is_rival = True
            self.rival()
            self._is_rival = False
        return super()._swap(item, expected)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Give threads."""
    with ThreadPoolExecutor(16) as pool:
        yield pool


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Give the waits between tries, each as long as it could be, and wait for none."""
    pauses: list[float] = []
    monkeypatch.setattr(atomic, "sleep", pauses.append)
    monkeypatch.setattr(atomic, "uniform", lambda _, longest: longest)
    return pauses


def on(item: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
    """Switch a flag on."""
    return item.replace(is_enabled=True)


def with_data(**data: Any) -> Callable[[FeatureFlagStoreItem], FeatureFlagStoreItem]:
    """Give the change that merges client data."""

    def change(item: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
        meta = item.raw_meta
        meta.update(client_data=data)
        return item.replace(meta=meta)

    return change


def stored(store: Any, feature_name: str = "x") -> FeatureFlagStoreItem:
    """Return a flag that has to be there."""
    item: FeatureFlagStoreItem | None = store.get(feature_name)
    assert item is not None
    return item


def run_script(script: str) -> None:
    """Run Python code in a process of its own, which has to end well.

    It is not measured: coverage itself does not stand forks among busy threads.
    """
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("COVERAGE")
    }
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


# Which way is taken


class Bucketed(MemoryFeatureFlagStore):
    """Overrides what no update goes round."""

    def delete(self, feature_name: str) -> None:
        """Remove a flag."""
        super().delete(feature_name)


class Announced(MemoryFeatureFlagStore):
    """Overrides `update` as it is meant to be."""

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Read a flag."""
        return super().get(feature_name)

    def update(self, feature_name: str, change: Any) -> FeatureFlagStoreItem:
        """Change a flag."""
        return super().update(feature_name, change)


ATOMIC: dict[str, Callable[[], Any]] = {
    "memory": MemoryFeatureFlagStore,
    "subclass with another delete": Bucketed,
    "subclass with a swap": Rivalled,
    "subclass with its own update": Announced,
    "wrapper": lambda: FeatureFlagStoreWrapper(MemoryFeatureFlagStore()),
    "wrapper of a store of one's own": lambda: FeatureFlagStoreWrapper(OwnStore()),
    "cached": lambda: CachedFeatureFlagStore(MemoryFeatureFlagStore()),
    "replicated": lambda: ReplicatedFeatureFlagStore(MemoryFeatureFlagStore()),
}


@pytest.mark.parametrize("kind", ATOMIC)
def test_a_store_that_can_update_is_asked_to(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """One `update`, with the same arguments, and its answer is returned."""
    store = ATOMIC[kind]()
    store.create("x", client_data={"a": 1})
    assert updates_atomically(store)
    after = update(store, "x", with_data(b=2))
    assert after.meta["client_data"] == {"a": 1, "b": 2}
    assert stored(store).to_dict() == after.to_dict()
    instead = MagicMock()
    monkeypatch.setattr(store, "update", instead, raising=False)
    assert update(store, "x", on) is instead.return_value
    assert instead.mock_calls == [call("x", on)]


@pytest.mark.parametrize("kind", [*ATOMIC, "own"])
def test_an_update_of_a_missing_flag_raises(kind: str) -> None:
    """The error names the flag, and nothing is written."""
    store = {**ATOMIC, "own": OwnStore}[kind]()
    with pytest.raises(FlagDoesNotExistError, match="Feature x does not") as caught:
        update(store, "x", on)
    assert caught.value.feature_name == "x"
    assert list(store.list()) == []


@pytest.mark.parametrize("kind", [*ATOMIC, "own"])
def test_a_change_that_raises_changes_nothing(kind: str) -> None:
    """Its error comes out."""
    store = {**ATOMIC, "own": OwnStore}[kind]()
    before = store.create("x", is_enabled=True)

    def refuse(_: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
        raise PermissionError("on purpose")

    with pytest.raises(PermissionError, match="on purpose"):
        update(store, "x", refuse)
    assert stored(store).to_dict() == before.to_dict()


@pytest.mark.parametrize(
    ("change", "calls"),
    [
        (on, ["get", "set"]),
        (with_data(a=1), ["get", "set_meta"]),
        (lambda item: with_data(a=1)(on(item)), ["get", "set", "set_meta"]),
        (lambda item: item, ["get"]),
        # As flipper-client's client writes a flag that is on already.
        (lambda item: item.replace(is_enabled=False), ["get", "set"]),
    ],
    ids=["state", "metadata", "both", "nothing", "the same state"],
)
def test_other_stores_are_written_by_what_changed(
    change: Any, calls: list[str]
) -> None:
    """One read, then `set` for the state and `set_meta` for the metadata."""
    store = OwnStore()
    store.create("x")
    store.calls.clear()
    after = update(store, "x", change)
    assert store.calls == calls
    assert stored(store).to_dict() == after.to_dict()


class PlainItem:
    """An item of a store of one's own, with the three properties of flipper-client."""

    feature_name = "x"
    raw_is_enabled = True

    def __init__(self) -> None:
        self.meta = {"created_date": 5, "client_data": {"a": 1}}


def test_items_of_ones_own_are_understood() -> None:
    """A store may give any item with the properties; it is written by the calls."""
    store = MagicMock()
    store.get.return_value = PlainItem()
    update(store, "x", with_data(b=2))
    store.set.assert_not_called()
    (name, meta), named = store.set_meta.call_args
    assert (name, named) == ("x", {})
    assert meta.created_date == 5
    assert meta.client_data == {"a": 1, "b": 2}


# What was replaced is called


def test_an_item_of_ones_own_that_is_neither_on_nor_off_is_refused() -> None:
    """What a store of one's own has read from its database may be the text "false"."""
    store = MagicMock()
    store.get.return_value = item = PlainItem()
    item.raw_is_enabled = "false"  # type: ignore[assignment]
    with pytest.raises(InvalidFlagDataError, match="its state is 'false'"):
        update(store, "x", with_data(b=2))
    store.set_meta.assert_not_called()


class OverridesGet(MemoryFeatureFlagStore):
    """Reads in its own way."""

    seen = 0

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Read a flag."""
        self.seen += 1
        return super().get(feature_name)


class OverridesSet(MemoryFeatureFlagStore):
    """Switches in its own way."""

    seen = 0

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Write the state."""
        self.seen += 1
        super().set(feature_name, is_enabled)


class OverridesSetMeta(MemoryFeatureFlagStore):
    """Writes metadata in its own way."""

    seen = 0

    def set_meta(self, feature_name: str, meta: FeatureFlagStoreMeta) -> None:
        """Write the metadata."""
        self.seen += 1
        super().set_meta(feature_name, meta)


class OverridesInACache(CachedFeatureFlagStore):
    """Writes metadata in its own way, in front of another store."""

    seen = 0

    def __init__(self) -> None:
        super().__init__(MemoryFeatureFlagStore())

    def set_meta(self, feature_name: str, meta: Any) -> None:
        """Write the metadata."""
        self.seen += 1
        super().set_meta(feature_name, meta)


class OverridesBelowAnUpdate(Announced):
    """Switches in its own way, and inherits an update from a class of one's own."""

    seen = 0

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Write the state."""
        self.seen += 1
        super().set(feature_name, is_enabled)


@pytest.mark.parametrize(
    "kind",
    [
        OverridesGet,
        OverridesSet,
        OverridesSetMeta,
        OverridesInACache,
        OverridesBelowAnUpdate,
    ],
)
def test_no_update_goes_round_a_subclass(kind: Any) -> None:
    """What a subclass overrides is called for every write of the client."""
    store = kind()
    assert not updates_atomically(store)
    store.create("x")
    update(store, "x", lambda item: with_data(a=1)(on(item)))
    assert store.seen == 1
    assert stored(store).raw_is_enabled is True
    assert stored(store).meta["client_data"] == {"a": 1}


@pytest.mark.parametrize("method", ["get", "set", "set_meta"])
def test_no_update_goes_round_a_patched_instance(method: str) -> None:
    """A method that a test put into the store is called."""
    store = MemoryFeatureFlagStore()
    store.create("x")
    mock = MagicMock(wraps=getattr(store, method))
    setattr(store, method, mock)
    update(store, "x", lambda item: with_data(a=1)(on(item)))
    assert mock.call_count == 1
    delattr(store, method)
    assert updates_atomically(store)


@pytest.mark.parametrize("method", ["get", "set", "set_meta"])
@pytest.mark.parametrize(
    "owner", [MemoryFeatureFlagStore, AtomicFeatureFlagStore], ids=["own", "base"]
)
def test_no_update_goes_round_a_patched_class(
    monkeypatch: pytest.MonkeyPatch, owner: type[Any], method: str
) -> None:
    """A method that a test put into the class, or into its base, is called."""
    store = MemoryFeatureFlagStore()
    store.create("x")
    if method == "get" and owner is AtomicFeatureFlagStore:
        owner = MemoryFeatureFlagStore  # which has a `get` of its own
    original, seen = getattr(owner, method), []

    def replaced(self: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(method)
        return original(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(owner, method, replaced)
        update(store, "x", lambda item: with_data(a=1)(on(item)))
        assert seen == [method]
    assert updates_atomically(store)


@pytest.mark.parametrize(
    "store",
    [
        MagicMock(),
        MagicMock(spec=MemoryFeatureFlagStore),
        MagicMock(spec=CachedFeatureFlagStore),
        MagicMock(spec_set=MemoryFeatureFlagStore()),
    ],
    ids=["bare", "spec of memory", "spec of cached", "spec of an instance"],
)
def test_a_mock_is_asked_by_the_six_methods(store: Any) -> None:
    """A double seems to have an `update`; what tests assert on are the six methods."""
    item = FeatureFlagStoreItem("x", is_enabled=True, meta=FeatureFlagStoreMeta(1))
    store.get.return_value = item
    FeatureFlagClient(store).set_client_data("x", {"a": 1})
    store.update.assert_not_called()
    store.set.assert_not_called()
    (name, meta), named = store.set_meta.call_args
    assert (name, meta.client_data, named) == ("x", {"a": 1}, {})
    assert store.set_meta.call_count == 1


class UpdatesFromAFile(MemoryFeatureFlagStore):
    """Has an `update` that is not about one flag."""

    def update(self, path: Any = None) -> Any:  # type: ignore[override]
        """Load flags."""
        raise AssertionError(path)


class UpdatesOtherArguments(OwnStore):
    """Has an `update` of one flag, by other arguments."""

    def update(self, feature_name: str, is_enabled: bool) -> None:
        """Switch a flag."""
        raise AssertionError(feature_name, is_enabled)


class UpdatesByACallable(MemoryFeatureFlagStore):
    """Has an `update` that cannot be looked into."""

    update = MagicMock(side_effect=AssertionError)  # type: ignore[assignment]


class UpdatesAlike(OwnStore):
    """Has an `update` that looks right, and never said that it is atomic."""

    def update(self, feature_name: str, change: Any) -> None:
        """Note a change."""
        raise AssertionError(feature_name, change)


class UpdatesBelow(UpdatesFromAFile):
    """Inherits an `update` that is not about one flag."""


@pytest.mark.parametrize(
    "kind",
    [
        UpdatesFromAFile,
        UpdatesOtherArguments,
        UpdatesByACallable,
        UpdatesAlike,
        UpdatesBelow,
    ],
)
def test_an_update_that_is_something_else_is_left_alone(kind: Any) -> None:
    """A store of one's own may have a method of that name."""
    store = kind()
    client = FeatureFlagClient(store)
    client.create("x")
    client.set_client_data("x", {"a": 1})
    client.enable("x")
    assert client.get_client_data("x") == {"a": 1}
    assert client.is_enabled("x") is True


def test_a_store_that_only_claims_to_update_is_no_such_store() -> None:
    """Deriving from `SupportsUpdate` without writing `update` changes nothing."""

    class Claims(SupportsUpdate, OwnStore):
        pass

    store = Claims()
    assert not updates_atomically(store)
    with pytest.raises(NotImplementedError):
        store.update("x", on)
    store.create("x")
    assert update(store, "x", on).raw_is_enabled is True


# Rivals


def test_a_write_begins_again_when_a_rival_was_faster(pauses: list[float]) -> None:
    """What the rival wrote stays, and the change is made to that."""
    store = Rivalled()
    store.create("x", client_data={"a": 1})
    store.rounds = 3
    rivals = iter(range(3))
    store.rival = lambda: store.update("x", with_data(**{f"rival {next(rivals)}": 1}))
    after = store.update("x", with_data(b=2))
    assert after is store.get("x")
    assert after.meta["client_data"] == {
        "a": 1,
        "b": 2,
        **{f"rival {number}": 1 for number in range(3)},
    }
    assert len(pauses) == 3


WRITES: dict[str, Callable[[Any], object]] = {
    "set": lambda store: store.set("x", True),
    "set_meta": lambda store: store.set_meta("x", FeatureFlagStoreMeta(1)),
    "update": lambda store: store.update("x", with_data(a=1)),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("attempts", [1, 5])
def test_a_write_that_always_loses_gives_up(
    monkeypatch: pytest.MonkeyPatch, pauses: list[float], write: str, attempts: int
) -> None:
    """The error names flag and attempts, nothing is written, and no time is lost."""
    monkeypatch.setattr(Rivalled, "max_attempts", attempts)
    store = Rivalled()
    store.create("x")
    store.rival = lambda: store.create("x", client_data={"by": "a rival"})
    with pytest.raises(ConcurrentUpdateError, match="'x' was not written") as caught:
        WRITES[write](store)
    assert caught.value.feature_name == "x"
    assert caught.value.attempts == attempts
    assert stored(store).meta["client_data"] == {"by": "a rival"}
    assert len(pauses) == attempts - 1


def test_pauses_grow_up_to_the_longest(
    monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    """They double from a millisecond on, and stay at `longest_pause`."""
    monkeypatch.setattr(Rivalled, "max_attempts", 8)
    store = Rivalled()
    store.create("x")
    store.rival = lambda: store.create("x")
    with pytest.raises(ConcurrentUpdateError):
        store.set("x", is_enabled=True)
    assert pauses == [0.001, 0.002, 0.004, 0.008, 0.016, 0.02, 0.02]


def test_a_store_may_try_very_often(
    monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    """There is no limit to `max_attempts`."""
    monkeypatch.setattr(Rivalled, "max_attempts", 3000)
    monkeypatch.setattr(Rivalled, "longest_pause", 0.5)
    store = Rivalled()
    store.create("x")
    store.rival = lambda: store.create("x")
    with pytest.raises(ConcurrentUpdateError) as caught:
        store.set("x", is_enabled=True)
    assert caught.value.attempts == 3000
    assert max(pauses) == pauses[-1] == 0.5


@pytest.mark.usefixtures("pauses")
@pytest.mark.parametrize("write", ["set_meta", "update"])
def test_a_rival_that_deletes_ends_a_write(write: str) -> None:
    """A flag that is gone is not brought back: it does not exist."""
    store = Rivalled()
    store.create("x")
    store.rival = lambda: store.delete("x")
    with pytest.raises(FlagDoesNotExistError):
        WRITES[write](store)
    assert store.get("x") is None


@pytest.mark.usefixtures("pauses")
def test_a_rival_that_deletes_lets_set_create() -> None:
    """`set` makes a flag that is gone, without what the deleted one carried."""
    store = Rivalled()
    store.create("x", client_data={"a": 1})
    store.rounds = 1
    store.rival = lambda: store.delete("x")
    store.set("x", is_enabled=True)
    assert stored(store).raw_is_enabled is True
    assert stored(store).meta["client_data"] == {}


@pytest.mark.usefixtures("pauses")
def test_a_rival_that_creates_lets_set_change() -> None:
    """`set` of a missing flag keeps what a rival made of it meanwhile."""
    store = Rivalled()
    store.rounds = 1
    store.rival = lambda: store.create("x", client_data={"a": 1})
    store.set("x", is_enabled=True)
    assert stored(store).raw_is_enabled is True
    assert stored(store).meta["client_data"] == {"a": 1}


@pytest.mark.usefixtures("pauses")
def test_a_flag_that_was_replaced_by_its_like_is_another() -> None:
    """Deleted and made again with the same content, it is read again all the same."""
    store = Rivalled()
    store.create("x")
    seen: list[FeatureFlagStoreItem] = []
    store.rounds = 1

    def rival() -> None:
        store.delete("x")
        store.create("x")

    def change(item: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
        seen.append(item)
        return on(item)

    store.rival = rival
    store.update("x", change)
    assert len(seen) == 2
    assert seen[0] is not seen[1]


# Threads

STORES: dict[str, Callable[[], Any]] = {
    **ATOMIC,
    "own": OwnStore,
    "own in own": lambda: OwnStore(OwnStore()),
    "subclass": OverridesGet,
    "cached, own": lambda: CachedFeatureFlagStore(OwnStore()),
    "cached, subclass": lambda: CachedFeatureFlagStore(OverridesSetMeta()),
    "replicated, own": lambda: ReplicatedFeatureFlagStore(OwnStore(), OwnStore()),
}


@pytest.fixture
def hurried() -> Iterator[None]:
    """Let threads take turns far more often than usual."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("kind", STORES)
def test_eight_threads_lose_nothing(pool: ThreadPoolExecutor, kind: str) -> None:
    """Conditions and client data written by all to one flag at once are all there."""
    client = FeatureFlagClient(STORES[kind]())
    client.create("x")

    def write(thread: int) -> None:
        for number in range(10):
            client.add_condition("x", Condition(a=(thread, number)))
            client.set_client_data("x", {f"{thread} {number}": number})
            (client.enable if number % 2 else client.disable)("x")

    list(pool.map(write, range(8)))
    meta = client.get_meta("x")
    assert len(meta["conditions"]) == 80
    assert len(meta["client_data"]) == 80
    assert stored(client._store).raw_is_enabled is True


@pytest.mark.usefixtures("hurried")
def test_clients_of_one_store_lose_nothing(pool: ThreadPoolExecutor) -> None:
    """A store with six methods is locked for all clients and wrappers around it."""
    own = OwnStore()
    clients = [
        FeatureFlagClient(own),
        FeatureFlagClient(own),
        FeatureFlagClient(FeatureFlagStoreWrapper(own)),
        FeatureFlagClient(CachedFeatureFlagStore(own)),
    ]
    clients[0].create("x")

    def write(thread: int) -> None:
        for number in range(30):
            clients[thread % 4].add_condition("x", Condition(a=(thread, number)))

    list(pool.map(write, range(8)))
    assert len(stored(own).raw_meta.conditions) == 240


def test_other_flags_and_stores_are_not_waited_for(pool: ThreadPoolExecutor) -> None:
    """The lock of a store with six methods is that of one flag of one store."""
    store, other = OwnStore(), OwnStore()
    entered, go_on = threading.Event(), threading.Event()
    for each in (store, other):
        each.create("x")
        each.create("y")

    def slow(item: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
        entered.set()
        assert go_on.wait(AT_MOST)
        return on(item)

    writer = pool.submit(update, store, "x", slow)
    assert entered.wait(AT_MOST)
    update(store, "y", on)
    update(other, "x", on)
    assert not writer.done()
    go_on.set()
    assert writer.result(AT_MOST).raw_is_enabled is True


def test_a_write_within_a_write_does_not_wait_for_itself() -> None:
    """A store that writes the same flag by a client while it is written goes on."""

    class Counts(OwnStore):
        def set(self, feature_name: str, is_enabled: bool) -> None:
            super().set(feature_name, is_enabled)
            client.set_client_data(feature_name, {"switched": True})

    store = Counts()
    client = FeatureFlagClient(store)
    client.create("x")
    with ThreadPoolExecutor(1) as pool:
        pool.submit(client.enable, "x").result(AT_MOST)
    assert client.get_client_data("x") == {"switched": True}
    assert client.is_enabled("x") is True


def test_stores_that_write_into_each_other_do_not_wait_for_ever(
    pool: ThreadPoolExecutor,
) -> None:
    """One thread writes A and from there B, another B and from there A: both end."""
    both_inside = threading.Barrier(2)

    class Mirror(OwnStore):
        other: Any = None

        def set(self, feature_name: str, is_enabled: bool) -> None:
            super().set(feature_name, is_enabled)
            if feature_name == self.mirrored:
                both_inside.wait(AT_MOST)
                FeatureFlagClient(self.other).enable(feature_name)

    first, second = Mirror(), Mirror()
    first.other, second.other = second, first
    first.mirrored, second.mirrored = "x", "y"  # type: ignore[attr-defined]
    for store in (first, second):
        store.create("x")
        store.create("y")
    writes = [
        pool.submit(FeatureFlagClient(first).enable, "x"),
        pool.submit(FeatureFlagClient(second).enable, "y"),
    ]
    for write in writes:
        write.result(AT_MOST)
    assert stored(second, "x").raw_is_enabled is True
    assert stored(first, "y").raw_is_enabled is True


def test_locks_go_with_their_writes() -> None:
    """No lock stays behind, however many flags were written."""
    store = OwnStore()
    client = FeatureFlagClient(store)
    for number in range(100):
        client.create(f"flag-{number}")
        client.enable(f"flag-{number}")
    assert not [key for key in flag_locks._locks if key[0] == id(store)]
    lock = write_lock(store, "x")
    assert write_lock(store, "x") is lock
    assert write_lock(store, "y") is not lock


# Processes


@forks
def test_a_child_does_not_wait_for_a_write_of_its_parent() -> None:
    """A fork while a thread writes a store of one's own: the child can write too."""
    run_script(
        """
import os, signal, threading
from flipper import FeatureFlagClient, MemoryFeatureFlagStore
from flipper.bucketing import ConsistentHashPercentageBucketer, Percentage
from flipper.contracts import flag_locks
from flipper.contracts.update import updates_atomically, write_lock

class Own(MemoryFeatureFlagStore):
    def get(self, feature_name):
        return super().get(feature_name)

store = Own()
assert not updates_atomically(store)
client = FeatureFlagClient(store)
client.create("x")
reached, go_on = threading.Event(), threading.Event()
def hold():
    with write_lock(store, "x"), flag_locks._locks_guard:
        reached.set()
        go_on.wait(30)
thread = threading.Thread(target=hold)
thread.start()
assert reached.wait(30)
pid = os.fork()
if not pid:
    signal.alarm(20)  # a child that is stuck ends so
    client.set_client_data("x", {"a": 1})
    os._exit(0 if client.get_client_data("x") == {"a": 1} else 3)
status = os.waitpid(pid, 0)[1]
go_on.set()
thread.join(30)
assert status == 0, status
"""
    )


@forks
def test_processes_can_fork_while_threads_write() -> None:
    """Each child of a process full of writers reads and writes flags in memory."""
    run_script(
        """
import os, signal, sys, threading
from flipper import FeatureFlagClient, MemoryFeatureFlagStore

sys.setswitchinterval(1e-5)
client = FeatureFlagClient(MemoryFeatureFlagStore())
client.create("x", client_data={"n": 0})
end = threading.Event()
def write(number):
    while not end.is_set():
        client.set_client_data("x", {"n": number})
        client.create(f"{number}")
        client.destroy(f"{number}")
threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
for thread in threads:
    thread.start()
statuses = []
for turn in range(10):
    pid = os.fork()
    if not pid:
        signal.alarm(20)  # a child that is stuck ends so
        client.enable("x")
        client.create("new")
        right = client.is_enabled("x") and client.exists("new")
        os._exit(0 if right and len(list(client.list())) >= 2 else 3)
    statuses.append(os.waitpid(pid, 0)[1])
end.set()
for thread in threads:
    thread.join(30)
assert statuses == [0] * 10, statuses
assert client.is_enabled("x") is False
"""
    )


# Memory


def filled() -> MemoryFeatureFlagStore:
    """Make a store with all that a flag can have."""
    store = MemoryFeatureFlagStore()
    client = FeatureFlagClient(store)
    client.create("x", is_enabled=True, client_data={"a": {"b": [1]}})
    client.add_condition("x", Condition(user_id__in=[1, 2]))
    bucketer = ConsistentHashPercentageBucketer(
        key_whitelist=["user_id"], percentage=Percentage(0.5)
    )
    client.set_bucketer("x", bucketer)
    client.create("y")
    return store


@pytest.mark.parametrize(
    "duplicate",
    [copy.deepcopy, lambda store: pickle.loads(pickle.dumps(store))],  # noqa: S301
    ids=["deepcopy", "pickle"],
)
def test_a_memory_store_can_be_copied_and_pickled(
    duplicate: Callable[[Any], Any],
) -> None:
    """The copy has the same flags, answers alike, and is written on its own."""
    store = filled()
    copied = duplicate(store)
    assert [item.to_dict() for item in copied.list()] == [
        item.to_dict() for item in store.list()
    ]
    before, after = FeatureFlagClient(store), FeatureFlagClient(copied)
    for user_id in range(20):
        asked = before.is_enabled("x", user_id=user_id)
        assert after.is_enabled("x", user_id=user_id) == asked
    after.set_client_data("x", {"a": 2})
    after.disable("x")
    after.destroy("y")
    assert before.get_client_data("x") == {"a": {"b": [1]}}
    assert before.is_enabled("x", user_id=1) is True
    assert before.exists("y")


def test_a_flag_deleted_while_listing_is_left_out() -> None:
    """The names are read once; a flag that is gone by its turn is not given."""
    store = MemoryFeatureFlagStore()
    for name in "abc":
        store.create(name)
    found = store.list()
    assert next(found).feature_name == "a"
    store.delete("b")
    store.create("d")
    assert [item.feature_name for item in found] == ["c"]


@pytest.mark.usefixtures("hurried")
def test_listing_while_others_write(pool: ThreadPoolExecutor) -> None:
    """No list fails or doubles a flag, and each has all flags that stay."""
    store = MemoryFeatureFlagStore()
    stay = [f"stays-{number:02}" for number in range(50)]
    for name in stay:
        store.create(name)
    end = threading.Event()

    def write(thread: int) -> None:
        while not end.is_set():
            for number in range(20):
                store.create(f"{thread}-{number}")
            for number in range(20):
                store.delete(f"{thread}-{number}")

    writers = [pool.submit(write, thread) for thread in range(4)]
    try:
        for _ in range(100):
            names = [item.feature_name for item in store.list()]
            assert names == sorted(set(names))
            assert [name for name in names if name in stay] == stay
    finally:
        end.set()
    for writer in writers:
        writer.result(AT_MOST)
    assert [item.feature_name for item in store.list()] == stay
