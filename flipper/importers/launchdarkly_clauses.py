# SPDX-License-Identifier: Apache-2.0
"""Turns the clauses and segments of LaunchDarkly into expressions.

Source: LaunchDarkly's descriptions of targeting rules, attributes and segments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..conditions.operators.dates import BeforeOperator
from ..rules.rollout import Rollout
from .expressions import all_of, any_of
from .translation import (
    ALWAYS,
    UntranslatableError,
    both,
    check,
    checks,
    given,
    is_text,
    ordered,
)
from .versions import compared_version

if TYPE_CHECKING:
    from ..conditions.expression import Expression

_USER: Final = "user"
_WHOLE: Final = 100_000
_TEXTS: Final = {
    "startsWith": "startswith",
    "endsWith": "endswith",
    "contains": "contains",
}
_NUMBERS: Final = {
    "lessThan": "<",
    "lessThanOrEqual": "<=",
    "greaterThan": ">",
    "greaterThanOrEqual": ">=",
}
_VERSIONS: Final = {
    "semVerEqual": "=",
    "semVerLessThan": "<",
    "semVerGreaterThan": ">",
}
_DATES: Final = {"before": "num_lt", "after": "num_gt"}


def argument_of(kind: str | None, attribute: str) -> str:
    """Return the argument for an attribute of a context.

    Args:
        kind: the kind of the context; without it, the attribute is a name, else it may
            be a path as "/address/city".
        attribute: the name or path.
    """
    parts = [attribute]
    if kind and attribute.startswith("/"):
        parts = [
            part.replace("~1", "/").replace("~0", "~")
            for part in attribute[1:].split("/")
        ]
    if kind and kind != _USER:
        parts.insert(0, kind)
    if not all(parts) or (len(parts) > 1 and any("." in part for part in parts)):
        message = f"the attribute {attribute!r} cannot be the name of an argument"
        raise UntranslatableError(message)
    if parts == ["kind"]:
        message = "it asks for the kind of a context"
        raise UntranslatableError(message)
    return ".".join(parts)


def targeted(kind: str | None, keys: Any) -> Expression:
    """Return an expression that holds for contexts with one of some keys."""
    return check(argument_of(kind or _USER, "key"), "in", list(keys))


def can_be_hashed(argument: str) -> Expression:
    """Return an expression that holds for a value that decides about a rollout."""
    return is_text(argument) | check(argument, "json_type", "number")


class Clauses:
    """Turns clauses into expressions.

    Args:
        segments: the segments of the payload, by key.
    """

    def __init__(self, segments: dict[str, Any]) -> None:
        self._segments = segments

    def all_of(
        self, clauses: list[dict[str, Any]], inside: tuple[str, ...] = ()
    ) -> Expression | None:
        """Return an expression that holds if all clauses do; `None` always holds.

        Args:
            clauses: the clauses.
            inside: the segments that the clauses belong to.
        """
        parts = [self._clause(each, inside) for each in clauses]
        return all_of(parts) if parts else None

    def _clause(self, clause: dict[str, Any], inside: tuple[str, ...]) -> Expression:
        operator, values = clause["op"], clause["values"]
        if operator == "segmentMatch":
            found: Expression = any_of([self._segment(key, inside) for key in values])
            return ~found if clause.get("negate") else found
        argument = argument_of(clause.get("contextKind"), clause["attribute"])
        found = _compared(argument, operator, values)
        # Without the attribute, a negated clause does not match either.
        return given(argument) & ~found if clause.get("negate") else found

    def _segment(self, key: str, inside: tuple[str, ...]) -> Expression:
        segment = self._segments.get(key)
        if segment is None or key in inside:
            fault = "refers to itself" if key in inside else "is not in the file"
            message = f"the segment {key!r} {fault}"
            raise UntranslatableError(message)
        if segment.get("unbounded"):
            message = f"the members of the big segment {key!r} are not in the file"
            raise UntranslatableError(message)
        rules = [
            self._segment_rule(segment, rule, (*inside, key))
            for rule in segment.get("rules") or ()
        ]
        found = _listed(segment, "included")
        excluded = _listed(segment, "excluded")
        if rules and excluded:
            found.append(any_of(rules) & ~any_of(excluded))
        elif rules:
            found.append(any_of(rules))
        return any_of(found)

    def _segment_rule(
        self, segment: dict[str, Any], rule: dict[str, Any], inside: tuple[str, ...]
    ) -> Expression:
        found = self.all_of(rule["clauses"], inside)
        weight = rule.get("weight")
        if weight is None:
            return ALWAYS if found is None else found
        kind, by = rule.get("rolloutContextKind"), rule.get("bucketBy") or "key"
        argument = argument_of(kind, by)
        seed = f"{segment['key']}.{segment['salt']}"
        share = Rollout(weight / _WHOLE, argument, seed, "launchdarkly")
        if by == "key" or not weight:
            return both(found, share)
        # Whatever cannot be hashed is in the first bucket.
        missing = ~can_be_hashed(argument)
        if kind and kind != _USER:
            missing = given(argument_of(kind, "key")) & missing
        return both(found, (can_be_hashed(argument) & share) | missing)


def _listed(segment: dict[str, Any], name: str) -> list[Expression]:
    """Return expressions for the contexts that a segment lists."""
    lists = [{"values": segment.get(name)}, *(segment.get(f"{name}Contexts") or ())]
    return [
        targeted(each.get("contextKind"), each["values"])
        for each in lists
        if each.get("values")
    ]


def _compared(argument: str, operator: str, values: list[Any]) -> Expression:
    if operator == "in":
        return check(argument, "any_of", values)
    if operator in _TEXTS:
        return check(argument, _TEXTS[operator], values)
    if operator in _DATES:
        return any_of([_date(argument, operator, value) for value in values])
    if operator in _VERSIONS:
        sign = _VERSIONS[operator]
        return any_of([compared_version(argument, sign, value) for value in values])
    if operator in _NUMBERS:
        sign = _NUMBERS[operator]
        is_number = check(argument, "json_type", "number")
        found = any_of([ordered(argument, sign, value) for value in values])
        return is_number & found
    if operator != "matches":
        message = f"the operator {operator!r} is unknown"
        raise UntranslatableError(message)
    return any_of([check(argument, operator, value) for value in values])


def _date(argument: str, operator: str, value: Any) -> Expression:
    """Return a comparison of dates, which are texts, or milliseconds since 1970."""
    is_number = isinstance(value, (int, float))
    seconds: Any = value / 1000 if is_number else BeforeOperator.meaning(value)
    text = check(argument, operator, seconds if is_number else value)
    number = {"json_type": "number", _DATES[operator]: seconds * 1000}
    return (is_text(argument) & text) | checks(argument, number)
