# SPDX-License-Identifier: Apache-2.0
"""The pages of the site of these tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpResponse, StreamingHttpResponse
from django.template import engines
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View

from flipper.client import store_of
from flipper.integrations.django import FlagRequiredMixin, features, flag_required

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from django.http import HttpRequest

calls: list[str] = []
"""The paths of the requests for which `arguments` was called."""


def arguments(request: HttpRequest) -> dict[str, Any]:
    """Give the arguments of a request."""
    calls.append(request.path)
    if "broken" in request.GET:
        raise LookupError
    return {"country": request.GET.get("country", "SE")}


async def arguments_async(request: HttpRequest) -> dict[str, Any]:
    """Give the same as a coroutine function."""
    return arguments(request)


def arguments_of_user(request: HttpRequest) -> dict[str, Any]:
    """Give the user, which asks the database."""
    user: Any = request.user
    return {"country": user.username}


no_dict = 3


def state(*, country: str | None = None) -> str:
    """Ask a flag."""
    given = {} if country is None else {"country": country}
    return "on" if features.is_enabled("NEW", **given) else "off"


def flip() -> None:
    """Switch the flag to the other state behind the back of the client."""
    store = store_of(features)
    item = store.get("NEW")
    assert item is not None
    store.set("NEW", not item.raw_is_enabled)


def twice(request: HttpRequest) -> HttpResponse:
    """Ask, let somebody else flip the flag, and ask again."""
    before = state()
    flip()
    return HttpResponse(f"{before} {state()}")


async def twice_async(request: HttpRequest) -> HttpResponse:
    """Do the same in an async view."""
    before = state()
    flip()
    return HttpResponse(f"{before} {state()}")


def stream(request: HttpRequest) -> StreamingHttpResponse:
    """Ask in each part of a stream, with a flip between the parts."""

    def parts() -> Iterator[str]:
        for _ in range(4):
            yield f"{state()} "
            flip()

    return StreamingHttpResponse(parts())


async def stream_async(request: HttpRequest) -> StreamingHttpResponse:
    """Do the same in an async stream."""

    async def parts() -> AsyncIterator[str]:
        for _ in range(4):
            yield f"{state()} "
            flip()

    return StreamingHttpResponse(parts())


def fail(request: HttpRequest) -> HttpResponse:
    """Fail after a question."""
    message = state()
    raise RuntimeError(message)


def nothing(request: HttpRequest) -> HttpResponse:
    """Ask nothing."""
    return HttpResponse("nothing")


def ask(request: HttpRequest) -> HttpResponse:
    """Ask in several ways."""
    found = [
        features.is_enabled("NEW"),
        features.variant("NEW", "none"),
        features.explain("NEW").enabled,
        features.evaluate_all(names=["NEW"])["NEW"],
    ]
    return HttpResponse(" ".join(map(str, found)))


async def ask_async(request: HttpRequest) -> HttpResponse:
    """Do the same in an async view."""
    return ask(request)


TEMPLATE = """{% load flipper %}
{% flag "NEW" %}new{% else %}old{% endflag %}
{% flag name country="NO" %}{{ name }}{% endflag %}
{% variant "COLOUR" "<grey>" %}
{% variant "COLOUR" as colour %}[{{ colour }}]
"""


def template(request: HttpRequest) -> HttpResponse:
    """Render a template with flags."""
    found = engines["django"].from_string(TEMPLATE)
    return HttpResponse(found.render({"name": "NEW"}, request))


def instead(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
    """Answer while the flag is off."""
    return HttpResponse(f"instead {kwargs}")


@flag_required("NEW")
def required(request: HttpRequest) -> HttpResponse:
    """Need the flag."""
    return HttpResponse("required")


@flag_required("NEW", redirect="nothing")
def redirected(request: HttpRequest) -> HttpResponse:
    """Need the flag, or go elsewhere by the name of a URL."""
    return HttpResponse("required")


@flag_required("NEW", redirect="/elsewhere/")
async def redirected_async(request: HttpRequest) -> HttpResponse:
    """Need the flag, or go elsewhere by a path."""
    return HttpResponse("required")


@flag_required("NEW", redirect=instead, context=lambda _, number: {"number": number})
def called(request: HttpRequest, number: int) -> HttpResponse:
    """Need the flag for an argument of the address, or be answered by a function."""
    return HttpResponse(f"called {number}")


class Page(View):
    """A view that is a class."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show it."""
        return HttpResponse("page")


class AsyncPage(View):
    """A view that is a class of coroutine functions."""

    async def get(self, request: HttpRequest) -> HttpResponse:
        """Show it."""
        return HttpResponse("page")


@flag_required("NEW", redirect="nothing")
class Decorated(Page):
    """Decorated as a class."""


@flag_required("NEW", redirect="nothing")
class DecoratedAsync(AsyncPage):
    """Decorated as a class."""


@method_decorator(flag_required("NEW", redirect="nothing"), name="dispatch")
class ByMethodDecorator(Page):
    """Decorated by Django's decorator."""


@method_decorator(flag_required("NEW", redirect="nothing"), name="dispatch")
class ByMethodDecoratorAsync(AsyncPage):
    """Decorated by Django's decorator."""


class OneMethod(AsyncPage):
    """A class with one decorated method."""

    @flag_required("NEW", redirect="nothing")
    async def get(self, request: HttpRequest) -> HttpResponse:
        """Show it."""
        return HttpResponse("page")


class Mixed(FlagRequiredMixin, Page):
    """A class with the mixin."""

    feature_name = "NEW"
    flag_redirect = "nothing"


class MixedAsync(FlagRequiredMixin, AsyncPage):
    """A class with the mixin."""

    feature_name = "NEW"
    flag_redirect = "nothing"

    def get_flag_context(self) -> dict[str, Any]:
        """Give the path."""
        return {"path": self.request.path}


PROTECTED = {
    "decorated": Decorated.as_view(),
    "decorated-async": DecoratedAsync.as_view(),
    "method-decorator": ByMethodDecorator.as_view(),
    "method-decorator-async": ByMethodDecoratorAsync.as_view(),
    "one-method": OneMethod.as_view(),
    "mixin": Mixed.as_view(),
    "mixin-async": MixedAsync.as_view(),
    "as-view": flag_required("NEW", redirect="nothing")(Page.as_view()),
    "as-view-async": flag_required("NEW", redirect="nothing")(AsyncPage.as_view()),
    "redirected": redirected,
}

urlpatterns = [
    path("admin/", admin.site.urls),
    path("ask/", ask),
    path("ask-async/", ask_async),
    path("called/<int:number>/", called),
    path("fail/", fail),
    path("nothing/", nothing, name="nothing"),
    path("redirected-async/", redirected_async),
    path("required/", required),
    path("stream/", stream),
    path("stream-async/", stream_async),
    path("template/", template),
    path("twice/", twice),
    path("twice-async/", twice_async),
    *(path(f"protected/{name}/", view) for name, view in PROTECTED.items()),
]
