# SPDX-License-Identifier: Apache-2.0
"""launchdarkly-server-sdk: flags from a file, as its test data has no percentages."""

from __future__ import annotations

import json
import tempfile
from typing import TYPE_CHECKING, Any

from ldclient import Context, LDClient
from ldclient.config import Config
from ldclient.integrations import Files

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workloads import Flag

_OPERATORS = {"==": "in", ">": "greaterThan", "in": "in"}


class Contender:
    """Flags of an `LDClient` that sends no events."""

    def __init__(self, flags: Iterable[Flag]) -> None:
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({"flags": {flag.name: _definition(flag) for flag in flags}}, file)
            file.flush()
            config = Config(
                "sdk-benchmark",
                update_processor_class=Files.new_data_source(paths=[file.name]),
                send_events=False,
                diagnostic_opt_out=True,
            )
            self._client = LDClient(config)
        self._anyone = Context.create("anyone")

    def on_off(self, calls: list[Any]) -> list[Any]:
        variation, context = self._client.variation, self._anyone
        return [variation(name, context, False) for name in calls]

    missing = on_off

    def checks(self, calls: list[Any]) -> list[Any]:
        variation, builder = self._client.variation, Context.builder
        return [
            variation(
                name,
                builder("anyone").set("plan", plan).set("seats", seats).build(),
                False,
            )
            for name, plan, seats in calls
        ]

    def context(self, plan: str, seats: int) -> Any:
        return Context.builder("anyone").set("plan", plan).set("seats", seats).build()

    def checks_kept(self, calls: list[Any]) -> list[Any]:
        variation = self._client.variation
        return [variation(name, context, False) for name, context in calls]

    def member(self, calls: list[Any]) -> list[Any]:
        variation, builder = self._client.variation, Context.builder
        return [
            variation(name, builder("anyone").set("region", region).build(), False)
            for name, region in calls
        ]

    def new_user(self, calls: list[Any]) -> list[Any]:
        variation, create = self._client.variation, Context.create
        return [variation(name, create(user_id), False) for name, user_id in calls]

    def user(self, user_id: str) -> Any:
        return Context.create(user_id)

    seen_user = checks_kept

    def ruled(self, calls: list[Any]) -> list[Any]:
        variation = self._client.variation
        create, builder = Context.create, Context.builder
        return [
            variation(
                name,
                builder(user_id).set("staff", True).build()
                if staff
                else create(user_id),
                False,
            )
            for name, user_id, staff in calls
        ]

    salted = new_user

    def three_rules(self, calls: list[Any]) -> list[Any]:
        variation, builder = self._client.variation, Context.builder
        return [
            variation(
                name,
                builder("anyone")
                .set("country", country)
                .set("plan", plan)
                .set("seats", seats)
                .build(),
                False,
            )
            for name, country, plan, seats in calls
        ]

    def split(self, calls: list[Any]) -> list[Any]:
        variation, create = self._client.variation, Context.create
        return [variation(name, create(user_id), None) for name, user_id in calls]

    def evaluate_all(self, calls: list[Any]) -> list[Any]:
        state, builder = self._client.all_flags_state, Context.builder
        return [
            state(
                builder(user_id)
                .set("country", country)
                .set("plan", plan)
                .set("seats", seats)
                .build()
            ).to_values_map()
            for user_id, country, plan, seats in calls
        ]


def _definition(flag: Flag) -> dict[str, Any]:
    rest: dict[str, Any] = {"variation": 0 if flag.rules else 1}
    values: list[Any] = [False, True]
    if flag.split:
        values = [*flag.split]
        rest = _rollout([*flag.split.values()])
    elif flag.share is not None:
        rest = _rollout([1 - flag.share, flag.share])
    return {
        "key": flag.name,
        "version": 1,
        "on": flag.on,
        "variations": values,
        "offVariation": 0,
        "rules": [
            {"id": f"rule {i}", "variation": 1, "clauses": [*map(_clause, checks)]}
            for i, checks in enumerate(flag.rules)
        ],
        "fallthrough": rest,
        "salt": flag.name,
    }


def _clause(check: tuple[str, str, Any]) -> dict[str, Any]:
    variable, operator, value = check
    return {
        "attribute": variable,
        "op": _OPERATORS[operator],
        "values": value if operator == "in" else [value],
    }


def _rollout(shares: list[float]) -> dict[str, Any]:
    variations = [
        {"variation": i, "weight": round(share * 100_000)}
        for i, share in enumerate(shares)
    ]
    return {"rollout": {"contextKind": "user", "variations": variations}}
