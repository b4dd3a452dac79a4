# SPDX-License-Identifier: Apache-2.0
"""One comparison of a condition: a variable, an operator, a value."""

from __future__ import annotations

from sys import intern
from typing import TYPE_CHECKING, Any

from ..runtime.containers import copy_containers
from .operators.operator import Operator, shared, sign_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .operators.interface import AbstractOperator

OPERATOR_DELIMITER = "__"


class Check:
    """Compares one keyword argument of `is_enabled` with a value.

    A check is a value: it never changes, and threads may share it. Lists, dicts and
    sets handed over are copied.

    Args:
        variable: the name of the keyword argument.
        value: what it is compared with.
        operator: an object with `compare` and `SYMBOL`.
    """

    __slots__ = ("_operator", "_value", "_variable")

    def __init__(self, variable: str, value: Any, operator: AbstractOperator) -> None:
        # Those of one name are one object, which also makes lookups fast.
        self._variable = intern(variable) if type(variable) is str else variable
        self._value = copy_containers(value)
        self._operator = operator

    @property
    def variable(self) -> str:
        """The name of the keyword argument."""
        return self._variable

    @property
    def value(self) -> Any:
        """What the argument is compared with; change nothing in it."""
        return self._value

    @property
    def operator(self) -> AbstractOperator:
        """What compares."""
        operator = self._operator
        if operator is shared(operator):
            # Other checks have it, too; and who asks may change something in it.
            operator = self._operator = type(operator)()
        return operator

    @property
    def sign(self) -> str | None:
        """How Python writes the comparison, if a sign is all there is to it."""
        # A subclass may have a `check` of its own.
        return sign_of(self._operator) if type(self) is Check else None

    @property
    def key(self) -> str:
        """The keyword that makes this check."""
        return self.make_check_key(self._variable, self._operator.SYMBOL)

    def check(self, value: Any) -> Any:
        """Compare `value` by the operator; the truth of the result is the answer.

        Raises:
            TypeError: Python cannot compare the two values.
        """
        return self._operator.compare(value, self._value)

    def to_dict(self) -> dict[str, Any]:
        """Return the check as plain data, the form in which stores keep it."""
        return {
            "variable": self._variable,
            "value": copy_containers(self._value),
            "operator": self._operator.SYMBOL,
        }

    @classmethod
    def factory(cls, check_key: str, check_value: Any) -> Check:
        """Make the check of a keyword of `Condition`, such as `age__gt`.

        Raises:
            Operator.InvalidSymbolError: what follows the only `__` is no operator.
        """
        variable, symbol = _split(check_key)
        return cls(variable, check_value, shared(Operator.factory(symbol)))

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Check:
        """Make the check that `to_dict` gave.

        Raises:
            KeyError: a field is missing.
            TypeError: the variable is no text.
            Operator.InvalidSymbolError: the operator is unknown.
        """
        variable = fields["variable"]
        if not isinstance(variable, str):
            message = f"the variable of a check is no text: {variable!r}"
            raise TypeError(message)
        operator = shared(Operator.factory(fields["operator"]))
        return cls(variable, fields["value"], operator)

    @classmethod
    def make_check_key(cls, variable: str, operator: str | None) -> str:
        """Return the keyword that stands for `variable` and the operator's symbol."""
        if operator is None:
            return variable
        return f"{variable}{OPERATOR_DELIMITER}{operator}"

    def __repr__(self) -> str:
        """Show the check as the keyword that makes it, without its value."""
        # Values can be personal data, and a repr ends in logs.
        return f"<Check {self.key}>"


def _split(check_key: str) -> tuple[str, str | None]:
    *parts, symbol = check_key.split(OPERATOR_DELIMITER)
    if not parts:
        return check_key, None
    # Drop-in: with one delimiter an unknown symbol is an error. With several,
    # flipper-client saw no operator at all, and the key is still a plain name then.
    if len(parts) == 1 or symbol in Operator.OPERATOR_MAP:
        return OPERATOR_DELIMITER.join(parts), symbol
    return check_key, None
