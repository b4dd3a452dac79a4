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
            if stack:  # the store itself is tested with all repetitions
                own["repetitions"] = getattr(store, "repetitions", 50) // 2
            classes[name] = type(name, (*kinds, StoreContract), own)
    return classes


globals().update(_contracts())


class ReplicatedMachine(StoreMachine):
    """Random operations on a replicated store, whose replica is checked each time."""

    def make_store(self) -> Any:
        """Make a replicated store in memory."""
        self.replica = MemoryFeatureFlagStore()
        return ReplicatedFeatureFlagStore(MemoryFeatureFlagStore(), self.replica)

    def close_store(self, store: Any) -> None:
        """Wait until the replica has all writes."""
        assert store.close()

    @invariant()
    def the_replica_has_the_flags_of_the_primary(self) -> None:
        """Compare the flags of the replica with those of the primary."""
        eventually(lambda: not self.store.status()[0].pending)
        stored, copied = ([*map(plain, s.list())] for s in (self.store, self.replica))
        assert copied == stored


def test_a_replica_has_the_flags_of_the_primary_after_random_operations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The replica soon has what was written to a replicated store."""
    monkeypatch.setattr("flipper.contrib.memory.now", lambda: 1_500_000_000)
    run_random_operations(ReplicatedMachine)
