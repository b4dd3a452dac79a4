# SPDX-License-Identifier: Apache-2.0
"""Says for whom a change of a flag changes the answer, as far as that can be told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..bucketing import (
    ConsistentHashPercentageBucketer,
    NoOpBucketer,
    PercentageBucketer,
)
from .condition_text import format_condition
from .describe import describe_audience, describe_bucketer, state_word
from .rules_text import rule_changes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..contrib.storage import FeatureFlagStoreItem
    from ..rules.rules import Rules
    from .changes import Change


def blast_radius(change: Change) -> list[str]:
    """Return sentences on who is affected; none if no answer changes."""
    before, after = change.before, change.after
    if _audience(before) == _audience(after) and "partly" not in {
        _state(before),
        _state(after),
    }:
        if before is None or after is None:
            return []
        if _state(after) == "off":
            return list(_when_enabled(before, after))
        return list(_variants(before, after))
    if _state(before) == _state(after) == "partly":
        return list(_rules(before, after))  # type: ignore[arg-type]  # both are flags
    removed = _rules_of(before) is not None and _rules_of(after) is None
    label = "rules removed: " if removed and after is not None else ""
    return [f"{label}{_audience(before)} -> {_audience(after)}"]


def _rules_of(item: FeatureFlagStoreItem | None) -> Rules | None:
    return None if item is None else item.rules


def _state(item: FeatureFlagStoreItem | None) -> str:
    return "off" if item is None else state_word(item)


def _audience(item: FeatureFlagStoreItem | None) -> str:
    state = _state(item)
    if item is None or state != "partly":
        return f"{state} for everybody"
    return f"on for {describe_audience(item)}"


def _when_enabled(
    before: FeatureFlagStoreItem, after: FeatureFlagStoreItem
) -> Iterator[str]:
    old, new = describe_audience(before), describe_audience(after)
    if before.rules is not None and after.rules is not None:
        changes = list(_rules(before, after))
    else:
        changes = [f"{old} -> {new}"] if old != new else []
    for each in changes:
        yield f"off for everybody; if enabled: {each}"


def _variants(
    before: FeatureFlagStoreItem, after: FeatureFlagStoreItem
) -> Iterator[str]:
    """Yield what is served differently by flags that are on for everybody."""
    if before.rules is not None and after.rules is not None:
        yield from rule_changes(before.rules, after.rules)
    elif before.rules is not None or after.rules is not None:
        old, new = describe_audience(before), describe_audience(after)
        if old != new:
            yield f"on for everybody; {old} -> {new}"


def _rules(before: FeatureFlagStoreItem, after: FeatureFlagStoreItem) -> Iterator[str]:
    """Yield what changes between two flags that are both on for some."""
    old, new = before.raw_meta, after.raw_meta
    had = [format_condition(each) for each in old.conditions]
    has = [format_condition(each) for each in new.conditions]
    added = [each for each in has if each not in had]
    removed = [each for each in had if each not in has]
    if len(added) == len(removed) == 1:
        yield f"condition {removed[0]} -> {added[0]}"
    else:
        for each in added:
            yield f"now needs {each}; who does not meet it is excluded"
        for each in removed:
            yield f"no longer needs {each}"
    if old.rules is not None and new.rules is not None:
        yield from rule_changes(old.rules, new.rules)
        return
    first, last = describe_bucketer(old.bucketer), describe_bucketer(new.bucketer)
    if old.bucketer.to_dict() == new.bucketer.to_dict():
        return
    yield f"{first} -> {last}"
    if old.rules is not None or new.rules is not None:
        return
    if _names(old.bucketer) != _names(new.bucketer):
        yield "other users than before are in, because other arguments are hashed"


def _names(bucketer: Any) -> Any:
    """Return the arguments that choose who is in; `None` for nobody or everybody."""
    if isinstance(bucketer, ConsistentHashPercentageBucketer):
        return sorted(bucketer.key_whitelist)
    if isinstance(bucketer, (NoOpBucketer, PercentageBucketer)):
        return None
    return bucketer.to_dict()
