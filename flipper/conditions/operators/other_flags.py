# SPDX-License-Identifier: Apache-2.0
"""The operators that ask about another flag: prerequisites.

The variable of such a check is the name of the other flag, as in
`Condition(**{"new-checkout__enabled": True})`. A check on a flag that does not exist
does not hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from .interface import OtherFlagsNeededError
from .typed import TypedOperator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .typed import Predicate


class _OtherFlagOperator(TypedOperator):
    """The base class of operators whose variable is the name of a flag."""

    NEEDS_CONTEXT = True

    def compare_context(
        self, context: Mapping[str, Any], variable: str, value: Any
    ) -> bool:
        """Return whether the comparison holds for what the other flag serves.

        Raises:
            OtherFlagsNeededError: the context has no way to other flags.
            PrerequisiteCycleError: the other flag depends on the flag that asks.
        """
        ask = getattr(context, "ask", None)
        if ask is None:
            raise OtherFlagsNeededError(variable)
        served = ask(variable)
        return served is not None and self.predicate(value)(served)


class EnabledOperator(_OtherFlagOperator):
    """The other flag is on for these arguments; it is off, if the value is false."""

    SYMBOL = "enabled"
    SCHEMA: ClassVar[dict[str, Any]] = {"type": "boolean"}

    @classmethod
    def predicate(cls, value: Any) -> Predicate:
        """Return a function of what the other flag serves: its answer and variant."""
        if not isinstance(value, bool):
            message = "is not a truth value; use True or False"
            raise ValueError(message)  # noqa: TRY004  (one class for all)
        return lambda served: bool(served[0]) is value


class VariantOperator(_OtherFlagOperator):
    """The other flag serves this variant, or one of these, for these arguments."""

    SYMBOL = "variant"
    SCHEMA: ClassVar[dict[str, Any]] = {
        "anyOf": [
            {"type": "string"},
            {"type": "array", "items": {"type": "string"}},
        ]
    }

    @classmethod
    def predicate(cls, value: Any) -> Predicate:
        """Return a function of what the other flag serves: its answer and variant."""
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, (list, tuple)) or not all(
            isinstance(name, str) for name in names
        ):
            message = 'is not the name of a variant; use text, or a list, as ["blue"]'
            raise ValueError(message)
        return lambda served: served[1] in names


OTHER_FLAG_OPERATORS: tuple[type[TypedOperator], ...] = (
    EnabledOperator,
    VariantOperator,
)
