# SPDX-License-Identifier: Apache-2.0
"""statsig-python-core: specs from a data store, without network, events or files."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from statsig_python_core import (
    DataStore,
    DataStoreResponse,
    FeatureGateEvaluationOptions,
    Statsig,
    StatsigOptions,
    StatsigUser,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workloads import Flag

_EVERYONE = {
    "type": "public",
    "targetValue": None,
    "operator": None,
    "field": None,
    "additionalValues": {},
    "isDeviceBased": False,
    "idType": "userID",
}
_OPERATORS = {"==": "any_case_sensitive", ">": "gt", "in": "any_case_sensitive"}


class Contender:
    """Gates of a `Statsig` in local mode."""

    keeps_in = "native memory"

    def __init__(self, flags: Iterable[Flag]) -> None:
        store = _Specs()
        store.specs = json.dumps(_specs(flags))
        options = StatsigOptions(
            data_store=store,
            disable_network=True,
            disable_all_logging=True,
            disable_disk_access=True,
            disable_country_lookup=True,
            enable_id_lists=False,
            output_log_level="none",
        )
        self._statsig = Statsig("secret-benchmark", options)
        self._statsig.initialize().wait()
        self._quiet = FeatureGateEvaluationOptions(disable_exposure_logging=True)
        self._anyone = StatsigUser(user_id="anyone")

    def on_off(self, calls: list[Any]) -> list[Any]:
        check, user, quiet = self._statsig.check_gate, self._anyone, self._quiet
        return [check(user, name, quiet) for name in calls]

    missing = on_off

    def checks(self, calls: list[Any]) -> list[Any]:
        check, quiet = self._statsig.check_gate, self._quiet
        return [
            check(
                StatsigUser("anyone", custom={"plan": plan, "seats": seats}),
                name,
                quiet,
            )
            for name, plan, seats in calls
        ]

    def context(self, **arguments: Any) -> Any:
        return StatsigUser("anyone", custom=arguments)

    def checks_kept(self, calls: list[Any]) -> list[Any]:
        check, quiet = self._statsig.check_gate, self._quiet
        return [check(user, name, quiet) for name, user in calls]

    def member(self, calls: list[Any]) -> list[Any]:
        check, quiet = self._statsig.check_gate, self._quiet
        return [
            check(StatsigUser("anyone", custom={"region": region}), name, quiet)
            for name, region in calls
        ]

    def new_user(self, calls: list[Any]) -> list[Any]:
        check, quiet = self._statsig.check_gate, self._quiet
        return [check(StatsigUser(user_id), name, quiet) for name, user_id in calls]

    def user(self, user_id: str) -> Any:
        return StatsigUser(user_id)

    seen_user = checks_kept

    def ruled(self, calls: list[Any]) -> list[Any]:
        check, quiet = self._statsig.check_gate, self._quiet
        return [
            check(
                StatsigUser(user_id, custom={"staff": True})
                if staff
                else StatsigUser(user_id),
                name,
                quiet,
            )
            for name, user_id, staff in calls
        ]

    salted = new_user

    def three_rules(self, calls: list[Any]) -> list[Any]:
        check, quiet = self._statsig.check_gate, self._quiet
        return [
            check(
                StatsigUser(
                    "anyone", custom={"country": country, "plan": plan, "seats": seats}
                ),
                name,
                quiet,
            )
            for name, country, plan, seats in calls
        ]


class _Specs(DataStore):
    """Gives the specs, as a store beside the application would."""

    specs: str

    def initialize(self) -> None:
        pass

    def shutdown(self) -> None:
        pass

    def get(self, key: str) -> Any:
        return DataStoreResponse(result=self.specs, time=int(time.time() * 1000))

    def set(self, key: str, value: str, time: int | None = None) -> None:
        pass

    def support_polling_updates_for(self, key: str) -> bool:
        return False


def _specs(flags: Iterable[Flag]) -> dict[str, Any]:
    conditions: dict[str, Any] = {"everyone": _EVERYONE}
    gates = {}
    for flag in flags:
        rules = []
        for number, checks in enumerate(flag.rules):
            used = []
            for variable, operator, value in checks:
                key = f"{variable}{operator}{value}"
                conditions[key] = {
                    **_EVERYONE,
                    "type": "user_field",
                    "targetValue": [value] if operator == "==" else value,
                    "operator": _OPERATORS[operator],
                    "field": variable,
                }
                used.append(key)
            rules.append(_rule(f"checks {number}", used, 100))
        if flag.share is not None:
            rules.append(_rule("share", ["everyone"], flag.share * 100))
        elif not rules:
            rules.append(_rule("all", ["everyone"], 100))
        gates[flag.name] = {
            "type": "feature_gate",
            "salt": flag.name,
            "enabled": True,
            "defaultValue": False,
            "rules": rules if flag.on else [],
            "isDeviceBased": False,
            "idType": "userID",
            "entity": "feature_gate",
            "version": 1,
        }
    return {
        "has_updates": True,
        "time": int(time.time() * 1000),
        "feature_gates": gates,
        "dynamic_configs": {},
        "layer_configs": {},
        "layers": {},
        "experiment_to_layer": {},
        "id_lists": {},
        "condition_map": conditions,
        "param_stores": {},
        "sdk_configs": {},
        "sdk_flags": {},
        "app_id": "benchmark",
        "default_environment": None,
        "diagnostics": {},
        "session_replay_info": None,
        "company_id": "benchmark",
        "response_format": "dcs-v2",
    }


def _rule(name: str, conditions: list[str], percentage: float) -> dict[str, Any]:
    return {
        "name": name,
        "id": name,
        "salt": name,
        "passPercentage": percentage,
        "conditions": conditions,
        "returnValue": True,
        "idType": "userID",
    }
