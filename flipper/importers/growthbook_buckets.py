# SPDX-License-Identifier: Apache-2.0
"""Translates how GrowthBook shares users out: coverage, ranges, filters, namespaces.

Source: GrowthBook's description of its SDKs. A value that is false to JavaScript counts
as missing. The fallback attribute counts if the first one is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..rules.hashing import find_hash
from ..rules.rollout import Rollout
from ..rules.shares import width_of
from ..rules.split import Split
from .expressions import all_of, any_of, negated
from .growthbook_ranges import variation_ranges
from .translation import ALWAYS, NEVER, check

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..conditions.expression import Expression

    Pairs = list[tuple[float, float]]

_HASHES: Final = {1: "growthbook-v1", 2: "growthbook"}


def included(rule: dict[str, Any], feature_name: str) -> Expression:
    """Return whether a rule that forces a value includes a user."""
    own_range, coverage = rule.get("range"), rule.get("coverage")
    own_hash = _HASHES.get(rule.get("hashVersion") or 1)
    if own_range is None and coverage is None:
        return ALWAYS
    if own_hash is None or (own_range is None and coverage == 0):
        return NEVER
    ranges = _clipped([own_range or (0, _up_to(coverage or 0, own_hash))])
    seed = rule.get("seed") or feature_name
    return any_of(
        [
            all_of([guard, Rollout(ranges, by, seed, own_hash)])
            for guard, by in _attributes(rule)
        ]
    )


def unfiltered(filters: Iterable[dict[str, Any]]) -> Expression:
    """Return whether a user passes all filters."""
    parts: list[Expression] = []
    for each in filters:
        by = each.get("attribute") or "id"
        own_hash = _HASHES.get(each.get("hashVersion") or 2)
        if own_hash is None:
            return NEVER
        rollout = Rollout(_clipped(each["ranges"]), by, each["seed"], own_hash)
        parts += [_has_value(by), rollout]
    return all_of(parts)


class Buckets:
    """The buckets of the variations of an experiment.

    Args:
        experiment: the experiment, or a rule that is one.
        key: its key, which is the seed if it has none.
    """

    def __init__(self, experiment: dict[str, Any], key: str) -> None:
        self._experiment = experiment
        self._seed = experiment.get("seed") or key

    def splits(
        self, names: list[bool | str]
    ) -> Iterator[tuple[Expression, bool | Split]]:
        """Yield who has variations, and what these are served.

        Args:
            names: what is served for each variation; `False` for one without a value.
        """
        experiment = self._experiment
        own_hash = _HASHES.get(experiment.get("hashVersion") or 1)
        if own_hash is None:
            return
        shares: dict[str, Pairs] = {}
        covered: Pairs = []
        for name, own, meta in zip(names, self._ranges(), self._meta(), strict=False):
            if meta.get("passthrough"):  # the next rule decides for these users
                continue
            covered += own
            if isinstance(name, str):
                shares.setdefault(name, []).extend(own)
        for guard, by in _attributes(experiment) if covered else ():
            parts = [guard, self._namespace(by)]
            if width_of(tuple(covered)) < 1:
                parts.append(Rollout(covered, by, self._seed, own_hash))
            split = Split(shares, by, self._seed, own_hash) if shares else False
            yield all_of(parts), split

    def _ranges(self) -> list[Pairs]:
        """Return the ranges of the variations; the first range of a bucket counts."""
        experiment = self._experiment
        coverage = experiment.get("coverage")
        ranges = experiment.get("ranges") or variation_ranges(
            len(experiment["variations"]),
            1.0 if coverage is None else coverage,
            experiment.get("weights"),
        )
        taken: Pairs = []
        found = []
        for pair in ranges:
            own = _without(_clipped([pair]), taken)
            found.append(own)
            taken += own
        return found

    def _meta(self) -> list[dict[str, Any]]:
        count = len(self._experiment["variations"])
        meta = self._experiment.get("meta") or []
        return [each or {} for each in [*meta, *([None] * count)]]

    def _namespace(self, by: str) -> Expression:
        namespace = self._experiment.get("namespace")
        if not namespace or self._experiment.get("filters"):
            return ALWAYS
        name, start, end = namespace
        return Rollout(_clipped([(start, end)]), by, f"__{name}", _HASHES[1])


def _attributes(rule: dict[str, Any]) -> Iterator[tuple[Expression, str]]:
    """Yield the attributes whose values are hashed, and for whom each one counts."""
    first, second = rule.get("hashAttribute") or "id", rule.get("fallbackAttribute")
    yield _has_value(first), first
    if second and second != first and not rule.get("disableStickyBucketing"):
        yield all_of([negated(_has_value(first)), _has_value(second)]), second


def _has_value(name: str) -> Expression:
    return check(name, "not_in", [None, "", 0])


def _up_to(coverage: float, own_hash: str) -> float:
    """Return the end of a share that includes the bucket at its end."""
    buckets = find_hash(own_hash).buckets
    count = find_hash(own_hash).count_up_to(min(coverage, 1))
    return min(count + (count / buckets <= coverage), buckets) / buckets


def _clipped(ranges: Iterable[Any]) -> Pairs:
    """Return the parts of ranges that are between 0 and 1."""
    pairs = [(max(start, 0), min(end, 1)) for start, end in ranges]
    return [(start, end) for start, end in pairs if start < end]


def _without(ranges: Pairs, taken: Pairs) -> Pairs:
    """Return ranges without the parts that are taken."""
    for first, last in taken:
        parts = [
            part
            for start, end in ranges
            for part in ((start, min(end, first)), (max(start, last), end))
        ]
        ranges = [(start, end) for start, end in parts if start < end]
    return ranges
