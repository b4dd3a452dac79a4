# SPDX-License-Identifier: Apache-2.0
"""Translates the targeting conditions of GrowthBook, which are like queries of MongoDB.

Source: GrowthBook's description of how an SDK evaluates conditions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .expressions import all_of, any_of, negated
from .growthbook_operators import OPERATORS, equal, has_operators, in_list
from .translation import ALWAYS, UntranslatableError, check

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..conditions.expression import Expression

    Groups = Mapping[str, Any]

_OF_ENTRIES: Final = ("$eq", "$in", "$ini", "$inGroup")


def expression_of(condition: dict[str, Any], groups: Groups) -> Expression:
    """Return the expression of a condition.

    Args:
        condition: a table of attributes and of `$and`, `$or`, `$nor` and `$not`.
        groups: the lists of values that `$inGroup` names.

    Raises:
        UntranslatableError: expressions cannot say it.
    """
    parts = []
    for key, value in condition.items():
        if key in ("$or", "$nor"):
            found = any_of([expression_of(each, groups) for each in value])
            found = found if value else ALWAYS
            parts.append(negated(found) if key == "$nor" else found)
        elif key == "$and":
            parts.extend([expression_of(each, groups) for each in value])
        elif key == "$not":
            parts.append(negated(expression_of(value, groups)))
        else:
            parts.append(_attribute(key, value, groups))
    return all_of(parts)


def _attribute(name: str, wanted: Any, groups: Groups) -> Expression:
    """Return whether an attribute is equal, or passes a table of operators."""
    if not has_operators(wanted):
        return equal(name, wanted)
    return all_of([_passes(name, sign, wanted[sign], groups) for sign in wanted])


def _passes(name: str, sign: str, value: Any, groups: Groups) -> Expression:
    if sign in OPERATORS:
        return OPERATORS[sign](name, value, sign)
    if sign == "$not":
        return negated(_attribute(name, value, groups))
    if sign in ("$inGroup", "$notInGroup"):
        found = in_list(name, groups.get(value) or [])
        return found if sign == "$inGroup" else negated(found)
    if sign == "$elemMatch":
        return _has_entry(name, value, groups)
    message = f"{name!r} is compared by the unknown operator {sign!r}"
    raise UntranslatableError(message)


def _has_entry(name: str, wanted: Any, groups: Groups) -> Expression:
    signs = list(wanted) if has_operators(wanted) else []
    if len(signs) != 1 or signs[0] not in _OF_ENTRIES:
        message = f"one entry of {name!r} has to match {wanted!r}"
        raise UntranslatableError(message)
    is_list, value = check(name, "json_type", "array"), wanted[signs[0]]
    if signs[0] == "$eq":
        return all_of([is_list, check(name, "any_of", [value])])
    return all_of([is_list, _passes(name, signs[0], value, groups)])
