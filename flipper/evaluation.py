# SPDX-License-Identifier: Apache-2.0
"""The one place where it is decided whether a flag is on, and why."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from .bucketing.consistent_hash_percentage_bucketer import (
    ConsistentHashPercentageBucketer,
)
from .bucketing.noop_bucketer import NoOpBucketer
from .bucketing.percentage_bucketer import PercentageBucketer
from .conditions.check import Check
from .conditions.condition import Condition

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


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

    __hash__ = object.__hash__


# The answer; who gave it: a check, a condition, a bucketer, or else the reason; the
# bucket and the percentage. A plain tuple inside the library, since every question
# makes one; who asks for an explanation gets it as an `Evaluation`.
Decision = tuple[Any, Any, Any, Any]

DISABLED: Decision = (False, Reason.DISABLED, None, None)
MATCHED: Decision = (True, Reason.CONDITION_MATCHED, None, None)
ON: Decision = (True, Reason.ON, None, None)

# What `assign` does as well, unless somebody has replaced it.
_CHECKS = {
    kind: kind.check for kind in (PercentageBucketer, ConsistentHashPercentageBucketer)
}


class Evaluation(NamedTuple):
    """What `is_enabled` answers for a flag, and why; `str` makes a sentence of it.

    It is true if the answer is.

    Attributes:
        feature_name: the flag that was asked about.
        enabled: the answer, exactly what `is_enabled` gives.
        reason: what decided.
        check: the check that said no (a condition, if its class has a `check` of its
            own), for `CONDITION_NOT_MATCHED`.
        bucketer: the bucketer, for `BUCKETER`.
        bucket: where the arguments fell, a fraction from 0 to 1; `None` if the
            bucketer does not tell, or lets nobody in.
        percentage: the share that is in at this moment, a fraction from 0 to 1.
        error: what could not be read or evaluated, the cause of `ERROR`; with any other
            reason, the store could not be read and the last known state decided.
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
    def of(
        cls, feature_name: str, decision: Decision, error: Exception | None = None
    ) -> Evaluation:
        """Make the record of a decision about a flag."""
        enabled, decider, bucket, percentage = decision
        if isinstance(decider, Reason):
            return cls(feature_name, enabled, decider, error=error)
        made = cls(feature_name, enabled, Reason.BUCKETER, error=error)
        if not hasattr(decider, "get_type"):  # no bucketer, so a check or a condition
            return made._replace(reason=Reason.CONDITION_NOT_MATCHED, check=decider)
        return made._replace(bucketer=decider, bucket=bucket, percentage=percentage)

    def __bool__(self) -> bool:
        """Tell whether the flag is on."""
        return bool(self.enabled)

    def __str__(self) -> str:
        """Say it in a sentence."""
        state = "on" if self.enabled else "off"
        stale = ""
        if self.error is not None and self.reason is not Reason.ERROR:
            stale = " (last known state: the store could not be read)"
        return f"Feature {self.feature_name!r} is {state}: {self._because()}{stale}."

    def _because(self) -> str:
        if self.reason is Reason.CONDITION_NOT_MATCHED:
            return f"{_told(self.check)} says no"
        if self.reason is Reason.BUCKETER:
            return self._bucketed()
        if self.reason is Reason.ERROR:
            error = self.error
            return f"{type(error).__name__}: {error}; so the default counts"
        return _SENTENCES[self.reason]

    def _bucketed(self) -> str:
        name = type(self.bucketer).__name__
        if self.percentage is None:
            return f"its {name} says {'yes' if self.enabled else 'no'}"
        if self.bucket is None:
            return f"its {name} lets nobody in"
        side = "up to" if self.enabled else "beyond"
        return (
            f"its {name} drew bucket {_short(self.bucket)}, {side} the percentage "
            f"{_short(self.percentage)}"
        )


_SENTENCES = {
    Reason.MISSING: "there is no such flag, so the default counts",
    Reason.DISABLED: "it is disabled",
    Reason.CONDITION_MATCHED: (
        "its conditions look at these arguments, and every check holds"
    ),
    Reason.ON: "it is enabled, and nothing limits it for these arguments",
    Reason.OWN_ITEM: "the store's own item class decided",
}


def settled(
    enabled: object, conditions: Collection[Condition], bucketer: Any
) -> Decision | None:
    """Return the decision if no argument can change it, else `None`."""
    if not enabled:
        return DISABLED
    return ON if not conditions and _lets_all_in(bucketer) else None


def decide(
    enabled: object,
    conditions: Collection[Condition],
    bucketer: Any,
    context: Mapping[str, Any],
) -> Decision:
    """Decide whether a flag is on for the keyword arguments in `context`.

    A disabled flag is off. If a condition looks at one of the arguments, it is on if
    every check on those that are given holds, whatever the bucketer would say. Else the
    bucketer decides, and without one the flag is on.

    Raises:
        Exception: what an operator or the bucketer raises, such as `TypeError` for
            values that Python cannot compare or JSON cannot express.
    """
    if not enabled:
        return DISABLED
    matched = False
    for condition in conditions:
        if type(condition) is Condition:
            verdict: Any = condition.verdict(context)
        else:
            verdict = _own_verdict(condition, context)
        if verdict is not None:
            if verdict is not True:
                return False, verdict, None, None
            matched = True
    if matched:
        return MATCHED
    kind = type(bucketer)
    check = _CHECKS.get(kind)
    if check is not None and check is kind.check and "check" not in bucketer.__dict__:
        return bucketer.assign(context)  # type: ignore[no-any-return]
    if _lets_all_in(bucketer):
        return ON
    return bucketer.check(**context), bucketer, None, None


def _lets_all_in(bucketer: Any) -> bool:
    return type(bucketer) is NoOpBucketer or (
        bucketer.get_type() == NoOpBucketer.__name__
    )


def _own_verdict(condition: Any, context: Mapping[str, Any]) -> Any:
    """Ask a condition whose class may have a `check` of its own."""
    if context and not condition.check(**context):
        return condition
    variables = condition.checks
    return True if any(name in variables for name in context) else None


def _short(fraction: Any) -> str:
    return f"{float(fraction):.4g}"  # a Fraction cannot be formatted before Python 3.12


def _told(check: Check | Condition | None) -> str:
    if isinstance(check, Check):
        key = Check.make_check_key(check.variable, check.operator.SYMBOL)
        return f"the check {key}={check.value!r}"
    return f"the condition {check!r}"
