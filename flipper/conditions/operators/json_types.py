# SPDX-License-Identifier: Apache-2.0
"""The operator `json_type`, which asks of which of JSON's types an argument is."""

from __future__ import annotations

from numbers import Number
from typing import TYPE_CHECKING, Any, ClassVar, Final

from .typed import TypedOperator

if TYPE_CHECKING:
    from .typed import Predicate

_CLASSES: Final[dict[str, Any]] = {
    "string": str,
    "number": Number,
    "boolean": bool,
    "array": (list, tuple, set, frozenset),
    "object": dict,
}


class TypeOperator(TypedOperator):
    """The argument is of this type of JSON: "string", "number", "boolean", and so on.

    Truth values are no numbers. Ask for `None` by `exists`.
    """

    SYMBOL = "json_type"
    SCHEMA: ClassVar[dict[str, Any]] = {"enum": list(_CLASSES)}

    @classmethod
    def predicate(cls, value: Any) -> Predicate:
        """Return a function that looks at the class of an argument."""
        if not isinstance(value, str) or value not in _CLASSES:
            message = f"is not a type of JSON; use {', '.join(map(repr, _CLASSES))}"
            raise ValueError(message)
        classes, is_number = _CLASSES[value], value == "number"
        return lambda argument: (
            isinstance(argument, classes)
            and not (is_number and isinstance(argument, bool))
        )


TYPE_OPERATORS: tuple[type[TypedOperator], ...] = (TypeOperator,)
