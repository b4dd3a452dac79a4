# SPDX-License-Identifier: Apache-2.0
"""The decorator on coroutine functions."""

from __future__ import annotations

import asyncio
import functools
import inspect
import types
from typing import Any
from unittest.mock import AsyncMock

import pytest

from flipper import FeatureFlagClient, MemoryFeatureFlagStore
from flipper.decorators import is_enabled


@pytest.fixture
def client() -> FeatureFlagClient:
    """Give a client whose flag `x` is off."""
    client = FeatureFlagClient(MemoryFeatureFlagStore())
    client.create("x")
    return client


async def new(a: int, b: int = 0) -> tuple[str, int, int]:
    """Answer after a moment."""
    await asyncio.sleep(0)
    return "new", a, b


async def old(a: int, b: int = 0) -> tuple[str, int, int]:
    """Answer after a moment, the old way."""
    await asyncio.sleep(0)
    return "old", a, b


def plain(a: int, b: int = 0) -> tuple[str, int, int]:
    """Answer at once."""
    return "plain", a, b


class Awaitable:
    """Something to be awaited that is no coroutine."""

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
    """Whatever the redirect is: who awaits the one can await the other."""
    decorated = is_enabled(client, "x", redirect=redirect)(new)
    assert inspect.iscoroutinefunction(decorated)
    assert asyncio.run(decorated(1, b=2)) == expected
    client.enable("x")
    assert asyncio.run(decorated(1, b=2)) == ("new", 1, 2)


def test_a_partial_of_a_coroutine_function_is_one(client: FeatureFlagClient) -> None:
    """Arguments may be filled in before."""
    decorated = is_enabled(client, "x", redirect=plain)(functools.partial(new, b=5))
    assert inspect.iscoroutinefunction(decorated)
    assert asyncio.run(decorated(1)) == ("plain", 1, 0)
    client.enable("x")
    assert asyncio.run(decorated(1)) == ("new", 1, 5)


def test_a_function_that_is_marked_as_a_coroutine_function_stays_one(
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
    """The redirect gets the object first, as the method does."""

    class Site:
        name = "site"

        @is_enabled(client, "x", redirect=lambda self: f"{self.name} closed")
        async def visit(self) -> str:
            return f"{self.name} open"

    site = Site()
    assert asyncio.run(site.visit()) == "site closed"
    client.enable("x")
    assert asyncio.run(site.visit()) == "site open"


def test_a_plain_function_gives_what_an_async_redirect_gives(
    client: FeatureFlagClient,
) -> None:
    """A function that returns an awaitable is decorated so, and awaited by its caller.

    The methods of Django's class-based async views are such functions.
    """
    decorated: Any = is_enabled(client, "x", redirect=old)(lambda a: new(a, 0))
    assert not inspect.iscoroutinefunction(decorated)
    assert asyncio.run(decorated(1)) == ("old", 1, 0)
    client.enable("x")
    assert asyncio.run(decorated(1)) == ("new", 1, 0)


def test_the_flag_is_asked_when_a_coroutine_begins(client: FeatureFlagClient) -> None:
    """Not when it is made: it may be awaited much later."""

    async def make_then_enable() -> Any:
        coroutine = is_enabled(client, "x")(new)(1)
        client.enable("x")
        return await coroutine

    assert asyncio.run(make_then_enable()) == ("new", 1, 0)
