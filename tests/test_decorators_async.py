# SPDX-License-Identifier: Apache-2.0
"""The decorator on coroutine functions."""

from __future__ import annotations

import asyncio
import functools
import inspect
import types
from typing import TYPE_CHECKING, Any
from unittest.mock import AsyncMock, MagicMock

import pytest

from flipper import (
    AsyncFeatureFlagClient,
    Condition,
    FeatureFlagClient,
    MemoryFeatureFlagStore,
)
from flipper.decorators import is_enabled
from support.custom_stores import CustomStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture
def client() -> FeatureFlagClient:
    """Return a client whose flag `x` is off."""
    client = FeatureFlagClient(MemoryFeatureFlagStore())
    client.create("x")
    return client


async def new(a: int, b: int = 0) -> tuple[str, int, int]:
    """Return the arguments; stands for the new code."""
    await asyncio.sleep(0)
    return "new", a, b


async def old(a: int, b: int = 0) -> tuple[str, int, int]:
    """Return the arguments; stands for the old code."""
    await asyncio.sleep(0)
    return "old", a, b


def plain(a: int, b: int = 0) -> tuple[str, int, int]:
    """Return the arguments without being a coroutine function."""
    return "plain", a, b


class Awaitable:
    """An object that can be awaited, but is no coroutine."""

    def __init__(self, *given: int, **named: int) -> None:
        self.given = (*given, *named.values())

    def __await__(self) -> Any:
        yield from asyncio.sleep(0).__await__()
        return "awaitable", *self.given


@pytest.mark.parametrize(
    ("redirect", "expected"),
    [
        (None, None),
        (old, ("old", 1, 2)),
        (plain, ("plain", 1, 2)),
        (functools.partial(old, b=3), ("old", 1, 2)),
        (Awaitable, ("awaitable", 1, 2)),
    ],
    ids=["none", "async", "plain", "partial", "awaitable"],
)
def test_a_coroutine_function_stays_one(
    client: FeatureFlagClient, redirect: Any, expected: Any
) -> None:
    """The result is awaited, whether or not the redirect is a coroutine function."""
    decorated = is_enabled(client, "x", redirect=redirect)(new)
    assert inspect.iscoroutinefunction(decorated)
    assert asyncio.run(decorated(1, b=2)) == expected
    client.enable("x")
    assert asyncio.run(decorated(1, b=2)) == ("new", 1, 2)


def test_a_decorated_partial_of_a_coroutine_function_is_one(
    client: FeatureFlagClient,
) -> None:
    """`functools.partial` of a coroutine function is decorated like the function."""
    decorated = is_enabled(client, "x", redirect=plain)(functools.partial(new, b=5))
    assert inspect.iscoroutinefunction(decorated)
    assert asyncio.run(decorated(1)) == ("plain", 1, 0)
    client.enable("x")
    assert asyncio.run(decorated(1)) == ("new", 1, 5)


def test_a_function_marked_as_a_coroutine_function_stays_one(
    client: FeatureFlagClient,
) -> None:
    """Web frameworks mark functions that return a coroutine, and await them."""

    def marked() -> Any:
        return new(1)

    if hasattr(inspect, "markcoroutinefunction"):
        inspect.markcoroutinefunction(marked)
    else:
        marked._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]

    @types.coroutine
    def old_kind() -> Any:
        yield from asyncio.sleep(0).__await__()
        return ("new", 1, 0)

    for function in (marked, old_kind, AsyncMock(return_value=("new", 1, 0))):
        client.disable("x")
        decorated: Any = is_enabled(client, "x")(function)
        assert inspect.iscoroutinefunction(decorated)
        assert asyncio.run(decorated()) is None
        client.enable("x")
        assert asyncio.run(decorated()) == ("new", 1, 0)


def test_async_methods_can_be_decorated(client: FeatureFlagClient) -> None:
    """The redirect of a coroutine method gets the object first."""

    class Site:
        name = "site"

        @is_enabled(client, "x", redirect=lambda self: f"{self.name} closed")
        async def visit(self) -> str:
            return f"{self.name} open"

    site = Site()
    assert asyncio.run(site.visit()) == "site closed"
    client.enable("x")
    assert asyncio.run(site.visit()) == "site open"


