# SPDX-License-Identifier: Apache-2.0
"""How a flag is changed in a store of any kind: by `update`, or by the six methods.

`tests/contract` tests that no store loses a write.
"""

from __future__ import annotations

import sys
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
from flipper.contracts.atomic import AtomicFeatureFlagStore
from flipper.contracts.update import (
    SupportsUpdate,
    update,
    updates_atomically,
)
from flipper.contracts.wrapper import FeatureFlagStoreWrapper
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.exceptions import InvalidFlagDataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
from support.custom_stores import ForwardingStore


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Give threads."""
    with ThreadPoolExecutor(16) as pool:
        yield pool


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


ATOMIC: dict[str, Callable[[], Any]] = {
    "memory": MemoryFeatureFlagStore,
    "subclass with another delete": Bucketed,
    "subclass with a swap": Rivalled,
    "subclass with its own update": Announced,
    "wrapper": lambda: FeatureFlagStoreWrapper(MemoryFeatureFlagStore()),
    "wrapper of a store of one's own": lambda: FeatureFlagStoreWrapper(
        ForwardingStore()
    ),
    "cached": lambda: CachedFeatureFlagStore(MemoryFeatureFlagStore()),
    "replicated": lambda: ReplicatedFeatureFlagStore(MemoryFeatureFlagStore()),
}


# Which methods are called


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
    store = {**ATOMIC, "own": ForwardingStore}[kind]()
    with pytest.raises(FlagDoesNotExistError, match="Feature x does not") as caught:
        update(store, "x", on)
    assert caught.value.feature_name == "x"
    assert list(store.list()) == []


@pytest.mark.parametrize("kind", [*ATOMIC, "own"])
def test_a_change_that_raises_changes_nothing(kind: str) -> None:
    """Its error comes out."""
    store = {**ATOMIC, "own": ForwardingStore}[kind]()
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
    store = ForwardingStore()
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


def test_an_item_of_ones_own_that_is_neither_on_nor_off_is_refused() -> None:
    """What a store of one's own has read from its database may be the text "false"."""
    store = MagicMock()
    store.get.return_value = item = PlainItem()
    item.raw_is_enabled = "false"  # type: ignore[assignment]
    with pytest.raises(InvalidFlagDataError, match="its state is 'false'"):
        update(store, "x", with_data(b=2))
    store.set_meta.assert_not_called()


# Replaced and overridden methods


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


class UpdatesOtherArguments(ForwardingStore):
    """Has an `update` of one flag, by other arguments."""

    def update(self, feature_name: str, is_enabled: bool) -> None:
        """Switch a flag."""
        raise AssertionError(feature_name, is_enabled)


class UpdatesByACallable(MemoryFeatureFlagStore):
    """Has an `update` that cannot be looked into."""

    update = MagicMock(side_effect=AssertionError)  # type: ignore[assignment]


class UpdatesAlike(ForwardingStore):
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

    class Claims(SupportsUpdate, ForwardingStore):
        pass

    store = Claims()
    assert not updates_atomically(store)
    with pytest.raises(NotImplementedError):
        store.update("x", on)
    store.create("x")
    assert update(store, "x", on).raw_is_enabled is True


# Threads


STORES: dict[str, Callable[[], Any]] = {
    **ATOMIC,
    "own": ForwardingStore,
    "own in own": lambda: ForwardingStore(ForwardingStore()),
    "subclass": OverridesGet,
    "cached, own": lambda: CachedFeatureFlagStore(ForwardingStore()),
    "cached, subclass": lambda: CachedFeatureFlagStore(OverridesSetMeta()),
    "replicated, own": lambda: ReplicatedFeatureFlagStore(
        ForwardingStore(), ForwardingStore()
    ),
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
    own = ForwardingStore()
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
