# SPDX-License-Identifier: Apache-2.0
"""The answers of `FlipperProvider`, asked through the client of OpenFeature."""

from __future__ import annotations

import contextvars
import subprocess
import sys
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode, ProviderFatalError
from openfeature.flag_evaluation import Reason
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider
from openfeature.track import TrackingEventDetails

from flipper import Condition, FeatureFlagClient, MemoryFeatureFlagStore
from flipper.bucketing import (
    ConsistentHashPercentageBucketer,
    Percentage,
)
from flipper.exceptions import InvalidArgumentError
from flipper.integrations.openfeature import FlipperProvider
from flipper.rules import Rollout, Rule, Rules, Split
from flipper.testing import override_flags
from support.custom_stores import CustomStore, FailingMemoryStore
from support.openfeature_api import set_provider
from test_speed_guard import Workload, calls_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openfeature.client import OpenFeatureClient

USER = EvaluationContext("7")
PRO = EvaluationContext("7", {"plan": "pro"})


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Leave OpenFeature as it was."""
    yield
    api.shutdown()


def client_of(provider: FlipperProvider) -> OpenFeatureClient:
    """Return a client of OpenFeature that asks this provider."""
    set_provider(provider)
    return api.get_client()


def serving(client: FeatureFlagClient, name: str, variants: dict[str, Any]) -> None:
    """Create a flag that serves its first variant to everybody."""
    client.create(name, is_enabled=True)
    first = next(iter(variants))
    client.set_rules(name, Rules([], first, variants=variants))


@pytest.fixture
def flags() -> FeatureFlagClient:
    """Return a client of flags in memory."""
    return FeatureFlagClient(MemoryFeatureFlagStore())


@pytest.fixture
def asked(flags: FeatureFlagClient) -> OpenFeatureClient:
    """Return a client of OpenFeature that asks the client of flags in memory."""
    return client_of(FlipperProvider(flags))


class TestReasons:
    """Each reason of flipper has one of OpenFeature."""

    def test_a_flag_that_is_just_on_is_static(
        self, flags: FeatureFlagClient, asked: OpenFeatureClient
    ) -> None:
        """The first question and all later ones have the same details."""
        flags.create("ON", is_enabled=True)
        for _ in range(3):
            details = asked.get_boolean_details("ON", False, PRO)
            assert (details.value, details.reason) == (True, Reason.STATIC)
            assert details.variant is None
            assert details.error_code is None

    def test_a_disabled_flag_is_off_whatever_the_default(
        self, flags: FeatureFlagClient, asked: OpenFeatureClient
    ) -> None:
        """A flag that somebody has disabled must not read as on."""
        flags.create("OFF")
        for _ in range(3):
            details = asked.get_boolean_details("OFF", True)
            assert (details.value, details.reason) == (False, Reason.DISABLED)

    def test_a_change_is_seen_by_the_next_question(
        self, flags: FeatureFlagClient, asked: OpenFeatureClient
    ) -> None:
        """What is remembered about a flag is forgotten when it changes."""
        flags.create("FLAG", is_enabled=True)
        for is_on in (True, False, True):
            (flags.enable if is_on else flags.disable)("FLAG")
            assert asked.get_boolean_value("FLAG", not is_on) is is_on
            assert asked.get_boolean_value("FLAG", not is_on) is is_on
        flags.set_client_data("FLAG", {"team": "shop"})
        metadata = asked.get_boolean_details("FLAG", False).flag_metadata
        assert metadata == {"team": "shop"}
        flags.add_condition("FLAG", Condition(plan="pro"))
        assert asked.get_boolean_value("FLAG", True, EvaluationContext()) is True
        other = EvaluationContext(attributes={"plan": "free"})
        assert asked.get_boolean_value("FLAG", True, other) is False
        flags.destroy("FLAG")
        assert asked.get_boolean_value("FLAG", True) is True

    def test_conditions(
        self, flags: FeatureFlagClient, asked: OpenFeatureClient
    ) -> None:
        """A condition that holds is a match of the target; all else is the default."""
        flags.create("PRO", is_enabled=True)
        flags.add_condition("PRO", Condition(plan="pro"))
        free = EvaluationContext("7", {"plan": "free"})
        found = [
            (details.value, details.reason)
            for context in (PRO, free, USER)
            for details in [asked.get_boolean_details("PRO", False, context)]
        ]
        assert found == [
            (True, Reason.TARGETING_MATCH),
            (False, Reason.DEFAULT),
            (True, Reason.DEFAULT),
        ]

    def test_buckets_are_splits(
        self, flags: FeatureFlagClient, asked: OpenFeatureClient
    ) -> None:
        """Bucketers, rollouts and splits assign users pseudorandomly."""
        for name in ("BUCKETER", "ROLLOUT", "SPLIT"):
            flags.create(name, is_enabled=True)
        share = ConsistentHashPercentageBucketer(
            key_whitelist=["user_id"], percentage=Percentage(1)
        )
        flags.set_bucketer("BUCKETER", share)
        flags.set_rules("ROLLOUT", Rules([], Rollout(1, by="user_id")))
        flags.set_rules("SPLIT", Rules([Rule(None, Split({"blue": 1}, by="user_id"))]))
        for name in ("BUCKETER", "ROLLOUT"):
            details = asked.get_boolean_details(name, False, USER)
            assert (details.value, details.reason) == (True, Reason.SPLIT)
        details = asked.get_string_details("SPLIT", "red", USER)
        assert (details.value, details.variant) == ("blue", "blue")
        assert details.reason == Reason.SPLIT

    def test_rules(self, flags: FeatureFlagClient, asked: OpenFeatureClient) -> None:
        """A rule that holds is a match of the target, and what is left the default."""
        flags.create("COLOUR", is_enabled=True)
        rules = Rules([Rule(Condition(plan="pro"), "blue")], "red")
        flags.set_rules("COLOUR", rules)
        details = asked.get_string_details("COLOUR", "", PRO)
        assert (details.value, details.reason) == ("blue", Reason.TARGETING_MATCH)
        details = asked.get_string_details("COLOUR", "", USER)
        assert (details.value, details.reason) == ("red", Reason.DEFAULT)

    @pytest.mark.parametrize(
        ("otherwise", "reason"),
        [
            ("red", Reason.STATIC),
            (False, Reason.STATIC),
            (Split({"red": 1}, by="tenant"), Reason.DEFAULT),
        ],
    )
    def test_a_flag_that_serves_everybody_the_same_is_static(
        self,
        flags: FeatureFlagClient,
        asked: OpenFeatureClient,
        otherwise: Any,
        reason: Reason,
    ) -> None:
        """A flag is static only if no argument could make a difference."""
        flags.create("COLOUR", is_enabled=True)
        flags.set_rules("COLOUR", Rules([], otherwise))
        assert asked.get_string_details("COLOUR", "").reason == reason
        flags.add_condition("COLOUR", Condition(plan="pro"))
        assert asked.get_string_details("COLOUR", "", PRO).reason == Reason.DEFAULT

    def test_an_override_is_static(
        self, flags: FeatureFlagClient, asked: OpenFeatureClient
    ) -> None:
        """Tests set flags for OpenFeature as for any other question."""
        flags.create("ON", is_enabled=True)
        assert asked.get_boolean_value("ON", False) is True
        with override_flags(flags, ON=False, COLOUR="blue", SIZES=[1]):
            details = asked.get_boolean_details("ON", True)
            assert (details.value, details.reason) == (False, Reason.STATIC)
            assert asked.get_string_value("COLOUR", "red") == "blue"
            assert asked.get_string_value("COLOUR", "blue") == "blue"
            assert asked.get_object_value("SIZES", []) == [1]
        assert asked.get_boolean_value("ON", False) is True


class TestValues:
    """The five types of questions."""

    SAMPLES: tuple[tuple[str, Any], ...] = (
        ("boolean", True),
        ("string", "blue"),
        ("integer", 3),
        ("float", 0.5),
        ("object", {"size": [1, None]}),
        ("object", ["a"]),
    )

    @pytest.mark.parametrize(("kind", "value"), SAMPLES)
    def test_a_variant_of_the_type(
        self,
        flags: FeatureFlagClient,
        asked: OpenFeatureClient,
        kind: str,
        value: Any,
    ) -> None:
        """Its value and its name are in the details."""
        serving(flags, "FLAG", {"one": value, "two": value})
        details = getattr(asked, f"get_{kind}_details")("FLAG", None)
        assert (details.value, details.variant) == (value, "one")
        assert type(details.value) is type(value)
        assert details.error_code is None

    @pytest.mark.parametrize(("kind", "value"), SAMPLES)
    @pytest.mark.parametrize("asked_kind", ["boolean", "string", "integer", "object"])
    def test_a_variant_of_another_type_is_a_mismatch(
        self,
        flags: FeatureFlagClient,
        asked: OpenFeatureClient,
        kind: str,
        value: Any,
        asked_kind: str,
    ) -> None:
        """The default answers, and the message names the type to ask for."""
        serving(flags, "FLAG", {"one": value})
        default = object()
        details = getattr(asked, f"get_{asked_kind}_details")("FLAG", default)
        if kind == asked_kind:
            assert details.value == value
            return
        assert details.value is default
        assert details.error_code is ErrorCode.TYPE_MISMATCH
        article = "an" if kind in ("integer", "object") else "a"
        assert f"ask for {article} {kind}" in details.error_message
        assert repr(value) not in details.error_message

    @pytest.mark.parametrize(
        ("kind", "served", "answer"),
        [
            ("float", 3, 3.0),
            ("integer", 3.0, 3),
            ("integer", 3.5, None),
            ("float", 2**53 + 1, None),
            ("float", 10**400, None),
            ("float", True, None),
        ],
    )
    def test_numbers_are_converted_without_loss_only(
        self,
        flags: FeatureFlagClient,
        asked: OpenFeatureClient,
        kind: str,
        served: Any,
        answer: Any,
    ) -> None:
        """Files write 3 for 3.0, and 3.0 for 3."""
        serving(flags, "FLAG", {"one": served})
        details = getattr(asked, f"get_{kind}_details")("FLAG", None)
        assert details.value == answer
        if answer is None:
            assert details.error_code is ErrorCode.TYPE_MISMATCH
        else:
            assert type(details.value) is type(answer)

    def test_a_default_that_equals_the_variant_is_converted_too(
        self, flags: FeatureFlagClient
    ) -> None:
        """The answer of a float question is a float, whatever the default is."""
        serving(flags, "FLAG", {"one": 1})
        details = FlipperProvider(flags).resolve_float_details("FLAG", 1)
        assert type(details.value) is float

    def test_a_flag_without_variants_is_no_text(
        self, flags: FeatureFlagClient, asked: OpenFeatureClient
    ) -> None:
        """While it is on, the type is wrong; while it is off, the default answers."""
        flags.create("FLAG", is_enabled=True)
        details = asked.get_string_details("FLAG", "red")
        assert (details.value, details.error_code) == ("red", ErrorCode.TYPE_MISMATCH)
        flags.disable("FLAG")
        details = asked.get_string_details("FLAG", "red")
        assert (details.value, details.error_code) == ("red", None)
        assert details.reason == Reason.DISABLED

    def test_a_disabled_flag_serves_its_variant_off(
        self, flags: FeatureFlagClient, asked: OpenFeatureClient
    ) -> None:
        """That is what its rules say."""
        flags.create("COLOUR")
        flags.set_rules("COLOUR", Rules([], "blue", {"blue": "b", "none": "n"}, "none"))
        details = asked.get_string_details("COLOUR", "red")
        assert (details.value, details.variant) == ("n", "none")
        assert details.reason == Reason.DISABLED
        details = asked.get_boolean_details("COLOUR", True)
        assert details.error_code is ErrorCode.TYPE_MISMATCH

    def test_answers_are_copies(
        self, flags: FeatureFlagClient, asked: OpenFeatureClient
    ) -> None:
        """Who changes an answer, or its metadata, changes no flag."""
        serving(flags, "FLAG", {"one": {"sizes": [1]}})
        flags.set_client_data("FLAG", {"team": "shop"})
        for _ in range(2):
            details: Any = asked.get_object_details("FLAG", {})
            assert details.value == {"sizes": [1]}
            assert details.flag_metadata == {"team": "shop"}
            details.value["sizes"].append(2)
            details.flag_metadata.clear()

    def test_metadata_are_the_flat_values_of_the_client_data(
        self, flags: FeatureFlagClient, asked: OpenFeatureClient
    ) -> None:
        """OpenFeature allows text, numbers and booleans."""
        flat = {"text": "a", "whole": 1, "part": 0.5, "switch": False}
        flags.create("A", is_enabled=True, client_data={**flat, "l": [1], "n": None})
        serving(flags, "B", {"one": "x"})
        flags.set_client_data("B", {**flat, "nested": {"a": 1}})
        assert asked.get_boolean_details("A", False).flag_metadata == flat
        assert asked.get_boolean_details("A", False).flag_metadata == flat
        assert asked.get_string_details("B", "").flag_metadata == flat


class TestContexts:
    """Evaluation contexts are arguments."""

    def test_the_targeting_key_is_an_argument(self, flags: FeatureFlagClient) -> None:
        """It is called `user_id`, or as the provider says."""
        flags.create("SEVEN", is_enabled=True)
        flags.add_condition("SEVEN", Condition(user_id="7"))
        flags.add_condition("SEVEN", Condition(targetingKey="7"))
        usual = FlipperProvider(flags)
        named = FlipperProvider(flags, targeting_key="targetingKey")
        eight = EvaluationContext("8")
        for provider in (usual, named):
            details = provider.resolve_boolean_details("SEVEN", False, USER)
            assert (details.value, details.reason) == (True, Reason.TARGETING_MATCH)
            assert provider.resolve_boolean_details("SEVEN", True, eight).value is False

    def test_an_attribute_takes_precedence_over_the_targeting_key(
        self, flags: FeatureFlagClient, asked: OpenFeatureClient
    ) -> None:
        """An argument is what the application calls so."""
        flags.create("SEVEN", is_enabled=True)
        flags.add_condition("SEVEN", Condition(user_id=7))
        context = EvaluationContext("session-1", {"user_id": 7})
        assert asked.get_boolean_value("SEVEN", False, context) is True

    def test_attributes_of_any_name_and_type(
        self, flags: FeatureFlagClient, asked: OpenFeatureClient
    ) -> None:
        """Names of parameters, dates, lists, and paths into nested attributes."""
        flags.create("FLAG", is_enabled=True)
        checks: list[Any] = [
            Condition(feature_name="x"),
            Condition(self="y"),
            Condition(seen__before=datetime(2030, 1, 1, tzinfo=timezone.utc)),
            Condition.from_dict(
                {
                    "user.country": [
                        {"variable": "user.country", "operator": "in", "value": ["SE"]}
                    ]
                }
            ),
        ]
        flags.set_rules("FLAG", [Rule(each, True) for each in checks])
        for attributes in (
            {"feature_name": "x"},
            {"self": "y"},
            {"seen": datetime(2029, 1, 1, tzinfo=timezone.utc)},
            {"user": {"country": "SE", "roles": ["a"]}},
        ):
            context = EvaluationContext(attributes=attributes)
            details = asked.get_boolean_details("FLAG", False, context)
            assert details.value is True, attributes
            assert details.reason == Reason.TARGETING_MATCH
        assert asked.get_boolean_value("FLAG", True, EvaluationContext()) is False

    @pytest.mark.parametrize("attributes", [7, [1, 2], "text"])
    def test_attributes_that_are_no_mapping_are_an_invalid_context(
        self, flags: FeatureFlagClient, attributes: Any
    ) -> None:
        """The default answers, and nothing is raised."""
        flags.create("PRO", is_enabled=True)
        flags.add_condition("PRO", Condition(plan="pro"))
        context = EvaluationContext(attributes=attributes)
        details = FlipperProvider(flags).resolve_boolean_details("PRO", True, context)
        assert details.value is True
        assert details.error_code is ErrorCode.INVALID_CONTEXT

    def test_an_argument_that_a_flag_cannot_use_is_an_invalid_context(
        self, flags: FeatureFlagClient, asked: OpenFeatureClient
    ) -> None:
        """A bucketer hashes JSON, which has no dates."""
        flags.create("SHARE", is_enabled=True)
        share = ConsistentHashPercentageBucketer(percentage=0.5)
        flags.set_bucketer("SHARE", share)
        now = datetime.now(timezone.utc)
        context = EvaluationContext("7", {"now": now})
        details = asked.get_boolean_details("SHARE", True, context)
        assert details.value is True
        assert details.error_code is ErrorCode.INVALID_CONTEXT
        assert "SHARE" in details.error_message

    def test_blocks_of_the_client_hold(
        self, flags: FeatureFlagClient, asked: OpenFeatureClient
    ) -> None:
        """`context` adds arguments, and `memoize` keeps the state of flags."""
        flags.create("PRO", is_enabled=True)
        flags.add_condition("PRO", Condition(plan="pro"))
        with flags.context(plan="free"):
            assert asked.get_boolean_value("PRO", True) is False
            assert asked.get_boolean_value("PRO", False, PRO) is True
        flags.create("ON", is_enabled=True)
        other = FeatureFlagClient(flags._store)
        with flags.memoize():
            assert asked.get_boolean_value("ON", False) is True
            other.disable("ON")
            assert asked.get_boolean_value("ON", False) is True
        assert asked.get_boolean_value("ON", True) is False


class TestErrors:
    """Each error has a code, and the default answers."""

    def test_a_missing_flag(self, asked: OpenFeatureClient) -> None:
        """Its code is FLAG_NOT_FOUND."""
        details = asked.get_boolean_details("MISSING", True)
        assert (details.value, details.reason) == (True, Reason.ERROR)
        assert details.error_code is ErrorCode.FLAG_NOT_FOUND
        assert details.error_message == "Feature 'MISSING' does not exist"

    def test_a_store_that_fails_gives_the_last_known_state(self) -> None:
        """Such an answer is stale, and an unknown flag is an error."""
        store = FailingMemoryStore()
        flags = FeatureFlagClient(store)
        flags.create("ON", is_enabled=True)
        asked = client_of(FlipperProvider(flags))
        assert asked.get_boolean_details("ON", False).reason == Reason.STATIC
        store.failure = ConnectionError("away")
        details = asked.get_boolean_details("ON", False)
        assert (details.value, details.reason) == (True, Reason.STALE)
        details = asked.get_string_details("UNKNOWN", "red")
        assert (details.value, details.error_code) == ("red", ErrorCode.GENERAL)
        assert "ConnectionError: away" in details.error_message
        store.failure = None
        assert asked.get_boolean_details("ON", False).reason == Reason.STATIC

    @pytest.mark.parametrize("on_error", ["default", "raise"])
    def test_a_broken_document(self, on_error: Any) -> None:
        """Its code is PARSE_ERROR, also if the client raises."""
        store = CustomStore()
        store.documents["BROKEN"] = b'{"feature_name": "BROKEN"}'
        flags = FeatureFlagClient(store, on_error=on_error)  # type: ignore[arg-type]
        asked = client_of(FlipperProvider(flags))
        for ask in (asked.get_boolean_details, asked.get_integer_details):
            details: Any = ask("BROKEN", 3)  # type: ignore[operator]
            assert (details.value, details.error_code) == (3, ErrorCode.PARSE_ERROR)

    def test_a_client_that_raises_never_does_so_to_openfeature(self) -> None:
        """Its errors become codes."""
        store = FailingMemoryStore()
        flags = FeatureFlagClient(store, on_error="raise", strict="raise")
        provider = FlipperProvider(flags)
        details = provider.resolve_boolean_details("MISSING", True)
        assert details.error_code is ErrorCode.FLAG_NOT_FOUND
        store.failure = ConnectionError("away")
        for resolve in (
            provider.resolve_boolean_details,
            provider.resolve_float_details,
        ):
            details = resolve("ON", 1.0)  # type: ignore[arg-type]
            assert (details.value, details.error_code) == (1.0, ErrorCode.GENERAL)

    def test_a_circle_of_flags(
        self, flags: FeatureFlagClient, asked: OpenFeatureClient
    ) -> None:
        """Flags that depend on each other are at fault, not the context."""
        for name in ("A", "B"):
            flags.create(name, is_enabled=True)
        flags.add_condition("A", Condition(B__enabled=True))
        # As if two writers had made the circle at once.
        item = flags._store.get("B")
        meta = item.raw_meta
        meta.conditions.append(Condition(A__enabled=True))
        flags._store.set_meta("B", meta)
        details = asked.get_boolean_details("A", True)
        assert details.error_code is ErrorCode.PARSE_ERROR


class TestReading:
    """A question reads its flag once, and evaluates it once."""

    @pytest.mark.parametrize("kind", ["boolean", "string"])
    @pytest.mark.parametrize("is_away", [False, True])
    def test_one_question_is_one_reading(self, kind: str, is_away: bool) -> None:
        """Also of a flag with rules, and while the store fails."""
        store = FailingMemoryStore()
        flags = FeatureFlagClient(store)
        serving(flags, "FLAG", {"one": "x"})
        provider = FlipperProvider(flags)
        reads: list[str] = []
        read = store.get

        def get(feature_name: str) -> Any:
            reads.append(feature_name)
            return read(feature_name)

        store.get = get  # type: ignore[method-assign]
        store.failure = ConnectionError("away") if is_away else None
        getattr(provider, f"resolve_{kind}_details")("FLAG", None)
        assert reads == ["FLAG"]

    def test_hooks_of_the_client_are_called_once(
        self, flags: FeatureFlagClient, asked: OpenFeatureClient
    ) -> None:
        """They get the answer, the variant and the arguments."""
        flags.create("ON", is_enabled=True)
        flags.create("OFF")
        serving(flags, "COLOUR", {"blue": "#00f"})
        assert asked.get_boolean_value("ON", False) is True
        calls: list[Any] = []
        flags.add_hook(lambda evaluation, given: calls.append((evaluation, given)))
        asked.get_boolean_value("ON", False, USER)
        asked.get_boolean_value("OFF", True)
        asked.get_string_value("COLOUR", "", PRO)
        asked.get_boolean_value("MISSING", True)
        assert [(e.feature_name, e.enabled, e.variant) for e, _ in calls] == [
            ("ON", True, None),
            ("OFF", False, None),
            ("COLOUR", "#00f", "blue"),
            ("MISSING", True, None),
        ]
        assert [given for _, given in calls] == [
            {"user_id": "7"},
            {},
            {"plan": "pro", "user_id": "7"},
            {},
        ]

    def test_a_context_of_its_own(
        self, flags: FeatureFlagClient, asked: OpenFeatureClient
    ) -> None:
        """A block belongs to its context, as for any question of the client."""
        flags.create("PRO", is_enabled=True)
        flags.add_condition("PRO", Condition(plan="pro"))
        outside = contextvars.copy_context()
        with flags.context(plan="free"):
            assert outside.run(asked.get_boolean_value, "PRO", False) is True


class TestSpeed:
    """A question makes fewer calls of functions than one of the SDK's own provider."""

    @pytest.mark.parametrize("name", ["ON", "OFF"])
    def test_the_calls_of_a_question(self, flags: FeatureFlagClient, name: str) -> None:
        """So it is not slower, on any machine."""
        flags.create("ON", is_enabled=True)
        flags.create("OFF")
        variants = {"on": True, "off": False}
        rival = InMemoryProvider(
            {each: InMemoryFlag(each.lower(), variants) for each in ("ON", "OFF")}
        )
        own = FlipperProvider(flags)
        calls, most = (
            len(
                calls_of(
                    Workload(lambda: each.resolve_boolean_details(name, False, PRO))  # noqa: B023
                )
            )
            for each in (own, rival)
        )
        assert calls < most


