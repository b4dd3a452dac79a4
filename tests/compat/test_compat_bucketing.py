# SPDX-License-Identifier: Apache-2.0
"""What bucketers, percentages and ramps do, rule by rule."""

from __future__ import annotations

import operator
import random
import subprocess
import sys
import time
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest

from flipper.bucketing import (
    BucketerFactory,
    ConsistentHashPercentageBucketer,
    LinearRampPercentage,
    NoOpBucketer,
    Percentage,
    PercentageBucketer,
    PercentageFactory,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

START = 1_700_000_000
RAMPS = "flipper.bucketing.percentage.linear_ramp_percentage"


# Types and factories


@pytest.mark.parametrize(
    "cls",
    [
        NoOpBucketer,
        PercentageBucketer,
        ConsistentHashPercentageBucketer,
        Percentage,
        LinearRampPercentage,
    ],
)
def test_the_type_is_the_name_of_the_class(cls: Any) -> None:
    """The type is the class name, can be asked of class and instance, and is stored."""
    assert cls.get_type() == cls.__name__
    assert cls().get_type() == cls.__name__
    assert cls().to_dict()["type"] == cls.__name__


@pytest.mark.parametrize(
    ("create", "error", "kind"),
    [
        (BucketerFactory.create, BucketerFactory.InvalidBucketerTypeError, "Bucketer"),
        (
            PercentageFactory.create,
            PercentageFactory.InvalidPercentageTypeError,
            "Percentage",
        ),
    ],
)
def test_a_factory_names_an_unknown_type(
    create: Callable[[Any], Any], error: type[Exception], kind: str
) -> None:
    """The error of a factory names the type that it does not know."""
    with pytest.raises(error) as caught:
        create({"type": "Nope"})
    assert str(caught.value) == f"{kind} type not supported: Nope"


def test_a_missing_type_is_an_error_of_its_factory() -> None:
    """The error for a missing type is that of the factory which needed it."""
    with pytest.raises(BucketerFactory.InvalidBucketerTypeError):
        BucketerFactory.create({})
    with pytest.raises(PercentageFactory.InvalidPercentageTypeError):
        PercentageFactory.create({})
    with pytest.raises(PercentageFactory.InvalidPercentageTypeError):
        BucketerFactory.create({"type": "PercentageBucketer", "percentage": {}})


def test_additions_to_the_maps_of_factories_take_effect(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A class that is added to the map of a factory can be read."""

    class Half(Percentage):
        @classmethod
        def from_dict(cls, _: dict[str, Any]) -> Half:
            return cls(0.5)

    class Nobody(NoOpBucketer):
        def check(self, **_: Any) -> bool:
            return False

    monkeypatch.setitem(PercentageFactory.PERCENTAGE_MAP, "Half", Half)
    monkeypatch.setitem(BucketerFactory.BUCKETER_MAP, "Nobody", Nobody)
    assert PercentageFactory.create({"type": "Half"}).value == 0.5
    assert BucketerFactory.create({"type": "Nobody"}).check() is False
    stored = {"type": "PercentageBucketer", "percentage": {"type": "Half"}}
    assert BucketerFactory.create(stored).percentage == 0.5


# Bucketers


def test_the_noop_bucketer_lets_everybody_in() -> None:
    """A flag without a bucketer has the NoOpBucketer, which says yes to everybody."""
    assert NoOpBucketer().check() is True
    assert NoOpBucketer().check(self=1, user=object()) is True
    assert NoOpBucketer().to_dict() == {"type": "NoOpBucketer"}


def test_a_random_bucketer_compares_a_draw_with_the_percentage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A draw up to the percentage, that included, says yes."""
    half = PercentageBucketer(Percentage(0.5))
    assert half.check(randomizer=lambda: 0.5) is True
    assert half.check(randomizer=lambda: 0.500001) is False
    assert half.check(lambda: 0.4, user_id=1) is True
    monkeypatch.setattr(random, "random", lambda: 2.0)
    draws = {half.check() for _ in range(200)}
    assert draws == {True, False}, "the default draw is bound when the module loads"


@pytest.mark.parametrize(
    ("percentage", "draw", "answer"),
    [
        (0, 0.0, False),
        (0.0, 0.0, False),
        (1, 0.999999, True),
        (1.5, 1.0, True),
        (-1, 0.0, False),
        (float("nan"), 0.0, False),
    ],
)
def test_zero_percent_is_nobody_and_a_hundred_everybody(
    percentage: float, draw: float, answer: bool
) -> None:
    """Zero percent says no even to a draw of zero."""
    bucketer = PercentageBucketer(Percentage(percentage))
    assert bucketer.check(randomizer=lambda: draw) is answer


@pytest.mark.parametrize("value", [5, "text", None])
def test_a_randomizer_that_cannot_be_called_is_an_argument(value: Any) -> None:
    """An argument called `randomizer` that is not callable is one for a condition."""
    assert PercentageBucketer(Percentage(1)).check(randomizer=value) is True
    assert PercentageBucketer(Percentage(0)).check(randomizer=value) is False


def test_without_a_percentage_everybody_is_in() -> None:
    """A percentage of `None` is 100 percent, in calls and in documents."""
    for bucketer in (
        PercentageBucketer(),
        PercentageBucketer(None),
        PercentageBucketer(percentage=None),
        ConsistentHashPercentageBucketer(),
        ConsistentHashPercentageBucketer(percentage=None),
        PercentageBucketer.from_dict({}),
        PercentageBucketer.from_dict({"percentage": None}),
        ConsistentHashPercentageBucketer.from_dict({}),
        ConsistentHashPercentageBucketer.from_dict({"percentage": None}),
    ):
        assert bucketer.percentage == 1.0
        assert type(bucketer.percentage) is float
        assert bucketer.check(user_id=1) is True
        assert bucketer.to_dict()["percentage"] == {"type": "Percentage", "value": 1.0}


@pytest.mark.parametrize("number", [0, 0.0, 0.25, 1, Fraction(1, 2), False])
def test_a_number_is_accepted_as_a_percentage(number: Any) -> None:
    """A number instead of a percentage counts as one; zero is nobody."""
    bucketer = PercentageBucketer(number)
    assert bucketer.percentage == number
    assert bucketer.to_dict()["percentage"] == {"type": "Percentage", "value": number}
    consistent = ConsistentHashPercentageBucketer(percentage=number)
    assert consistent.percentage == number
    if number == 0:
        assert bucketer.check() is False
        assert consistent.check(user_id=1) is False


@pytest.mark.parametrize(
    ("arguments", "bucket"),
    [
        ({"user_id": 1}, 0.48),
        ({"user_id": 2}, 0.94),
        ({}, 0.32),
        ({"foo": "bar"}, 0.79),
        ({"foo": "bar", "herp": 99, "derp": False}, 0.67),
    ],
)
def test_buckets_are_those_of_flipper_client(
    arguments: dict[str, Any], bucket: float
) -> None:
    """The bucket of known arguments never changes, and the percentage is inclusive."""

    def ask(percentage: float) -> bool:
        return ConsistentHashPercentageBucketer(
            percentage=Percentage(percentage)
        ).check(**arguments)

    assert ask(bucket) is True
    assert ask(bucket - 0.01) is False
    assert ask(1) is True
    assert ask(0) is False


def test_half_is_51_of_100_buckets() -> None:
    """Percentages include one bucket more, as in flipper-client, to move no user."""
    half = ConsistentHashPercentageBucketer(percentage=Percentage(0.5))
    inside = sum(half.check(user_id=number) for number in range(10_000))
    exact = ConsistentHashPercentageBucketer(percentage=Percentage(0.509999))
    assert inside == sum(exact.check(user_id=number) for number in range(10_000))
    assert 0.5 < inside / 10_000 < 0.52


def test_the_order_of_arguments_does_not_matter() -> None:
    """The bucket does not depend on the order of the arguments."""
    half = ConsistentHashPercentageBucketer(percentage=Percentage(0.66))
    more = ConsistentHashPercentageBucketer(percentage=Percentage(0.67))
    assert half.check(foo="bar", herp=99, derp=False) is False
    assert half.check(derp=False, herp=99, foo="bar") is False
    assert more.check(derp=False, herp=99, foo="bar") is True


def test_only_whitelisted_arguments_are_hashed() -> None:
    """All calls without any whitelisted argument share the bucket of no arguments."""
    bucketer = ConsistentHashPercentageBucketer(
        key_whitelist=["user_id", "not given"], percentage=Percentage(0.48)
    )
    assert bucketer.check(user_id=1, page="/", other=object()) is True
    assert bucketer.check(user_id=2, page="/") is False
    assert bucketer.check(page="/") is True
    assert bucketer.check() is True


def test_randomizer_is_never_hashed() -> None:
    """The argument `randomizer` does not change the bucket."""
    bucketer = ConsistentHashPercentageBucketer(percentage=Percentage(0.48))
    assert bucketer.check(user_id=1, randomizer=99) is True
    assert bucketer.check(user_id=2, randomizer=lambda: 0) is False


def test_self_is_hashed_like_any_name() -> None:
    """`self` can be the name of an argument."""
    whole = ConsistentHashPercentageBucketer(percentage=Percentage(0.98999))
    answers = {number: whole.check(self=number) for number in range(300)}
    assert False in answers.values()
    assert True in answers.values()


@pytest.mark.parametrize("value", [object(), {1, 2}, b"x"])
def test_an_argument_that_json_cannot_express_raises(value: Any) -> None:
    """An argument that JSON cannot express raises, but not at zero percent."""
    some = ConsistentHashPercentageBucketer(percentage=Percentage(0.5))
    with pytest.raises(TypeError):
        some.check(user=value)
    none = ConsistentHashPercentageBucketer(percentage=Percentage(0))
    assert none.check(user=value) is False


def test_the_order_of_stored_fields_is_fixed() -> None:
    """The order of the fields is part of the stored bytes."""
    bucketer = ConsistentHashPercentageBucketer(
        key_whitelist=["b", "a"], percentage=Percentage(0.5)
    )
    stored = bucketer.to_dict()
    assert list(stored) == ["type", "percentage", "key_whitelist"]
    assert list(PercentageBucketer().to_dict()) == ["type", "percentage"]
    assert BucketerFactory.create(stored).to_dict() == stored


def test_the_whitelist_keeps_its_order() -> None:
    """The whitelist keeps the order of the first mentions, also in stored bytes."""
    names = ["b", "a", "b", "d", "c", "a"]
    bucketer = ConsistentHashPercentageBucketer(key_whitelist=names)
    assert bucketer.to_dict()["key_whitelist"] == ["b", "a", "d", "c"]
    code = (
        "from flipper.bucketing import ConsistentHashPercentageBucketer as Bucketer;"
        f"print(Bucketer(key_whitelist={names!r}).to_dict()['key_whitelist'])"
    )
    for seed in ("1", "2"):
        ran = subprocess.run(
            [sys.executable, "-c", code],
            env={
                "PYTHONHASHSEED": seed,
                "PYTHONPATH": ":".join(filter(None, sys.path)),
            },
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert ran.stdout.strip() == "['b', 'a', 'd', 'c']"


def test_the_whitelist_is_not_shared_with_the_caller() -> None:
    """A change of the caller's list does not change the bucketer."""
    names = ["user_id"]
    bucketer = ConsistentHashPercentageBucketer(key_whitelist=names)
    names.append("page")
    bucketer.to_dict()["key_whitelist"].append("page")
    assert bucketer.to_dict()["key_whitelist"] == ["user_id"]


def test_a_text_is_one_whitelisted_name() -> None:
    """A text as whitelist is one name, and not a name for each letter."""
    bucketer = ConsistentHashPercentageBucketer(
        key_whitelist="user_id", percentage=Percentage(0.48)
    )
    assert bucketer.to_dict()["key_whitelist"] == ["user_id"]
    assert bucketer.check(user_id=1) is True
    assert bucketer.check(user_id=2) is False


@pytest.mark.parametrize("nothing", [None, [], ()])
def test_an_empty_whitelist_hashes_all_arguments(nothing: Any) -> None:
    """An empty whitelist, in a call or a document, is the same as none."""
    made = ConsistentHashPercentageBucketer(
        key_whitelist=nothing, percentage=Percentage(0.48)
    )
    read = ConsistentHashPercentageBucketer.from_dict(
        {"key_whitelist": nothing, "percentage": {"type": "Percentage", "value": 0.48}}
    )
    for bucketer in (made, read):
        assert bucketer.to_dict()["key_whitelist"] == []
        assert bucketer.check(user_id=1) is True
        assert bucketer.check(user_id=2) is False


# Percentages


@pytest.mark.parametrize(
    "number", [0.5, 1, True, Fraction(1, 2), Decimal("0.5"), 0, -1, 2.5]
)
def test_percentages_compare_with_numbers_on_either_side(number: Any) -> None:
    """A percentage compares like its value, on both sides of an operator."""
    percentage = Percentage(0.5)
    for compare in (operator.lt, operator.le, operator.gt, operator.ge):
        assert compare(percentage, number) is compare(0.5, number)
        assert compare(number, percentage) is compare(number, 0.5)
    for compare in (operator.eq, operator.ne):
        assert compare(percentage, number) is compare(0.5, number)
        assert compare(number, percentage) is compare(number, 0.5)


@pytest.mark.parametrize("other", ["0.5", None, [], object()])
def test_percentages_do_not_order_with_anything_else(other: Any) -> None:
    """To order a percentage and anything but a number raises `ValueError`."""
    for compare in (operator.lt, operator.le, operator.gt, operator.ge):
        with pytest.raises(ValueError):  # noqa: PT011 (the text is not fixed)
            compare(Percentage(0.5), other)


def test_percentages_can_be_compared_for_equality_with_anything() -> None:
    """Percentages are equal if their values are, and unequal to everything else."""
    assert Percentage(0.5) == Percentage(0.5)
    assert Percentage(0.5) != Percentage(0.6)
    assert Percentage(0.5) == LinearRampPercentage(0.5, 0.5, 10, START)
    for other in (None, "x", "0.5", [0.5], object()):
        assert (Percentage(0.5) == other) is False
        assert (Percentage(0.5) != other) is True
        assert (other == Percentage(0.5)) is False


@pytest.mark.parametrize("value", [0, 0.25, 1, True, Fraction(1, 3), 50])
def test_a_percentage_keeps_the_given_number(value: Any) -> None:
    """A percentage keeps the type of its number, so that documents stay the same."""
    assert Percentage(value).value is value
    assert Percentage(value).to_dict() == {"type": "Percentage", "value": value}
    assert Percentage().value == 1.0


def test_a_stored_percentage_without_a_value_is_the_default() -> None:
    """A stored percentage without a value has the default value."""
    percentage = Percentage.from_dict({"type": "Percentage"})
    assert percentage.value == 1.0
    assert PercentageBucketer(percentage).check() is True


# Ramps


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Give the function that sets the time of ramps, in Unix seconds."""

    def set_to(now: float) -> None:
        class Clock(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> datetime:
                return datetime.fromtimestamp(now, tz)

        monkeypatch.setattr(f"{RAMPS}.datetime", Clock)

    return set_to


@pytest.mark.parametrize(
    ("initial", "final"), [(0.2, 0.8), (0.8, 0.2), (0.0, 1.0), (1.0, 0.0), (0.5, 0.5)]
)
@pytest.mark.parametrize(
    ("elapsed", "share"),
    [(-86400, 0), (-1, 0), (0, 0), (600, 1 / 3), (900, 0.5), (1800, 1), (10**8, 1)],
)
def test_ramps_go_from_one_end_to_the_other_and_stay(
    set_clock: Callable[[float], None],
    initial: float,
    final: float,
    elapsed: float,
    share: float,
) -> None:
    """A ramp goes up or down from its first value to its last, and stays there."""
    set_clock(START + elapsed)
    ramp = LinearRampPercentage(initial, final, 1800, START)
    assert ramp.value == pytest.approx(initial + (final - initial) * share, abs=1e-9)
    assert min(initial, final) <= ramp.value <= max(initial, final)


@pytest.mark.parametrize("duration", [0, -1, -1800])
def test_a_ramp_without_a_duration_is_at_its_end(
    set_clock: Callable[[float], None], duration: int
) -> None:
    """A ramp of no duration always has its last value."""
    for elapsed in (-10, 0, 10):
        set_clock(START + elapsed)
        assert LinearRampPercentage(0.2, 0.8, duration, START).value == 0.8


def test_the_parts_of_a_ramp_can_be_read(set_clock: Callable[[float], None]) -> None:
    """Each argument of a ramp is an attribute."""
    set_clock(START + 900.5)
    ramp = LinearRampPercentage(0.2, 0.8, 1800, START)
    assert ramp.dt == 900.5
    assert type(ramp.dt) is float
    assert ramp.slope == (0.8 - 0.2) / 1800
    assert ramp.value == ramp.slope * 900.5 + 0.2
    with pytest.raises(ZeroDivisionError):
        _ = LinearRampPercentage(0.2, 0.8, 0, START).slope


def test_a_ramp_without_a_time_begins_now(set_clock: Callable[[float], None]) -> None:
    """A ramp without a time begins when it is made."""
    set_clock(START)
    ramp = LinearRampPercentage(0.2, 0.8, 1800)
    bucketer = PercentageBucketer(ramp)
    assert (ramp.dt, ramp.value) == (0.0, 0.2)
    assert ramp.to_dict()["initial_time"] == START
    set_clock(START + 900)
    assert bucketer.percentage == pytest.approx(0.5)
    assert bucketer.check(randomizer=lambda: 0.49) is True
    assert bucketer.check(randomizer=lambda: 0.51) is False


def test_a_ramp_over_days_counts_whole_time(
    set_clock: Callable[[float], None],
) -> None:
    """A ramp of several days does not begin again every day."""
    set_clock(START + 3 * 86400)
    assert LinearRampPercentage(0.0, 1.0, 4 * 86400, START).value == 0.75


@pytest.fixture
def new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set the local time to one with daylight saving."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    assert time.daylight
    yield
    monkeypatch.undo()
    time.tzset()


SPRING = 1_710_054_000  # 2024-03-10 07:00 UTC, when two o'clock became three
AUTUMN = 1_730_613_600  # 2024-11-03 06:00 UTC, when two o'clock became one


@pytest.mark.usefixtures("new_york")
@pytest.mark.parametrize("change", [SPRING, AUTUMN])
def test_a_ramp_ignores_daylight_saving(
    set_clock: Callable[[float], None], change: int
) -> None:
    """A ramp counts seconds, also when clocks are changed."""
    begin = change - 1800
    set_clock(begin + 3600)
    ramp = LinearRampPercentage(0.0, 1.0, 7200, begin)
    assert ramp.dt == 3600
    assert ramp.value == pytest.approx(0.5)


def test_a_ramp_is_stored_in_whole_seconds() -> None:
    """The stored time is cut to whole seconds, and the order of fields is fixed."""
    stored = LinearRampPercentage(0.2, 0.8, 60, 1500000000.9).to_dict()
    assert list(stored.items()) == [
        ("type", "LinearRampPercentage"),
        ("initial_value", 0.2),
        ("final_value", 0.8),
        ("ramp_duration", 60),
        ("initial_time", 1500000000),
    ]
    assert type(stored["initial_time"]) is int
    assert PercentageFactory.create(stored).to_dict() == stored


@pytest.mark.parametrize("fields", [{}, {"initial_time": None}])
def test_an_incomplete_ramp_has_the_defaults(
    set_clock: Callable[[float], None], fields: dict[str, Any]
) -> None:
    """A stored ramp that lacks fields has defaults, and begins when it is read."""
    set_clock(START)
    ramp = LinearRampPercentage.from_dict(fields)
    assert ramp.to_dict() == {
        "type": "LinearRampPercentage",
        "initial_value": 0.0,
        "final_value": 1.0,
        "ramp_duration": 3600,
        "initial_time": START,
    }


def test_a_time_in_milliseconds_is_refused() -> None:
    """A time in milliseconds, which is in the year 55000, is refused."""
    with pytest.raises(ValueError, match="year"):
        LinearRampPercentage(0.2, 0.8, 1800, START * 1000)
