# SPDX-License-Identifier: Apache-2.0
"""A store that only reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flipper import (
    Condition,
    FeatureFlagClient,
    MemoryFeatureFlagStore,
    ReadOnlyFeatureFlagStore,
    SyncedFeatureFlagStore,
)
from flipper.bucketing import PercentageBucketer
from flipper.contrib.storage import FeatureFlagStoreMeta
from flipper.exceptions import ReadOnlyStoreError

if TYPE_CHECKING:
    from collections.abc import Callable

WRITES: dict[str, Callable[[FeatureFlagClient], object]] = {
    "create": lambda c: c.create("f"),
    "enable": lambda c: c.enable("f"),
    "disable": lambda c: c.disable("f"),
    "destroy": lambda c: c.destroy("f"),
    "add_condition": lambda c: c.add_condition("f", Condition(a=1)),
    "set_conditions": lambda c: c.set_conditions("f", []),
    "set_bucketer": lambda c: c.set_bucketer("f", PercentageBucketer(0)),
    "set_client_data": lambda c: c.set_client_data("f", {"a": 1}),
    "set": lambda c: c._store.set("f", is_enabled=False),
    "set_meta": lambda c: c._store.set_meta("f", FeatureFlagStoreMeta(1)),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_no_write_gets_through(write: Callable[[FeatureFlagClient], object]) -> None:
    """Not one of the client's, not one of the store's; and the flag stays as it is."""
    inner = MemoryFeatureFlagStore()
    item = inner.create("f", is_enabled=True)
    features = FeatureFlagClient(ReadOnlyFeatureFlagStore(inner))
    with pytest.raises(ReadOnlyStoreError, match="'f' was not written") as caught:
        write(features)
    assert caught.value.feature_name == "f"
    assert inner.get("f") is item


def test_reading_is_as_ever() -> None:
    """Also through a copy that follows it."""
    inner = MemoryFeatureFlagStore()
    inner.create("f", is_enabled=True)
    store = ReadOnlyFeatureFlagStore(inner)
    with SyncedFeatureFlagStore(store) as synced:
        for features in (FeatureFlagClient(store), FeatureFlagClient(synced)):
            assert features.is_enabled("f") is True
            assert [flag.name for flag in features.list()] == ["f"]
            with pytest.raises(ReadOnlyStoreError):
                features.disable("f")
