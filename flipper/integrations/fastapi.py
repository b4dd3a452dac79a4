# SPDX-License-Identifier: Apache-2.0
"""Feature flags in FastAPI: the dependencies `flag`, `variant` and `flag_context`.

`flipper_lifespan` and `FlipperMiddleware` are those of
`flipper.integrations.starlette`, and `flipper_client` is a dependency that returns the
client. Nothing here blocks an event loop: what a store does not have in memory is read
in a thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..arguments import check_feature_name
from ..exceptions import InvalidArgumentError
from . import require

require("fastapi", "fastapi")
from fastapi import Depends, HTTPException  # noqa: E402
from fastapi.requests import HTTPConnection  # noqa: E402, TC002  (FastAPI needs it)

from .starlette import (  # noqa: E402
    FlipperMiddleware,
    ask,
    client_of,
    flipper_lifespan,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

__all__ = [
    "FlipperMiddleware",
    "flag",
    "flag_context",
    "flipper_client",
    "flipper_lifespan",
    "variant",
]


def flipper_client(connection: HTTPConnection) -> Any:
    """Return the client of the app; a dependency: `Depends(flipper_client)`.

    Raises:
        RuntimeError: the app has none.
    """
    return client_of(connection)


def flag(  # noqa: PLR0913  (all but the first are keywords)
    feature_name: str,
    *,
    default: Any = False,
    status_code: int | None = 404,
    detail: Any = None,
    context: Callable[..., Any] | None = None,
    client: Any = None,
) -> Callable[..., Awaitable[Any]]:
    """Return a dependency that refuses requests while a flag is off.

    For routes, routers, apps and websockets: `dependencies=[Depends(flag("X"))]`. As a
    parameter, `Depends(flag("X", status_code=None))` is the answer and refuses nothing.

    Args:
        feature_name: the flag.
        default: as for `client.is_enabled`: the answer for a flag that is missing or
            cannot be evaluated.
        status_code: of the `HTTPException` that is raised while the flag is off. With
            `None` none is raised.
        detail: of that exception; without it, the phrase of the status, such as "Not
            Found".
        context: a dependency that returns a dict of arguments for this question.
        client: the client to ask, instead of that of the app.

    Raises:
        InvalidArgumentError: no flag can have this name, or `context` is no function.
    """
    _check(feature_name, context)

    async def answer(connection: HTTPConnection, arguments: Any) -> Any:
        asked = client_of(connection) if client is None else client
        given = _checked(arguments, feature_name)
        found = await ask(
            asked, "is_enabled", feature_name, **{**given, "default": default}
        )
        if not found and status_code is not None:
            raise HTTPException(status_code, detail)
        return found

    return _dependency(answer, context)


def variant(
    feature_name: str,
    default: Any = None,
    *,
    context: Callable[..., Any] | None = None,
    client: Any = None,
) -> Callable[..., Awaitable[Any]]:
    """Return a dependency that is the value of a variant: `Depends(variant("X", 1))`.

    Args:
        feature_name: the flag.
        default: as for `client.variant`: the value for a flag that is off without a
            variant, is missing, or cannot be evaluated.
        context: a dependency that returns a dict of arguments for this question.
        client: the client to ask, instead of that of the app.

    Raises:
        InvalidArgumentError: no flag can have this name, or `context` is no function.
    """
    _check(feature_name, context)

    async def answer(connection: HTTPConnection, arguments: Any) -> Any:
        asked = client_of(connection) if client is None else client
        given = _checked(arguments, feature_name)
        return await ask(asked, "variant", feature_name, default, **given)

    return _dependency(answer, context)


def flag_context(
    context: Callable[..., Any], *, client: Any = None
) -> Callable[..., AsyncIterator[None]]:
    """Return a dependency that adds arguments to all questions of a request.

    Dependencies, endpoints and background tasks that come after it get the arguments:
    `FastAPI(dependencies=[Depends(flag_context(user_arguments))])`.

    Args:
        context: a dependency that returns a dict of arguments. It may have dependencies
            of its own, such as the present user. Its errors are those of the request.
        client: the client whose questions get them, instead of that of the app.

    Raises:
        InvalidArgumentError: `context` is no function.
    """
    _check_context(context, "flag_context()")

    async def add(
        connection: HTTPConnection,
        arguments: Any = Depends(context),  # noqa: B008  (as FastAPI does it)
    ) -> AsyncIterator[None]:
        asked = client_of(connection) if client is None else client
        with asked.context(**_checked(arguments, None)):
            yield

    return add


def _dependency(
    answer: Callable[[HTTPConnection, Any], Awaitable[Any]],
    context: Callable[..., Any] | None,
) -> Callable[..., Awaitable[Any]]:
    """Return a function with the parameters that FastAPI looks at."""
    if context is None:

        async def without_context(connection: HTTPConnection) -> Any:
            return await answer(connection, {})

        return without_context

    async def with_context(
        connection: HTTPConnection,
        arguments: Any = Depends(context),  # noqa: B008  (as FastAPI does it)
    ) -> Any:
        return await answer(connection, arguments)

    return with_context


def _checked(arguments: Any, feature_name: str | None) -> Mapping[str, Any]:
    """Return the arguments.

    Raises:
        TypeError: they are no dict.
    """
    if isinstance(arguments, Mapping):
        return arguments
    subject = "flag_context()" if feature_name is None else f"feature {feature_name!r}"
    message = (
        f"The context of {subject} has to return a dict of arguments, and has returned "
        f"{type(arguments).__name__}"
    )
    raise TypeError(message)


def _check(feature_name: Any, context: Any) -> None:
    if callable(feature_name):
        raise InvalidArgumentError(
            'The dependency needs the name of a flag, as Depends(flag("NEW_UI"))',
            value=feature_name,
        )
    check_feature_name(feature_name)
    if context is not None:
        _check_context(context, f"feature {feature_name!r}")


def _check_context(context: Any, subject: str) -> None:
    if not callable(context):
        raise InvalidArgumentError(
            f"The context of {subject} has to be a dependency, that is a function that "
            f"returns a dict, and is {context!r}",
            value=context,
        )
