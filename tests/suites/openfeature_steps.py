# SPDX-License-Identifier: Apache-2.0
"""What the steps of OpenFeature's scenarios do, with a `FlipperProvider`.

Each method of `Scenario` that `step` marks runs the steps whose text has its form.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
import uuid
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

import pytest
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagEvaluationOptions
from openfeature.hook import Hook
from openfeature.provider import ProviderStatus
from openfeature.transaction_context import ContextVarsTransactionContextPropagator
from openfeature_flags import client_of_flags

from flipper import Condition, FeatureFlagClient
from flipper.integrations.openfeature import FlipperProvider
from flipper.rules import Rule, Rules
from flipper.testing.contract import eventually
from support.openfeature_api import begin_to_set_provider, set_provider
from support.synced_stores import InnerStore, synced

if TYPE_CHECKING:
    from collections.abc import Callable

STEPS: list[tuple[re.Pattern[str], str]] = []
TYPES = {"boolean": bool, "string": str, "integer": int, "float": float, "object": dict}


def step(form: str) -> Callable[[Any], Any]:
    """Mark a method that runs the steps of this form, a regular expression."""

    def mark(method: Any) -> Any:
        STEPS.append((re.compile(form), method.__name__))
        return method

    return mark


class StepMissingError(Exception):
    """No method runs this step."""


class RecordingHook(Hook):
    """Records which of its methods are called, and adds to the context."""

    def __init__(self, calls: list[Any], name: str = "", **context: Any) -> None:
        self._calls = calls
        self._name = name
        self._context = context

    def before(self, hook_context: Any, hints: Any) -> EvaluationContext:
        """Record the call."""
        self._calls.append((self._name, "before", None))
        return EvaluationContext(attributes=self._context)

    def after(self, hook_context: Any, details: Any, hints: Any) -> None:
        """Record the call."""
        self._calls.append((self._name, "after", details))

    def error(self, hook_context: Any, exception: Any, hints: Any) -> None:
        """Record the call."""
        self._calls.append((self._name, "error", exception))

    def finally_after(self, hook_context: Any, details: Any, hints: Any) -> None:
        """Record the call."""
        self._calls.append((self._name, "finally", details))


class BlockedProvider(FlipperProvider):
    """A provider that is never ready before the scenario ends."""

    released: threading.Event

    def initialize(self, evaluation_context: EvaluationContext) -> None:
        """Wait for the end."""
        self.released.wait()


def value_of(kind: str, text: str) -> Any:
    """Return a value that a step has as text."""
    kind = kind.lower()
    if text == "null":
        return None
    if kind in ("object", "boolean"):
        return json.loads(text.replace('\\"', '"'))
    return TYPES[kind](text)


class Scenario:
    """Runs the steps of one scenario, with a domain of its own.

    Args:
        flags: the flags of the suite.
    """

    def __init__(self, flags: dict[str, Any]) -> None:
        self._flags = flags
        self._domain = uuid.uuid4().hex
        self._stack = ExitStack()
        self._hook_calls: list[Any] = []
        self._arguments: dict[str, Any] = {}
        self._context: dict[str, Any] = {}
        self._options: FlagEvaluationOptions | None = None
        self._levels: list[str] = []
        self._details: Any = None

    def run(self, pickle: dict[str, Any]) -> None:
        """Run all steps."""
        with self._stack:
            for each in pickle["steps"]:
                self._run_step(each["text"], each.get("argument"))

    def _run_step(self, text: str, argument: dict[str, Any] | None) -> None:
        for form, method in STEPS:
            found = form.fullmatch(text)
            if found:
                rows = (
                    ([row["cells"] for row in argument["dataTable"]["rows"]],)
                    if argument
                    else ()
                )
                table = [
                    [[cell["value"] for cell in row] for row in each] for each in rows
                ]
                getattr(self, method)(*found.groups(), *table)
                return
        raise StepMissingError(text)

    # -- providers -------------------------------------------------------------------

    @step("a (stable|not ready|error|fatal|stale) provider")
    def provide(self, state: str) -> None:
        """Set a provider that is in this state."""
        self._client = api.get_client(self._domain)
        self._flipper = client_of_flags(self._flags)
        wanted = "READY" if state == "stable" else state.upper().replace(" ", "_")
        provider, blocks = (
            getattr(self, f"_provider_{wanted.lower()}")(),
            state != "stable",
        )
        if blocks:
            begin_to_set_provider(provider, self._domain)
        else:
            set_provider(provider, self._domain)
        eventually(lambda: self._client.get_provider_status().value == wanted)

    def _provider_ready(self) -> FlipperProvider:
        return FlipperProvider(self._flipper)

    def _provider_not_ready(self) -> FlipperProvider:
        if not hasattr(api, "set_provider_and_wait"):
            pytest.skip("before version 0.10, a provider is asked when it is ready")
        provider = BlockedProvider(self._flipper)
        provider.released = threading.Event()
        self._stack.callback(provider.released.set)
        return provider

    def _provider_error(self) -> FlipperProvider:
        inner = InnerStore()
        inner.disconnect()
        store = synced(inner, on_start_failure="empty", start_timeout=0.01)
        return FlipperProvider(FeatureFlagClient(self._stack.enter_context(store)))

    def _provider_fatal(self) -> FlipperProvider:
        provider = FlipperProvider.from_url("memory://")
        provider.shutdown()
        return provider

    def _provider_stale(self) -> FlipperProvider:
        inner = InnerStore()
        store = self._stack.enter_context(synced(inner))
        inner.disconnect()
        eventually(lambda: store.status().state == "stale")
        return FlipperProvider(FeatureFlagClient(store))

    @step('the provider status should be "(.+)"')
    def check_status(self, status: str) -> None:
        """Compare the status."""
        assert self._client.get_provider_status() is ProviderStatus[status]

    # -- questions -------------------------------------------------------------------

    @step('an? (\\w+)-flag with key "(.*)" and a fallback value "(.*)"')
    def ask_about(self, kind: str, key: str, default: str) -> None:
        """Choose a flag."""
        self._question = (kind.lower(), key, value_of(kind, default))

    @step('a context containing a key "(.+)", with type "(.+)" and with value "(.*)"')
    def add_context(self, key: str, kind: str, value: str) -> None:
        """Add to the context of the question."""
        self._context[key] = value_of(kind, value)

    @step('a context containing a key "(.+)" with null value')
    def add_null(self, key: str) -> None:
        """Add a missing value to the context of the question."""
        self._context[key] = None

    @step("the flag was evaluated with details(?: using the evaluation options)?")
    def ask(self) -> None:
        """Ask for the details."""
        kind, key, default = self._question
        ask = getattr(self._client, f"get_{kind}_details")
        context = EvaluationContext(attributes=self._context)
        self._details = ask(key, default, context, self._options)

    @step("the flag was evaluated with details asynchronously")
    def ask_in_loop(self) -> None:
        """Ask for the details in a loop."""
        kind, key, default = self._question
        ask = getattr(self._client, f"get_{kind}_details_async")
        self._details = asyncio.run(ask(key, default))

    @step("the evaluation should complete without blocking")
    def check_not_blocking(self) -> None:
        """Compare nothing: test_openfeature_async.py has a store that blocks."""

    # -- answers ---------------------------------------------------------------------

    @step('the resolved details value should be "(.*)"')
    def check_value(self, text: str) -> None:
        """Compare the value and its type."""
        kind, _, _ = self._question
        expected = value_of(kind, text)
        assert self._details.value == expected
        assert type(self._details.value) is type(expected)

    @step('the reason should be "(.+)"')
    def check_reason(self, reason: str) -> None:
        """Compare the reason."""
        assert self._details.reason == reason

    @step('the error-code should be "(.+)"')
    def check_error_code(self, code: str) -> None:
        """Compare the error code."""
        assert self._details.error_code.value == code

    @step('the flag key should be "(.+)"')
    def check_key(self, key: str) -> None:
        """Compare the flag key."""
        assert self._details.flag_key == key

    @step('the variant should be "([^"]+)"')
    def check_variant(self, variant: str) -> None:
        """Compare the name of the variant."""
        assert self._details.variant == variant

    @step("the resolved metadata should contain")
    def check_metadata(self, rows: list[list[str]]) -> None:
        """Compare all flag metadata."""
        expected = {key: value_of(kind, text) for key, kind, text in rows[1:]}
        assert self._details.flag_metadata == expected

    @step("the resolved metadata is empty")
    def check_no_metadata(self) -> None:
        """Expect no flag metadata."""
        assert self._details.flag_metadata == {}

    # -- the older scenarios ---------------------------------------------------------

    @step(
        '(?:an?|a non-existent) (\\w+) flag with key "(.+)" is evaluated with '
        '(?:details and )?(?:an? )?(?:default value|fallback value) "?([^"]*)"?'
    )
    def ask_at_once(self, kind: str, key: str, default: str) -> None:
        """Choose a flag, and ask."""
        self.ask_about(kind, key, default)
        self.ask()

    @step(
        'an object flag with key "(.+)" is evaluated with (?:details and )?'
        "a null default value"
    )
    def ask_for_object(self, key: str) -> None:
        """Ask for an object without a default."""
        self.ask_at_once("object", key, "null")

    @step(
        'the resolved \\w+ (?:details )?(?:value|response) should be "?([^",]*)"?'
        '(?:, the variant should be "(.+)", and the reason should be "(.+)")?'
    )
    def check_answer(self, text: str, variant: str | None, reason: str | None) -> None:
        """Compare value, variant and reason."""
        self.check_value(text)
        if variant is not None:
            self.check_variant(variant)
            self.check_reason(reason)

    @step(
        "the resolved object (?:details )?value should be contain fields "
        '"(.+)", "(.+)", '
        'and "(.+)", with values "(.+)", "(.+)" and (.+), respectively'
    )
    def check_fields(self, *texts: str) -> None:
        """Compare the fields of an object."""
        values = [self._parsed(text) for text in texts[3:]]
        assert self._details.value == dict(zip(texts[:3], values, strict=True))

    @step('the variant should be "(.+)", and the reason should be "(.+)"')
    def check_variant_and_reason(self, variant: str, reason: str) -> None:
        """Compare both."""
        self.check_variant(variant)
        self.check_reason(reason)

    @step("context contains keys (.+) with values (.+)")
    def use_context(self, keys: str, values: str) -> None:
        """Set the context of the question."""
        names = [key.strip('"') for key in keys.split(", ")]
        found = [self._parsed(text.strip('"')) for text in values.split(", ")]
        self._context = dict(zip(names, found, strict=True))

    @step('a flag with key "(.+)" is evaluated with default value "(.+)"')
    def ask_about_context(self, key: str, default: str) -> None:
        """Ask about a flag that the suite lacks, and which this context turns on."""
        rules = Rules(
            [Rule(Condition(**self._context), "on")],
            "off",
            {"on": default.replace("EX", "IN"), "off": default},
        )
        self._flipper.create(key, is_enabled=True)
        self._flipper.set_rules(key, rules)
        self.ask_at_once("string", key, default)

    @step('the resolved flag value is "(.+)" when the context is empty')
    def check_without_context(self, text: str) -> None:
        """Ask again, without a context."""
        self._context = {}
        self.ask()
        self.check_value(text)

    @step(
        'a string flag with key "(.+)" is evaluated as an integer, '
        "with details and a fallback value (.+)"
    )
    def ask_for_wrong_type(self, key: str, default: str) -> None:
        """Ask for another type than the flag serves."""
        self.ask_at_once("integer", key, default)

    @step("the default (?:string|integer) value should be returned")
    def check_default(self) -> None:
        """Compare the value with the default."""
        assert self._details.value == self._question[2]

    @step(
        "the reason should indicate an error and the error code should indicate .+ "
        'with "(.+)"'
    )
    def check_error(self, code: str) -> None:
        """Compare reason and error code."""
        self.check_reason("ERROR")
        self.check_error_code(code)

    @staticmethod
    def _parsed(text: str) -> Any:
        with suppress(json.JSONDecodeError):
            return json.loads(text)
        return text

    # -- hooks -----------------------------------------------------------------------

    @step("a client with added hook")
    def add_hook(self) -> None:
        """Add a hook to the client."""
        self._client.add_hooks([RecordingHook(self._hook_calls)])

    @step('the "(\\w+)" hook should have been executed')
    def check_hook(self, stage: str) -> None:
        """Expect a call."""
        assert [each for _, each, _ in self._hook_calls].count(stage) == 1

    @step('the "(.+)" hooks should be called with evaluation details')
    def check_hook_details(self, stages: str, rows: list[list[str]]) -> None:
        """Compare the details that hooks have got."""
        found = {stage: details for _, stage, details in self._hook_calls}
        for stage in stages.split(", "):
            for kind, key, text in rows[1:]:
                value = getattr(found[stage], key)
                assert getattr(value, "value", value) == value_of(kind, text)

    @step("evaluation options containing specific hooks")
    def use_options(self) -> None:
        """Use hooks for one question."""
        hooks = [RecordingHook(self._hook_calls, name) for name in ("first", "second")]
        self._options = FlagEvaluationOptions(hooks=hooks)

    @step("the specified hooks should execute during evaluation")
    def check_specified_hooks(self) -> None:
        """Expect all calls of both hooks."""
        assert len(self._hook_calls) == 6

    @step("the hook order should be maintained")
    def check_hook_order(self) -> None:
        """Expect the order of the options, which is reversed after the evaluation."""
        order = [(name, stage) for name, stage, _ in self._hook_calls]
        stages = {"before": 1, "after": -1, "finally": -1}
        assert order == [
            (name, stage)
            for stage, direction in stages.items()
            for name in ("first", "second")[::direction]
        ]

    # -- contexts --------------------------------------------------------------------

    @step("a stable provider with retrievable context is registered")
    def provide_with_context(self) -> None:
        """Set a provider whose client records the arguments."""
        self.provide("stable")
        self._flipper.add_hook(lambda _, arguments: self._arguments.update(arguments))
        self._attributes: dict[str, dict[str, Any]] = {}

    @step(
        'A context entry with key "(.+)" and value "(.+)" is added to the "(.+)" level'
    )
    def add_entry(self, key: str, value: str, level: str) -> None:
        """Add an entry to the context of a level."""
        self._attributes.setdefault(level, {})[key] = value

    @step("A table with levels of increasing precedence")
    def use_levels(self, rows: list[list[str]]) -> None:
        """Remember the levels."""
        self._levels = [level for (level,) in rows]

    @step(
        'Context entries for each level from API level down to the "(.+)" level, '
        'with key "(.+)" and value "(.+)"'
    )
    def add_entries(self, last: str, key: str, _: str) -> None:
        """Add an entry to the context of each level, whose value is the level."""
        for level in self._levels[: self._levels.index(last) + 1]:
            self.add_entry(key, level, level)

    @step("Some flag was evaluated")
    def ask_with_contexts(self) -> None:
        """Ask with the contexts of all levels."""
        contexts = {
            level: EvaluationContext(attributes=attributes)
            for level, attributes in self._attributes.items()
        }
        unknown = {*contexts} - {
            "API",
            "Transaction",
            "Client",
            "Invocation",
            "Before Hooks",
        }
        assert not unknown
        if "API" in contexts:
            api.set_evaluation_context(contexts["API"])
        if "Transaction" in contexts:
            api.set_transaction_context_propagator(
                ContextVarsTransactionContextPropagator()
            )
            api.set_transaction_context(contexts["Transaction"])
        if "Client" in contexts:
            self._client.context = contexts["Client"]
        hook = RecordingHook([], **self._attributes.get("Before Hooks", {}))
        options = FlagEvaluationOptions(hooks=[hook])
        name = next(iter(self._flags))
        self._client.get_boolean_details(
            name, False, contexts.get("Invocation"), options
        )

    @step('The merged context contains an entry with key "(.+)" and value "(.+)"')
    def check_entry(self, key: str, value: str) -> None:
        """Compare an argument of the client."""
        assert self._arguments[key] == value
