# SPDX-License-Identifier: Apache-2.0
"""The operators, and the table that finds them by their symbol.

`is_enabled` does not call `compare` of these classes: `rule_compiler` writes Python's
own operator into the function that decides. The method is called only if a test has
replaced it, and for operators of applications.
"""

from __future__ import annotations

from typing import Any

from ...runtime.patching import Patchable, guard
from .interface import AbstractOperator


class EqualityOperator(AbstractOperator, metaclass=Patchable):
    """`==`."""

    SYMBOL = None

    def compare(self, expected: Any, actual: Any) -> Any:
        """Compare by `expected == actual`."""
        return expected == actual


class NegationOperator(AbstractOperator, metaclass=Patchable):
    """`!=`."""

    SYMBOL = "ne"

    def compare(self, expected: Any, actual: Any) -> Any:
        """Compare by `expected != actual`."""
        return expected != actual


class GreaterThanOperator(AbstractOperator, metaclass=Patchable):
    """`>`."""

    SYMBOL = "gt"

    def compare(self, expected: Any, actual: Any) -> Any:
        """Compare by `expected > actual`."""
        return expected > actual


class GreaterThanOrEqualToOperator(AbstractOperator, metaclass=Patchable):
    """`>=`."""

    SYMBOL = "gte"

    def compare(self, expected: Any, actual: Any) -> Any:
        """Compare by `expected >= actual`."""
        return expected >= actual


class LessThanOperator(AbstractOperator, metaclass=Patchable):
    """`<`."""

    SYMBOL = "lt"

    def compare(self, expected: Any, actual: Any) -> Any:
        """Compare by `expected < actual`."""
        return expected < actual


class LessThanOrEqualToOperator(AbstractOperator, metaclass=Patchable):
    """`<=`."""

    SYMBOL = "lte"

    def compare(self, expected: Any, actual: Any) -> Any:
        """Compare by `expected <= actual`."""
        return expected <= actual


class SetMembershipOperator(AbstractOperator, metaclass=Patchable):
    """`in`."""

    SYMBOL = "in"

    def compare(self, expected: Any, actual: Any) -> Any:
        """Compare by `expected in actual`."""
        return expected in actual


class NegatedSetMembershipOperator(AbstractOperator, metaclass=Patchable):
    """`not in`."""

    SYMBOL = "not_in"

    def compare(self, expected: Any, actual: Any) -> Any:
        """Compare by `expected not in actual`."""
        return expected not in actual


# Python's sign for each operator.
_SIGNS: dict[type[AbstractOperator], str] = {
    EqualityOperator: "==",
    NegationOperator: "!=",
    GreaterThanOperator: ">",
    GreaterThanOrEqualToOperator: ">=",
    LessThanOperator: "<",
    LessThanOrEqualToOperator: "<=",
    SetMembershipOperator: "in",
    NegatedSetMembershipOperator: "not in",
}
for _kind in _SIGNS:
    guard(_kind, "compare")


def sign_of(operator: AbstractOperator) -> str | None:
    """Return Python's sign for an operator of flipper's, `None` for any other."""
    sign = _SIGNS.get(type(operator))
    return None if sign is None or "compare" in vars(operator) else sign


_SHARED = {kind: kind() for kind in _SIGNS}


def shared_operator(operator: AbstractOperator) -> AbstractOperator:
    """Return the instance of an operator's class that all checks may share.

    An operator of a custom class is returned as it is.
    """
    return _SHARED.get(type(operator), operator)


def is_shared(operator: AbstractOperator) -> bool:
    """Return whether other checks may have this instance, too."""
    return _SHARED.get(type(operator)) is operator


class Operator:
    """Finds the operator of a symbol."""

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
        """No operator has this symbol; `OPERATOR_MAP` has the known ones."""

    @classmethod
    def factory(cls, symbol: str | None) -> AbstractOperator:
        """Make the operator of a symbol; `None` is equality.

        Raises:
            Operator.InvalidSymbolError: the symbol is unknown.
        """
        try:
            kind = cls.OPERATOR_MAP[symbol]
        except (KeyError, TypeError):
            message = f"Operator not supported: {symbol}"
            raise cls.InvalidSymbolError(message) from None
        return kind()
