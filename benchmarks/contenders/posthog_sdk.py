# SPDX-License-Identifier: Apache-2.0
"""posthog: local evaluation of definitions handed over, nothing sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from posthog import Posthog

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workloads import Flag

_OPERATORS = {"==": "exact", ">": "gt", "in": "exact"}


class Contender:
    """Flags of a `Posthog`; the user is a distinct id, the rest person properties."""

    def __init__(self, flags: Iterable[Flag]) -> None:
        posthog = Posthog(
            "phc_benchmark",
            host="http://127.0.0.1:9",
            send=False,
            enable_local_evaluation=False,  # by polling
        )
        posthog.feature_flags = [_definition(i, f) for i, f in enumerate(flags, 1)]
        self._enabled = posthog.feature_enabled
        self._value = posthog.get_feature_flag
        self._all = posthog.get_all_flags

    def on_off(self, calls: list[Any]) -> list[Any]:
        enabled = self._enabled
        return [
            enabled(
                name,
                "anyone",
                only_evaluate_locally=True,
                send_feature_flag_events=False,
            )
            for name in calls
        ]

    missing = on_off

    def checks(self, calls: list[Any]) -> list[Any]:
        enabled = self._enabled
        return [
            enabled(
                name,
                "anyone",
                person_properties={"plan": plan, "seats": seats},
                only_evaluate_locally=True,
                send_feature_flag_events=False,
            )
            for name, plan, seats in calls
        ]

    def context(self, **arguments: Any) -> Any:
        return arguments

    def checks_kept(self, calls: list[Any]) -> list[Any]:
        enabled = self._enabled
        return [
            enabled(
                name,
                "anyone",
                person_properties=properties,
                only_evaluate_locally=True,
                send_feature_flag_events=False,
            )
            for name, properties in calls
        ]

    def member(self, calls: list[Any]) -> list[Any]:
        enabled = self._enabled
        return [
            enabled(
                name,
                "anyone",
                person_properties={"region": region},
                only_evaluate_locally=True,
                send_feature_flag_events=False,
            )
            for name, region in calls
        ]

    def user(self, user_id: str) -> Any:
        return user_id

    def new_user(self, calls: list[Any]) -> list[Any]:
        enabled = self._enabled
        return [
            enabled(
                name,
                user_id,
                only_evaluate_locally=True,
                send_feature_flag_events=False,
            )
            for name, user_id in calls
        ]

    seen_user = new_user

    def ruled(self, calls: list[Any]) -> list[Any]:
        enabled = self._enabled
        return [
            enabled(
                name,
                user_id,
                person_properties={"staff": True} if staff else {"staff": None},
                only_evaluate_locally=True,
                send_feature_flag_events=False,
            )
            for name, user_id, staff in calls
        ]

    salted = new_user

    def three_rules(self, calls: list[Any]) -> list[Any]:
        enabled = self._enabled
        return [
            enabled(
                name,
                "anyone",
                person_properties={"country": country, "plan": plan, "seats": seats},
                only_evaluate_locally=True,
                send_feature_flag_events=False,
            )
            for name, country, plan, seats in calls
        ]

    def split(self, calls: list[Any]) -> list[Any]:
        value = self._value
        return [
            value(
                name,
                user_id,
                only_evaluate_locally=True,
                send_feature_flag_events=False,
            )
            for name, user_id in calls
        ]

    def evaluate_all(self, calls: list[Any]) -> list[Any]:
        evaluate_all = self._all
        return [
            evaluate_all(
                user_id,
                person_properties={"country": country, "plan": plan, "seats": seats},
                only_evaluate_locally=True,
            )
            for user_id, country, plan, seats in calls
        ]


def _definition(number: int, flag: Flag) -> dict[str, Any]:
    groups: list[dict[str, Any]] = []
    for checks in flag.rules:
        properties = [
            {"key": v, "type": "person", "operator": _OPERATORS[o], "value": value}
            for v, o, value in checks
        ]
        groups.append({"properties": properties, "rollout_percentage": 100})
    if flag.share is not None:
        groups.append({"properties": [], "rollout_percentage": flag.share * 100})
    filters: dict[str, Any] = {"groups": groups or [{"properties": []}]}
    if flag.split:
        variants = [
            {"key": name, "rollout_percentage": share * 100}
            for name, share in flag.split.items()
        ]
        filters["multivariate"] = {"variants": variants}
    return {
        "id": number,
        "key": flag.name,
        "active": flag.on,
        "filters": filters,
    }
