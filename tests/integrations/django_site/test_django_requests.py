# SPDX-License-Identifier: Apache-2.0
"""The middleware, views and templates of a Django site, by its test clients."""

from __future__ import annotations

import asyncio
import itertools
import logging
from typing import TYPE_CHECKING, Any

import pages
import pytest
from django.contrib.auth import get_user_model
from django.http import FileResponse, HttpResponse
from django.template import TemplateSyntaxError, engines
from django.test import AsyncClient, Client, RequestFactory, override_settings

from flipper import Condition, Rules, Split
from flipper.client import store_of
from flipper.integrations.django import features, flag_required, override_flags
from flipper.integrations.django.middleware import FlipperMiddleware

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SITE: dict[str, Any] = {"URL": "memory://"}


@pytest.fixture(autouse=True)
def _site() -> Iterator[None]:
    """Serve the pages, with flags in memory."""
    pages.calls.clear()
    with override_settings(ROOT_URLCONF="pages", FLIPPER=SITE):
        features.create("NEW")
        yield


def get(path: str, *, is_async: bool = False) -> Any:
    """Return the response of the site."""
    if not is_async:
        return Client().get(path)

    async def answer() -> Any:
        return await AsyncClient().get(path)

    return asyncio.run(answer())


def text_of(response: Any) -> str:
    """Return the text of a response, also of a streamed one."""
    if not response.streaming:
        return str(response.content.decode())
    return str(response.getvalue().decode())


def limit_to(country: str) -> None:
    """Switch the flag on for a country."""
    features.enable("NEW")
    features.add_condition("NEW", Condition(country=country))


both = pytest.mark.parametrize("is_async", [False, True], ids=["wsgi", "asgi"])


# -- one answer ------------------------------------------------------------------------


@both
@pytest.mark.parametrize("path", ["/twice/", "/twice-async/"])
def test_a_request_has_one_answer(path: str, is_async: bool) -> None:
    """A flag that somebody flips meanwhile changes for the next request."""
    assert text_of(get(path, is_async=is_async)) == "off off"
    assert text_of(get(path, is_async=is_async)) == "on on"


def test_without_the_middleware_a_request_has_two_answers() -> None:
    """The page of the test above does flip the flag."""
    with override_settings(MIDDLEWARE=[]):
        assert text_of(get("/twice/")) == "off on"


def test_a_streamed_response_has_one_answer() -> None:
    """Its parts are made after the middleware has returned."""
    assert text_of(get("/stream/")) == "off off off off "
    features.enable("NEW")
    assert text_of(get("/stream/")) == "on on on on "
    assert features._memoization is not None
    assert features._memoization.current.get() is None


def test_an_async_stream_has_one_answer() -> None:
    """The same holds under ASGI."""

    async def answer() -> str:
        response = await AsyncClient().get("/stream-async/")
        parts = [part async for part in response.streaming_content]
        return b"".join(parts).decode()

    assert asyncio.run(answer()) == "off off off off "
    features.enable("NEW")
    assert asyncio.run(answer()) == "on on on on "


def test_a_stream_that_nobody_reads_to_its_end_is_over_when_it_is_closed() -> None:
    """The next request has its own answer."""
    response = Client().get("/stream/")
    stream = iter(response.streaming_content)
    assert next(stream) == b"off "
    response.close()
    features.enable("NEW")
    assert text_of(get("/twice/")) == "on on"


def test_a_file_is_left_to_the_server(tmp_path: Path) -> None:
    """A server sends a file faster if nobody wraps it."""
    (tmp_path / "file").write_text("text")

    def answer(_: Any) -> FileResponse:
        return FileResponse((tmp_path / "file").open("rb"))

    response = FlipperMiddleware(answer)(RequestFactory().get("/"))
    assert response.file_to_stream is not None
    response.close()


@both
def test_an_error_ends_the_request(is_async: bool) -> None:
    """A view that raises leaves no answers behind."""
    with pytest.raises(RuntimeError, match="off"):
        get("/fail/", is_async=is_async)
    features.enable("NEW")
    with pytest.raises(RuntimeError, match="on"):
        get("/fail/", is_async=is_async)
    assert features._memoization is not None
    assert features._memoization.current.get() is None


