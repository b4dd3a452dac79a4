# SPDX-License-Identifier: Apache-2.0
"""The abstract base class of operators."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping


class AbstractOperator(metaclass=ABCMeta):
    """Compares an argument of a call with the value of a check.

    Add a subclass to `Operator.OPERATOR_MAP` under its `SYMBOL` to use it.
    """

    NEEDS_CONTEXT: ClassVar[bool] = False
    """Whether the check is also decided if its argument is not given.

    Then `compare_context` is called with all arguments. Any other check is left out of
    a condition if its argument is not given.
    """

    IS_TYPED: ClassVar[bool] = False
    """Whether values have a form; only for subclasses of `TypedOperator`."""

    @property
    @abstractmethod
    def SYMBOL(self) -> str | None:  # noqa: N802  (Drop-in: the original's name)
        """The suffix in a check's key, `None` for equality."""

    @abstractmethod
    def compare(self, expected: Any, actual: Any) -> bool:
        """Return whether the comparison holds; only the truth of the result matters.

        Args:
            expected: the argument of `is_enabled`. Drop-in: the two names of
                flipper-client are the wrong way round.
            actual: the value of the check.
        """

    def compare_context(
        self, context: Mapping[str, Any], variable: str, value: Any
    ) -> bool:
        """Return whether the comparison holds, for an operator with `NEEDS_CONTEXT`.

        Args:
            context: all keyword arguments of `is_enabled`.
            variable: the name of the argument, which may not be among them.
            value: the value of the check.
        """
        return self.compare(context.get(variable), value)


class OtherFlagsNeededError(Exception):
    """A check asks about another flag, and the arguments have no way to it.

    A client that gets this error decides again, with arguments that have an `ask`; see
    `flipper.prerequisites`.
    """
