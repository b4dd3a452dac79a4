# SPDX-License-Identifier: Apache-2.0
"""How a flag is changed in a store of any kind: by `update`, or by the six methods.

`tests/contract` tests that no store loses a write.
"""

from __future__ import annotations

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
from flipper.contracts.update import SupportsUpdate, update, updates_atomically
from flipper.contracts.wrapper import FeatureFlagStoreWrapper
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.exceptions import InvalidFlagDataError
from support.changes import stored, switch_on, with_data

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
from support.custom_stores import ForwardingStore


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Return a pool of threads."""
    with ThreadPoolExecutor(16) as pool:
        yield pool


class OverridesDelete(MemoryFeatureFlagStore):
    """Overrides a method that `update` does not bypass."""

    def delete(self, feature_name: str) -> None:
        """Remove a flag."""
        super().delete(feature_name)


class OverridesUpdate(MemoryFeatureFlagStore):
    """Overrides `update` with its own signature."""

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Read a flag."""
        return super().get(feature_name)

    def update(self, feature_name: str, change: Any) -> FeatureFlagStoreItem:
        """Change a flag."""
        return super().update(feature_name, change)


class OverridesSwap(MemoryFeatureFlagStore):
    """Overrides the hook that writes."""

    def _swap(self, item: FeatureFlagStoreItem, expected: Any) -> bool:
        return super()._swap(item, expected)


ATOMIC: dict[str, Callable[[], Any]] = {
    "memory": MemoryFeatureFlagStore,
    "subclass with another delete": OverridesDelete,
    "subclass with a swap": OverridesSwap,
    "subclass with its own update": OverridesUpdate,
    "wrapper": lambda: FeatureFlagStoreWrapper(MemoryFeatureFlagStore()),
    "wrapper of a custom store": lambda: FeatureFlagStoreWrapper(ForwardingStore()),
    "cached": lambda: CachedFeatureFlagStore(MemoryFeatureFlagStore()),
    "replicated": lambda: ReplicatedFeatureFlagStore(MemoryFeatureFlagStore()),
}


# Which methods are called


