# SPDX-License-Identifier: Apache-2.0
"""Decides whether a flag is on, and why. Nothing else in flipper decides that.

`explanation` has the form of the answer with its reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .bucketing.consistent_hash_percentage_bucketer import (
    ConsistentHashPercentageBucketer,
)
from .bucketing.noop_bucketer import NoOpBucketer
from .bucketing.percentage.percentage import Percentage
from .bucketing.percentage_bucketer import PercentageBucketer
from .conditions.condition import Condition
from .conditions.rule_compiler import RuleCompiler
from .explanation import MATCHED, ON
from .rules.rules_bucketer import RulesBucketer
from .runtime.patching import COMPILED_GLOBALS, guard

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Protocol

    from .conditions.rule_compiler import Decider

    class Rules(Protocol):
        """The part of the metadata of a flag that decides."""

        conditions: list[Condition]
        bucketer: Any

        def compile(self, *, with_reason: bool = False) -> Decider:
            """Return `compile_rules` of these rules."""


# Compiled rules call `decide` of these instead of `check`, unless `check` is replaced.
_BUCKETERS = (PercentageBucketer, ConsistentHashPercentageBucketer)
for _kind in _BUCKETERS:
    guard(_kind, "check")
guard(Percentage, "value")


def is_constant(conditions: Collection[Condition] | None, bucketer: Any) -> bool:
    """Return whether an enabled flag with these rules is on for all arguments."""
    return not conditions and _admits_everybody(bucketer)


class _NamedRules:
    """The rules of a flag and its name, which is the seed of their rollouts."""

    def __init__(self, rules: Rules, feature_name: str) -> None:
        self._rules = rules
        self._feature_name = feature_name

    def compile(self, **result: bool) -> Decider:
        """Return a function that decides; see `compile_rules`."""
        return compile_rules(self._rules, self._feature_name, **result)


def compile_rules(
    rules: Rules,
    feature_name: str,
    *,
    with_reason: bool = False,
    with_variant: bool = False,
) -> Decider:
    """Return a function that decides, by the keyword arguments, an enabled flag.

    If any condition has a check on one of the arguments, the flag is on if every check
    on a given argument holds; the bucketer does not matter then. Otherwise the bucketer
    decides, and without a bucketer the flag is on. If the bucketer stands for rules,
    all conditions have to hold, and then the rules decide. A check that needs the
    context is decided in every call: the flag is off if it does not hold. The function
    raises what an operator or the bucketer raises, such as `TypeError` for values that
    Python cannot compare or JSON cannot express.

    Args:
        rules: the conditions and the bucketer.
        feature_name: the flag, whose name is the seed of rollouts in its rules.
        with_reason: whether the function returns a `Decision` instead of the answer
            alone.
        with_variant: only for a bucketer that stands for rules: whether the function
            returns the `Variant` served instead of the answer, if there is one.
    """
    bucketer = rules.bucketer
    has_rules = type(bucketer) is RulesBucketer
    owner = _NamedRules(rules, feature_name) if has_rules else rules
    compiler = RuleCompiler(owner, with_reason=with_reason, with_variant=with_variant)
    off = bucketer.rules.off_variant if with_variant else None
    if off is not None:
        compiler.off = compiler.bind_value(off)
    matched, on = ("MATCHED", "ON") if with_reason else ("True", "True")
    admits_everybody = _admits_everybody(bucketer)
    line_on_match = None
    # If the flag is on either way, it does not matter whether a condition applied.
    if rules.conditions and not has_rules and (with_reason or not admits_everybody):
        line_on_match = "matched = True"
        compiler.add_lines("matched = False")
    for condition in rules.conditions:
        if type(condition) is Condition:
            compiler.add_checks(condition.own_checks, line_on_match)
        else:
            _add_custom_condition(compiler, condition, line_on_match)
    if line_on_match:
        compiler.add_lines("if matched:", f"    return {matched}")
    if has_rules:
        from .rules.compiling import add_rules

        add_rules(compiler, bucketer.rules, feature_name)
    elif admits_everybody:
        compiler.add_lines(f"return {on}")
    else:
        _add_bucketer(compiler, bucketer)
    return compiler.function()


def _add_custom_condition(
    compiler: RuleCompiler, condition: Any, line_on_match: str | None
) -> None:
    own = compiler.bind_value(condition)
    compiler.add_lines(
        f"verdict = custom_verdict({own}, context)",
        "if verdict is False:",
        f"    return {compiler.off_answer(own)}",
    )
    if line_on_match:
        compiler.add_lines("if verdict:", f"    {line_on_match}")


def _custom_verdict(condition: Any, context: Mapping[str, Any]) -> bool | None:
    """Return whether a condition of a subclass holds, or `None` if it does not apply.

    Its class may override `check`, so that is called.
    """
    asks = bool(context) or (
        isinstance(condition, Condition)
        and any(check.needs_context for check in condition.own_checks)
    )
    if asks and not condition.check(**context):
        return False
    variables = condition.checks
    return True if any(name in variables for name in context) else None


def _add_bucketer(compiler: RuleCompiler, bucketer: Any) -> None:
    own = compiler.bind_value(bucketer)
    call = f"return {own}.check(**context)"
    if compiler.with_reason:
        call += f", {own}, None, None"
    if type(bucketer) not in _BUCKETERS or compiler.calls_everything:
        compiler.add_lines(call)
        return
    # `check` may be replaced in this one object; then it is in the object's dict.
    compiler.add_lines(
        f"if 'check' in {compiler.bind_value(vars(bucketer))}:", f"    {call}"
    )
    if compiler.with_reason:
        compiler.add_lines(f"return {own}.decide(context)")
        return
    _add_known_buckets(compiler, bucketer)
    compiler.add_lines(f"return {own}.decide(context)[0]")


def _add_known_buckets(compiler: RuleCompiler, bucketer: Any) -> None:
    """Append lines that return the answer without a call if the bucket is known."""
    known = getattr(bucketer, "known_buckets", None)
    percentage = bucketer.own_percentage
    if known is None or type(percentage) is not Percentage:
        return
    share = percentage.value
    # For a share of 0 there is no bucket. NaN, which differs from itself, has no order.
    if type(share) not in (int, float) or not share or share != share:  # noqa: PLR0124
        return
    if type(known.name) is not str:
        return
    count = compiler.bind_value(known.count_up_to(share))
    # An error for a missing argument is slow, but rare.
    compiler.add_lines(
        "try:",
        f"    value = context[{known.name!r}]",
        "except KeyError:",
        "    pass",
        "else:",
        "    kind = type(value)",
        "    if kind is str or kind is int:",
        f"        return {compiler.bind_value(known)}[value] < {count}",
    )


def _admits_everybody(bucketer: Any) -> bool:
    kind = type(bucketer)
    if kind is NoOpBucketer or kind is RulesBucketer:
        return kind is NoOpBucketer
    return bucketer.get_type() == NoOpBucketer.__name__  # type: ignore[no-any-return]


COMPILED_GLOBALS.update(MATCHED=MATCHED, ON=ON, custom_verdict=_custom_verdict)
