# SPDX-License-Identifier: Apache-2.0
"""The decorator on generator functions, and on asynchronous ones."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

import pytest

from flipper import FeatureFlagClient, MemoryFeatureFlagStore
from flipper.decorators import is_enabled

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator


@pytest.fixture
def client() -> FeatureFlagClient:
    """Give a client whose flag `x` is off."""
    client = FeatureFlagClient(MemoryFeatureFlagStore())
    client.create("x")
    return client


def numbers(first: int = 1) -> Generator[int, Any, str]:
    """Give numbers, and tell what is sent, thrown and closed."""
    try:
        got = yield first
        heard.append(got)
        yield first + 1
    except KeyError as error:
        heard.append(error)
        yield -1
    finally:
        heard.append("closed")
    return "done"


async def async_numbers(first: int = 1) -> AsyncGenerator[int, Any]:
    """Give numbers, and tell what is sent, thrown and closed."""
    try:
        await asyncio.sleep(0)
        got = yield first
        heard.append(got)
        yield first + 1
    except KeyError as error:
        heard.append(error)
        yield -1
    finally:
        await asyncio.sleep(0)
        heard.append("closed")


heard: list[Any] = []


@pytest.fixture(autouse=True)
def _nothing_heard() -> None:
    """Begin each test with nothing told."""
    heard.clear()


def collected(items: AsyncIterator[Any]) -> list[Any]:
    """Iterate over something in an event loop."""

    async def collect() -> list[Any]:
        return [item async for item in items]

    return asyncio.run(collect())


def test_a_generator_function_stays_one(client: FeatureFlagClient) -> None:
    """Frameworks look what a function is, and off there is nothing to iterate over."""
    decorated = is_enabled(client, "x")(numbers)
    assert inspect.isgeneratorfunction(decorated)
    assert inspect.signature(decorated) == inspect.signature(numbers)
    assert [*decorated()] == []
    client.enable("x")
    assert [*decorated(first=5)] == [5, 6]


def test_an_async_generator_function_stays_one(client: FeatureFlagClient) -> None:
    """It is no coroutine function: what it gives is iterated over, not awaited."""
    decorated = is_enabled(client, "x")(async_numbers)
    assert inspect.isasyncgenfunction(decorated)
    assert not inspect.iscoroutinefunction(decorated)
    assert collected(decorated()) == []
    client.enable("x")
    assert collected(decorated(first=5)) == [5, 6]


def test_a_generator_asks_when_its_iteration_begins(client: FeatureFlagClient) -> None:
    """That is when the body of a generator begins, too; later it is not asked again."""
    early, later = is_enabled(client, "x")(numbers)(), is_enabled(client, "x")(numbers)
    client.enable("x")
    assert next(early) == 1
    running = later()
    client.disable("x")
    assert [*running] == []
    assert [*early] == [2]
    alike = is_enabled(client, "x")(async_numbers)()
    client.enable("x")
    assert collected(alike) == [1, 2]


def gives_async(*numbers: int) -> Any:
    """Make an async generator function that gives these."""

    async def redirect() -> AsyncIterator[int]:
        for number in numbers:
            yield number

    return redirect


class Countdown:
    """An async iterator that is no generator."""

    def __init__(self) -> None:
        self.left = 3

    def __aiter__(self) -> Countdown:
        return self

    async def __anext__(self) -> int:
        self.left -= 1
        if not self.left:
            raise StopAsyncIteration
        return self.left


async def later_a_countdown() -> Countdown:
    """Give something to iterate over, after a while."""
    return Countdown()


async def later_nothing() -> None:
    """Give nothing, after a while."""


@pytest.mark.parametrize(
    ("redirect", "expected"),
    [
        (lambda: [7, 8], [7, 8]),
        (lambda: numbers(7), [7, 8]),
        (lambda: range(2), [0, 1]),
        (lambda: None, []),
        (MagicMock(), []),
    ],
    ids=["list", "generator", "range", "none", "double"],
)
def test_what_a_redirect_gives_is_iterated_over(
    client: FeatureFlagClient, redirect: Any, expected: list[int]
) -> None:
    """It need not be a generator function itself."""
    assert [*is_enabled(client, "x", redirect=redirect)(numbers)()] == expected
    decorated = is_enabled(client, "x", redirect=redirect)(async_numbers)
    assert collected(decorated()) == expected


@pytest.mark.parametrize(
    ("redirect", "expected"),
    [
        (gives_async(7, 8), [7, 8]),
        (Countdown, [2, 1]),
        (later_a_countdown, [2, 1]),
        (later_nothing, []),
    ],
    ids=["generator", "iterator", "awaitable", "nothing"],
)
def test_an_async_redirect_stands_in_for_an_async_generator(
    client: FeatureFlagClient, redirect: Any, expected: list[int]
) -> None:
    """Whatever can be iterated over, also if it has to be awaited first."""
    decorated = is_enabled(client, "x", redirect=redirect)(async_numbers)
    assert collected(decorated()) == expected


def test_what_is_sent_thrown_and_returned_passes_through(
    client: FeatureFlagClient,
) -> None:
    """A generator that is a coroutine of the old kind works as before."""
    client.enable("x")
    decorated = is_enabled(client, "x")(numbers)
    running = decorated()
    assert next(running) == 1
    assert running.send("hello") == 2
    with pytest.raises(StopIteration) as end:
        next(running)
    assert end.value.value == "done"
    running = decorated()
    next(running)
    error = KeyError("thrown")
    assert running.throw(error) == -1
    running.close()
    assert heard == ["hello", "closed", error, "closed"]


def test_what_is_sent_and_thrown_passes_through_an_async_generator(
    client: FeatureFlagClient,
) -> None:
    """Python has no `yield from` there; its rules hold all the same."""
    client.enable("x")
    decorated = is_enabled(client, "x")(async_numbers)
    error = KeyError("thrown")

    async def use() -> None:
        running = decorated()
        assert await anext(running) == 1
        assert await running.asend("hello") == 2
        with pytest.raises(StopAsyncIteration):
            await running.asend(None)
        running = decorated()
        await anext(running)
        assert await running.athrow(error) == -1
        await running.aclose()
        running = decorated()
        await anext(running)
        with pytest.raises(ZeroDivisionError) as caught:
            await running.athrow(ZeroDivisionError("not theirs"))
        assert str(caught.value) == "not theirs"

    asyncio.run(use())
    assert heard == ["hello", "closed", error, "closed", "closed"]


def test_who_stops_early_closes_the_async_generator_behind(
    client: FeatureFlagClient,
) -> None:
    """What it holds, a connection say, is given back then and not by and by."""
    client.enable("x")
    decorated = is_enabled(client, "x")(async_numbers)

    async def use() -> None:
        async with contextlib.aclosing(decorated()) as running:
            async for _ in running:
                break
        assert heard == ["closed"]

    asyncio.run(use())


def test_a_plain_async_iterator_takes_nothing_that_is_thrown(
    client: FeatureFlagClient,
) -> None:
    """It cannot, so the error comes out where it was thrown."""
    decorated = is_enabled(client, "x", redirect=Countdown)(async_numbers)

    async def use() -> None:
        running = decorated()
        assert await anext(running) == 2
        with pytest.raises(KeyError):
            await running.athrow(KeyError("thrown"))

    asyncio.run(use())


def test_partials_and_objects_keep_their_kind(client: FeatureFlagClient) -> None:
    """What they call says what they are."""

    class Called:
        def __init__(self, kind: str) -> None:
            self.kind = kind

    class AsyncCalled(Called):
        async def __call__(self) -> str:
            return self.kind

    class GeneratorCalled(Called):
        def __call__(self) -> Iterator[str]:
            yield self.kind

    class AsyncGeneratorCalled(Called):
        async def __call__(self) -> AsyncIterator[str]:
            yield self.kind

    decorate: Any = is_enabled(client, "x")
    coroutine = decorate(AsyncCalled("coroutine"))
    generator = decorate(functools.partial(GeneratorCalled("generator")))
    async_generator = decorate(AsyncGeneratorCalled("async generator"))
    assert asyncio.run(coroutine()) is None
    assert [*generator()] == []
    assert collected(async_generator()) == []
    client.enable("x")
    assert asyncio.run(coroutine()) == "coroutine"
    assert [*generator()] == ["generator"]
    assert collected(async_generator()) == ["async generator"]
    assert inspect.isasyncgenfunction(decorate(functools.partial(async_numbers, 5)))
    assert [*decorate(functools.partial(numbers, 5))()] == [5, 6]
