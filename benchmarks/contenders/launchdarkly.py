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


def _definition(flag: Flag) -> dict[str, Any]:
    clauses = [
        {
            "attribute": variable,
            "op": _OPERATORS[operator],
            "values": value if operator == "in" else [value],
        }
        for variable, operator, value in flag.checks
    ]
    rest: dict[str, Any] = {"variation": 0 if clauses else 1}
    if flag.share is not None:
        weight = round(flag.share * 100_000)
        variations = [
            {"variation": 1, "weight": weight},
            {"variation": 0, "weight": 100_000 - weight},
        ]
        rest = {"rollout": {"contextKind": "user", "variations": variations}}
    return {
        "key": flag.name,
        "version": 1,
        "on": flag.on,
        "variations": [False, True],
        "offVariation": 0,
        "rules": [{"id": "rule", "variation": 1, "clauses": clauses}] * bool(clauses),
        "fallthrough": rest,
        "salt": flag.name,
    }