class TestTracking:
    """Tracking events are passed on."""

    def test_the_function_gets_the_event(self, flags: FeatureFlagClient) -> None:
        """It gets the name, the arguments of the context, and the details."""
        calls: list[Any] = []
        provider = FlipperProvider(flags, track=lambda *given: calls.append(given))
        asked = client_of(provider)
        details = TrackingEventDetails(99.5, {"currency": "SEK"})
        asked.track("paid", PRO, details)
        asked.track("left")
        assert calls == [
            ("paid", {"plan": "pro", "user_id": "7"}, details),
            ("left", {}, None),
        ]

    def test_an_error_of_the_function_is_logged(
        self, flags: FeatureFlagClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The caller goes on."""

        def fail(*_: Any) -> None:
            raise ZeroDivisionError

        asked = client_of(FlipperProvider(flags, track=fail))
        asked.track("paid")
        asked.track("paid")
        assert [record.name for record in caplog.records] == [
            "flipper.integrations.openfeature.provider"
        ]
        assert "ZeroDivisionError" in caplog.text

    def test_without_a_function_nothing_happens(self, asked: OpenFeatureClient) -> None:
        """An application may track before somebody listens."""
        asked.track("paid", PRO, TrackingEventDetails(1.0))


class TestLifetime:
    """What a provider owns, it closes."""

    def test_a_given_client_stays_open(self, tmp_path: Any) -> None:
        """The application may share it; the provider may be set again."""
        with FeatureFlagClient.from_url(f"sqlite:///{tmp_path}/flags.db") as flags:
            flags.create("ON", is_enabled=True)
            provider = FlipperProvider(flags)
            for _ in range(2):
                assert client_of(provider).get_boolean_value("ON", False) is True
                api.shutdown()
            assert flags.is_enabled("ON")

    def test_a_client_of_its_own_is_closed(self, tmp_path: Any) -> None:
        """A provider from a URL cannot be set again after its shutdown."""
        provider = FlipperProvider.from_url(f"sqlite:///{tmp_path}/flags.db?sync=1")
        follower = provider._client._store._follower
        client_of(provider)
        assert not follower.is_closed
        api.shutdown()
        assert follower.is_closed
        provider.shutdown()
        with pytest.raises(ProviderFatalError, match="was shut down"):
            provider.initialize(EvaluationContext())

    @pytest.mark.parametrize(
        ("client", "options", "message"),
        [
            (MemoryFeatureFlagStore(), {}, "no FeatureFlagClient"),
            (None, {"targeting_key": ""}, "targeting_key=''"),
            (None, {"targeting_key": 7}, "targeting_key=7"),
            (None, {"track": "paid"}, "track='paid'"),
        ],
    )
    def test_wrong_arguments_are_refused(
        self, client: Any, options: dict[str, Any], message: str
    ) -> None:
        """The error names the argument and the remedy."""
        client = client or FeatureFlagClient(MemoryFeatureFlagStore())
        with pytest.raises(InvalidArgumentError, match=message):
            FlipperProvider(client, **options)

    def test_a_wrong_argument_leaves_nothing_open(
        self, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The client that was made for it is closed."""
        made = []
        from_url = FeatureFlagClient.from_url

        def remember(*arguments: Any, **options: Any) -> FeatureFlagClient:
            made.append(from_url(*arguments, **options))
            return made[0]

        monkeypatch.setattr(FeatureFlagClient, "from_url", remember)
        url = f"sqlite:///{tmp_path}/flags.db?sync=1"
        with pytest.raises(InvalidArgumentError, match="targeting_key"):
            FlipperProvider.from_url(url, targeting_key="")
        assert made[0]._store._follower.is_closed

    def test_the_name_of_the_provider(self, asked: OpenFeatureClient) -> None:
        """Telemetry calls it so."""
        assert asked.provider.get_metadata().name == "flipper"


PROGRAM = """
import sys
sys.modules["openfeature"] = None
import flipper
import flipper.integrations
try:
    import flipper.integrations.openfeature
except ImportError as error:
    print(error)
"""


def test_without_the_package_the_error_names_the_extra() -> None:
    """Only the import of the integration fails."""
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    assert run.stdout == (
        "The package 'openfeature' is not installed; "
        "install it with pip install 'flipper-client[openfeature]'\n"
    )
