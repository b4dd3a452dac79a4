# SPDX-License-Identifier: Apache-2.0
"""Flags with rules in stacks of stores, where one of them is of an application.

The contract of stores has the rules that all of them keep.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from flipper import (
    CachedFeatureFlagStore,
    FailoverFeatureFlagStore,
    FeatureFlagClient,
    MemoryFeatureFlagStore,
    ReplicatedFeatureFlagStore,
    SyncedFeatureFlagStore,
    ThriftRPCFeatureFlagStore,
)
from flipper.conditions import Condition
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.contrib.thrift.server import FeatureFlagStoreHandler
from flipper.rules import Rollout, Rule, Rules
from flipper.testing.contract import eventually
from support.custom_stores import CustomStore, FailingMemoryStore, ForwardingStore
from support.thrift_service import Service, connected

if TYPE_CHECKING:
    from collections.abc import Iterator

RULES = Rules([Rule(Condition(a=1), True), Rule(Rollout(0.5, by="user"), "blue")])


class ColumnStore:
    """A store of an application that keeps state and metadata in two columns."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[bool, str]] = {}

    def create(
        self,
        feature_name: str,
        is_enabled: bool = False,
        client_data: dict[str, Any] | None = None,
    ) -> FeatureFlagStoreItem | None:
        """Write a row."""
        meta = FeatureFlagStoreMeta(1, client_data=client_data)
        self.rows[feature_name] = (is_enabled, json.dumps(meta.to_dict()))
        return self.get(feature_name)

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Read a row."""
        if feature_name not in self.rows:
            return None
        state, text = self.rows[feature_name]
        meta = FeatureFlagStoreMeta.from_dict(json.loads(text))
        return FeatureFlagStoreItem(feature_name, state, meta)

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Write the state."""
        if feature_name not in self.rows:
            self.create(feature_name)
        self.rows[feature_name] = (is_enabled, self.rows[feature_name][1])

    def delete(self, feature_name: str) -> None:
        """Remove the row."""
        self.rows.pop(feature_name, None)

    def list(
        self, limit: int | None = None, offset: int = 0
    ) -> Iterator[FeatureFlagStoreItem | None]:
        """Read rows."""
        end = None if limit is None else offset + limit
        return iter([self.get(name) for name in [*self.rows][offset:end]])

    def set_meta(self, feature_name: str, meta: FeatureFlagStoreMeta) -> None:
        """Write the metadata."""
        self.rows[feature_name] = (
            self.rows[feature_name][0],
            json.dumps(meta.to_dict()),
        )


STORES = [MemoryFeatureFlagStore, CustomStore, ForwardingStore, ColumnStore]


def state_of_document(store: Any, feature_name: str) -> bool:
    """Return the state that flipper-client 1.x would see."""
    if isinstance(store, ColumnStore):
        return store.rows[feature_name][0]
    state: bool = store.get(feature_name).to_dict()["is_enabled"]
    return state


def check_switching(client: FeatureFlagClient, *stores: Any) -> None:
    """Check that a flag is on exactly if it was switched on, in each store.

    Its document is never on for flipper-client 1.x.
    """
    client.create("f", is_enabled=True)
    client.set_rules("f", RULES)
    writes: list[Any] = [
        (True, lambda: None),
        (True, lambda: client.add_condition("f", Condition(b=1))),
        (False, lambda: client.disable("f")),
        (False, lambda: client.set_client_data("f", {"a": 1})),
        (True, lambda: client.enable("f")),
        (True, lambda: client.set_rules("f", RULES)),
        (False, lambda: client.disable("f")),
    ]
    for number, (state, write) in enumerate(writes):
        write()
        assert client.is_enabled("f", a=1) is state, number
        for store in stores:
            assert store.get("f").is_enabled(a=1) is state, number
            assert store.get("f").is_enabled(a=2) is False, number
            assert store.get("f").rules == RULES
            assert state_of_document(store, "f") is False, number
    client.enable("f")
    client.set_rules("f", None)
    for store in stores:
        assert store.get("f").is_enabled(a=2) is True
        assert state_of_document(store, "f") is True


