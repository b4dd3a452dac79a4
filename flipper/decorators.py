# SPDX-License-Identifier: Apache-2.0
"""A decorator that runs a function only while a flag is on."""

from __future__ import annotations

import inspect
import sys
from collections.abc import AsyncGenerator
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from .client import FeatureFlagClient

F = TypeVar("F", bound="Callable[..., Any]")


def is_enabled(
    features: FeatureFlagClient | None = None,
    feature_name: str | None = None,
    redirect: Callable[..., Any] | None = None,
    *,
    flags: FeatureFlagClient | None = None,
) -> Callable[[F], F]:
    """Call the decorated function only if a flag is on; ask at each call.

    Works on plain functions, views and methods, class methods and static methods, and
    on `async def`, generator functions and async generator functions, which stay what
    they are. A generator asks when its iteration begins, and gives nothing if the flag
    is off.

    Args:
        features: the client to ask.
        feature_name: the flag; it is asked about without arguments.
        redirect: called instead while the flag is off, with the same arguments; may be
            a coroutine function if the decorated one is, and has to give an awaitable
            where that does so without being one, as `dispatch` of Django's async
            classes does. Without it the answer is `None`, which no framework takes for
            a response. In place of a generator function it returns what is to be
            iterated over, or `None` for nothing; in place of an async one that may be
            an async iterable, and awaitable first.
        flags: another name of `features`.

    Raises:
        TypeError: `features` or `feature_name` is missing.
    """
    # Drop-in: flipper-client's code calls the first parameter `flags`.
    client = flags if features is None else features
    if client is None or feature_name is None:
        message = "is_enabled() needs both 'features' and 'feature_name'"
        raise TypeError(message)
    instead: Callable[..., Any] = _nothing if redirect is None else redirect

    def decorate(function: Any) -> Any:
        if isinstance(function, (classmethod, staticmethod)):
            return type(function)(decorate(function.__func__))
        kind = _kind_of(function)
        return wraps(function)(kind(function, client, feature_name, instead))

    return decorate


def _nothing(*_: Any, **__: Any) -> None:
    """Stand in for a redirect that is not there."""


def _kind_of(function: Any) -> Callable[..., Any]:
    """Return what makes a function of the same kind as `function`."""
    while isinstance(function, partial):
        function = function.func
    # The second of an object that is called as a function.
    for called in (function, type(function).__call__):
        if inspect.isasyncgenfunction(called):
            return _async_generator_function
        if _is_coroutine_function(called):
            return _coroutine_function
        if inspect.isgeneratorfunction(called):
            return _generator_function
    return _plain_function


def _is_coroutine_function(function: Any) -> bool:
    if inspect.iscoroutinefunction(function):
        return True
    flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
    if isinstance(flags, int) and flags & inspect.CO_ITERABLE_COROUTINE:
        return True  # made by `types.coroutine`
    # How functions are marked that return a coroutine, before Python 3.12. Only asyncio
    # has the marker, so where it is not loaded nothing is marked.
    asyncio = sys.modules.get("asyncio.coroutines")
    marker = getattr(asyncio, "_is_coroutine", None)
    return marker is not None and getattr(function, "_is_coroutine", None) is marker


def _plain_function(
    function: Any, client: FeatureFlagClient, feature_name: str, redirect: Any
) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        if client.is_enabled(feature_name):
            return function(*args, **kwargs)
        return redirect(*args, **kwargs)

    return call


def _coroutine_function(
    function: Any, client: FeatureFlagClient, feature_name: str, redirect: Any
) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        if client.is_enabled(feature_name):
            return await function(*args, **kwargs)
        result = redirect(*args, **kwargs)
        return await result if inspect.isawaitable(result) else result

    return call


def _generator_function(
    function: Any, client: FeatureFlagClient, feature_name: str, redirect: Any
) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        chosen = function if client.is_enabled(feature_name) else redirect
        found = chosen(*args, **kwargs)
        return None if found is None else (yield from found)

    return call


def _async_generator_function(
    function: Any, client: FeatureFlagClient, feature_name: str, redirect: Any
) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        chosen = function if client.is_enabled(feature_name) else redirect
        items = await _async_generator_of(chosen(*args, **kwargs))
        # What `yield from` does, which async generators lack: what the caller sends and
        # throws is for `items`, and closing this one closes them.
        try:
            item = await anext(items)
            while True:
                try:
                    sent = yield item
                except GeneratorExit:
                    raise
                except BaseException as error:  # noqa: BLE001  (thrown by the caller)
                    item = await items.athrow(error)
                else:
                    item = await items.asend(sent)
        except StopAsyncIteration:
            return
        finally:
            await items.aclose()

    return call


async def _async_generator_of(found: Any) -> Any:
    """Return an async generator of what a redirect gives, whatever that is."""
    if inspect.isawaitable(found):
        found = await found
    if isinstance(found, AsyncGenerator):
        return found
    if hasattr(found, "__aiter__"):
        return (item async for item in found)
    return _each(() if found is None else found)


async def _each(items: Iterable[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item
