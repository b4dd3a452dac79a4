# SPDX-License-Identifier: Apache-2.0
"""Flags that do not always give the same answer to the same question.

They have a random bucketer, a percentage that changes with the time, or a class of the
application in their rules. `Memoization` lets them decide once for the same arguments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..bucketing.consistent_hash_percentage_bucketer import (
    ConsistentHashPercentageBucketer,
)
from ..bucketing.noop_bucketer import NoOpBucketer
from ..bucketing.percentage.percentage import Percentage
from ..conditions.condition import Condition
from ..conditions.expression import simple_parts
from ..prerequisites import prerequisites_of_item
from ..rules.rollout import Rollout
from ..rules.rules_bucketer import RulesBucketer

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..conditions.check import Check
    from ..contrib.storage.item import FeatureFlagStoreItem
    from ..explanation import Decision
    from ..rules.rules import Rules

# The names of modules of flipper, whose classes give the same answer every time.
_OPERATORS = "flipper.conditions.operators."


class MemoizedDecider:
    """Decides once for the same arguments, such as for a random bucketer.

    Threads may share it.

    Args:
        decide: decides by the arguments, and returns the answer with its reason.
    """

    __slots__ = ("_decide", "_decisions")

    def __init__(self, decide: Callable[[Any], Decision]) -> None:
        self._decide = decide
        self._decisions: dict[Any, Decision] = {}

    def __call__(self, arguments: dict[str, Any]) -> Any:
        """Return the answer for these arguments."""
        return self.decide(arguments)[0]

    def decide(self, arguments: dict[str, Any]) -> Decision:
        """Return the answer for these arguments with its reason."""
        key = frozenset([(name, *_key(each)) for name, each in arguments.items()])
        found = self._decisions.get(key)
        if found is None:
            found = self._decisions.setdefault(key, self._decide(arguments))
        return found

    def forget(self) -> None:
        """Decide anew."""
        self._decisions.clear()


def _key(value: Any) -> tuple[Any, Any]:
    """Return what equal arguments have in common: 1, 1.0 and `True` are not equal."""
    try:
        hash(value)
    except TypeError:
        value = repr(value)
    return type(value), value


def has_fixed_answers(item: FeatureFlagStoreItem) -> bool:
    """Return whether equal arguments give equal answers, whenever they are asked for.

    The answers of other flags that it depends on count as arguments.
    """
    if item.answer is not None:
        return True
    meta = item.raw_meta
    bucketer: Any = meta.bucketer
    kind = type(bucketer)
    if kind is RulesBucketer:
        is_fixed = _are_fixed(bucketer.rules)
    elif kind is ConsistentHashPercentageBucketer:
        is_fixed = type(bucketer.own_percentage) is Percentage
    else:
        is_fixed = bucketer is None or kind is NoOpBucketer
    return is_fixed and all(map(_is_fixed, meta.conditions))


def has_prerequisites(item: FeatureFlagStoreItem) -> bool:
    """Return whether the answer depends on other flags."""
    return next(iter(prerequisites_of_item(item)), None) is not None


def _are_fixed(rules: Rules) -> bool:
    for rule in rules:
        parts = () if rule.when is None else simple_parts(rule.when)
        if not all(map(_is_fixed, (rule.serve, *parts))):
            return False
    return _is_fixed(rules.otherwise)


def _is_fixed(part: Any) -> bool:
    """Return whether a part of a rule, or what it serves, is decided the same way."""
    kind = type(part)
    if kind is Condition:
        return all(map(_compares_the_same, part.own_checks))
    if kind is Rollout:
        return isinstance(part.share, (int, float, tuple))
    return kind.__module__.startswith("flipper.rules.") or isinstance(part, (bool, str))


def _compares_the_same(check: Check) -> bool:
    if check.sign is not None:
        return True
    operator = check.typed_operator
    return operator is not None and operator.__module__.startswith(_OPERATORS)
