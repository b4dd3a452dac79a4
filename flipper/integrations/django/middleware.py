# SPDX-License-Identifier: Apache-2.0
"""The middleware that gives each flag one answer per request."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from asgiref.sync import (
    async_to_sync,
    iscoroutinefunction,
    markcoroutinefunction,
    sync_to_async,
)

from ...request_scope import RequestBlock
from .site_client import features

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from django.http import HttpRequest

_ARGUMENTS: Final = "_flipper_arguments"


class FlipperMiddleware:
    """Gives each flag one answer per request, and the arguments of `CONTEXT`.

    A flag is read once, when it is first asked for; the flags of `PRELOAD` are read
    together, before the view. `CONTEXT` is called at most once, when a question first
    depends on arguments. It may use the database; so it is called before the view if it
    is a coroutine function, or if the view or the server is asynchronous. A streamed
    response keeps the answers of its request.

    If `CONTEXT` fails, that is logged, and questions that depend on arguments get their
    defaults.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[..., Any]) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
        else:
            self.process_view = _make_arguments_of_async_view

    def __call__(self, request: HttpRequest) -> Any:
        """Answer the request; the result is a coroutine if the next one's is."""
        if self._is_async:
            return self._answer_async(request)
        find: Any = features.context_function
        if find is not None:
            if features.context_is_async:
                find = async_to_sync(_found)(find, request)
            else:
                find = partial(find, request)
        scope = RequestBlock(features, find)
        vars(request)[_ARGUMENTS] = scope.arguments
        is_streamed = False
        try:
            with scope:
                if features.preloaded:
                    features.preload(features.preloaded)
                response = self.get_response(request)
            if getattr(response, "streaming", False):
                is_streamed = _keep_for_stream(response, scope)
            return response
        finally:
            if not is_streamed:
                scope.end()

    async def _answer_async(self, request: HttpRequest) -> Any:
        find: Any = features.context_function
        if find is not None:
            find = await _found(find, request)
        scope = RequestBlock(features, find)
        is_streamed = False
        try:
            with scope:
                if features.preloaded:
                    await sync_to_async(features.preload)(features.preloaded)
                response = await self.get_response(request)
            if getattr(response, "streaming", False):
                is_streamed = _keep_for_stream(response, scope)
            return response
        finally:
            if not is_streamed:
                scope.end()


def _make_arguments_of_async_view(request: HttpRequest, view: Any, *_: Any) -> None:
    """Call `CONTEXT` before an async view, which cannot ask the database."""
    arguments = vars(request).get(_ARGUMENTS)
    if arguments is not None and iscoroutinefunction(view):
        with suppress(Exception):  # a question reports it
            arguments.found()


async def _found(function: Any, request: HttpRequest) -> Callable[[], Any]:
    """Call `CONTEXT` now; return a function that returns or raises what it did."""
    if not features.context_is_async:
        function = sync_to_async(function)
    found: Any = None
    failure: Exception | None = None
    try:
        found = await function(request)
    except Exception as error:  # noqa: BLE001  (a question reports it)
        failure = error

    def make() -> Any:
        if failure is not None:
            raise failure
        return found

    return make


def _keep_for_stream(response: Any, scope: RequestBlock) -> bool:
    """Let the parts of a streamed response belong to its request, too.

    Returns:
        `False` for a file: no code of the site makes its parts, and a server may send
        it faster than by parts.
    """
    if getattr(response, "file_to_stream", None) is not None:
        return False
    wrap: Any = _async_parts if response.is_async else _parts
    response.streaming_content = wrap(response.streaming_content, scope)
    return True


def _parts(parts: Iterator[bytes], scope: RequestBlock) -> Iterator[bytes]:
    try:
        while True:
            with scope:
                try:
                    part = next(parts)
                except StopIteration:
                    return
            yield part
    finally:
        scope.end()


async def _async_parts(
    parts: AsyncIterator[bytes], scope: RequestBlock
) -> AsyncIterator[bytes]:
    try:
        while True:
            with scope:
                try:
                    part = await anext(parts)
                except StopAsyncIteration:
                    return
            yield part
    finally:
        scope.end()
