# SPDX-License-Identifier: Apache-2.0
"""Answers and arguments that belong to the present request of a framework."""

from __future__ import annotations

import logging
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest

from flipper import FeatureFlagClient, MemoryFeatureFlagStore
from flipper.argument_context import ArgumentsNotFoundError
from flipper.explanation import Reason
from flipper.request_scope import RequestScope
from flipper.testing import override_flags
from test_argument_context import QUESTIONS, client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flipper.explanation import Evaluation

__all__ = ["client"]  # a fixture

present: ContextVar[RequestScope | None] = ContextVar("present", default=None)


def find(_: int) -> RequestScope | None:
    """Return the scope of the present request, as an integration does."""
    return present.get()


@pytest.fixture
def begin(client: FeatureFlagClient) -> Iterator[Callable[..., RequestScope]]:
    """Return a function that begins a request with these arguments."""
    client._share_in_requests(find, arguments=True)
    token = present.set(None)

    def begin(find_arguments: Any = None) -> RequestScope:
        present.set(RequestScope(find_arguments))
        scope = present.get()
        assert scope is not None
        return scope

    yield begin
    present.reset(token)


@pytest.mark.parametrize("ask", QUESTIONS.values(), ids=QUESTIONS)
def test_every_question_of_a_request_gets_its_arguments(
    client: FeatureFlagClient,
    begin: Callable[..., RequestScope],
    ask: Callable[..., Any],
) -> None:
    """Explicit arguments and those of blocks win; other requests are not concerned."""
    assert ask(client) is True  # no condition applies without the argument
    begin(lambda: {"plan": "free", "user_id": 1})
    assert ask(client) is False
    assert ask(client, plan="pro") is True
    with client.context(plan="pro"):
        assert ask(client) is True
    with client.context(country="SE"):
        assert ask(client) is False
    begin()
    assert ask(client) is True


