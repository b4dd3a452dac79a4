# SPDX-License-Identifier: Apache-2.0
"""Decides whether a flag is on, written for reading and not for speed.

It works on the plain data of a flag, which is `to_dict()` of an item, and uses no code
of `flipper.evaluation`, `flipper.conditions` and `flipper.bucketing`. Tests compare the
answers of flipper with its answers.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import math
import random
import re
from datetime import date, datetime, time, timezone
from decimal import Decimal
from numbers import Number
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Arguments = Mapping[str, Any]


def _texts(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _entries(argument: Any) -> list[Any]:
    is_list = isinstance(argument, (list, tuple, set, frozenset))
    return list(argument) if is_list else [argument]


def _number(given: Any) -> Any:
    """Return a number, NaN if it is none: NaN compares false with everything."""
    try:
        if isinstance(given, str):
            given = Decimal(given.strip().replace("_", "x")) if given.isascii() else ""
            given = float(given) if given % 1 or abs(given) > 10**300 else int(given)
        is_number = isinstance(given, Number) and not isinstance(given, bool)
        return given if is_number and math.isfinite(given) else math.nan  # type: ignore[arg-type]
    except (ValueError, ArithmeticError, TypeError):
        return math.nan


def _instant(given: Any) -> Any:
    """Return seconds since 1970, or NaN."""
    try:
        if isinstance(given, str) and len(given) == len("2026-01-31"):
            given = date(*map(int, given.split("-")))
        if isinstance(given, str):
            given = datetime.strptime(
                given.replace("Z", "+0000"), "%Y-%m-%dT%H:%M:%S%z"
            )
        if isinstance(given, date) and not isinstance(given, datetime):
            given = datetime.combine(given, time(), timezone.utc)
        if isinstance(given, datetime):
            return math.nan if given.tzinfo is None else given.timestamp()
    except (ValueError, TypeError):
        return math.nan
    # No `Decimal` and no `Fraction`.
    return _number(given) if isinstance(given, (int, float)) else math.nan


_PART = r"(0|[1-9]\d*)"
_LABELS = "[a-z0-9]+(?:[.][a-z0-9]+)*"


def _version(given: Any) -> Any:
    """Return a list that orders versions, or `None`; without build metadata."""
    found = isinstance(given, str) and re.fullmatch(
        rf"v?{_PART}[.]{_PART}[.]{_PART}(-{_LABELS})?([+]{_LABELS})?", given, re.ASCII
    )
    if not found:
        return None
    labels = [
        f"0{len(each):05}{each}" if each.isdigit() else f"1{each}"
        for each in (found[4] or "")[1:].split(".")
    ]
    return [*map(int, found.groups()[:3]), labels if found[4] else ["2"]]


def _by_version(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def holds(argument: Any, value: Any) -> bool:
        return _version(argument) is not None and compare(
            _version(argument), _version(value)
        )

    return holds


def _in_networks(argument: Any, value: Any) -> bool:
    if isinstance(argument, (int, bytes)):
        return False
    try:
        address = ipaddress.ip_address(argument)
    except ValueError:
        return False
    same = [address, getattr(address, "ipv4_mapped", None) or address]
    networks = [ipaddress.ip_network(each) for each in _texts(value)]
    return any(each in network for each in same for network in networks)


def _in_list(argument: Any, value: Any, *, expected: bool) -> bool:
    try:
        return any(each in value for each in _entries(argument)) is expected
    except Exception:  # noqa: BLE001  (of an `==`)
        return False


def _has_all(argument: Any, value: Any) -> bool:
    try:
        return all(each in _entries(argument) for each in value)
    except Exception:  # noqa: BLE001  (of an `==`)
        return False


def _text(compare: Callable[[str, str], bool]) -> Callable[[Any, Any], bool]:
    return lambda argument, value: (
        isinstance(argument, str)
        and any(compare(str.__str__(argument), each) for each in _texts(value))
    )


def _folded(compare: Callable[[str, str], bool]) -> Callable[[Any, Any], bool]:
    return _text(lambda text, part: compare(text.casefold(), part.casefold()))


def _lowered(given: Any) -> list[Any]:
    return [e.casefold() if isinstance(e, str) else e for e in _entries(given)]


def _sizes(value: Any) -> range:
    least, most = value if isinstance(value, list) else (value, value)
    return range(max(least, 0), 1000 if most is None else most + 1)


def _type_name(given: Any) -> str | None:
    """Return the type of a value, read from its text in JSON."""
    # The entries do not matter, also if JSON cannot express them.
    if isinstance(given, (list, tuple, set, frozenset)):
        return "array"
    if isinstance(given, dict):
        return "object"
    if isinstance(given, Number) and not isinstance(given, (bool, int, float)):
        return "number"
    try:
        first = json.dumps(given)[0]
    except (TypeError, ValueError):
        return None
    names = {'"': "string", "[": "array", "{": "object", "t": "boolean", "f": "boolean"}
    return None if first == "n" else names.get(first, "number")


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
    "startswith": _text(lambda text, part: text[: len(part)] == part),
    "endswith": _text(lambda text, part: part == text[len(text) - len(part) :]),
    "contains": _text(lambda text, part: text.find(part) >= 0),
    "istartswith": _folded(lambda text, part: text[: len(part)] == part),
    "iendswith": _folded(lambda text, part: text[::-1].startswith(part[::-1])),
    "icontains": _folded(lambda text, part: text.find(part) >= 0),
    "matches": lambda argument, value: (
        isinstance(argument, str) and re.search(value, argument) is not None
    ),
    "before": lambda argument, value: _instant(argument) < _instant(value),
    "after": lambda argument, value: _instant(argument) > _instant(value),
    "semver_eq": _by_version(lambda argument, value: argument == value),
    "semver_gt": _by_version(lambda argument, value: argument > value),
    "semver_gte": _by_version(lambda argument, value: argument >= value),
    "semver_lt": _by_version(lambda argument, value: argument < value),
    "semver_lte": _by_version(lambda argument, value: argument <= value),
    "num_eq": lambda argument, value: _number(argument) == _number(value),
    "num_gt": lambda argument, value: _number(argument) > _number(value),
    "num_gte": lambda argument, value: _number(argument) >= _number(value),
    "num_lt": lambda argument, value: _number(argument) < _number(value),
    "num_lte": lambda argument, value: _number(argument) <= _number(value),
    "in_cidr": _in_networks,
    "any_of": lambda argument, value: _in_list(argument, value, expected=True),
    "all_of": _has_all,
    "none_of": lambda argument, value: _in_list(argument, value, expected=False),
    "iany_of": lambda argument, value: _in_list(
        _lowered(argument), _lowered(value), expected=True
    ),
    "iall_of": lambda argument, value: _has_all(_lowered(argument), _lowered(value)),
    "has_size": lambda argument, value: (
        isinstance(argument, (list, tuple, set, frozenset))
        and len(argument) in _sizes(value)
    ),
    "json_type": lambda argument, value: _type_name(argument) == value,
    "exists": lambda argument, value: (argument is not None) == value,
}
# Their checks are also decided if their argument is not given.
ASK_FOR_ABSENT = {"exists"}


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
        """Return the first check that fails, or `None`.

        The order is that of the call. The checks that are also decided without their
        argument come last.
        """
        every = [check for checks in condition.values() for check in checks]
        in_order = [check for name in arguments for check in condition.get(name, ())]
        in_order = [c for c in in_order if c["operator"] not in ASK_FOR_ABSENT]
        in_order += [c for c in every if c["operator"] in ASK_FOR_ABSENT]
        for check in in_order:
            compare = self.comparisons[check["operator"]]
            if not compare(arguments.get(check["variable"]), check["value"]):
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
