# SPDX-License-Identifier: Apache-2.0
"""The read-only store."""

from __future__ import annotations

from collections.abc import Callable

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

Write = Callable[[FeatureFlagClient, ReadOnlyFeatureFlagStore], object]
WRITES: dict[str, Write] = {
    "create": lambda client, _: client.create("f"),
    "enable": lambda client, _: client.enable("f"),
    "disable": lambda client, _: client.disable("f"),
    "destroy": lambda client, _: client.destroy("f"),
    "add_condition": lambda client, _: client.add_condition("f", Condition(a=1)),
    "set_conditions": lambda client, _: client.set_conditions("f", []),
    "set_bucketer": lambda client, _: client.set_bucketer("f", PercentageBucketer(0)),
    "set_client_data": lambda client, _: client.set_client_data("f", {"a": 1}),
    "set": lambda _, store: store.set("f", is_enabled=False),
    "set_meta": lambda _, store: store.set_meta("f", FeatureFlagStoreMeta(1)),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_every_write_raises_and_changes_nothing(write: Write) -> None:
    """Writes of the client and of the store raise, and the flag stays as it is."""
    inner = MemoryFeatureFlagStore()
    item = inner.create("f", is_enabled=True)
    store = ReadOnlyFeatureFlagStore(inner)
    with pytest.raises(ReadOnlyStoreError, match="'f' was not written") as caught:
        write(FeatureFlagClient(store), store)
    assert caught.value.feature_name == "f"
    assert inner.get("f") is item


def test_reads_are_forwarded() -> None:
    """Flags can be read, and a synced store can follow a read-only one."""
    inner = MemoryFeatureFlagStore()
    inner.create("f", is_enabled=True)
    store = ReadOnlyFeatureFlagStore(inner)
    with SyncedFeatureFlagStore(store) as synced:
        for features in (FeatureFlagClient(store), FeatureFlagClient(synced)):
            assert features.is_enabled("f") is True
            assert [flag.name for flag in features.list()] == ["f"]
            with pytest.raises(ReadOnlyStoreError):
                features.disable("f")