@pytest.mark.parametrize("kind", ATOMIC)
def test_a_store_with_update_is_called_by_update(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """`update` of the store gets the same arguments, and its result is returned."""
    store = ATOMIC[kind]()
    store.create("x", client_data={"a": 1})
    assert updates_atomically(store)
    after = update(store, "x", with_data(b=2))
    assert after.meta["client_data"] == {"a": 1, "b": 2}
    assert stored(store).to_dict() == after.to_dict()
    instead = MagicMock()
    monkeypatch.setattr(store, "update", instead, raising=False)
    assert update(store, "x", switch_on) is instead.return_value
    assert instead.mock_calls == [call("x", switch_on)]


@pytest.mark.parametrize("kind", [*ATOMIC, "custom"])
def test_an_update_of_a_missing_flag_raises(kind: str) -> None:
    """The error names the flag, and nothing is written."""
    store = {**ATOMIC, "custom": ForwardingStore}[kind]()
    with pytest.raises(FlagDoesNotExistError, match="Feature x does not") as caught:
        update(store, "x", switch_on)
    assert caught.value.feature_name == "x"
    assert list(store.list()) == []


@pytest.mark.parametrize("kind", [*ATOMIC, "custom"])
def test_a_change_that_raises_changes_nothing(kind: str) -> None:
    """The error of the change reaches the caller, and the flag stays as it was."""
    store = {**ATOMIC, "custom": ForwardingStore}[kind]()
    before = store.create("x", is_enabled=True)

    def refuse(_: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
        raise PermissionError("on purpose")

    with pytest.raises(PermissionError, match="on purpose"):
        update(store, "x", refuse)
    assert stored(store).to_dict() == before.to_dict()


@pytest.mark.parametrize(
    ("change", "calls"),
    [
        (switch_on, ["get", "set"]),
        (with_data(a=1), ["get", "set_meta"]),
        # It is not on before it has its new metadata.
        (lambda item: with_data(a=1)(switch_on(item)), ["get", "set_meta", "set"]),
        (lambda item: item, ["get"]),
        # Drop-in: flipper-client also writes a state that is stored already.
        (lambda item: item.replace(is_enabled=False), ["get", "set"]),
    ],
    ids=["state", "metadata", "both", "nothing", "the same state"],
)
def test_any_other_store_is_written_by_set_and_set_meta(
    change: Any, calls: list[str]
) -> None:
    """The flag is read once; only what changed is written."""
    store = ForwardingStore()
    store.create("x")
    store.calls.clear()
    after = update(store, "x", change)
    assert store.calls == calls
    assert stored(store).to_dict() == after.to_dict()


class PlainItem:
    """An item of a custom store, with the three properties of flipper-client."""

    feature_name = "x"
    raw_is_enabled = True

    def __init__(self) -> None:
        self.meta = {"created_date": 5, "client_data": {"a": 1}}


def test_a_custom_item_can_be_updated() -> None:
    """A store may return any item that has the three properties."""
    store = MagicMock()
    store.get.return_value = PlainItem()
    update(store, "x", with_data(b=2))
    store.set.assert_not_called()
    (name, meta), named = store.set_meta.call_args
    assert (name, named) == ("x", {})
    assert meta.created_date == 5
    assert meta.client_data == {"a": 1, "b": 2}


def test_a_custom_item_with_an_invalid_state_is_refused() -> None:
    """A custom store may have read the text "false" from its database."""
    store = MagicMock()
    store.get.return_value = item = PlainItem()
    item.raw_is_enabled = "false"  # type: ignore[assignment]
    with pytest.raises(InvalidFlagDataError, match="its state is 'false'"):
        update(store, "x", with_data(b=2))
    store.set_meta.assert_not_called()


# Replaced and overridden methods


class OverridesGet(MemoryFeatureFlagStore):
    """Overrides `get`, and counts its calls."""

    seen = 0

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Read a flag."""
        self.seen += 1
        return super().get(feature_name)


class OverridesSet(MemoryFeatureFlagStore):
    """Overrides `set`, and counts its calls."""

    seen = 0

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Write the state."""
        self.seen += 1
        super().set(feature_name, is_enabled)


class OverridesSetMeta(MemoryFeatureFlagStore):
    """Overrides `set_meta`, and counts its calls."""

    seen = 0

    def set_meta(self, feature_name: str, meta: FeatureFlagStoreMeta) -> None:
        """Write the metadata."""
        self.seen += 1
        super().set_meta(feature_name, meta)


class OverridesInACache(CachedFeatureFlagStore):
    """Overrides `set_meta` of a cache, and counts its calls."""

    seen = 0

    def __init__(self) -> None:
        super().__init__(MemoryFeatureFlagStore())

    def set_meta(self, feature_name: str, meta: Any) -> None:
        """Write the metadata."""
        self.seen += 1
        super().set_meta(feature_name, meta)


class OverridesBelowAnUpdate(OverridesUpdate):
    """Overrides `set` of a class that overrides `update`, and counts its calls."""

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
def test_a_method_that_a_subclass_overrides_is_called(kind: Any) -> None:
    """`update` calls each method that a subclass overrides."""
    store = kind()
    assert not updates_atomically(store)
    store.create("x")
    update(store, "x", lambda item: with_data(a=1)(switch_on(item)))
    assert store.seen == 1
    assert stored(store).raw_is_enabled is True
    assert stored(store).meta["client_data"] == {"a": 1}


@pytest.mark.parametrize("method", ["get", "set", "set_meta"])
def test_a_method_that_is_replaced_in_the_store_is_called(method: str) -> None:
    """`update` calls a method that a test has put into the store."""
    store = MemoryFeatureFlagStore()
    store.create("x")
    mock = MagicMock(wraps=getattr(store, method))
    setattr(store, method, mock)
    update(store, "x", lambda item: with_data(a=1)(switch_on(item)))
    assert mock.call_count == 1
    delattr(store, method)
    assert updates_atomically(store)


@pytest.mark.parametrize("method", ["get", "set", "set_meta"])
@pytest.mark.parametrize(
    "owner", [MemoryFeatureFlagStore, AtomicFeatureFlagStore], ids=["custom", "base"]
)
def test_a_method_that_is_replaced_in_the_class_is_called(
    monkeypatch: pytest.MonkeyPatch, owner: type[Any], method: str
) -> None:
    """`update` calls a method that a test has put into the class, or into its base."""
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
        update(store, "x", lambda item: with_data(a=1)(switch_on(item)))
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
def test_a_mock_store_is_called_by_the_six_methods(store: Any) -> None:
    """A mock seems to have an `update`, but existing tests expect the six methods."""
    item = FeatureFlagStoreItem("x", is_enabled=True, meta=FeatureFlagStoreMeta(1))
    store.get.return_value = item
    FeatureFlagClient(store).set_client_data("x", {"a": 1})
    store.update.assert_not_called()
    store.set.assert_not_called()
    (name, meta), named = store.set_meta.call_args
    assert (name, meta.client_data, named) == ("x", {"a": 1}, {})
    assert store.set_meta.call_count == 1


class UpdatesFromAFile(MemoryFeatureFlagStore):
    """Has an `update` that does not change one flag."""

    def update(self, path: Any = None) -> Any:  # type: ignore[override]
        """Load flags."""
        raise AssertionError(path)


class UpdatesOtherArguments(ForwardingStore):
    """Has an `update` of one flag with other parameters."""

    def update(self, feature_name: str, is_enabled: bool) -> None:
        """Switch a flag."""
        raise AssertionError(feature_name, is_enabled)


class UpdatesByACallable(MemoryFeatureFlagStore):
    """Has an `update` that has no signature."""

    update = MagicMock(side_effect=AssertionError)  # type: ignore[assignment]


class HasAnUpdate(ForwardingStore):
    """Has an `update` with the right signature, but does not derive from our class."""

    def update(self, feature_name: str, change: Any) -> None:
        """Raise an error."""
        raise AssertionError(feature_name, change)


class InheritsUpdatesFromAFile(UpdatesFromAFile):
    """Inherits an `update` that does not change one flag."""


@pytest.mark.parametrize(
    "kind",
    [
        UpdatesFromAFile,
        UpdatesOtherArguments,
        UpdatesByACallable,
        HasAnUpdate,
        InheritsUpdatesFromAFile,
    ],
)
def test_a_foreign_method_named_update_is_not_called(kind: Any) -> None:
    """A custom store may have a method of that name for another purpose."""
    store = kind()
    client = FeatureFlagClient(store)
    client.create("x")
    client.set_client_data("x", {"a": 1})
    client.enable("x")
    assert client.get_client_data("x") == {"a": 1}
    assert client.is_enabled("x") is True


def test_deriving_from_supports_update_alone_changes_nothing() -> None:
    """A store that does not define `update` is written by the six methods."""

    class Claims(SupportsUpdate, ForwardingStore):
        pass

    store = Claims()
    assert not updates_atomically(store)
    with pytest.raises(NotImplementedError):
        store.update("x", switch_on)
    store.create("x")
    assert update(store, "x", switch_on).raw_is_enabled is True


# Threads


STORES: dict[str, Callable[[], Any]] = {
    **ATOMIC,
    "custom": ForwardingStore,
    "custom in custom": lambda: ForwardingStore(ForwardingStore()),
    "subclass": OverridesGet,
    "cached, custom": lambda: CachedFeatureFlagStore(ForwardingStore()),
    "cached, subclass": lambda: CachedFeatureFlagStore(OverridesSetMeta()),
    "replicated, custom": lambda: ReplicatedFeatureFlagStore(
        ForwardingStore(), ForwardingStore()
    ),
}


@pytest.mark.usefixtures("threads_switch_often")
@pytest.mark.parametrize("kind", STORES)
def test_threads_lose_no_write(pool: ThreadPoolExecutor, kind: str) -> None:
    """All conditions and client data that eight threads write are stored."""
    store = STORES[kind]()
    client = FeatureFlagClient(store)
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
    assert stored(store).raw_is_enabled is True


@pytest.mark.usefixtures("threads_switch_often")
def test_clients_and_wrappers_of_a_store_lose_no_write(
    pool: ThreadPoolExecutor,
) -> None:
    """All clients and wrappers of a store with six methods share its locks."""
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
