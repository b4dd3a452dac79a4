# SPDX-License-Identifier: Apache-2.0
"""Writes, cancellation, the life of an async client, and its threads."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

import flipper.async_client.worker_threads
from flipper import (
    AsyncFeatureFlagClient,
    Condition,
    FeatureFlagClient,
    FlagDoesNotExistError,
    MemoryFeatureFlagStore,
)
from flipper.async_client.flag import AsyncFeatureFlag
from flipper.async_client.worker_threads import WorkerThreads
from flipper.bucketing import PercentageBucketer
from flipper.events import EventType
from flipper.exceptions import InvalidArgumentError
from flipper.rules import Rollout, Rule
from flipper.runtime import background
from flipper.testing.contract import eventually
from support.custom_stores import CustomStore
from support.gated_stores import GatedStore, until

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

WRITES: dict[str, Callable[[AsyncFeatureFlagClient], Any]] = {
    "create": lambda c: c.create("NEW", is_enabled=True, client_data={"a": 1}),
    "enable": lambda c: c.enable("X"),
    "disable": lambda c: c.disable("X"),
    "destroy": lambda c: c.destroy("X"),
    "add_condition": lambda c: c.add_condition("X", Condition(a=1)),
    "set_conditions": lambda c: c.set_conditions("X", iter([Condition(a=1)])),
    "set_bucketer": lambda c: c.set_bucketer("X", PercentageBucketer(0.5)),
    "set_client_data": lambda c: c.set_client_data("X", {"a": 1}),
    "set_rules": lambda c: c.set_rules("X", [Rule(None, Rollout(0.5, by="id"))]),
    "flag.enable": lambda c: c.get("X").enable(),
    "flag.disable": lambda c: c.get("X").disable(),
    "flag.destroy": lambda c: c.get("X").destroy(),
    "flag.add_condition": lambda c: c.get("X").add_condition(Condition(a=1)),
    "flag.set_conditions": lambda c: c.get("X").set_conditions([Condition(a=1)]),
    "flag.set_bucketer": lambda c: c.get("X").set_bucketer(PercentageBucketer(0.5)),
    "flag.set_client_data": lambda c: c.get("X").set_client_data({"a": 1}),
    "flag.set_rules": lambda c: c.get("X").set_rules(
        [Rule(None, Rollout(0.5, by="id"))]
    ),
}


@pytest.mark.parametrize("name", WRITES)
def test_a_write_does_not_block_the_event_loop(name: str) -> None:
    """It is made in a thread, and has the effect that it has with the sync client."""
    gated = GatedStore()
    sync_client = FeatureFlagClient(gated)
    sync_client.create("X")
    client = AsyncFeatureFlagClient(sync_client)
    result = asyncio.run(gated.while_closed(WRITES[name](client)))
    assert threading.get_ident() not in gated.threads
    if name == "create":
        assert type(result) is AsyncFeatureFlag
        assert repr(result) == "<AsyncFeatureFlag 'NEW'>"
    else:
        assert result is None
    other = GatedStore()
    comparable = FeatureFlagClient(other)
    comparable.create("X")
    WRITES[name](comparable)  # type: ignore[arg-type]  # it has the same methods
    found, wanted = (
        [(i.feature_name, i.is_enabled(), _undated(i)) for i in store.flags.list()]
        for store in (gated, other)
    )
    assert found == wanted


def _undated(item: Any) -> Any:
    document = item.to_dict()
    document["meta"].pop("created_date")
    return document


def test_listeners_run_in_the_thread_that_writes() -> None:
    """Also with a store in memory, so that a listener always runs in one place."""
    client = AsyncFeatureFlagClient(MemoryFeatureFlagStore())
    seen: list[tuple[str, int]] = []

    @client.events.on(EventType.POST_CREATE)
    def announce(feature_name: str, **_: Any) -> None:
        seen.append((feature_name, threading.get_ident()))

    asyncio.run(client.create("X"))
    assert [name for name, _ in seen] == ["X"]
    assert seen[0][1] != threading.get_ident()


def test_the_emitter_can_be_replaced() -> None:
    """Events go to the emitter of the sync client, whichever client sets it."""
    client = AsyncFeatureFlagClient(MemoryFeatureFlagStore())
    emitter = mock.Mock()
    client.events = emitter
    assert client.get_events() is client.sync_client.events is emitter
    asyncio.run(client.create("X"))
    assert emitter.emit.call_count == 2
    other = mock.Mock()
    client.set_events(other)
    assert client.events is client.sync_client.events is other


def test_a_failed_write_raises_its_error() -> None:
    """The error is that of the sync client."""
    client = AsyncFeatureFlagClient(MemoryFeatureFlagStore())

    async def main() -> None:
        with pytest.raises(FlagDoesNotExistError, match="MISSING"):
            await client.enable("MISSING")
        with pytest.raises(InvalidArgumentError):
            await client.create("")

    asyncio.run(main())


# Cancellation


async def cancelled(call: Coroutine[Any, Any, Any], when: Callable[[], bool]) -> None:
    """Begin a call, and cancel it when a condition is true."""
    task = asyncio.ensure_future(call)
    await until(when)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_cancelled_question_leaves_nothing_behind() -> None:
    """Its thread answers later, nobody takes the answer, and the client goes on."""
    gated = GatedStore()
    FeatureFlagClient(gated).create("X", is_enabled=True)
    client = AsyncFeatureFlagClient(gated, max_threads=1)

    async def main() -> None:
        gated.close_gate()
        await cancelled(client.is_enabled("X"), gated.entered.is_set)
        gated.gate.set()
        assert await client.is_enabled("X") is True
        assert len(gated.threads) == 2

    asyncio.run(main(), debug=True)


def test_a_write_that_is_cancelled_before_its_turn_is_not_made() -> None:
    """One that has begun goes on to its end."""
    gated = GatedStore()
    client = AsyncFeatureFlagClient(gated, max_threads=1)

    async def main() -> None:
        gated.close_gate()
        first = asyncio.ensure_future(client.create("BEGUN"))
        second = asyncio.ensure_future(client.create("WAITING"))
        await until(gated.entered.is_set)
        first.cancel()
        second.cancel()
        await asyncio.wait([first, second])
        assert first.cancelled()
        assert second.cancelled()
        gated.gate.set()
        assert await client.exists("BEGUN") is True
        assert await client.exists("WAITING") is False

    asyncio.run(main())


def test_a_loop_that_ends_meanwhile_gets_no_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The thread finds the event loop closed, and goes on with other work."""
    gated = GatedStore()
    FeatureFlagClient(gated).create("X", is_enabled=True)
    client = AsyncFeatureFlagClient(gated, max_threads=1)

    async def main() -> None:
        gated.close_gate()
        question = asyncio.ensure_future(client.is_enabled("X"))
        await until(gated.entered.is_set)
        question.cancel()

    with caplog.at_level(logging.WARNING):
        asyncio.run(main())
        gated.gate.set()
        assert asyncio.run(client.is_enabled("X")) is True
    assert not caplog.records


