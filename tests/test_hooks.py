# SPDX-License-Identifier: Apache-2.0
"""Hooks: functions that are called after each question."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from flipper import (
    Condition,
    FeatureFlagClient,
    FlagDoesNotExistError,
    MemoryFeatureFlagStore,
)
from flipper.exceptions import InvalidArgumentError
from flipper.explanation import Evaluation, Reason
from flipper.rules import Rule, Rules
from flipper.testing import override_flags
from support.custom_stores import FailingMemoryStore, ForwardingStore
from test_speed_guard import Workload, calls_of

if TYPE_CHECKING:
    from collections.abc import Callable


class Recorder:
    """A hook that records its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[Evaluation, dict[str, Any]]] = []

    def record(self, evaluation: Evaluation, arguments: dict[str, Any]) -> None:
        """Record a call."""
        self.calls.append((evaluation, arguments))

    def answers(self) -> list[tuple[str, Any, Reason, str | None]]:
        """Return name, answer, reason and variant of the calls, and forget them."""
        calls, self.calls = self.calls, []
        return [(e.feature_name, e.enabled, e.reason, e.variant) for e, _ in calls]


@pytest.fixture
def client() -> FeatureFlagClient:
    """Return a client with a flag of each kind."""
    client = FeatureFlagClient(MemoryFeatureFlagStore())
    for name in ("ON", "PRO", "COLOUR", "DEPENDENT"):
        client.create(name, is_enabled=True)
    client.create("OFF")
    client.create("OFF_COLOUR")
    client.add_condition("PRO", Condition(plan="pro"))
    client.add_condition("DEPENDENT", Condition(PRO__enabled=True))
    rules = Rules(
        [Rule(Condition(plan="pro"), "blue")],
        variants={"blue": {"size": 1}, "none": "nothing"},
        off="none",
    )
    client.set_rules("COLOUR", rules)
    client.set_rules("OFF_COLOUR", rules)
    return client


@pytest.fixture
def recorder(client: FeatureFlagClient) -> Recorder:
    """Return a hook of the client."""
    recorder = Recorder()
    client.add_hook(recorder.record)
    return recorder


def test_a_hook_gets_the_answer_and_the_arguments(
    client: FeatureFlagClient, recorder: Recorder
) -> None:
    """A hook sees exactly what the caller gets, once for each question."""
    assert client.is_enabled("ON", user_id=1) is True
    assert client.is_enabled("PRO", plan="free") is False
    assert client.is_enabled("MISSING", default="default") == "default"
    assert client.get("ON").is_enabled() is True
    assert [arguments for _, arguments in recorder.calls] == [
        {"user_id": 1},
        {"plan": "free"},
        {},
        {},
    ]
    assert recorder.answers() == [
        ("ON", True, Reason.ON, None),
        ("PRO", False, Reason.CONDITION_NOT_MATCHED, None),
        ("MISSING", "default", Reason.MISSING, None),
        ("ON", True, Reason.ON, None),
    ]
    evaluation = client.explain("ON")
    assert recorder.calls == [(evaluation, {})]


ARGUMENTS: list[dict[str, Any]] = [{}, {"plan": "pro"}, {"plan": "free"}]


@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_hooks_change_no_answer(
    client: FeatureFlagClient, arguments: dict[str, Any]
) -> None:
    """A client with a hook answers as a client without one."""
    observed = FeatureFlagClient(client._store)
    recorder = Recorder()
    observed.add_hook(recorder.record)
    names = ["ON", "OFF", "PRO", "COLOUR", "OFF_COLOUR", "DEPENDENT", "MISSING"]
    for name in names:
        for default in (False, True, "default"):
            for method in ("is_enabled", "variant"):
                expected = getattr(client, method)(name, default, **arguments)
                got = getattr(observed, method)(name, default, **arguments)
                assert got == expected
                assert type(got) is type(expected)
                ((evaluation, _),) = recorder.calls
                assert (evaluation.feature_name, evaluation.enabled) == (name, got)
                recorder.calls.clear()
    expected = client.evaluate_all(**arguments)
    assert observed.evaluate_all(**arguments) == expected
    assert {n: answer for n, answer, _, _ in recorder.answers()} == expected
    assert observed.evaluate_all(names=iter(names), **arguments) == {
        **expected,
        "MISSING": False,
    }
    assert [name for name, _, _, _ in recorder.answers()] == names


def test_a_hook_gets_the_variant(client: FeatureFlagClient, recorder: Recorder) -> None:
    """For `variant`, the answer is the value, and the variant its name."""
    assert client.variant("COLOUR", plan="pro") == {"size": 1}
    assert client.variant("OFF_COLOUR") == "nothing"
    assert client.variant("MISSING", "default") == "default"
    assert client.variant("ON") is True
    assert recorder.answers() == [
        ("COLOUR", {"size": 1}, Reason.RULE, "blue"),
        ("OFF_COLOUR", "nothing", Reason.DISABLED, "none"),
        ("MISSING", "default", Reason.MISSING, None),
        ("ON", True, Reason.ON, None),
    ]


