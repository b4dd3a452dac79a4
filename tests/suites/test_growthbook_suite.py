# SPDX-License-Identifier: Apache-2.0
"""GrowthBook's cases of conditions, features and experiments, through the importer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from clients_of_cases import client_of

from flipper.importers import flags_from
from suites import read_suite

if TYPE_CHECKING:
    from collections.abc import Callable

# What an application sets in its SDK for developers and testers, and no flag data.
SDK_SETTINGS = {"forcedVariations", "qaMode", "url", "enabled"}
LEAST_AGREED = 0.95
# Where the answers differ, the importer reports what it cannot say: that an entry of a
# list has to match a condition of its own. It reports nothing for these:
DIFFERENT = {
    "version 1-2-3 == 1.2.3": "an argument that is no semantic version matches nothing",
    "version 1.2.3.4 == 1.2.3-4": "the same",
}
_NOT_GIVEN = "-"


class Outcome(NamedTuple):
    """The result of a case.

    Attributes:
        agrees: whether flipper gives what GrowthBook expects.
        shown: for the error, if it does not.
    """

    agrees: bool
    shown: Any


def in_scope(topic: str, context_at: int | None) -> list[list[Any]]:
    """Return the cases of a topic that do not depend on settings of an SDK."""
    found = read_suite("growthbook/cases.json")[topic]
    assert found
    if context_at is None:
        return list(found)
    return [case for case in found if SDK_SETTINGS.isdisjoint(case[context_at])]


def check_agreement(
    cases: list[list[Any]],
    file_of: Callable[[list[Any]], dict[str, Any]],
    outcome_of: Callable[[list[Any], Any], Outcome],
) -> None:
    """Check that nearly all cases agree, and that the others have a reason."""
    silent, reported = [], []
    agreed = 0
    for case in cases:
        file = file_of(case)
        problems = [flag.problems for flag in flags_from("growthbook", file)]
        outcome = outcome_of(case, client_of("growthbook", file))
        agreed += outcome.agrees
        if not outcome.agrees and any(problems):
            reported.append((case[0], problems))
        elif not outcome.agrees and case[0] not in DIFFERENT:
            silent.append((case[0], outcome.shown))
    assert not silent
    assert agreed >= LEAST_AGREED * len(cases), reported


def same(one: Any, other: Any) -> bool:
    """Return whether two values are the same in JSON, where 1 is not true."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def value_agrees(found: Any, expected: Any) -> bool:
    """Return whether a value agrees; a flag that is off has none for null and false."""
    if found == _NOT_GIVEN:
        return expected is None or expected is False
    return same(found, expected)


def test_the_conditions_agree() -> None:
    """A flag that is on where a condition holds is on for the same attributes."""

    def file_of(case: list[Any]) -> dict[str, Any]:
        rule = {"condition": case[1], "force": True}
        groups = case[4] if len(case) > 4 else {}
        features = {"x": {"defaultValue": False, "rules": [rule]}}
        return {"features": features, "savedGroups": groups}

    def outcome_of(case: list[Any], client: Any) -> Outcome:
        found = client.is_enabled("x", **case[2])
        explained = client.explain("x", **case[2])
        agrees = found is case[3] is explained.enabled
        return Outcome(agrees, (client.get_rules("x"), explained))

    check_agreement(in_scope("evalCondition", None), file_of, outcome_of)


def test_the_features_agree() -> None:
    """Every feature has the same value, and is on for the same attributes."""

    def outcome_of(case: list[Any], client: Any) -> Outcome:
        _, context, name, expected = case
        arguments = context.get("attributes", {})
        value = client.variant(name, _NOT_GIVEN, **arguments)
        found = client.explain(name, **arguments)
        is_on = client.is_enabled(name, **arguments)
        agrees = is_on is expected["on"] is found.enabled
        return Outcome(agrees and value_agrees(value, expected["value"]), found)

    check_agreement(in_scope("feature", 1), lambda case: case[1], outcome_of)


def test_the_experiments_agree() -> None:
    """Every user is in the same experiments, and has the same variation."""

    def outcome_of(case: list[Any], client: Any) -> Outcome:
        _, context, experiment, value, is_in, _ = case
        arguments = context.get("attributes", {})
        found = client.explain(experiment["key"], **arguments)
        served = client.variant(experiment["key"], _NOT_GIVEN, **arguments)
        agrees = (found.rule is not None) is is_in
        return Outcome(agrees and value_agrees(served, value), found)

    check_agreement(
        in_scope("run", 1),
        lambda case: {**case[1], "experiments": [case[2]]},
        outcome_of,
    )