@pytest.mark.parametrize(
    ("fail", "hooked"),
    [(ZeroDivisionError, False), (KeyError, True), (ConnectionError, False)],
)
@pytest.mark.parametrize("ask", QUESTIONS.values(), ids=QUESTIONS)
def test_the_default_answers_if_the_arguments_cannot_be_found(  # noqa: PLR0913, PLR0917
    client: FeatureFlagClient,
    begin: Callable[..., RequestScope],
    ask: Callable[..., Any],
    fail: type[Exception],
    hooked: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A question without the arguments of its user could read as on: it is no answer.

    The function is called once in the request, and its error is logged.
    """
    calls = []
    seen: list[tuple[Evaluation, dict[str, Any]]] = []

    def find_arguments() -> dict[str, Any]:
        calls.append(1)
        raise fail("user")

    if hooked:
        client.add_hook(lambda evaluation, given: seen.append((evaluation, given)))
    begin(find_arguments)
    with caplog.at_level(logging.WARNING):
        assert ask(client) is False
        with client.context(country="SE"):
            assert ask(client) is False
    assert len(calls) == 1
    assert f"has raised {fail.__name__}" in caplog.text
    assert not hooked or all(given == {} for _, given in seen)
    assert "The hook" not in caplog.text
    begin(dict)
    assert ask(client) is True  # the store did not fail


def test_the_error_of_the_arguments_is_the_reason(
    client: FeatureFlagClient, begin: Callable[..., RequestScope]
) -> None:
    """`explain` says what happened, and flags without conditions still answer."""
    begin(lambda: {}["user"])
    evaluation = client.explain("PRO", "default")
    assert evaluation.enabled == "default"
    assert evaluation.reason is Reason.ERROR
    assert isinstance(evaluation.error, ArgumentsNotFoundError)
    assert isinstance(evaluation.error.__cause__, KeyError)
    assert client.is_enabled("ON") is True
    assert client.is_enabled("MISSING", default="default") == "default"


def test_a_client_that_raises_raises_the_error_of_the_arguments() -> None:
    """`on_error="raise"` concerns this, too."""
    client = FeatureFlagClient(MemoryFeatureFlagStore(), on_error="raise")
    client.create("X", is_enabled=True)
    client.set_bucketer("X", __import__("flipper").bucketing.PercentageBucketer(0.5))
    client._share_in_requests(find, arguments=True)
    token = present.set(RequestScope(lambda: 1 / 0))
    try:
        for ask in (client.is_enabled, client.variant, client.explain):
            with pytest.raises(ArgumentsNotFoundError, match="ZeroDivisionError"):
                ask("X")
    finally:
        present.reset(token)


def test_arguments_that_are_no_dict_are_an_error(
    client: FeatureFlagClient, begin: Callable[..., RequestScope]
) -> None:
    """The message says what a function without `return` has returned."""
    begin(lambda: None)
    error = client.explain("PRO").error
    assert str(error) == (
        "The context of the request has to return a dict of arguments, and has "
        "returned NoneType"
    )


def test_arguments_are_found_by_the_first_question_that_needs_them(
    client: FeatureFlagClient, begin: Callable[..., RequestScope]
) -> None:
    """They may need a database; a request that does not need them must not pay."""
    calls = []
    begin(lambda: calls.append(1) or {"plan": "free"})
    assert client.is_enabled("ON") is True
    assert client.is_enabled("MISSING") is False
    with client.context(country="SE"):
        assert client.is_enabled("OFF") is False
    assert calls == []
    assert client.is_enabled("PRO") is False
    assert client.variant("PRO", False) is False
    assert calls == [1]


def test_the_function_that_finds_arguments_may_ask_questions(
    client: FeatureFlagClient, begin: Callable[..., RequestScope]
) -> None:
    """Its questions get no arguments, instead of calling it forever."""
    found = []

    def find_arguments() -> dict[str, Any]:
        found.append(client.is_enabled("PRO"))
        return {"plan": "free"}

    begin(find_arguments)
    assert client.is_enabled("PRO") is False
    assert found == [True]
    begin(find_arguments)
    with client.context(country="SE"):
        assert client.is_enabled("PRO") is False
    assert found == [True, True]


def test_overrides_of_tests_need_no_arguments(
    client: FeatureFlagClient, begin: Callable[..., RequestScope]
) -> None:
    """A test of a page does not depend on what the context needs."""
    begin(lambda: 1 / 0)
    with override_flags(client, PRO=True, COLOUR="blue"):
        assert client.variant("COLOUR", None) == "blue"
        assert client.explain("PRO").reason is Reason.OVERRIDDEN
        assert client.is_enabled("PRO") is True


def test_a_request_has_one_answer_for_each_flag(
    client: FeatureFlagClient, begin: Callable[..., RequestScope]
) -> None:
    """Its own writes are seen, and those of others by the next request."""
    store = client._store
    other = FeatureFlagClient(store)
    scope = begin()
    assert client.is_enabled("OFF") is False
    other.enable("OFF")
    assert client.is_enabled("OFF") is False
    with client.memoize():
        assert client.is_enabled("OFF") is False
    client.disable("ON")
    assert client.is_enabled("ON") is False
    begin()
    assert client.is_enabled("OFF") is True
    other.disable("OFF")
    assert client.is_enabled("OFF") is True
    present.set(scope)  # the first one goes on, as a streamed response does
    assert client.is_enabled("OFF") is False
    scope.end()
    other.enable("OFF")
    assert client.is_enabled("OFF") is True
    present.set(None)
    other.disable("OFF")
    assert client.is_enabled("OFF") is False


def test_threads_of_one_request_find_its_arguments_once(
    client: FeatureFlagClient, begin: Callable[..., RequestScope]
) -> None:
    """The first result counts for all of them, also if two of them search at once."""
    both = threading.Barrier(2)
    values = iter(["free", "pro"])

    def find_arguments() -> dict[str, Any]:
        value = next(values)
        both.wait(10)
        return {"plan": value}

    scope = begin(find_arguments)
    answers = []

    def ask() -> None:
        present.set(scope)
        answers.append(client.is_enabled("PRO"))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers[0] is answers[1]
    assert client.is_enabled("PRO") is answers[0]


def test_sharing_is_idempotent(
    client: FeatureFlagClient, begin: Callable[..., RequestScope]
) -> None:
    """Many apps of one test run may have the same client."""
    before = client._memoization.current, client._context.current
    client._share_in_requests(find, arguments=True)
    assert (client._memoization.current, client._context.current) == before


def test_a_client_may_be_used_in_two_frameworks(
    client: FeatureFlagClient, begin: Callable[..., RequestScope]
) -> None:
    """The request of either of them counts."""
    client._share_in_requests(lambda _: None, arguments=False)
    client._share_in_requests(find, arguments=True)
    begin(lambda: {"plan": "free"})
    assert client.is_enabled("PRO") is False
