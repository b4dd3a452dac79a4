# SPDX-License-Identifier: Apache-2.0
"""The example with Django views, by Django's test clients and over HTTP."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import LazySettings
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, RequestFactory
from django.test.utils import (
    override_settings,
    setup_test_environment,
    teardown_test_environment,
)
from django.urls import resolve
from django.utils.decorators import method_decorator
from django.views import View
from run_example import ROOT, Site

from flipper.decorators import is_enabled
from support import django_site

with pytest.MonkeyPatch.context() as patch:
    # A process can configure Django once only.
    patch.setattr(LazySettings, "configure", lambda *_, **__: None)
    import django_views

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True, scope="module")
def django_test_environment() -> Iterator[None]:
    """Set Django up for its test clients, as its own test runner does."""
    assert django_site.FOLDER
    setup_test_environment()
    with override_settings(ROOT_URLCONF="django_views", MIDDLEWARE=[], DEBUG=True):
        yield
    teardown_test_environment()


@pytest.fixture(autouse=True)
def flags_are_off() -> Iterator[None]:
    """Switch all flags off after each test, as they are at the start."""
    yield
    for flag in django_views.features.list():
        flag.disable()


def switch_on(feature_name: str) -> None:
    """Switch a flag of the example on."""
    django_views.features.enable(feature_name)


def test_each_view_asks_for_its_own_flag() -> None:
    """Each decorated view of a project depends on its own flag only."""
    client = Client()
    switch_on("NEW_SEARCH")
    assert client.get("/search/snow/").content == b"new search for snow"
    assert client.get("/prices/").status_code == 404
    switch_on("LIVE_PRICES")
    assert client.get("/prices/").content == b"live prices"
    django_views.features.disable("NEW_SEARCH")
    assert client.get("/search/snow/").status_code == 302
    assert client.get("/prices/").content == b"live prices"


def test_a_redirect_view_answers_while_the_flag_is_off() -> None:
    """The redirect view gets the same arguments as the view."""
    response = Client().get("/search/snow/", follow=True)
    assert response.redirect_chain == [("/", 302)]
    assert response.content == b"home"


def test_a_decorated_view_keeps_its_name() -> None:
    """Django names views by `__name__` and `__module__` in logs and error pages."""
    names = {resolve(path).func.__name__ for path in ("/search/x/", "/prices/")}
    assert names == {"search", "prices"}
    assert resolve("/search/x/").view_name == "django_views.search"
    assert django_views.search.__doc__.startswith("Show a view")


def test_a_decorated_async_view_is_a_coroutine_function() -> None:
    """Django awaits only coroutine functions."""
    assert inspect.iscoroutinefunction(resolve("/prices/").func)
    assert not inspect.iscoroutinefunction(resolve("/search/x/").func)


@pytest.mark.parametrize("path", ["/search/snow/", "/prices/", "/reports/", "/orders/"])
def test_an_async_server_gets_the_same_answers(path: str) -> None:
    """Views answer the same under ASGI as under WSGI."""

    def answers() -> list[tuple[int, bytes]]:
        plain = Client().get(path)
        asynchronous = asyncio.run(get())
        return [(got.status_code, got.content) for got in (plain, asynchronous)]

    async def get() -> object:
        return await AsyncClient().get(path)

    off = answers()
    for feature_name in ("NEW_SEARCH", "LIVE_PRICES", "REPORTS"):
        switch_on(feature_name)
    on = answers()
    assert off[0][0] == off[1][0]
    assert on[0] == on[1]
    assert on[0][0] == 200
    assert off[0][0] == {"/search/snow/": 302, "/orders/": 200}.get(path, 404)


def test_a_class_can_be_decorated_as_a_whole() -> None:
    """`method_decorator` on `dispatch` applies to every method of a view."""
    client = Client()
    assert client.get("/reports/").status_code == 404
    assert client.options("/reports/").status_code == 404
    switch_on("REPORTS")
    assert client.get("/reports/").content == b"reports"
    assert client.options("/reports/").status_code == 200


def test_one_method_of_a_class_can_be_decorated() -> None:
    """The other methods answer whatever the flag is."""
    client = Client()
    assert client.get("/orders/").content == b"orders"
    assert client.post("/orders/").status_code == 404
    switch_on("REPORTS")
    assert client.get("/orders/").content == b"orders"
    assert client.post("/orders/").content == b"report made"


class AsyncReports(View):
    """A class-based view whose methods are coroutine functions."""

    async def get(self, request: HttpRequest) -> HttpResponse:
        """Show the reports."""
        return HttpResponse("async reports")


async def gone(*args: object, **kwargs: object) -> HttpResponse:
    """Answer in place of an async view."""
    return HttpResponse("gone", status=410)


depends_on_reports = is_enabled(django_views.features, "REPORTS", redirect=gone)


@method_decorator(depends_on_reports, name="dispatch")
class AsyncReportsUnderFlag(AsyncReports):
    """Every method depends on the flag."""


class AsyncReportsInPart(AsyncReports):
    """One method depends on the flag, without a decorator of Django."""

    @depends_on_reports
    async def get(self, request: HttpRequest) -> HttpResponse:
        """Show the reports."""
        return HttpResponse("async reports")


@pytest.mark.parametrize(
    "view",
    [
        AsyncReportsUnderFlag.as_view(),
        AsyncReportsInPart.as_view(),
        depends_on_reports(AsyncReports.as_view()),
    ],
    ids=["dispatch", "method", "as_view"],
)
def test_an_async_class_can_have_an_async_redirect(view: Any) -> None:
    """Django awaits the redirect of an async view as it awaits the view."""

    async def answer() -> HttpResponse:
        response: HttpResponse = await view(RequestFactory().get("/"))
        return response

    assert asyncio.run(answer()).status_code == 410
    switch_on("REPORTS")
    assert asyncio.run(answer()).content == b"async reports"


def test_a_view_without_a_redirect_returns_none_while_the_flag_is_off() -> None:
    """Django refuses `None`, so each view of the example has a redirect."""
    view = is_enabled(django_views.features, "REPORTS")(django_views.home)
    request = RequestFactory().get("/")
    assert isinstance(request, WSGIRequest)
    assert view(request) is None
    switch_on("REPORTS")
    assert view(request).content == b"home"


def test_the_example_serves_over_http() -> None:
    """The example runs as its docstring says, and its flags can be flipped."""
    script = str(ROOT / "examples" / "django_views.py")
    with Site(script, "runserver", "--noreload", "{port}") as site:
        assert site.get("/").text == "home"
        assert site.get("/search/snow/").path == "/"
        assert site.get("/prices/").status == 404
        assert site.get("/reports/").status == 404
        assert site.post("/flip/NEW_SEARCH/").text == "NEW_SEARCH: True"
        assert site.get("/search/snow/").text == "new search for snow"
        assert site.get("/prices/").status == 404
        assert site.post("/flip/LIVE_PRICES/").status == 200
        assert site.get("/prices/").text == "live prices"
        assert site.post("/flip/REPORTS/").status == 200
        assert site.get("/reports/").text == "reports"
        assert site.post("/orders/").text == "report made"
        assert site.post("/flip/NEW_SEARCH/").text == "NEW_SEARCH: False"
        assert site.get("/search/snow/").path == "/"
        assert site.post("/flip/NO_SUCH_FLAG/").status == 404
