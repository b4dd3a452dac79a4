# SPDX-License-Identifier: Apache-2.0
"""growthbook: features handed over, to one object that is told who asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from growthbook import GrowthBook

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workloads import Flag

_OPERATORS = {"==": "$eq", ">": "$gt", "in": "$in"}


class Contender:
    """Features of a `GrowthBook`."""

    def __init__(self, flags: Iterable[Flag]) -> None:
        features = {flag.name: _feature(flag) for flag in flags}
        growthbook = GrowthBook(features=features)
        self._is_on = growthbook.is_on
        self._value = growthbook.get_feature_value
        self._set = growthbook.set_attributes  # returns None

    def on_off(self, calls: list[Any]) -> list[Any]:
        is_on = self._is_on
        return [is_on(name) for name in calls]

    missing = on_off

    def checks(self, calls: list[Any]) -> list[Any]:
        is_on, set_attributes = self._is_on, self._set
        return [
            set_attributes({"plan": plan, "seats": seats}) or is_on(name)
            for name, plan, seats in calls
        ]

    def context(self, **arguments: Any) -> Any:
        return arguments

    def checks_kept(self, calls: list[Any]) -> list[Any]:
        is_on, set_attributes = self._is_on, self._set
        return [set_attributes(attributes) or is_on(name) for name, attributes in calls]

    def member(self, calls: list[Any]) -> list[Any]:
        is_on, set_attributes = self._is_on, self._set
        return [
            set_attributes({"region": region}) or is_on(name) for name, region in calls
        ]

    def new_user(self, calls: list[Any]) -> list[Any]:
        is_on, set_attributes = self._is_on, self._set
        return [
            set_attributes({"user_id": user_id}) or is_on(name)
            for name, user_id in calls
        ]

    user = context
    seen_user = checks_kept

    def ruled(self, calls: list[Any]) -> list[Any]:
        is_on, set_attributes = self._is_on, self._set
        return [
            set_attributes(
                {"user_id": user_id, "staff": True} if staff else {"user_id": user_id}
            )
            or is_on(name)
            for name, user_id, staff in calls
        ]

    salted = new_user

    def three_rules(self, calls: list[Any]) -> list[Any]:
        is_on, set_attributes = self._is_on, self._set
        return [
            set_attributes({"country": country, "plan": plan, "seats": seats})
            or is_on(name)
            for name, country, plan, seats in calls
        ]

    def split(self, calls: list[Any]) -> list[Any]:
        value, set_attributes = self._value, self._set
        return [
            set_attributes({"user_id": user_id}) or value(name, None)
            for name, user_id in calls
        ]


def _feature(flag: Flag) -> dict[str, Any]:
    if not flag.rules and flag.share is None and not flag.split:
        return {"defaultValue": flag.on}
    rules: list[dict[str, Any]] = []
    for checks in flag.rules:
        condition = {v: {_OPERATORS[o]: value} for v, o, value in checks}
        rules.append({"condition": condition, "force": True})
    if flag.share is not None:
        rules.append(
            {"coverage": flag.share, "hashAttribute": "user_id", "force": True}
        )
    if flag.split:
        weights = {"variations": [*flag.split], "weights": [*flag.split.values()]}
        rules.append({**weights, "hashAttribute": "user_id"})
    return {"defaultValue": False, "rules": rules}
