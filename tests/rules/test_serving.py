# SPDX-License-Identifier: Apache-2.0
"""`variant` and `evaluate_all` give what `explain` says, as values."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest

from flipper import Condition, FeatureFlagClient, MemoryFeatureFlagStore
from flipper.conditions.operators.operator import GreaterThanOperator
from flipper.rules import Rollout, Rule, Rules, Split

COLOURS = {"blue": {"hex": ["00f"]}, "red": "f00", "none": None}
SPLIT = Split({"blue": 0.4, "red": 0.3}, by="user_id")
SERVED: list[Any] = [True, False, "blue", "none", Rollout(0.5, by="user_id"), SPLIT]
CONTEXTS: list[dict[str, Any]] = [
    {},
    {"seats": 11},
    *({"user_id": f"user-{n}", "seats": seats} for n in range(8) for seats in (9, 11)),
]


@pytest.fixture
def features() -> FeatureFlagClient:
    """Return a client of an empty store in memory."""
    return FeatureFlagClient(MemoryFeatureFlagStore(), on_error="raise")


def rules_serving(served: Any, off: str | None, otherwise: Any = False) -> Rules:
    """Return rules that serve this to the users with many seats."""
    return Rules([Rule(Condition(seats__gt=10), served)], otherwise, COLOURS, off)


def explained(
    features: FeatureFlagClient, name: str, off: str | None, **given: Any
) -> Any:
    """Return the value of what `explain` says; "default" if there is none."""
    told = features.explain(name, **given)
    served = told.variant if told or told.variant is not None else off
    if served is None:
        return True if told else "default"
    return COLOURS[served]


@pytest.mark.parametrize("is_on", [True, False])
@pytest.mark.parametrize("is_limited", [True, False])
@pytest.mark.parametrize("off", [None, "none"])
@pytest.mark.parametrize("served", SERVED)
def test_variant_gives_what_explain_says(
    features: FeatureFlagClient,
    served: Any,
    off: str | None,
    is_limited: bool,
    is_on: bool,
) -> None:
    """The variant is that of the rule, or `off` for whoever is not served."""
    flag = features.create("A", is_enabled=is_on)
    flag.set_rules(rules_serving(served, off, otherwise=SPLIT))
    if is_limited:
        flag.add_condition(Condition(user_id__ne="user-1"))
    for given in CONTEXTS:
        found = features.variant("A", "default", **given)
        assert found == explained(features, "A", off, **given)
        as_value = features.variant("A", False, **given)
        assert features.evaluate_all(**given) == {"A": as_value}


def test_the_value_of_a_variant_is_a_copy(features: FeatureFlagClient) -> None:
    """A caller may change the value without changing what others get."""
    features.create("A", is_enabled=True).set_rules(rules_serving("blue", None))
    features.variant("A", seats=11)["hex"].append("changed")
    features.evaluate_all(seats=11)["A"]["hex"].append("changed")
    assert features.variant("A", seats=11) == {"hex": ["00f"]}


@pytest.mark.parametrize("served", SERVED)
def test_variant_calls_an_operator_that_is_replaced(
    features: FeatureFlagClient, served: Any
) -> None:
    """Also if the rules have been asked before; the users stay in their buckets."""
    features.create("A", is_enabled=True).set_rules(rules_serving(served, "none"))
    usual = [features.variant("A", "default", **given) for given in CONTEXTS]
    with patch.object(GreaterThanOperator, "compare", return_value=False):
        for given in CONTEXTS:
            assert features.variant("A", "default", **given) is None
    again = [features.variant("A", "default", **given) for given in CONTEXTS]
    assert again == usual


def test_users_keep_their_buckets_while_an_operator_is_replaced(
    features: FeatureFlagClient,
) -> None:
    """The name of the flag stays the seed of its rollouts and its splits."""
    rules = Rules(
        [
            Rule(Rollout(0.5, by="id"), Split({"a": 0.5, "b": 0.25}, by="id")),
            Rule(None, Rollout(0.5, by="other")),
        ]
    )
    features.create("A", is_enabled=True).set_rules(rules)

    def answers() -> list[Any]:
        users = [{"id": number, "other": number + 1} for number in range(64)]
        return [
            (features.is_enabled("A", **user), features.variant("A", **user))
            for user in users
        ]

    usual = answers()
    with patch.object(GreaterThanOperator, "compare"):
        assert answers() == usual


def test_rules_of_a_renamed_flag_choose_by_its_own_name(
    features: FeatureFlagClient,
) -> None:
    """A flag does not answer with what was compiled for another one."""
    rules = Rules([Rule(None, Split({"a": 0.5, "b": 0.5}, by="id"))])
    for name in "AB":
        features.create(name, is_enabled=True).set_rules(rules)
    answers = {
        name: [features.variant(name, id=number) for number in range(64)]
        for name in "AB"
    }
    assert answers["A"] != answers["B"]


@pytest.mark.parametrize("is_on", [True, False])
def test_a_flag_that_depends_on_another_one_is_served(
    features: FeatureFlagClient, is_on: bool
) -> None:
    """`is_enabled`, `variant` and `evaluate_all` ask the other flag."""
    features.create("base", is_enabled=is_on)
    needs = Condition(base__enabled=True)
    features.create("A", is_enabled=True).set_rules(Rules([Rule(needs, "blue")]))
    assert features.is_enabled("A") is is_on
    assert features.variant("A", "default") == ("blue" if is_on else "default")
    assert features.evaluate_all(names=["A"]) == {"A": "blue" if is_on else False}
    assert features.evaluate_all()["A"] == ("blue" if is_on else False)
