# SPDX-License-Identifier: Apache-2.0
"""`RequestBlock`, which integrations put around a request."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from flipper import Condition, FeatureFlagClient, MemoryFeatureFlagStore
from flipper.argument_context import ArgumentsNotFoundError, LazyArguments
from flipper.explanation import Reason
from flipper.request_scope import RequestBlock
from flipper.testing import override_flags


@pytest.fixture
def client() -> FeatureFlagClient:
    """Give a client with a flag for Sweden, one that is on, and one that is off."""
    made = FeatureFlagClient(MemoryFeatureFlagStore())
    made.create("SWEDEN", is_enabled=True)
    made.add_condition("SWEDEN", Condition(country="SE"))
    made.create("NOT_NORWAY", is_enabled=True)
    made.add_condition("NOT_NORWAY", Condition(country__ne="NO"))
    made.create("ON", is_enabled=True)
    made.create("OFF")
    return made


def test_a_scope_can_be_entered_again(client: FeatureFlagClient) -> None:
    """Its flags keep their state until its end."""
    somebody_else = FeatureFlagClient(client._store)
    scope = RequestBlock(client)
    with scope:
        assert client.is_enabled("OFF") is False
    somebody_else.enable("OFF")
    assert client.is_enabled("OFF") is True
    for _ in range(2):
        with scope:
            assert client.is_enabled("OFF") is False
    scope.end()
    with scope:
        assert client.is_enabled("OFF") is True


def test_arguments_are_made_when_a_question_first_needs_them(
    client: FeatureFlagClient,
) -> None:
    """Once, and not for a flag that is on or off for everybody."""
    made = []

    def arguments() -> dict[str, Any]:
        made.append(1)
        return {"country": "SE"}

    with RequestBlock(client, arguments):
        assert client.is_enabled("ON")
        assert not client.is_enabled("OFF")
        assert client.variant("ON") is True
        assert made == []
        assert client.is_enabled("SWEDEN")
        assert client.explain("SWEDEN").enabled
        assert client.variant("SWEDEN") is True
        assert client.evaluate_all(names=["SWEDEN"]) == {"SWEDEN": True}
        assert not client.is_enabled("SWEDEN", country="NO")
        with client.context(country="NO"):
            assert not client.is_enabled("SWEDEN")
    assert made == [1]


def test_a_scope_adds_to_the_arguments_around_it(client: FeatureFlagClient) -> None:
    """Its own take precedence."""
    own = lambda: {"country": "SE"}  # noqa: E731
    client.add_condition("SWEDEN", Condition(age=7))
    with client.context(age=7, country="NO"), RequestBlock(client, own):
        evaluation = client.explain("SWEDEN")
        assert evaluation.enabled
        assert client.is_enabled("NOT_NORWAY")


@pytest.mark.parametrize(
    "wrong", [lambda: {}["missing"], lambda: None, lambda: [("country", "SE")]]
)
def test_arguments_that_cannot_be_made_give_defaults(
    client: FeatureFlagClient, wrong: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """No flag is on because an argument is missing, and no question raises."""
    calls = []

    def make() -> Any:
        calls.append(1)
        return wrong()

    with (
        caplog.at_level(logging.WARNING),
        RequestBlock(client, make),
    ):
        for name in ("SWEDEN", "NOT_NORWAY"):
            assert client.is_enabled(name) is False
            assert client.is_enabled(name, default="default") == "default"
            assert client.variant(name, "default") == "default"
            assert client.explain(name).reason is Reason.ERROR
        expected = {"SWEDEN": False, "NOT_NORWAY": False, "ON": True, "OFF": False}
        assert client.evaluate_all() == expected
        assert client.evaluate_all(names=["ON", "X"]) == {"ON": True, "X": False}
        assert client.explain("ON").reason is Reason.ON
        assert client.explain("X").reason is Reason.MISSING
        with override_flags(client, SWEDEN="blue"):
            assert client.is_enabled("SWEDEN") is True
            assert client.variant("SWEDEN") == "blue"
            assert client.explain("SWEDEN").reason is Reason.OVERRIDDEN
            assert client.evaluate_all()["SWEDEN"] == "blue"
    assert calls == [1]
    assert "could not be read or evaluated" in caplog.text


def test_a_client_that_raises_raises_the_error_of_the_arguments() -> None:
    """As it does for all other errors."""
    client = FeatureFlagClient(MemoryFeatureFlagStore(), on_error="raise")
    client.create("SWEDEN", is_enabled=True)
    client.add_condition("SWEDEN", Condition(country="SE"))

    def broken() -> Any:
        return {}["missing"]

    with RequestBlock(client, broken):
        for question in (client.is_enabled, client.explain, client.variant):
            with pytest.raises(ArgumentsNotFoundError, match="missing"):
                question("SWEDEN")


def test_comparing_arguments_does_not_find_them() -> None:
    """Asgiref compares the values of context variables, also in an event loop."""

    def find() -> Any:
        pytest.fail("nobody has asked")

    arguments, others = LazyArguments(find), LazyArguments(find)
    assert arguments == arguments  # noqa: PLR0124
    assert arguments != others
    assert len({arguments, others}) == 2
