# SPDX-License-Identifier: Apache-2.0
"""Clients read a store's table directly, until somebody replaces or overrides `get`."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock, patch

import pytest

from flipper import CachedFeatureFlagStore, FeatureFlagClient, MemoryFeatureFlagStore
from flipper.contracts import last_known
from flipper.contracts.last_known import LastKnownFlags
from flipper.explanation import Reason

if TYPE_CHECKING:
    from flipper.contrib.storage import FeatureFlagStoreItem


@pytest.fixture
def store() -> MemoryFeatureFlagStore:
    """Return an empty store."""
    return MemoryFeatureFlagStore()


@pytest.fixture
def client(store: MemoryFeatureFlagStore) -> FeatureFlagClient:
    """Return a client whose flag `x` is on, and was read before."""
    client = FeatureFlagClient(store, on_error="raise")
    client.create("x", is_enabled=True)
    assert client.is_enabled("x") is True
    return client


def test_a_get_replaced_in_the_store_is_called_until_it_is_put_back(
    client: FeatureFlagClient, store: MemoryFeatureFlagStore
) -> None:
    """All clients of the store call it, made before or after the replacement."""
    other = FeatureFlagClient(store)
    store.get = get = MagicMock(return_value=None)  # type: ignore[method-assign]
    assert client.is_enabled("x") is False
    assert other.is_enabled("x") is False
    assert [call.args for call in get.call_args_list] == [("x",), ("x",)]
    assert FeatureFlagClient(store).is_enabled("x") is False
    del store.get  # type: ignore[method-assign]
    assert client.is_enabled("x") is True
    with patch.object(store, "get", return_value=None):
        assert client.is_enabled("x") is False
        assert client.explain("x").reason is Reason.MISSING
    assert client.is_enabled("x") is True


@pytest.mark.parametrize("stack", [lambda store: store, CachedFeatureFlagStore])
def test_a_get_replaced_in_the_class_is_called_until_it_is_put_back(
    store: MemoryFeatureFlagStore, stack: Any
) -> None:
    """Clients of the store, and of a cache around it, call the replacement."""
    store.create("x", is_enabled=True)
    client = FeatureFlagClient(stack(store))
    with patch.object(MemoryFeatureFlagStore, "get", return_value=None) as get:
        assert client.is_enabled("x") is False
        get.assert_called_once_with("x")
    fresh = FeatureFlagClient(stack(store))
    assert fresh.is_enabled("x") is True


def test_get_of_a_subclass_is_called() -> None:
    """A subclass that overrides `get` is called; one that does not is read directly."""

    class Overriding(MemoryFeatureFlagStore):
        def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
            return super().get(feature_name.lower())

    class Inheriting(MemoryFeatureFlagStore):
        pass

    overriding, inheriting = Overriding(), Inheriting()
    for each in (overriding, inheriting):
        each.create("x", is_enabled=True)
        client = FeatureFlagClient(each)
        assert client.is_enabled("x") is True
        assert client.is_enabled("X") is (each is overriding)
    with patch.object(Inheriting, "get", return_value=None):
        assert client.is_enabled("x") is False
    assert client.is_enabled("x") is True


def test_a_copied_store_is_independent(
    client: FeatureFlagClient, store: MemoryFeatureFlagStore
) -> None:
    """A client of the original does not read what is written to the copy."""
    other = copy.deepcopy(store)
    FeatureFlagClient(other).disable("x")
    assert client.is_enabled("x") is True
    assert FeatureFlagClient(other).is_enabled("x") is False


def test_clients_without_a_hash_notice_a_replaced_get(
    store: MemoryFeatureFlagStore,
) -> None:
    """Clients are registered by identity, since a subclass may define `__eq__`."""

    class Equal(FeatureFlagClient):
        def __eq__(self, other: object) -> bool:
            return isinstance(other, Equal)

        __hash__ = None  # type: ignore[assignment]

    clients = [Equal(store), Equal(store)]
    store.create("x", is_enabled=True)
    with patch.object(store, "get", return_value=None):
        assert [each.is_enabled("x") for each in clients] == [False, False]
    assert [each.is_enabled("x") for each in clients] == [True, True]


def test_a_read_does_not_bring_back_what_another_thread_has_written_meanwhile(
    store: MemoryFeatureFlagStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read before a write is not known after it, however late it is kept."""
    known = LastKnownFlags(store)
    store.create("x", is_enabled=True)
    keep = last_known.put_bounded

    def write_and_keep(items: Any, feature_name: str, item: Any) -> None:
        monkeypatch.setattr(last_known, "put_bounded", keep)
        store.set("x", is_enabled=False)
        known.record_write("x", store.get("x"))
        keep(items, feature_name, item)

    monkeypatch.setattr(last_known, "put_bounded", write_and_keep)
    assert known.get("x").raw_is_enabled is True  # type: ignore[union-attr]  # it was read before
    assert known.last_known("x") is None
    known.get("x")
    assert known.last_known("x") is store.get("x")
