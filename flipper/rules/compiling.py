# SPDX-License-Identifier: Apache-2.0
"""Writes the part of a flag's function that decides by its rules.

For `Rule(Condition(plan="pro") | ~Condition(country="SE"), Rollout(0.1, "user_id"))`
the lines are:

    if (('plan' in context and context['plan'] == bound[1]) or not ('country' in context
            and context['country'] == bound[2])):
        return ((value := context.get('user_id')) is not None and bound[3](value)) or
            False
    return False

The functions for `explain` and `variant` have the same expressions. The one returns a
decision that names the rule and the variant, the other the variant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ..conditions.condition import Condition
from ..conditions.expression import AllOf, Not
from ..runtime.patching import COMPILED_GLOBALS
from .split import Split

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..conditions.check import Check
    from ..conditions.expression import Expression
    from ..conditions.rule_compiler import RuleCompiler
    from .plain import Served
    from .rollout import Rollout
    from .rule import Rule
    from .rules import Rules

_MISSING: Any = object()


class Outcome(NamedTuple):
    """What rules have decided, without what depends on the bucket.

    Attributes:
        rule: the rule that decided; `None` if none of them holds.
        number: its number, from 1 on; 0 if none of them holds.
        serve: what it serves.
        variant: the name of the variant served, `None` for plain on or off.
    """

    rule: Rule | None
    number: int
    serve: Served
    variant: str | None


def add_rules(compiler: RuleCompiler, rules: Rules, feature_name: str) -> None:
    """Append lines that return the answer of these rules.

    Args:
        compiler: it may have lines already.
        rules: the rules.
        feature_name: the flag, whose name is the seed of rollouts without a seed.
    """
    writer = _RulesWriter(compiler, rules, feature_name)
    for number, rule in enumerate(rules, 1):
        answer = writer.served(rule.serve, rule, number)
        if rule.when is None:
            compiler.add_lines(f"return {answer}")
            return
        compiler.add_lines(
            f"if {writer.expression(rule.when)}:", f"    return {answer}"
        )
    compiler.add_lines(f"return {writer.served(rules.otherwise, None, 0)}")


class _RulesWriter:
    """Writes Python expressions for the parts of rules."""

    def __init__(self, compiler: RuleCompiler, rules: Rules, feature_name: str) -> None:
        self._compiler = compiler
        self._bind = compiler.bind_value
        self._rules = rules
        self._feature_name = feature_name

    def expression(self, expression: Expression) -> str:
        """Return Python code that says whether an expression holds."""
        if isinstance(expression, Not):
            return f"(not {self.expression(expression.part)})"
        if isinstance(expression, Condition):
            texts = [self._check(check) for check in expression.own_checks]
            return f"({' and '.join(texts)})" if texts else "True"
        parts = getattr(expression, "parts", None)
        if parts is None:
            return self._rollout(expression)  # type: ignore[arg-type]
        if not parts:
            return str(isinstance(expression, AllOf))
        sign = " and " if isinstance(expression, AllOf) else " or "
        return f"({sign.join([self.expression(part) for part in parts])})"

    def _check(self, check: Check) -> str:
        name = repr(str.__str__(check.variable))
        if check.needs_context:
            return self._compiler.context_comparison(
                check, self._value((check.variable,))
            )
        if "." in check.variable:
            comparison = self._compiler.comparison(check, "found")
            found = f"(found := find_argument(context, {name}))"
            return f"({found} is not missing and {comparison})"
        comparison = self._compiler.comparison(check, f"context[{name}]")
        return f"({name} in context and {comparison})"

    def _value(self, by: tuple[str, ...]) -> str:
        """Return Python code for the first given of these arguments, else `None`."""
        if len(by) == 1 and "." not in by[0]:
            return f"context.get({str.__str__(by[0])!r})"
        return f"first_given(context, {self._bind(by)})"

    def _rollout(self, rollout: Rollout) -> str:
        admits = self._bind(rollout.compile(self._feature_name))
        value = self._value(rollout.argument_names)
        return f"((value := {value}) is not None and {admits}(value))"

    def served(self, serve: Served, rule: Rule | None, number: int) -> str:
        """Return Python code for the answer if this is served."""
        with_reason = self._compiler.with_reason
        off = self._rules.off
        if isinstance(serve, (bool, str)):
            variant: Any = off if serve is False else None if serve is True else serve
            is_on = serve is not False and (serve is True or serve != off)
            if not with_reason:
                named = variant is not None and self._compiler.with_variant
                return self._bind(self._rules.variant(variant)) if named else str(is_on)
            outcome = Outcome(rule, number, serve, variant)
            return self._bind((is_on, outcome, None, None))
        if with_reason:
            decide = self._bind(self._decider(serve, rule, number))
            return f"{decide}({self._value(serve.argument_names)})"
        if not isinstance(serve, Split):
            return f"{self._rollout(serve)} or {self._compiler.off}"
        text = f"(value := {self._value(serve.argument_names)}) is not None"
        if self._compiler.with_variant:
            variants = {name: self._rules.variant(name) for name in serve.ranges}
            choose = self._bind(serve.compile(self._feature_name, variants))
            return f"({text} and {choose}(value)) or {self._compiler.off}"
        choose = self._bind(serve.compile(self._feature_name))
        text += f" and (name := {choose}(value)) is not None"
        return text if off is None else f"{text} and name != {self._bind(off)}"

    def _decider(self, serve: Any, rule: Rule | None, number: int) -> Any:
        """Return a function that makes the decision of a rollout or a split."""
        off = self._rules.off
        explain = serve.explainer(self._feature_name)
        nobody = Outcome(rule, number, serve, off)
        is_split = isinstance(serve, Split)
        variants = serve.ranges if is_split else ()
        outcomes: dict[Any, Outcome] = {True: Outcome(rule, number, serve, None)}
        outcomes |= {name: Outcome(rule, number, serve, name) for name in variants}

        def decide(value: Any) -> Any:
            if value is None:
                return False, nobody, None, None
            served, bucket, percentage = explain(value)
            if is_split:
                percentage = None  # a split has several
            if not served:
                return False, nobody, bucket, percentage
            return served != off, outcomes[served], bucket, percentage

        return decide


def find_argument(context: Mapping[str, Any], name: str) -> Any:
    """Return an argument by its name or by its path, or a mark if it is not given.

    Args:
        context: the keyword arguments of the question.
        name: the name, or names joined by dots for a value in nested dicts.
    """
    if name in context:
        return context[name]
    value: Any = context
    for part in name.split("."):
        if not isinstance(value, dict) or part not in value:
            return _MISSING
        value = value[part]
    return value


def first_given(context: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """Return the first of these arguments that is given, or `None`."""
    for name in names:
        value = find_argument(context, name)
        if value is not None and value is not _MISSING:
            return value
    return None


COMPILED_GLOBALS.update(
    find_argument=find_argument, first_given=first_given, missing=_MISSING
)
