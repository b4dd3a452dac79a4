# SPDX-License-Identifier: Apache-2.0
"""Where the async client answers: in the event loop, or in a thread."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import signal
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from flipper import (
    AsyncFeatureFlagClient,
    CachedFeatureFlagStore,
    Condition,
    FailoverFeatureFlagStore,
    FeatureFlagClient,
    FileFeatureFlagStore,
    FlagDoesNotExistError,
    MemoryFeatureFlagStore,
    ReadOnlyFeatureFlagStore,
    ReplicatedFeatureFlagStore,
    SQLiteFeatureFlagStore,
    SyncedFeatureFlagStore,
)
from flipper.async_client.worker_threads import WorkerThreads
from flipper.bucketing import PercentageBucketer
from flipper.contracts.circuit_breaker import current_reader
from flipper.exceptions import FlipperError, InvalidArgumentError
from flipper.explanation import Reason
from flipper.rules import Rule, Split
from flipper.testing import override_flags
from flipper.testing.contract import eventually
from support.custom_stores import CustomStore, RemoteStore
from support.gated_stores import GatedStore, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ON, OFF, SPLIT = "ON", "OFF", "SPLIT"


def filled(store: Any) -> Any:
    """Return the store with a flag that is on, one that is off and one with rules."""
    client = FeatureFlagClient(store)
    client.create(ON, is_enabled=True, client_data={"owner": "shop"})
    client.create(OFF)
    client.create(SPLIT, is_enabled=True)
    client.set_rules(SPLIT, [Rule(None, Split({"blue": 1.0}, by="user_id"))])
    return store


QUESTIONS = {
    "is_enabled": (lambda c: c.is_enabled(ON), True),
    "by keyword": (lambda c: c.is_enabled(feature_name=ON), True),
    "default": (lambda c: c.is_enabled("MISSING", default="default"), "default"),
    "variant": (lambda c: c.variant(SPLIT, "red", user_id=1), "blue"),
    "variant default": (lambda c: c.variant(OFF, "red"), "red"),
    "explain": (lambda c: c.explain(ON, user_id=1), None),
    "exists": (lambda c: c.exists(ON), True),
    "get_client_data": (lambda c: c.get_client_data(ON), {"owner": "shop"}),
    "get_meta": (lambda c: c.get_meta(ON), None),
    "get_rules": (lambda c: c.get_rules(ON), None),
    "flag.is_enabled": (lambda c: c.get(ON).is_enabled(user_id=1), True),
    "flag.variant": (lambda c: c.get(SPLIT).variant("red", user_id=1), "blue"),
    "flag.explain": (lambda c: c.get(ON).explain(), None),
    "flag.exists": (lambda c: c.get("MISSING").exists(), False),
    "flag.get_client_data": (lambda c: c.get(ON).get_client_data(), {"owner": "shop"}),
    "flag.get_meta": (lambda c: c.get(ON).get_meta(), None),
    "flag.get_rules": (lambda c: c.get(ON).get_rules(), None),
}
LISTINGS = {
    "evaluate_all": (
        lambda c: c.evaluate_all(user_id=1),
        {ON: True, OFF: False, SPLIT: "blue"},
    ),
    "evaluate_all by name": (lambda c: c.evaluate_all(names=iter([ON])), {ON: True}),
}


def expected(name: str, answer: Any, client: FeatureFlagClient) -> Any:
    """Return the expected answer, or what the sync client answers."""
    if answer is not None:
        return answer
    flag = client.get(ON)
    return getattr(flag, name.rpartition(".")[2])()


# Slow stores


@pytest.mark.parametrize("name", [*QUESTIONS, *LISTINGS])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda store: store,
        ReadOnlyFeatureFlagStore,
        CachedFeatureFlagStore,
        lambda store: CachedFeatureFlagStore(store, ttl=60),
        ReplicatedFeatureFlagStore,
        lambda store: FailoverFeatureFlagStore(store, MemoryFeatureFlagStore()),
    ],
    ids=["bare", "read-only", "cached", "cached with ttl", "replicated", "failover"],
)
def test_a_slow_store_does_not_block_the_event_loop(
    name: str, wrap: Callable[[Any], Any]
) -> None:
    """The store waits until the event loop goes on, which it does meanwhile."""
    gated = filled(GatedStore())
    ask, answer = (QUESTIONS | LISTINGS)[name]
    client = AsyncFeatureFlagClient(wrap(gated))

    async def main() -> Any:
        async with client:
            return await gated.while_closed(ask(client))

    found = asyncio.run(main())
    assert threading.get_ident() not in gated.threads
    assert found == expected(name, answer, client.sync_client)


def test_a_list_does_not_block_the_event_loop() -> None:
    """The store is listed in a thread, when the first flag is taken."""
    gated = filled(GatedStore())
    client = AsyncFeatureFlagClient(gated)

    async def names(**page: Any) -> list[str]:
        return [flag.name async for flag in client.list(**page)]

    async def main() -> None:
        assert await gated.while_closed(names()) == [OFF, ON, SPLIT]
        assert await gated.while_closed(names(limit=1, offset=1)) == [ON]
        async for flag in client.list(limit=1):
            assert await flag.is_enabled() is False
        gated.close_gate()
        client.list()
        assert not gated.threads
        with pytest.raises(InvalidArgumentError, match="limit"):
            client.list(limit=-1)

    asyncio.run(main())
    assert threading.get_ident() not in gated.threads


def test_preload_and_memoize_do_not_block_the_event_loop() -> None:
    """`async with client.memoize(preload=...)` reads the flags in a thread."""
    gated = filled(GatedStore())
    client = AsyncFeatureFlagClient(gated)

    async def memoized() -> Any:
        async with client.memoize(preload=[ON]):
            gated.threads.clear()
            answer = await client.is_enabled(ON)
            assert not gated.threads
            return answer

    async def preloaded() -> None:
        with client.memoize():
            await client.preload(iter([ON]))

    async def main() -> None:
        assert await gated.while_closed(memoized()) is True
        await gated.while_closed(preloaded())

    asyncio.run(main())
    assert threading.get_ident() not in gated.threads


def test_a_sync_block_cannot_preload() -> None:
    """It would block the event loop; the error names the remedy, and nothing begins."""
    client = AsyncFeatureFlagClient(filled(GatedStore()))
    with pytest.raises(FlipperError, match="use `async with`"):
        client.memoize(preload=[ON]).__enter__()
    assert client.sync_client._memoization is not None
    assert client.sync_client._memoization.block() is None


def test_a_failed_preload_ends_the_block() -> None:
    """With `on_error="raise"` the block does not begin."""
    store = RemoteStore()
    client = AsyncFeatureFlagClient(store, on_error="raise")
    store.failure = ConnectionError("away")

    async def main() -> None:
        with pytest.raises(ConnectionError):
            async with client.memoize(preload=[ON]):
                pytest.fail("the block has begun")
        assert client.sync_client._memoization is not None
        assert client.sync_client._memoization.block() is None

    asyncio.run(main())


# Answers from memory


def toml(folder: Path) -> FileFeatureFlagStore:
    """Return a store of a file, which was just read."""
    path = folder / "flags.toml"
    path.write_text("version = 1\nflags.ON.enabled = true\n", encoding="utf-8")
    return FileFeatureFlagStore(path, poll_interval=3600)


def cached(**options: Any) -> CachedFeatureFlagStore:
    """Return a cached store that has read the flag."""
    store = CachedFeatureFlagStore(filled(GatedStore()), **options)
    store.get(ON)
    store.get("MISSING")
    return store


FAST = {
    "memory": lambda _: filled(MemoryFeatureFlagStore()),
    "synced": lambda _: SyncedFeatureFlagStore(filled(CustomStore())),
    "synced from a file": lambda folder: SyncedFeatureFlagStore(
        filled(SQLiteFeatureFlagStore(folder / "flags.db"))
    ),
    "synced, fresh": lambda _: SyncedFeatureFlagStore(
        filled(CustomStore()), max_staleness=3600
    ),
    "read-only synced": lambda _: ReadOnlyFeatureFlagStore(
        SyncedFeatureFlagStore(filled(CustomStore()))
    ),
    "cached": lambda _: cached(),
    "cached with ttl": lambda _: cached(ttl=3600),
    "read-only": lambda _: ReadOnlyFeatureFlagStore(filled(MemoryFeatureFlagStore())),
    "replicated": lambda _: ReplicatedFeatureFlagStore(
        filled(MemoryFeatureFlagStore()), CustomStore()
    ),
    "failover": lambda _: FailoverFeatureFlagStore(
        filled(MemoryFeatureFlagStore()), CustomStore()
    ),
    "file": toml,
    "read-only file": lambda folder: ReadOnlyFeatureFlagStore(toml(folder)),
}


@pytest.fixture(params=FAST)
def fast_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """Give a store that has the flag in memory."""
    store = FAST[request.param](tmp_path)
    yield store
    for each in (store, getattr(store, "_store", None)):
        if hasattr(each, "close"):
            each.close()


def test_an_answer_from_memory_needs_no_thread(
    fast_store: Any, at_once: Callable[[Any], Any]
) -> None:
    """All questions about a flag are answered in the event loop, the first ones too."""
    client = AsyncFeatureFlagClient(fast_store)
    for _ in range(2):
        assert at_once(client.is_enabled(ON)) is True
        assert at_once(client.is_enabled("MISSING", default=7)) == 7
        assert at_once(client.variant(ON, "red")) is True
        assert at_once(client.explain(ON)) == client.sync_client.explain(ON)
        assert at_once(client.exists(ON)) is True
        assert at_once(client.exists("MISSING")) is False
        assert at_once(client.get_meta(ON)) == client.sync_client.get_meta(ON)
        assert at_once(client.get(ON).get_rules()) is None
        with client.memoize(), client.context(user_id=1):
            assert at_once(client.is_enabled(ON)) is True
    assert client._threads._threads == 0


def test_all_flags_of_a_memory_need_no_thread(at_once: Callable[[Any], Any]) -> None:
    """`evaluate_all` and `preload` of a store in memory are answered at once."""
    client = AsyncFeatureFlagClient(filled(MemoryFeatureFlagStore()))
    answers = {ON: True, OFF: False, SPLIT: "blue"}
    assert at_once(client.evaluate_all(user_id=1)) == answers
    assert at_once(client.evaluate_all(names=iter([ON]))) == {ON: True}

    async def preload() -> bool:
        async with client.memoize(preload=[ON]):
            await client.preload([OFF])
            FeatureFlagClient(client.sync_client._store).disable(ON)
            on: bool = await client.is_enabled(ON)
            return on

    assert at_once(preload()) is True
    assert at_once(client.is_enabled(ON)) is False


def test_a_memoized_flag_needs_no_thread() -> None:
    """The second question of a block is answered from the block."""
    gated = filled(GatedStore())
    client = AsyncFeatureFlagClient(gated)

    async def main() -> None:
        async with client.memoize():
            assert await client.is_enabled(ON) is True
            assert await client.is_enabled("MISSING") is False
            gated.close_gate()
            assert await client.is_enabled(ON) is True
            assert await client.variant(ON) is True
            assert (await client.explain(ON)).enabled is True
            assert await client.is_enabled("MISSING", default=1) == 1
            assert not gated.threads

    asyncio.run(main())


def test_an_overridden_flag_needs_no_thread(at_once: Callable[[Any], Any]) -> None:
    """Overrides are in memory, also those of a slow store, and end when they end."""
    gated = filled(GatedStore())
    client = AsyncFeatureFlagClient(gated)
    gated.close_gate()
    with override_flags(client, ON=False, COLOUR="blue") as flags:
        assert at_once(client.is_enabled(ON)) is False
        assert at_once(client.variant("COLOUR")) == "blue"
        assert at_once(client.explain(ON)).reason is Reason.OVERRIDDEN
        flags[ON] = True
        assert at_once(client.is_enabled(ON)) is True
        with override_flags(client.sync_client, ON=False):
            assert at_once(client.is_enabled(ON)) is False
    assert not gated.threads
    assert asyncio.run(gated.while_closed(client.is_enabled(ON))) is True


def test_an_override_of_an_async_test_ends_with_it() -> None:
    """The decorator holds while the coroutine function runs."""
    client = AsyncFeatureFlagClient(filled(MemoryFeatureFlagStore()))

    @override_flags(client, ON=False)
    async def overridden() -> Any:
        await asyncio.sleep(0)
        return await client.is_enabled(ON)

    assert asyncio.run(overridden()) is False
    assert asyncio.run(client.is_enabled(ON)) is True


def test_a_flag_that_depends_on_another_needs_both_in_memory() -> None:
    """A question hops to a thread if any flag that it needs is not in memory."""
    gated = filled(GatedStore())
    sync_client = FeatureFlagClient(gated)
    sync_client.create("DEPENDS", is_enabled=True)
    sync_client.add_condition("DEPENDS", Condition(ON__enabled=True))
    store = CachedFeatureFlagStore(gated)
    client = AsyncFeatureFlagClient(store)
    store.get("DEPENDS")
    assert asyncio.run(gated.while_closed(client.is_enabled("DEPENDS"))) is True
    gated.close_gate()
    assert asyncio.run(client.is_enabled("DEPENDS")) is True
    assert not gated.threads


def test_an_expired_entry_is_read_in_a_thread() -> None:
    """A cached flag that has expired is not in memory any more."""
    gated = filled(GatedStore())
    client = AsyncFeatureFlagClient(CachedFeatureFlagStore(gated, ttl=0))
    for _ in range(2):
        assert asyncio.run(gated.while_closed(client.is_enabled(ON))) is True


def test_a_file_is_read_again_in_a_thread(tmp_path: Path) -> None:
    """When it is time to look at the file, a thread does that."""
    path = tmp_path / "flags.toml"
    path.write_text("version = 1\nflags.ON.enabled = true\n", encoding="utf-8")
    client = AsyncFeatureFlagClient(FileFeatureFlagStore(path, poll_interval=0))
    with mock.patch.object(Path, "stat", autospec=True, side_effect=Path.stat) as stat:
        threads: list[int] = []
        stat.side_effect = lambda *_, **__: threads.append(threading.get_ident())
        asyncio.run(client.is_enabled(ON))
    assert threads
    assert threading.get_ident() not in threads


def test_a_stale_copy_is_answered_in_a_thread(at_once: Callable[[Any], Any]) -> None:
    """What a client does about a failure takes place in a thread; it is the same."""
    with SyncedFeatureFlagStore(filled(CustomStore()), max_staleness=3600) as store:
        client = AsyncFeatureFlagClient(store)
        assert at_once(client.is_enabled(ON)) is True
        store._flags._max_staleness = -1
        assert asyncio.run(client.is_enabled(ON, default="default")) == "default"
        assert client._threads._threads == 1
        store._flags._max_staleness = 3600
        assert asyncio.run(client.is_enabled(ON, default="default")) is True
        assert at_once(client.is_enabled(ON)) is True


def test_an_open_circuit_answers_without_a_thread() -> None:
    """While a server is down, the last known state answers in the event loop."""
    store = filled(RemoteStore())
    client = AsyncFeatureFlagClient(store)

    async def main() -> None:
        assert await client.is_enabled(ON) is True
        store.failure = ConnectionError("away")
        assert await client.is_enabled(ON) is True
        assert current_reader(store) is not store
        with mock.patch.object(WorkerThreads, "start", side_effect=AssertionError):
            assert await client.is_enabled(ON) is True
            assert await client.is_enabled("NEVER_SEEN", default=7) == 7
            assert (await client.explain(ON)).error is not None
            async with client.memoize():
                assert await client.is_enabled(ON) is True
        with pytest.raises(ConnectionError):
            await client.exists(ON)
        store.failure = None

    asyncio.run(main())
    eventually(lambda: current_reader(store) is store)
    store.set(ON, False)
    assert asyncio.run(client.is_enabled(ON)) is False


def test_a_failover_answers_from_a_secondary_in_memory() -> None:
    """While the circuit of the primary is open, the event loop reads the secondary."""
    primary = filled(RemoteStore())
    client = AsyncFeatureFlagClient(
        FailoverFeatureFlagStore(primary, filled(MemoryFeatureFlagStore()))
    )
    primary.failure = ConnectionError("away")

    async def main() -> None:
        assert await client.is_enabled(ON) is True
        with mock.patch.object(WorkerThreads, "start", side_effect=AssertionError):
            assert await client.is_enabled(ON) is True

    asyncio.run(main())
    primary.failure = None
    eventually(lambda: current_reader(primary) is primary)


@pytest.mark.parametrize(
    "replace",
    [
        lambda store, get: mock.patch.object(store, "get", get),
        lambda store, get: mock.patch.object(type(store), "get", get),
    ],
    ids=["of the store", "of the class"],
)
@pytest.mark.parametrize("kind", ["memory", "cached", "read-only", "replicated"])
def test_a_replaced_get_is_called_in_a_thread(
    kind: str, replace: Callable[..., Any], tmp_path: Path
) -> None:
    """Nobody knows what a replacement does, so it must not run in the event loop."""
    store = FAST[kind](tmp_path)
    client = AsyncFeatureFlagClient(store)
    assert asyncio.run(client.is_enabled(ON)) is True
    threads: list[int] = []

    def get(*_: Any) -> None:
        threads.append(threading.get_ident())

    with replace(store, get):
        assert asyncio.run(client.is_enabled(ON)) is False
    assert threads
    assert threading.get_ident() not in threads
    assert asyncio.run(client.is_enabled(ON)) is True


def test_a_get_of_a_subclass_is_called_in_a_thread() -> None:
    """A store of the application may do I/O in the `get` that it overrides."""
    threads: list[int] = []

    class OwnCache(CachedFeatureFlagStore):
        def get(self, feature_name: str) -> Any:
            threads.append(threading.get_ident())
            return super().get(feature_name)

    client = AsyncFeatureFlagClient(OwnCache(filled(MemoryFeatureFlagStore())))
    for _ in range(2):
        assert asyncio.run(client.is_enabled(ON)) is True
    assert len(threads) == 2
    assert threading.get_ident() not in threads


def test_a_forked_copy_is_filled_in_a_thread(at_once: Callable[[Any], Any]) -> None:
    """In a forked child, a synced store asks the inner store until it has all flags."""
    gated = filled(GatedStore())
    with SyncedFeatureFlagStore(gated) as store:
        client = AsyncFeatureFlagClient(store)
        assert at_once(client.is_enabled(ON)) is True
        store.after_fork()
        assert asyncio.run(gated.while_closed(client.is_enabled(ON))) is True
        gated.threads.clear()
        eventually(lambda: type(store.fast_path()) is dict or asyncio.run(ask(client)))
        assert at_once(client.is_enabled(ON)) is True
        assert threading.get_ident() not in gated.threads


async def ask(client: AsyncFeatureFlagClient) -> None:
    """Ask about a flag, whatever the answer is."""
    await client.is_enabled(ON)


def test_a_circuit_breaker_without_its_thread_is_asked_in_a_thread() -> None:
    """It may try the server itself then, as in a forked child."""
    store = filled(RemoteStore())
    client = AsyncFeatureFlagClient(store)
    store.failure = ConnectionError("away")
    assert asyncio.run(client.is_enabled("NEVER_SEEN", default=7)) == 7
    breaker: Any = current_reader(store)
    assert breaker is not store
    breaker.after_fork()
    with (
        mock.patch.object(WorkerThreads, "call", side_effect=ZeroDivisionError),
        pytest.raises(ZeroDivisionError),
    ):
        asyncio.run(client.is_enabled("NEVER_SEEN"))
    assert asyncio.run(client.is_enabled("NEVER_SEEN", default=7)) == 7
    store.failure = None
    eventually(lambda: current_reader(store) is store)
    assert asyncio.run(client.is_enabled(ON)) is True


def test_a_failover_whose_primary_is_suspect_is_asked_in_a_thread() -> None:
    """A failure of one read is over only if a thread has read the primary again."""
    primary = CachedFeatureFlagStore(filled(CustomStore()))
    store = FailoverFeatureFlagStore(primary, filled(MemoryFeatureFlagStore()))
    client = AsyncFeatureFlagClient(store)
    assert asyncio.run(client.is_enabled(ON)) is True
    store._has_failed = True
    assert asyncio.run(client.is_enabled(ON)) is True
    assert store._has_failed is False


def test_a_client_with_questions_of_its_own_is_asked_in_a_thread() -> None:
    """A class of the application may do I/O in the methods that it overrides."""
    threads: list[int] = []

    class OwnClient(FeatureFlagClient):
        def is_enabled(self, *args: Any, **kwargs: Any) -> Any:
            threads.append(threading.get_ident())
            return super().is_enabled(*args, **kwargs)

    client = AsyncFeatureFlagClient(OwnClient(filled(MemoryFeatureFlagStore())))
    assert asyncio.run(client.is_enabled(ON)) is True
    assert asyncio.run(client.exists(ON)) is True
    assert len(threads) == 1
    assert threading.get_ident() not in threads


# Hooks, arguments and blocks


def test_hooks_are_called_once_for_each_question() -> None:
    """Also if the question is answered in a thread, where the hook runs then."""
    gated = filled(GatedStore())
    store = CachedFeatureFlagStore(gated)
    client = AsyncFeatureFlagClient(store)
    calls: list[tuple[str, Any, Any, int]] = []

    def hook(evaluation: Any, arguments: dict[str, Any]) -> None:
        name, value = evaluation.feature_name, evaluation.enabled
        calls.append((name, value, arguments, threading.get_ident()))

    client.add_hook(hook)

    async def main() -> None:
        with client.context(user_id=1):
            for _ in range(2):
                assert await client.is_enabled(ON, a=2) is True
        await client.variant(SPLIT, user_id=1)

    asyncio.run(main())
    here = threading.get_ident()
    assert [call[:3] for call in calls] == [
        (ON, True, {"user_id": 1, "a": 2}),
        (ON, True, {"user_id": 1, "a": 2}),
        (SPLIT, "blue", {"user_id": 1}),
    ]
    assert [call[3] == here for call in calls] == [False, True, False]
    client.remove_hook(hook)
    asyncio.run(client.is_enabled(ON))
    assert len(calls) == 3


def test_arguments_are_added_however_they_came(at_once: Callable[[Any], Any]) -> None:
    """`context` holds for flags in memory and in a slow store, also after hooks."""
    gated = filled(GatedStore())
    FeatureFlagClient(gated).add_condition(ON, Condition(country="SE"))
    cached_store = CachedFeatureFlagStore(gated)
    client = AsyncFeatureFlagClient(cached_store)

    async def answers() -> list[Any]:
        found = []
        for country in ("SE", "NO"):
            async with client.context(country=country):
                found += [await client.is_enabled(ON), (await client.explain(ON))[1]]
        return found

    assert asyncio.run(answers()) == [True, True, False, False]
    assert at_once(answers()) == [True, True, False, False]
    client.add_hook(lambda *_: None)
    assert at_once(answers()) == [True, True, False, False]
    assert at_once(client.is_enabled(ON, country="SE")) is True


def test_a_context_that_is_first_used_after_a_hook_is_seen(
    at_once: Callable[[Any], Any],
) -> None:
    """The hook is what the client reads then, before and after."""
    client = AsyncFeatureFlagClient(cached())
    client.sync_client.add_condition(ON, Condition(country="SE"))
    client.add_hook(lambda *_: None)
    assert at_once(client.is_enabled(ON, country="SE")) is True
    with client.context(country="NO"):
        assert at_once(client.is_enabled(ON)) is False


def test_a_block_and_a_write_in_it_agree() -> None:
    """A write in a block is seen by the block, although a thread makes it."""
    gated = filled(GatedStore())
    client = AsyncFeatureFlagClient(gated)
    other = FeatureFlagClient(gated)

    async def main() -> None:
        async with client.memoize():
            assert await client.is_enabled(ON) is True
            other.disable(ON)
            assert await client.is_enabled(ON) is True
            await client.disable(ON)
            assert await client.is_enabled(ON) is False
            await client.enable(ON)
            assert await client.is_enabled(ON) is True
            other.disable(ON)
        assert await client.is_enabled(ON) is False

    asyncio.run(main())


def test_tasks_in_a_block_get_one_answer() -> None:
    """A random flag has one answer in a block, for all its tasks and threads."""
    store = filled(CustomStore())
    client = AsyncFeatureFlagClient(store)
    client.sync_client.set_bucketer(ON, PercentageBucketer(0.5))

    async def main() -> set[Any]:
        async with client.memoize():
            asked = [client.is_enabled(ON) for _ in range(40)]
            return set(await asyncio.gather(*asked))

    for _ in range(10):
        assert len(asyncio.run(main())) == 1


def test_blocks_of_two_tasks_are_apart() -> None:
    """Arguments of one task are not those of another one that runs meanwhile."""
    gated = filled(GatedStore())
    FeatureFlagClient(gated).add_condition(ON, Condition(country="SE"))
    client = AsyncFeatureFlagClient(gated)

    async def ask(country: str) -> Any:
        with client.context(country=country):
            await asyncio.sleep(0)
            return await client.is_enabled(ON)

    async def main() -> list[Any]:
        return await asyncio.gather(ask("SE"), ask("NO"), ask("SE"))

    assert asyncio.run(main()) == [True, False, True]


def test_context_variables_reach_the_thread() -> None:
    """A store that reads a context variable sees that of the task that asks."""
    tenant = contextvars.ContextVar("tenant", default="nobody")
    seen: list[str] = []

    class TenantStore(CustomStore):
        def get(self, feature_name: str) -> Any:
            seen.append(tenant.get())
            return super().get(feature_name)

    client = AsyncFeatureFlagClient(TenantStore())

    async def main() -> None:
        tenant.set("acme")
        await client.is_enabled(ON)

    asyncio.run(main())
    assert seen == ["acme"]


# Errors


def test_errors_are_raised_as_the_sync_client_raises_them() -> None:
    """`strict`, `on_error` and missing flags behave as in the sync client."""
    store = filled(CustomStore())
    strict = AsyncFeatureFlagClient(store, strict="raise")
    loud = AsyncFeatureFlagClient(store, on_error="raise")

    async def main() -> None:
        with pytest.raises(FlagDoesNotExistError, match="MISSING"):
            await strict.is_enabled("MISSING")
        with pytest.raises(FlagDoesNotExistError):
            await loud.get_meta("MISSING")
        with pytest.raises(TypeError, match="feature_name"):
            await loud.is_enabled()
        with pytest.raises(InvalidArgumentError, match="list of feature names"):
            await loud.preload("ON")
        with pytest.raises(InvalidArgumentError, match="list of feature names"):
            async with loud.memoize(preload="ON"):
                pass
        store.failure = ConnectionError("away")
        with pytest.raises(ConnectionError, match="away"):
            await loud.is_enabled(ON)

    asyncio.run(main())


def test_an_error_that_a_future_refuses_is_raised() -> None:
    """A `StopIteration` of a store becomes a `RuntimeError`, and nothing hangs."""
    store = CustomStore()
    client = AsyncFeatureFlagClient(store)
    store.failure = StopIteration("odd")

    async def main() -> None:
        with pytest.raises(RuntimeError, match="StopIteration"):
            await client.exists(ON)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: AsyncFeatureFlagClient(
                AsyncFeatureFlagClient(MemoryFeatureFlagStore())  # type: ignore[arg-type]
            ),
            "already",
        ),
        (
            lambda: AsyncFeatureFlagClient(
                FeatureFlagClient(MemoryFeatureFlagStore()), strict="warn"
            ),
            "where it is made",
        ),
        (
            lambda: AsyncFeatureFlagClient(MemoryFeatureFlagStore(), max_threads=0),
            "max_threads=0",
        ),
        (
            lambda: AsyncFeatureFlagClient(MemoryFeatureFlagStore),  # type: ignore[arg-type]
            "is a class",
        ),
    ],
    ids=["an async client", "strict of a client", "no threads", "a class"],
)
def test_wrong_arguments_are_refused(make: Callable[[], Any], message: str) -> None:
    """The error says what to give instead."""
    with pytest.raises(InvalidArgumentError, match=message):
        make()


# Loops, threads and forks


def test_several_event_loops_share_a_client() -> None:
    """Event loops in several threads ask at the same time, and each gets its answer."""
    store = filled(CustomStore())
    client = AsyncFeatureFlagClient(store, max_threads=2)
    found: list[Any] = []

    async def main() -> None:
        questions = [client.is_enabled(name) for name in (ON, OFF) * 20]
        found.append(await asyncio.gather(*questions))

    loops = [threading.Thread(target=lambda: asyncio.run(main())) for _ in range(4)]
    for loop in loops:
        loop.start()
    for loop in loops:
        loop.join(30)
    assert found == [[True, False] * 20] * 4
    assert client._threads._threads <= 2


def test_a_client_that_is_not_used_any_more_is_freed() -> None:
    """Neither its threads nor its picture of the sync client keep it alive."""
    store = filled(CustomStore())
    client = AsyncFeatureFlagClient(store)
    asyncio.run(client.is_enabled(ON))
    found = mock.Mock()
    weakref.finalize(client, found)
    del client
    gc.collect()
    found.assert_called_once_with()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_child_has_threads_of_its_own() -> None:
    """The threads of the parent are not in the child, whatever they were doing."""
    gated = filled(GatedStore())
    client = AsyncFeatureFlagClient(gated, max_threads=1)

    async def main() -> None:
        gated.close_gate()
        task = asyncio.ensure_future(client.is_enabled(ON))
        await until(gated.entered.is_set)
        child = os.fork()
        if child == 0:  # pragma: no cover  (in the child)
            signal.alarm(20)
            gated.gate = threading.Event()
            gated.gate.set()
            asyncio._set_running_loop(None)
            os._exit(0 if asyncio.run(client.is_enabled(ON)) is True else 1)
        gated.gate.set()
        assert await task is True
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0  # noqa: ASYNC222

    asyncio.run(main())