def test_parallel_requests_do_not_mix_their_answers() -> None:
    """Each request keeps the state that it has read first."""

    async def ask(_: int) -> str:
        return text_of(await AsyncClient().get("/twice-async/"))

    async def ask_all() -> list[str]:
        return await asyncio.gather(*map(ask, range(20)))

    assert {*asyncio.run(ask_all())} == {"on on", "off off"}


@both
def test_the_flags_to_preload_are_read_together(
    is_async: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One call of the store reads them; the view reads nothing."""
    with override_settings(FLIPPER={**SITE, "PRELOAD": ["NEW", "OTHER"]}):
        features.create("NEW", is_enabled=True)
        store: Any = store_of(features)
        read: list[Any] = []
        get_flag = type(store).get
        monkeypatch.setattr(
            type(store),
            "get",
            lambda self, name: read.append(name) or get_flag(self, name),
        )
        response = get("/ask/", is_async=is_async)
        assert text_of(response) == "True True True True"
        assert sorted(read) == ["NEW", "OTHER"]


# -- arguments -------------------------------------------------------------------------


@both
@pytest.mark.parametrize("function", ["arguments", "arguments_async"])
@pytest.mark.parametrize("path", ["/ask/", "/ask-async/"])
def test_questions_get_the_arguments_of_their_request(
    path: str, function: str, is_async: bool
) -> None:
    """All kinds of questions are decided by what CONTEXT returns, called once."""
    with override_settings(FLIPPER={**SITE, "CONTEXT": f"pages.{function}"}):
        features.create("NEW")
        limit_to("SE")
        assert text_of(get(path, is_async=is_async)) == "True True True True"
        assert pages.calls == [path]
        other = get(f"{path}?country=NO", is_async=is_async)
        assert text_of(other) == "False none False False"


def test_arguments_are_made_only_if_they_matter() -> None:
    """Without a question, or for a flag that is on for everybody, nothing is called."""
    with override_settings(FLIPPER={**SITE, "CONTEXT": "pages.arguments"}):
        features.create("NEW", is_enabled=True)
        assert text_of(get("/nothing/")) == "nothing"
        assert text_of(get("/required/")) == "required"
        assert text_of(get("/stream/")) == "on on on on "
        assert pages.calls == []


def test_arguments_hold_for_a_stream() -> None:
    """Parts that are made later are asked with the arguments of the request."""
    with override_settings(FLIPPER={**SITE, "CONTEXT": "pages.arguments"}):
        features.create("NEW")
        limit_to("SE")
        assert text_of(get("/stream/")) == "on on on on "
        features.enable("NEW")
        assert text_of(get("/stream/?country=NO")) == "off off off off "


@both
def test_arguments_that_cannot_be_made_give_defaults(
    is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A flag must not be on because its arguments are missing; the error is logged."""
    with override_settings(FLIPPER={**SITE, "CONTEXT": "pages.arguments"}):
        features.create("NEW")
        features.enable("NEW")
        features.add_condition("NEW", Condition(country__ne="NO"))
        with caplog.at_level(logging.WARNING):
            broken = get("/ask/?broken=1&country=NO", is_async=is_async)
        assert text_of(broken) == "False none False False"
        assert len(pages.calls) == 1
        assert "LookupError" in caplog.text
        assert text_of(get("/nothing/?broken=1", is_async=is_async)) == "nothing"
        with override_flags(NEW=True):
            broken = get("/ask/?broken=1", is_async=is_async)
            assert text_of(broken) == "True True True True"


@both
def test_arguments_may_be_those_of_the_user(is_async: bool) -> None:
    """Asynchronous views and servers can ask the database for the user, too."""
    user = get_user_model().objects.create_user("SE")
    try:
        with override_settings(FLIPPER={**SITE, "CONTEXT": "pages.arguments_of_user"}):
            features.create("NEW")
            limit_to("SE")

            async def answer() -> Any:
                client = AsyncClient()
                await client.aforce_login(user) if hasattr(
                    client, "aforce_login"
                ) else await asyncio.to_thread(client.force_login, user)
                return await client.get("/ask-async/")

            if is_async:
                response = asyncio.run(answer())
            else:
                client = Client()
                client.force_login(user)
                assert text_of(client.get("/ask/")) == "True True True True"
                response = client.get("/ask-async/")
            assert text_of(response) == "True True True True"
    finally:
        user.delete()


# -- views -----------------------------------------------------------------------------


@both
@pytest.mark.parametrize("name", pages.PROTECTED)
def test_a_protected_view_redirects_while_the_flag_is_off(
    name: str, is_async: bool
) -> None:
    """Functions and classes, synchronous and not, are protected in every way."""
    path = f"/protected/{name}/"
    off = get(path, is_async=is_async)
    assert (off.status_code, off.get("Location")) == (302, "/nothing/")
    features.enable("NEW")
    on = get(path, is_async=is_async)
    assert (on.status_code, on.get("Location")) == (200, None)


@both
def test_without_a_redirect_the_page_is_not_found(is_async: bool) -> None:
    """A page that is not there yet does not tell so."""
    assert get("/required/", is_async=is_async).status_code == 404
    with override_flags(NEW=True):
        assert get("/required/", is_async=is_async).content == b"required"


@both
def test_a_redirect_may_be_a_path_or_a_function(is_async: bool) -> None:
    """The function gets the arguments of the view, as `context` does."""
    assert get("/redirected-async/", is_async=is_async)["Location"] == "/elsewhere/"
    features.enable("NEW")
    features.add_condition("NEW", Condition(number=7))
    assert get("/called/7/", is_async=is_async).content == b"called 7"
    assert get("/called/8/", is_async=is_async).content == b"instead {'number': 8}"


@pytest.mark.parametrize("wrong", [None, lambda: None])
def test_a_decorator_without_a_name_says_so(wrong: Any) -> None:
    """`@flag_required` without parentheses is a common mistake."""
    with pytest.raises(TypeError, match=r"as in @flag_required\('NEW_CHECKOUT'\)"):
        flag_required(wrong)


def test_a_class_that_is_no_view_is_refused() -> None:
    """It would never be asked."""
    with pytest.raises(TypeError, match="it is no View"):
        flag_required("NEW")(type("Model", (), {}))


# -- templates -------------------------------------------------------------------------


def test_templates_show_flags_and_variants() -> None:
    """The parts follow the flag, and values are escaped."""
    assert text_of(get("/template/")).split() == ["old", "<grey>", "[]"]
    features.create("COLOUR")
    split = Split({"one": 1}, by="country")
    features.set_rules("COLOUR", Rules([], split, variants={"one": "<red>"}))
    features.enable("COLOUR")
    features.enable("NEW")
    with features.context(country="NO"):
        shown = text_of(get("/template/")).split()
    assert shown == ["new", "NEW", "&lt;red&gt;", "[&lt;red&gt;]"]


def test_a_template_gets_the_arguments_of_its_request() -> None:
    """CONTEXT holds in templates, and arguments of the tag take precedence."""
    with override_settings(FLIPPER={**SITE, "CONTEXT": "pages.arguments"}):
        features.create("NEW")
        limit_to("NO")
        assert text_of(get("/template/?country=SE")).split()[:2] == ["old", "NEW"]
        assert text_of(get("/template/?country=NO")).split()[:2] == ["new", "NEW"]
        with override_flags(COLOUR="<red>"):
            shown = text_of(get("/template/"))
        assert "&lt;red&gt;" in shown
        assert "[&lt;red&gt;]" in shown


@pytest.mark.parametrize(
    ("tag", "problem"),
    [
        ("{% flag %}{% endflag %}", "needs the name of a flag"),
        ("{% flag 'NEW' 'OLD' %}{% endflag %}", "is neither"),
        ("{% flag 'NEW' %}", "Unclosed tag"),
        ("{% flag 'NEW' %}{% else %}{% else %}{% endflag %}", "else"),
    ],
)
def test_a_mistake_in_a_tag_is_a_syntax_error(tag: str, problem: str) -> None:
    """Django shows its place in the template."""
    with pytest.raises(TemplateSyntaxError, match=problem):
        engines["django"].from_string("{% load flipper %}" + tag)


# -- cost ------------------------------------------------------------------------------


def test_a_request_that_asks_nothing_reads_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The middleware alone neither reads a flag nor calls CONTEXT."""
    with override_settings(FLIPPER={**SITE, "CONTEXT": "pages.arguments"}):
        features.create("NEW")
        store: Any = store_of(features)
        for name in ("get", "list", "get_many"):
            if hasattr(type(store), name):
                monkeypatch.setattr(type(store), name, lambda *_: pytest.fail("read"))
        middleware = FlipperMiddleware(lambda _: HttpResponse("x"))
        request = RequestFactory().get("/")
        for _ in itertools.repeat(None, 3):
            assert middleware(request).content == b"x"
        assert pages.calls == []
