# SPDX-License-Identifier: Apache-2.0
"""Percentages: their values, their order, and their plain data."""

from __future__ import annotations

import operator
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock, patch

import pytest

from flipper.bucketing import LinearRampPercentage, Percentage
from flipper.bucketing.percentage import AbstractPercentage

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW = 1_700_000_000.25
MODULE = "flipper.bucketing.percentage.linear_ramp_percentage"
COMPARISONS = [getattr(operator, name) for name in ("lt", "le", "gt", "ge", "eq", "ne")]


class Tenth(AbstractPercentage):
    """A percentage of an application."""

    @property
    def value(self) -> float:
        """Return a tenth."""
        return 0.1

    @classmethod
    def get_type(cls) -> str:
        """Return the name of the base class's choice."""
        return super().get_type()

    def to_dict(self) -> dict[str, Any]:
        """Return what the base class does."""
        return super().to_dict()

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Tenth:
        """Make one."""
        return cls()


def test_a_percentage_of_an_application_has_one_part() -> None:
    """The base class names it `value`, and the type after the class."""
    assert Tenth().parts() == {"value": 0.1}
    assert Tenth().to_dict() == {"type": "Tenth"}
    assert repr(Tenth()) == "<Tenth {'value': 0.1}>"


@pytest.mark.parametrize("compare", COMPARISONS)
@pytest.mark.parametrize("number", [0, 0.25, 0.5, 1, True, Fraction(1, 2), Decimal(1)])
def test_percentages_are_compared_with_numbers_by_their_value(
    compare: Any, number: Any
) -> None:
    """On either side of the sign."""
    assert compare(Percentage(0.5), number) is compare(0.5, number)
    assert compare(number, Percentage(0.5)) is compare(number, 0.5)


def test_two_percentages_are_equal_if_their_values_are() -> None:
    """Whatever their classes."""
    assert Percentage(0.1) == Tenth()
    assert Tenth() == Percentage(0.1)
    assert Percentage(0.2) != Tenth()
    assert Percentage(0.5) != "0.5"
    assert Percentage(0.5) != None  # noqa: E711  (what is tested)


@pytest.mark.parametrize("compare", COMPARISONS[:4])
@pytest.mark.parametrize("other", ["0.5", None, Percentage(0.5)])
def test_percentages_have_no_order_with_what_is_no_number(
    compare: Any, other: Any
) -> None:
    """The error says what it was compared with."""
    with pytest.raises(ValueError, match="percentage") as caught:
        compare(Percentage(0.5), other)
    assert repr(other) in str(caught.value)


def ramp_at(now: float, *args: Any) -> LinearRampPercentage:
    """Return a ramp and stop its clock."""
    ramp = LinearRampPercentage(*args)
    ramp_clock.now.return_value = datetime.fromtimestamp(now)  # noqa: DTZ006
    return ramp


ramp_clock = MagicMock(fromtimestamp=datetime.fromtimestamp)


@pytest.mark.parametrize(
    ("elapsed", "rising", "falling"),
    [
        *((-1e6, 0.25, 0.75), (-0.25, 0.25, 0.75), (0, 0.25, 0.75)),
        *((16, 0.375, 0.625), (32, 0.5, 0.5), (48, 0.625, 0.375)),
        *((64, 0.75, 0.25), (64.25, 0.75, 0.25), (1e6, 0.75, 0.25)),
    ],
)
def test_a_ramp_changes_evenly_between_two_values(
    elapsed: float, rising: float, falling: float
) -> None:
    """It rises or falls, and is constant before and after."""
    with patch(f"{MODULE}.datetime", ramp_clock):
        ramp = ramp_at(NOW, 0.25, 0.75, 64, NOW - elapsed)
        assert (ramp.value, ramp.dt, ramp.slope) == (rising, elapsed, 0.5 / 64)
        ramp = ramp_at(NOW, 0.75, 0.25, 64, NOW - elapsed)
        assert (ramp.value, ramp.dt, ramp.slope) == (falling, elapsed, -0.5 / 64)


@pytest.mark.parametrize("duration", [0, -1, 1])
@pytest.mark.parametrize("elapsed", [-10, 10])
def test_a_ramp_of_no_duration_has_ended(duration: int, elapsed: int) -> None:
    """Even before it begins; a ramp of one second has a beginning."""
    with patch(f"{MODULE}.datetime", ramp_clock):
        ramp = ramp_at(NOW, 0.25, 0.75, duration, NOW - elapsed)
        assert ramp.value == (0.25 if duration == 1 and elapsed < 0 else 0.75)


def test_the_time_since_a_ramp_began_has_microseconds() -> None:
    """Further digits of the difference of two large floats are noise."""
    with patch(f"{MODULE}.datetime", ramp_clock):
        ramp = ramp_at(NOW + 0.123457, 0, 1, 60, NOW)
        assert ramp.dt == 0.123457
        assert int(NOW) + 0.1 - int(NOW) != 0.1
        assert ramp_at(int(NOW) + 0.1, 0, 1, 60, int(NOW)).dt == 0.1
        assert type(ramp_at(NOW - 0.25, 0, 1, 60, int(NOW)).dt) is float


def test_a_ramp_begins_now_unless_told_otherwise() -> None:
    """Its plain data has the beginning in whole seconds."""
    with patch(f"{MODULE}.datetime", ramp_clock):
        ramp_clock.now.return_value = datetime.fromtimestamp(NOW)  # noqa: DTZ006
        ramp = LinearRampPercentage()
        assert ramp.initial_time == NOW
        assert (ramp.initial_value, ramp.final_value) == (0.0, 1.0)
        assert ramp.ramp_duration == 3600
        fields = ramp.to_dict()
        assert fields == {
            "type": "LinearRampPercentage",
            "initial_value": 0.0,
            "final_value": 1.0,
            "ramp_duration": 3600,
            "initial_time": 1_700_000_000,
        }
        assert type(fields["initial_time"]) is int
        assert LinearRampPercentage.from_dict({}).to_dict() == fields
    fields.update(initial_value=0.2, final_value=0.1, ramp_duration=5, initial_time=6)
    assert LinearRampPercentage.from_dict(fields).to_dict() == fields


def test_a_ramp_has_two_parts() -> None:
    """They are named as its arguments are."""
    ramp = LinearRampPercentage(0.25, 0.75)
    assert ramp.parts() == {"initial_value": 0.25, "final_value": 0.75}


def test_a_time_that_is_no_date_is_refused() -> None:
    """Milliseconds are far in the future."""
    with pytest.raises(ValueError, match="year"):
        LinearRampPercentage(initial_time=1_700_000_000_000_000)


def test_a_percentage_without_value_is_1() -> None:
    """So is one whose plain data has none."""
    assert Percentage().value == Percentage.from_dict({}).value == 1.0
    assert Percentage.from_dict({"value": None}).value is None
    assert Percentage(0.5).to_dict() == {"type": "Percentage", "value": 0.5}
