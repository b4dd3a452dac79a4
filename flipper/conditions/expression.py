# SPDX-License-Identifier: Apache-2.0
"""Expressions: conditions combined by `&`, `|` and `~`, for the rules of a flag."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..exceptions import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


DEEPEST_EXPRESSION: Final = 20
"""How deeply an expression of a rule may be nested; 1 is a condition alone."""


class Expression:
    """Holds, or does not hold, for the arguments of a question.

    `a & b` holds if both hold, `a | b` if one of them holds, and `~a` if `a` does not.
    The parts are conditions and rollouts. Expressions never change, and threads may
    share them.
    """

    __slots__ = ()

    def __and__(self, other: object) -> Expression:
        """Return an expression that holds if both hold."""
        return AllOf(self, other)

    def __or__(self, other: object) -> Expression:
        """Return an expression that holds if one of the two holds."""
        return AnyOf(self, other)

    def __invert__(self) -> Expression:
        """Return an expression that holds if this one does not."""
        return Not(self)


class Combination(Expression):
    """Several expressions; a part of the same kind is replaced by its own parts.

    Args:
        *parts: the expressions.

    Raises:
        InvalidArgumentError: a part is not an expression.
    """

    __slots__ = ("parts",)

    def __init__(self, *parts: object) -> None:
        self.parts: tuple[Expression, ...] = tuple(self._flat(parts))

    @classmethod
    def _flat(cls, parts: tuple[object, ...]) -> Iterator[Expression]:
        for part in parts:
            if type(part) is cls:
                yield from part.parts
            else:
                yield check_expression(part)

    def __repr__(self) -> str:
        """Show the parts, without the values of checks."""
        return write_expression(self, repr)


class AllOf(Combination):
    """Holds if all of its parts hold."""

    __slots__ = ()


class AnyOf(Combination):
    """Holds if at least one of its parts holds."""

    __slots__ = ()


class Not(Expression):
    """Holds if its part does not hold.

    Args:
        part: the expression.

    Raises:
        InvalidArgumentError: the part is not an expression.
    """

    __slots__ = ("part",)

    def __init__(self, part: object) -> None:
        self.part = check_expression(part)

    def __repr__(self) -> str:
        """Show the part, without the values of checks."""
        return write_expression(self, repr)


def check_expression(value: Any) -> Expression:
    """Return an expression; refuse any other object.

    Raises:
        InvalidArgumentError: it is not an expression.
    """
    if not isinstance(value, Expression):
        raise InvalidArgumentError(
            f"{value!r} is not an expression; combine conditions, as in "
            f'Condition(country="SE") & ~Condition(plan="free")',
            value=value,
        )
    return value


def write_expression(expression: Expression, write: Callable[[Expression], str]) -> str:
    """Return an expression as Python code.

    Args:
        expression: the expression.
        write: returns the code of a condition or a rollout.
    """
    if isinstance(expression, Not):
        inner = write_expression(expression.part, write)
        is_combination = isinstance(expression.part, Combination)
        return f"~({inner})" if is_combination else f"~{inner}"
    if isinstance(expression, Combination):
        sign = " & " if isinstance(expression, AllOf) else " | "
        texts = []
        for part in expression.parts:
            text = write_expression(part, write)
            needs_brackets = isinstance(expression, AllOf) and isinstance(part, AnyOf)
            texts.append(f"({text})" if needs_brackets else text)
        return sign.join(texts)
    return write(expression)


def simple_parts(expression: Expression) -> Iterator[Expression]:
    """Yield the conditions and rollouts of an expression."""
    if isinstance(expression, Not):
        yield from simple_parts(expression.part)
    elif isinstance(expression, Combination):
        for part in expression.parts:
            yield from simple_parts(part)
    else:
        yield expression


def depth_of(expression: Expression) -> int:
    """Return how deeply an expression is nested; 1 is a condition alone."""
    if isinstance(expression, Not):
        return 1 + depth_of(expression.part)
    if isinstance(expression, Combination):
        return 1 + max([depth_of(part) for part in expression.parts], default=0)
    return 1
