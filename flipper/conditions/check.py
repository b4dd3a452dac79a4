# SPDX-License-Identifier: Apache-2.0
"""A check: one comparison of a condition, with a variable, an operator, a value.

`is_enabled` does not call `Check.check`: `rule_compiler` writes the comparison into the
function that decides, as in `value > 18`.
"""

from __future__ import annotations

from sys import intern
from typing import TYPE_CHECKING, Any

from ..exceptions import InvalidArgumentError
from ..runtime.containers import copy_containers
from .operators.operator import (
    Operator,
    is_shared,
    is_unchanged,
    shared_operator,
    sign_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .operators.interface import AbstractOperator
    from .operators.typed import TypedOperator

OPERATOR_DELIMITER = "__"

_SHOWN = 100  # characters of a value in an error


class Check:
    """Compares one keyword argument of `is_enabled` with a value.

    A check never changes, and threads may share it. It copies lists, dicts and sets.

    Args:
        variable: the name of the keyword argument.
        value: the value to compare it with.
        operator: an object with `compare` and `SYMBOL`.

    Raises:
        InvalidArgumentError: the operator cannot use the value, such as a text that is
            no date.
    """

    __slots__ = ("_operator", "_value", "_variable")

    def __init__(self, variable: str, value: Any, operator: AbstractOperator) -> None:
        # Equal names become one object, which also makes lookups fast.
        self._variable = intern(variable) if type(variable) is str else variable
        self._value = copy_containers(value)
        self._operator = operator
        if getattr(type(operator), "IS_TYPED", None) is True:
            self._value = _stored_value(self._variable, self._value, operator)

    @property
    def variable(self) -> str:
        """The name of the keyword argument."""
        return self._variable

    @property
    def value(self) -> Any:
        """The value to compare the argument with; do not change it."""
        return self._value

    @property
    def operator(self) -> AbstractOperator:
        """The operator that compares; each check has its own."""
        operator = self._operator
        if is_shared(operator):
            # The caller may change it, and other checks have the same object.
            operator = self._operator = type(operator)()
        return operator

    @property
    def sign(self) -> str | None:
        """Python's sign for the comparison, `None` if a method has to be called."""
        # A subclass may override `check`.
        return sign_of(self._operator) if type(self) is Check else None

    @property
    def typed_operator(self) -> type[TypedOperator] | None:
        """The class whose `predicate` decides; `None` if a method has to be called."""
        operator: Any = self._operator
        if type(self) is not Check or not is_unchanged(operator):
            return None
        return type(operator) if operator.IS_TYPED else None

    @property
    def needs_context(self) -> bool:
        """Whether `check_context` decides, also if the argument is not given."""
        try:
            return self._operator.NEEDS_CONTEXT is True
        except AttributeError:  # the operator may be any object
            return False

    @property
    def key(self) -> str:
        """The keyword that makes this check."""
        return self.make_check_key(self._variable, self._operator.SYMBOL)

    def check(self, value: Any) -> Any:
        """Return the result of the comparison, whose truth is the answer.

        `is_enabled` does not call this; see `rule_compiler`.

        Raises:
            TypeError: Python cannot compare the two values.
        """
        return self._operator.compare(value, self._value)

    def check_context(self, context: Mapping[str, Any]) -> Any:
        """Return the result of the comparison, for a check that `needs_context`.

        Args:
            context: all keyword arguments of `is_enabled`.
        """
        return self._operator.compare_context(context, self._variable, self._value)

    def to_dict(self) -> dict[str, Any]:
        """Return a copy of the check as plain data, which is what stores keep."""
        return {
            "variable": self._variable,
            "value": copy_containers(self._value),
            "operator": self._operator.SYMBOL,
        }

    @classmethod
    def factory(cls, check_key: str, check_value: Any) -> Check:
        """Make a check from a keyword of `Condition`, such as `age__gt`.

        Raises:
            Operator.InvalidSymbolError: the key has one `__`, and no operator after it.
            InvalidArgumentError: the operator cannot use the value.
        """
        variable, symbol = cls.split_check_key(check_key)
        return cls(variable, check_value, shared_operator(Operator.factory(symbol)))

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Check:
        """Make a check from the result of `to_dict`.

        Raises:
            KeyError: a field is missing.
            TypeError: the variable is not text.
            Operator.InvalidSymbolError: the operator is unknown.
            InvalidArgumentError: the operator cannot use the value.
        """
        variable = fields["variable"]
        if not isinstance(variable, str):
            message = f"the variable of a check is not text: {variable!r}"
            raise TypeError(message)
        operator = shared_operator(Operator.factory(fields["operator"]))
        return cls(variable, fields["value"], operator)

    @classmethod
    def make_check_key(cls, variable: str, operator: str | None) -> str:
        """Return the keyword for a variable and the symbol of an operator."""
        if operator is None:
            return variable
        return f"{variable}{OPERATOR_DELIMITER}{operator}"

    @classmethod
    def split_check_key(cls, check_key: str) -> tuple[str, str | None]:
        """Return the variable and the symbol of a keyword; `None` is equality.

        The symbol may be unknown if the key has only one `__`.
        """
        *parts, symbol = check_key.split(OPERATOR_DELIMITER)
        if not parts:
            return check_key, None
        # Drop-in: with one delimiter an unknown symbol is an error. With several,
        # flipper-client saw no operator at all; then the key is still the variable.
        if len(parts) == 1 or symbol in Operator.OPERATOR_MAP:
            return OPERATOR_DELIMITER.join(parts), symbol
        return check_key, None

    def __repr__(self) -> str:
        """Show the keyword of the check, without its value."""
        # Values may be personal data, and a `repr` is often written to logs.
        return f"<Check {self.key}>"


def _stored_value(variable: str, value: Any, operator: Any) -> Any:
    try:
        return operator.stored_value(value)
    except ValueError as problem:
        key = Check.make_check_key(variable, operator.SYMBOL)
        shown = repr(value)
        shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
        message = f"The value {shown} of the check {key} {problem}"
        raise InvalidArgumentError(message, value=value) from None
