# SPDX-License-Identifier: Apache-2.0
"""Decides whether a flag is on, and why. Nothing else in flipper decides that."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from .bucketing.consistent_hash_percentage_bucketer import (
    ConsistentHashPercentageBucketer,
)
from .bucketing.noop_bucketer import NoOpBucketer
from .bucketing.percentage.percentage import Percentage
from .bucketing.percentage_bucketer import PercentageBucketer
from .conditions.check import Check
from .conditions.condition import Condition
from .conditions.rule_compiler import RuleCompiler
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


class Reason(Enum):
    """Why a flag is on or off."""

    MISSING = "missing"
    DISABLED = "disabled"
    CONDITION_MATCHED = "condition matched"
    CONDITION_NOT_MATCHED = "condition not matched"
    BUCKETER = "bucketer"
    ON = "on"
    OWN_ITEM = "own item"
    ERROR = "error"
    OVERRIDDEN = "overridden"

    __hash__ = object.__hash__


# The answer; what gave it (a check, a condition or a bucketer, otherwise the `Reason`);
# the bucket; the percentage. A plain tuple, because it is faster to make than an
# `Evaluation`, which `explain` makes of it.
Decision = tuple[Any, Any, Any, Any]

DISABLED: Decision = (False, Reason.DISABLED, None, None)
MATCHED: Decision = (True, Reason.CONDITION_MATCHED, None, None)
ON: Decision = (True, Reason.ON, None, None)

# Compiled rules call `decide` of these instead of `check`, unless `check` is replaced.
_BUCKETERS = (PercentageBucketer, ConsistentHashPercentageBucketer)
for _kind in _BUCKETERS:
    guard(_kind, "check")
guard(Percentage, "value")


class Evaluation(NamedTuple):
    """The answer of `is_enabled` for a flag, and its reason.

    `str` of it is a sentence; its truth is the truth of the answer.

    Attributes:
        feature_name: the flag that was asked about.
        enabled: the answer, exactly what `is_enabled` returns.
        reason: what decided.
        check: for `CONDITION_NOT_MATCHED`, the check that failed, or the condition if
            its class overrides `check`.
        bucketer: for `BUCKETER`, the bucketer.
        bucket: for `BUCKETER`, the bucket of the arguments, a fraction from 0 to 1;
            `None` if the bucketer does not say, or its percentage is 0.
        percentage: the share of calls for which the flag is on at this moment, a
            fraction from 0 to 1.
        error: for `ERROR`, its cause. With any other reason, why the store could not be
            read; the last known state of the flag was evaluated then.
    """

    feature_name: str
    enabled: Any
    reason: Reason
    check: Check | Condition | None = None
    bucketer: Any = None
    bucket: float | None = None
    percentage: Any = None
    error: Exception | None = None

    @classmethod
    def from_decision(
        cls, feature_name: str, decision: Decision, error: Exception | None = None
    ) -> Evaluation:
        """Make an evaluation of a decision."""
        enabled, cause, bucket, percentage = decision
        if isinstance(cause, Reason):
            return cls(feature_name, enabled, cause, error=error)
        made = cls(feature_name, enabled, Reason.BUCKETER, error=error)
        if not hasattr(cause, "get_type"):  # a check or a condition, no bucketer
            return made._replace(reason=Reason.CONDITION_NOT_MATCHED, check=cause)
        return made._replace(bucketer=cause, bucket=bucket, percentage=percentage)

    def __bool__(self) -> bool:
        """Return whether the flag is on."""
        return bool(self.enabled)

    def __str__(self) -> str:
        """Return the answer and its reason as a sentence."""
        state = "on" if self.enabled else "off"
        reason = self._describe_reason()
        if self.error is not None and self.reason is not Reason.ERROR:
            reason += " (last known state: the store could not be read)"
        return f"Feature {self.feature_name!r} is {state}: {reason}."

    def _describe_reason(self) -> str:
        if self.reason is Reason.CONDITION_NOT_MATCHED:
            return f"{_describe_check(self.check)} does not hold"
        if self.reason is Reason.BUCKETER:
            return self._describe_bucketing()
        if self.reason is Reason.ERROR:
            error = self.error
            text = str(error).rstrip(".")
            return f"{type(error).__name__}: {text}; the answer is the default"
        return _SENTENCES[self.reason]

    def _describe_bucketing(self) -> str:
        name = type(self.bucketer).__name__
        if self.percentage is None:
            return f"its {name} decided so"
        if self.bucket is None:
            return f"the percentage of its {name} is 0"
        side = "within" if self.enabled else "above"
        return (
            f"its {name} chose bucket {_short(self.bucket)}, {side} the percentage "
            f"{_short(self.percentage)}"
        )


_SENTENCES = {
    Reason.MISSING: "there is no such flag, so the answer is the default",
    Reason.DISABLED: "it is disabled",
    Reason.CONDITION_MATCHED: "every check on these arguments holds",
    Reason.ON: (
        "it is enabled, and no condition or bucketer limits it for these arguments"
    ),
    Reason.OWN_ITEM: "the item class of the store decided so",
    Reason.OVERRIDDEN: "a test overrides it",
}


def is_constant(conditions: Collection[Condition] | None, bucketer: Any) -> bool:
    """Return whether an enabled flag with these rules is on for all arguments."""
    return not conditions and _admits_everybody(bucketer)


def compile_rules(rules: Rules, *, with_reason: bool = False) -> Decider:
    """Return a function that decides, by the keyword arguments, an enabled flag.

    If any condition has a check on one of the arguments, the flag is on if every check
    on a given argument holds; the bucketer does not matter then. Otherwise the bucketer
    decides, and without a bucketer the flag is on. The function raises what an operator
    or the bucketer raises, such as `TypeError` for values that Python cannot compare or
    JSON cannot express.

    Args:
        rules: the conditions and the bucketer.
        with_reason: whether the function returns a `Decision` instead of the answer
            alone.
    """
    compiler = RuleCompiler(rules, with_reason=with_reason)
    matched, on = ("MATCHED", "ON") if with_reason else ("True", "True")
    admits_everybody = _admits_everybody(rules.bucketer)
    line_on_match = None
    # If the flag is on either way, it does not matter whether a condition applied.
    if rules.conditions and (with_reason or not admits_everybody):
        line_on_match = "matched = True"
        compiler.add_lines("matched = False")
    for condition in rules.conditions:
        if type(condition) is Condition:
            compiler.add_checks(condition.own_checks, line_on_match)
        else:
            _add_custom_condition(compiler, condition, line_on_match)
    if line_on_match:
        compiler.add_lines("if matched:", f"    return {matched}")
    if admits_everybody:
        compiler.add_lines(f"return {on}")
    else:
        _add_bucketer(compiler, rules.bucketer)
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
    if context and not condition.check(**context):
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
    return type(bucketer) is NoOpBucketer or (
        bucketer.get_type() == NoOpBucketer.__name__
    )


COMPILED_GLOBALS.update(MATCHED=MATCHED, ON=ON, custom_verdict=_custom_verdict)


def _short(fraction: Any) -> str:
    return f"{float(fraction):.4g}"  # a Fraction cannot be formatted before Python 3.12


def _describe_check(check: Check | Condition | None) -> str:
    if isinstance(check, Check):
        key = Check.make_check_key(check.variable, check.operator.SYMBOL)
        return f"the check {key}={check.value!r}"
    return f"the condition {check!r}"
