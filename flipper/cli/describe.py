# SPDX-License-Identifier: Apache-2.0
"""Describes in words whom a flag is on for, and by what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..bucketing import (
    ConsistentHashPercentageBucketer,
    NoOpBucketer,
    Percentage,
    PercentageBucketer,
)
from ..rules.rules_bucketer import RulesBucketer, without_rules
from .condition_text import format_condition
from .percentages import describe_percentage
from .rules_text import describe_rules, serves_everybody

if TYPE_CHECKING:
    from ..contrib.storage import FeatureFlagStoreItem


_BUCKETERS_BY_SHARE: Final = (PercentageBucketer, ConsistentHashPercentageBucketer)


def state_word(item: FeatureFlagStoreItem) -> str:
    """Return "off", "on" for everybody, or "partly"."""
    if not item.raw_is_enabled:
        return "off"
    return "on" if reaches_everybody(item) else "partly"


def reaches_everybody(item: FeatureFlagStoreItem | None) -> bool:
    """Return whether a flag is on for all arguments, also by a share of 100%."""
    if item is None or not item.raw_is_enabled:
        return False
    if item.answer is True:
        return True
    meta = item.raw_meta
    if meta.rules is not None:
        return not meta.conditions and serves_everybody(meta.rules)
    return (
        not meta.conditions
        and type(meta.bucketer) in _BUCKETERS_BY_SHARE
        and type(meta.bucketer.own_percentage) is Percentage
        and meta.bucketer.own_percentage.value == 1
    )


def describe_audience(item: FeatureFlagStoreItem) -> str:
    """Return whom a flag is on for, or would be on for if it were enabled."""
    meta = item.raw_meta
    parts = [format_condition(each) for each in meta.conditions]
    if meta.rules is not None:
        rest = describe_rules(meta.rules)
        return f"{' and '.join(parts)}; of these, {rest}" if parts else rest
    if isinstance(meta.bucketer, NoOpBucketer):
        return " and ".join(parts) or "everybody"
    rest = describe_bucketer(meta.bucketer)
    return f"{' and '.join(parts)}; without these arguments: {rest}" if parts else rest


def describe_bucketer(bucketer: Any) -> str:
    """Return which share of the calls a bucketer lets in, or whom rules are on for."""
    if isinstance(bucketer, RulesBucketer):
        return describe_rules(bucketer.rules)
    if isinstance(bucketer, NoOpBucketer):
        return "everybody"
    if not isinstance(bucketer, PercentageBucketer):
        return f"{type(bucketer).__name__} {bucketer.to_dict()}"
    share = describe_percentage(bucketer.own_percentage)
    if not isinstance(bucketer, ConsistentHashPercentageBucketer):
        return f"{share} of calls, at random"
    names = bucketer.key_whitelist
    return f"{share} by {', '.join(names) if names else 'all arguments'}"


def plain_flag(item: FeatureFlagStoreItem) -> dict[str, Any]:
    """Return a flag as plain data, as `--json` prints it."""
    return {**plain_item(item), "audience": describe_audience(item)}


def plain_item(item: FeatureFlagStoreItem) -> dict[str, Any]:
    """Return a flag as plain data: with its state, and with its rules as such.

    A document has the rules in the client data, and another state.
    """
    plain = item.to_dict()
    rules = item.rules
    if rules is not None:
        plain["is_enabled"] = item.raw_is_enabled
        meta = plain["meta"]
        meta["client_data"] = without_rules(meta["client_data"])
        meta["bucketer"] = NoOpBucketer().to_dict()
        meta["rules"] = rules.to_dict()
    return plain
