# SPDX-License-Identifier: Apache-2.0
"""Flags for Django views: functions, async functions and classes, in one file.

Run it by `python examples/django_views.py runserver`. At first, every flag is off.
`curl -X POST localhost:8000/flip/NEW_SEARCH/` switches a flag on, and off again.
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
    """Show a page that has no flag."""
    return HttpResponse("home")


def no_page(*args: object, **kwargs: object) -> HttpResponse:
    """Respond in place of a view whose flag is off."""
    raise Http404


def to_home(*args: object, **kwargs: object) -> HttpResponse:
    """Redirect to the home page in place of a view whose flag is off."""
    return redirect("home")


@is_enabled(features, "NEW_SEARCH", redirect=to_home)
def search(request: HttpRequest, words: str) -> HttpResponse:
    """Show a view with an argument from its URL."""
    return HttpResponse(f"new search for {words}")


@is_enabled(features, "LIVE_PRICES", redirect=no_page)
async def prices(request: HttpRequest) -> HttpResponse:
    """Show an async view; the decorator keeps it async."""
    await asyncio.sleep(0)
    return HttpResponse("live prices")


@method_decorator(is_enabled(features, "REPORTS", redirect=no_page), name="dispatch")
class Reports(View):
    """A view that needs its flag for all methods."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the reports."""
        return HttpResponse("reports")


class Orders(View):
    """A view that needs its flag for one method."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the orders."""
        return HttpResponse("orders")

    @method_decorator(is_enabled(features, "REPORTS", redirect=no_page))
    def post(self, request: HttpRequest) -> HttpResponse:
        """Make a report of the orders."""
        return HttpResponse("report made")


@require_POST
def flip(request: HttpRequest, feature_name: str) -> HttpResponse:
    """Switch a flag on if it is off, and off if it is on."""
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
