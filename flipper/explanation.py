# SPDX-License-Identifier: Apache-2.0
"""Says why a flag is on or off: what `explain` returns, and its sentence."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from .conditions.check import Check

if TYPE_CHECKING:
    from .conditions.condition import Condition
    from .rules.rule import Rule


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
    RULE = "rule"
    NO_RULE_MATCHED = "no rule matched"
    OVERRIDDEN = "overridden"

    __hash__ = object.__hash__


# The answer; what gave it (a check, a condition, a bucketer or the `Outcome` of rules,
# otherwise the `Reason`); the bucket; the percentage. A plain tuple, because it is
# faster to make than an `Evaluation`, which `explain` makes of it.
Decision = tuple[Any, Any, Any, Any]

DISABLED: Decision = (False, Reason.DISABLED, None, None)
MATCHED: Decision = (True, Reason.CONDITION_MATCHED, None, None)
ON: Decision = (True, Reason.ON, None, None)


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
        bucket: for `BUCKETER`, and for a rollout or a split of a rule, the bucket of
            the arguments, a fraction from 0 to 1; `None` if the bucketer does not say,
            its percentage is 0, or the argument was not given.
        percentage: the share of calls for which the flag is on at this moment, a
            fraction from 0 to 1; `None` for a split.
        error: for `ERROR`, its cause. With any other reason, why the store could not be
            read; the last known state of the flag was evaluated then.
        rule: for `RULE`, the rule that decided.
        rule_number: for `RULE`, its number, from 1 on.
        variant: the name of the variant that rules have served.
    """

    feature_name: str
    enabled: Any
    reason: Reason
    check: Check | Condition | None = None
    bucketer: Any = None
    bucket: float | None = None
    percentage: Any = None
    error: Exception | None = None
    rule: Rule | None = None
    rule_number: int | None = None
    variant: str | None = None

    @classmethod
    def from_decision(
        cls, feature_name: str, decision: Decision, error: Exception | None = None
    ) -> Evaluation:
        """Make an evaluation of a decision."""
        enabled, cause, bucket, percentage = decision
        if isinstance(cause, Reason):
            return cls(feature_name, enabled, cause, error=error)
        measured = {"bucket": bucket, "percentage": percentage, "error": error}
        if hasattr(cause, "serve"):  # the outcome of rules
            return cls(
                *(feature_name, enabled),
                Reason.RULE if cause.number else Reason.NO_RULE_MATCHED,
                rule=cause.rule,
                rule_number=cause.number or None,
                variant=cause.variant,
                **measured,
            )
        if not hasattr(cause, "get_type"):  # a check or a condition, no bucketer
            reason = Reason.CONDITION_NOT_MATCHED
            return cls(feature_name, enabled, reason, check=cause, error=error)
        return cls(feature_name, enabled, Reason.BUCKETER, bucketer=cause, **measured)

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
        if self.reason in (Reason.RULE, Reason.NO_RULE_MATCHED):
            return self._describe_rule()
        if self.reason is Reason.ERROR:
            error = self.error
            text = str(error).rstrip(".")
            return f"{type(error).__name__}: {text}; the answer is the default"
        return _SENTENCES[self.reason]

    def _describe_rule(self) -> str:
        text, serves = "none of its rules holds", ", so it serves"
        if self.rule is not None:
            name = "" if self.rule.name is None else f" ({self.rule.name!r})"
            text, serves = f"its rule {self.rule_number}{name} holds", " and serves"
        if self.variant is not None:
            text += f"{serves} {self.variant!r}"
        if self.bucket is None:
            return text
        if self.variant is not None or self.percentage is None:  # of a split
            return f"{text} for bucket {_short(self.bucket)}"
        side = "within" if self.enabled else "above"
        share = _short(self.percentage)
        return f"{text}; bucket {_short(self.bucket)} is {side} the percentage {share}"

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


def _short(fraction: Any) -> str:
    return f"{float(fraction):.4g}"  # a Fraction cannot be formatted before Python 3.12


def _describe_check(check: Check | Condition | None) -> str:
    if isinstance(check, Check):
        key = Check.make_check_key(check.variable, check.operator.SYMBOL)
        return f"the check {key}={check.value!r}"
    return f"the condition {check!r}"
