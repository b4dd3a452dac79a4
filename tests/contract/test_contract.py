# SPDX-License-Identifier: Apache-2.0
"""The contract of a store, on every store and stack in `stores.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis.stateful import invariant
from stores import STORES

from flipper import MemoryFeatureFlagStore, ReplicatedFeatureFlagStore
from flipper.testing import StoreContract
from flipper.testing.contract import eventually, plain
from flipper.testing.stateful import StoreMachine, run_random_operations

if TYPE_CHECKING:
    import pytest


def _contracts() -> dict[str, type[Any]]:
    """Make a class of tests for each store, and for each stack of one."""
    classes = {}
    for store, stacks in STORES.items():
        for stack in [(), *stacks]:
            kinds = [*stack, store]
            name = "Test" + "".join(kind.__name__ for kind in kinds)
            own: dict[str, Any] = {"__module__": __name__, "__doc__": kinds[0].__doc__}
            if stack:  # the store itself has been through all of it
                own["repetitions"] = getattr(store, "repetitions", 50) // 2
            classes[name] = type(name, (*kinds, StoreContract), own)
    return classes


globals().update(_contracts())


class FollowedMachine(StoreMachine):
    """Random operations on a replicated store, with a look at the replica each time."""

    def make_store(self) -> Any:
        """Put a replica beside a store in memory."""
        self.replica = MemoryFeatureFlagStore()
        return ReplicatedFeatureFlagStore(MemoryFeatureFlagStore(), self.replica)

    def close_store(self, store: Any) -> None:
        """Let the replica come level."""
        assert store.close()

    @invariant()
    def the_replica_is_level(self) -> None:
        """Compare what is in the replica with what is in the primary."""
        eventually(lambda: not self.store.status()[0].pending)
        levels = [[plain(i) for i in s.list()] for s in (self.store, self.replica)]
        assert levels[0] == levels[1]


def test_a_replica_is_level_after_each_of_random_operations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever is written to a replicated store, the replica is the same soon after."""
    monkeypatch.setattr("flipper.contrib.memory.now", lambda: 1_500_000_000)
    run_random_operations(FollowedMachine)
