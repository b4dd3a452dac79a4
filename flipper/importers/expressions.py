# SPDX-License-Identifier: Apache-2.0
"""Expressions combined, of which some always hold, or never."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..conditions.expression import AllOf, AnyOf, Not
from ..conditions.rule_compiler import RuleCompiler
from ..rules.compiling import add_rules
from ..rules.rule import Rule
from ..rules.rules import Rules
from .translation import ALWAYS, NEVER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..conditions.expression import Expression


def all_of(parts: Iterable[Expression]) -> Expression:
    """Return an expression that holds if all parts hold."""
    left = [part for part in parts if part is not ALWAYS]
    if any(part is NEVER for part in left):
        return NEVER
    return AllOf(*left) if len(left) > 1 else left[0] if left else ALWAYS


def any_of(parts: Iterable[Expression]) -> Expression:
    """Return an expression that holds if one of the parts holds."""
    left = [part for part in parts if part is not NEVER]
    if any(part is ALWAYS for part in left):
        return ALWAYS
    return AnyOf(*left) if len(left) > 1 else left[0] if left else NEVER


def negated(expression: Expression) -> Expression:
    """Return the opposite of an expression."""
    if expression is NEVER:
        return ALWAYS
    if expression is ALWAYS:
        return NEVER
    return expression.part if isinstance(expression, Not) else ~expression


def when(expression: Expression) -> Expression | None:
    """Return an expression as rules have it, where `None` always holds."""
    return None if expression is ALWAYS else expression


def holds(expression: Expression, **arguments: Any) -> bool:
    """Return whether an expression holds for these arguments."""
    rules = Rules([Rule(when(expression))])
    compiler = RuleCompiler(rules)
    add_rules(compiler, rules, "")
    return bool(compiler.function()(arguments))
