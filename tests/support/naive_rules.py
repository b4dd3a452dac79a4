# SPDX-License-Identifier: Apache-2.0
"""Decides what flags with rules serve, written for reading and not for speed.

It works on the plain data of flags, and computes every bucket itself: it uses no code
of `flipper`. Tests compare the answers of flipper with its answers.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

from .naive_evaluator import ASK_FOR_ABSENT, COMPARISONS, NaiveEvaluator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Arguments = Mapping[str, Any]

MISSING = object()
BUCKETS = 100_000
ASK_OTHER_FLAGS = {"enabled", "variant"}
OPERATORS = {symbol for symbol in COMPARISONS if symbol} | ASK_OTHER_FLAGS


class CircleError(Exception):
    """A flag depends on itself."""


class Served(NamedTuple):
    """What a flag serves, and what `explain` says about it."""

    is_on: bool
    variant: str | None
    value: Any
    reason: str
    rule_number: int | None = None
    bucket: float | None = None


class NaiveRules:
    """Evaluates flags, of which some have rules.

    Args:
        flags: the plain data of every flag, by name.
        now: the time, in seconds since the epoch.
        comparisons: what each operator does.
    """

    def __init__(
        self,
        flags: Mapping[str, dict[str, Any]],
        now: float,
        comparisons: Mapping[str | None, Callable[[Any, Any], Any]] = COMPARISONS,
    ) -> None:
        self.flags = flags
        self.now = now
        self.comparisons = comparisons
        self.asked: list[str] = []

    def serve(self, name: str, arguments: Arguments) -> Served | None:
        """Return what a flag serves, `None` if there is no such flag.

        Raises:
            Exception: whatever a comparison raises, and for a circle.
        """
        if name in self.asked:
            raise CircleError(name)
        if name not in self.flags:
            return None
        self.asked.append(name)
        try:
            return self.decide(name, arguments)
        finally:
            self.asked.pop()

    def decide(self, name: str, arguments: Arguments) -> Served:
        """Decide: first the state, then the conditions, then the rules."""
        flag = self.flags[name]
        meta = flag["meta"]
        rules = meta["client_data"].get("__rules__")
        if rules is None:
            return self.decide_without_rules(flag, arguments)
        off = rules.get("off")
        is_marked = "rules" in meta["bucketer"]
        is_enabled = rules["is_enabled"] if is_marked else flag["is_enabled"]
        if not is_enabled:
            return Served(False, off, self.value(rules, off, False), "disabled")
        if not all(self.admits(each, arguments) for each in meta["conditions"]):
            value = self.value(rules, off, False)
            return Served(False, off, value, "condition not matched")
        for number, rule in enumerate(rules["rules"], 1):
            if "when" not in rule or self.holds(rule["when"], name, arguments):
                served = self.served(rules, rule["serve"], name, arguments)
                return served._replace(rule_number=number)
        served = self.served(rules, rules.get("otherwise", False), name, arguments)
        return served._replace(reason="no rule matched")

    def decide_without_rules(
        self, flag: dict[str, Any], arguments: Arguments
    ) -> Served:
        """Decide a flag with neither rules nor a bucketer."""
        if not flag["is_enabled"]:
            return Served(False, None, False, "disabled")
        conditions = flag["meta"]["conditions"]
        if not all(self.admits(each, arguments) for each in conditions):
            return Served(False, None, False, "condition not matched")
        is_about = any(name in each for each in conditions for name in arguments)
        return Served(True, None, True, "condition matched" if is_about else "on")

    def admits(self, condition: dict[str, Any], arguments: Arguments) -> bool:
        """Say whether no check of a condition of a flag fails.

        A check on an argument that is not given does not fail.
        """
        last = ASK_FOR_ABSENT | ASK_OTHER_FLAGS
        naive = NaiveEvaluator(self.now, self.comparisons)
        first = {
            variable: [c for c in checks if c["operator"] not in last]
            for variable, checks in condition.items()
        }
        if naive.failed_check(first, arguments) is not None:
            return False
        for check in [check for checks in condition.values() for check in checks]:
            variable, symbol = check["variable"], check["operator"]
            if symbol in ASK_OTHER_FLAGS:
                holds = self.asks(variable, symbol, check["value"], arguments)
            elif symbol in last:
                argument = arguments.get(variable)
                holds = self.comparisons[symbol](argument, check["value"])
            else:
                holds = True
            if not holds:
                return False
        return True

    def holds(self, expression: Any, name: str, arguments: Arguments) -> bool:
        """Say whether an expression of a rule holds."""
        if isinstance(expression, list):
            return all(
                self.check(c["variable"], c.get("operator"), c["value"], arguments)
                for c in expression
            )
        if "all" in expression:
            return all(self.holds(e, name, arguments) for e in expression["all"])
        if "any" in expression:
            return any(self.holds(e, name, arguments) for e in expression["any"])
        if "not" in expression:
            return not self.holds(expression["not"], name, arguments)
        if "rollout" in expression:
            return self.is_in(expression, name, arguments)[0]
        for keyword, value in expression.items():
            variable, symbol = split_keyword(keyword)
            if not self.check(variable, symbol, value, arguments):
                return False
        return True

    def check(
        self, variable: str, symbol: str | None, value: Any, arguments: Arguments
    ) -> bool:
        """Say whether a check in a rule holds; not on an argument that is not given."""
        if symbol in ASK_OTHER_FLAGS:
            return self.asks(variable, symbol, value, arguments)
        argument = find(arguments, variable)
        if symbol in ASK_FOR_ABSENT:
            argument = None if argument is MISSING else argument
        elif argument is MISSING:
            return False
        return bool(self.comparisons[symbol](argument, value))

    def asks(
        self, flag: str, symbol: str | None, value: Any, arguments: Arguments
    ) -> bool:
        """Say whether another flag is on, or serves one of some variants."""
        served = self.serve(flag, arguments)
        if served is None:
            return False
        if symbol == "enabled":
            return served.is_on is value
        return served.variant in ([value] if isinstance(value, str) else value)

    def served(
        self, rules: dict[str, Any], serve: Any, name: str, arguments: Arguments
    ) -> Served:
        """Return what a rule serves."""
        off, bucket = rules.get("off"), None
        if isinstance(serve, dict) and "rollout" in serve:
            serve, bucket = self.is_in(serve, name, arguments)
        elif isinstance(serve, dict):
            serve, bucket = self.choose(serve, name, arguments)
        if serve is True:
            return Served(True, None, True, "rule", None, bucket)
        variant = off if serve is False else serve
        is_on = variant is not None and variant != off
        value = self.value(rules, variant, is_on)
        return Served(is_on, variant, value, "rule", None, bucket)

    def value(self, rules: dict[str, Any], variant: str | None, is_on: bool) -> Any:
        """Return the value of a variant."""
        if variant is None:
            return is_on
        return variant if "variants" not in rules else rules["variants"][variant]

    def is_in(
        self, rollout: dict[str, Any], name: str, arguments: Arguments
    ) -> tuple[bool, float | None]:
        """Say whether the user is in a share of all users, and name the bucket."""
        user = first_given(arguments, rollout["by"])
        if user is None:
            return False, None
        share = rollout["rollout"]
        if isinstance(share, dict):
            share = self.percentage(share)
        ranges = share if isinstance(share, list) else [[0, share]]
        found = bucket(rollout, rollout.get("seed", name), user)
        is_in = any(
            edge(rollout, start) <= found < edge(rollout, end) for start, end in ranges
        )
        return is_in, found / BUCKETS

    def choose(
        self, split: dict[str, Any], name: str, arguments: Arguments
    ) -> tuple[Any, float | None]:
        """Return the variant of the user, `False` for the rest, and the bucket."""
        user = first_given(arguments, split["by"])
        if user is None:
            return False, None
        seed = split.get("seed", name)
        # The buckets of splits do not depend on those of rollouts.
        found = bucket(split, seed if "hash" in split else f"{seed}:split", user)
        end = 0.0
        for variant, share in sorted(split["split"].items()):
            ranges = share
            if not isinstance(share, list):  # one after the other, by name
                ranges, end = [[end, end + share]], end + share
            for start, stop in ranges:
                if edge(split, start) <= found < edge(split, stop):
                    return variant, found / BUCKETS
        return False, found / BUCKETS

    def percentage(self, percentage: dict[str, Any]) -> Any:
        """Return the share at this time, a fraction."""
        if percentage["type"] != "Schedule":
            return NaiveEvaluator(self.now).percentage(percentage)
        share: Any = 0
        for when, later in percentage["entries"]:
            if when <= self.now:
                share = later
        return self.percentage(share) if isinstance(share, dict) else share


def split_keyword(keyword: str) -> tuple[str, str | None]:
    """Return the variable and the operator of a keyword of `Condition`."""
    variable, delimiter, symbol = keyword.rpartition("__")
    return (variable, symbol) if delimiter and symbol in OPERATORS else (keyword, None)


def find(arguments: Arguments, name: str) -> Any:
    """Return an argument by its name, or by its path in dicts, or `MISSING`."""
    if name in arguments:
        return arguments[name]
    found: Any = arguments
    for part in name.split("."):
        found = found.get(part, MISSING) if isinstance(found, dict) else MISSING
    return found


def first_given(arguments: Arguments, by: str | list[str]) -> Any:
    """Return the first of these arguments that is neither missing nor `None`."""
    for name in [by] if isinstance(by, str) else by:
        found = find(arguments, name)
        if found is not MISSING and found is not None:
            return found
    return None


def bucket(bucketed: dict[str, Any], seed: str, value: Any) -> int:
    """Return the bucket of a value, from 0 to 99,999.

    Raises:
        TypeError: JSON cannot express the value.
    """
    if isinstance(value, str):
        text = "".join(value)  # of a subclass, too
    elif isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, int):
        text = int.__repr__(value)
    else:
        text = json.dumps(value, sort_keys=True)
    if bucketed.get("hash") == "flipper-rb":
        return zlib.crc32((seed + text).encode()) % BUCKETS
    data = f"{seed}:{text}".encode("utf-8", "surrogatepass")
    return int(hashlib.sha1(data).hexdigest(), 16) % BUCKETS  # noqa: S324


def edge(bucketed: dict[str, Any], fraction: float) -> float:
    """Return the first bucket that is not in a share from 0 to this fraction."""
    if "hash" not in bucketed:
        return round(fraction * BUCKETS)
    near = max(0, int(fraction * BUCKETS) - 2)
    return next(b for b in range(near, BUCKETS + 3) if b / BUCKETS >= fraction)
