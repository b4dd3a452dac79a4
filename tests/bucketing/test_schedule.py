# SPDX-License-Identifier: Apache-2.0
"""Schedules: percentages that change at given times."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from fractions import Fraction
from typing import Any

import pytest

from flipper import FeatureFlagClient, MemoryFeatureFlagStore
from flipper.bucketing import (
    ConsistentHashPercentageBucketer,
    LinearRampPercentage,
    Percentage,
    PercentageBucketer,
    PercentageFactory,
    Schedule,
)
from flipper.bucketing.percentage.schedule import EARLIEST, LATEST
from flipper.exceptions import InvalidArgumentError

NEW_YEAR = datetime(2030, 1, 1, tzinfo=timezone.utc)
SECONDS = int(NEW_YEAR.timestamp())
RAMP = LinearRampPercentage(0.25, 0.75, 100, SECONDS)
NAMES = {
    "LinearRampPercentage": LinearRampPercentage,
    "PercentageFactory": PercentageFactory,
    "Schedule": Schedule,
}


class Tenth(Percentage):
    """A percentage of an application."""

    def __init__(self) -> None:
        super().__init__(0.1)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the current time of schedules, in a list."""
    now = [0.0]
    monkeypatch.setattr("flipper.bucketing.percentage.schedule.time", lambda: now[0])
    return now


def test_each_share_counts_from_its_time_on(clock: list[float]) -> None:
    """Before the first time the share is 0; the last one stays."""
    schedule = Schedule([(10, 0.25), (20, Percentage(1)), (30.5, 0)])
    steps = [(-1e9, 0), (9.99, 0), (10, 0.25), (19, 0.25), (20, 1), (30.5, 0), (1e9, 0)]
    for now, share in steps:
        clock[0] = now
        assert schedule.value == share
        assert schedule == share


def test_a_flag_is_on_between_two_times(clock: list[float]) -> None:
    """A stored flag follows the schedule, without a further write."""
    client = FeatureFlagClient(MemoryFeatureFlagStore())
    client.create("SALE", is_enabled=True)
    hour = Schedule([(NEW_YEAR, 1), (NEW_YEAR + timedelta(hours=1), 0)])
    client.set_bucketer("SALE", ConsistentHashPercentageBucketer(percentage=hour))
    for now, expected in [(-1, False), (0, True), (3599, True), (3600, False)]:
        clock[0] = SECONDS + now
        assert client.is_enabled("SALE", user_id=1) is expected
        assert client.explain("SALE", user_id=1).enabled is expected


def test_an_entry_may_be_a_ramp(clock: list[float]) -> None:
    """Then the share is that of the ramp."""
    clock[0] = SECONDS
    schedule = Schedule([(NEW_YEAR, RAMP)])
    assert schedule.value == RAMP.value == 0.25
    assert schedule.parts() == {
        "initial_value of entry 0": 0.25,
        "final_value of entry 0": 0.75,
    }
    assert Schedule([(1, 0.5)]).parts() == {"share of entry 0": 0.5}


def test_times_are_kept_in_seconds_since_the_epoch() -> None:
    """Whole seconds as integers, so that every store and format has the same."""
    in_india = NEW_YEAR.astimezone(timezone(timedelta(hours=5, minutes=30)))
    for when in (NEW_YEAR, in_india, SECONDS, float(SECONDS), Fraction(SECONDS)):
        entries = Schedule([(when, 0.5)]).entries
        assert entries == ((SECONDS, 0.5),)
        assert type(entries[0][0]) is int
    half = NEW_YEAR + timedelta(seconds=0.5)
    assert Schedule([(half, Fraction(1, 4))]).entries == ((SECONDS + 0.5, 0.25),)


