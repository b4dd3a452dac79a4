# SPDX-License-Identifier: Apache-2.0
"""Events and metrics of OpenTelemetry, recorded by its SDK."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.hook import Hook
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

from flipper import Condition, FeatureFlagClient, MemoryFeatureFlagStore
from flipper.exceptions import InvalidArgumentError
from flipper.integrations.openfeature import FlipperProvider
from flipper.integrations.opentelemetry import (
    EvaluationEvents,
    EvaluationMetrics,
    attributes,
)
from flipper.integrations.opentelemetry.openfeature import (
    EvaluationEventsHook,
    EvaluationMetricsHook,
)
from flipper.rules import Rollout, Rule, Rules
from support.custom_stores import CustomStore, FailingMemoryStore
from support.openfeature_api import set_provider

if TYPE_CHECKING:
    from collections.abc import Iterator

REQUESTS = "feature_flag.evaluation_requests_total"
SUCCESSES = "feature_flag.evaluation_success_total"
ERRORS = "feature_flag.evaluation_error_total"
ACTIVE = "feature_flag.evaluation_active_count"


class Records(LogRecordProcessor):
    """Keeps the log records. The exporters in memory have other names every year."""

    def __init__(self) -> None:
        self.found: list[Any] = []

    def on_emit(self, log_record: Any) -> None:
        """Keep a record."""
        self.found.append(log_record.log_record)

    def shutdown(self) -> None:
        """Do nothing."""

    def force_flush(self, timeout_millis: int = 0) -> bool:
        """Do nothing."""
        return True


class Telemetry:
    """What the SDK of OpenTelemetry has recorded."""

    def __init__(self) -> None:
        self._records = Records()
        self.loggers = LoggerProvider()
        self.loggers.add_log_record_processor(self._records)
        self._reader = InMemoryMetricReader()
        self.meters = MeterProvider([self._reader])

    def records(self) -> list[Any]:
        """Return the log records, and forget them."""
        records, self._records.found = self._records.found, []
        return records

    def events(self) -> list[dict[str, Any]]:
        """Return the attributes of the events, and forget them."""
        records = self.records()
        assert {each.event_name for each in records} <= {"feature_flag.evaluation"}
        return [dict(each.attributes) for each in records]

    def metrics(self) -> dict[str, dict[frozenset[Any], Any]]:
        """Return the counts by metric and attributes."""
        data = self._reader.get_metrics_data()
        found = [
            metric
            for resource in ([] if data is None else data.resource_metrics)
            for scope in resource.scope_metrics
            for metric in scope.metrics
        ]
        return {
            metric.name: {
                frozenset(point.attributes.items()): point.value
                for point in metric.data.data_points
            }
            for metric in found
        }

    def close(self) -> None:
        """End the SDK."""
        self.loggers.shutdown()
        self.meters.shutdown()


def counted(**given: str) -> frozenset[Any]:
    """Return attributes by the last part of their names."""
    names = {
        "key": attributes.KEY,
        "reason": attributes.REASON,
        "variant": attributes.VARIANT,
        "error": attributes.ERROR_TYPE,
        "provider": attributes.PROVIDER_NAME,
    }
    given = {"provider": "flipper", **given}
    return frozenset((names[name], value) for name, value in given.items())


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    """Return the recordings of an SDK of its own."""
    telemetry = Telemetry()
    yield telemetry
    telemetry.close()
    api.shutdown()


@pytest.fixture
def flags() -> FeatureFlagClient:
    """Return a client with a flag of each kind."""
    flags = FeatureFlagClient(MemoryFeatureFlagStore())
    for name in ("ON", "PRO", "COLOUR", "SHARE"):
        flags.create(name, is_enabled=True)
    flags.create("OFF")
    flags.add_condition("PRO", Condition(plan="pro"))
    rules = Rules([Rule(Condition(plan="pro"), "blue")], "red")
    flags.set_rules("COLOUR", rules)
    flags.set_rules("SHARE", Rules([], Rollout(1, by="user_id")))
    return flags


def event(key: str, value: Any, reason: str, **more: Any) -> dict[str, Any]:
    """Return the attributes of an event."""
    return {
        "feature_flag.key": key,
        "feature_flag.provider.name": "flipper",
        "feature_flag.result.value": value,
        "feature_flag.result.reason": reason,
    } | {name.replace("__", "."): each for name, each in more.items()}


class TestClientEvents:
    """The hook of a client that emits events."""

    def test_each_question_is_an_event(
        self, flags: FeatureFlagClient, telemetry: Telemetry
    ) -> None:
        """It has the answer, the reason and the user."""
        flags.add_hook(EvaluationEvents(logger_provider=telemetry.loggers))
        flags.is_enabled("ON")
        flags.is_enabled("OFF")
        flags.is_enabled("PRO", plan="pro")
        flags.is_enabled("PRO", plan="free")
        flags.is_enabled("SHARE", user_id=7)
        assert telemetry.events() == [
            event("ON", True, "static"),
            event("OFF", False, "disabled"),
            event("PRO", True, "targeting_match"),
            event("PRO", False, "default"),
            event("SHARE", True, "split", feature_flag__context__id="7"),
        ]

    def test_a_variant_takes_the_place_of_the_value(
        self, flags: FeatureFlagClient, telemetry: Telemetry
    ) -> None:
        """Its name says what was served."""
        flags.add_hook(
            EvaluationEvents(
                targeting_key="account",
                set_id="shop",
                logger_provider=telemetry.loggers,
            )
        )
        flags.variant("COLOUR", plan="pro", account="a1", user_id=7)
        assert telemetry.events() == [
            {
                "feature_flag.key": "COLOUR",
                "feature_flag.provider.name": "flipper",
                "feature_flag.result.variant": "blue",
                "feature_flag.result.reason": "targeting_match",
                "feature_flag.context.id": "a1",
                "feature_flag.set.id": "shop",
            }
        ]

    def test_errors(self, telemetry: Telemetry) -> None:
        """A missing flag, a broken one and an outage have types of their own."""
        broken = CustomStore()
        broken.documents["BROKEN"] = b"{}"
        failing = FailingMemoryStore()
        FeatureFlagClient(failing).create("ON", is_enabled=True)
        hook = EvaluationEvents(logger_provider=telemetry.loggers)
        clients = [FeatureFlagClient(each) for each in (broken, failing)]  # type: ignore[list-item]
        for client in clients:
            client.add_hook(hook)
        clients[0].is_enabled("MISSING", True)
        clients[0].is_enabled("BROKEN")
        clients[1].is_enabled("ON")
        failing.failure = ConnectionError("away")
        clients[1].is_enabled("ON")
        clients[1].is_enabled("UNKNOWN")
        missing, bad, on, stale, unknown = telemetry.events()
        assert missing == event("MISSING", True, "error", error__type="flag_not_found")
        assert bad["error.type"] == "parse_error"
        assert "BROKEN" in bad["feature_flag.error.message"]
        assert on == event("ON", True, "static")
        assert stale == event("ON", True, "stale")
        assert unknown == event(
            "UNKNOWN",
            False,
            "error",
            error__type="general",
            feature_flag__error__message=(
                "Feature 'UNKNOWN' has no answer: ConnectionError: away"
            ),
        )

    @pytest.mark.parametrize(
        ("value", "recorded"),
        [
            ("x" * 5000, "x" * attributes.LONGEST_VALUE),
            ({"size": [1]}, '{"size": [1]}'),
            (1.5, 1.5),
        ],
    )
    def test_values_are_short_and_simple(
        self, telemetry: Telemetry, value: Any, recorded: Any
    ) -> None:
        """Backends refuse long texts and objects, or drop the whole record."""
        flags = FeatureFlagClient(MemoryFeatureFlagStore())
        flags.add_hook(EvaluationEvents(logger_provider=telemetry.loggers))
        flags.variant("MISSING", value)
        (found,) = telemetry.events()
        assert found["feature_flag.result.value"] == recorded

    def test_no_default_is_no_value(self, telemetry: Telemetry) -> None:
        """OpenTelemetry has no attribute without a value."""
        flags = FeatureFlagClient(MemoryFeatureFlagStore())
        flags.add_hook(EvaluationEvents(logger_provider=telemetry.loggers))
        flags.variant("MISSING")
        (found,) = telemetry.events()
        assert "feature_flag.result.value" not in found

    def test_the_user_may_be_left_out(
        self, flags: FeatureFlagClient, telemetry: Telemetry
    ) -> None:
        """An identifier of a person need not leave the application."""
        hook = EvaluationEvents(targeting_key=None, logger_provider=telemetry.loggers)
        flags.add_hook(hook)
        flags.is_enabled("SHARE", user_id=7)
        assert telemetry.events() == [event("SHARE", True, "split")]

    def test_an_event_belongs_to_the_present_span(
        self, flags: FeatureFlagClient, telemetry: Telemetry
    ) -> None:
        """A trace shows which flags a request has asked for."""
        flags.add_hook(EvaluationEvents(logger_provider=telemetry.loggers))
        tracers = TracerProvider()
        with tracers.get_tracer("shop").start_as_current_span("checkout") as span:
            flags.is_enabled("ON")
        tracers.shutdown()
        (record,) = telemetry.records()
        context = span.get_span_context()
        assert (record.trace_id, record.span_id) == (context.trace_id, context.span_id)
        assert record.timestamp > 0

    def test_without_an_sdk_nothing_is_recorded(self, flags: FeatureFlagClient) -> None:
        """The hooks of the API alone do nothing, and raise nothing."""
        calls: list[Any] = []
        flags.add_hook(EvaluationEvents())
        flags.add_hook(EvaluationMetrics())
        flags.add_hook(lambda *given: calls.append(given))
        assert flags.is_enabled("ON") is True
        assert len(calls) == 1

    @pytest.mark.parametrize("argument", ["targeting_key", "set_id"])
    def test_wrong_arguments_are_refused(self, argument: str) -> None:
        """The error names the argument."""
        with pytest.raises(InvalidArgumentError, match=f"{argument}=7"):
            EvaluationEvents(**{argument: 7})  # type: ignore[arg-type]


def test_the_metrics_of_a_client(
    flags: FeatureFlagClient, telemetry: Telemetry
) -> None:
    """Requests are successes or errors, counted for each flag."""
    flags.add_hook(EvaluationMetrics(meter_provider=telemetry.meters))
    for _ in range(3):
        flags.is_enabled("ON")
    flags.variant("COLOUR", plan="pro")
    flags.is_enabled("MISSING")
    assert telemetry.metrics() == {
        REQUESTS: {
            counted(key="ON"): 3,
            counted(key="COLOUR"): 1,
            counted(key="MISSING"): 1,
        },
        SUCCESSES: {
            counted(key="ON", reason="static"): 3,
            counted(key="COLOUR", reason="targeting_match", variant="blue"): 1,
        },
        ERRORS: {counted(key="MISSING", error="flag_not_found"): 1},
    }


class TestOpenFeatureHooks:
    """The hooks of OpenFeature, with any provider."""

    def test_events(self, flags: FeatureFlagClient, telemetry: Telemetry) -> None:
        """They have what the provider says, and what its metadata say."""
        flags.set_client_data("COLOUR", {"version": 3, "flagSetId": "shop"})
        set_provider(FlipperProvider(flags))
        client = api.get_client()
        client.add_hooks([EvaluationEventsHook(logger_provider=telemetry.loggers)])
        context = EvaluationContext("u1", {"plan": "pro"})
        client.get_boolean_value("ON", False)
        client.get_string_value("COLOUR", "", context)
        client.get_boolean_value("MISSING", True)
        client.get_integer_value("COLOUR", 3, context)
        on, colour, missing, mismatch = telemetry.events()
        assert on == event("ON", True, "static")
        assert colour == {
            "feature_flag.key": "COLOUR",
            "feature_flag.provider.name": "flipper",
            "feature_flag.result.variant": "blue",
            "feature_flag.result.reason": "targeting_match",
            "feature_flag.context.id": "u1",
            "feature_flag.set.id": "shop",
            "feature_flag.version": "3",
        }
        assert missing == event("MISSING", True, "error", error__type="flag_not_found")
        assert mismatch["error.type"] == "type_mismatch"
        assert "COLOUR" in mismatch["feature_flag.error.message"]
        assert mismatch["feature_flag.result.value"] == 3

    def test_the_user_may_be_left_out(
        self, flags: FeatureFlagClient, telemetry: Telemetry
    ) -> None:
        """An identifier of a person need not leave the application."""
        set_provider(FlipperProvider(flags))
        hook = EvaluationEventsHook(
            records_context_id=False, logger_provider=telemetry.loggers
        )
        api.add_hooks([hook])
        api.get_client().get_boolean_value("ON", False, EvaluationContext("u1"))
        assert telemetry.events() == [event("ON", True, "static")]

    def test_metrics_with_another_provider(self, telemetry: Telemetry) -> None:
        """Its name is in the attributes."""
        flag = InMemoryFlag("on", {"on": True})
        set_provider(InMemoryProvider({"ON": flag}))
        client = api.get_client()
        client.add_hooks([EvaluationMetricsHook(meter_provider=telemetry.meters)])
        client.get_boolean_value("ON", False)
        client.get_boolean_value("MISSING", False)
        name = "In-Memory Provider"
        on, missing = (counted(key=k, provider=name) for k in ("ON", "MISSING"))
        success = counted(key="ON", provider=name, reason="static", variant="on")
        error = counted(key="MISSING", provider=name, error="flag_not_found")
        assert telemetry.metrics() == {
            REQUESTS: {on: 1, missing: 1},
            SUCCESSES: {success: 1},
            ERRORS: {error: 1},
            ACTIVE: {on: 0, missing: 0},
        }

    def test_active_evaluations_are_counted_while_they_go_on(
        self, flags: FeatureFlagClient, telemetry: Telemetry
    ) -> None:
        """They are active from the hook's `before` to its `finally_after`."""
        set_provider(FlipperProvider(flags))
        client = api.get_client()
        client.add_hooks([EvaluationMetricsHook(meter_provider=telemetry.meters)])
        found: list[Any] = []
        flags.add_hook(lambda *_: found.append(telemetry.metrics()[ACTIVE]))
        client.get_boolean_value("ON", False)
        assert found == [{counted(key="ON"): 1}]
        assert telemetry.metrics()[ACTIVE] == {counted(key="ON"): 0}

    def test_an_evaluation_that_never_began_is_not_active(
        self, flags: FeatureFlagClient, telemetry: Telemetry
    ) -> None:
        """OpenFeature then calls only the last methods of hooks."""

        class FailingHook(Hook):
            def before(self, *_: Any, **__: Any) -> None:
                raise ZeroDivisionError

        provider = FlipperProvider.from_url("memory://")
        provider.shutdown()
        set_provider(provider)
        client = api.get_client()
        metrics = EvaluationMetricsHook(meter_provider=telemetry.meters)
        client.add_hooks([metrics])
        client.get_boolean_value("ON", False)
        assert telemetry.metrics() == {
            REQUESTS: {counted(key="ON"): 1},
            ERRORS: {counted(key="ON", error="provider_fatal"): 1},
        }
        set_provider(FlipperProvider(flags))
        client = api.get_client()
        client.add_hooks([FailingHook(), metrics])
        client.get_boolean_value("OFF", False)
        assert telemetry.metrics()[ERRORS][counted(key="OFF", error="general")] == 1
        assert ACTIVE not in telemetry.metrics()


