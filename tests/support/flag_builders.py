# SPDX-License-Identifier: Apache-2.0
"""Builders of flags, of bucketers, and of conditions as applications write them."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from flipper.bucketing import ConsistentHashPercentageBucketer
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta


def make_item(*conditions: Any, bucketer: Any = None) -> FeatureFlagStoreItem:
    """Return a flag `x` that is on."""
    meta = FeatureFlagStoreMeta(1, conditions=[*conditions], bucketer=bucketer)
    return FeatureFlagStoreItem("x", True, meta)


def consistent(percentage: Any = 0.5) -> ConsistentHashPercentageBucketer:
    """Return a consistent bucketer by `user_id`."""
    return ConsistentHashPercentageBucketer(
        key_whitelist=["user_id"], percentage=percentage
    )


class CustomWeekend:
    """A condition with the methods of `Condition`, but of no subclass of it."""

    checks = MappingProxyType({"day": ()})

    def check(self, **kwargs: Any) -> bool:
        """Return whether the day is on a weekend."""
        return kwargs.get("day") in {"Sat", "Sun"}

    def to_dict(self) -> dict[str, Any]:
        """Return no checks."""
        return {}

    def __repr__(self) -> str:
        return "<Weekend>"
