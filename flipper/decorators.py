# SPDX-License-Identifier: Apache-2.0
"""The decorator that runs a function only while a flag is on."""

from __future__ import annotations

import inspect
import sys
from collections.abc import AsyncGenerator, Mapping
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from .async_client import AsyncFeatureFlagClient
    from .client import FeatureFlagClient

    AnyClient = FeatureFlagClient | AsyncFeatureFlagClient

F = TypeVar("F", bound="Callable[..., Any]")

_NOT_GIVEN: Final[Any] = object()


def is_enabled(  # noqa: PLR0913  (the new ones are keywords)
    features: AnyClient | None = None,
    feature_name: str | None = None,
    redirect: Callable[..., Any] | None = None,
    *,
    flags: AnyClient | None = None,
    context: Callable[..., Any] | None = None,
    default: Any = _NOT_GIVEN,
) -> Callable[[F], F]:
    """Call the decorated function only if a flag is on, which each call checks.

    Works on functions, views, methods, class methods, static methods, coroutine
    functions, generator functions and async generator functions. The result is a
    function of the same kind. A generator checks the flag when its iteration begins,
    and yields nothing if the flag is off.

    Args:
        features: the client to ask. An `AsyncFeatureFlagClient` can be asked only by
            coroutine functions and async generator functions.
        feature_name: the flag; without `context` it is evaluated without arguments.
        redirect: called with the same arguments while the flag is off. For a coroutine
            function it may be one, too. For a plain function that returns an awaitable,
            such as `dispatch` of Django's async views, it has to return an awaitable.
            For a generator function it returns an iterable, or `None` for nothing; for
            an async generator function also an async iterable, or an awaitable of any
            of these. Without a redirect the result is `None`, which no web framework
            accepts as a response.
        flags: another name of `features`.
        context: called with the same arguments at each call; it returns a dict of the
            arguments for conditions and bucketers. For a coroutine function and an
            async generator function it may be a coroutine function. Its errors are
            raised to the caller.
        default: as for `client.is_enabled`: the answer for a flag that is missing or
            cannot be evaluated.

    Raises:
        TypeError: `features` or `feature_name` is missing, `context` cannot be called,
            or a function without `async` is to ask an `AsyncFeatureFlagClient`. A call
            raises it if `context` does not return a dict.
    """
    # Drop-in: flipper-client's code calls the first parameter `flags`.
    client = flags if features is None else features
    if client is None or feature_name is None:
        message = "is_enabled() needs both 'features' and 'feature_name'"
        raise TypeError(message)
    if context is not None and not callable(context):
        message = (
            f"is_enabled() of feature {feature_name!r} needs as 'context' a function "
            f"of the arguments of the call, as lambda request: {{...}}, not {context!r}"
        )
        raise TypeError(message)
    instead: Callable[..., Any] = _nothing if redirect is None else redirect
    question = _Question(client, feature_name, context, default)

    def decorate(function: Any) -> Any:
        if isinstance(function, (classmethod, staticmethod)):
            return type(function)(decorate(function.__func__))
        make = _wrapper_for(function)
        if make in _WITHOUT_ASYNC and question.has_async_client():
            raise question.needs_async_function()
        return wraps(function)(make(function, question, instead))

    return decorate