@pytest.mark.parametrize("kind", STORES)
def test_any_store_switches_flags_with_rules(kind: type[Any]) -> None:
    """Whatever its `set` and its `set_meta` do."""
    store = kind()
    check_switching(FeatureFlagClient(store, on_error="raise"), store)


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("wrapper", [CachedFeatureFlagStore, SyncedFeatureFlagStore])
def test_any_store_behind_a_wrapper_switches_flags_with_rules(
    kind: type[Any], wrapper: type[Any]
) -> None:
    """A cache and a copy show the write at once."""
    store = kind()
    with wrapper(store) as outer:
        check_switching(FeatureFlagClient(outer, on_error="raise"), store, outer)


@pytest.mark.parametrize("kind", STORES)
def test_any_replica_has_the_rules_and_a_safe_document(kind: type[Any]) -> None:
    """Each write is repeated; a flag that the replica lacks is copied."""
    primary, replica, late = MemoryFeatureFlagStore(), kind(), kind()
    replicated = ReplicatedFeatureFlagStore(primary, replica)
    client = FeatureFlagClient(replicated, on_error="raise")

    def wait() -> Any:
        assert replicated.close(60)
        return replica

    client.create("f", is_enabled=True)
    client.set_rules("f", RULES)
    for state in (True, False, True):
        (client.enable if state else client.disable)("f")
        assert wait().get("f").is_enabled(a=1) is state
        assert replica.get("f").rules == RULES
        assert state_of_document(replica, "f") is False
    again = ReplicatedFeatureFlagStore(primary, late)
    late.create("f", is_enabled=True)  # of an earlier time, without rules
    assert again.resync()
    assert late.get("f").is_enabled(a=1) is True
    assert late.get("f").is_enabled(a=2) is False
    assert state_of_document(late, "f") is False
    client.set_rules("f", None)
    assert wait().get("f").is_enabled(a=2) is True


@pytest.mark.parametrize("kind", STORES)
def test_a_service_of_any_store_switches_flags_with_rules(kind: type[Any]) -> None:
    """Over a socket; an old client of the service only knows `Set`."""
    inner = kind()
    with (
        Service(FeatureFlagStoreHandler(inner)) as service,
        connected(service.port) as store,
    ):
        assert isinstance(store, ThriftRPCFeatureFlagStore)
        client = FeatureFlagClient(store, on_error="raise")
        check_switching(client, inner)
        client.set_rules("f", RULES)
        for state in (False, True, False, True):
            store.set("f", state)
            assert client.is_enabled("f", a=1) is state
            assert client.is_enabled("f", a=2) is False
            assert inner.get("f").is_enabled(a=1) is state
            assert state_of_document(inner, "f") is False


def test_a_secondary_answers_by_rules() -> None:
    """While the primary fails, and again by the primary after that."""
    primary, secondary = FailingMemoryStore(), CustomStore()
    store = FailoverFeatureFlagStore(
        ReplicatedFeatureFlagStore(primary, secondary), secondary
    )
    client = FeatureFlagClient(store)
    client.create("f", is_enabled=True)
    client.set_rules("f", RULES)
    assert store._store.close(60)
    primary.failure = ConnectionError("down")
    assert client.is_enabled("f", a=1) is True
    assert client.variant("f", user=1) == client.explain("f", user=1).variant
    assert client.evaluate_all(a=1) == {"f": True}


def test_a_synced_copy_notices_that_only_the_state_or_the_rules_changed() -> None:
    """Two flags with rules are equal only if both are the same."""
    inner = CustomStore()
    writer = FeatureFlagClient(inner)
    writer.create("f", is_enabled=True)
    writer.set_rules("f", RULES)
    changes: list[Any] = []
    with SyncedFeatureFlagStore(inner, poll_interval=0.01) as store:
        store.on_change(changes.append)
        assert store.get("f").is_enabled(a=1) is True  # type: ignore[union-attr]
        for write, expected in (
            (lambda: writer.disable("f"), [False, False]),
            (lambda: writer.enable("f"), [True, False]),
            (lambda: writer.set_rules("f", [Rule(Condition(a=2))]), [False, True]),
        ):
            count = len(changes)
            write()
            eventually(lambda c=count: len(changes) > c)
            item: Any = store.get("f")
            assert [item.is_enabled(a=a) for a in (1, 2)] == expected
    assert [change.kind for change in changes] == ["changed"] * 3
