# SPDX-License-Identifier: Apache-2.0
"""`flag_required`: a view that exists only while a flag is on."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial, wraps
from inspect import isawaitable, iscoroutinefunction
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import flask

from ...arguments import check_feature_name
from ...exceptions import InvalidArgumentError
from .extension import DEFAULT_NAME, flags_of_current_app

if TYPE_CHECKING:
    from collections.abc import Callable

View = TypeVar("View", bound="Callable[..., Any]")


def flag_required(
    feature_name: str,
    *,
    redirect: str | Callable[..., Any] | None = None,
    context: Callable[..., Any] | None = None,
    default: Any = False,
    extension: str = DEFAULT_NAME,
) -> Callable[[View], View]:
    """Answer a request by 404, or elsewhere, while a flag is off.

    It decorates view functions, async ones, methods, and, by `decorators = [...]`,
    class-based views. It stands below `@app.route`, which otherwise registers the view
    without it.

    Args:
        feature_name: the flag.
        redirect: where to redirect to while the flag is off: an endpoint, or a URL, in
            which there is a `/`; or a function that is called with the arguments of the
            view and returns a response. It may be async.
        context: is called with the arguments of the view, and returns a dict of further
            arguments for the question. It may be async. Its errors are raised to the
            caller.
        default: as for `client.is_enabled`: the answer for a flag that is missing or
            cannot be evaluated.
        extension: the name of the `Flipper` to ask, if the app has several.

    Raises:
        InvalidArgumentError: no flag can have this name, or `redirect` or `context` is
            something else.
        TypeError: a class is decorated.
    """
    _check(feature_name, redirect, context)
    gate = _Gate(feature_name, redirect, context, default, extension)

    def decorate(view: Any) -> Any:
        if isinstance(view, type):
            message = (
                f"flag_required() cannot decorate the class {view.__name__}; write "
                f"decorators = [flag_required({feature_name!r})] into it"
            )
            raise TypeError(message)
        return wraps(view)(gate.around(view))

    return decorate


class _Gate:
    """Lets requests through to a view while a flag is on. It never changes."""

    def __init__(
        self, feature_name: str, redirect: Any, context: Any, default: Any, name: str
    ) -> None:
        self._feature_name = feature_name
        self._redirect = _refuse if redirect is None else redirect
        if isinstance(redirect, str):
            self._redirect = partial(_redirect, redirect)
        self._context = context or _no_arguments
        self._default = default
        self._extension = name

    def around(self, view: Any) -> Callable[..., Any]:
        """Return a view of the same kind."""
        if iscoroutinefunction(view):

            async def call_async(*args: Any, **kwargs: Any) -> Any:
                context = await _awaited(self._context(*args, **kwargs))
                chosen = view if self._is_on(context) else self._redirect
                return await _awaited(chosen(*args, **kwargs))

            return call_async

        def call(*args: Any, **kwargs: Any) -> Any:
            ensure_sync = flask.current_app.ensure_sync
            context = ensure_sync(self._context)(*args, **kwargs)
            chosen = view if self._is_on(context) else ensure_sync(self._redirect)
            return chosen(*args, **kwargs)

        return call

    def _is_on(self, context: Any) -> Any:
        if not isinstance(context, Mapping):
            message = (
                f"The context of feature {self._feature_name!r} has to return a dict "
                f"of arguments, and has returned {type(context).__name__}"
            )
            raise TypeError(message)
        client = flags_of_current_app(self._extension).client
        arguments = {**context, "default": self._default}
        return client.is_enabled(self._feature_name, **arguments)


async def _awaited(result: Any) -> Any:
    return await result if isawaitable(result) else result


def _no_arguments(*_: Any, **__: Any) -> dict[str, Any]:
    return {}


def _refuse(*_: Any, **__: Any) -> NoReturn:
    flask.abort(404)


def _redirect(place: str, *_: Any, **__: Any) -> Any:
    return flask.redirect(place if "/" in place else flask.url_for(place))


def _check(feature_name: Any, redirect: Any, context: Any) -> None:
    if callable(feature_name):
        raise InvalidArgumentError(
            'flag_required needs the name of a flag, as @flag_required("NEW_UI")',
            value=feature_name,
        )
    check_feature_name(feature_name)
    is_place = isinstance(redirect, str) and redirect != ""
    if not (redirect is None or is_place or callable(redirect)):
        raise InvalidArgumentError(
            f"The redirect of feature {feature_name!r} has to be an endpoint, a URL or "
            f"a function, and is {redirect!r}",
            feature_name=feature_name,
            value=redirect,
        )
    if context is not None and not callable(context):
        raise InvalidArgumentError(
            f"The context of feature {feature_name!r} has to be a function of the "
            f"arguments of the view, and is {context!r}",
            feature_name=feature_name,
            value=context,
        )
