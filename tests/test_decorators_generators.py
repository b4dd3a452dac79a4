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
    """Return a client whose flag `x` is off."""
    client = FeatureFlagClient(MemoryFeatureFlagStore())
    client.create("x")
    return client


def numbers(first: int = 1) -> Generator[int, Any, str]:
    """Yield numbers, and record what is sent, thrown and closed."""
    try:
        got = yield first
        recorded.append(got)
        yield first + 1
    except KeyError as error:
        recorded.append(error)
        yield -1
    finally:
        recorded.append("closed")
    return "done"


async def async_numbers(first: int = 1) -> AsyncGenerator[int, Any]:
    """Yield numbers, and record what is sent, thrown and closed."""
    try:
        await asyncio.sleep(0)
        got = yield first
        recorded.append(got)
        yield first + 1
    except KeyError as error:
        recorded.append(error)
        yield -1
    finally:
        await asyncio.sleep(0)
        recorded.append("closed")


recorded: list[Any] = []


@pytest.fixture(autouse=True)
def _clear_recorded() -> None:
    """Start each test with an empty record."""
    recorded.clear()


def collect(items: AsyncIterator[Any]) -> list[Any]:
    """Run an event loop that collects the items of an asynchronous iterator."""

    async def collect() -> list[Any]:
        return [item async for item in items]

    return asyncio.run(collect())


def test_a_generator_function_stays_one(client: FeatureFlagClient) -> None:
    """A decorated generator function yields nothing while the flag is off."""
    decorated = is_enabled(client, "x")(numbers)
    assert inspect.isgeneratorfunction(decorated)
    assert inspect.signature(decorated) == inspect.signature(numbers)
    assert [*decorated()] == []
    client.enable("x")
    assert [*decorated(first=5)] == [5, 6]


def test_an_async_generator_function_stays_one(client: FeatureFlagClient) -> None:
    """A decorated asynchronous generator function is one, and no coroutine function."""
    decorated = is_enabled(client, "x")(async_numbers)
    assert inspect.isasyncgenfunction(decorated)
    assert not inspect.iscoroutinefunction(decorated)
    assert collect(decorated()) == []
    client.enable("x")
    assert collect(decorated(first=5)) == [5, 6]


def test_the_flag_is_asked_when_the_iteration_starts(client: FeatureFlagClient) -> None:
    """The flag is asked once, when the body of the generator would start."""
    early, later = is_enabled(client, "x")(numbers)(), is_enabled(client, "x")(numbers)
    client.enable("x")
    assert next(early) == 1
    running = later()
    client.disable("x")
    assert [*running] == []
    assert [*early] == [2]
    alike = is_enabled(client, "x")(async_numbers)()
    client.enable("x")
    assert collect(alike) == [1, 2]


def async_generator_of(*numbers: int) -> Any:
    """Return an asynchronous generator function that yields these numbers."""

    async def redirect() -> AsyncIterator[int]:
        for number in numbers:
            yield number

    return redirect


class Countdown:
    """An asynchronous iterator that is no generator."""

    def __init__(self) -> None:
        self.left = 3

    def __aiter__(self) -> Countdown:
        return self

    async def __anext__(self) -> int:
        self.left -= 1
        if not self.left:
            raise StopAsyncIteration
        return self.left


async def await_countdown() -> Countdown:
    """Return an iterator after the caller has awaited this."""
    return Countdown()


async def await_nothing() -> None:
    """Return `None` after the caller has awaited this."""


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
def test_the_result_of_a_redirect_is_iterated_over(
    client: FeatureFlagClient, redirect: Any, expected: list[int]
) -> None:
    """The redirect of a generator function may return anything that can be iterated."""
    assert [*is_enabled(client, "x", redirect=redirect)(numbers)()] == expected
    decorated = is_enabled(client, "x", redirect=redirect)(async_numbers)
    assert collect(decorated()) == expected


@pytest.mark.parametrize(
    ("redirect", "expected"),
    [
        (async_generator_of(7, 8), [7, 8]),
        (Countdown, [2, 1]),
        (await_countdown, [2, 1]),
        (await_nothing, []),
    ],
    ids=["generator", "iterator", "awaitable", "nothing"],
)
def test_the_result_of_an_async_redirect_is_iterated_over(
    client: FeatureFlagClient, redirect: Any, expected: list[int]
) -> None:
    """An asynchronous redirect may return an iterator, or an awaitable of one."""
    decorated = is_enabled(client, "x", redirect=redirect)(async_numbers)
    assert collect(decorated()) == expected


def test_a_generator_gets_what_is_sent_and_thrown(
    client: FeatureFlagClient,
) -> None:
    """`send`, `throw`, `close` and the returned value work as without the decorator."""
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
    assert recorded == ["hello", "closed", error, "closed"]


def test_an_async_generator_gets_what_is_sent_and_thrown(
    client: FeatureFlagClient,
) -> None:
    """`asend`, `athrow` and `aclose` work as without the decorator."""
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
    assert recorded == ["hello", "closed", error, "closed", "closed"]


def test_closing_early_closes_the_decorated_async_generator(
    client: FeatureFlagClient,
) -> None:
    """What the decorated generator holds is released at once."""
    client.enable("x")
    decorated = is_enabled(client, "x")(async_numbers)

    async def use() -> None:
        async with contextlib.aclosing(decorated()) as running:
            async for _ in running:
                break
        assert recorded == ["closed"]

    asyncio.run(use())


def test_an_error_thrown_into_a_plain_async_iterator_is_raised(
    client: FeatureFlagClient,
) -> None:
    """An iterator has no `athrow`, so the error reaches the caller."""
    decorated = is_enabled(client, "x", redirect=Countdown)(async_numbers)

    async def use() -> None:
        running = decorated()
        assert await anext(running) == 2
        with pytest.raises(KeyError):
            await running.athrow(KeyError("thrown"))

    asyncio.run(use())


def test_partials_and_objects_keep_their_kind(client: FeatureFlagClient) -> None:
    """A partial and an object with `__call__` are of the kind of what they call."""

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
    assert collect(async_generator()) == []
    client.enable("x")
    assert asyncio.run(coroutine()) == "coroutine"
    assert [*generator()] == ["generator"]
    assert collect(async_generator()) == ["async generator"]
    assert inspect.isasyncgenfunction(decorate(functools.partial(async_numbers, 5)))
    assert [*decorate(functools.partial(numbers, 5))()] == [5, 6]