@pytest.mark.parametrize(
    "schedule",
    [
        Schedule([(NEW_YEAR, 0.5)]),
        Schedule([(-5.5, 1), (0, 0), (NEW_YEAR, RAMP)]),
        Schedule([(5, LinearRampPercentage(1, 0, 0.5, 7)), (6, Tenth())]),
    ],
)
def test_a_schedule_survives_every_copy(
    schedule: Schedule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As code, as JSON, as a pickle and as a copy."""
    monkeypatch.setitem(PercentageFactory.PERCENTAGE_MAP, "Tenth", Tenth)
    monkeypatch.setattr(Tenth, "from_dict", classmethod(lambda cls, _: cls()))
    fields = json.loads(json.dumps(schedule.to_dict()))
    assert fields["type"] == Schedule.get_type() == "Schedule"
    copies = [
        eval(repr(schedule), NAMES),  # noqa: S307  (what is tested)
        PercentageFactory.create(fields),
        pickle.loads(pickle.dumps(schedule)),  # noqa: S301  (its own pickle)
        copy.deepcopy(schedule),
    ]
    for made in copies:
        assert type(made) is Schedule
        assert made.to_dict() == schedule.to_dict()
        assert repr(made) == repr(schedule)


def test_the_repr_is_the_code_that_makes_it() -> None:
    """A percentage of an application is made by its plain data."""
    ramp = LinearRampPercentage(1, 0, 0.5, 7)
    assert repr(Schedule([(5, ramp), (6, 0.25), (7.5, Tenth())])) == (
        "Schedule([(5, LinearRampPercentage(1, 0, 0.5, 7)), (6, 0.25), "
        "(7.5, PercentageFactory.create({'type': 'Tenth', 'value': 0.1}))])"
    )


NAIVE = datetime(2030, 1, 1)  # noqa: DTZ001  (what is tested)
INNER = Schedule([(5, 1)])
# Entries, the name and the value of what is wrong with them, and the problem.
REFUSED: list[tuple[Any, str, Any, str]] = [
    ([], "value", [], "has no entry, so it is always off"),
    *(
        (entries, "value", entries, "is not a list of pairs")
        for entries in (5, [5], [(5, 0.5, 1)])
    ),
    ([(NAIVE, 1)], "time", NAIVE, "has no time zone"),
    *(
        ([(when, 1)], "time", when, "is neither a datetime nor seconds")
        for when in (True, None, "2030-01-01", 1j)
    ),
    *(
        ([(when, 1)], "time", when, "is no date in seconds since 1970")
        for when in (EARLIEST - 1, LATEST + 1, float("nan"), -1e15, 10**70)
    ),
    *(
        ([(5, 1), (when, 0)], "time", when, "is not later than 5 before it")
        for when in (5, 4)
    ),
    ([(5, 1), (7, 0), (6, 1)], "time", 6, "is not later than 7 before it"),
    *(
        ([(5, share)], "share", share, "is not a number from 0 to 1")
        for share in (50, 1.01, -0.1, True, None, "0.5", float("nan"))
    ),
    ([(5, Percentage(50))], "share", 50, "is not a number from 0 to 1"),
    (
        [(5, LinearRampPercentage(0, 50))],
        *("final_value", 50, "is not a number from 0 to 1"),
    ),
    ([(5, INNER)], "share", INNER, "is a schedule itself"),
]


def refusal(name: str, value: Any, problem: str) -> str:
    """Return the whole message of an error."""
    return (
        f"The {name} {value!r} of the schedule {problem}; "
        f"use Schedule([(datetime(2030, 1, 1, tzinfo=timezone.utc), 0.5)])"
    )


@pytest.mark.parametrize(("entries", "name", "value", "problem"), REFUSED)
def test_what_cannot_be_used_is_refused(
    entries: Any, name: str, value: Any, problem: str
) -> None:
    """The error names the value and the remedy."""
    with pytest.raises(InvalidArgumentError) as caught:
        Schedule(entries)
    assert str(caught.value) == refusal(name, value, problem)
    assert repr(caught.value.value) == repr(value)


@pytest.mark.parametrize("when", [EARLIEST, LATEST])
def test_the_first_and_the_last_time_can_be_given(when: int) -> None:
    """They are the limits that the errors of other times come from."""
    assert Schedule([(when, 0.5)]).entries == ((when, 0.5),)


def deep_fields(depth: int) -> dict[str, Any]:
    """Return plain data of schedules in schedules."""
    fields: dict[str, Any] = {"type": "Schedule", "entries": [[5, 1]]}
    for _ in range(depth):
        fields = {"type": "Schedule", "entries": [[5, fields]]}
    return fields


NO_FIELDS = "has not exactly type and entries"
NO_ENTRY = "is not a list of time and share"


@pytest.mark.parametrize(
    ("fields", "name", "value", "problem"),
    [
        *(
            (fields, "plain data", {"type": "Schedule", **fields}, NO_FIELDS)
            for fields in (
                *({}, {"entries": {}}, {"entries": None}),
                {"entries": [[5, 1]], "extra": 1},
            )
        ),
        *(
            ({"entries": [entry]}, "entry", entry, NO_ENTRY)
            for entry in (5, [5], [5, 1, 1], {"a": 1, "b": 2})
        ),
        ({"entries": [[5, 50]]}, "share", 50, "is not a number from 0 to 1"),
        (deep_fields(1), "share", deep_fields(0), "is a schedule itself"),
    ],
    ids=range(10),
)
def test_broken_plain_data_is_refused(
    fields: dict[str, Any], name: str, value: Any, problem: str
) -> None:
    """A flag with it is a broken document."""
    with pytest.raises(InvalidArgumentError) as caught:
        PercentageFactory.create({"type": "Schedule", **fields})
    assert str(caught.value) == refusal(name, value, problem)


def test_plain_data_nested_without_end_is_refused() -> None:
    """It is not followed."""
    with pytest.raises(InvalidArgumentError, match="is a schedule itself"):
        PercentageFactory.create(deep_fields(5000))


def test_a_client_refuses_a_ramp_that_is_wrong_in_a_schedule() -> None:
    """A schedule checks what it is made of, and the client checks the schedule."""
    client = FeatureFlagClient(MemoryFeatureFlagStore())
    client.create("X")
    ramp = LinearRampPercentage(0, 1, 60, 5)
    bucketer = PercentageBucketer(Schedule([(5, ramp)]))
    client.set_bucketer("X", bucketer)
    ramp._final_value = 50
    message = "The final_value of entry 0 50 of the bucketer for feature 'X' is not a"
    with pytest.raises(InvalidArgumentError, match=message):
        client.set_bucketer("X", bucketer)


def test_only_a_flag_that_needs_it_loads_the_class() -> None:
    """Neither the client nor other flags do; a stored schedule is read all the same."""
    program = (
        "import sys\n"
        "import flipper.client\n"
        "from flipper.bucketing import PercentageFactory\n"
        "PercentageFactory.create({'type': 'Percentage', 'value': 1})\n"
        "name = 'flipper.bucketing.percentage.schedule'\n"
        "assert name not in sys.modules\n"
        "PercentageFactory.create({'type': 'Schedule', 'entries': [[5, 1]]})\n"
        "assert name in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    fields = {"type": "Schedule", "entries": [[5, 1]]}
    assert type(PercentageFactory.create(fields)) is Schedule


def test_a_class_of_an_application_keeps_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its flags are stored under the type "Schedule", so it goes on reading them."""
    program = (
        "import sys\n"
        "from flipper.bucketing import Percentage, PercentageFactory\n"
        "Mine = PercentageFactory.register(type('Schedule', (Percentage,), {}))\n"
        "made = PercentageFactory.create({'type': 'Schedule', 'value': 0.5})\n"
        "assert type(made) is Mine, made\n"
        "assert 'flipper.bucketing.percentage.schedule' not in sys.modules\n"
        "import flipper.bucketing.percentage.schedule\n"
        "made = PercentageFactory.create({'type': 'Schedule', 'value': 0.5})\n"
        "assert type(made) is Mine, made\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    monkeypatch.setitem(PercentageFactory.PERCENTAGE_MAP, "Schedule", Percentage)
    made = PercentageFactory.create({"type": "Schedule", "value": 0.5})
    assert type(made) is Percentage


@pytest.mark.parametrize("name", ["flipper.bucketing", "flipper.bucketing.percentage"])
def test_both_packages_have_the_name(name: str) -> None:
    """An unknown name is an AttributeError as ever."""
    module = sys.modules[name]
    assert module.Schedule is Schedule
    with pytest.raises(AttributeError, match="no attribute 'Scheduled'"):
        _ = module.Scheduled
