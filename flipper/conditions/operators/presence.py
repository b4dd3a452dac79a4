# SPDX-License-Identifier: Apache-2.0
"""The operator `exists`, which asks whether an argument is given at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from .typed import TypedOperator

if TYPE_CHECKING:
    from .typed import Predicate


class ExistsOperator(TypedOperator):
    """The argument is given and not `None`, if the value is true; else it is not."""

    SYMBOL = "exists"
    NEEDS_CONTEXT = True
    SCHEMA: ClassVar[dict[str, Any]] = {"type": "boolean"}

    @classmethod
    def predicate(cls, value: Any) -> Predicate:
        """Return a function of the argument, which is `None` if it is not given."""
        if not isinstance(value, bool):
            message = "is not a truth value; use True or False"
            raise ValueError(message)  # noqa: TRY004  (one class for all)
        return lambda argument: (argument is not None) is value


PRESENCE_OPERATORS: tuple[type[TypedOperator], ...] = (ExistsOperator,)
