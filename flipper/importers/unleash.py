# SPDX-License-Identifier: Apache-2.0
"""Reads the flags of Unleash.

A file is the reply of its client API, which SDKs keep as a backup, or its export. The
fields of the context and its `properties` are the arguments, under the same names.

Source: Unleash's description of strategies, and its client specification.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..exceptions import InvalidArgumentError
from ..rules.rollout import Rollout
from ..rules.rules import Rules
from .expressions import all_of
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
from .unleash_variants import Variants

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..conditions.expression import Expression
    from ..rules.rule import Rule
    from . import ImportedFlag
    from .translation import Problems

_STICKY: Final = ("userId", "sessionId")
_BY_ONE_FIELD: Final = {
    "gradualRolloutUserId": "userId",
    "gradualRolloutSessionId": "sessionId",
}
_BUCKETS: Final = 100


def read_flags(data: Any) -> Iterator[ImportedFlag]:
    """Yield the flags of a reply of the client API, or of an export.

    Raises:
        InvalidArgumentError: the data is something else.
    """
    try:
        file = without_export(data)
        segments = {each["id"]: each for each in file.get("segments") or ()}
        by_name = {each["name"] + "": each for each in file["features"]}
    except (AttributeError, LookupError, TypeError) as error:
        raise InvalidArgumentError(
            f"This is not a file of Unleash, which has a list 'features' "
            f"({type(error).__name__}: {error}); choose another file, or origin",
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
        self.variants = Variants(feature)

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
                    rules.extend(self.variants.rules(holds, strategy))
        made = rules_of(rules, variants=self.variants.values)
        is_plain = made == Rules((), True)
        return feature["enabled"] is True, None if is_plain else made

    def _dependencies(self) -> Iterator[Expression]:
        for dependency in self._feature.get("dependencies") or ():
            name = dependency["feature"]
            parent = self._features.get(name)
            if parent is None or parent.get("dependencies"):
                yield NEVER  # Unleash has no parents of parents
                continue
            other = _Feature(parent, self._features, self._segments)
            for problem in translate(name, other.translated).problems:
                message = f"it depends on {name!r}, of which {problem}"
                raise UntranslatableError(message)
            is_wanted = dependency.get("enabled", True) is not False
            yield check(name, "enabled", is_wanted)
            if is_wanted and dependency.get("variants"):
                yield other.variants.is_served(dependency["variants"])

    def _when(self, strategy: dict[str, Any]) -> Iterator[Expression]:
        """Yield what has to hold for a strategy."""
        for constraint in strategy.get("constraints") or ():
            yield constraint_of(constraint)
        for number in strategy.get("segments") or ():
            # SDKs differ in whether the flag is off then, or only this strategy.
            segment = self._segments.get(number) or {}
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
