# SPDX-License-Identifier: Apache-2.0
"""Golden cases: how keys are read and what checks say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from golden import Case, agree, cases, decode, outcome

from flipper.conditions import Condition
from flipper.conditions.check import Check
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta

if TYPE_CHECKING:
    from collections.abc import Callable


def check(given: Any) -> Any:
    """Return the answer of a condition made of keys."""
    return Condition(**decode(given["condition"])).check(**decode(given["kwargs"]))


def construct(given: Any) -> Any:
    """Return the checks that a condition has made of its keys."""
    return Condition(**decode(given["condition"])).to_dict()


def stored(given: Any) -> Any:
    """Return the answer of a stored condition."""
    condition = Condition.from_dict(decode(given["stored"]))
    as_read = condition.to_dict()
    return {"to_dict": as_read, "check": condition.check(**decode(given["kwargs"]))}


def check_key(given: Any) -> Any:
    """Read a key and write it again."""
    made = Check.factory(given["key"], 1)
    symbol = made.to_dict()["operator"]
    return {
        "variable": made.variable,
        "operator": symbol,
        "key": Check.make_check_key(made.variable, symbol),
    }


def flag(given: Any) -> Any:
    """Return the answer of a flag that has conditions and no bucketer."""
    conditions = [Condition(**decode(each)) for each in given["conditions"]]
    meta = FeatureFlagStoreMeta(1500000000, conditions=conditions)
    item = FeatureFlagStoreItem("some-flag", given["is_enabled"], meta)
    return item.is_enabled(**decode(given["kwargs"]))


KINDS: dict[str, Callable[[Any], Any]] = {
    "check": check,
    "construct": construct,
    "stored": stored,
    "check_key": check_key,
    "flag": flag,
}


@pytest.mark.parametrize("case", cases("conditions"))
def test_conditions_are_those_of_flipper_client(case: Case) -> None:
    """Conditions are read, and give the same answers, as in flipper-client."""
    agree(case["expect"], outcome(lambda: KINDS[case["kind"]](case["given"])))
