# SPDX-License-Identifier: Apache-2.0
"""Turns JsonLogic, as flagd extends it, into expressions.

Source: the description of JsonLogic's operations (jsonlogic.com), and that of flagd's
own operations. A comparison with an argument that is not given does not hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..conditions.expression import AllOf, AnyOf
from .translation import (
    ALWAYS,
    NEVER,
    UntranslatableError,
    both,
    check,
    given,
    ordered,
)
from .versions import compared_version

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..conditions.expression import Expression


def operation_of(logic: dict[str, Any]) -> tuple[str, list[Any]]:
    """Return the name of an operation and its arguments."""
    if len(logic) != 1:
        message = f"it has {len(logic)} operations in one place: {', '.join(logic)}"
        raise UntranslatableError(message)
    [(name, arguments)] = logic.items()
    return name, arguments if isinstance(arguments, list) else [arguments]


def with_evaluators(logic: Any, evaluators: Any, inside: tuple[str, ...] = ()) -> Any:
    """Return an operation with the shared evaluators in the place of their names.

    Args:
        logic: the operation.
        evaluators: the shared evaluators of the file, by name.
        inside: the names of those that the operation is a part of.

    Raises:
        UntranslatableError: an evaluator is missing, or refers to itself.
    """
    if isinstance(logic, list):
        return [with_evaluators(each, evaluators, inside) for each in logic]
    if not isinstance(logic, dict):
        return logic
    if "$ref" not in logic:
        return {
            k: with_evaluators(each, evaluators, inside) for k, each in logic.items()
        }
    name = logic["$ref"]
    if name in inside or name not in evaluators:
        fault = "refers to itself" if name in inside else "is not in $evaluators"
        message = f"the evaluator {name!r} {fault}"
        raise UntranslatableError(message)
    return with_evaluators(evaluators[name], evaluators, (*inside, name))


def argument_of(logic: Any) -> str:
    """Return the name of the argument that a `var` reads."""
    name, arguments = operation_of(logic) if isinstance(logic, dict) else ("", [logic])
    if name != "var":
        what = f"the operation {name!r}" if name else f"the value {logic!r}"
        message = f"{what} stands where only an argument, as a `var`, can be used"
        raise UntranslatableError(message)
    path, *default = arguments
    if not isinstance(path, str) or not path or path.startswith("$flagd."):
        message = f"the variable {path!r} is not the name of an argument"
        raise UntranslatableError(message)
    if default not in ([], [None]):
        message = f"the variable {path!r} has a default value"
        raise UntranslatableError(message)
    return path


def is_boolean(logic: Any) -> bool:
    """Return whether the result of an operation is true or false."""
    if not isinstance(logic, dict):
        return isinstance(logic, bool)
    name, arguments = operation_of(logic)
    if name in ("and", "or"):
        return all(map(is_boolean, arguments))
    return name in _OPERATIONS and name not in ("if", "?:", "var")


def expression_of(logic: Any) -> Expression:
    """Return an expression that holds if the result of an operation is true.

    Raises:
        UntranslatableError: expressions cannot say it.
    """
    if not isinstance(logic, dict):
        return ALWAYS if logic else NEVER
    name, arguments = operation_of(logic)
    if name not in _OPERATIONS:
        message = f"the operation {name!r} cannot be said"
        raise UntranslatableError(message)
    return _OPERATIONS[name](name, arguments)


def _combined(name: str, arguments: list[Any]) -> Expression:
    parts = [expression_of(each) for each in arguments]
    return AllOf(*parts) if name == "and" else AnyOf(*parts)


def _negated(_: str, arguments: list[Any]) -> Expression:
    return ~expression_of(arguments[0])


def _truth(_: str, arguments: list[Any]) -> Expression:
    return expression_of(arguments[0])


def _chosen(name: str, arguments: list[Any]) -> Expression:
    if len(arguments) < 2:  # noqa: PLR2004  (what is left is the last alternative)
        return expression_of(arguments[0]) if arguments else NEVER
    when, then, *rest = arguments
    first = expression_of(when)
    return both(first, expression_of(then)) | both(~first, _chosen(name, rest))


def _true_argument(_: str, arguments: list[Any]) -> Expression:
    argument = argument_of({"var": arguments})
    # These values are false. Python and JsonLogic both take `false` for equal to 0.
    return both(given(argument), check(argument, "not_in", [0, "", []]))


def _equal(name: str, arguments: list[Any]) -> Expression:
    argument, value, _ = _argument_and_value(arguments)
    if isinstance(value, list):
        message = f"the operation {name!r} compares with a list"
        raise UntranslatableError(message)
    if value is None:
        found: Expression = ~given(argument)
    else:
        found = check(argument, None, value)
        # With two signs, numbers are equal to their text.
        number = None if isinstance(value, bool) else _number(value)
        if name in ("==", "!=") and number is not None:
            is_number = value is number
            found |= check(
                argument, *(("num_eq", value) if is_number else (None, number))
            )
    return ~found if name.startswith("!") else found


def _ordered(name: str, arguments: list[Any]) -> Expression:
    if len(arguments) == 3:  # noqa: PLR2004  (a value between two others)
        first, middle, last = arguments
        return _ordered(name, [first, middle]) & _ordered(name, [middle, last])
    argument, value, is_first = _argument_and_value(arguments)
    return ordered(argument, name, value, value_is_first=is_first)


def _in(_: str, arguments: list[Any]) -> Expression:
    needle, place = arguments
    if isinstance(place, list) and not any(isinstance(each, dict) for each in place):
        return check(argument_of(needle), "in", place)
    if isinstance(needle, (str, int, float)) and isinstance(place, dict):
        argument = argument_of(place)
        in_list = check(argument, "any_of", [needle])
        is_text = isinstance(needle, str)
        return check(argument, "contains", needle) | in_list if is_text else in_list
    message = "the operation 'in' looks for something else than a value in a list"
    raise UntranslatableError(message)


def _text(name: str, arguments: list[Any]) -> Expression:
    argument, value = arguments
    return check(argument_of(argument), name.replace("_", ""), value)


def _version(_: str, arguments: list[Any]) -> Expression:
    variable, sign, value = arguments
    return compared_version(argument_of(variable), sign, value)


def _argument_and_value(arguments: list[Any]) -> tuple[str, Any, bool]:
    """Return the argument, the value, and whether the value comes first."""
    first, second = arguments
    if isinstance(second, dict):
        if isinstance(first, dict):
            message = "two arguments, or results of operations, are compared"
            raise UntranslatableError(message)
        return argument_of(second), first, True
    return argument_of(first), second, False


def _number(value: Any) -> int | float | None:
    """Return a number, or the one that a text is; `None` for another text."""
    if not isinstance(value, str):
        return value  # type: ignore[no-any-return]
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return None


_OPERATIONS: Final[dict[str, Callable[[str, list[Any]], Expression]]] = {
    **dict.fromkeys(("and", "or"), _combined),
    **dict.fromkeys(("if", "?:"), _chosen),
    **dict.fromkeys(("==", "===", "!=", "!=="), _equal),
    **dict.fromkeys(("<", "<=", ">", ">="), _ordered),
    **dict.fromkeys(("starts_with", "ends_with"), _text),
    "!": _negated,
    "!!": _truth,
    "in": _in,
    "sem_ver": _version,
    "var": _true_argument,
}
