# SPDX-License-Identifier: Apache-2.0
"""Reads the flags of Unleash.

A file is the reply of its client API, which SDKs keep as a backup, or its export. The
fields of the context and its `properties` are the arguments, under the same names.

Source: Unleash's description of strategies, and its client specification.
"""

from __future__ import annotations

import json
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from ..exceptions import InvalidArgumentError
from ..rules.rollout import Rollout
from ..rules.rule import Rule
from ..rules.rules import Rules
from ..rules.split import Split
from .expressions import all_of, any_of, when
from .translation import (
    ALWAYS,
    NEVER,
    UntranslatableError,
    check,
    given,
    rules_of,
    translate,
)
from .unleash_constraints import constraint_of, in_networks
from .unleash_export import without_export
from .variants import VariantNames

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..conditions.expression import Expression
    from . import ImportedFlag
    from .translation import Problems

_STICKY: Final = ("userId", "sessionId")
_BY_ONE_FIELD: Final = {
    "gradualRolloutUserId": "userId",
    "gradualRolloutSessionId": "sessionId",
}
_DISABLED: Final = "disabled"  # the name of the variant of a flag without variants
_BUCKETS: Final = 100


def read_flags(data: Any) -> Iterator[ImportedFlag]:
    """Yield the flags of a reply of the client API, or of an export.

    Raises:
        InvalidArgumentError: the data is something else.
    """
    try:
        file = without_export(data)
        segments = {each["id"]: each for each in file.get("segments") or ()}
        by_name = {each["name"]: each for each in file["features"]}
    except (AttributeError, LookupError, TypeError) as error:
        raise InvalidArgumentError(
            f"This is not a file of Unleash, which has a list 'features' "
            f"({type(error).__name__}: {error}); choose another file, or another origin",
            value=data,
        ) from error
    for name, feature in by_name.items():
        yield translate(name, _Feature(feature, by_name, segments).translated)


