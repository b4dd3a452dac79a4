# SPDX-License-Identifier: Apache-2.0
"""Features of the Ruby gem flipper become flags that are on for the same actors."""

from __future__ import annotations

from typing import Any

import pytest
from imported import USERS, client_of, crc_bucket, only

from flipper.exceptions import InvalidArgumentError
from flipper.importers import ImportedFlag, flags_from

NAME = "search"


def export(**gates: Any) -> dict[str, Any]:
    """Return an export with one feature, whose other gates are closed."""
    closed: dict[str, Any] = {
        "boolean": None,
        "groups": [],
        "actors": [],
        "expression": None,
        "percentage_of_actors": None,
        "percentage_of_time": None,
    }
    return {"version": 1, "features": {NAME: {**closed, **gates}}}


def is_on(data: dict[str, Any], **context: Any) -> bool:
    """Return whether the flag is on."""
    return bool(client_of("ruby-flipper", data).is_enabled(NAME, **context))


def holds(expression: Any, **context: Any) -> bool:
    """Return whether the gate of an expression is open."""
    return is_on(export(expression=expression), **context)


def test_a_feature_is_on_or_off_for_everybody_by_its_boolean_gate() -> None:
    """Then the flag needs no rules."""
    assert only("ruby-flipper", export()) == ImportedFlag(NAME, False)
    assert only("ruby-flipper", export(boolean="true")) == ImportedFlag(NAME, True)
    assert only("ruby-flipper", export(percentage_of_actors="0")).rules is None


def test_any_open_gate_is_enough() -> None:
    """The groups of an actor are an argument."""
    data = export(actors=["User;1"], groups=["staff"])
    assert is_on(data, flipper_id="User;1")
    assert is_on(data, flipper_id="User;2", groups=["guests", "staff"])
    assert not is_on(data, flipper_id="User;2", groups=["guests"])
    assert not is_on(data)
    assert is_on(export(actors=["User;1"], boolean="true"))
    assert is_on(export(actors=["User;1"], percentage_of_time="100"))


@pytest.mark.parametrize("percentage", ["25", 25, "0.5", "16.1", "99.999"])
def test_a_percentage_of_actors_has_the_same_actors(percentage: str | int) -> None:
    """With three digits after the point."""
    client = client_of("ruby-flipper", export(percentage_of_actors=percentage))
    found = [client.is_enabled(NAME, flipper_id=user) for user in USERS]
    limit = float(percentage) * 1000
    assert found == [crc_bucket(f"{NAME}{user}") < limit for user in USERS]


def test_the_end_of_a_percentage_is_that_of_the_gem() -> None:
    """The gem multiplies floats, and gets a little more than 16,100 for 16.1 %."""
    assert 16.1 * 1000 > 16_100
    rules = only("ruby-flipper", export(percentage_of_actors="16.1")).rules
    assert rules is not None
    assert rules[0].when.share == 16_101 / 100_000  # type: ignore[union-attr]


def test_all_actors_are_not_everybody() -> None:
    """A question without an actor is not in."""
    data = export(percentage_of_actors="100")
    assert is_on(data, flipper_id="User;1")
    assert not is_on(data)


PLAN = {"Property": ["plan"]}
AGE = {"Property": "age"}


