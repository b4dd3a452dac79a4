# SPDX-License-Identifier: Apache-2.0
"""A decorator that runs a function only while a flag is on."""

from __future__ import annotations

import inspect
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable

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

    Works on plain functions, views and methods, and on `async def`, which then stays a
    coroutine function.

    Args:
        features: the client to ask.
        feature_name: the flag; it is asked about without arguments.
        redirect: called instead while the flag is off, with the same arguments; may be
            a coroutine function if the decorated one is, and has to give an awaitable
            where that does so without being one, as `dispatch` of Django's async
            classes does. Without it the answer is `None`, which no framework takes for
            a response.
        flags: another name of `features`.

    Raises:
        TypeError: `features` or `feature_name` is missing.
    """
    # Drop-in: flipper-client's code calls the first parameter `flags`.
    client = flags if features is None else features
    if client is None or feature_name is None:
        message = "is_enabled() needs both 'features' and 'feature_name'"
        raise TypeError(message)

    def decorate(function: F) -> F:
        if inspect.iscoroutinefunction(function):

            @wraps(function)
            async def call(*args: Any, **kwargs: Any) -> Any:
                if client.is_enabled(feature_name):
                    return await function(*args, **kwargs)
                result = None if redirect is None else redirect(*args, **kwargs)
                return await result if inspect.isawaitable(result) else result

        else:

            @wraps(function)
            def call(*args: Any, **kwargs: Any) -> Any:
                if client.is_enabled(feature_name):
                    return function(*args, **kwargs)
                return None if redirect is None else redirect(*args, **kwargs)

        return cast("F", call)

    return decorate
