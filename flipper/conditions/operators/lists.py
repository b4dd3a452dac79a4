# SPDX-License-Identifier: Apache-2.0
"""The operators for arguments that are lists, such as `any_of` and `has_size`.

A tuple and a set are lists, too. Any other argument counts as a list of this one entry,
except for `has_size`.
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


def _folded(entries: Any) -> list[Any]:
    return [str.casefold(each) if isinstance(each, str) else each for each in entries]


class _ListOperator(TypedOperator):
    SCHEMA: ClassVar[dict[str, Any]] = {"type": "array"}
    holds: ClassVar[Any]  # a function of the entries and the values
    IGNORES_CASE: ClassVar[bool] = False

    @classmethod
    def predicate(cls, value: Any) -> Predicate:
        """Return a function that compares entries; it is false if their `==` fails."""
        if not isinstance(value, (list, tuple)):
            message = "is not a list; use a list, as ['beta', 'staff']"
            raise ValueError(message)  # noqa: TRY004  (one class for all)
        folded = _folded if cls.IGNORES_CASE else list
        values = folded(value)
        holds = cls.holds
        texts = frozenset(values) if {type(each) for each in values} == {str} else None

        def compare(argument: Any) -> bool:
            try:
                entries = folded(
                    argument if isinstance(argument, _LISTS) else [argument]
                )
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


class CaseInsensitiveAnyOfOperator(_ListOperator):
    """`any_of`, of the texts after `str.casefold`."""

    SYMBOL = "iany_of"
    holds = staticmethod(_any_of)
    IGNORES_CASE = True


class CaseInsensitiveAllOfOperator(_ListOperator):
    """`all_of`, of the texts after `str.casefold`."""

    SYMBOL = "iall_of"
    holds = staticmethod(_all_of)
    IGNORES_CASE = True


class SizeOperator(TypedOperator):
    """The argument is a list of that many entries, or of a number in a range.

    The value is a whole number, or a list of the least and the greatest number, of
    which the greatest may be `None`.
    """

    SYMBOL = "has_size"
    SCHEMA: ClassVar[dict[str, Any]] = {
        "type": ["integer", "array"],
        "items": {"type": ["integer", "null"]},
        "minItems": 2,
        "maxItems": 2,
    }

    @classmethod
    def predicate(cls, value: Any) -> Predicate:
        """Return a function that counts the entries of an argument."""
        limits = value if isinstance(value, (list, tuple)) else [value, value]
        numbers = [each for each in limits if each is not None]
        is_known = len(limits) == 2 and limits[0] is not None  # noqa: PLR2004
        if not is_known or any(type(each) is not int for each in numbers):
            message = "is not a size; use a number as 2, or a range as [1, None]"
            raise ValueError(message)
        least, most = limits[0], limits[1]
        return lambda argument: (
            isinstance(argument, _LISTS)
            and least <= len(argument)
            and (most is None or len(argument) <= most)
        )


LIST_OPERATORS: tuple[type[TypedOperator], ...] = (
    AnyOfOperator,
    AllOfOperator,
    NoneOfOperator,
    CaseInsensitiveAnyOfOperator,
    CaseInsensitiveAllOfOperator,
    SizeOperator,
)
