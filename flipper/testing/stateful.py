# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: S101  (these are tests)
"""Random operations on a store, compared with the same operations on a plain dict.

`StoreContract` runs them. If the two differ, hypothesis looks for the shortest list of
operations that shows the difference, and prints that list as a program.
"""

from __future__ import annotations

import os
from secrets import randbits
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from ..bucketing import (
    ConsistentHashPercentageBucketer,
    LinearRampPercentage,
    NoOpBucketer,
    Percentage,
    PercentageBucketer,
)
from ..client import FeatureFlagClient
from ..conditions import Condition
from ..contracts.update import update
from ..contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from ..exceptions import FlagDoesNotExistError
from .items import adding, names, plain

if TYPE_CHECKING:
    from collections.abc import Callable

STEPS = 30
"""How many operations are made on one store."""

# Only two, so that each flag gets many operations.
NAMES = ("a", "ü/b")
A_NAME = st.sampled_from(NAMES)
STATES = st.booleans()
# Not all characters: for those, hypothesis would write a table into a folder.
TEXTS = st.text('ab1 _"\\\n\t/\x7fé\u0301功🐬', max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner),
    max_leaves=4,
)
CLIENT_DATA = st.dictionaries(st.sampled_from(["x", "y", "ü", ""]), VALUES, max_size=3)
CONDITIONS = st.builds(
    lambda key, value: Condition(**{key: value}),
    st.sampled_from(["plan", "plan__ne", "age__gt", "age__lte"]),
    st.integers(0, 3),
)
BUCKETERS = st.sampled_from(
    [
        NoOpBucketer(),
        PercentageBucketer(Percentage(0)),
        ConsistentHashPercentageBucketer(percentage=Percentage(0.5)),
        ConsistentHashPercentageBucketer(
            key_whitelist=["user"], percentage=LinearRampPercentage(0.1, 0.4, 60, 1)
        ),
    ]
)
METAS = st.builds(
    FeatureFlagStoreMeta,
    st.integers(0, 2**40),
    CLIENT_DATA,
    st.lists(CONDITIONS, max_size=2),
    BUCKETERS,
)
CONTEXTS: tuple[dict[str, int], ...] = (
    {},
    {"plan": 1},
    {"age": 2},
    {"plan": 0, "age": 3},
    {"user": 7},
)


