# SPDX-License-Identifier: Apache-2.0
"""Conditions as people write them: `age >= 18` and `email endswith @example.com`."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import click

from ..conditions import Condition
from ..conditions.check import OPERATOR_DELIMITER
from ..conditions.operators import Operator
from ..exceptions import InvalidArgumentError
from .values import format_value, parse_list, parse_value, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..conditions.check import Check

# The symbol of an operator of flipper, by the sign that people write.
_SYMBOLS: Final[dict[str, str | None]] = {
    "=": None,
    "==": None,
    "!=": "ne",
    ">": "gt",
    ">=": "gte",
    "<": "lt",
    "<=": "lte",
    "in": "in",
    "not in": "not_in",
}
_LISTS: Final = (
    *("in", "not_in", "any_of", "all_of", "none_of", "iany_of", "iall_of"),
    *("in_cidr", "has_size"),
)
# These are written by their names, and some have values that are texts in any case.
_WORDS: Final = [
    str(kind.SYMBOL)
    for kind in Operator.OPERATOR_MAP.values()
    if getattr(kind, "IS_TYPED", False)
]
_SIGNS: Final[dict[str | None, str]] = {
    **{symbol: sign for sign, symbol in _SYMBOLS.items() if sign != "="},
    **{symbol: symbol for symbol in _WORDS},
}
_TEXTS: Final = (
    *("startswith", "endswith", "contains", "istartswith", "iendswith", "icontains"),
    "matches",
)
# In a text without quotes, a second sign or a second check is probably a mistake.
_SECOND_SIGN: Final = re.compile(r"\s*[=!<>~]")
_SECOND_CHECK: Final = re.compile(
    r"\s(and|or|&&|\|\|)\s+[^\s=!<>]+\s*"
    rf"([=!<>]|((not\s+)?in|{'|'.join(_WORDS)})\s)",
    re.IGNORECASE,
)
_QUOTED: Final = re.compile(r'"(?:\\.|[^"\\])*"')
_CHECK: Final = re.compile(
    r"\s*(?P<name>[^\s=!<>]+)\s*"
    r"(?:(?P<sign>==|!=|>=|<=|=|>|<)"
    rf"|(?<=\s)(?P<word>not\s+in|in|{'|'.join(_WORDS)})(?=[\s\[]))"
    r"(?P<value>.*)",
    re.DOTALL,
)


def parse_condition(words: Iterable[str]) -> Condition:
    """Return the condition of checks such as `age >= 18` or `age__gte=18`.

    Raises:
        click.UsageError: a check cannot be read, or is given twice.
    """
    checks: dict[str, Any] = {}
    for word in words:
        keyword, value = _parse_check(word)
        if keyword in checks:
            message = f"The check {keyword} is given twice; a condition has one of each"
            raise click.UsageError(message)
        checks[keyword] = value
    try:
        return Condition(**checks)
    except Operator.InvalidSymbolError as error:
        known = ", ".join(sorted(filter(None, Operator.OPERATOR_MAP)))
        message = f"{error}; the operators are {known}"
        raise click.UsageError(message) from None
    except InvalidArgumentError as error:
        raise click.UsageError(str(error)) from None


def _parse_check(text: str) -> tuple[str, Any]:
    found = _CHECK.fullmatch(text)
    if found is None or not found["value"].strip():
        message = (
            f"{shortened(text)} is not a check; write it as in 'age >= 18', "
            f"'country in SE,NO', 'plan = pro', or age__gte=18 (signs: "
            f"{', '.join(_SYMBOLS)}; words: {', '.join(_WORDS)})"
        )
        raise click.UsageError(message)
    _refuse_second(text, found["value"])
    name = found["name"]
    sign = found["sign"] or " ".join(found["word"].split())
    _, delimiter, symbol = name.rpartition(OPERATOR_DELIMITER)
    if delimiter and symbol in Operator.OPERATOR_MAP:  # as in age__gte=18
        if sign not in {"=", "=="}:
            both = f"{symbol} and {sign}"
            message = f"{shortened(text)} has two operators, {both}; leave one out"
            raise click.UsageError(message)
        keyword = name
    else:
        symbol = _SYMBOLS.get(sign, sign) or ""
        keyword = f"{name}{OPERATOR_DELIMITER}{symbol}" if symbol else name
    return keyword, _parse_value_of(symbol, found["value"])


def _parse_value_of(symbol: str, text: str) -> Any:
    if symbol in _LISTS:
        return parse_list(text)
    text = text.strip()
    is_json = text.startswith('"') or (text.startswith("[") and symbol != "matches")
    return text if symbol in _TEXTS and not is_json else parse_value(text)


def _refuse_second(text: str, value: str) -> None:
    """Refuse a value such as `> 18` in `age => 18`, or `18 and plan = pro`."""
    if _SECOND_SIGN.match(value):
        problem = "has two signs"
    elif _SECOND_CHECK.search(_QUOTED.sub('""', value)):
        problem = "has two checks; give each of them as an argument of its own"
    else:
        return
    message = (
        f"{shortened(text)} {problem}. A text that contains this is written in quotes: "
    )
    raise click.UsageError(message + f"{json.dumps(value.strip(), ensure_ascii=False)}")


def format_check(check: Check) -> str:
    """Return a check as `parse_condition` reads it."""
    symbol = check.operator.SYMBOL
    value = check.value
    if symbol not in _SIGNS:
        return f"{check.key}={_format_text(value)}"
    if symbol in _LISTS and _is_plain_list(value):
        shown = ",".join(map(_format_text, value))
    else:
        shown = _format_text(value)
    return f"{check.variable} {_SIGNS[symbol]} {shown}"


def _format_text(value: Any) -> str:
    """Return the text of a value in a check, where more texts need quotes."""
    text = format_value(value)
    if _SECOND_SIGN.match(text) or _SECOND_CHECK.search(_QUOTED.sub('""', text)):
        return json.dumps(value, ensure_ascii=False)
    return text


def _is_plain_list(value: Any) -> bool:
    """Return whether a list can be written without brackets."""
    return (
        isinstance(value, (list, tuple))
        and value != []
        and all(isinstance(each, (str, int, float, type(None))) for each in value)
    )


def format_condition(condition: Condition) -> str:
    """Return a condition as a sentence part, such as `age >= 18 and plan == pro`."""
    if not condition.own_checks:
        return "no checks"
    return " and ".join(map(format_check, condition.own_checks))
