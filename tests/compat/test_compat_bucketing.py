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
    """It can be asked of the class and of an instance, and is stored."""
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
def test_factories_name_the_type_they_do_not_know(
    create: Callable[[Any], Any], error: type[Exception], kind: str
) -> None:
    """A flag of a newer version is recognized as such."""
    with pytest.raises(error) as caught:
        create({"type": "Nope"})
    assert str(caught.value) == f"{kind} type not supported: Nope"


def test_a_missing_type_is_an_error_of_the_factory_that_lacks_it() -> None:
    """Which of the two was incomplete is what one wants to know."""
    with pytest.raises(BucketerFactory.InvalidBucketerTypeError):
        BucketerFactory.create({})
    with pytest.raises(PercentageFactory.InvalidPercentageTypeError):
        PercentageFactory.create({})
    with pytest.raises(PercentageFactory.InvalidPercentageTypeError):
        BucketerFactory.create({"type": "PercentageBucketer", "percentage": {}})


def test_additions_to_the_maps_take_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is how types of one's own are read."""

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
    """It is what a flag without a bucketer has."""
    assert NoOpBucketer().check() is True
    assert NoOpBucketer().check(self=1, user=object()) is True
    assert NoOpBucketer().to_dict() == {"type": "NoOpBucketer"}


def test_a_random_bucketer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """A draw of exactly the percentage is in."""
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
def test_the_ends_of_the_scale(percentage: float, draw: float, answer: bool) -> None:
    """Zero is nobody, although a draw of zero is possible."""
    bucketer = PercentageBucketer(Percentage(percentage))
    assert bucketer.check(randomizer=lambda: draw) is answer


@pytest.mark.parametrize("value", [5, "text", None])
def test_a_randomizer_that_cannot_be_called_is_an_argument(value: Any) -> None:
    """Somebody's condition has that name."""
    assert PercentageBucketer(Percentage(1)).check(randomizer=value) is True
    assert PercentageBucketer(Percentage(0)).check(randomizer=value) is False


def test_without_a_percentage_everybody_is_in() -> None:
    """`None` means 100 percent, in calls and in documents."""
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
def test_a_number_means_a_percentage(number: Any) -> None:
    """`PercentageBucketer(0)` has to be nobody."""
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
def test_known_buckets(arguments: dict[str, Any], bucket: float) -> None:
    """Users stay where they are; the bucket of exactly the percentage is in."""

    def ask(percentage: float) -> bool:
        return ConsistentHashPercentageBucketer(
            percentage=Percentage(percentage)
        ).check(**arguments)

    assert ask(bucket) is True
    assert ask(bucket - 0.01) is False
    assert ask(1) is True
    assert ask(0) is False


def test_half_is_51_of_100_buckets() -> None:
    """One bucket too many, kept so that nobody is moved."""
    half = ConsistentHashPercentageBucketer(percentage=Percentage(0.5))
    inside = sum(half.check(user_id=number) for number in range(10_000))
    exact = ConsistentHashPercentageBucketer(percentage=Percentage(0.509999))
    assert inside == sum(exact.check(user_id=number) for number in range(10_000))
    assert 0.5 < inside / 10_000 < 0.52


def test_the_order_of_arguments_does_not_matter() -> None:
    """Two places in the code that ask alike must get the same answer."""
    half = ConsistentHashPercentageBucketer(percentage=Percentage(0.66))
    more = ConsistentHashPercentageBucketer(percentage=Percentage(0.67))
    assert half.check(foo="bar", herp=99, derp=False) is False
    assert half.check(derp=False, herp=99, foo="bar") is False
    assert more.check(derp=False, herp=99, foo="bar") is True


def test_only_whitelisted_arguments_are_hashed() -> None:
    """Without any of them, all callers share the bucket of no arguments."""
    bucketer = ConsistentHashPercentageBucketer(
        key_whitelist=["user_id", "not given"], percentage=Percentage(0.48)
    )
    assert bucketer.check(user_id=1, page="/", other=object()) is True
    assert bucketer.check(user_id=2, page="/") is False
    assert bucketer.check(page="/") is True
    assert bucketer.check() is True


def test_randomizer_is_never_hashed() -> None:
    """Buckets depend on it."""
    bucketer = ConsistentHashPercentageBucketer(percentage=Percentage(0.48))
    assert bucketer.check(user_id=1, randomizer=99) is True
    assert bucketer.check(user_id=2, randomizer=lambda: 0) is False


def test_self_is_hashed_like_any_name() -> None:
    """It is somebody's argument."""
    whole = ConsistentHashPercentageBucketer(percentage=Percentage(0.98999))
    answers = {number: whole.check(self=number) for number in range(300)}
    assert False in answers.values()
    assert True in answers.values()


@pytest.mark.parametrize("value", [object(), {1, 2}, b"x"])
def test_what_json_cannot_express_has_no_bucket(value: Any) -> None:
    """At zero percent it is not even looked at."""
    some = ConsistentHashPercentageBucketer(percentage=Percentage(0.5))
    with pytest.raises(TypeError):
        some.check(user=value)
    none = ConsistentHashPercentageBucketer(percentage=Percentage(0))
    assert none.check(user=value) is False


def test_the_stored_form_is_in_order() -> None:
    """It is part of the stored bytes."""
    bucketer = ConsistentHashPercentageBucketer(
        key_whitelist=["b", "a"], percentage=Percentage(0.5)
    )
    stored = bucketer.to_dict()
    assert list(stored) == ["type", "percentage", "key_whitelist"]
    assert list(PercentageBucketer().to_dict()) == ["type", "percentage"]
    assert BucketerFactory.create(stored).to_dict() == stored