def test_the_names_are_those_of_the_semantic_conventions() -> None:
    """The names of attributes are written here, since their package is not stable."""
    from opentelemetry.semconv._incubating.attributes import (
        feature_flag_attributes as names,
    )

    if not hasattr(names, "FEATURE_FLAG_ERROR_MESSAGE"):
        pytest.skip("these conventions are older than the ones that are followed")
    own = {
        name: value
        for name, value in vars(attributes).items()
        if isinstance(value, str) and value.startswith("feature_flag.")
    }
    known = {
        value
        for name, value in vars(names).items()
        if name.startswith("FEATURE_FLAG_") and "EVALUATION" not in name
    }
    assert {*own.values()} == known - {names.FEATURE_FLAG_VARIANT}


PROGRAM = """
import sys
sys.modules[sys.argv[1]] = None
import flipper.integrations
try:
    import flipper.integrations.opentelemetry.openfeature
except ImportError as error:
    print(error)
print(any(name.startswith("opentelemetry.sdk") for name in sys.modules))
"""


@pytest.mark.parametrize(
    ("missing", "package", "extra"),
    [
        ("opentelemetry", "opentelemetry.metrics", "opentelemetry"),
        ("openfeature", "openfeature", "openfeature"),
    ],
)
def test_without_a_package_the_error_names_the_extra(
    missing: str, package: str, extra: str
) -> None:
    """Only the import of the integration fails, and the SDK is never imported."""
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, missing],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == (
        f"The package {package!r} is not installed; "
        f"install it with pip install 'flipper-client[{extra}]'\nFalse\n"
    )