# The life of a client


def test_a_client_from_a_url_closes_its_store(tmp_path: Path) -> None:
    """`async with` closes the store; the flags are still in its file."""
    url = f"sqlite:///{tmp_path}/flags.db"

    async def main() -> None:
        async with await AsyncFeatureFlagClient.from_url(url, strict="warn") as client:
            assert client.sync_client._strict == "warn"
            await client.create("X", is_enabled=True)
            close = client.sync_client._store_to_close.close
            with mock.patch.object(
                client.sync_client._store_to_close, "close", side_effect=close
            ) as closed:
                await client.aclose()
            closed.assert_called_once_with()
        again = await AsyncFeatureFlagClient.from_url(url)
        async with contextlib.aclosing(again):
            assert await again.is_enabled("X") is True

    asyncio.run(main())


def test_a_wrong_url_raises_its_error() -> None:
    """As with the sync client."""
    with pytest.raises(InvalidArgumentError, match="nowhere"):
        asyncio.run(AsyncFeatureFlagClient.from_url("nowhere://"))


def test_a_store_that_was_given_stays_open() -> None:
    """Its owner closes it; so does the owner of a client that was given."""
    store = mock.Mock()
    given = FeatureFlagClient.from_url("memory://")
    given._store_to_close = mock.Mock()

    async def main() -> None:
        async with AsyncFeatureFlagClient(store), AsyncFeatureFlagClient(given):
            pass

    asyncio.run(main())
    store.close.assert_not_called()
    given._store_to_close.close.assert_not_called()


def test_a_refused_number_of_threads_closes_the_store() -> None:
    """Nothing of a client that could not be made is left."""
    made = FeatureFlagClient(MemoryFeatureFlagStore())
    with (
        mock.patch.object(FeatureFlagClient, "from_url", return_value=made),
        mock.patch.object(made, "close") as close,
        pytest.raises(InvalidArgumentError, match="max_threads"),
    ):
        asyncio.run(AsyncFeatureFlagClient.from_url("memory://", max_threads=0))
    close.assert_called_once_with()


def test_a_client_whose_maker_was_cancelled_is_closed() -> None:
    """A store may connect for seconds; if nobody waits any more, it is closed."""
    has_begun, may_go_on, is_closed = (threading.Event() for _ in range(3))
    made = FeatureFlagClient(MemoryFeatureFlagStore())

    def from_url(*_: Any, **__: Any) -> FeatureFlagClient:
        has_begun.set()
        assert may_go_on.wait(20)
        return made

    async def main() -> None:
        await cancelled(AsyncFeatureFlagClient.from_url("x://"), has_begun.is_set)
        may_go_on.set()
        await until(is_closed.is_set)

    with (
        mock.patch.object(FeatureFlagClient, "from_url", from_url),
        mock.patch.object(made, "close", is_closed.set),
    ):
        asyncio.run(asyncio.wait_for(main(), 20))