def test_the_whitelist_has_a_definite_order() -> None:
    """The same flag has the same bytes in every process; first mention counts."""
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
    """A list that grows later must not move users."""
    names = ["user_id"]
    bucketer = ConsistentHashPercentageBucketer(key_whitelist=names)
    names.append("page")
    bucketer.to_dict()["key_whitelist"].append("page")
    assert bucketer.to_dict()["key_whitelist"] == ["user_id"]


def test_a_text_is_one_whitelisted_name() -> None:
    """Single letters of it are names that nobody means."""
    bucketer = ConsistentHashPercentageBucketer(
        key_whitelist="user_id", percentage=Percentage(0.48)
    )
    assert bucketer.to_dict()["key_whitelist"] == ["user_id"]
    assert bucketer.check(user_id=1) is True
    assert bucketer.check(user_id=2) is False


@pytest.mark.parametrize("nothing", [None, [], ()])
def test_a_whitelist_of_nothing_hashes_all_arguments(nothing: Any) -> None:
    """In calls, and in documents that others have written."""
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
    """A percentage stands for its value."""
    percentage = Percentage(0.5)
    for compare in (operator.lt, operator.le, operator.gt, operator.ge):
        assert compare(percentage, number) is compare(0.5, number)
        assert compare(number, percentage) is compare(number, 0.5)
    for compare in (operator.eq, operator.ne):
        assert compare(percentage, number) is compare(0.5, number)
        assert compare(number, percentage) is compare(number, 0.5)


@pytest.mark.parametrize("other", ["0.5", None, [], object()])
def test_percentages_do_not_order_with_anything_else(other: Any) -> None:
    """A `ValueError`, as it was."""
    for compare in (operator.lt, operator.le, operator.gt, operator.ge):
        with pytest.raises(ValueError):  # noqa: PT011 (the text is not fixed)
            compare(Percentage(0.5), other)


def test_percentages_can_be_compared_for_equality_with_anything() -> None:
    """Two percentages by value, others are simply unequal."""
    assert Percentage(0.5) == Percentage(0.5)
    assert Percentage(0.5) != Percentage(0.6)
    assert Percentage(0.5) == LinearRampPercentage(0.5, 0.5, 10, START)
    for other in (None, "x", "0.5", [0.5], object()):
        assert (Percentage(0.5) == other) is False
        assert (Percentage(0.5) != other) is True
        assert (other == Percentage(0.5)) is False


@pytest.mark.parametrize("value", [0, 0.25, 1, True, Fraction(1, 3), 50])
def test_a_percentage_holds_what_was_given(value: Any) -> None:
    """Documents are rewritten as they were, `1` as `1` and `1.0` as `1.0`."""
    assert Percentage(value).value is value
    assert Percentage(value).to_dict() == {"type": "Percentage", "value": value}
    assert Percentage().value == 1.0


def test_a_stored_percentage_without_a_value_is_the_default() -> None:
    """It failed at every question before."""
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
    """Up or down, with an honest beginning and an end."""
    set_clock(START + elapsed)
    ramp = LinearRampPercentage(initial, final, 1800, START)
    assert ramp.value == pytest.approx(initial + (final - initial) * share, abs=1e-9)
    assert min(initial, final) <= ramp.value <= max(initial, final)


@pytest.mark.parametrize("duration", [0, -1, -1800])
def test_a_ramp_without_a_duration_is_at_its_end(
    set_clock: Callable[[float], None], duration: int
) -> None:
    """Whatever the time."""
    for elapsed in (-10, 0, 10):
        set_clock(START + elapsed)
        assert LinearRampPercentage(0.2, 0.8, duration, START).value == 0.8


def test_the_parts_of_a_ramp(set_clock: Callable[[float], None]) -> None:
    """They can be read one by one."""
    set_clock(START + 900.5)
    ramp = LinearRampPercentage(0.2, 0.8, 1800, START)
    assert ramp.dt == 900.5
    assert type(ramp.dt) is float
    assert ramp.slope == (0.8 - 0.2) / 1800
    assert ramp.value == ramp.slope * 900.5 + 0.2
    with pytest.raises(ZeroDivisionError):
        _ = LinearRampPercentage(0.2, 0.8, 0, START).slope


def test_a_ramp_begins_now(set_clock: Callable[[float], None]) -> None:
    """Without a time it begins when it is made."""
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
    """It does not begin anew each day."""
    set_clock(START + 3 * 86400)
    assert LinearRampPercentage(0.0, 1.0, 4 * 86400, START).value == 0.75


@pytest.fixture
def new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Be where clocks are changed twice a year."""
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
def test_a_ramp_counts_seconds_and_not_clock_faces(
    set_clock: Callable[[float], None], change: int
) -> None:
    """A duration is a duration, when clocks change as well."""
    begin = change - 1800
    set_clock(begin + 3600)
    ramp = LinearRampPercentage(0.0, 1.0, 7200, begin)
    assert ramp.dt == 3600
    assert ramp.value == pytest.approx(0.5)


def test_a_ramp_is_stored_in_whole_seconds() -> None:
    """The order is part of the stored bytes; the time is cut toward zero."""
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
    """It begins at the moment of reading."""
    set_clock(START)
    ramp = LinearRampPercentage.from_dict(fields)
    assert ramp.to_dict() == {
        "type": "LinearRampPercentage",
        "initial_value": 0.0,
        "final_value": 1.0,
        "ramp_duration": 3600,
        "initial_time": START,
    }


def test_milliseconds_are_refused() -> None:
    """A ramp that begins in the year 55000 is a mistake."""
    with pytest.raises(ValueError, match="year"):
        LinearRampPercentage(0.2, 0.8, 1800, START * 1000)
