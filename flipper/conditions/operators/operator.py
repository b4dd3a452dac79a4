# SPDX-License-Identifier: Apache-2.0
"""The operators that compare as Python does, and the table of all operators.

`is_enabled` does not call `compare` of these classes: `rule_compiler` writes Python's
own operator into the function that decides. The method is called only if a test has
replaced it, and for operators of applications. The operators whose values have a form,
such as `matches` and `before`, are in modules of their own (see `typed`), which are
loaded when one of these operators, or the table, is first used.
"""

from __future__ import annotations

from typing import Any, ClassVar

from ...runtime.patching import Patchable, guard
from .interface import AbstractOperator
from .typed import TypedOperator


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
guard(TypedOperator, "compare")


def sign_of(operator: AbstractOperator) -> str | None:
    """Return Python's sign for an operator of flipper's, `None` for any other."""
    return _SIGNS.get(type(operator)) if is_unchanged(operator) else None


_SHARED = {kind: kind() for kind in _SIGNS}
_BY_SIGN: dict[str | None, type[AbstractOperator]] = {
    kind.SYMBOL: kind  # type: ignore[misc]  # it is no property in these
    for kind in _SIGNS
}
_all_operators = dict(_BY_SIGN)


def is_unchanged(operator: AbstractOperator) -> bool:
    """Return whether the operator is one of flipper's, with its own `compare`."""
    return type(operator) in _SHARED and "compare" not in vars(operator)


def shared_operator(operator: AbstractOperator) -> AbstractOperator:
    """Return the instance of an operator's class that all checks may share.

    An operator of a custom class is returned as it is.
    """
    return _SHARED.get(type(operator), operator)


def is_shared(operator: AbstractOperator) -> bool:
    """Return whether other checks may have this instance, too."""
    return _SHARED.get(type(operator)) is operator


def _load_all() -> dict[str | None, type[AbstractOperator]]:
    """Return the table of all operators; load those whose values have a form."""
    from .dates import DATE_OPERATORS
    from .json_types import TYPE_OPERATORS
    from .lists import LIST_OPERATORS
    from .networks import NETWORK_OPERATORS
    from .numeric import NUMBER_OPERATORS
    from .other_flags import OTHER_FLAG_OPERATORS
    from .presence import PRESENCE_OPERATORS
    from .texts import TEXT_OPERATORS
    from .versions import VERSION_OPERATORS

    for kind in (
        *TEXT_OPERATORS,
        *DATE_OPERATORS,
        *VERSION_OPERATORS,
        *NUMBER_OPERATORS,
        *NETWORK_OPERATORS,
        *LIST_OPERATORS,
        *PRESENCE_OPERATORS,
        *TYPE_OPERATORS,
        *OTHER_FLAG_OPERATORS,
    ):
        # Race: threads may load at the same time, and must get the same objects. What
        # is in `_SHARED` is in the table already.
        if kind not in _SHARED:
            guard(kind, "compare")
            _all_operators.setdefault(kind.SYMBOL, kind)  # type: ignore[arg-type]
            _SHARED.setdefault(kind, kind())
    return _all_operators


class _OperatorClass(type):
    """Gives `Operator` its table when that is first read."""

    def __getattr__(cls, name: str) -> Any:
        if name != "OPERATOR_MAP":
            message = f"type object {cls.__name__!r} has no attribute {name!r}"
            raise AttributeError(message)
        Operator.OPERATOR_MAP = _load_all()
        return Operator.OPERATOR_MAP


class Operator(metaclass=_OperatorClass):
    """Finds the operator of a symbol."""

    OPERATOR_MAP: ClassVar[dict[str | None, type[AbstractOperator]]]
    """The operators by symbol; applications may add their own."""

    class InvalidSymbolError(Exception):
        """No operator has this symbol; `OPERATOR_MAP` has the known ones."""

    @classmethod
    def factory(cls, symbol: str | None) -> AbstractOperator:
        """Make the operator of a symbol; `None` is equality.

        Raises:
            Operator.InvalidSymbolError: the symbol is unknown.
        """
        try:
            # As long as nobody has read the table, nobody has changed it.
            is_unread = cls is Operator and "OPERATOR_MAP" not in vars(cls)
            known = _BY_SIGN if is_unread and symbol in _BY_SIGN else cls.OPERATOR_MAP
            kind = known[symbol]
        except (KeyError, TypeError):
            message = f"Operator not supported: {symbol}"
            raise cls.InvalidSymbolError(message) from None
        return kind()
