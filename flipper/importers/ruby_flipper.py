# SPDX-License-Identifier: Apache-2.0
"""Reads the JSON export of the Ruby gem flipper.

The `flipper_id` of the actor is the argument `flipper_id`, and its properties are the
arguments of their names. The groups that the actor is in are the argument `groups`, a
list of names: the export has the names only, and not the Ruby code that decides.

Source: the documentation of the gem: its gates, any of which enables a feature, and its
expressions.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any, Final

from ..conditions.expression import AllOf, AnyOf
from ..rules.rollout import Rollout
from ..rules.rule import Rule
from ..rules.rules import Rules
from .translation import (
    ALWAYS,
    NEVER,
    UntranslatableError,
    check,
    given,
    ordered,
    table_in,
    translate,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..conditions.expression import Expression
    from . import ImportedFlag
    from .translation import Problems

_ACTOR: Final = "flipper_id"
_GROUPS: Final = "groups"
_BUCKETS: Final = 100_000
_GATES: Final = {
    "boolean",
    "groups",
    "actors",
    "expression",
    "percentage_of_actors",
    "percentage_of_time",
}
_ORDER: Final = {
    "GreaterThan": ">",
    "GreaterThanOrEqualTo": ">=",
    "LessThan": "<",
    "LessThanOrEqualTo": "<=",
}
_CONSTANTS: Final[dict[str, Any]] = {
    "Boolean": bool,
    "String": str,
    "Number": (int, float),
}


def read_flags(data: Any) -> Iterator[ImportedFlag]:
    """Yield the features of an export.

    Raises:
        InvalidArgumentError: the data is something else.
    """
    features = table_in(data, "features", "an export of Ruby's flipper")
    for name, gates in features.items():
        yield translate(name, _Feature(gates).translated)


class _Feature:
    """One feature of the export."""

    def __init__(self, gates: Any) -> None:
        self._gates = gates

    def translated(self, problems: Problems) -> tuple[bool, Rules | None]:
        """Return whether the flag is enabled, and its rules."""
        gates = self._gates
        for gate in gates.keys() - _GATES:
            problems.append(f"the gate {gate!r} is unknown")
        rules = []
        if actors := gates.get("actors"):
            rules.append(Rule(check(_ACTOR, "in", sorted(actors)), name="actors"))
        if groups := gates.get("groups"):
            rules.append(Rule(check(_GROUPS, "any_of", sorted(groups)), name="groups"))
        if (expression := gates.get("expression")) is not None:
            with problems.collected("expression"):
                rules.append(Rule(_expression(expression), name="expression"))
        with problems.collected("percentage of actors"):
            rules += _percentage_of_actors(gates.get("percentage_of_actors"))
        with problems.collected("percentage of time"):
            rules += _percentage_of_time(gates.get("percentage_of_time"))
        is_on = gates.get("boolean") in (True, "true", "1", 1)
        return (True, Rules(rules, is_on)) if rules else (is_on, None)


def _percentage_of_actors(value: Any) -> Iterator[Rule]:
    percentage = _number(value or 0)
    if percentage > 0:
        yield Rule(_share(percentage, _ACTOR), name="percentage of actors")


def _percentage_of_time(value: Any) -> Iterator[Rule]:
    percentage = _number(value or 0)
    if percentage >= 100:  # noqa: PLR2004  (percent)
        yield Rule(None, name="percentage of time")
    elif percentage > 0:
        message = (
            f"{percentage:g}% of the calls at random cannot be a rule; for a flag "
            f"without rules, use PercentageBucketer({percentage / 100:g})"
        )
        raise UntranslatableError(message)


def _share(percentage: float, by: str) -> Expression:
    if percentage >= 100:  # noqa: PLR2004  (percent)
        return given(by)
    # As the gem multiplies, which matters where this is not exact.
    return Rollout(ceil(percentage * 1000) / _BUCKETS, by, hash="flipper-rb")


def _number(value: Any) -> float:
    return float(value) if isinstance(value, str) else value


def _expression(plain: Any) -> Expression:
    """Return an expression for one of the gem's.

    Raises:
        UntranslatableError: it cannot be said.
    """
    if _is_constant(plain):
        return ALWAYS if _constant(plain) else NEVER
    name, arguments = _call(plain)
    if name in ("All", "Any"):
        parts = [_expression(each) for each in arguments]
        return AllOf(*parts) if name == "All" else AnyOf(*parts)
    if name == "Property":
        found = check(_property(plain), "in", [False, None])
        return given(_property(plain)) & ~found
    if name == "PercentageOfActors":
        by, percentage = arguments
        return _share(_constant(percentage), _property(by))
    if name == "FeatureEnabled":
        return check(_constant(arguments[0]), "enabled", True)
    if name in ("Equal", "NotEqual") or name in _ORDER:
        return _comparison(name, *arguments)
    message = f"the function {name!r} cannot be said"
    raise UntranslatableError(message)


def _comparison(name: str, first: Any, second: Any) -> Expression:
    is_first = _is_constant(first)
    argument, plain = (second, first) if is_first else (first, second)
    if not _is_constant(plain):
        message = f"the function {name!r} compares two results of functions"
        raise UntranslatableError(message)
    variable, value = _property(argument), _constant(plain)
    if name not in _ORDER:
        equal = check(variable, None, value) if value is not None else ~given(variable)
        return equal if name == "Equal" else ~equal
    return ordered(variable, _ORDER[name], value, value_is_first=is_first)


def _call(plain: Any) -> tuple[str, list[Any]]:
    """Return the name of a function and its arguments."""
    if not isinstance(plain, dict) or len(plain) != 1:
        message = f"{plain!r} is not one call of a function"
        raise UntranslatableError(message)
    [(name, arguments)] = plain.items()
    return name, arguments if isinstance(arguments, list) else [arguments]


def _property(plain: Any) -> str:
    name, arguments = _call(plain)
    if name != "Property":
        message = f"the function {name!r} stands where only a property can be used"
        raise UntranslatableError(message)
    return str(_constant(arguments[0]))


def _is_constant(plain: Any) -> bool:
    return not isinstance(plain, dict) or not {*plain}.isdisjoint(_CONSTANTS)


def _constant(plain: Any) -> Any:
    """Return the value of a constant, which may be given as its type."""
    if not isinstance(plain, dict):
        return plain
    name, [value] = _call(plain)
    if name not in _CONSTANTS or not isinstance(value, _CONSTANTS[name]):
        message = f"the function {name!r} of {value!r} cannot be said"
        raise UntranslatableError(message)
    return value
