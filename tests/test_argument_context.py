# SPDX-License-Identifier: Apache-2.0
"""`context`: arguments that are added to every question of a request."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from flipper import Condition, FeatureFlagClient, MemoryFeatureFlagStore
from flipper.bucketing import PercentageBucketer
from flipper.exceptions import FlipperError
from flipper.explanation import Reason
from flipper.rules import Rule, Rules
from flipper.testing import override_flags
from support.custom_stores import ForwardingStore
from test_speed_guard import Workload, calls_of

if TYPE_CHECKING:
    from collections.abc import Callable

QUESTIONS: dict[str, Callable[..., Any]] = {
    "is_enabled": lambda client, **more: client.is_enabled("PRO", **more),
    "handle": lambda client, **more: client.get("PRO").is_enabled(**more),
    "explain": lambda client, **more: client.explain("PRO", **more).enabled,
    "variant": lambda client, **more: client.variant("PRO", False, **more),
    "evaluate_all": lambda client, **more: client.evaluate_all(**more)["PRO"],
    "evaluate_all of names": lambda client, **more: client.evaluate_all(
        names=["PRO"], **more
    )["PRO"],
    "prerequisite": lambda client, **more: client.is_enabled("DEPENDENT", **more),
    "explained prerequisite": lambda client, **more: (
        client.explain("DEPENDENT", **more).enabled
    ),
}


@pytest.fixture
def client() -> FeatureFlagClient:
    """Return a client with a flag that is on for one plan."""
    client = FeatureFlagClient(MemoryFeatureFlagStore())
    for name in ("PRO", "DEPENDENT", "ON"):
        client.create(name, is_enabled=True)
    client.create("OFF")
    client.add_condition("PRO", Condition(plan="pro"))
    client.add_condition("DEPENDENT", Condition(PRO__enabled=True))
    return client


@pytest.mark.parametrize("memoizes", [False, True])
@pytest.mark.parametrize("ask", QUESTIONS.values(), ids=QUESTIONS)
def test_arguments_are_added_to_every_question(
    client: FeatureFlagClient, ask: Callable[..., Any], memoizes: bool
) -> None:
    """An explicit argument wins, and then that of the innermost block."""
    with client.context(plan="free"):
        if memoizes:
            client.memoize().__enter__()
        assert ask(client) is False
        assert ask(client, plan="pro") is True
        assert ask(client, user_id=1) is False
        with client.context(plan="pro", user_id=1):
            assert ask(client) is True
            assert ask(client, plan="free") is False
            with client.context(user_id=2):
                assert ask(client) is True
        assert ask(client) is False
    assert ask(client) is True  # no condition applies without the argument


def test_other_flags_are_answered_as_before(client: FeatureFlagClient) -> None:
    """Arguments do not matter for a flag that is just on, off or missing."""
    with client.context(plan="pro", default="x"):
        assert client.is_enabled("ON") is True
        assert client.is_enabled("OFF") is False
        assert client.is_enabled("MISSING", default="default") == "default"
        assert client.explain("MISSING").reason is Reason.MISSING
        with override_flags(client, PRO=False, ON=False):
            assert client.is_enabled("PRO") is False
            assert client.explain("ON").reason is Reason.OVERRIDDEN


def test_arguments_may_have_any_name() -> None:
    """Names of parameters are names of arguments, too."""
    client = FeatureFlagClient(MemoryFeatureFlagStore())
    client.create("X", is_enabled=True)
    names = dict.fromkeys(("self", "default", "names", "feature_name", "a-b"), 1)
    client.add_condition("X", Condition(**names))
    with client.context(**names):
        assert client.is_enabled("X") is True
        assert client.explain("X").reason is Reason.CONDITION_MATCHED
    with client.context(**{**names, "default": 2}):
        assert client.is_enabled("X", "default") is False


def test_a_method_that_was_taken_before_adds_arguments(
    client: FeatureFlagClient,
) -> None:
    """Modules may keep `client.is_enabled` when they are imported."""
    ask = client.is_enabled
    with client.context(plan="free"):
        assert ask("PRO") is False


def test_subclasses_see_the_arguments_of_the_question_only() -> None:
    """An `is_enabled` of an application is called with what the caller has given."""
    seen = []

    class Own(FeatureFlagClient):
        def is_enabled(self, *args: Any, **conditions: Any) -> Any:
            seen.append(conditions)
            return super().is_enabled(*args, **conditions)

    client = Own(MemoryFeatureFlagStore())
    client.create("X", is_enabled=True)
    client.add_condition("X", Condition(plan="pro"))
    with client.context(plan="free"):
        assert client.is_enabled("X", user_id=1) is False
    assert seen == [{"user_id": 1}]


def test_own_items_get_the_arguments() -> None:
    """Flags of a store of an application decide with all arguments."""

    class Item:
        feature_name = "X"

        def is_enabled(self, /, **arguments: Any) -> Any:
            return arguments == {"plan": "pro", "user_id": 1}

    class Store(MemoryFeatureFlagStore):
        def get(self, feature_name: str) -> Any:
            return Item() if feature_name == "X" else None

    client = FeatureFlagClient(Store())
    with client.context(plan="pro"):
        assert client.is_enabled("X", user_id=1) is True
        assert client.explain("X", user_id=1).enabled is True
        assert client.variant("X", user_id=1) is True
        assert client.is_enabled("X") is False


def test_variants_and_rules_get_the_arguments() -> None:
    """Rules decide with all arguments."""
    client = FeatureFlagClient(MemoryFeatureFlagStore())
    client.create("X", is_enabled=True)
    client.set_rules("X", Rules([Rule(Condition(country="SE"), "blue")], "red"))
    with client.context(country="SE"):
        assert client.variant("X") == "blue"
        assert client.variant("X", country="NO") == "red"
        assert client.evaluate_all() == {"X": "blue"}
        assert client.evaluate_all(country="NO") == {"X": "red"}


def test_an_error_gives_the_default(client: FeatureFlagClient) -> None:
    """A question never raises, whatever the arguments are."""
    client.add_condition("PRO", Condition(seats__gt=3))
    with client.context(seats="many"):
        assert client.is_enabled("PRO", default="default") == "default"


def test_random_answers_of_a_block_depend_on_its_arguments() -> None:
    """Added arguments make another question, in a memoized block as well."""
    client = FeatureFlagClient(MemoryFeatureFlagStore())
    client.create("X", is_enabled=True)
    client.set_bucketer("X", PercentageBucketer(0.5))
    answers = set()
    with client.memoize():
        for user_id in range(60):
            with client.context(user_id=user_id):
                answer = client.is_enabled("X")
                assert client.is_enabled("X") is client.explain("X").enabled is answer
            assert client.is_enabled("X", user_id=user_id) is answer
            answers.add(answer)
    assert answers == {True, False}


def test_a_block_ends_after_an_error(client: FeatureFlagClient) -> None:
    """An error in a request has no effect on the next one."""

    def fail() -> None:
        with client.context(plan="free"):
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert client.is_enabled("PRO") is True


def test_a_block_cannot_begin_twice_at_once(client: FeatureFlagClient) -> None:
    """An object that is shared by two requests would mix them up."""
    block = client.context(plan="free")
    with block, pytest.raises(FlipperError, match="has begun already"):
        block.__enter__()
    with block:
        assert client.is_enabled("PRO") is False
    block.__exit__(None, None, None)
    assert client.is_enabled("PRO") is True


def test_a_block_may_end_in_another_context(client: FeatureFlagClient) -> None:
    """Frameworks end generators in other contexts than they begin them."""
    block = client.context(plan="free")
    contextvars.copy_context().run(block.__enter__)
    block.__exit__(None, None, None)
    assert client.is_enabled("PRO") is True


def test_clients_do_not_share_arguments(client: FeatureFlagClient) -> None:
    """A block holds for the client that began it."""
    other = FeatureFlagClient(client._store)
    with other.context(user_id=1), client.context(plan="free"):
        assert client.is_enabled("PRO") is False
        assert other.is_enabled("PRO") is True


def test_threads_do_not_share_arguments(client: FeatureFlagClient) -> None:
    """Each request in a thread has its own user."""
    barrier = threading.Barrier(6)

    def request(number: int) -> None:
        barrier.wait(10)
        plan = "pro" if number % 2 else "free"
        for _ in range(200):
            with client.context(plan=plan):
                assert client.is_enabled("PRO") is (plan == "pro")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(request, range(6)))


def test_tasks_of_a_request_have_its_arguments(client: FeatureFlagClient) -> None:
    """Tasks that begin in a block keep its arguments, also when it is over."""

    async def ask(expected: bool) -> None:
        await asyncio.sleep(0)
        assert client.is_enabled("PRO") is expected

    async def request(number: int) -> asyncio.Task[None]:
        plan = "pro" if number % 2 else "free"
        with client.context(plan=plan):
            await asyncio.gather(*(ask(plan == "pro") for _ in range(3)))
            await asyncio.to_thread(lambda: asyncio.run(ask(plan == "pro")))
            return asyncio.create_task(ask(plan == "pro"))

    async def serve() -> None:
        for task in await asyncio.gather(*map(request, range(10))):
            await task

    asyncio.run(serve())


def test_replaced_methods_and_failures_keep_the_arguments() -> None:
    """The arguments are added whatever object reads the store."""
    store = ForwardingStore()
    client = FeatureFlagClient(store)
    client.create("X", is_enabled=True)
    client.add_condition("X", Condition(plan="pro"))
    with client.context(plan="free"):
        client.refresh_reader()
        assert client.is_enabled("X") is False


def test_a_client_without_a_context_pays_nothing(client: FeatureFlagClient) -> None:
    """The costs of `is_enabled` are those of a client that has no contexts."""
    other = FeatureFlagClient(client._store)
    with other.context(plan="pro"):
        calls = calls_of(Workload(lambda: client.is_enabled("PRO", plan="pro")))
    assert len(calls) == 3
    assert client._reader is client._store_reader
