# SPDX-License-Identifier: Apache-2.0
"""Flags on Django views: plain and async ones, and classes, in a project of one file.

Run it by `python examples/django_views.py runserver`. Every page is off at
first; `curl -X POST localhost:8000/flip/NEW_SEARCH/` switches its flag on, and off.
"""

import asyncio
import sys

from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.management.utils import get_random_secret_key
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.http import require_POST

from flipper import FeatureFlagClient, MemoryFeatureFlagStore
from flipper.decorators import is_enabled

settings.configure(
    DEBUG=True, ROOT_URLCONF=__name__, SECRET_KEY=get_random_secret_key()
)

features = FeatureFlagClient(MemoryFeatureFlagStore())
for name in ("NEW_SEARCH", "LIVE_PRICES", "REPORTS"):
    features.create(name)


def home(request: HttpRequest) -> HttpResponse:
    """Show the page that is there without any flag."""
    return HttpResponse("home")


def no_page(*args: object, **kwargs: object) -> HttpResponse:
    """Answer in place of a view that is off: a view has to return a response."""
    raise Http404


def to_home(*args: object, **kwargs: object) -> HttpResponse:
    """Send the visitor elsewhere instead."""
    return redirect("home")


@is_enabled(features, "NEW_SEARCH", redirect=to_home)
def search(request: HttpRequest, words: str) -> HttpResponse:
    """Show a view with an argument from its address."""
    return HttpResponse(f"new search for {words}")


@is_enabled(features, "LIVE_PRICES", redirect=no_page)
async def prices(request: HttpRequest) -> HttpResponse:
    """Show an async view; the decorated view is one as well."""
    await asyncio.sleep(0)
    return HttpResponse("live prices")


@method_decorator(is_enabled(features, "REPORTS", redirect=no_page), name="dispatch")
class Reports(View):
    """All methods of this view are under the flag."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the reports."""
        return HttpResponse("reports")


class Orders(View):
    """One method of this view is under the flag."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the orders."""
        return HttpResponse("orders")

    @method_decorator(is_enabled(features, "REPORTS", redirect=no_page))
    def post(self, request: HttpRequest) -> HttpResponse:
        """Make a report of them."""
        return HttpResponse("report made")


@require_POST
def flip(request: HttpRequest, feature_name: str) -> HttpResponse:
    """Switch a flag."""
    flag = features.get(feature_name)
    if not flag.exists():
        raise Http404
    if flag.is_enabled():
        flag.disable()
    else:
        flag.enable()
    return HttpResponse(f"{feature_name}: {flag.is_enabled()}")


urlpatterns = [
    path("", home, name="home"),
    path("search/<str:words>/", search),
    path("prices/", prices),
    path("reports/", Reports.as_view()),
    path("orders/", Orders.as_view()),
    path("flip/<str:feature_name>/", flip),
]

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
