# SPDX-License-Identifier: Apache-2.0
"""`memoize_tasks` on tasks that run eagerly, in this process."""

from __future__ import annotations

import importlib
import logging
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import celery
import pytest

from flipper import Condition, FeatureFlagClient, MemoryFeatureFlagStore
from flipper.exceptions import InvalidArgumentError, MissingDependencyError
from flipper.integrations.celery import memoize_tasks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from celery import Celery


class CountingStore(MemoryFeatureFlagStore):
    """Counts the flags that are read, and the times they are read several at once."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[str] = []

    def get(self, feature_name: str) -> Any:
        """Read a flag."""
        self.reads.append(feature_name)
        return super().get(feature_name)

    def get_many(self, feature_names: Any) -> dict[str, Any]:
        """Read several flags."""
        names = list(feature_names)
        self.reads.append("+".join(names))
        return {name: MemoryFeatureFlagStore.get(self, name) for name in names}


@pytest.fixture
def store() -> CountingStore:
    """Give a store with three flags, one of which has a condition."""
    store = CountingStore()
    store.create("NEW_CHECKOUT", True)
    store.create("BETA", True)
    client = FeatureFlagClient(store)
    client.create("SWEDISH_SHOP", is_enabled=True)
    client.add_condition("SWEDISH_SHOP", Condition(country="SE"))
    store.reads.clear()
    return store


@pytest.fixture
def features(store: CountingStore) -> FeatureFlagClient:
    """Give a client of the store."""
    return FeatureFlagClient(store)


@pytest.fixture
def others(store: CountingStore) -> FeatureFlagClient:
    """Give a client of the store whose writes the first one does not see in a task."""
    return FeatureFlagClient(store)


@pytest.fixture
def app() -> Iterator[Celery]:
    """Give a Celery app."""
    with celery.Celery("flags") as app:
        yield app


@contextmanager
def memoized(client: FeatureFlagClient, **settings: Any) -> Iterator[None]:
    """Memoize tasks for a while."""
    undo = memoize_tasks(client, **settings)
    try:
        yield
    finally:
        undo()


def run(task: Any, *args: Any, **kwargs: Any) -> Any:
    """Run a task eagerly, as with `task_always_eager`."""
    return task.apply(args, kwargs).get()


def test_a_flag_is_read_once_in_a_task(
    app: Celery,
    features: FeatureFlagClient,
    others: FeatureFlagClient,
    store: CountingStore,
) -> None:
    """A change during a task is seen by the next task only."""

    @app.task
    def ask() -> list[bool]:
        answers = [features.is_enabled("NEW_CHECKOUT")]
        others.disable("NEW_CHECKOUT")
        store.reads.clear()
        return [*answers, features.is_enabled("NEW_CHECKOUT")]

    with memoized(features):
        assert run(ask) == [True, True]
        assert store.reads == []
        assert run(ask) == [False, False]
    others.enable("NEW_CHECKOUT")
    assert run(ask) == [True, False]  # without it, as before


def test_all_tasks_are_memoized_whatever_their_class_and_app(
    app: Celery, features: FeatureFlagClient, others: FeatureFlagClient
) -> None:
    """That holds for tasks made before and after, shared ones, and other classes."""

    def body() -> list[bool]:
        answers = [features.is_enabled("NEW_CHECKOUT")]
        others.disable("NEW_CHECKOUT")
        answers.append(features.is_enabled("NEW_CHECKOUT"))
        others.enable("NEW_CHECKOUT")
        return answers

    class Base(celery.Task):
        abstract = True

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return super().__call__(*args, **kwargs)

    before = app.task(body, name="before", lazy=False)
    with memoized(features), celery.Celery("other") as other:
        tasks = [
            before,
            app.task(body, name="after"),
            app.task(body, name="based", base=Base),
            other.task(body, name="other"),
            celery.shared_task(body, name="shared"),
        ]
        assert [run(task) for task in tasks] == [[True, True]] * len(tasks)


def test_a_task_within_a_task_sees_what_the_outer_one_has_read(
    app: Celery, features: FeatureFlagClient, others: FeatureFlagClient
) -> None:
    """The outer task goes on as before when the inner one is over."""

    @app.task
    def inner() -> bool:
        return features.is_enabled("NEW_CHECKOUT")

    @app.task
    def outer() -> list[bool]:
        answers = [features.is_enabled("NEW_CHECKOUT")]
        others.disable("NEW_CHECKOUT")
        return [*answers, inner.apply().result, features.is_enabled("NEW_CHECKOUT")]

    with memoized(features):
        assert run(outer) == [True, True, True]
        assert run(inner) is False


def test_an_attempt_that_is_retried_ends_its_block(
    app: Celery, features: FeatureFlagClient, others: FeatureFlagClient
) -> None:
    """The next attempt reads the flags anew, and so does what comes after the task."""
    attempts = []

    @app.task(bind=True, max_retries=2)
    def retried(task: Any) -> bool:
        attempts.append(features.is_enabled("NEW_CHECKOUT"))
        others.disable("NEW_CHECKOUT")
        raise task.retry(countdown=0)

    with memoized(features):
        retried.apply()
        assert attempts == [True, False, False]
        assert not features.is_enabled("NEW_CHECKOUT")


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_the_block_ends_whatever_a_task_raises(
    app: Celery,
    features: FeatureFlagClient,
    others: FeatureFlagClient,
    error: BaseException,
) -> None:
    """After a failed task, the store is read again, without its arguments."""

    @app.task
    def fail() -> None:
        assert features.is_enabled("NEW_CHECKOUT")
        assert not features.is_enabled("SWEDISH_SHOP")
        raise error

    with memoized(features, context=lambda task: {"country": "NO"}):
        with suppress(KeyboardInterrupt):
            assert fail.apply().result is error
        others.disable("NEW_CHECKOUT")
        assert not features.is_enabled("NEW_CHECKOUT")
        assert features.is_enabled("SWEDISH_SHOP")  # without a country


def test_the_context_gives_the_arguments(
    app: Celery, features: FeatureFlagClient
) -> None:
    """It finds the arguments and the headers of the task in its request."""

    @app.task
    def ask(country: str) -> list[bool]:
        return [
            features.is_enabled("SWEDISH_SHOP"),
            features.is_enabled("SWEDISH_SHOP", country="SE"),
        ]

    def by_arguments(task: Any) -> dict[str, Any]:
        return {"country": task.request.args[0]}

    with memoized(features, context=by_arguments):
        assert run(ask, "SE") == [True, True]
        assert run(ask, "NO") == [False, True]
    with memoized(features, context=lambda task: task.request.headers):
        assert ask.apply(["NO"], headers={"country": "SE"}).result == [True, True]


@pytest.mark.parametrize(
    ("context", "message"),
    [
        (lambda task: task.request.kwargs["country"], "KeyError: 'country'"),
        (lambda task: None, "has returned NoneType"),
    ],
)
def test_without_the_arguments_no_question_that_needs_them_is_answered(
    app: Celery,
    features: FeatureFlagClient,
    caplog: pytest.LogCaptureFixture,
    context: Any,
    message: str,
) -> None:
    """A condition cannot be missed because the context fails; the next task is well."""

    @app.task
    def ask(**_: Any) -> list[Any]:
        answers = [
            features.is_enabled("NEW_CHECKOUT"),
            features.is_enabled("SWEDISH_SHOP"),
            features.is_enabled("SWEDISH_SHOP", default=True),
            features.variant("SWEDISH_SHOP", "default"),
            features.evaluate_all(),
        ]
        with features.memoize(preload=["SWEDISH_SHOP"]):
            return [*answers, features.is_enabled("SWEDISH_SHOP")]

    states = {"NEW_CHECKOUT": True, "BETA": True, "SWEDISH_SHOP": False}
    caplog.set_level(logging.WARNING)
    with memoized(features, context=context):
        assert run(ask) == [True, False, True, "default", states, False]
    assert message in caplog.text
    assert features.is_enabled("SWEDISH_SHOP")
    with memoized(features, context=lambda task: {"country": "SE"}):
        assert run(ask)[1]


def test_the_context_is_that_of_the_task_and_not_of_a_call_in_it(
    app: Celery, features: FeatureFlagClient
) -> None:
    """A task that is called as a function belongs to the task that calls it."""

    @app.task(bind=True)
    def ask(task: Any, country: str) -> bool:
        if country == "SE":
            return bool(task("NO"))
        return features.is_enabled("SWEDISH_SHOP")

    with memoized(features, context=lambda task: {"country": task.request.args[0]}):
        assert run(ask, "SE") is True


def test_a_client_that_raises_lets_such_a_task_fail(
    app: Celery, store: CountingStore
) -> None:
    """The error says what the context has raised."""
    features = FeatureFlagClient(store, on_error="raise")

    @app.task
    def ask() -> bool:
        return features.is_enabled("SWEDISH_SHOP")

    def fail(task: Any) -> dict[str, Any]:
        raise LookupError(task.name)

    with memoized(features, context=fail):
        error = ask.apply().result
    assert "LookupError: test_celery.ask" in str(error)


def test_flags_are_preloaded_in_one_round_trip(
    app: Celery, features: FeatureFlagClient, store: CountingStore
) -> None:
    """Each task reads the chosen flags at its beginning."""

    @app.task
    def ask() -> list[bool]:
        return [features.is_enabled(name) for name in ("NEW_CHECKOUT", "BETA")]

    names = (name for name in ("NEW_CHECKOUT", "BETA"))
    with memoized(features, preload=names):
        store.reads.clear()
        assert [run(ask), run(ask)] == [[True, True]] * 2
        assert store.reads == ["NEW_CHECKOUT+BETA"] * 2


def test_several_clients_are_memoized(
    app: Celery, features: FeatureFlagClient, others: FeatureFlagClient
) -> None:
    """Each client has its own context."""

    @app.task
    def ask() -> list[bool]:
        return [client.is_enabled("SWEDISH_SHOP") for client in (features, others)]

    with (
        memoized(features, context=lambda task: {"country": "SE"}),
        memoized(others, context=lambda task: {"country": "NO"}),
    ):
        assert run(ask) == [True, False]


async def _async_context(task: Any) -> dict[str, Any]:
    return {}


@pytest.mark.parametrize(
    "settings",
    [
        {"context": {"country": "SE"}},
        {"context": _async_context},
        {"preload": "NEW_CHECKOUT"},
        {"preload": [1]},
    ],
)
def test_wrong_arguments_are_refused(
    app: Celery, features: FeatureFlagClient, settings: dict[str, Any]
) -> None:
    """The error comes at the start, and nothing is memoized then."""
    with pytest.raises(InvalidArgumentError, match="use a "):
        memoize_tasks(features, **settings)
    assert not celery.signals.task_prerun.receivers


def test_without_celery_the_error_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The import fails with the command that installs what is missing."""
    monkeypatch.setitem(sys.modules, "celery", None)
    monkeypatch.delitem(sys.modules, "flipper.integrations.celery")
    with pytest.raises(MissingDependencyError, match=r"flipper-client\[celery\]"):
        importlib.import_module("flipper.integrations.celery")
