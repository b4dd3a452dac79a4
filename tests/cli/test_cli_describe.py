# SPDX-License-Identifier: Apache-2.0
"""Whom a flag is on for, and for whom a change of it changes the answer, in words."""

from __future__ import annotations

import time
from typing import Any

import pytest

from flipper import Condition
from flipper.bucketing import (
    ConsistentHashPercentageBucketer,
    LinearRampPercentage,
    Percentage,
    PercentageBucketer,
    Schedule,
)
from flipper.cli.blast_radius import blast_radius
from flipper.cli.changes import Change, compare
from flipper.cli.describe import describe_audience, state_word
from flipper.cli.output import printable, printable_data
from flipper.cli.percentages import format_time
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta

ADULT = Condition(age__gte=18)
NORDIC = Condition(country__in=["SE", "NO"])


def flag(is_enabled: Any, *conditions: Condition, by: Any = None) -> Any:
    """Make a flag."""
    meta = FeatureFlagStoreMeta(1, {}, [*conditions], by)
    return FeatureFlagStoreItem("flag", is_enabled, meta)


def share(value: float, *names: str) -> Any:
    """Make a bucketer: at random, or by the given arguments."""
    if names:
        return ConsistentHashPercentageBucketer(
            key_whitelist=names, percentage=Percentage(value)
        )
    return PercentageBucketer(percentage=Percentage(value))


@pytest.mark.parametrize(
    ("item", "state", "audience"),
    [
        (flag(False), "off", "everybody"),
        (flag(None), "off", "everybody"),
        (flag(True), "on", "everybody"),
        (flag(1), "on", "everybody"),
        (flag(True, ADULT, NORDIC), "partly", "age >= 18 and country in SE,NO"),
        (flag(True, by=share(0.1)), "partly", "10% of calls, at random"),
        (flag(True, by=share(1)), "on", "100% of calls, at random"),
        (flag(True, by=share(1, "user_id")), "on", "100% by user_id"),
        (flag(True, by=share(0.1, "a", "b")), "partly", "10% by a, b"),
        (
            flag(True, ADULT, by=share(1)),
            "partly",
            "age >= 18; without these arguments: 100% of calls, at random",
        ),
    ],
)
def test_a_flag_is_described(item: Any, state: str, audience: str) -> None:
    """By its state, and by whom it is on for if it is enabled."""
    assert (state_word(item), describe_audience(item)) == (state, audience)
    if state == "on":
        assert item.is_enabled(user_id=1) is True


def test_a_schedule_is_described_with_its_times() -> None:
    """And with the share now; a share may be a ramp."""
    ramp = LinearRampPercentage(0.5, 0.5, 3600, 0)
    schedule = Schedule([(0, 0.25), (1_500_000_000, ramp), (4_000_000_000, 1)])
    text = describe_audience(flag(True, by=PercentageBucketer(percentage=schedule)))
    assert text == (
        "50% now (25% from 1970-01-01 00:00:00 UTC, 50% now (50% to 50% in 1h from "
        "1970-01-01 00:00:00 UTC) from 2017-07-14 02:40:00 UTC, 100% from 2096-10-02 "
        "07:06:40 UTC) of calls, at random"
    )


def test_a_ramp_is_described_with_its_present_share() -> None:
    """And with its beginning, its end and its duration."""
    ramp = LinearRampPercentage(0.5, 0.5, 3600, time.time())
    text = describe_audience(flag(True, by=PercentageBucketer(percentage=ramp)))
    assert text.startswith("50% now (50% to 50% in 1h from ")


def test_a_time_that_is_none_is_shown_as_it_is() -> None:
    """Stores may hold what another program has written."""
    assert format_time(0) == "1970-01-01 00:00:00 UTC"
    assert [*map(format_time, (None, "x", 1e300))] == ["None", "'x'", "1e+300"]


@pytest.mark.parametrize(
    ("before", "after", "sentences"),
    [
        (None, flag(False), []),
        (None, flag(True), ["off for everybody -> on for everybody"]),
        (flag(True), None, ["on for everybody -> off for everybody"]),
        (flag(False), None, []),
        (flag(False), flag(True, ADULT), ["off for everybody -> on for age >= 18"]),
        (flag(True), flag(True, ADULT), ["on for everybody -> on for age >= 18"]),
        (
            flag(False),
            flag(False, ADULT),
            ["off for everybody; if enabled: everybody -> age >= 18"],
        ),
        (
            flag(True, ADULT),
            flag(True, NORDIC),
            ["condition age >= 18 -> country in SE,NO"],
        ),
        (
            flag(True, ADULT),
            flag(True, ADULT, NORDIC),
            ["now needs country in SE,NO; who does not meet it is excluded"],
        ),
        (flag(True, ADULT, NORDIC), flag(True, NORDIC), ["no longer needs age >= 18"]),
        (
            flag(True, by=share(0.1, "id")),
            flag(True, by=share(0.5, "id")),
            ["10% by id -> 50% by id"],
        ),
        (
            flag(True, by=share(0.1, "id")),
            flag(True, by=share(0.1, "name")),
            [
                "10% by id -> 10% by name",
                "other users than before are in, because other arguments are hashed",
            ],
        ),
        (flag(True, ADULT, NORDIC), flag(True, NORDIC, ADULT), []),
    ],
)
def test_a_change_says_for_whom_the_answer_changes(
    before: Any, after: Any, sentences: list[str]
) -> None:
    """It says nothing if no answer changes."""
    assert blast_radius(Change("flag", before, after)) == sentences


def test_only_what_differs_is_changed() -> None:
    """Python takes 1, 1.0 and True for equal, but documents do not."""
    present = {"flag": flag(True)}
    assert compare(present, [flag(True)]) == []
    assert [each.kind for each in compare(present, [flag(1)])] == ["change"]
    assert [each.kind for each in compare({}, [flag(True)])] == ["create"]
    assert compare(present, []) == []
    assert [each.kind for each in compare(present, [], prune=True)] == ["delete"]


def test_what_a_terminal_would_obey_is_escaped() -> None:
    """As text, and as JSON and TOML that mean the same."""
    assert printable("a\x1b[2J\u202e\n") == "a\\x1b[2J\\u202e\\n"
    assert printable("a\nb\t", keep_lines=True) == "a\nb\\t"
    assert printable_data('"\x9b\U000e0001ä"', "json") == '"\\u009b\\udb40\\udc01ä"'
    assert printable_data('"\x9b\U000e0001ä"', "toml") == '"\\u009b\\U000e0001ä"'
