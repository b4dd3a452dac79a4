# SPDX-License-Identifier: Apache-2.0
"""Conditions in a file: a table of keywords, or a list of checks.

`{ country__in = ["SE"], age__gte = 18 }` has the keywords of `Condition`. A list such
as `[{ variable = "age", operator = "gt", value = 18 }]` can also express two checks of
one variable with the same operator, and variables with `__` in their name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..conditions.check import OPERATOR_DELIMITER, Check
from ..conditions.condition import Condition
from ..conditions.keywords import checks_to_plain
from ..conditions.operators.operator import (
    NegatedSetMembershipOperator,
    Operator,
    SetMembershipOperator,
)
from .problems import check_keys, nearest, shortened, told
from .values import check_value

if TYPE_CHECKING:
    from .problems import Place

MEMBERSHIP: Final = (SetMembershipOperator, NegatedSetMembershipOperator)
_PLAIN: Final = (str, int, float, list, dict)
_CHECK: Final = {"variable": 'variable = "age"', "value": "value = 18"}


def symbols() -> list[str]:
    """Return the symbols of all registered operators except equality."""
    return sorted(key for key in Operator.OPERATOR_MAP if key is not None)


def read_conditions(place: Place, value: Any) -> list[Condition]:
    """Return the conditions of a flag, and report mistakes."""
    if not isinstance(value, list):
        place.refuse(
            f"is {told(value)}; write a list of conditions, such as "
            f"[{{ country = 'SE' }}]"
        )
        return []
    return [read_condition(place.at(index), one) for index, one in enumerate(value)]


def read_condition(place: Place, value: Any) -> Condition:
    """Return a condition, and report mistakes."""
    checks: list[Any] = []
    if isinstance(value, dict):
        for key, entry in value.items():
            checks.append(_read_keyword(place.at(key), key, entry))
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            checks.append(_read_check(place.at(index), entry))
    else:
        place.refuse(
            f"is {told(value)}; write a table such as {{ country = 'SE' }}, or a list "
            f"of checks"
        )
    return Condition.from_dict({"": [check for check in checks if check is not None]})


def _read_keyword(place: Place, key: str, value: Any) -> dict[str, Any] | None:
    variable, found = Check.split_check_key(key)
    if OPERATOR_DELIMITER in key and (
        found is None or found not in Operator.OPERATOR_MAP
    ):
        symbol = key.rpartition(OPERATOR_DELIMITER)[2]
        place.refuse(
            f"the operator {symbol!r} is unknown; {nearest(symbol, symbols())}. If "
            f"this is the name of an argument, write a list of checks: [{{ variable = "
            f"{shortened(key)}, value = ... }}]",
            at_name=True,
        )
        return None
    return _checked(place, variable, found, value)


def _read_check(place: Place, value: Any) -> dict[str, Any] | None:
    if not check_keys(place, value, _CHECK, ("operator",)):
        return None
    symbol, variable = value.get("operator"), value.get("variable", "")
    if not isinstance(variable, str):
        place.at("variable").refuse(
            f"is {told(variable)}; write the name of an argument in quotes"
        )
    elif symbol is not None and not isinstance(symbol, str):
        place.at("operator").refuse(
            f"is {told(symbol)}; write its symbol in quotes, one of "
            f"{', '.join(symbols())}, or leave it out for equality"
        )
    elif symbol is not None and symbol not in Operator.OPERATOR_MAP:
        place.at("operator").refuse(
            f"the operator {symbol!r} is unknown; {nearest(symbol, symbols())}; leave "
            f"it out for equality"
        )
    elif "value" in value:
        return _checked(place.at("value"), variable, symbol, value["value"])
    return None


def _checked(
    place: Place, variable: str, symbol: str | None, value: Any
) -> dict[str, Any] | None:
    check_value(place, value)
    kind: Any = Operator.OPERATOR_MAP[symbol]
    is_container = isinstance(value, (list, dict, str))
    if kind in MEMBERSHIP and not is_container:
        place.refuse(f"is {told(value)}; the operator {symbol!r} needs a list, as [1]")
    if getattr(kind, "IS_TYPED", False):
        if value is not None and not isinstance(value, _PLAIN):
            return None  # `check_value` has refused it
        try:
            kind.stored_value(value)
        except ValueError as problem:
            place.refuse(f"is {told(value)}, which {problem}")
            return None
    return {"variable": variable, "operator": symbol, "value": value}


def plain_conditions(stored: list[Any]) -> list[Any]:
    """Return conditions as a file has them, from those of a stored document."""
    return [
        checks_to_plain([check for checks in each.values() for check in checks])
        for each in stored
    ]