class _Question:
    """What a decorated function asks at each call."""

    def __init__(
        self, client: AnyClient, feature_name: str, context: Any, default: Any
    ) -> None:
        self._client = client
        self._feature_name = feature_name
        self._context = context
        # Drop-in: without a default, existing tests with a mock client expect none.
        self._default = {} if default is _NOT_GIVEN else {"default": default}
        self._is_plain = context is None and not self._default

    def ask(self, /, *args: Any, **kwargs: Any) -> Any:
        """Return whether the flag is on for these arguments of the function."""
        if self._is_plain:
            answer = self._client.is_enabled(self._feature_name)
        else:
            context = {} if self._context is None else self._context(*args, **kwargs)
            answer = self._answer(context)
        if type(answer) is not bool and inspect.isawaitable(answer):
            # It is true as an object, but the flag may be off.
            if inspect.iscoroutine(answer):
                answer.close()
            raise self.needs_async_function()
        return answer

    async def ask_async(self, /, *args: Any, **kwargs: Any) -> Any:
        """Do the same; the context may be a coroutine function, the client async."""
        context = {} if self._context is None else self._context(*args, **kwargs)
        if type(context) is not dict and inspect.isawaitable(context):
            context = await context
        answer = self._answer(context)
        if type(answer) is not bool and inspect.isawaitable(answer):
            return await answer
        return answer

    def has_async_client(self) -> bool:
        """Return whether the answers of the client have to be awaited."""
        # Not of the client itself, which may be a proxy that is not ready yet.
        ask = getattr(type(self._client), "is_enabled", None)
        return inspect.iscoroutinefunction(ask)

    def needs_async_function(self) -> TypeError:
        """Return the error of a function without `async`."""
        return TypeError(
            f"The client that is asked about feature {self._feature_name!r} has to be "
            f"awaited, which only an `async def` function can do; for other functions "
            f"use a FeatureFlagClient, such as the client's `sync_client`"
        )

    def _answer(self, context: Any) -> Any:
        if not isinstance(context, Mapping):
            if inspect.iscoroutine(context):
                context.close()
            message = (
                f"The context of feature {self._feature_name!r} has to be a dict of "
                f"arguments, and {self._context!r} returned a {type(context).__name__}"
            )
            raise TypeError(message)
        return self._client.is_enabled(
            self._feature_name, **{**context, **self._default}
        )


def _nothing(*_: Any, **__: Any) -> None:
    """Return `None`, as a redirect that was not given."""


def _wrapper_for(function: Any) -> Callable[..., Any]:
    """Return the function below that makes a function of the same kind."""
    while isinstance(function, partial):
        function = function.func
    # The second is for objects with a `__call__` method.
    for called in (function, type(function).__call__):
        if inspect.isasyncgenfunction(called):
            return _wrap_async_generator_function
        if _is_coroutine_function(called):
            return _wrap_coroutine_function
        if inspect.isgeneratorfunction(called):
            return _wrap_generator_function
    return _wrap_plain_function


def _is_coroutine_function(function: Any) -> bool:
    if inspect.iscoroutinefunction(function):
        return True
    flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
    if isinstance(flags, int) and flags & inspect.CO_ITERABLE_COROUTINE:
        return True  # decorated by `types.coroutine`
    # Before Python 3.12, asyncio marks functions that return a coroutine. Only asyncio
    # has the marker, so no function is marked unless asyncio is loaded.
    asyncio = sys.modules.get("asyncio.coroutines")
    marker = getattr(asyncio, "_is_coroutine", None)
    return marker is not None and getattr(function, "_is_coroutine", None) is marker


def _wrap_plain_function(
    function: Any, question: _Question, redirect: Any
) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        if question.ask(*args, **kwargs):
            return function(*args, **kwargs)
        return redirect(*args, **kwargs)

    return call


def _wrap_coroutine_function(
    function: Any, question: _Question, redirect: Any
) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        if await question.ask_async(*args, **kwargs):
            return await function(*args, **kwargs)
        result = redirect(*args, **kwargs)
        return await result if inspect.isawaitable(result) else result

    return call


def _wrap_generator_function(
    function: Any, question: _Question, redirect: Any
) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        chosen = function if question.ask(*args, **kwargs) else redirect
        found = chosen(*args, **kwargs)
        return None if found is None else (yield from found)

    return call


_WITHOUT_ASYNC: Final = (_wrap_plain_function, _wrap_generator_function)


def _wrap_async_generator_function(
    function: Any, question: _Question, redirect: Any
) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        chosen = function if await question.ask_async(*args, **kwargs) else redirect
        items = await _async_generator_of(chosen(*args, **kwargs))
        # Async generators have no `yield from`, so this does the same: it passes to
        # `items` what the caller sends and throws, and closes `items` at the end.
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
    """Return an async generator for any result of a redirect."""
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
