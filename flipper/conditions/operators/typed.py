# SPDX-License-Identifier: Apache-2.0
"""The base classes of operators whose values have a form, such as dates.

Such a value is checked when its `Check` is made. An argument of another type raises
nothing: the check does not hold.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from ...runtime.patching import Patchable
from .interface import AbstractOperator

if TYPE_CHECKING:
    from collections.abc import Callable

    Predicate = Callable[[Any], bool]


class TypedOperator(AbstractOperator, metaclass=Patchable):
    """The base class of these operators; it has no state."""

    IS_TYPED = True
    SCHEMA: ClassVar[dict[str, Any]]
    """The JSON Schema of the values, as far as JSON Schema can express their form."""

    @classmethod
    def stored_value(cls, value: Any) -> Any:
        """Return the value as stores keep it, which JSON can express.

        Raises:
            ValueError: the value cannot be used. Its message has the problem and the
                remedy, as in "is not a text; use a text".
        """
        cls.predicate(value)
        return value

    @classmethod
    @abstractmethod
    def predicate(cls, value: Any) -> Predicate:
        """Return a function that says whether the comparison holds for an argument.

        Compiled rules call it instead of `compare`. It never raises.

        Raises:
            ValueError: as that of `stored_value`.
        """

    @classmethod
    def text_source(cls, value: Any) -> tuple[str, Any] | None:  # noqa: ARG003
        """Return Python source that decides for a `str`, or `None` if there is none.

        Returns:
            an expression with the fields `{argument}` and `{operand}`, and the operand.
        """
        return None

    def compare(self, expected: Any, actual: Any) -> bool:
        """Compare the argument `expected` with the value `actual`."""
        return self.predicate(actual)(expected)


class OrderedOperator(TypedOperator):
    """The base class of operators that compare what texts mean, such as versions."""

    PROBLEM: ClassVar[str]
    """What is wrong with a value that means nothing, and the remedy."""

    holds: ClassVar[Any]
    """A function that compares two meanings, that of the argument first."""

    @staticmethod
    @abstractmethod
    def meaning(given: Any) -> Any:
        """Return what an argument or a value means, `None` if nothing."""

    @classmethod
    def predicate(cls, value: Any) -> Predicate:
        """Return a function that compares the meaning of an argument."""
        meaning, holds = cls.meaning, cls.holds
        wanted = meaning(value)
        if wanted is None:
            raise ValueError(cls.PROBLEM)

        def compare(argument: Any) -> bool:
            found = meaning(argument)
            return found is not None and bool(holds(found, wanted))

        return compare
