# SPDX-License-Identifier: Apache-2.0
"""The rule that runs the random operations of `flipper.testing.stateful`."""

from __future__ import annotations

import pytest

from .base import ContractBase


class RandomOperationRules(ContractBase):
    """A store agrees with a plain dict, whatever is done to both."""

    def test_random_operations_agree_with_a_plain_dict(self) -> None:
        """Any operations in any order have the same effect on a plain dict."""
        pytest.importorskip("hypothesis", reason="random operations need hypothesis")
        from ..stateful import run_random_operations, store_machine

        machine = store_machine(self.make_store, self.close_store)
        examples = max(self.repetitions // 5, 2)
        run_random_operations(machine, seed=self.seed, examples=examples)
