# SPDX-License-Identifier: Apache-2.0
"""The lifespan and the middleware for Starlette."""

from __future__ import annotations

import asyncio
import sys
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("starlette")
pytest.importorskip("httpx")

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute

from flipper import FeatureFlagClient
from flipper.exceptions import InvalidArgumentError
from flipper.integrations.starlette import (
    FlipperMiddleware,
    ask,
    client_of,
    flipper_lifespan,
)
from support.asgi_client import TestClient
from support.counting_stores import CountingStore, store_with_flags

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

# Of httpx, because of how old releases of Starlette use it.
pytestmark = pytest.mark.filterwarnings("ignore:The 'app' shortcut:DeprecationWarning")

TRIES = {"type": "http", "method": "GET", "path": "/", "headers": []}


@pytest.fixture
def store() -> CountingStore:
    """Return a store with flags."""
    return store_with_flags()


@pytest.fixture
def client(store: CountingStore) -> FeatureFlagClient:
    """Return the client of the app."""
    return FeatureFlagClient(store)


@pytest.fixture
def other(store: CountingStore) -> FeatureFlagClient:
    """Return the client of another process."""
    return FeatureFlagClient(store)


def app_of(endpoint: Callable[..., Any], *before: Any, **options: Any) -> Starlette:
    """Return an app with one route, and the middleware with these options."""
    middleware = [*before, Middleware(FlipperMiddleware, **options)]
    return Starlette(routes=[Route("/", endpoint)], middleware=middleware)


def plan_of(connection: Any) -> dict[str, Any]:
    """Return the arguments that a request gives to all questions."""
    return {"plan": connection.query_params["plan"]}


async def plan_of_async(connection: Any) -> dict[str, Any]:
    """Do the same after some time."""
    await asyncio.sleep(0)
    return plan_of(connection)


