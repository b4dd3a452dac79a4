# SPDX-License-Identifier: Apache-2.0
"""The provider in an event loop, which no question may block."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
from openfeature import api

from flipper import (
    FeatureFlagClient,
    MemoryFeatureFlagStore,
    SyncedFeatureFlagStore,
)
from flipper.integrations.openfeature import FlipperProvider
from flipper.rules import Rules
from support.custom_stores import FailingMemoryStore
from support.openfeature_api import set_provider

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT = 30.0  # seconds
VALUES = {
    "boolean": True,
    "string": "blue",
    "integer": 3,
    "float": 0.5,
    "object": {"size": 1},
}


class SlowStore(MemoryFeatureFlagStore):
    """A store whose answer takes until it is allowed."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()
        self.allowed = threading.Event()

    def get(self, feature_name: str) -> Any:
        """Wait until it is allowed."""
        self.asked.set()
        assert self.allowed.wait(TIMEOUT), "the loop is blocked"
        return super().get(feature_name)


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Leave OpenFeature as it was."""
    yield
    api.shutdown()


def fill(store: Any) -> FeatureFlagClient:
    """Create a flag of each type."""
    flags = FeatureFlagClient(store)
    for kind, value in VALUES.items():
        flags.create(kind, is_enabled=True)
        flags.set_rules(kind, Rules([], "one", {"one": value}))
    return flags


@pytest.mark.parametrize("kind", VALUES)
def test_a_slow_store_does_not_block_the_loop(kind: str) -> None:
    """Other tasks run while a question waits for the store."""
    store = SlowStore()
    store.allowed.set()
    provider = FlipperProvider(fill(store))
    store.allowed.clear()
    store.asked.clear()
    set_provider(provider)
    ask = getattr(api.get_client(), f"get_{kind}_details_async")

    async def allow() -> None:
        await asyncio.to_thread(store.asked.wait, TIMEOUT)
        store.allowed.set()

    async def run() -> Any:
        details, _ = await asyncio.gather(ask(kind, None), allow())
        return details

    details = asyncio.run(run())
    assert (details.value, details.variant) == (VALUES[kind], "one")


@pytest.mark.parametrize("max_staleness", [None, 1000.0])
@pytest.mark.parametrize("is_synced", [False, True])
def test_flags_in_memory_are_answered_in_the_same_thread(
    is_synced: bool, max_staleness: float | None
) -> None:
    """A change of threads takes longer than such an answer."""
    store: Any = MemoryFeatureFlagStore()
    flags = fill(store)
    if is_synced:
        store = SyncedFeatureFlagStore(store, max_staleness=max_staleness)
        flags = FeatureFlagClient(store)
    threads: list[int] = []
    flags.add_hook(lambda *_: threads.append(threading.get_ident()))
    set_provider(FlipperProvider(flags))
    ask = api.get_client().get_boolean_value_async
    assert asyncio.run(ask("boolean", False)) is True
    assert threads == [threading.get_ident()]
    if is_synced:
        store.close()


def test_many_questions_at_once_hold_in_their_blocks() -> None:
    """Each task has the arguments of its own `context` block, in any thread."""
    flags = FeatureFlagClient(FailingMemoryStore())  # is read like one with a server
    provider = FlipperProvider(flags)
    set_provider(provider)
    given: list[int] = []
    flags.add_hook(lambda _, arguments: given.append(arguments["number"]))
    client = api.get_client()

    async def ask(number: int) -> None:
        with flags.context(number=number):
            await client.get_boolean_value_async("MISSING", False)

    async def run() -> None:
        await asyncio.gather(*map(ask, range(50)))

    asyncio.run(run())
    assert sorted(given) == [*range(50)]


def test_a_cancelled_question_harms_no_other() -> None:
    """A task may end while the store is asked."""
    store = SlowStore()
    flags = FeatureFlagClient(store)
    provider = FlipperProvider(flags)

    async def run() -> Any:
        first = asyncio.ensure_future(provider.resolve_boolean_details_async("A", True))
        await asyncio.to_thread(store.asked.wait, TIMEOUT)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        store.allowed.set()
        return await provider.resolve_boolean_details_async("A", True)

    details = asyncio.run(run())
    assert details.value is True


def test_an_overridden_method_answers_in_loops_too() -> None:
    """A subclass overrides a question once."""

    class Own(FlipperProvider):
        def resolve_boolean_details(self, *arguments: Any, **named: Any) -> Any:
            return "own"

    provider = Own(FeatureFlagClient(MemoryFeatureFlagStore()))
    assert asyncio.run(provider.resolve_boolean_details_async("A", False)) == "own"
