# SPDX-License-Identifier: Apache-2.0
"""The operators that conditions know, as one table."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from .interface import AbstractOperator

if TYPE_CHECKING:
    from collections.abc import Callable


class EqualityOperator(AbstractOperator):
    """`==`."""

    SYMBOL = None

    def compare(self, expected: Any, actual: Any) -> Any:
        """Compare by `expected == actual`."""
        return expected == actual


class NegationOperator(AbstractOperator):
    """`!=`."""

    SYMBOL = "ne"

    def compare(self, expected: Any, actual: Any) -> Any:
        """Compare by `expected != actual`."""
        return expected != actual


class GreaterThanOperator(AbstractOperator):
    """`>`."""

    SYMBOL = "gt"

    def compare(self, expected: Any, actual: Any) -> Any:
        """Compare by `expected > actual`."""
        return expected > actual


class GreaterThanOrEqualToOperator(AbstractOperator):
    """`>=`."""

    SYMBOL = "gte"

    def compare(self, expected: Any, actual: Any) -> Any:
        """Compare by `expected >= actual`."""
        return expected >= actual


class LessThanOperator(AbstractOperator):
    """`<`."""

    SYMBOL = "lt"

    def compare(self, expected: Any, actual: Any) -> Any:
        """Compare by `expected < actual`."""
        return expected < actual


class LessThanOrEqualToOperator(AbstractOperator):
    """`<=`."""

    SYMBOL = "lte"

    def compare(self, expected: Any, actual: Any) -> Any:
        """Compare by `expected <= actual`."""
        return expected <= actual


class SetMembershipOperator(AbstractOperator):
    """`in`."""

    SYMBOL = "in"

    def compare(self, expected: Any, actual: Any) -> Any:
        """Compare by `expected in actual`."""
        return expected in actual


class NegatedSetMembershipOperator(AbstractOperator):
    """`not in`."""

    SYMBOL = "not_in"

    def compare(self, expected: Any, actual: Any) -> Any:
        """Compare by `expected not in actual`."""
        return expected not in actual


def _contains(expected: Any, actual: Any) -> bool:
    return expected in actual


def _lacks(expected: Any, actual: Any) -> bool:
    return expected not in actual


# The same without a method call; each good as long as nobody replaces the method.
_FUNCTIONS: dict[type[AbstractOperator], tuple[Any, Callable[[Any, Any], Any]]] = {
    kind: (kind.compare, function)
    for kind, function in (
        (EqualityOperator, operator.eq),
        (NegationOperator, operator.ne),
        (GreaterThanOperator, operator.gt),
        (GreaterThanOrEqualToOperator, operator.ge),
        (LessThanOperator, operator.lt),
        (LessThanOrEqualToOperator, operator.le),
        (SetMembershipOperator, _contains),
        (NegatedSetMembershipOperator, _lacks),
    )
}


def function_of(operator: AbstractOperator) -> Callable[[Any, Any], Any] | None:
    """Return what compares as `operator` does, if that is one of flipper's own."""
    kind = type(operator)
    compare, function = _FUNCTIONS.get(kind, (None, None))
    if function is None or compare is not kind.compare or "compare" in vars(operator):
        return None
    return function


class Operator:
    """Finds the operator that belongs to a symbol."""

    OPERATOR_MAP: dict[str | None, type[AbstractOperator]] = {  # noqa: RUF012  (public, writable)
        kind.SYMBOL: kind
        for kind in (
            EqualityOperator,
            NegationOperator,
            GreaterThanOperator,
            GreaterThanOrEqualToOperator,
            LessThanOperator,
            LessThanOrEqualToOperator,
            SetMembershipOperator,
            NegatedSetMembershipOperator,
        )
    }

    class InvalidSymbolError(Exception):
        """No operator has this symbol; `OPERATOR_MAP` lists those there are."""

    @classmethod
    def factory(cls, symbol: str | None) -> AbstractOperator:
        """Make the operator of `symbol`, equality for `None`.

        Raises:
            Operator.InvalidSymbolError: the symbol is unknown.
        """
        try:
            kind = cls.OPERATOR_MAP[symbol]
        except (KeyError, TypeError):
            message = f"Operator not supported: {symbol}"
            raise cls.InvalidSymbolError(message) from None
        return kind()
