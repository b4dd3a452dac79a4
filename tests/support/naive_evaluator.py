# SPDX-License-Identifier: Apache-2.0
"""Decides whether a flag is on, written for reading and not for speed.

It works on the plain data of a flag, which is `to_dict()` of an item, and uses no code
of `flipper.evaluation`, `flipper.conditions` and `flipper.bucketing`. Tests compare the
answers of flipper with its answers.
"""

from __future__ import annotations

import hashlib
import json
import random
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Arguments = Mapping[str, Any]

# What each operator says about an argument of the call and the value of a check.
COMPARISONS: dict[str | None, Callable[[Any, Any], Any]] = {
    None: lambda argument, value: argument == value,
    "ne": lambda argument, value: argument != value,
    "gt": lambda argument, value: argument > value,
    "gte": lambda argument, value: argument >= value,
    "lt": lambda argument, value: argument < value,
    "lte": lambda argument, value: argument <= value,
    "in": lambda argument, value: argument in value,
    "not_in": lambda argument, value: argument not in value,
}


class Answer(NamedTuple):
    """The answer, the value of the `Reason`, and what else `explain` says."""

    enabled: Any
    reason: str
    check: dict[str, Any] | None = None
    bucket: float | None = None
    percentage: Any = None


class NaiveEvaluator:
    """Evaluates flags.

    Args:
        now: the time, in seconds since the epoch.
        comparisons: what each operator does.
        bucketer_check: replaces the `check` of any bucketer except `NoOpBucketer`.
    """

    def __init__(
        self,
        now: float,
        comparisons: Mapping[str | None, Callable[[Any, Any], Any]] = COMPARISONS,
        bucketer_check: Callable[[Arguments], Any] | None = None,
    ) -> None:
        self.now = now
        self.comparisons = comparisons
        self.bucketer_check = bucketer_check

    def evaluate(self, flag: dict[str, Any], arguments: Arguments) -> Answer:
        """Decide whether a flag is on, by the five rules of docs/architecture.md."""
        conditions, bucketer = flag["meta"]["conditions"], flag["meta"]["bucketer"]
        if not flag["is_enabled"]:
            return Answer(False, "disabled")
        for condition in conditions:
            failed = self.failed_check(condition, arguments)
            if failed is not None:
                return Answer(False, "condition not matched", check=failed)
        if any(name in condition for condition in conditions for name in arguments):
            return Answer(True, "condition matched")
        if bucketer["type"] == "NoOpBucketer":
            return Answer(True, "on")
        if self.bucketer_check is not None:
            return Answer(self.bucketer_check(arguments), "bucketer")
        return self.bucketer_answer(bucketer, arguments)

    def failed_check(
        self, condition: dict[str, Any], arguments: Arguments
    ) -> dict[str, Any] | None:
        """Return the first check that fails, in the order of the call, or `None`."""
        for name, argument in arguments.items():
            for check in condition.get(name, ()):
                compare = self.comparisons[check["operator"]]
                if not compare(argument, check["value"]):
                    found: dict[str, Any] = check
                    return found
        return None

    def bucketer_answer(self, bucketer: dict[str, Any], arguments: Arguments) -> Answer:
        """Decide whether the bucket of the arguments is at most the percentage."""
        percentage = self.percentage(bucketer["percentage"])
        if percentage == 0:
            return Answer(False, "bucketer", None, None, percentage)
        if bucketer["type"] == "PercentageBucketer":
            randomizer = arguments.get("randomizer")
            bucket = randomizer() if callable(randomizer) else random.random()  # noqa: S311
        else:
            bucket = consistent_bucket(bucketer["key_whitelist"], arguments)
        return Answer(bucket <= percentage, "bucketer", None, bucket, percentage)

    def percentage(self, percentage: dict[str, Any]) -> Any:
        """Return the share at this time, a fraction."""
        if percentage["type"] == "Percentage":
            return percentage["value"]
        initial, final = percentage["initial_value"], percentage["final_value"]
        duration = percentage["ramp_duration"]
        if duration <= 0:
            return final
        elapsed = self.now - percentage["initial_time"]
        value = (final - initial) / duration * elapsed + initial
        lower, upper = sorted([initial, final])
        return max(lower, min(value, upper))


def consistent_bucket(key_whitelist: list[str], arguments: Arguments) -> float:
    """Return the bucket of these arguments, one of 0.0, 0.01, ... 0.99."""
    names = [name for name in arguments if not key_whitelist or name in key_whitelist]
    pairs = [[name, arguments[name]] for name in sorted(names) if name != "randomizer"]
    digest = hashlib.sha1(json.dumps(pairs).encode()).hexdigest()  # noqa: S324
    return int(digest, 16) % 100 / 100
