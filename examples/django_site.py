# SPDX-License-Identifier: Apache-2.0
"""A Django site in one file, with flags in views and templates.

`make example-django` serves it by four processes, and says what to try. The user is in
the address, as in `/?user=7`, to keep the example short; a site takes `request.user`.
"""

import os
from typing import Any

from django.conf import settings
from django.core.management.utils import get_random_secret_key
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.urls import path

settings.configure(
    SECRET_KEY=get_random_secret_key(),
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["flipper.integrations.django"],
    MIDDLEWARE=["flipper.integrations.django.middleware.FlipperMiddleware"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    FLIPPER={"URL": os.environ["FLIPPER_URL"], "CONTEXT": f"{__name__}.arguments"},
)
application = get_wsgi_application()

from flipper.integrations.django import features, flag_required  # noqa: E402

PAGE = """{% load flipper %}{% variant "BUTTON_COLOUR" "grey" as colour %}
<h1>{{ title }}</h1>
{% flag "NEW_CHECKOUT" %}<a href="/checkout/">new</a>{% else %}old{% endflag %}
<button class="{% variant "BUTTON_COLOUR" "grey" %}">{{ colour }}</button>
"""


def arguments(request: HttpRequest) -> dict[str, Any]:
    """Return the arguments of all questions of a request."""
    return {"user_id": int(request.GET.get("user", 0))}


def home(request: HttpRequest) -> HttpResponse:
    """Show a page whose parts depend on flags."""
    title = "new" if features.is_enabled("NEW_CHECKOUT") else "old"
    page = engines["django"].from_string(PAGE).render({"title": title}, request)
    return HttpResponse(page, headers={"X-Process": os.getpid()})


@flag_required("NEW_CHECKOUT")
def checkout(request: HttpRequest) -> HttpResponse:
    """Show a page that exists only while its flag is on."""
    return HttpResponse("new checkout")


urlpatterns = [path("", home), path("checkout/", checkout)]
