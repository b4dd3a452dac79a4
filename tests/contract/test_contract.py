# SPDX-License-Identifier: Apache-2.0
"""The contract of a store, on every store and stack in `stores.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis.stateful import invariant, run_state_machine_as_test
from hypothesis import settings
from stores import STORES

from flipper import MemoryFeatureFlagStore, ReplicatedFeatureFlagStore
from flipper.testing import StoreContract
from flipper.testing.contract import eventually, plain
from flipper.testing.stateful import StoreMachine

def _contracts() -> dict[str, type[Any]]:
    """Make a class of tests for each store, and for each stack of one."""
    classes = {}
    for store, stacks in STORES.items():
        for stack in [(), *stacks]:
            kinds = [*stack, store]
            name = "Test" + "".join(kind.__name__ for kind in kinds)
            described = {"__module__": __name__, "__doc__": kinds[0].__doc__}
            classes[name] = type(name, (*kinds, StoreContract), described)
    return classes


globals().update(_contracts())