class TestMiddleware:
    """`FlipperMiddleware`."""

    @pytest.mark.parametrize("is_async", [True, False])
    def test_a_flag_has_one_answer_and_one_read_in_a_request(
        self,
        client: FeatureFlagClient,
        other: FeatureFlagClient,
        store: CountingStore,
        is_async: bool,
    ) -> None:
        """In endpoints of the event loop and of threads, and in background tasks."""
        seen = []

        def view(request: Any) -> PlainTextResponse:
            answers = [client.is_enabled("OFF")]
            other.enable("OFF")
            answers.append(client.is_enabled("OFF"))
            task = BackgroundTask(lambda: seen.append(client.is_enabled("OFF")))
            return PlainTextResponse(str(answers), background=task)

        async def async_view(request: Any) -> PlainTextResponse:
            return view(request)

        browser = TestClient(app_of(async_view if is_async else view, client=client))
        assert browser.get("/").text == "[False, False]"
        store.reads.clear()
        assert browser.get("/").text == "[True, True]"
        assert store.reads == ["OFF", "OFF"]  # the second is that of `enable`
        assert seen == [False, True]

    @pytest.mark.parametrize("position", ["none", "outside", "inside"])
    def test_a_streamed_response_keeps_the_answers(
        self, client: FeatureFlagClient, other: FeatureFlagClient, position: str
    ) -> None:
        """Also beside middleware that runs the app in a task of its own."""

        async def stream() -> AsyncIterator[str]:
            yield f"{client.is_enabled('OFF')} "
            other.enable("OFF")
            yield f"{client.is_enabled('OFF')} {client.is_enabled('PRO')}"

        async def view(request: Any) -> StreamingResponse:
            return StreamingResponse(stream())

        class Plain(BaseHTTPMiddleware):
            async def dispatch(self, request: Any, call_next: Any) -> Any:
                return await call_next(request)

        own = Middleware(FlipperMiddleware, client=client, context=plan_of)
        order = {
            "none": [own],
            "outside": [Middleware(Plain), own],
            "inside": [own, Middleware(Plain)],
        }
        app = Starlette(routes=[Route("/", view)], middleware=order[position])
        browser = TestClient(app)
        assert browser.get("/?plan=free").text == "False False False"
        assert browser.get("/?plan=pro").text == "True True True"

    @pytest.mark.parametrize("context", [plan_of, plan_of_async])
    def test_a_request_gives_its_arguments_to_every_question(
        self, client: FeatureFlagClient, context: Any
    ) -> None:
        """The context may be a function of either kind; explicit arguments win."""

        async def view(request: Any) -> PlainTextResponse:
            answers = [
                client.is_enabled("PRO"),
                client.variant("PRO", False),
                client.is_enabled("PRO", plan="pro"),
            ]
            return PlainTextResponse(str(answers))

        browser = TestClient(app_of(view, client=client, context=context))
        assert browser.get("/?plan=free").text == "[False, False, True]"
        assert browser.get("/?plan=pro").text == "[True, True, True]"
        assert client.is_enabled("PRO", plan="free") is False

    @pytest.mark.parametrize("context", [plan_of, plan_of_async])
    def test_a_broken_context_gives_the_default(
        self,
        client: FeatureFlagClient,
        context: Any,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """The page still comes, and no flag reads as on for the wrong user."""

        async def view(request: Any) -> PlainTextResponse:
            answers = [client.is_enabled("PRO"), client.is_enabled("ON")]
            return PlainTextResponse(str(answers))

        browser = TestClient(app_of(view, client=client, context=context))
        assert browser.get("/").text == "[False, True]"
        assert "has raised KeyError" in caplog.text

    def test_a_context_is_called_when_a_question_needs_it(
        self, client: FeatureFlagClient
    ) -> None:
        """So it sees what middleware inside has found out."""

        class LogIn:
            def __init__(self, app: Any) -> None:
                self.app = app

            async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
                if scope["type"] == "http":
                    scope["plan"] = "free"
                await self.app(scope, receive, send)

        async def view(request: Any) -> PlainTextResponse:
            return PlainTextResponse(str(client.is_enabled("PRO")))

        own = Middleware(
            FlipperMiddleware,
            client=client,
            context=lambda connection: {"plan": connection.scope["plan"]},
        )
        app = Starlette(routes=[Route("/", view)], middleware=[own, Middleware(LogIn)])
        assert TestClient(app).get("/").text == "False"

    def test_flags_are_preloaded_in_one_round_trip_in_a_thread(
        self, client: FeatureFlagClient, store: CountingStore
    ) -> None:
        """The questions of the endpoint then read nothing."""
        loop = []

        async def view(request: Any) -> PlainTextResponse:
            loop.append(threading.get_ident())
            answers = [client.is_enabled("ON"), client.is_enabled("OFF")]
            return PlainTextResponse(str(answers))

        names = ("ON", "OFF")
        browser = TestClient(app_of(view, client=client, preload=names))
        assert browser.get("/").text == "[True, False]"
        assert store.reads == [["ON", "OFF"]]
        assert not store.threads & {*loop}

    @pytest.mark.parametrize("websockets", [True, False])
    def test_a_websocket_has_one_answer_unless_it_is_no_request(
        self,
        client: FeatureFlagClient,
        other: FeatureFlagClient,
        websockets: bool,
    ) -> None:
        """A connection may last for days, so an application chooses."""

        async def talk(websocket: Any) -> None:
            await websocket.accept()
            async for _ in websocket.iter_text():
                await websocket.send_text(str(client.is_enabled("OFF")))

        own = Middleware(FlipperMiddleware, client=client, websockets=websockets)
        app = Starlette(routes=[WebSocketRoute("/", talk)], middleware=[own])
        with TestClient(app).websocket_connect("/") as websocket:
            websocket.send_text("?")
            assert websocket.receive_text() == "False"
            other.enable("OFF")
            websocket.send_text("?")
            assert websocket.receive_text() == str(not websockets)

    def test_an_exception_ends_the_answers_of_a_request(
        self, client: FeatureFlagClient, other: FeatureFlagClient
    ) -> None:
        """And it is raised as it is."""

        async def view(request: Any) -> None:
            raise ZeroDivisionError(client.is_enabled("OFF"))

        app = app_of(view, client=client)

        async def main() -> None:
            for answer in (False, True):
                with pytest.raises(ZeroDivisionError, match=str(answer)):
                    await app({**TRIES, "query_string": b""}, None, _send)
                other.enable("OFF")
                # The same task now reads the store.
                assert client.is_enabled("OFF") is True

        asyncio.run(main())

    def test_requests_at_once_do_not_mix(
        self, client: FeatureFlagClient, other: FeatureFlagClient
    ) -> None:
        """Two tasks of one event loop have answers and arguments of their own."""
        sent: dict[bytes, list[bytes]] = {}

        async def view(request: Any) -> PlainTextResponse:
            answers = []
            for _ in range(3):
                answers.append(client.is_enabled("PRO"))
                await asyncio.sleep(0)
            return PlainTextResponse(str(answers))

        app = app_of(view, client=client, context=plan_of)

        async def request(query: bytes) -> None:
            async def send(message: Any) -> None:
                sent.setdefault(query, []).append(message.get("body", b""))

            await app({**TRIES, "query_string": query}, None, send)

        async def main() -> None:
            await asyncio.gather(request(b"plan=pro"), request(b"plan=free"))

        asyncio.run(main())
        assert b"".join(sent[b"plan=pro"]) == b"[True, True, True]"
        assert b"".join(sent[b"plan=free"]) == b"[False, False, False]"

    def test_the_lifespan_is_passed_on(self, client: FeatureFlagClient) -> None:
        """The middleware concerns requests only."""
        started = []

        @asynccontextmanager
        async def lifespan(app: Any) -> AsyncIterator[None]:
            started.append(app)
            yield

        app = Starlette(lifespan=lifespan)
        with TestClient(FlipperMiddleware(app, client)):
            assert started == [app]

    def test_mistakes_are_refused(self, client: FeatureFlagClient) -> None:
        """The message says what to write."""
        with pytest.raises(InvalidArgumentError, match="function of the connection"):
            FlipperMiddleware(_send, client, context={"a": 1})  # type: ignore[arg-type]
        with pytest.raises(InvalidArgumentError, match=r"as \['NEW_UI'\]"):
            FlipperMiddleware(_send, client, preload="NEW_UI")  # type: ignore[arg-type]

    def test_a_missing_client_says_what_to_do(self) -> None:
        """The lifespan does not run in each test."""
        app = app_of(lambda request: PlainTextResponse(""))
        with pytest.raises(RuntimeError, match=r"lifespan=flipper_lifespan"):
            TestClient(app).get("/")


class TestLifespan:
    """`flipper_lifespan`."""

    @pytest.fixture
    def opened(self, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
        """Return what happens to clients, each with the thread."""
        found: list[Any] = []
        close, from_url = FeatureFlagClient.close, FeatureFlagClient.from_url

        def note_from_url(*args: Any, **kwargs: Any) -> FeatureFlagClient:
            found.append(("open", threading.get_ident()))
            return from_url(*args, **kwargs)

        def note_close(client: FeatureFlagClient) -> None:
            found.append(("close", threading.get_ident()))
            close(client)

        monkeypatch.setattr(FeatureFlagClient, "from_url", note_from_url)
        monkeypatch.setattr(FeatureFlagClient, "close", note_close)
        return found

    def test_it_opens_and_closes_the_store_of_a_url_in_threads(
        self, opened: list[Any], tmp_path: Any
    ) -> None:
        """The client is in the state of the app, of requests and of mounted apps."""
        loop = []

        async def view(request: Any) -> PlainTextResponse:
            loop.append(threading.get_ident())
            is_same = client_of(request) is request.state.flipper
            return PlainTextResponse(f"{client_of(request).is_enabled('X')} {is_same}")

        routes = [Route("/", view), Mount("/sub", Starlette(routes=[Route("/", view)]))]
        url = f"sqlite:///{tmp_path}/flags.db"
        lifespan = flipper_lifespan(url, on_error="raise")
        app = Starlette(
            routes=routes,
            lifespan=lifespan,
            middleware=[Middleware(FlipperMiddleware)],
        )
        for _ in range(2):  # an app may be started again
            with TestClient(app) as browser:
                app.state.flipper.create("X", is_enabled=True)
                assert browser.get("/").text == "True True"
                assert browser.get("/sub/").text == "True True"
            assert [what for what, _ in opened] == ["open", "close"]
            assert not {thread for _, thread in opened} & {*loop}
            opened.clear()
            loop.clear()

    def test_the_url_may_be_that_of_the_environment(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As for `from_url`."""
        monkeypatch.setenv("FLIPPER_URL", "memory://")
        app = Starlette(lifespan=flipper_lifespan())
        with TestClient(app):
            assert app.state.flipper.is_enabled("X") is False

    def test_an_application_uses_it_in_its_own_lifespan(
        self, client: FeatureFlagClient
    ) -> None:
        """It yields the state, to which the application adds its own."""
        flags = flipper_lifespan(client)

        @asynccontextmanager
        async def lifespan(app: Any) -> AsyncIterator[dict[str, Any]]:
            async with flags(app) as state:
                yield {**state, "name": "shop"}

        async def view(request: Any) -> PlainTextResponse:
            is_on = client_of(request).is_enabled("ON")
            return PlainTextResponse(f"{request.state.name} {is_on}")

        app = Starlette(routes=[Route("/", view)], lifespan=lifespan)
        with TestClient(app) as browser:
            assert browser.get("/").text == "shop True"

    def test_a_client_that_was_given_stays_open(
        self, opened: list[Any], client: FeatureFlagClient
    ) -> None:
        """Its owner closes it, and a client that a function returned is closed."""

        async def make() -> FeatureFlagClient:
            return client

        for source in (client, lambda: client, make):
            app = Starlette(lifespan=flipper_lifespan(source))
            with TestClient(app):
                assert app.state.flipper is client
        assert [what for what, _ in opened] == ["close", "close"]

    def test_an_async_client_is_closed_by_awaiting(self) -> None:
        """Its `close` is a coroutine function."""
        closed = []

        class AsyncClient:
            async def is_enabled(self, name: str) -> bool:
                return True

            async def close(self) -> None:
                closed.append(self)

        app = Starlette(lifespan=flipper_lifespan(AsyncClient))
        with TestClient(app):
            assert closed == []
        assert closed == [app.state.flipper]

    def test_a_wrong_url_stops_the_start(self) -> None:
        """Not only the first request fails."""
        app = Starlette(lifespan=flipper_lifespan("nonsense://"))
        with pytest.raises(InvalidArgumentError, match="nonsense"):
            asyncio.run(_start(app))

    def test_the_store_is_closed_if_the_application_fails(
        self, opened: list[Any]
    ) -> None:
        """Also if its own part of the start fails."""
        flags = flipper_lifespan("memory://")

        @asynccontextmanager
        async def lifespan(app: Any) -> AsyncIterator[None]:
            async with flags(app):
                raise ZeroDivisionError
                yield

        with pytest.raises(ZeroDivisionError):
            asyncio.run(_start(Starlette(lifespan=lifespan)))
        assert [what for what, _ in opened] == ["open", "close"]

    def test_what_is_no_source_is_refused(self, client: FeatureFlagClient) -> None:
        """The message says what to write instead."""
        with pytest.raises(InvalidArgumentError, match=r"FeatureFlagClient\(store\)"):
            flipper_lifespan(store_with_flags())
        with pytest.raises(InvalidArgumentError, match="options sync are those"):
            flipper_lifespan(client, sync=True)


class TestAsk:
    """`ask`, by which integrations call a client."""

    def test_a_slow_store_does_not_block_the_event_loop(
        self, client: FeatureFlagClient, store: CountingStore
    ) -> None:
        """The loop goes on while a thread waits, with the blocks of the task."""
        store.gate.clear()

        async def main() -> list[Any]:
            with client.memoize(), client.context(plan="free"):
                question = asyncio.create_task(ask(client, "is_enabled", "PRO"))
                await asyncio.to_thread(store.wait_for_read)
                store.gate.set()
                answers = [await question]
                answers.append(await ask(client, "is_enabled", "PRO"))
                answers.append(await ask(client, "variant", "ON", "func", func=1))
                return answers

        assert asyncio.run(main()) == [False, False, True]
        assert store.reads == ["PRO", "ON"]
        assert threading.get_ident() not in store.threads

    def test_a_table_in_memory_needs_no_thread(self) -> None:
        """A hop to a thread takes longer than the answer."""
        client = FeatureFlagClient.from_url("memory://")
        threads = []
        client.add_hook(lambda *_: threads.append(threading.get_ident()))
        asyncio.run(ask(client, "is_enabled", "X"))
        assert threads == [threading.get_ident()]


def test_it_needs_no_other_framework() -> None:
    """Applications with Starlette alone have no FastAPI."""
    import subprocess

    program = (
        "import sys\n"
        "import flipper.integrations.starlette\n"
        "assert not {'fastapi', 'pydantic', 'flask', 'django'} & {*sys.modules}\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


async def _start(app: Starlette) -> None:
    """Start an app, and end it."""
    async with app.router.lifespan_context(app):
        pass


async def _send(*_: Any) -> None:
    """Take what an app sends."""
