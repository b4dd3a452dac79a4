# SPDX-License-Identifier: Apache-2.0
"""Reads that go around a store's `get`: they notice when somebody has replaced it."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock, patch

import pytest

from flipper import CachedFeatureFlagStore, FeatureFlagClient, MemoryFeatureFlagStore
from flipper.evaluation import Reason

if TYPE_CHECKING:
    from flipper.contrib.storage import FeatureFlagStoreItem


@pytest.fixture
def store() -> MemoryFeatureFlagStore:
    """Give an empty store."""
    return MemoryFeatureFlagStore()


@pytest.fixture
def client(store: MemoryFeatureFlagStore) -> FeatureFlagClient:
    """Give a client whose flag `x` is on, and that was asked before."""
    client = FeatureFlagClient(store, on_error="raise")
    client.create("x", is_enabled=True)
    assert client.is_enabled("x") is True
    return client


def test_get_may_be_replaced_in_the_store_at_any_time(
    client: FeatureFlagClient, store: MemoryFeatureFlagStore
) -> None:
    """It is called from then on, until it is put back."""
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
def test_get_may_be_replaced_in_the_class_at_any_time(
    store: MemoryFeatureFlagStore, stack: Any
) -> None:
    """The cache looks at it once, a client for every question."""
    store.create("x", is_enabled=True)
    client = FeatureFlagClient(stack(store))
    with patch.object(MemoryFeatureFlagStore, "get", return_value=None) as get:
        assert client.is_enabled("x") is False
        get.assert_called_once_with("x")
    fresh = FeatureFlagClient(stack(store))
    assert fresh.is_enabled("x") is True


def test_get_of_a_subclass_is_called() -> None:
    """With all that it calls."""

    class Loud(MemoryFeatureFlagStore):
        def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
            return super().get(feature_name.lower())

    class Silent(MemoryFeatureFlagStore):
        pass

    loud, silent = Loud(), Silent()
    for each in (loud, silent):
        each.create("x", is_enabled=True)
        client = FeatureFlagClient(each)
        assert client.is_enabled("x") is True
        assert client.is_enabled("X") is (each is loud)
    with patch.object(Silent, "get", return_value=None):
        assert client.is_enabled("x") is False
    assert client.is_enabled("x") is True


def test_a_store_that_is_copied_is_another_store(
    client: FeatureFlagClient, store: MemoryFeatureFlagStore
) -> None:
    """What one client reads is not what another writes."""
    other = copy.deepcopy(store)
    FeatureFlagClient(other).disable("x")
    assert client.is_enabled("x") is True
    assert FeatureFlagClient(other).is_enabled("x") is False


def test_flags_may_be_replaced_as_a_whole(
    client: FeatureFlagClient, store: MemoryFeatureFlagStore
) -> None:
    """A test that empties a store in its own way is believed."""
    store._items = {}
    assert client.is_enabled("x") is False
    client.create("x", is_enabled=True)
    assert client.is_enabled("x") is True


def test_a_client_that_cannot_be_hashed(store: MemoryFeatureFlagStore) -> None:
    """Clients are told apart by what they are, not by what they equal."""

    class Equal(FeatureFlagClient):
        def __eq__(self, other: object) -> bool:
            return isinstance(other, Equal)

        __hash__ = None  # type: ignore[assignment]

    clients = [Equal(store), Equal(store)]
    store.create("x", is_enabled=True)
    with patch.object(store, "get", return_value=None):
        assert [each.is_enabled("x") for each in clients] == [False, False]
    assert [each.is_enabled("x") for each in clients] == [True, True]