def test_a_hook_gets_overrides_and_added_arguments(
    client: FeatureFlagClient, recorder: Recorder
) -> None:
    """What the test and the request say is part of the question."""
    with client.context(plan="free"), override_flags(client, ON=False, X="blue"):
        client.is_enabled("ON")
        client.is_enabled("PRO", user_id=1)
        assert client.variant("X") == "blue"
        assert recorder.calls[1][1] == {"plan": "free", "user_id": 1}
        assert recorder.answers() == [
            ("ON", False, Reason.OVERRIDDEN, None),
            ("PRO", False, Reason.CONDITION_NOT_MATCHED, None),
            ("X", "blue", Reason.OVERRIDDEN, None),
        ]
        all_answers = client.evaluate_all()
    assert all_answers["ON"] is False
    assert all_answers["X"] == "blue"
    names = [name for name, _, _, _ in recorder.answers()]
    assert sorted(names) == sorted(all_answers)


def test_flags_that_a_flag_depends_on_are_no_questions(
    client: FeatureFlagClient, recorder: Recorder
) -> None:
    """A prerequisite belongs to the question about the flag."""
    assert client.is_enabled("DEPENDENT", plan="pro") is True
    assert [name for name, _, _, _ in recorder.answers()] == ["DEPENDENT"]


def test_a_flag_is_read_once_for_a_question() -> None:
    """A hook costs no request to the store."""
    client = FeatureFlagClient(store := ForwardingStore())
    client.create("X", is_enabled=True)
    client.add_hook(Recorder().record)
    store.calls.clear()
    client.is_enabled("X")
    client.variant("X")
    client.evaluate_all()
    assert store.calls == ["get", "get"]


def test_failures_are_answers_too(caplog: pytest.LogCaptureFixture) -> None:
    """A hook gets the reason of a default."""
    client = FeatureFlagClient(store := FailingMemoryStore())
    recorder = Recorder()
    client.add_hook(recorder.record)
    error = store.failure = ValueError("no")
    assert client.is_enabled("X", default="default") == "default"
    assert client.variant("X", "default") == "default"
    assert [evaluation.error for evaluation, _ in recorder.calls] == [error, error]
    assert recorder.answers() == [("X", "default", Reason.ERROR, None)] * 2
    caplog.clear()


@pytest.mark.parametrize("method", ["is_enabled", "variant"])
def test_a_strict_client_reports_missing_flags(method: str) -> None:
    """A client with `strict="raise"` raises as without hooks."""
    client = FeatureFlagClient(MemoryFeatureFlagStore(), strict="raise")
    client.add_hook(Recorder().record)
    with pytest.raises(FlagDoesNotExistError):
        getattr(client, method)("X")


def test_an_error_of_a_hook_is_logged_and_changes_nothing(
    client: FeatureFlagClient, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    """Observability must not take an application down, nor fill its log."""

    def fail(evaluation: Evaluation, arguments: dict[str, Any]) -> None:
        arguments.clear()
        raise RuntimeError(evaluation.feature_name)

    client.remove_hook(recorder.record)
    client.add_hook(fail)
    client.add_hook(recorder.record)
    for _ in range(3):
        assert client.is_enabled("PRO", plan="pro") is True
    assert [arguments for _, arguments in recorder.calls] == [{"plan": "pro"}] * 3
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("flipper.client", "WARNING")
    assert "has raised an error for feature 'PRO' (RuntimeError)" in record.getMessage()
    assert record.exc_info is not None
    assert record.__dict__["feature_name"] == "PRO"


def test_a_hook_may_ask_questions(client: FeatureFlagClient) -> None:
    """Its questions call no hooks, or they would never end."""
    seen = []

    def ask(evaluation: Evaluation, arguments: dict[str, Any]) -> None:
        seen.append((evaluation.feature_name, client.is_enabled("PRO", **arguments)))
        client.evaluate_all()

    client.add_hook(ask)
    client.add_hook(ask)
    assert client.is_enabled("ON", plan="pro") is True
    assert seen == [("ON", True), ("ON", True)]


def test_hooks_are_removed(client: FeatureFlagClient, recorder: Recorder) -> None:
    """Without hooks, questions are answered as before the first one."""
    client.remove_hook(recorder.record)
    client.remove_hook(recorder.record)
    assert client.is_enabled("ON") is True
    assert client.variant("ON") is True
    assert not recorder.calls
    assert client._reader is client._store_reader
    client.add_hook(recorder.record)
    assert client.is_enabled("ON") is True
    assert len(recorder.calls) == 1


async def coroutine_function(*_: Any) -> None:
    """Do nothing."""


@pytest.mark.parametrize("hook", [None, "hook", 1, coroutine_function])
def test_what_cannot_be_called_is_no_hook(client: FeatureFlagClient, hook: Any) -> None:
    """Nobody would await a coroutine function, so it would never run."""
    with pytest.raises(InvalidArgumentError, match="cannot be a hook"):
        client.add_hook(hook)
    assert client._reader is client._store_reader


def test_hooks_may_be_added_in_any_thread(client: FeatureFlagClient) -> None:
    """No hook gets lost when several are added at once."""
    recorders = [Recorder() for _ in range(20)]
    barrier = threading.Barrier(20)

    def add(recorder: Recorder) -> None:
        barrier.wait(10)
        client.add_hook(recorder.record)

    threads = [threading.Thread(target=add, args=[each]) for each in recorders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    client.is_enabled("ON")
    assert [len(each.calls) for each in recorders] == [1] * 20


def test_a_client_without_hooks_pays_nothing(
    client: FeatureFlagClient, recorder: Recorder
) -> None:
    """The costs of `is_enabled` are those of a client that has no hooks."""
    other = FeatureFlagClient(client._store)
    question: Callable[[], Any] = lambda: other.is_enabled("ON")  # noqa: E731
    assert len(calls_of(Workload(question))) == 2
    assert not recorder.calls
