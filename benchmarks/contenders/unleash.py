# SPDX-License-Identifier: Apache-2.0
"""UnleashClient: toggles from a bootstrap, nothing fetched and nothing reported."""

from __future__ import annotations

import tempfile
import uuid
from typing import TYPE_CHECKING, Any

from UnleashClient import UnleashClient
from UnleashClient.cache import FileCache

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workloads import Flag

_OPERATORS = {"==": "IN", ">": "NUM_GT", "in": "IN"}


class Contender:
    """Toggles of an `UnleashClient`; its contexts are dicts of text."""

    keeps_in = "native memory"

    def __init__(self, flags: Iterable[Flag]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            cache = FileCache(uuid.uuid4().hex, directory=folder)
            cache.bootstrap_from_dict(
                {"version": 2, "features": [_toggle(flag) for flag in flags]}
            )
            client = UnleashClient(
                url="http://127.0.0.1:9/api",
                app_name="benchmark",
                disable_metrics=True,
                disable_registration=True,
                refresh_interval=10**9,
                cache=cache,
            )
            client.initialize_client(fetch_toggles=False)
        self._is_enabled = client.is_enabled
        self._variant = client.get_variant
        self._anyone = {"userId": "anyone"}

    def on_off(self, calls: list[Any]) -> list[Any]:
        is_enabled, context = self._is_enabled, self._anyone
        return [is_enabled(name, context) for name in calls]

    missing = on_off

    def checks(self, calls: list[Any]) -> list[Any]:
        is_enabled = self._is_enabled
        return [
            is_enabled(name, {"properties": {"plan": plan, "seats": str(seats)}})
            for name, plan, seats in calls
        ]

    def context(self, plan: str, seats: int) -> Any:
        return {"properties": {"plan": plan, "seats": str(seats)}}

    def checks_kept(self, calls: list[Any]) -> list[Any]:
        is_enabled = self._is_enabled
        return [is_enabled(name, context) for name, context in calls]

    def member(self, calls: list[Any]) -> list[Any]:
        is_enabled = self._is_enabled
        return [
            is_enabled(name, {"properties": {"region": region}})
            for name, region in calls
        ]

    def new_user(self, calls: list[Any]) -> list[Any]:
        is_enabled = self._is_enabled
        return [is_enabled(name, {"userId": user_id}) for name, user_id in calls]

    def user(self, user_id: str) -> Any:
        return {"userId": user_id}

    seen_user = checks_kept

    def ruled(self, calls: list[Any]) -> list[Any]:
        is_enabled = self._is_enabled
        return [
            is_enabled(
                name,
                {"userId": user_id, "properties": {"staff": "true"}}
                if staff
                else {"userId": user_id},
            )
            for name, user_id, staff in calls
        ]

    salted = new_user

    def three_rules(self, calls: list[Any]) -> list[Any]:
        is_enabled = self._is_enabled
        return [
            is_enabled(
                name,
                {"properties": {"country": country, "plan": plan, "seats": str(seats)}},
            )
            for name, country, plan, seats in calls
        ]

    def split(self, calls: list[Any]) -> list[Any]:
        variant = self._variant
        return [variant(name, {"userId": user})["name"] for name, user in calls]


def _toggle(flag: Flag) -> dict[str, Any]:
    strategies: list[dict[str, Any]] = []
    for checks in flag.rules:
        constraints = [_constraint(*check) for check in checks]
        strategies.append({"name": "default", "constraints": constraints})
    if flag.share is not None:
        parameters = {
            "rollout": str(round(flag.share * 100)),
            "stickiness": "userId",
            "groupId": flag.name,
        }
        strategies.append({"name": "flexibleRollout", "parameters": parameters})
    return {
        "name": flag.name,
        "enabled": flag.on,
        "strategies": strategies or [{"name": "default"}],
        "variants": [
            {"name": name, "weight": round(share * 1000), "stickiness": "userId"}
            for name, share in (flag.split or {}).items()
        ],
    }


def _constraint(variable: str, operator: str, value: Any) -> dict[str, Any]:
    constraint = {"contextName": variable, "operator": _OPERATORS[operator]}
    if operator == ">":
        return {**constraint, "value": str(value)}
    values = value if operator == "in" else [value]
    return {**constraint, "values": [_text(each) for each in values]}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
