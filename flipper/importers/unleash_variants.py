# SPDX-License-Identifier: Apache-2.0
"""The variants of a flag of Unleash: those of its strategies, else its own.

The value of a variant is its payload: a number or JSON is read, and any other payload
is the text. Without a payload it is the name. For users without the value that decides,
Unleash chooses a variant at random; here the flag is on for them, without a variant.

Source: Unleash's description of variants, and its client specification.
"""

from __future__ import annotations

import json
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from ..rules.rule import Rule
from ..rules.split import Split
from .expressions import all_of, any_of, negated, when
from .translation import ALWAYS, UntranslatableError, check, given
from .variants import VariantNames

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..conditions.expression import Expression

_NONE: Final = "disabled"  # the name that Unleash gives to no variant
_BY_DEFAULT: Final = ("userId", "sessionId", "remoteAddress")


class Variants:
    """The variants of one flag.

    Args:
        feature: the flag, as Unleash defines it.
    """

    def __init__(self, feature: dict[str, Any]) -> None:
        self._feature = feature
        self._feature_name: str = feature["name"]
        self._names: dict[str, list[str]] = {}
        self._values = VariantNames()

    @property
    def values(self) -> dict[str, Any] | None:
        """The values by name, of those that are served."""
        return self._values.values or None

    def is_served(self, wanted: list[str]) -> Expression:
        """Return whether the flag, which is on, serves a variant, as other flags ask.

        Args:
            wanted: the names in Unleash. Two variants with one name may have different
                payloads, and are two variants here.
        """
        names = [each for name in wanted for each in self._names.get(name, ())]
        parts: list[Expression] = []
        if names:
            parts.append(check(self._feature_name, "variant", names))
        if _NONE in wanted:
            own = list(self._values.values)
            is_none = check(self._feature_name, "variant", own) if own else None
            parts.append(negated(is_none) if is_none else ALWAYS)
        return any_of(parts)

    def rules(self, holds: Expression, strategy: dict[str, Any]) -> Iterator[Rule]:
        """Yield the rules of a strategy.

        Args:
            holds: whether the strategy applies.
            strategy: the strategy.

        Raises:
            UntranslatableError: its variants are chosen at random.
        """
        own, group, stickiness = strategy.get("variants"), self._feature_name, None
        if own:  # they have the group and the stickiness of the strategy, no overrides
            parameters = strategy.get("parameters") or {}
            group = parameters.get("groupId") or group
            stickiness = parameters.get("stickiness")
        variants = own or self._feature.get("variants") or []
        weights = [each["weight"] for each in variants]
        condition, title = when(holds), strategy.get("title")
        if not sum(weights):
            yield Rule(condition, True, title)
            return
        names = [self._name_of(each) for each in variants]
        for name, variant in zip(names, variants, strict=True):
            for override in () if own else variant.get("overrides") or ():
                field = check(override["contextName"], "in", override["values"])
                yield Rule(all_of([holds, field]), name, title)
        if max(weights) == sum(weights):
            yield Rule(condition, names[weights.index(max(weights))], title)
            return
        stickiness = stickiness or variants[0].get("stickiness") or "default"
        if stickiness == "random":
            message = "its variants are chosen anew for every question"
            raise UntranslatableError(message)
        by = _BY_DEFAULT if stickiness == "default" else (stickiness,)
        split = _split(names, weights, group, by)
        yield Rule(all_of([holds, any_of(map(given, by))]), split, title)
        yield Rule(condition, True, title)

    def _name_of(self, variant: dict[str, Any]) -> str:
        payload = variant.get("payload") or {"value": variant["name"]}
        value = payload["value"]
        if payload.get("type") in ("number", "json"):
            value = json.loads(value)
        name = self._values.add(value, variant["name"])
        self._names.setdefault(variant["name"], []).append(name)
        return name


def _split(
    names: list[str], weights: list[int], group: str, by: tuple[str, ...]
) -> Split:
    total = sum(weights)
    ranges: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    ends = [end / total for end in accumulate(weights)]
    for name, start, end in zip(names, [0.0, *ends], ends, strict=False):
        ranges[name].append((start, end))
    return Split(ranges, by, group, f"unleash-variants:{total}")
