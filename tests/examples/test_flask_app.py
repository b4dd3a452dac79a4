# SPDX-License-Identifier: Apache-2.0
"""The example with Flask views, by Flask's test client and over HTTP."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import flask_app
import pytest
from run_example import ROOT, Site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask.testing import FlaskClient


@pytest.fixture
def browser() -> Iterator[FlaskClient]:
    """Give a test client of the example, and switch all flags off after the test."""
    yield flask_app.app.test_client()
    for flag in flask_app.features.list():
        flag.disable()


def test_each_view_asks_for_its_own_flag(browser: FlaskClient) -> None:
    """Each decorated view of an application depends on its own flag only."""
    flask_app.features.enable("NEW_SEARCH")
    assert browser.get("/search/snow").text == "new search for snow"
    assert browser.get("/prices").status_code == 404
    flask_app.features.enable("LIVE_PRICES")
    assert browser.get("/prices").text == "live prices"
    flask_app.features.disable("NEW_SEARCH")
    assert browser.get("/search/snow").status_code == 302
    assert browser.get("/prices").text == "live prices"


def test_a_redirect_view_answers_while_the_flag_is_off(browser: FlaskClient) -> None:
    """The redirect view gets the same arguments as the view."""
    response = browser.get("/search/snow", follow_redirects=True)
    assert response.request.path == "/"
    assert response.text == "home"


def test_endpoints_are_named_after_their_views() -> None:
    """Flask names endpoints by `__name__`, and refuses two of one name."""
    assert {"search", "prices"} <= flask_app.app.view_functions.keys()
    with flask_app.app.test_request_context():
        assert flask_app.url_for("search", words="snow") == "/search/snow"
        assert flask_app.url_for("prices") == "/prices"


def test_a_decorated_async_view_is_a_coroutine_function() -> None:
    """Flask runs an event loop only for coroutine functions."""
    assert inspect.iscoroutinefunction(flask_app.app.view_functions["prices"])
    assert not inspect.iscoroutinefunction(flask_app.app.view_functions["search"])


def test_the_example_serves_over_http() -> None:
    """The example runs as its docstring says, and its flags can be flipped."""
    script = str(ROOT / "examples" / "flask_app.py")
    with Site("-m", "flask", "--app", script, "run", "--port", "{port}") as site:
        assert site.get("/").text == "home"
        assert site.get("/search/snow").path == "/"
        assert site.get("/prices").status == 404
        assert site.post("/flip/NEW_SEARCH").text == "NEW_SEARCH: True"
        assert site.get("/search/snow").text == "new search for snow"
        assert site.get("/prices").status == 404
        assert site.post("/flip/LIVE_PRICES").status == 200
        assert site.get("/prices").text == "live prices"
        assert site.post("/flip/NEW_SEARCH").text == "NEW_SEARCH: False"
        assert site.get("/search/snow").path == "/"
        assert site.post("/flip/NO_SUCH_FLAG").status == 404
