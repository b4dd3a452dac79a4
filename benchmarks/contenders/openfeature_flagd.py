# SPDX-License-Identifier: Apache-2.0
"""openfeature-sdk, with the provider of flagd evaluating a file in the process."""

from __future__ import annotations

import json
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openfeature import api
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType
from openfeature.evaluation_context import EvaluationContext

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workloads import Flag


class Contender:
    """Boolean flags of an OpenFeature client."""

    def __init__(self, flags: Iterable[Flag]) -> None:
        # The provider looks at the file again and again, so it stays.
        self._folder = tempfile.TemporaryDirectory()
        path = Path(self._folder.name, "flags.json")
        definitions = {flag.name: _definition(flag) for flag in flags}
        path.write_text(json.dumps({"flags": definitions}))
        provider = FlagdProvider(
            resolver_type=ResolverType.FILE, offline_flag_source_path=str(path)
        )
        domain = uuid.uuid4().hex
        api.set_provider_and_wait(provider, domain)
        client = api.get_client(domain)
        self._value = client.get_boolean_value
        self._text = client.get_string_value
        self._anyone = EvaluationContext("anyone")

    def on_off(self, calls: list[Any]) -> list[Any]:
        value, context = self._value, self._anyone
        return [value(name, False, context) for name in calls]

    missing = on_off

    def checks(self, calls: list[Any]) -> list[Any]:
        value = self._value
        return [
            value(
                name,
                False,
                EvaluationContext("anyone", {"plan": plan, "seats": seats}),
            )
            for name, plan, seats in calls
        ]

    def context(self, **arguments: Any) -> Any:
        return EvaluationContext("anyone", arguments)

    def checks_kept(self, calls: list[Any]) -> list[Any]:
        value = self._value
        return [value(name, False, context) for name, context in calls]

    def member(self, calls: list[Any]) -> list[Any]:
        value = self._value
        return [
            value(name, False, EvaluationContext("anyone", {"region": region}))
            for name, region in calls
        ]

    def new_user(self, calls: list[Any]) -> list[Any]:
        value = self._value
        return [value(name, False, EvaluationContext(user)) for name, user in calls]

    def user(self, user_id: str) -> Any:
        return EvaluationContext(user_id)

    seen_user = checks_kept

    def ruled(self, calls: list[Any]) -> list[Any]:
        value = self._value
        return [
            value(
                name,
                False,
                EvaluationContext(user_id, {"staff": True})
                if staff
                else EvaluationContext(user_id),
            )
            for name, user_id, staff in calls
        ]

    salted = new_user

    def three_rules(self, calls: list[Any]) -> list[Any]:
        value = self._value
        return [
            value(
                name,
                False,
                EvaluationContext(
                    "anyone", {"country": country, "plan": plan, "seats": seats}
                ),
            )
            for name, country, plan, seats in calls
        ]

    def split(self, calls: list[Any]) -> list[Any]:
        text = self._text
        return [text(name, "", EvaluationContext(user)) for name, user in calls]


def _definition(flag: Flag) -> dict[str, Any]:
    variants: dict[str, Any] = {"on": True, "off": False}
    rest: Any = "off"
    if flag.split:
        variants = {name: name for name in flag.split}
        rest = _fractional(flag.split)
    elif flag.share is not None:
        rest = _fractional({"on": flag.share, "off": 1 - flag.share})
    definition: dict[str, Any] = {
        "state": "ENABLED" if flag.on else "DISABLED",
        "variants": variants,
        "defaultVariant": next(iter(variants)),
    }
    if flag.rules:
        branches: list[Any] = []
        for rule in flag.rules:
            checks = [{o: [{"var": v}, value]} for v, o, value in rule]
            branches += [{"and": checks}, "on"]
        definition["targeting"] = {"if": [*branches, rest]}
    elif rest != "off":
        definition["targeting"] = rest
    return definition


def _fractional(shares: dict[str, float]) -> dict[str, Any]:
    parts = [[name, round(share * 100)] for name, share in shares.items()]
    key = {"cat": [{"var": "$flagd.flagKey"}, {"var": "targetingKey"}]}
    return {"fractional": [key, *parts]}