def test_a_failure_after_a_cancellation_is_dropped() -> None:
    """There is nothing to close then, and nobody to tell."""
    may_go_on = threading.Event()
    loop_errors: list[Any] = []
    makers: list[threading.Thread] = []

    def from_url(*_: Any, **__: Any) -> FeatureFlagClient:
        makers.append(threading.current_thread())
        assert may_go_on.wait(20)
        raise ConnectionError

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: loop_errors.append(context))
        await cancelled(AsyncFeatureFlagClient.from_url("x://"), lambda: bool(makers))
        may_go_on.set()
        await until(lambda: bool(makers) and not makers[0].is_alive())
        await asyncio.sleep(0)

    with mock.patch.object(FeatureFlagClient, "from_url", from_url):
        asyncio.run(asyncio.wait_for(main(), 20))
    assert not loop_errors


# Threads


def threads_of(client: AsyncFeatureFlagClient) -> int:
    """Return how many threads a client has."""
    return client._threads._threads


def test_threads_are_few_and_end_with_the_client(
    own_threads: Callable[[], set[threading.Thread]],
) -> None:
    """No more than `max_threads` run; `close` ends them, and the client still works."""
    gated = GatedStore()
    client = AsyncFeatureFlagClient(gated, max_threads=2)

    async def main() -> None:
        gated.close_gate()
        questions = [asyncio.ensure_future(client.exists("X")) for _ in range(9)]
        await until(lambda: len(gated.threads) == 2)
        assert threads_of(client) == 2
        gated.gate.set()
        assert await asyncio.gather(*questions) == [False] * 9
        assert len(gated.threads) == 9
        await client.close()
        await client.close()

    asyncio.run(main())
    eventually(lambda: not own_threads())
    assert asyncio.run(client.exists("X")) is False
    asyncio.run(client.close())


def test_one_question_after_the_other_needs_one_thread() -> None:
    """A thread is started only if all others are busy."""
    client = AsyncFeatureFlagClient(CustomStore())

    async def main() -> None:
        for _ in range(20):
            await client.exists("X")
            # The thread answers before it counts itself as free.
            await until(lambda: not client._threads._unfinished)

    asyncio.run(main())
    assert threads_of(client) == 1


def test_an_idle_thread_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that is not closed keeps no threads for ever."""
    module = flipper.async_client.worker_threads
    monkeypatch.setattr(module, "_LONGEST_IDLE", 0.01)
    client = AsyncFeatureFlagClient(CustomStore())
    for _ in range(3):
        assert asyncio.run(client.exists("X")) is False
        eventually(lambda: threads_of(client) == 0)


def test_calls_and_ending_threads_miss_each_other_never(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each call is made, also if all threads are just about to end or are closed."""
    module = flipper.async_client.worker_threads
    monkeypatch.setattr(module, "_LONGEST_IDLE", 0.0)
    client = AsyncFeatureFlagClient(CustomStore(), max_threads=2)

    async def main() -> None:
        for number in range(300):
            await client.exists("X")
            if number % 10 == 0:
                asked = asyncio.ensure_future(client.exists("X"))
                await asyncio.sleep(0)
                await client.close()
                assert await asked is False

    asyncio.run(asyncio.wait_for(main(), 60))


def test_where_no_thread_can_run_the_call_is_made_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As under uWSGI without threads; to answer late is better than never."""
    monkeypatch.setattr(background, "background_threads_run", lambda: False)
    monkeypatch.setattr(background, "_warned", True)
    monkeypatch.setattr(background, "uwsgi_enables_threads", lambda: False)
    threads = WorkerThreads(1)
    assert asyncio.run(threads.call(threading.get_ident)) == threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        asyncio.run(threads.call(lambda: 1 / 0))


def test_a_store_that_does_not_answer_does_not_hold_up_the_exit() -> None:
    """The program ends although a thread still waits for the store."""
    program = """
import asyncio, threading
from flipper import AsyncFeatureFlagClient

class Silent:
    create = set = delete = list = set_meta = None
    def get(self, name):
        entered.set()
        threading.Event().wait()

async def main():
    client = AsyncFeatureFlagClient(Silent())
    task = asyncio.ensure_future(client.is_enabled("X"))
    while not entered.is_set():
        await asyncio.sleep(0.001)

entered = threading.Event()
asyncio.run(main())
print("done")
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "done\n"
    assert not done.stderr
