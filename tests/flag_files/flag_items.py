# SPDX-License-Identifier: Apache-2.0
"""Random flags of every kind that a store can hold, and a bucketer of a user's own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from flipper.arguments import check_feature_name
from flipper.bucketing import (
    ConsistentHashPercentageBucketer,
    LinearRampPercentage,
    NoOpBucketer,
    PercentageBucketer,
    Schedule,
)
from flipper.bucketing.base import AbstractBucketer
from flipper.conditions import Condition
from flipper.conditions.expression import AllOf, AnyOf, Not
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.exceptions import InvalidArgumentError
from flipper.rules import Rollout, Rule, Rules, Split
from flipper.rules.hashing import HASHES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class WeekdayBucketer(AbstractBucketer):
    """A bucketer as an application registers it; `conftest.py` does so."""

    def __init__(self, days: list[Any]) -> None:
        self.days = days

    def check(self, **kwargs: Any) -> bool:
        """Admit everybody on these days."""
        return kwargs.get("day") in self.days

    @classmethod
    def get_type(cls) -> str:
        """Return its type."""
        return "test.WeekdayBucketer"

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {**super().to_dict(), "days": self.days}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> WeekdayBucketer:
        """Make it from plain data."""
        return cls(list(fields["days"]))


# Whatever has a meaning in one of the formats. Not all characters: for those,
# hypothesis would write a table into a folder.
TEXTS = st.text(
    "ab19 _-.,:;#=[]{}()'\"\\/\n\r\t\0\x7f\x85\u2028éà功🐬\ud800\udc00", max_size=9
)
WORDS = st.sampled_from(
    ["a", "age", "user_id", "国", "a b", "user__age", "a__gt", "", "__"]
)
NUMBERS = (
    st.integers()
    | st.sampled_from([2**70, -(2**63), 10**400])
    | st.floats()
    | st.sampled_from([0.0, -0.0, 5e-324, 1e16, 1e300])
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4)
    ),
    max_leaves=4,
)
CHECKS = st.one_of(
    st.fixed_dictionaries(
        {
            "variable": WORDS | TEXTS,
            "operator": st.sampled_from([None, "ne", "gt", "gte", "lt", "lte"]),
            "value": VALUES,
        }
    ),
    st.fixed_dictionaries(
        {
            "variable": WORDS | TEXTS,
            "operator": st.sampled_from(["in", "not_in"]),
            "value": st.lists(VALUES, max_size=30) | TEXTS,
        }
    ),
    st.fixed_dictionaries(
        {
            "variable": WORDS | TEXTS,
            "operator": st.sampled_from(["startswith", "icontains"]),
            "value": st.lists(TEXTS, max_size=3) | TEXTS,
        }
    ),
    st.fixed_dictionaries(
        {
            "variable": WORDS | TEXTS,
            "operator": st.sampled_from(["any_of", "none_of"]),
            "value": st.lists(VALUES, max_size=3),
        }
    ),
    st.fixed_dictionaries(
        {
            "variable": WORDS | TEXTS,
            "operator": st.just("exists"),
            "value": st.booleans(),
        }
    ),
)
CONDITIONS = st.lists(CHECKS, max_size=4).map(
    lambda checks: Condition.from_dict({"": checks})
)
FRACTIONS = st.sampled_from([0, 1]) | st.floats(0, 1)
TIMES = st.integers(-(10**9), 4 * 10**9) | st.floats(0, 4e9)
RAMPS = st.builds(
    LinearRampPercentage,
    FRACTIONS,
    FRACTIONS,
    st.integers(0, 10**6) | st.floats(0, 10**6),
    TIMES,
)
SCHEDULES = st.builds(
    Schedule,
    st.dictionaries(TIMES, FRACTIONS | RAMPS, min_size=1, max_size=3).map(
        lambda shares: sorted(shares.items(), key=lambda entry: entry[0])
    ),
)
PERCENTAGES = FRACTIONS | RAMPS | SCHEDULES
BUCKETERS = st.one_of(
    st.just(NoOpBucketer()),
    st.builds(PercentageBucketer, PERCENTAGES),
    st.builds(
        ConsistentHashPercentageBucketer,
        key_whitelist=st.lists(WORDS | TEXTS, max_size=3),
        percentage=PERCENTAGES,
    ),
    st.builds(WeekdayBucketer, st.lists(VALUES, max_size=2)),
)
_ARGUMENTS = WORDS.filter(bool)
_BUCKETED = {
    "by": _ARGUMENTS | st.lists(_ARGUMENTS, min_size=1, max_size=3, unique=True),
    "seed": st.none() | TEXTS,
    "hash": st.none() | st.sampled_from([*HASHES, "unleash-variants:7"]),
}
_RANGES = st.lists(st.tuples(FRACTIONS, FRACTIONS).map(sorted), max_size=3)
ROLLOUTS = st.builds(Rollout, PERCENTAGES | _RANGES, **_BUCKETED)
_NAMES = ["blue", "green", "é", "a b", "true"]
_VARIANTS = st.sampled_from(_NAMES)
_SHARES = st.one_of(
    st.dictionaries(_VARIANTS, st.floats(0, 0.2), min_size=1),
    st.dictionaries(
        _VARIANTS, st.just([[0, 0.1]]), min_size=1, max_size=1
    ),  # more ranges would overlap
    st.just({"green": 0.5, "blue": 0.5}),
)
SPLITS = st.builds(Split, _SHARES, **_BUCKETED)
SERVED = st.booleans() | _VARIANTS | ROLLOUTS | SPLITS
EXPRESSIONS = st.recursive(
    CONDITIONS | ROLLOUTS,
    lambda inner: (
        st.builds(Not, inner)
        | st.lists(inner, max_size=3).map(lambda parts: AllOf(*parts))
        | st.lists(inner, max_size=3).map(lambda parts: AnyOf(*parts))
    ),
    max_leaves=4,
)


RULES = st.builds(
    Rules,
    st.lists(
        st.builds(Rule, st.none() | EXPRESSIONS, SERVED, st.none() | TEXTS), max_size=2
    ),
    SERVED,
    # Values for all variants, or for none.
    st.none()
    | VALUES.map(lambda value: dict.fromkeys(_NAMES, value) | {"other": [value]}),
    st.none() | _VARIANTS,
)


def _meta(created_date: Any, data: Any, conditions: Any, decides: Any) -> Any:
    """Return metadata with a bucketer or with rules."""
    has_rules = isinstance(decides, Rules)
    bucketer = None if has_rules else decides
    meta = FeatureFlagStoreMeta(created_date, data, conditions, bucketer)
    meta.set_rules(decides if has_rules else None)
    return meta


METAS = st.builds(
    _meta,
    st.none() | st.integers(0, 2**40) | st.floats(0, 1e12),
    st.dictionaries(TEXTS, VALUES, max_size=4),
    st.lists(CONDITIONS, max_size=3),
    BUCKETERS | RULES,
)


def is_name(text: str) -> bool:
    """Return whether a flag can have this name."""
    try:
        check_feature_name(text)
    except InvalidArgumentError:
        return False
    return True


ITEMS = st.lists(
    st.builds(
        FeatureFlagStoreItem,
        TEXTS.filter(is_name),
        st.booleans() | st.sampled_from([None, 0, 1, 0.0, 1.0]),
        METAS,
    ),
    max_size=4,
    unique_by=lambda item: item.feature_name,
)


def documents(items: Iterable[FeatureFlagStoreItem]) -> dict[str, bytes]:
    """Return the stored documents of flags, by name."""
    return {item.feature_name: item.serialize() for item in items}


def inexpressible(item: FeatureFlagStoreItem, format_name: str) -> bool:
    """Return whether a flag has a value that a format does not know."""
    fields = json.loads(item.serialize())
    meta = fields["meta"]
    checks = [
        c for each in meta["conditions"] for checks in each.values() for c in checks
    ]
    own = [
        *(fields["feature_name"], meta["client_data"], meta["bucketer"]),
        *([check["variable"], check["value"]] for check in checks),
    ]
    if format_name == "toml":
        has_no_state = fields["is_enabled"] is None
        return has_no_state or _has(own, _is_foreign_to_toml)
    if format_name == "json":
        return False
    return _has(own, lambda value: isinstance(value, float) and value - value != 0)


def _is_foreign_to_toml(value: Any) -> bool:
    if isinstance(value, str):
        return any("\ud800" <= character <= "\udfff" for character in value)
    return value is None


def _has(value: Any, is_meant: Any) -> bool:
    if isinstance(value, dict):
        return any(_has(part, is_meant) for pair in value.items() for part in pair)
    if isinstance(value, list):
        return any(_has(entry, is_meant) for entry in value)
    return is_meant(value)