class StoreMachine(RuleBasedStateMachine):
    """Operations on a store and on a dict of items, which have to stay equal."""

    def make_store(self) -> Any:
        """Make an empty store."""
        raise NotImplementedError

    def close_store(self, store: Any) -> None:
        """Close what a store holds open: connections, threads."""
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        self.store = self.make_store()
        self.client = FeatureFlagClient(self.store, on_error="raise")
        self.model: dict[str, FeatureFlagStoreItem] = {}

    def teardown(self) -> None:
        """Close the store."""
        self.close_store(self.store)

    @initialize(is_enabled=STATES, meta=METAS)
    def begin(self, is_enabled: bool, meta: FeatureFlagStoreMeta) -> None:
        """Create a flag with metadata, which later operations may lose."""
        self.create("a", is_enabled, {})
        self.set_meta_in_the_store("a", meta)

    @rule(name=A_NAME, is_enabled=STATES, data=CLIENT_DATA)
    def create(self, name: str, is_enabled: bool, data: dict[str, Any]) -> None:
        """Create a flag, which replaces an existing one."""
        self.client.create(name, is_enabled, data)
        self._expect(name, is_enabled, FeatureFlagStoreMeta(None, data))

    @rule(name=A_NAME, is_enabled=STATES)
    def switch(self, name: str, is_enabled: bool) -> None:
        """Switch a flag on or off."""
        switch = self.client.enable if is_enabled else self.client.disable
        if self._exists_for(name, lambda: switch(name)):
            self.model[name] = self.model[name].replace(is_enabled=is_enabled)

    @rule(name=A_NAME, is_enabled=STATES)
    def set_in_the_store(self, name: str, is_enabled: bool) -> None:
        """Set the state of a flag that may be missing."""
        self.store.set(name, is_enabled)
        if name in self.model:
            self.model[name] = self.model[name].replace(is_enabled=is_enabled)
        else:
            self._expect(name, is_enabled, FeatureFlagStoreMeta(None))

    @rule(name=A_NAME)
    def destroy(self, name: str) -> None:
        """Remove a flag."""
        if self._exists_for(name, lambda: self.client.destroy(name)):
            del self.model[name]

    @rule(name=A_NAME)
    def delete_in_the_store(self, name: str) -> None:
        """Remove a flag that may be missing."""
        self.store.delete(name)
        self.model.pop(name, None)

    @rule(name=A_NAME, data=CLIENT_DATA)
    def set_client_data(self, name: str, data: dict[str, Any]) -> None:
        """Merge client data."""
        if self._exists_for(name, lambda: self.client.set_client_data(name, data)):
            self.model[name] = adding(data=data)(self.model[name])

    @rule(name=A_NAME, condition=CONDITIONS)
    def add_condition(self, name: str, condition: Condition) -> None:
        """Add a condition."""
        if self._exists_for(name, lambda: self.client.add_condition(name, condition)):
            self.model[name] = adding(condition=condition)(self.model[name])

    @rule(name=A_NAME, conditions=st.lists(CONDITIONS, max_size=2))
    def set_conditions(self, name: str, conditions: list[Condition]) -> None:
        """Replace the conditions."""
        if self._exists_for(name, lambda: self.client.set_conditions(name, conditions)):
            self._expect_meta(name, conditions=conditions)

    @rule(name=A_NAME, bucketer=BUCKETERS)
    def set_bucketer(self, name: str, bucketer: Any) -> None:
        """Replace the bucketer."""
        if self._exists_for(name, lambda: self.client.set_bucketer(name, bucketer)):
            self._expect_meta(name, bucketer=bucketer)

    @rule(name=A_NAME, meta=METAS)
    def set_meta_in_the_store(self, name: str, meta: FeatureFlagStoreMeta) -> None:
        """Replace all metadata."""
        if self._exists_for(name, lambda: self.store.set_meta(name, meta)):
            self.model[name] = self.model[name].replace(meta=meta.copy())

    @rule(name=A_NAME, is_enabled=STATES, data=CLIENT_DATA)
    def change_state_and_data(
        self, name: str, is_enabled: bool, data: dict[str, Any]
    ) -> None:
        """Change two things in one step."""

        def change(item: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
            return adding(data=data)(item.replace(is_enabled=is_enabled))

        if self._exists_for(name, lambda: update(self.store, name, change)):
            self.model[name] = change(self.model[name])

    @rule(offset=st.integers(0, 5), limit=st.none() | st.integers(0, 5))
    def list_a_page(self, offset: int, limit: int | None) -> None:
        """Compare a page with the same part of the whole list."""
        every = names(self.store.list())
        end = None if limit is None else offset + limit
        assert names(self.store.list(limit=limit, offset=offset)) == every[offset:end]

    @invariant()
    def every_flag_is_as_in_the_model(self) -> None:
        """Compare every flag and its answers with the model."""
        for name in NAMES:
            item, expected = self.store.get(name), self.model.get(name)
            if expected is None:
                assert item is None
                continue
            assert plain(item) == plain(expected)
            for context in CONTEXTS:
                answer = self.client.is_enabled(name, **context)
                assert answer == expected.is_enabled(**context)
        assert sorted(names(self.store.list())) == sorted(self.model)

    def _exists_for(self, name: str, write: Callable[[], object]) -> bool:
        """Run a write that needs the flag; return whether the flag exists."""
        if name in self.model:
            write()
            return True
        with pytest.raises(FlagDoesNotExistError):
            write()
        return False

    def _expect(self, name: str, is_enabled: bool, meta: FeatureFlagStoreMeta) -> None:
        """Add a new flag to the model, with the created date that the store set."""
        meta.created_date = self.store.get(name).meta["created_date"]
        self.model[name] = FeatureFlagStoreItem(name, is_enabled, meta)

    def _expect_meta(self, name: str, **changes: Any) -> None:
        meta = self.model[name].raw_meta
        meta.update(**changes)
        self.model[name] = self.model[name].replace(meta=meta)


def store_machine(
    make_store: Callable[[], Any],
    close_store: Callable[[Any], object] = lambda _: None,
) -> type[StoreMachine]:
    """Return a hypothesis state machine that compares a store with a plain dict.

    Args:
        make_store: returns an empty store; called many times.
        close_store: called with each store at the end.
    """
    ways = {
        "make_store": lambda _: make_store(),
        "close_store": lambda _, store: close_store(store),
    }
    return type("StoreMachine", (StoreMachine,), ways)


def run_random_operations(
    machine: type[StoreMachine], *, seed: int | None = None, examples: int = 10
) -> None:
    """Run a state machine, on a new store for each example.

    With `CI` in the environment the operations are always the same, so that a build
    does not fail because of operations that were never tried before.

    Args:
        machine: what `store_machine` returned, or a subclass of `StoreMachine`.
        seed: chooses the operations; `None` takes a new one. It is printed, and pytest
            shows it when the test fails.
        examples: how many lists of operations are tried.
    """
    if seed is None:
        seed = 0 if os.environ.get("CI") else randbits(32)
    print(f"Random operations with seed = {seed}")  # noqa: T201
    run_state_machine_as_test(
        seeded(seed)(machine),
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,  # no files in the directory of the caller
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )
