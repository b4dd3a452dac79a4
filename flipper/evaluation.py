# SPDX-License-Identifier: Apache-2.0
"""The one place where it is decided whether a flag is on, and why."""

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
from .conditions.compiled import RuleCompiler
from .conditions.condition import Condition
from .runtime.patching import NAMES, guard

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Protocol

    from .conditions.compiled import Decider

    class Rules(Protocol):
        """The metadata of a flag, as far as it decides."""

        conditions: list[Condition]
        bucketer: Any

        def compiled(self, *, told: bool = False) -> Decider:
            """Return `compiled` of these rules."""


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

# Their `assign` does what `check` does, as long as nobody replaces that.
_BUCKETERS = (PercentageBucketer, ConsistentHashPercentageBucketer)
for _kind in _BUCKETERS:
    guard(_kind, "check")
guard(Percentage, "value")


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


def is_constant(conditions: Collection[Condition] | None, bucketer: Any) -> bool:
    """Tell whether an enabled flag is on whatever the arguments."""
    return not conditions and _lets_all_in(bucketer)


def compiled(rules: Rules, *, told: bool = False) -> Decider:
    """Return a function of the keyword arguments that decides an enabled flag.

    If a condition looks at one of the arguments, the flag is on if every check on those
    that are given holds, whatever the bucketer would say. Else the bucketer decides,
    and without one the flag is on. The function raises what an operator or the bucketer
    raises, such as `TypeError` for values that Python cannot compare or JSON cannot
    express.

    Args:
        rules: the conditions and the bucketer.
        told: whether the function gives a `Decision` instead of the answer alone.
    """
    program = RuleCompiler(rules, told=told)
    matched, on = ("MATCHED", "ON") if told else ("True", "True")
    is_open = _lets_all_in(rules.bucketer)
    holds = None
    if rules.conditions and (told or not is_open):  # else what matched does not matter
        holds = "matched = True"
        program.add("matched = False")
    for condition in rules.conditions:
        if type(condition) is Condition:
            program.add_checks(condition.own_checks, holds)
        else:
            _add_own_condition(program, condition, holds)
    if holds:
        program.add("if matched:", f"    return {matched}")
    if is_open:
        program.add(f"return {on}")
    else:
        _add_bucketer(program, rules.bucketer)
    return program.function()


def _add_own_condition(
    program: RuleCompiler, condition: Any, holds: str | None
) -> None:
    own = program.bind(condition)
    program.add(
        f"verdict = own_verdict({own}, context)",
        "if verdict is False:",
        f"    return {f'False, {own}, None, None' if program.told else 'False'}",
    )
    if holds:
        program.add("if verdict:", f"    {holds}")


def _own_verdict(condition: Any, context: Mapping[str, Any]) -> bool | None:
    """Ask a condition whose class may have a `check` of its own; `None`: not its."""
    if context and not condition.check(**context):
        return False
    variables = condition.checks
    return True if any(name in variables for name in context) else None


def _add_bucketer(program: RuleCompiler, bucketer: Any) -> None:
    own = program.bind(bucketer)
    call = f"return {own}.check(**context)"
    if program.told:
        call += f", {own}, None, None"
    if type(bucketer) not in _BUCKETERS or program.calls_everything:
        program.add(call)
        return
    # Its own dict shows whether `check` was replaced in this one bucketer.
    program.add(f"if 'check' in {program.bind(vars(bucketer))}:", f"    {call}")
    if program.told:
        program.add(f"return {own}.assign(context)")
        return
    _add_known_buckets(program, bucketer)
    program.add(f"return {own}.assign(context)[0]")


def _add_known_buckets(program: RuleCompiler, bucketer: Any) -> None:
    """Answer without a call for an argument that was bucketed before."""
    known = getattr(bucketer, "known", None)
    percentage = bucketer.own_percentage
    if known is None or type(percentage) is not Percentage:
        return
    share = percentage.value
    # A share of 0 does without a bucket; and NaN, which is not itself, has no order.
    if type(share) not in (int, float) or not share or share != share:  # noqa: PLR0124
        return
    if type(known.name) is not str:
        return
    count = program.bind(known.count_up_to(share))
    # To be told by an error that there is no such argument takes long, but is rare.
    program.add(
        "try:",
        f"    value = context[{known.name!r}]",
        "except KeyError:",
        "    pass",
        "else:",
        "    kind = type(value)",
        "    if kind is str or kind is int:",
        f"        return {program.bind(known)}[value] < {count}",
    )


def _lets_all_in(bucketer: Any) -> bool:
    return type(bucketer) is NoOpBucketer or (
        bucketer.get_type() == NoOpBucketer.__name__
    )


NAMES.update(MATCHED=MATCHED, ON=ON, own_verdict=_own_verdict)


def _short(fraction: Any) -> str:
    return f"{float(fraction):.4g}"  # a Fraction cannot be formatted before Python 3.12


def _told(check: Check | Condition | None) -> str:
    if isinstance(check, Check):
        key = Check.make_check_key(check.variable, check.operator.SYMBOL)
        return f"the check {key}={check.value!r}"
    return f"the condition {check!r}"
