# SPDX-License-Identifier: Apache-2.0
"""Checks values of the users' own: client data, and what conditions compare with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .problems import told

if TYPE_CHECKING:
    from .problems import Place

DEEPEST: Final = 100
"""How many tables and lists may be in each other in one value."""
_MOST_BITS: Final = 10_000  # Python refuses to write longer numbers as text


def check_value(place: Place, value: Any, depth: int = 0) -> None:
    """Report what no store can keep: dates, endless numbers of digits, deep nesting."""
    entries: Any = ()
    if isinstance(value, dict):
        entries = value.items()
    elif isinstance(value, list):
        entries = enumerate(value)
    elif isinstance(value, int):
        if value.bit_length() > _MOST_BITS:
            place.refuse("is a number with thousands of digits; write it as a text")
    elif value is not None and not isinstance(value, (str, float)):
        place.refuse(
            f"is {told(value)}, which no flag can hold; write it as a text in quotes"
        )
    if entries and depth >= DEEPEST:
        place.refuse(f"is nested more than {DEEPEST} levels deep; use fewer levels")
        return
    for key, entry in entries:
        check_value(place.at(key), entry, depth + 1)


def is_number(value: Any) -> bool:
    """Return whether a value is a number, which true and false are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)
