# SPDX-License-Identifier: Apache-2.0
"""flipper-client: this library or the published one, whichever is installed."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from workloads import CONDITIONS, PLAN

from flipper import (
    CachedFeatureFlagStore,
    Condition,
    FeatureFlagClient,
    MemoryFeatureFlagStore,
)
from flipper.bucketing import ConsistentHashPercentageBucketer, Percentage
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta

try:
    from flipper import SyncedFeatureFlagStore
except ImportError:  # the published library has none
    SyncedFeatureFlagStore = None
try:
    from flipper.rules import Rollout, Rule, Rules, Split
except ImportError:  # nor has it rules
    Rules = None

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workloads import Flag

_SUFFIXES = {"==": "", ">": "__gt", "in": "__in"}


def document(flag: Flag) -> bytes:
    """Return what a store keeps of a flag."""
    meta = FeatureFlagStoreMeta(1_700_000_000)
    return FeatureFlagStoreItem(flag.name, flag.on, meta).serialize()


class Contender:
    """Flags in the memory store."""

    exact = True

    def __init__(self, flags: Iterable[Flag]) -> None:
        self._store = MemoryFeatureFlagStore()
        self._features = FeatureFlagClient(self._store)
        self._added = Condition(plan=PLAN, seats__gt=5)
        for flag in flags:
            self._features.create(flag.name, is_enabled=flag.on)
            if flag.split or flag.salted or flag.rules[1:]:
                self._features.set_rules(flag.name, _rules(flag))
                continue
            for checks in flag.rules:
                self._features.add_condition(flag.name, _condition(checks))
            if flag.share is not None:
                self._features.set_bucketer(
                    flag.name,
                    ConsistentHashPercentageBucketer(
                        key_whitelist=["user_id"], percentage=Percentage(flag.share)
                    ),
                )

    @functools.cached_property
    def _cached(self) -> FeatureFlagClient:
        return FeatureFlagClient(CachedFeatureFlagStore(self._store))

    def on_off(self, calls: list[Any]) -> list[Any]:
        is_enabled = self._features.is_enabled
        return [is_enabled(name) for name in calls]

    missing = on_off

    def cached(self, calls: list[Any]) -> list[Any]:
        is_enabled = self._cached.is_enabled
        return [is_enabled(name) for name in calls]

    if SyncedFeatureFlagStore is not None:

        @functools.cached_property
        def _synced(self) -> FeatureFlagClient:
            store = SyncedFeatureFlagStore(self._store, poll_interval=3600)
            return FeatureFlagClient(store)

        def synced(self, calls: list[Any]) -> list[Any]:
            is_enabled = self._synced.is_enabled
            return [is_enabled(name) for name in calls]

    def checks(self, calls: list[Any]) -> list[Any]:
        is_enabled = self._features.is_enabled
        return [is_enabled(name, plan=plan, seats=seats) for name, plan, seats in calls]

    def context(self, **arguments: Any) -> Any:
        return arguments

    def checks_kept(self, calls: list[Any]) -> list[Any]:
        is_enabled = self._features.is_enabled
        return [is_enabled(name, **arguments) for name, arguments in calls]

    def member(self, calls: list[Any]) -> list[Any]:
        is_enabled = self._features.is_enabled
        return [is_enabled(name, region=region) for name, region in calls]

    def user(self, user_id: str) -> Any:
        return user_id

    def new_user(self, calls: list[Any]) -> list[Any]:
        is_enabled = self._features.is_enabled
        return [is_enabled(name, user_id=user_id) for name, user_id in calls]

    seen_user = new_user

    def ruled(self, calls: list[Any]) -> list[Any]:
        is_enabled = self._features.is_enabled
        return [
            is_enabled(name, user_id=user_id, staff=True)
            if staff
            else is_enabled(name, user_id=user_id)
            for name, user_id, staff in calls
        ]

    if Rules is not None:
        salted = new_user

        def three_rules(self, calls: list[Any]) -> list[Any]:
            is_enabled = self._features.is_enabled
            return [
                is_enabled(name, country=country, plan=plan, seats=seats)
                for name, country, plan, seats in calls
            ]

        def split(self, calls: list[Any]) -> list[Any]:
            variant = self._features.variant
            return [variant(name, user_id=user_id) for name, user_id in calls]

        def evaluate_all(self, calls: list[Any]) -> list[Any]:
            evaluate_all = self._features.evaluate_all
            return [
                evaluate_all(user_id=user_id, country=country, plan=plan, seats=seats)
                for user_id, country, plan, seats in calls
            ]

    def list_all(self, calls: list[Any]) -> list[Any]:
        features = self._features
        return [list(features.list()) for _ in calls]

    def toggle(self, calls: list[Any]) -> list[Any]:
        enable, disable = self._features.enable, self._features.disable
        return [enable(name) if on else disable(name) for name, on in calls]

    def renew(self, calls: list[Any]) -> None:
        for name in calls:
            conditions = [Condition(plan=PLAN, seats__gt=5) for _ in range(CONDITIONS)]
            self._features.set_conditions(name, conditions)

    def add_condition(self, calls: list[Any]) -> list[Any]:
        add_condition, added = self._features.add_condition, self._added
        return [add_condition(name, added) for name in calls]

    def count_conditions(self, name: str) -> int:
        return len(self._features.get_meta(name)["conditions"])


def _condition(checks: Iterable[tuple[str, str, Any]]) -> Condition:
    return Condition(**{v + _SUFFIXES[o]: value for v, o, value in checks})


def _rules(flag: Flag) -> Any:
    rules = [Rule(_condition(checks)) for checks in flag.rules]
    if flag.split:
        rules.append(Rule(None, Split(flag.split, by="user_id")))
    elif flag.share is not None:
        rules.append(Rule(None, Rollout(flag.share, by="user_id")))
    return Rules(rules)
