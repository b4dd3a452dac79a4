# SPDX-License-Identifier: Apache-2.0
"""Translates the operators of GrowthBook's conditions.

Source: GrowthBook's description of how an SDK evaluates conditions. An attribute that
is missing is `None` to it, less than a positive number, and the version 0.
"""

from __future__ import annotations

import math
import operator
import re
from typing import TYPE_CHECKING, Any, Final

from .expressions import all_of, any_of, negated
from .translation import NEVER, UntranslatableError, check, checks, given

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..conditions.expression import Expression

_ORDERS: Final = {
    "$lt": operator.lt,
    "$lte": operator.le,
    "$gt": operator.gt,
    "$gte": operator.ge,
}
_LISTS: Final = {"$in": "any_of", "$ini": "iany_of"}
_FULL_LISTS: Final = {"$all": "all_of", "$alli": "iall_of"}
_PATTERNS: Final = {"$regex": "", "$regexi": "(?i)"}
_NOT_PATTERNS: Final = {"$notRegex": "$regex", "$notRegexi": "$regexi"}
_SHORT_VERSION: Final = re.compile(r"v?(\d+)(?:\.(\d+))?")


def has_operators(wanted: Any) -> bool:
    """Return whether a value is a table of operators, and no value to be equal to."""
    if not isinstance(wanted, dict) or not wanted:
        return False
    return all(key.startswith("$") for key in wanted)


def equal(name: str, value: Any) -> Expression:
    """Return whether an attribute has a value; to be missing is to be null."""
    return negated(given(name)) if value is None else check(name, None, value)


def _identical(name: str, value: Any, _: str) -> Expression:
    # To JavaScript, two lists are never identical.
    return NEVER if isinstance(value, (list, dict)) else equal(name, value)


def in_list(name: str, values: Any, sign: str = "$in") -> Expression:
    """Return whether an attribute, or an entry of it, is among values."""
    if not isinstance(values, list) or not values:
        return NEVER
    found = check(name, _LISTS[sign], values)
    return any_of([found, negated(given(name)) if None in values else NEVER])


def _not_in_list(name: str, values: Any, sign: str) -> Expression:
    if not isinstance(values, list):
        return NEVER
    return negated(in_list(name, values, sign.replace("$n", "$")))


def _has_all(name: str, values: Any, sign: str) -> Expression:
    if not isinstance(values, list):
        return NEVER
    if any(has_operators(each) for each in values):
        message = f"the entries of {name!r} are compared by operators"
        raise UntranslatableError(message)
    return checks(name, {"json_type": "array", _FULL_LISTS[sign]: values})


def _ordered(name: str, value: Any, sign: str) -> Expression:
    symbol = sign[1:]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        found = check(name, f"num_{symbol}", value)
        counts_as_zero = negated(given(name)) if _ORDERS[sign](0, value) else NEVER
        return any_of([found, counts_as_zero])
    if not isinstance(value, str):
        message = f"{name!r} is compared by {sign} with {value!r}"
        raise UntranslatableError(message)
    as_text = checks(name, {"json_type": "string", symbol: value})
    try:
        float(value)
    except ValueError:
        return as_text
    return any_of(
        [as_text, checks(name, {"json_type": "number", f"num_{symbol}": value})]
    )


def _matches(name: str, value: Any, sign: str) -> Expression:
    try:
        re.compile(value)
    except (re.error, TypeError):
        return NEVER  # no regular expression at all, which GrowthBook never matches
    return check(name, "matches", f"{_PATTERNS[sign]}{value}")


def _not_matches(name: str, value: Any, sign: str) -> Expression:
    return negated(_matches(name, value, _NOT_PATTERNS[sign]))


def _exists(name: str, value: Any, _: str) -> Expression:
    return given(name) if value else negated(given(name))


def _of_type(name: str, kind: Any, _: str) -> Expression:
    if kind == "null":
        return negated(given(name))
    return NEVER if kind == "undefined" else check(name, "json_type", kind)


def _sized(name: str, wanted: Any, _: str = "") -> Expression:
    if has_operators(wanted):
        parts = [_sized_by(name, sign, value) for sign, value in wanted.items()]
        return all_of([check(name, "json_type", "array"), *parts])
    is_whole = type(wanted) in (int, float) and wanted == int(wanted) >= 0
    return check(name, "has_size", int(wanted)) if is_whole else NEVER


def _sized_by(name: str, sign: str, value: Any) -> Expression:
    if sign in ("$not", "$ne"):
        return negated(_sized(name, value))
    if sign == "$eq":
        return _sized(name, value)
    if sign not in _ORDERS or type(value) not in (int, float):
        message = f"the size of {name!r} is compared by {sign} with {value!r}"
        raise UntranslatableError(message)
    # The least size that is not less than the value, or that is greater.
    least = math.ceil(value) if sign in ("$gte", "$lt") else math.floor(value) + 1
    found = check(name, "has_size", [max(least, 0), None])
    return found if sign in ("$gt", "$gte") else negated(found)


def _version(name: str, value: Any, sign: str) -> Expression:
    if sign == "$vne":
        return negated(_version(name, value, "$veq"))
    symbol = sign[2:]
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


OPERATORS: Final[dict[str, Callable[[str, Any, str], Expression]]] = {
    "$eq": _identical,
    "$ne": lambda name, value, sign: negated(_identical(name, value, sign)),
    **dict.fromkeys(_ORDERS, _ordered),
    **dict.fromkeys(_LISTS, in_list),
    **dict.fromkeys(["$nin", "$nini"], _not_in_list),
    **dict.fromkeys(_FULL_LISTS, _has_all),
    **dict.fromkeys(_PATTERNS, _matches),
    **dict.fromkeys(_NOT_PATTERNS, _not_matches),
    **dict.fromkeys(["$veq", "$vne", "$vlt", "$vlte", "$vgt", "$vgte"], _version),
    "$exists": _exists,
    "$type": _of_type,
    "$size": _sized,
}
"""What each operator says of an attribute, given its name, a value and the operator."""
