# SPDX-License-Identifier: Apache-2.0
"""Reads the features of GrowthBook, and its experiments.

A file is the payload that SDKs get. The attributes are the arguments, under the same
names. A feature is on if its value is true to JavaScript.

Source: GrowthBook's description of its SDKs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..exceptions import InvalidArgumentError
from ..rules.rule import Rule
from .expressions import all_of, holds, negated, when
from .growthbook_buckets import Buckets, included, unfiltered
from .growthbook_conditions import expression_of
from .growthbook_values import Values
from .translation import ALWAYS, NEVER, UntranslatableError, rules_of, translate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..conditions.expression import Expression
    from ..rules.rules import Rules
    from ..rules.split import Split
    from . import ImportedFlag
    from .translation import Problems

_TARGETING: Final = {"condition", "parentConditions", "filters", "namespace"}
_BUCKETING: Final = {
    *(
        "hashAttribute",
        "fallbackAttribute",
        "hashVersion",
        "seed",
        "disableStickyBucketing",
    ),
    *("coverage", "range", "ranges", "weights", "bucketVersion", "minBucketVersion"),
}
_VALUES: Final = {
    *("force", "variations", "meta", "active", "status"),
    "forcedVariation",  # not of GrowthBook; see `_feature_of`
}
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
            key = each["key"] + ""
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
    file = _File(definitions, groups, {})
    for name in definitions:
        yield translate(name, _Feature(name, file, ()).translated)


def _feature_of(experiment: dict[str, Any]) -> dict[str, Any]:
    """Return a feature that has the first variation outside of an experiment."""
    rule = {**experiment}
    if "force" in rule:  # the number of a variation, and no value as in features
        rule["forcedVariation"] = rule.pop("force")
    variations = rule.get("variations")
    control = variations[0] if isinstance(variations, list) and variations else None
    return {"defaultValue": control, "rules": [rule]}


class _File(NamedTuple):
    """What a file has, and which features are translated already, for others."""

    features: dict[str, Any]
    groups: dict[str, Any]
    known: dict[str, tuple[_Feature, tuple[str, ...]]]


class _Feature:
    """One feature of the file."""

    def __init__(self, name: str, file: _File, children: tuple[str, ...]) -> None:
        self._name = name
        self._file = file
        self._path = (*children, name)
        self._definition = file.features[name]

    def translated(self, problems: Problems) -> tuple[bool, Rules | None]:
        """Return whether the feature is enabled, and its rules."""
        self.values = values = Values(self._definition)
        made: list[Rule] = []
        for number, rule in enumerate(self._definition.get("rules") or (), 1):
            with problems.collected(f"rule {number}"):
                made.extend(self._translated(rule))
        last = values.served(self._definition.get("defaultValue"))
        if not made and values.is_plain:
            return bool(last), None
        made.append(Rule(None, last))
        return True, rules_of(made, variants=values.variants, off=values.off)

    def _translated(self, rule: dict[str, Any]) -> Iterator[Rule]:
        _check_settings(rule)
        title = rule.get("name") or rule.get("key") or rule.get("id")
        parts: list[Expression] = []
        for parent in rule.get("parentConditions") or ():
            passes = self._parent(parent)
            if parent.get("gate"):
                blocked = all_of([*parts, negated(passes)])
                if blocked is not NEVER:
                    yield Rule(when(blocked), self.values.served(None), title)
            parts.append(passes)
        if rule.get("condition"):
            parts.append(expression_of(rule["condition"], self._file.groups))
        parts.append(unfiltered(rule.get("filters") or ()))
        if "force" in rule:
            holding = all_of([*parts, included(rule, self._name)])
            if holding is not NEVER:
                yield Rule(when(holding), self.values.served(rule["force"]), title)
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
        names = [self.values.served(each) for each in variations]
        buckets = Buckets(rule, rule.get("key") or self._name)
        for guard, split in buckets.splits(names):
            yield guard, split if forced is None else names[forced]

    def _parent(self, parent: dict[str, Any]) -> Expression:
        """Return whether the value of another feature passes a condition."""
        name, condition = (
            parent["id"],
            expression_of(parent["condition"], self._file.groups),
        )
        if name in self._path:
            circle = [*self._path[self._path.index(name) :], name]
            message = f"it depends on itself: {' -> '.join(circle)}"
            raise UntranslatableError(message)
        if name not in self._file.features:
            return ALWAYS if holds(condition, value=None) else NEVER
        if name not in self._file.known:
            made = _Feature(name, self._file, self._path)
            problems = translate(name, made.translated).problems
            self._file.known[name] = made, problems
        other, problems = self._file.known[name]
        for problem in problems:
            message = f"it depends on {name!r}, of which {problem}"
            raise UntranslatableError(message)
        values = other.values
        passing = [each for each in values.all if holds(condition, value=each)]
        if len(passing) in (0, len(values.all)):
            return ALWAYS if passing else NEVER
        return values.are_served(name, passing)


def _check_settings(rule: dict[str, Any]) -> None:
    unknown = sorted(rule.keys() - _KNOWN)
    if unknown:
        message = f"its setting {unknown[0]!r} is unknown here"
        raise UntranslatableError(message)
    if rule.get("minBucketVersion"):
        message = "it leaves out users whose stored sticky bucket is older"
        raise UntranslatableError(message)


def _is_running(experiment: dict[str, Any]) -> bool:
    is_active = experiment.get("active") is not False
    return is_active and experiment.get("status") in (None, "running")
