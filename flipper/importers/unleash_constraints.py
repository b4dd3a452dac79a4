# SPDX-License-Identifier: Apache-2.0
"""Translates the constraints of Unleash, which compare a field of its context.

Source: Unleash's description of constraints, and its client specification.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from .expressions import negated
from .translation import NEVER, UntranslatableError, check, given

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..conditions.expression import Expression

_TEXTS: Final = {
    "STR_STARTS_WITH": "startswith",
    "STR_ENDS_WITH": "endswith",
    "STR_CONTAINS": "contains",
}
_DATES: Final = {"DATE_AFTER": "after", "DATE_BEFORE": "before"}
_ONE_VALUE: Final = {
    **_DATES,
    **{
        f"NUM_{sign.upper()}": f"num_{sign}"
        for sign in ("eq", "gt", "gte", "lt", "lte")
    },
    **{
        f"SEMVER_{sign.upper()}": f"semver_{sign}"
        for sign in ("eq", "gt", "gte", "lt", "lte")
    },
}

# Patterns are those of RE2, whose classes have characters of ASCII only.
_CLASSES: Final = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": r"\t ",
    "digit": "0-9",
    "lower": "a-z",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_ESCAPES: Final = {r"\d": "0-9", r"\s": r"\t\n\f\r ", r"\w": "0-9A-Za-z_"}
_TOKEN: Final = re.compile(r"\\.|\[:\^?[a-z]+:\]|\[\^?\]?|.", re.DOTALL)
_FIRST_FLAGS: Final = re.compile(r"(\^?)\(\?([imsU]+)\)")


def constraint_of(constraint: dict[str, Any]) -> Expression:
    """Return the expression of a constraint.

    Raises:
        UntranslatableError: expressions cannot say it.
    """
    found = _not_inverted(constraint)
    if not constraint.get("inverted"):
        return found
    if constraint["operator"] in _DATES:
        # Unleash fills in the time of the question. Without it, nothing is known here.
        return given(constraint["contextName"]) & ~found
    return negated(found)


def _not_inverted(constraint: dict[str, Any]) -> Expression:
    name, operator = constraint["contextName"], constraint["operator"]
    values = [str(each) for each in constraint.get("values") or ()]
    if operator in ("IN", "NOT_IN"):
        found = check(name, "in", values) if values else NEVER
        return found if operator == "IN" else negated(found)
    ignores_case = bool(constraint.get("caseInsensitive"))
    if operator in _TEXTS:
        symbol = f"{'i' if ignores_case else ''}{_TEXTS[operator]}"
        return check(name, symbol, values) if values else NEVER
    if operator == "IN_CIDR":
        return in_networks(name, values)
    value = constraint.get("value")
    if operator == "REGEX" and isinstance(value, str):
        return check(name, "matches", _pattern(value, ignores_case=ignores_case))
    if operator not in _ONE_VALUE:
        message = f"a constraint has the unknown operator {operator!r}"
        raise UntranslatableError(message)
    found = check(name, _ONE_VALUE[operator], value)
    if not operator.startswith("SEMVER"):
        return found
    # To Unleash, "v1.2.3" is no version.
    if str(value)[:1] in "vV":
        message = f"a constraint compares with {value!r}, which Unleash never matches"
        raise UntranslatableError(message)
    return found & ~check(name, "istartswith", "v")


def in_networks(name: str, values: Iterable[str]) -> Expression:
    """Return whether an argument is in networks; what is no network is left out."""
    from ipaddress import ip_network

    networks = []
    for value in values:
        try:
            networks.append(str(ip_network(value.strip(), strict=False)))
        except ValueError:
            continue
    return check(name, "in_cidr", networks) if networks else NEVER


def _pattern(text: str, *, ignores_case: bool) -> str:
    r"""Return a regular expression of RE2 as flipper writes it.

    Flags come first, and `\d` and `[[:digit:]]` are `[0-9]`.
    """
    flags = {"i"} if ignores_case else set()
    first = _FIRST_FLAGS.match(text)
    if first is not None and not (first[1] and "m" in first[2]):
        flags |= {*first[2]}
        text = first[1] + text[first.end() :]
    parts = []
    in_set = False
    for token in _TOKEN.findall(text):
        part = token
        if in_set and token.startswith("[:") and token[2:-2] in _CLASSES:
            part = _CLASSES[token[2:-2]]
        elif token in _ESCAPES:
            part = _ESCAPES[token] if in_set else f"[{_ESCAPES[token]}]"
        elif token.startswith("[") and not in_set:
            in_set = True
        elif token.startswith("[") and len(token) > 1:
            message = f"the regular expression {text!r} has the class {token!r}"
            raise UntranslatableError(message)
        elif token == "]":  # noqa: S105  (no password)
            in_set = False
        parts.append(part)
    return f"(?{''.join(sorted(flags))}){''.join(parts)}" if flags else "".join(parts)
