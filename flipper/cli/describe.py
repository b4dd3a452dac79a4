# SPDX-License-Identifier: Apache-2.0
"""Describes in words whom a flag is on for, and by what."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from ..bucketing import (
    ConsistentHashPercentageBucketer,
    LinearRampPercentage,
    NoOpBucketer,
    Percentage,
    PercentageBucketer,
    Schedule,
)
from .condition_text import format_condition
from .percentages import format_duration, format_share

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
    if isinstance(meta.bucketer, NoOpBucketer):
        return " and ".join(parts) or "everybody"
    rest = describe_bucketer(meta.bucketer)
    return f"{' and '.join(parts)}; without these arguments: {rest}" if parts else rest


def describe_bucketer(bucketer: Any) -> str:
    """Return which share of the calls a bucketer lets in."""
    if isinstance(bucketer, NoOpBucketer):
        return "everybody"
    if not isinstance(bucketer, PercentageBucketer):
        return f"{type(bucketer).__name__} {bucketer.to_dict()}"
    share = _describe_percentage(bucketer.own_percentage)
    if not isinstance(bucketer, ConsistentHashPercentageBucketer):
        return f"{share} of calls, at random"
    names = bucketer.key_whitelist
    return f"{share} by {', '.join(names) if names else 'all arguments'}"


def _describe_percentage(percentage: Any) -> str:
    if isinstance(percentage, Schedule):
        steps = [
            f"{_describe_share(share)} from {format_time(when)}"
            for when, share in percentage.entries
        ]
        return f"{format_share(percentage.value)} now ({', '.join(steps)})"
    if not isinstance(percentage, LinearRampPercentage):
        return format_share(percentage.value)
    first, last = percentage.initial_value, percentage.final_value
    return (
        f"{format_share(percentage.value)} now ({format_share(first)} to "
        f"{format_share(last)} in {format_duration(percentage.ramp_duration)} from "
        f"{format_time(percentage.initial_time)})"
    )


def _describe_share(share: Any) -> str:
    """Return the share of an entry of a schedule."""
    is_number = isinstance(share, (int, float))
    return format_share(share) if is_number else _describe_percentage(share)


def format_time(seconds: Any) -> str:
    """Return a time since the epoch as a date in UTC."""
    try:
        moment = datetime.fromtimestamp(seconds, timezone.utc)
    except (TypeError, ValueError, OverflowError, OSError):
        return repr(seconds)
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def plain_flag(item: FeatureFlagStoreItem) -> dict[str, Any]:
    """Return a flag as plain data, as `--json` prints it."""
    return {**item.to_dict(), "audience": describe_audience(item)}
