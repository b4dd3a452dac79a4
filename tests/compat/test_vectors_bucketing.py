# SPDX-License-Identifier: Apache-2.0
"""Golden cases: buckets, percentages and ramps."""

from __future__ import annotations

import operator
import time
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any

import pytest
from golden import Case, agree, cases, decode, outcome

from flipper.bucketing import (
    ConsistentHashPercentageBucketer,
    LinearRampPercentage,
    NoOpBucketer,
    Percentage,
    PercentageBucketer,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


COMPARISONS = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
BELOW_THE_FIRST_BUCKET = 0.005


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set the local time to UTC, as it was for the cases."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def set_clock(monkeypatch: pytest.MonkeyPatch, now: float) -> None:
    """Let ramps read this Unix time, whatever the time is."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime.fromtimestamp(now, tz)

    ramps = "flipper.bucketing.percentage.linear_ramp_percentage"
    monkeypatch.setattr(f"{ramps}.datetime", Clock)


def consistent_hash(given: Any, _: Any) -> Any:
    """Return the bucket, and the answers at some percentages."""

    def ask(percentage: Any) -> Any:
        return ConsistentHashPercentageBucketer(
            key_whitelist=given["key_whitelist"], percentage=Percentage(percentage)
        ).check(**decode(given["kwargs"]))

    results = [[p, ask(p)] for p in given["percentages"]]
    buckets = (bucket / 100 for bucket in range(100))
    score = next(b for b in buckets if ask(b or BELOW_THE_FIRST_BUCKET))
    return {"results": results, "score": score}


def consistent_hash_ramp(given: Any, monkeypatch: Any) -> Any:
    """Return the answers at a moment of a ramp."""
    set_clock(monkeypatch, given["now"])
    return ConsistentHashPercentageBucketer(
        key_whitelist=given["key_whitelist"],
        percentage=LinearRampPercentage(**given["ramp"]),
    ).check(**decode(given["kwargs"]))


def random(given: Any, _: Any) -> Any:
    """Return the answer for a known draw."""
    return PercentageBucketer(Percentage(given["percentage"])).check(
        randomizer=lambda: given["random"], **decode(given["kwargs"])
    )


def noop(given: Any, _: Any) -> Any:
    """Return the answer of the bucketer that says yes to everybody."""
    return NoOpBucketer().check(**decode(given["kwargs"]))


def compare(given: Any, _: Any) -> Any:
    """Compare a percentage with another value, on both sides."""
    sides = [Percentage(given["percentage"]), decode(given["other"])]
    if given["percentage_is"] == "right":
        sides.reverse()
    return COMPARISONS[given["operator"]](*sides)


def ramp(given: Any, monkeypatch: Any) -> Any:
    """Read a ramp at a moment."""
    set_clock(monkeypatch, given["now"])
    return LinearRampPercentage(**given["ramp"]).value


KINDS: dict[str, Callable[[Any, Any], Any]] = {
    "consistent_hash": consistent_hash,
    "consistent_hash_ramp": consistent_hash_ramp,
    "random": random,
    "noop": noop,
    "compare": compare,
    "ramp": ramp,
}


@pytest.mark.parametrize("case", cases("bucketing"))
def test_buckets_are_those_of_flipper_client(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every caller stays in the bucket that flipper-client chose."""
    actual = outcome(lambda: KINDS[case["kind"]](case["given"], monkeypatch))
    agree(case["expect"], actual, case.get("tolerance"))
