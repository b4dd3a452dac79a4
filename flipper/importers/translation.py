# SPDX-License-Identifier: Apache-2.0
"""What importers share: checks, flags, and what rules cannot say."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from ..conditions.condition import Condition
from ..conditions.expression import AllOf
from ..conditions.operators.operator import Operator
from ..exceptions import InvalidArgumentError
from ..rules.rules import Rules
from . import ImportedFlag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ..conditions.expression import Expression
    from ..rules.rule import Rule

ALWAYS: Final = Condition()
"""An expression that always holds."""

NEVER: Final = ~ALWAYS
"""An expression that never holds."""

_MIRRORED: Final = {ord("<"): ">", ord(">"): "<"}

# What Python raises for a definition of another form than its origin describes.
_MALFORMED: Final = (
    AttributeError,
    LookupError,
    ArithmeticError,
    RecursionError,
    TypeError,
    ValueError,
)


class UntranslatableError(Exception):
    """Rules cannot say a part of a flag; the message says which part."""


class Problems(list[str]):
    """What rules cannot say of one flag."""

    @contextmanager
    def collected(self, place: str = "") -> Iterator[None]:
        """Note what cannot be said within the block, which ends there.

        Args:
            place: the part of the flag, for people, as in "rule 2".
        """
        start = f"{place}: " if place else ""
        try:
            yield
        except UntranslatableError as error:
            self.append(f"{start}{error}")
        except (InvalidArgumentError, Operator.InvalidSymbolError) as error:
            self.append(f"{start}flipper refuses it: {error}")
        except _MALFORMED as error:
            self.append(
                f"{start}its definition has another form than its origin describes "
                f"({type(error).__name__}: {error})"
            )


def translate(
    feature_name: str, make: Callable[[Problems], tuple[bool, Rules | None]]
) -> ImportedFlag:
    """Return the flag that `make` makes, or one that is off, with its problems.

    The rules of a flag with problems serve nobody, so that it stays off for everybody
    if somebody enables it.

    Args:
        feature_name: the name of the flag.
        make: returns whether the flag is enabled, and its rules.
    """
    problems = Problems()
    is_enabled, rules = False, None
    with problems.collected():
        is_enabled, rules = make(problems)
    if problems:
        return ImportedFlag(feature_name, False, Rules(), tuple(problems))
    return ImportedFlag(feature_name, is_enabled, rules)


def table_in(data: Any, key: str, what: str) -> dict[str, Any]:
    """Return a table of a file, which has to have it.

    Raises:
        InvalidArgumentError: it is missing, or no table; the file is another one.
    """
    table = data.get(key) if isinstance(data, dict) else None
    if not isinstance(table, dict):
        raise InvalidArgumentError(
            f"This is not {what}: it has no table {key!r}; choose another file, or "
            f"another origin",
            value=data,
        )
    return table


def check(argument: str, operator: str | None, value: Any) -> Condition:
    """Return a condition of one check; the name of the argument may be any text."""
    return checks(argument, {operator: value})


def checks(argument: str, values: Mapping[Any, Any]) -> Condition:
    """Return a condition of several checks on one argument.

    Args:
        argument: the name of the argument, which may be any text.
        values: the value for each operator.

    Raises:
        UntranslatableError: `is_enabled` has a parameter of that name.
    """
    if argument == "default" and values.keys().isdisjoint(("enabled", "variant")):
        message = "it has the argument 'default', which is_enabled has for itself"
        raise UntranslatableError(message)
    fields: list[Mapping[str, Any]] = [
        {"variable": argument, "operator": operator, "value": value}
        for operator, value in values.items()
    ]
    return Condition.from_dict({argument: fields})


def given(argument: str) -> Condition:
    """Return a condition that holds if an argument is given, and is not `None`."""
    return check(argument, "exists", True)


def is_text(argument: str) -> Condition:
    """Return a condition that holds if an argument is a text."""
    return check(argument, "json_type", "string")


def ordered(
    argument: str, sign: str, value: Any, *, value_is_first: bool = False
) -> Condition:
    """Return a condition that compares an argument, or its text, with a number.

    Args:
        argument: the name of the argument.
        sign: one of `< <= > >=`.
        value: the number.
        value_is_first: whether the number is on the left of the sign.

    Raises:
        UntranslatableError: the value is not a number.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        message = (
            f"it compares {argument!r} by {sign} with {value!r}, not with a number"
        )
        raise UntranslatableError(message)
    if value_is_first:
        sign = sign.translate(_MIRRORED)
    operator = "num_lt" if sign[0] == "<" else "num_gt"
    return check(argument, f"{operator}e" if sign[1:] else operator, value)


def both(first: Expression | None, second: Expression) -> Expression:
    """Return an expression that holds if both hold; `None` always holds."""
    if first is None or first is ALWAYS:
        return second
    return first if second is ALWAYS else AllOf(first, second)


def rules_of(rules: Sequence[Rule], **more: Any) -> Rules:
    """Return rules of which the first one for everybody is what is served otherwise."""
    for number, rule in enumerate(rules):
        if rule.when is None:
            return Rules(rules[:number], rule.serve, **more)
    return Rules(rules, **more)


def off_variant(values: dict[str, Any], off: str | None = None) -> str | None:
    """Return the variant that counts as off.

    Args:
        values: the values of all variants, by name.
        off: the one that the origin serves if the flag is off.

    Returns:
        The first false one, if all variants are true or false, so that `is_enabled`
        gives the value; else `off`.
    """
    if values and all(isinstance(value, bool) for value in values.values()):
        return next((name for name, value in values.items() if value is False), None)
    return off
