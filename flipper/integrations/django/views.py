# SPDX-License-Identifier: Apache-2.0
"""Views that are there only while a flag is on."""

from __future__ import annotations

from functools import partial, wraps
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from django.http import Http404
from django.shortcuts import redirect as redirect_to
from django.views import View

from ...decorators import is_enabled
from .site_client import features

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest

V = TypeVar("V", bound="Callable[..., Any]")


def flag_required(
    feature_name: str,
    *,
    redirect: Any = None,
    context: Callable[..., Any] | None = None,
    default: Any = False,
) -> Callable[[V], V]:
    """Let a view answer only while a flag is on; otherwise, the page is not found.

    Works on functions, on `async def`, and on views that are classes: on the class, on
    one of its methods, on what `as_view()` returns, and by `method_decorator`.

    Args:
        feature_name: the flag.
        redirect: where to send the user while the flag is off: the name of a URL, a
            path, or an object with `get_absolute_url`. Or a function with the arguments
            of the view, which returns the response. Without it, the answer is 404.
        context: a function with the arguments of the view that returns a dict of
            arguments for the question. They take precedence over those of the setting
            `CONTEXT`.
        default: the answer for a flag that is missing or cannot be evaluated.

    Raises:
        TypeError: the flag is not named, or what is decorated is no view.
    """
    if not isinstance(feature_name, str):
        message = (
            "flag_required() needs the name of a flag first, as in "
            "@flag_required('NEW_CHECKOUT')"
        )
        raise TypeError(message)
    answer_off = partial(_answer_off, feature_name, redirect)

    def protect(function: Any) -> Any:
        off: Any = answer_off
        view = getattr(getattr(function, "func", function), "__self__", None)
        if isinstance(view, View):  # decorated by `method_decorator`
            off = partial(_answer_off_in_class, view, answer_off)
        decorate = is_enabled(
            features, feature_name, off, context=context, default=default
        )
        return decorate(function)

    def decorate(view: Any) -> Any:
        if not isinstance(view, type):
            return protect(view)
        if not issubclass(view, View):
            message = f"flag_required() cannot decorate {view.__name__}: it is no View"
            raise TypeError(message)
        kind: Any = view
        dispatch = kind.dispatch

        @wraps(dispatch)
        def protected(self: Any, /, *args: Any, **kwargs: Any) -> Any:
            return protect(dispatch.__get__(self))(*args, **kwargs)

        kind.dispatch = protected
        return kind

    return decorate


class FlagRequiredMixin:
    """Lets a class-based view answer only while a flag is on. Name it before `View`.

    Attributes:
        feature_name: the flag.
        flag_redirect: as `redirect` of `flag_required`; or a method with the arguments
            of the view, which returns the response.
    """

    feature_name: ClassVar[str]
    flag_redirect: ClassVar[Any] = None

    def get_flag_context(self) -> dict[str, Any]:
        """Return arguments for the question; they take precedence over `CONTEXT`."""
        return {}

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Answer as the view, or as `flag_required` while the flag is off."""
        protect = flag_required(
            self.feature_name,
            redirect=self.flag_redirect,
            context=lambda *_, **__: self.get_flag_context(),
        )
        dispatch: Any = super().dispatch  # type: ignore[misc]  # of the view
        return protect(dispatch)(request, *args, **kwargs)


def _answer_off(feature_name: str, redirect: Any, *args: Any, **kwargs: Any) -> Any:
    if redirect is None:
        message = f"The flag {feature_name!r} is off."
        raise Http404(message)
    if callable(redirect) and not hasattr(redirect, "get_absolute_url"):
        return redirect(*args, **kwargs)
    return redirect_to(redirect)


def _answer_off_in_class(
    view: Any, answer_off: Callable[..., Any], *args: Any, **kwargs: Any
) -> Any:
    """Answer as the methods of the view do: by a coroutine if they are coroutines."""
    response = answer_off(*args, **kwargs)
    if view.view_is_async and not hasattr(response, "__await__"):
        return _completed(response)
    return response


async def _completed(response: Any) -> Any:
    return response