class _Feature:
    """One flag of the file."""

    def __init__(
        self, feature: Any, features: dict[str, Any], segments: dict[Any, Any]
    ) -> None:
        self._feature = feature
        self._name: str = feature["name"]
        self._features = features
        self._segments = segments
        self._variants = VariantNames()
        self._names: dict[str, list[str]] = {}

    def translated(self, problems: Problems) -> tuple[bool, Rules | None]:
        """Return whether the flag is enabled, and its rules."""
        feature = self._feature
        strategies = feature.get("strategies") or [{"name": "default"}]
        needed = list(self._dependencies())
        rules: list[Rule] = []
        for number, strategy in enumerate(strategies, 1):
            if strategy.get("disabled"):
                continue
            with problems.collected(f"strategy {number}"):
                holds = all_of([*needed, *self._when(strategy)])
                if holds is not NEVER:
                    rules.extend(self._served(holds, strategy))
        made = rules_of(rules, variants=self._variants.values or None)
        is_plain = made == Rules((), True)
        return feature["enabled"] is True, None if is_plain else made

    def _dependencies(self) -> Iterator[Expression]:
        for dependency in self._feature.get("dependencies") or ():
            name = dependency["feature"]
            parent = self._features.get(name)
            if parent is None or parent.get("dependencies"):
                yield NEVER  # Unleash has no parents of parents
                continue
            own = _Feature(parent, self._features, self._segments)
            if translate(name, own.translated).problems:
                message = f"it depends on {name!r}, which has problems of its own"
                raise UntranslatableError(message)
            yield check(name, "enabled", dependency.get("enabled", True) is not False)
            if dependency.get("enabled", True) is not False:
                yield from own._has_variant(dependency.get("variants") or ())

    def _has_variant(self, wanted: Any) -> Iterator[Expression]:
        """Yield whether this flag, which is on, serves one of these variants."""
        names = [each for name in wanted for each in self._names.get(name, ())]
        own = list(self._variants.values)
        found = [check(self._name, "variant", names)] if names else []
        if _DISABLED in wanted:
            found.append(~check(self._name, "variant", own) if own else ALWAYS)
        if wanted:
            yield any_of(found)

    def _when(self, strategy: dict[str, Any]) -> Iterator[Expression]:
        """Yield what has to hold for a strategy."""
        for constraint in strategy.get("constraints") or ():
            yield constraint_of(constraint)
        for number in strategy.get("segments") or ():
            if number not in self._segments:
                yield NEVER
                continue
            segment = self._segments[number]
            if "constraints" not in segment:
                message = f"the file does not say what its segment {number!r} is"
                raise UntranslatableError(message)
            for constraint in segment["constraints"]:
                yield constraint_of(constraint)
        yield self._chosen(strategy["name"], strategy.get("parameters") or {})

    def _chosen(self, kind: str, parameters: dict[str, Any]) -> Expression:
        if kind == "default":
            return ALWAYS
        if kind == "userWithId":
            users = [each.strip() for each in parameters["userIds"].split(",")]
            return check("userId", "in", users)
        if kind == "remoteAddress":
            return in_networks("remoteAddress", parameters["IPs"].split(","))
        if kind in _BY_ONE_FIELD:
            group = parameters.get("groupId") or ""
            return _rollout(parameters["percentage"], group, _BY_ONE_FIELD[kind])
        if kind == "gradualRolloutRandom":
            return _rollout(parameters["percentage"], "", "random")
        if kind == "flexibleRollout":
            group = parameters.get("groupId") or self._name
            return _rollout(parameters["rollout"], group, parameters.get("stickiness"))
        message = f"its kind {kind!r} is not one of those that Unleash comes with"
        raise UntranslatableError(message)

    def _served(self, holds: Expression, strategy: dict[str, Any]) -> Iterator[Rule]:
        """Yield the rules that serve the variants of a strategy, or of the flag."""
        variants, group = strategy.get("variants"), self._name
        given_stickiness, by_default = None, (*_STICKY, "remoteAddress")
        if variants:
            parameters = strategy.get("parameters") or {}
            group = parameters.get("groupId") or self._name
            given_stickiness, by_default = parameters.get("stickiness"), _STICKY
        variants = variants or self._feature.get("variants") or ()
        weights = [each["weight"] for each in variants]
        condition, title = when(holds), strategy.get("title")
        if not sum(weights):
            yield Rule(condition, True, title)
            return
        names = [self._named(each) for each in variants]
        for name, variant in zip(names, variants, strict=True):
            for override in variant.get("overrides") or ():
                field = check(override["contextName"], "in", override["values"])
                yield Rule(all_of([holds, field]), name, title)
        if max(weights) == sum(weights):
            yield Rule(condition, names[weights.index(max(weights))], title)
            return
        stickiness = given_stickiness or variants[0].get("stickiness") or "default"
        if stickiness == "random":
            message = "its variants are chosen anew for every question"
            raise UntranslatableError(message)
        by = by_default if stickiness == "default" else (stickiness,)
        split = _split(names, weights, group, by)
        yield Rule(all_of([holds, any_of(map(given, by))]), split, title)
        # Unleash chooses a variant at random for the others. They are on without one.
        yield Rule(condition, True, title)

    def _named(self, variant: dict[str, Any]) -> str:
        payload = variant.get("payload") or {"value": variant["name"]}
        value = payload["value"]
        if payload.get("type") in ("number", "json"):
            value = json.loads(value)
        name = self._variants.add(value, variant["name"])
        self._names.setdefault(variant["name"], []).append(name)
        return name


def _rollout(percentage: Any, group: str, stickiness: str | None) -> Expression:
    """Return whether a user is in a share; the seed of the buckets is the group."""
    count = min(int(float(percentage)), _BUCKETS)
    by = _STICKY if stickiness in (None, "", "default") else (stickiness,)
    if count <= 0:
        return NEVER
    if count == _BUCKETS:
        # Without one of these fields, Unleash uses a random number.
        is_random = by == _STICKY or stickiness == "random"
        return ALWAYS if is_random else given(str(stickiness))
    if stickiness == "random":
        message = f"it chooses {count} % of the questions at random, not of the users"
        raise UntranslatableError(message)
    return Rollout(count / _BUCKETS, by, group, "unleash")


def _split(
    names: list[str], weights: list[int], group: str, by: tuple[str, ...]
) -> Split:
    total = sum(weights)
    ranges: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    ends = [end / total for end in accumulate(weights)]
    for name, start, end in zip(names, [0.0, *ends], ends, strict=False):
        ranges[name].append((start, end))
    return Split(ranges, by, group, f"unleash-variants:{total}")