def test_a_plain_function_may_return_a_coroutine(
    client: FeatureFlagClient,
) -> None:
    """A function that returns an awaitable stays plain, and its caller awaits it.

    The methods of Django's class-based asynchronous views are such functions.
    """
    decorated: Any = is_enabled(client, "x", redirect=old)(lambda a: new(a, 0))
    assert not inspect.iscoroutinefunction(decorated)
    assert asyncio.run(decorated(1)) == ("old", 1, 0)
    client.enable("x")
    assert asyncio.run(decorated(1)) == ("new", 1, 0)


def test_the_flag_is_asked_when_the_coroutine_starts(client: FeatureFlagClient) -> None:
    """A coroutine may be awaited long after it was created."""

    async def make_then_enable() -> Any:
        coroutine = is_enabled(client, "x")(new)(1)
        client.enable("x")
        return await coroutine

    assert asyncio.run(make_then_enable()) == ("new", 1, 0)


async def _context(user: str) -> dict[str, Any]:
    return {"user": user}


@pytest.mark.parametrize("context", [_context, lambda user: {"user": user}])
def test_the_context_of_a_coroutine_function_may_be_one(context: Any) -> None:
    """A context that has to be awaited is awaited, and a plain one works too."""
    client = FeatureFlagClient(MemoryFeatureFlagStore())
    client.create("x", is_enabled=True)
    client.add_condition("x", Condition(user="ann"))

    @is_enabled(client, "x", context=context)
    async def view(user: str) -> str:
        return f"new for {user}"

    @is_enabled(client, "x", context=context)
    async def items(user: str) -> AsyncIterator[str]:
        yield user

    async def collect(user: str) -> list[Any]:
        return [await view(user), *[item async for item in items(user)]]

    assert asyncio.run(collect("ann")) == ["new for ann", "ann"]
    assert asyncio.run(collect("bob")) == [None]


def test_a_coroutine_function_as_context_of_a_plain_function_is_refused() -> None:
    """A plain function cannot await it, and no warning is left behind."""
    view: Any = is_enabled(MagicMock(), "x", context=_context)(lambda user: user)
    with pytest.raises(TypeError, match="returned a coroutine"):
        view("ann")


# A client that has to be awaited


def asynchronous(**options: Any) -> AsyncFeatureFlagClient:
    """Return an async client whose flag `x` is off; its store is not in memory."""
    store = CustomStore()
    store.create("x")
    return AsyncFeatureFlagClient(store, **options)


def test_an_async_client_is_awaited() -> None:
    """The answer decides, not the coroutine, which is true as an object."""
    client = asynchronous()

    async def context(a: int, b: int) -> dict[str, Any]:
        return {"b": b}

    plain_question = is_enabled(client, "x", redirect=old)(new)
    with_context = is_enabled(client, "x", redirect=old, context=context)(new)
    missing = is_enabled(client, "missing", redirect=old, default=True)(new)

    @is_enabled(client, "x")
    async def generate() -> AsyncIterator[int]:
        yield 1

    async def main() -> list[Any]:
        answers = [await plain_question(1, b=2), await with_context(1, b=2)]
        answers += [await missing(1, b=2), [item async for item in generate()]]
        return [answers[0][0], answers[1][0], answers[2][0], answers[3]]

    assert asyncio.run(main()) == ["old", "old", "new", []]
    client.sync_client.enable("x")
    assert asyncio.run(main()) == ["new", "new", "new", [1]]
    client.sync_client.add_condition("x", Condition(b=3))
    assert asyncio.run(main()) == ["new", "old", "new", [1]]


def iterate() -> Iterator[int]:
    """Yield a number; a generator function."""
    yield 1


@pytest.mark.parametrize("function", [plain, iterate])
def test_a_function_without_async_is_refused(function: Any) -> None:
    """It cannot await the answer, and an answer that is not awaited counts as on."""
    with pytest.raises(TypeError, match="'x' has to be awaited"):
        is_enabled(asynchronous(), "x")(function)


@pytest.mark.parametrize("context", [None, lambda *_, **__: {}])
def test_a_proxy_of_an_async_client_is_found_out_by_the_call(context: Any) -> None:
    """The decorator does not know the client yet; the call never runs the function."""
    client = asynchronous()

    class Proxy:
        def __getattr__(self, name: str) -> Any:
            return getattr(client, name)

    called: list[int] = []
    decorated = is_enabled(Proxy(), "x", context=context)(called.append)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="'x' has to be awaited"):
        decorated(1)
    assert not called

    class Answer(Awaitable):
        pass

    double = MagicMock()
    double.is_enabled.return_value = Answer()
    with pytest.raises(TypeError, match="'x' has to be awaited"):
        is_enabled(double, "x", context=context)(called.append)(1)
    assert not called
