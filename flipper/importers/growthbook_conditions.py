# SPDX-License-Identifier: Apache-2.0
"""Translates the targeting conditions of GrowthBook, which are like queries of MongoDB.

Source: GrowthBook's description of how an SDK evaluates conditions. An attribute that
is missing is `None` to it, less than a positive number, and the version 0.
"""

from __future__ import annotations

import math
import operator
import re
from typing import TYPE_CHECKING, Any, Final

from ..conditions.condition import Condition
from .expressions import all_of, any_of, negated
from .translation import ALWAYS, NEVER, UntranslatableError, check, given

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..conditions.expression import Expression

    Groups = Mapping[str, Any]

_ORDERS: Final = {
    "$lt": operator.lt,
    "$lte": operator.le,
    "$gt": operator.gt,
    "$gte": operator.ge,
}
_LISTS: Final = {"$in": "any_of", "$ini": "iany_of"}
_NEGATED: Final = {
    "$ne": "$eq",
    "$nin": "$in",
    "$nini": "$ini",
    "$notInGroup": "$inGroup",
    "$vne": "$veq",
}
_ALL: Final = {"$all": "all_of", "$alli": "iall_of"}
_PATTERNS: Final = {"$regex": "", "$regexi": "(?i)"}
_NOT_PATTERNS: Final = {"$notRegex": "$regex", "$notRegexi": "$regexi"}
_ENTRIES: Final = ("$eq", "$in", "$ini", "$inGroup")
_SHORT_VERSION: Final = re.compile(r"v?(\d+)(?:\.(\d+))?")


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
    if _has_operators(wanted):
        parts = [_passes(name, sign, value, groups) for sign, value in wanted.items()]
        return all_of(parts)
    return negated(given(name)) if wanted is None else check(name, None, wanted)


def _has_operators(wanted: Any) -> bool:
    if not isinstance(wanted, dict) or not wanted:
        return False
    return all(key.startswith("$") for key in wanted)


def _passes(name: str, sign: str, value: Any, groups: Groups) -> Expression:  # noqa: C901, PLR0911, PLR0912  (a table of operators)
    if sign == "$not":
        return negated(_attribute(name, value, groups))
    if sign in ("$nin", "$nini") and not isinstance(value, list):
        return NEVER
    if sign in _NEGATED:
        return negated(_passes(name, _NEGATED[sign], value, groups))
    if sign == "$eq":
        return negated(given(name)) if value is None else check(name, None, value)
    if sign in _ORDERS:
        return _ordered(name, sign, value)
    if sign in _LISTS:
        return _in_list(name, _LISTS[sign], value)
    if sign == "$inGroup":
        return _in_list(name, "any_of", groups.get(value) or [])
    if sign in _ALL:
        return _has_all(name, _ALL[sign], value)
    if sign in _PATTERNS:
        return check(name, "matches", f"{_PATTERNS[sign]}{value}")
    if sign in _NOT_PATTERNS:
        found = _passes(name, _NOT_PATTERNS[sign], value, groups)
        return all_of([check(name, "type", "string"), negated(found)])
    if sign == "$exists":
        return given(name) if value else negated(given(name))
    if sign == "$type":
        return _of_type(name, value)
    if sign == "$size":
        return _sized(name, value)
    if sign == "$elemMatch":
        return _has_entry(name, value, groups)
    if sign in ("$veq", "$vlt", "$vlte", "$vgt", "$vgte"):
        return _version(name, sign[2:], value)
    message = f"{name!r} is compared by the unknown operator {sign!r}"
    raise UntranslatableError(message)


def _ordered(name: str, sign: str, value: Any) -> Expression:
    symbol = sign[1:]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        found = check(name, f"num_{symbol}", value)
        counts_as_zero = negated(given(name)) if _ORDERS[sign](0, value) else NEVER
        return any_of([found, counts_as_zero])
    if not isinstance(value, str):
        message = f"{name!r} is compared by {sign} with {value!r}"
        raise UntranslatableError(message)
    parts: list[Expression] = [_typed(name, "string", symbol, value)]
    try:
        float(value)
    except ValueError:
        return parts[0]
    return any_of([*parts, _typed(name, "number", f"num_{symbol}", value)])


def _typed(name: str, kind: str, symbol: str, value: Any) -> Expression:
    """Return a condition that compares arguments of one type only."""
    checks = [("type", kind), (symbol, value)]
    fields = [{"variable": name, "operator": each, "value": v} for each, v in checks]
    return Condition.from_dict({name: fields})


def _in_list(name: str, symbol: str, values: Any) -> Expression:
    if not isinstance(values, list) or not values:
        return NEVER
    found = check(name, symbol, values)
    return any_of([found, negated(given(name)) if None in values else NEVER])


def _has_all(name: str, symbol: str, values: Any) -> Expression:
    if not isinstance(values, list):
        return NEVER
    if any(_has_operators(each) for each in values):
        message = f"the entries of {name!r} are compared by operators"
        raise UntranslatableError(message)
    return _typed(name, "array", symbol, values)


def _of_type(name: str, kind: Any) -> Expression:
    if kind == "null":
        return negated(given(name))
    return NEVER if kind == "undefined" else check(name, "type", kind)


def _sized(name: str, wanted: Any) -> Expression:
    if _has_operators(wanted):
        parts = [_sized_by(name, sign, value) for sign, value in wanted.items()]
        return all_of([check(name, "type", "array"), *parts])
    is_whole = type(wanted) in (int, float) and wanted == int(wanted) >= 0
    return check(name, "size", int(wanted)) if is_whole else NEVER


def _sized_by(name: str, sign: str, value: Any) -> Expression:
    if sign == "$not":
        return negated(_sized(name, value))
    if sign in ("$eq", "$ne"):
        found = _sized(name, value)
        return negated(found) if sign == "$ne" else found
    if sign not in _ORDERS or type(value) not in (int, float):
        message = f"the size of {name!r} is compared by {sign} with {value!r}"
        raise UntranslatableError(message)
    # The least size that is not less than the value, or that is greater.
    least = math.ceil(value) if sign in ("$gte", "$lt") else math.floor(value) + 1
    found = check(name, "size", [max(least, 0), None])
    return found if sign in ("$gt", "$gte") else negated(found)


def _has_entry(name: str, wanted: Any, groups: Groups) -> Expression:
    if not _has_operators(wanted) or len(wanted) > 1 or [*wanted][0] not in _ENTRIES:
        message = f"the entries of {name!r} have to match {wanted!r}"
        raise UntranslatableError(message)
    sign, value = next(iter(wanted.items()))
    is_list = check(name, "type", "array")
    if sign == "$eq":
        return all_of([is_list, check(name, "any_of", [value])])
    return all_of([is_list, _passes(name, sign, value, groups)])


def _version(name: str, symbol: str, value: Any) -> Expression:
    is_missing = negated(given(name)) if symbol in ("lt", "lte") else NEVER
    short = _SHORT_VERSION.fullmatch(str(value))
    if short is None:
        return any_of([check(name, f"semver_{symbol}", value), is_missing])
    if symbol == "eq":
        message = f"the version of {name!r} is compared with {value!r}"
        raise UntranslatableError(message)
    # To GrowthBook, 1.2 comes before every version 1.2.X.
    order = "semver_gte" if symbol in ("gt", "gte") else "semver_lt"
    lowest = f"{short[1]}.{short[2] or 0}.0-0"
    return any_of([check(name, order, lowest), is_missing])
