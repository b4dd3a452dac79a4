# SPDX-License-Identifier: Apache-2.0
"""The provider for OpenFeature, and the in-memory provider of its SDK beside it.

Both are asked through the same class of client, and both get an evaluation context.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from contenders.flipper_client import Contender as FlipperClient
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagResolutionDetails, Reason
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider

from flipper.integrations.openfeature import FlipperProvider

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workloads import Flag

_OPERATORS = {"==": operator.eq, ">": operator.gt}


class Contender:
    """Boolean flags in memory, asked through OpenFeature."""

    exact = True

    def __init__(self, flags: Iterable[Flag], address: str) -> None:
        flags = [*flags]
        provider = FlipperProvider(FlipperClient(flags)._features)  # noqa: SLF001
        rival = InMemoryProvider({flag.name: _in_memory(flag) for flag in flags})
        domains = f"{address}-own", f"{address}-bare"
        for domain, each in zip(domains, (provider, rival), strict=True):
            api.set_provider_and_wait(each, domain)
        self._value, self._bare_value = (
            api.get_client(domain).get_boolean_value for domain in domains
        )
        self._anyone = EvaluationContext("anyone")

    def on_off(self, calls: list[Any]) -> list[Any]:
        value, context = self._value, self._anyone
        return [value(name, False, context) for name in calls]

    def bare_on_off(self, calls: list[Any]) -> list[Any]:
        value, context = self._bare_value, self._anyone
        return [value(name, False, context) for name in calls]

    missing = on_off
    bare_missing = bare_on_off

    def context(self, **arguments: Any) -> Any:
        return EvaluationContext("anyone", arguments)

    def checks_kept(self, calls: list[Any]) -> list[Any]:
        value = self._value
        return [value(name, False, context) for name, context in calls]

    def bare_checks_kept(self, calls: list[Any]) -> list[Any]:
        value = self._bare_value
        return [value(name, False, context) for name, context in calls]


def _in_memory(flag: Flag) -> InMemoryFlag[bool]:
    variants = {"on": True, "off": False}
    if not flag.rules:
        return InMemoryFlag("on" if flag.on else "off", variants)
    (checks,) = flag.rules
    compared = [(name, _OPERATORS[sign], value) for name, sign, value in checks]

    def evaluate(
        _: InMemoryFlag[bool], context: EvaluationContext
    ) -> FlagResolutionDetails[bool]:
        given = context.attributes
        holds = all(compare(given[name], value) for name, compare, value in compared)
        variant = "on" if holds else "off"
        return FlagResolutionDetails(
            variants[variant], variant=variant, reason=Reason.TARGETING_MATCH
        )

    return InMemoryFlag("off", variants, context_evaluator=evaluate)