@pytest.mark.parametrize(
    ("expression", "holding", "others"),
    [
        ({"Equal": [PLAN, "pro"]}, [{"plan": "pro"}], [{"plan": "free"}, {}]),
        ({"Equal": ["pro", PLAN]}, [{"plan": "pro"}], [{"plan": "free"}]),
        ({"Equal": [PLAN, {"String": ["pro"]}]}, [{"plan": "pro"}], [{}]),
        ({"Equal": [PLAN, None]}, [{}, {"plan": None}], [{"plan": ""}]),
        ({"NotEqual": [PLAN, "pro"]}, [{"plan": "free"}, {}], [{"plan": "pro"}]),
        ({"GreaterThan": [AGE, 18]}, [{"age": 19}], [{"age": 18}, {}]),
        ({"GreaterThan": [18, AGE]}, [{"age": 17}], [{"age": 18}]),
        (
            {"GreaterThanOrEqualTo": [AGE, {"Number": [18]}]},
            [{"age": 18}],
            [{"age": 17}],
        ),
        ({"LessThan": [AGE, 18]}, [{"age": 17}], [{"age": 18}, {}]),
        ({"LessThanOrEqualTo": [AGE, 18]}, [{"age": 18}], [{"age": 19}]),
        (PLAN, [{"plan": ""}, {"plan": True}], [{"plan": False}, {}]),
        ({"Boolean": [True]}, [{}], []),
        (False, [], [{}]),
        (
            {"All": [{"Equal": [PLAN, "pro"]}, {"LessThan": [AGE, 9]}]},
            [{"plan": "pro", "age": 8}],
            [{"plan": "pro"}, {"age": 8}],
        ),
        (
            {"Any": [{"Equal": [PLAN, "pro"]}, {"LessThan": [AGE, 9]}]},
            [{"plan": "pro"}, {"age": 8}],
            [{"age": 9}],
        ),
    ],
)
def test_an_expression_holds_for_the_same_actors(
    expression: Any, holding: list[dict[str, Any]], others: list[dict[str, Any]]
) -> None:
    """A property that the actor does not have is nil."""
    for context in holding:
        assert holds(expression, **context), context
    for context in others:
        assert not holds(expression, **context), context


def test_a_percentage_in_an_expression_has_the_same_actors() -> None:
    """It hashes the property that it names."""
    team = {"Property": ["team"]}
    data = export(expression={"PercentageOfActors": [team, 30]})
    client = client_of("ruby-flipper", data)
    found = [client.is_enabled(NAME, team=user) for user in USERS]
    assert found == [crc_bucket(f"{NAME}{user}") < 30_000 for user in USERS]


def test_an_expression_may_ask_about_another_feature() -> None:
    """For the same arguments."""
    data = export(expression={"FeatureEnabled": ["other"]})
    data["features"]["other"] = {"actors": ["User;1"]}
    assert is_on(data, flipper_id="User;1")
    assert not is_on(data, flipper_id="User;2")


@pytest.mark.parametrize(
    ("gates", "problem"),
    [
        ({"percentage_of_time": "5"}, "percentage of time: 5% of the calls at random"),
        ({"expression": {"Random": [100]}}, "expression: the function 'Random'"),
        ({"expression": {"GreaterThan": [{"Now": []}, 5]}}, "'Now' stands where only"),
        ({"expression": {"GreaterThan": [AGE, "x"]}}, "not with a number"),
        ({"expression": {"Equal": [AGE, PLAN]}}, "compares two results"),
        ({"expression": {"Equal": [AGE, {"Number": ["x"]}]}}, "'Number' of 'x'"),
        ({"expression": {"Any": [], "All": []}}, "not one call"),
        ({"expression": {"Equal": [AGE]}}, "another form"),
        ({"percentage_of_actors": "many"}, "percentage of actors: its definition"),
        ({"country": ["SE"]}, "the gate 'country' is unknown"),
        ({"actors": 5}, "another form"),
    ],
)
def test_what_cannot_be_said_is_a_problem_of_the_flag(
    gates: dict[str, Any], problem: str
) -> None:
    """The flag is then off, also for those whom another gate lets in."""
    flag = only("ruby-flipper", export(**{"actors": ["User;1"], **gates}))
    assert len(flag.problems) == 1
    assert problem in flag.problems[0]
    assert flag.is_enabled is False
    assert flag.rules is not None
    assert (len(flag.rules), flag.rules.otherwise) == (0, False)


@pytest.mark.parametrize("data", [None, [], {"flags": {}}, {"features": []}])
def test_another_file_is_refused(data: Any) -> None:
    """It would seem to be a file without flags."""
    with pytest.raises(InvalidArgumentError, match="not an export of Ruby's flipper"):
        list(flags_from("ruby-flipper", data))
