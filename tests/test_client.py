# SPDX-License-Identifier: Apache-2.0
"""What applications use of a client besides questions and writes.

`test_asking*.py` and `test_writing.py` test those; `tests/compat` tests what
flipper-client 1.x promises.
"""

from __future__ import annotations

import inspect
from typing import Any
from unittest.mock import MagicMock

import pytest

from flipper import FeatureFlagClient, FlagDoesNotExistError, MemoryFeatureFlagStore
from flipper.client import flag_must_exist
from flipper.events import FlipperEventEmitter


@pytest.fixture
def store() -> MemoryFeatureFlagStore:
    """Return an empty store."""
    return MemoryFeatureFlagStore()


@pytest.fixture
def client(store: MemoryFeatureFlagStore) -> FeatureFlagClient:
    """Return a client of that store."""
    return FeatureFlagClient(store)


def test_flag_must_exist_guards_a_method_of_a_subclass() -> None:
    """The decorated method raises for a missing flag, and keeps its signature."""

    class Client(FeatureFlagClient):
        @flag_must_exist
        def rename(self, feature_name: str, new: str, *, really: bool) -> Any:
            """Rename a flag."""
            return feature_name, new, really

    client = Client(MemoryFeatureFlagStore())
    with pytest.raises(FlagDoesNotExistError, match="Feature x does not exist"):
        client.rename("x", "y", really=True)
    client.create("x")
    assert client.rename("x", "y", really=True) == ("x", "y", True)
    assert client.rename.__name__ == "rename"
    assert client.rename.__doc__ == "Rename a flag."
    assert [*inspect.signature(client.rename).parameters] == [
        *("feature_name", "new", "really"),
    ]


def test_a_replaced_emitter_is_used_by_existing_handles(
    client: FeatureFlagClient,
) -> None:
    """`events` and `set_events` replace the emitter, also for existing handles."""
    flag = client.create("x")
    first, second = FlipperEventEmitter(), FlipperEventEmitter()
    for emitter in (first, second):
        emitter.emit = MagicMock(name=repr(emitter))  # type: ignore[method-assign]
    client.events = first
    assert client.events is client.get_events() is first
    flag.enable()
    client.set_events(second)
    assert client.events is client.get_events() is second
    flag.disable()
    assert first.emit.call_count == second.emit.call_count == 2  # type: ignore[attr-defined]


def test_missing_flags_are_left_out_of_lists() -> None:
    """A custom store may list `None` for a flag that was deleted meanwhile."""
    store = MagicMock()
    store.list.return_value = [None, MemoryFeatureFlagStore().create("x"), None]
    (flag,) = FeatureFlagClient(store).list(limit=3, offset=1)
    assert flag.name == "x"
    store.list.assert_called_once_with(limit=3, offset=1)
