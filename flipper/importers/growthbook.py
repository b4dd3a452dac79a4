# SPDX-License-Identifier: Apache-2.0
"""Reads the features of GrowthBook, and its experiments.

A file is the payload that SDKs get. The attributes are the arguments, under the same
names. A feature is on if its value is true to JavaScript.

Source: GrowthBook's description of its SDKs.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from ..exceptions import InvalidArgumentError
from ..rules.rule import Rule
from ..rules.rules import Rules
from .expressions import all_of, any_of, holds, negated, when
from .growthbook_buckets import Buckets, included, unfiltered
from .growthbook_conditions import expression_of
from .translation import ALWAYS, NEVER, UntranslatableError, check, rules_of, translate
from .variants import VariantNames

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..conditions.expression import Expression
    from ..rules.split import Split
    from . import ImportedFlag
    from .translation import Problems

_TARGETING: Final = {"condition", "parentConditions", "filters", "namespace"}
_BUCKETING: Final = {
    *("hashAttribute", "fallbackAttribute", "hashVersion", "seed", "disableStickyBucketing"),
    *("coverage", "range", "ranges", "weights", "bucketVersion", "minBucketVersion"),
}
_VALUES: Final = {"force", "variations", "meta", "active", "status"}
_FOR_PEOPLE: Final = {"id", "key", "name", "phase", "tracks", "description", "changeId"}
_KNOWN: Final = {*_TARGETING, *_BUCKETING, *_VALUES, *_FOR_PEOPLE}


def read_flags(data: Any) -> Iterator[ImportedFlag]:
    """Yield the features of a payload, and a flag for each of its experiments.

    Raises:
        InvalidArgumentError: the data is something else.
    """
    try:
        definitions = dict(data.get("features") or {})
        for each in data.get("experiments") or ():
            key = each["key"]
            name = f"{key} (experiment)" if key in definitions else key
            definitions[name] = _feature_of(each)
        groups = dict(data.get("savedGroups") or {})
        is_payload = not {"features", "experiments"}.isdisjoint(data)
    except (AttributeError, LookupError, TypeError, ValueError):
        is_payload = False
    if not is_payload:
        secret = isinstance(data, dict) and "encryptedFeatures" in data
        remedy = "decrypt it first" if secret else "choose another file, or origin"
        raise InvalidArgumentError(
            f"This is not a payload of GrowthBook, which has a table 'features'; "
            f"{remedy}",
            value=data,
        )
    for name in definitions:
        yield translate(name, _Feature(name, definitions, groups, ()).translated)


def _feature_of(experiment: dict[str, Any]) -> dict[str, Any]:
    """Return a feature that has the first variation outside of an experiment."""
    rule = {**experiment}
    if "force" in rule:  # the number of a variation, and no value as in features
        rule["forcedVariation"] = rule.pop("force")
    return {"defaultValue": rule["variations"][0], "rules": [rule]}


class _Feature:
    """One feature of the file."""

    def __init__(
        self,
        name: str,
        features: dict[str, Any],
        groups: dict[str, Any],
        children: tuple[str, ...],
    ) -> None:
        self._name = name
        self._features = features
        self._groups = groups
        self._path = (*children, name)
        self._definition = features[name]
        self._names = VariantNames()
        self._off: Any = None
        self._is_plain = False
        self.values: list[Any] = []

    def translated(self, problems: Problems) -> tuple[bool, Rules | None]:
        """Return whether the feature is enabled, and its rules."""
        rules = self._definition.get("rules") or []
        self._find_values(rules)
        made: list[Rule] = []
        for number, rule in enumerate(rules, 1):
            with problems.collected(f"rule {number}"):
                made.extend(self._translated(rule))
        last = self.served(self._definition.get("defaultValue"))
        if not made and self._is_plain:
            return bool(last), None
        off = None if self._is_plain or self._off is None else self.served(self._off)
        variants = self._names.values or None
        return True, rules_of([*made, Rule(None, last)], variants=variants, off=off)

    def _find_values(self, rules: list[dict[str, Any]]) -> None:
        """Find all values that the feature may have, and the one that counts as off."""
        found = [self._definition.get("defaultValue")]
        for rule in rules:
            parents = rule.get("parentConditions") or ()
            found += [None for each in parents if each.get("gate")]
            found += [rule["force"]] if "force" in rule else rule.get("variations") or []
        self.values = [*{json.dumps(each, sort_keys=True): each for each in found}.values()]
        off = [each for each in self.values if each is not None and not _is_on(each)]
        has_null = None in self.values
        if len(off) > 1 or (off and off[0] is not False and has_null):
            shown = ", ".join(map(json.dumps, [*off, *([None] if has_null else [])]))
            message = f"it has several values that count as off: {shown}"
            raise UntranslatableError(message)
        self._off = off[0] if off else None
        are_simple = all(each is None or isinstance(each, bool) for each in self.values)
        self._is_plain = are_simple and not any("variations" in rule for rule in rules)

    def served(self, value: Any) -> bool | str:
        """Return what a rule serves for a value."""
        if self._is_plain:
            return value is True
        return False if value is None else self._names.add(value)

    def _translated(self, rule: dict[str, Any]) -> Iterator[Rule]:
        unknown = sorted(rule.keys() - _KNOWN - {"forcedVariation"})
        if unknown or rule.get("minBucketVersion"):
            message = f"it has {', '.join(unknown) or 'a minBucketVersion'}"
            raise UntranslatableError(message)
        title = rule.get("name") or rule.get("key") or rule.get("id")
        parts: list[Expression] = []
        for parent in rule.get("parentConditions") or ():
            passes = self._parent(parent)
            if parent.get("gate"):
                blocked = all_of([*parts, negated(passes)])
                if blocked is not NEVER:
                    yield Rule(when(blocked), self.served(None), title)
            parts.append(passes)
        if rule.get("condition"):
            parts.append(expression_of(rule["condition"], self._groups))
        parts.append(unfiltered(rule.get("filters") or ()))
        if "force" in rule:
            holding = all_of([*parts, included(rule, self._name)])
            if holding is not NEVER:
                yield Rule(when(holding), self.served(rule["force"]), title)
        elif len(rule.get("variations") or ()) > 1 and _is_running(rule):
            for guard, served in self._experiment(rule):
                holding = all_of([*parts, guard])
                if holding is not NEVER:
                    yield Rule(when(holding), served, title)

    def _experiment(
        self, rule: dict[str, Any]
    ) -> Iterator[tuple[Expression, bool | str | Split]]:
        """Yield for whom an experiment has variations, and which."""
        variations, forced = rule["variations"], rule.get("forcedVariation")
        if forced is not None and not 0 <= forced < len(variations):
            return
        names = [self.served(each) for each in variations]
        buckets = Buckets(rule, rule.get("key") or self._name)
        for guard, split in buckets.splits(names):
            yield guard, split if forced is None else names[forced]

    def _parent(self, parent: dict[str, Any]) -> Expression:
        """Return whether the value of another feature passes a condition."""
        name, condition = parent["id"], expression_of(parent["condition"], self._groups)
        if name in self._path:
            message = f"it depends on itself: {' -> '.join([*self._path, name])}"
            raise UntranslatableError(message)
        if name not in self._features:
            return ALWAYS if holds(condition, value=None) else NEVER
        other = _Feature(name, self._features, self._groups, self._path)
        if translate(name, other.translated).problems:
            message = f"it depends on {name!r}, which has problems of its own"
            raise UntranslatableError(message)
        passing = [each for each in other.values if holds(condition, value=each)]
        if len(passing) in (0, len(other.values)):
            return ALWAYS if passing else NEVER
        return other.serves(passing)

    def serves(self, values: list[Any]) -> Expression:
        """Return whether this feature serves one of these values, as seen by others."""
        off = [each for each in self.values if not _is_on(each)]
        passing = [each for each in values if not _is_on(each)]
        if 0 < len(passing) < len(off):
            message = f"it depends on whether {self._name!r} is null or false"
            raise UntranslatableError(message)
        on = [self.served(each) for each in values if _is_on(each)]
        parts = [check(self._name, "enabled", False)] if passing else []
        if True in on:
            parts.append(check(self._name, "enabled", True))
        elif on:
            parts.append(check(self._name, "variant", on))
        return any_of(parts)


def _is_on(value: Any) -> bool:
    """Return whether a value is true to JavaScript, where empty lists are."""
    return bool(value) or isinstance(value, (list, dict))


def _is_running(experiment: dict[str, Any]) -> bool:
    is_active = experiment.get("active") is not False
    return is_active and experiment.get("status") in (None, "running")
