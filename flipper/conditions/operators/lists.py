# SPDX-License-Identifier: Apache-2.0
"""The operators for arguments that are lists: `any_of`, `all_of`, `none_of`.

A tuple and a set are lists, too. Any other argument counts as a list of this one entry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from .typed import TypedOperator

if TYPE_CHECKING:
    from .typed import Predicate

_LISTS = (list, tuple, set, frozenset)


def _any_of(entries: Any, values: Any) -> bool:
    return any(each in values for each in entries)


def _all_of(entries: Any, values: Any) -> bool:
    return all(each in entries for each in values)


def _none_of(entries: Any, values: Any) -> bool:
    return not _any_of(entries, values)


class _ListOperator(TypedOperator):
    SCHEMA: ClassVar[dict[str, Any]] = {"type": "array"}
    holds: ClassVar[Any]  # a function of the entries and the values

    @classmethod
    def predicate(cls, value: Any) -> Predicate:
        """Return a function that compares entries; it is false if their `==` fails."""
        if not isinstance(value, (list, tuple)):
            message = "is not a list; use a list, as ['beta', 'staff']"
            raise ValueError(message)  # noqa: TRY004  (one class for all)
        values = list(value)
        holds = cls.holds
        texts = frozenset(value) if {type(each) for each in value} == {str} else None

        def compare(argument: Any) -> bool:
            try:
                entries = list(argument) if isinstance(argument, _LISTS) else [argument]
                # Plain texts are equal in a set exactly if they are in a list.
                if texts is not None and {type(each) for each in entries} <= {str}:
                    return bool(holds(frozenset(entries), texts))
                return bool(holds(entries, values))
            except Exception:  # noqa: BLE001  (of an `==` of an entry)
                return False

        return compare


class AnyOfOperator(_ListOperator):
    """At least one entry of the argument is in the value, a list."""

    SYMBOL = "any_of"
    holds = staticmethod(_any_of)


class AllOfOperator(_ListOperator):
    """Every entry of the value, a list, is in the argument."""

    SYMBOL = "all_of"
    holds = staticmethod(_all_of)


class NoneOfOperator(_ListOperator):
    """No entry of the argument is in the value, a list."""

    SYMBOL = "none_of"
    holds = staticmethod(_none_of)


LIST_OPERATORS: tuple[type[TypedOperator], ...] = (
    AnyOfOperator,
    AllOfOperator,
    NoneOfOperator,
)
