# SPDX-License-Identifier: Apache-2.0
"""The operators that conditions know, as one table."""

from __future__ import annotations

from typing import Any

from .interface import AbstractOperator


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


# How Python writes them; each good as long as nobody replaces the method.
_SIGNS: dict[type[AbstractOperator], tuple[Any, str]] = {
    kind: (kind.compare, sign)
    for kind, sign in (
        (EqualityOperator, "=="),
        (NegationOperator, "!="),
        (GreaterThanOperator, ">"),
        (GreaterThanOrEqualToOperator, ">="),
        (LessThanOperator, "<"),
        (LessThanOrEqualToOperator, "<="),
        (SetMembershipOperator, "in"),
        (NegatedSetMembershipOperator, "not in"),
    )
}


def sign_of(operator: AbstractOperator) -> str | None:
    """Return how Python writes the operator, if it is one of flipper's own."""
    kind = type(operator)
    compare, sign = _SIGNS.get(kind, (None, None))
    if sign is None or compare is not kind.compare or "compare" in vars(operator):
        return None
    return sign


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
