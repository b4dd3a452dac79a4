# SPDX-License-Identifier: Apache-2.0
"""Feature flags in Starlette: `flipper_lifespan` and `FlipperMiddleware`.

The lifespan opens and closes the store, and the middleware gives each request one
answer per flag. `flipper.integrations.fastapi` adds dependencies for FastAPI.

A client is a `FeatureFlagClient` or an `AsyncFeatureFlagClient`.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from inspect import isawaitable, iscoroutinefunction
from typing import TYPE_CHECKING, Any, Final

from ..async_client.in_memory import answers_only_from_memory
from ..client import FeatureFlagClient
from ..exceptions import InvalidArgumentError
from . import require

require("starlette", "starlette")
from starlette.concurrency import run_in_threadpool  # noqa: E402
from starlette.requests import HTTPConnection  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
    from contextlib import AbstractAsyncContextManager

    from starlette.types import ASGIApp, Receive, Scope, Send

    Context = Callable[
        [HTTPConnection], Mapping[str, Any] | Awaitable[Mapping[str, Any]]
    ]

_NAME: Final = "flipper"  # in the state of the app and of requests
_NO_CLIENT: Final = (
    "There is no client of flipper for this request; give the app one by "
    "lifespan=flipper_lifespan(...), or set app.state.flipper. A test has to run the "
    "lifespan, as `with TestClient(app) as browser:` does"
)


def flipper_lifespan(
    source: Any = None, **options: Any
) -> Callable[[Any], AbstractAsyncContextManager[dict[str, Any]]]:
    """Return a lifespan that opens the store when the app starts, and closes it.

    The client is in `app.state.flipper`, and in `state.flipper` of each request. The
    store is opened and closed in a thread, so that no event loop waits for it.

    A lifespan of the application can use it: `async with lifespan(app) as state:`, and
    then yields the state, or a dict that has its entries, too.

    Args:
        source: a URL of a store; or a client, which stays open at the end; or a
            function without arguments, also an async one, that returns a client, which
            is closed at the end. Without it, the URL is that of the environment
            variable `FLIPPER_URL`.
        **options: for a URL, as for `FeatureFlagClient.from_url`.

    Raises:
        InvalidArgumentError: it is something else, or there are options without a URL;
            and at the start, as `FeatureFlagClient.from_url`.
        Exception: at the start, any error of the store's constructor.
    """
    has_url = source is None or isinstance(source, str)
    if options and not has_url:
        raise InvalidArgumentError(
            f"The options {', '.join(options)} are those of a URL; give them to what "
            f"makes the client",
            value=source,
        )
    is_client = hasattr(source, "is_enabled") and not isinstance(source, type)
    if not (has_url or is_client or callable(source)):
        raise InvalidArgumentError(
            f"flipper_lifespan() needs a URL, a client or a function that returns one, "
            f"and {type(source).__name__} is none; for a store, use "
            f"FeatureFlagClient(store)",
            value=source,
        )

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[dict[str, Any]]:
        client = source
        if has_url:
            make = partial(FeatureFlagClient.from_url, source, **options)
            client = await run_in_threadpool(make)
        elif not is_client:
            client = await run_in_threadpool(source)
            client = await client if isawaitable(client) else client
        app.state.flipper = client
        try:
            yield {_NAME: client}
        finally:
            if not is_client:
                await _close(client)

    return lifespan


async def _close(client: Any) -> None:
    if iscoroutinefunction(client.close):
        await client.close()
    else:  # may wait for background threads
        await run_in_threadpool(client.close)


class FlipperMiddleware:
    """ASGI middleware that gives each request one answer per flag.

    Within a request, each flag is read once and has one state: in the endpoint, in its
    dependencies, in threads, in a streamed response and in background tasks. The same
    holds for a whole connection of a websocket, which may last for days: give
    `websockets=False` if it should see changes.

    Args:
        app: the ASGI app.
        client: the client; without it, that of `flipper_lifespan` or `app.state`.
        context: a function of the connection that returns a dict of arguments, which
            all questions of the request get. If it is async, it is awaited when the
            request begins; otherwise the first question that needs the arguments calls
            it, in the thread that asks. If it raises, questions that need it have the
            default, and a warning is logged.
        preload: names of flags to read in one round trip when the request begins.
        websockets: whether websockets are requests, too.
    """

    def __init__(
        self,
        app: ASGIApp,
        client: Any = None,
        *,
        context: Context | None = None,
        preload: Iterable[str] = (),
        websockets: bool = True,
    ) -> None:
        if context is not None and not callable(context):
            raise InvalidArgumentError(
                f"The context has to be a function of the connection that returns a "
                f"dict, as lambda connection: {{...}}, and is {context!r}",
                value=context,
            )
        if isinstance(preload, str):
            raise InvalidArgumentError(
                f"The flags to preload have to be a list of names, as ['NEW_UI'], and "
                f"are {preload!r}",
                value=preload,
            )
        self.app = app
        self._client = client
        self._context = context
        self._preload = [*preload]
        self._kinds = ("http", "websocket") if websockets else ("http",)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the app, in the same task."""
        if scope["type"] not in self._kinds:
            await self.app(scope, receive, send)
            return
        client = self._client
        if client is None:
            client = _client_in(scope)
        else:
            scope.setdefault("state", {})[_NAME] = client
        with client.memoize():
            if self._preload:
                await ask(client, "preload", self._preload)
            if self._context is None:
                await self.app(scope, receive, send)
                return
            find = await _finder(self._context, scope)
            with _sync(client)._lazy_context(find):  # noqa: SLF001  (for integrations)
                await self.app(scope, receive, send)


def client_of(connection: HTTPConnection) -> Any:
    """Return the client of a request or a websocket.

    Raises:
        RuntimeError: neither the request nor its app has one.
    """
    return _client_in(connection.scope)


def _client_in(scope: Scope) -> Any:
    client = (scope.get("state") or {}).get(_NAME)
    if client is None:
        client = getattr(getattr(scope.get("app"), "state", None), _NAME, None)
    if client is None:
        raise RuntimeError(_NO_CLIENT)
    return client


async def ask(client: Any, method: str, /, *args: Any, **kwargs: Any) -> Any:
    """Call a method of a client, and return its answer without blocking the loop.

    A method of a `FeatureFlagClient` runs in a thread, with the `memoize` and `context`
    blocks of this task, unless its store answers from a table in memory.
    """
    call = getattr(client, method)
    is_sync = isinstance(client, FeatureFlagClient)
    if is_sync and not answers_only_from_memory(client):
        return await run_in_threadpool(partial(call, *args, **kwargs))
    answer = call(*args, **kwargs)
    return await answer if isawaitable(answer) else answer


def _sync(client: Any) -> FeatureFlagClient:
    return getattr(client, "sync_client", client)  # type: ignore[no-any-return]


def _is_async(function: Any) -> bool:
    while isinstance(function, partial):
        function = function.func
    return iscoroutinefunction(function) or iscoroutinefunction(
        getattr(type(function), "__call__", None)  # noqa: B004  (of an object)
    )


async def _finder(context: Any, scope: Scope) -> Callable[[], Any]:
    """Return a function that returns or raises what the context does."""
    if not _is_async(context):
        return lambda: context(HTTPConnection(scope))
    try:
        found = await context(HTTPConnection(scope))
    except Exception as caught:  # noqa: BLE001  (raised by the question)
        error = caught

        def fail() -> Any:
            raise error

        return fail
    return lambda: found
