# SPDX-License-Identifier: Apache-2.0
"""The bucketer that draws a random number for every call."""

from __future__ import annotations

import random
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pytest

from flipper.bucketing import LinearRampPercentage, Percentage, PercentageBucketer


@pytest.mark.parametrize(
    ("number", "answer"), [(0.0, True), (0.3, True), (0.31, False)]
)
def test_a_number_up_to_the_percentage_is_on(number: float, answer: bool) -> None:
    """The number that equals the percentage counts."""
    bucketer = PercentageBucketer(0.3)
    assert bucketer.check(randomizer=lambda: number) is answer
    told = bucketer.decide({"randomizer": lambda: number, "a": 1})
    assert told == (answer, bucketer, number, 0.3)


@pytest.mark.parametrize("randomizer", [5, None, "text"])
def test_a_randomizer_that_is_no_function_is_an_ordinary_argument(
    randomizer: Any,
) -> None:
    """The number is then drawn from Python's source of random numbers."""
    bucketer = PercentageBucketer(0.3)
    random.seed(1)
    number = random.random()  # noqa: S311
    for ask in (
        lambda: bucketer.decide({"randomizer": randomizer}),
        lambda: bucketer.decide({}),
    ):
        random.seed(1)
        assert ask() == (number <= 0.3, bucketer, number, 0.3)
    random.seed(1)
    assert bucketer.check(randomizer=randomizer) is (number <= 0.3)
    random.seed(1)
    assert bucketer.check() is (number <= 0.3)


@pytest.mark.parametrize("nothing", [0, 0.0, False])
def test_no_number_is_drawn_for_a_percentage_of_0(nothing: Any) -> None:
    """The flag is off, although a drawn number may be 0."""
    bucketer = PercentageBucketer(nothing)
    told = bucketer.decide({"randomizer": lambda: pytest.fail("drawn")})
    assert told == (False, bucketer, None, nothing)
    assert bucketer.check(randomizer=lambda: 0.0) is False


@pytest.mark.parametrize("number", [0.5, 0, 1, True, Fraction(1, 2), Decimal("0.5")])
def test_a_number_is_a_percentage(number: Any) -> None:
    """It is the same as `Percentage` of that number."""
    bucketer = PercentageBucketer(number)
    assert type(bucketer.own_percentage) is Percentage
    assert bucketer.percentage is number


def test_other_values_are_kept_as_they_are() -> None:
    """`None` is all calls; a test double counts by its `value`."""
    assert PercentageBucketer().percentage == 1.0
    assert PercentageBucketer(None).percentage == 1.0
    ramp = LinearRampPercentage()
    assert PercentageBucketer(ramp).own_percentage is ramp
    double: Any = SimpleNamespace(value=0.25)
    assert PercentageBucketer(double).own_percentage is double
    assert PercentageBucketer(double).percentage == 0.25
    assert PercentageBucketer(1j).own_percentage == 1j


@pytest.mark.parametrize("value", [0, 1, 0.5, True, Fraction(1, 2), Decimal(1)])
def test_a_fraction_from_0_to_1_is_valid(value: Any) -> None:
    """So are both ends, and a test double with a `value`."""
    assert PercentageBucketer(value).invalid_percentage() is None
    assert PercentageBucketer(Percentage(value)).invalid_percentage() is None
    ramp = LinearRampPercentage(value, value)
    assert PercentageBucketer(ramp).invalid_percentage() is None
    double = SimpleNamespace(value=value)
    assert PercentageBucketer(double).invalid_percentage() is None


@pytest.mark.parametrize("value", [-0.1, 1.1, 2, 50, float("nan"), "0.5", None, 1j])
def test_the_part_that_is_no_fraction_is_named(value: Any) -> None:
    """A percentage has one part, a ramp two."""
    assert PercentageBucketer(Percentage(value)).invalid_percentage() == (
        *("value", value),
    )
    ramp = LinearRampPercentage(value, 1)
    assert PercentageBucketer(ramp).invalid_percentage() == ("initial_value", value)
    ramp = LinearRampPercentage(0, value)
    assert PercentageBucketer(ramp).invalid_percentage() == ("final_value", value)


@pytest.mark.parametrize("value", ["0.5", 1j, [0.5]])
def test_what_is_no_percentage_is_named(value: Any) -> None:
    """It has no `value`, so nothing could be compared with it."""
    bucketer = PercentageBucketer(value)
    assert bucketer.invalid_percentage() == ("percentage", value)


def test_plain_data_makes_an_equal_bucketer() -> None:
    """A missing percentage is 1."""
    fields = PercentageBucketer(0.25).to_dict()
    assert fields == {
        "type": "PercentageBucketer",
        "percentage": {"type": "Percentage", "value": 0.25},
    }
    assert PercentageBucketer.from_dict(fields).to_dict() == fields
    for bare in ({}, {"percentage": None}):
        assert PercentageBucketer.from_dict(bare).percentage == 1.0
