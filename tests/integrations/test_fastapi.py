# SPDX-License-Identifier: Apache-2.0
"""The dependencies for FastAPI."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest

# FastAPI requires pydantic-core, which has no wheel for Python 3.15.
pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, Header, Request
from starlette.responses import StreamingResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from flipper import FeatureFlagClient
from flipper.exceptions import InvalidArgumentError
from flipper.integrations.fastapi import (
    FlipperMiddleware,
    flag,
    flag_context,
    flipper_client,
    flipper_lifespan,
    variant,
)
from flipper.rules import Rule, Rules
from flipper.testing import override_flags
from support.asgi_client import TestClient
from support.counting_stores import CountingStore, store_with_flags

# Of httpx, because of how old releases of Starlette use it.
pytestmark = pytest.mark.filterwarnings("ignore:The 'app' shortcut:DeprecationWarning")


class AsyncClient:
    """The questions of a client, to be awaited."""

    def __init__(self, client: FeatureFlagClient) -> None:
        self.sync_client = client
        self.memoize = client.memoize
        self.context = client.context

    async def is_enabled(self, *args: Any, **kwargs: Any) -> Any:
        """Answer after some time."""
        await asyncio.sleep(0)
        return self.sync_client.is_enabled(*args, **kwargs)

    async def variant(self, *args: Any, **kwargs: Any) -> Any:
        """Answer after some time."""
        await asyncio.sleep(0)
        return self.sync_client.variant(*args, **kwargs)


@pytest.fixture
def store() -> CountingStore:
    """Return a store with flags."""
    return store_with_flags()


@pytest.fixture
def client(store: CountingStore) -> FeatureFlagClient:
    """Return the client of the app."""
    return FeatureFlagClient(store)


@pytest.fixture(params=["sync", "async"])
def app(request: pytest.FixtureRequest, client: FeatureFlagClient) -> FastAPI:
    """Return an app whose client is of either kind."""
    app = FastAPI()
    app.add_middleware(FlipperMiddleware)
    app.state.flipper = client if request.param == "sync" else AsyncClient(client)
    return app


def plan_of_header(plan: Annotated[str, Header()] = "free") -> dict[str, Any]:
    """Return arguments for questions; a dependency with parameters."""
    return {"plan": plan}


async def plan_of_request(request: Request) -> dict[str, Any]:
    """Return arguments for questions; a function of the request."""
    return {"plan": request.headers["plan"]}


def test_a_route_exists_only_while_its_flag_is_on(
    app: FastAPI, client: FeatureFlagClient
) -> None:
    """By default the answer is 404, as for a route that does not exist."""

    @app.get("/on", dependencies=[Depends(flag("ON"))])
    async def on() -> str:
        return "on"

    @app.get("/off", dependencies=[Depends(flag("OFF"))])
    def off() -> str:
        return "off"

    browser = TestClient(app)
    assert browser.get("/on").json() == "on"
    assert browser.get("/off").json() == {"detail": "Not Found"}
    assert browser.get("/off").status_code == browser.get("/none").status_code == 404
    with override_flags(client, ON=False, OFF=True):
        assert browser.get("/on").status_code == 404
        assert browser.get("/off").json() == "off"


def test_the_status_may_be_another_one(app: FastAPI) -> None:
    """And the detail any JSON."""
    refuse = flag("OFF", status_code=403, detail={"flag": "OFF"})
    app.add_api_route("/", lambda: "x", dependencies=[Depends(refuse)])
    response = TestClient(app).get("/")
    assert response.status_code == 403
    assert response.json() == {"detail": {"flag": "OFF"}}


def test_a_flag_may_be_a_parameter(app: FastAPI) -> None:
    """Without a status nothing is refused."""

    @app.get("/")
    async def view(
        off: Annotated[bool, Depends(flag("OFF", status_code=None))],
        on: Annotated[bool, Depends(flag("ON"))],
        missing: Annotated[str, Depends(flag("MISSING", default="default"))],
    ) -> list[Any]:
        return [off, on, missing]

    assert TestClient(app).get("/").json() == [False, True, "default"]


def test_a_variant_is_a_parameter(app: FastAPI, client: FeatureFlagClient) -> None:
    """Its default answers for a flag that is off."""
    rules = Rules([Rule(serve="blue")], variants={"blue": {"colour": "blue"}})
    client.set_rules("ON", rules)

    @app.get("/")
    async def view(
        colour: Annotated[Any, Depends(variant("ON", "red"))],
        other: Annotated[Any, Depends(variant("OFF", "red"))],
    ) -> list[Any]:
        return [colour, other]

    assert TestClient(app).get("/").json() == [{"colour": "blue"}, "red"]


@pytest.mark.parametrize("context", [plan_of_header, plan_of_request])
def test_a_context_is_a_dependency(app: FastAPI, context: Any) -> None:
    """It may have parameters, and be of either kind."""

    @app.get("/", dependencies=[Depends(flag("PRO", context=context))])
    async def view(
        value: Annotated[Any, Depends(variant("PRO", "default", context=context))],
    ) -> Any:
        return value

    browser = TestClient(app)
    assert browser.get("/", headers={"plan": "pro"}).json() is True
    assert browser.get("/", headers={"plan": "free"}).status_code == 404


@pytest.mark.parametrize("context", [plan_of_header, plan_of_request])
def test_flag_context_gives_arguments_to_every_question(
    client: FeatureFlagClient, context: Any
) -> None:
    """In dependencies, in endpoints of both kinds, in streams and background tasks."""
    app = FastAPI(
        dependencies=[Depends(flag_context(context))], lifespan=flipper_lifespan(client)
    )
    seen = []

    @app.get("/gate", dependencies=[Depends(flag("PRO"))])
    def gate() -> bool:
        return client.is_enabled("PRO")

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def generate() -> AsyncIterator[str]:
            yield str(client.is_enabled("PRO"))

        return StreamingResponse(generate())

    @app.get("/endpoint")
    async def endpoint(tasks: BackgroundTasks) -> bool:
        tasks.add_task(lambda: seen.append(client.is_enabled("PRO")))
        return client.is_enabled("PRO")

    with TestClient(app) as browser:
        pro, free = {"plan": "pro"}, {"plan": "free"}
        assert browser.get("/gate", headers=free).status_code == 404
        assert browser.get("/gate", headers=pro).json() is True
        assert browser.get("/endpoint", headers=free).json() is False
        assert browser.get("/endpoint", headers=pro).json() is True
        assert browser.get("/stream", headers=pro).text == "True"
    assert client.is_enabled("PRO", plan="free") is False


def test_a_flag_has_one_answer_in_a_request(
    app: FastAPI, client: FeatureFlagClient, store: CountingStore
) -> None:
    """In dependencies and endpoints, also in those that run in threads."""
    other = FeatureFlagClient(store)

    def switch() -> bool:
        answer = client.is_enabled("OFF")
        other.enable("OFF")
        return answer

    @app.get("/")
    def view(
        first: Annotated[bool, Depends(flag("OFF", status_code=None))],
        second: Annotated[bool, Depends(switch)],
        third: Annotated[Any, Depends(variant("OFF", False))],
    ) -> list[Any]:
        return [first, second, third, client.is_enabled("OFF")]

    browser = TestClient(app)
    assert browser.get("/").json() == [False] * 4
    assert browser.get("/").json() == [True] * 4


def test_routers_and_apps_may_depend_on_a_flag(app: FastAPI) -> None:
    """All of their routes are refused."""
    router = APIRouter(prefix="/beta", dependencies=[Depends(flag("OFF"))])
    router.add_api_route("/a", lambda: "a")
    app.include_router(router)
    other = FastAPI(dependencies=[Depends(flag("ON"))])
    other.state.flipper = app.state.flipper
    other.add_api_route("/b", lambda: "b")
    app.mount("/other", other)
    browser = TestClient(app)
    assert browser.get("/beta/a").status_code == 404
    assert browser.get("/other/b").json() == "b"


def test_a_websocket_is_refused_while_its_flag_is_off(
    app: FastAPI, client: FeatureFlagClient
) -> None:
    """Before it is accepted."""

    @app.websocket("/", dependencies=[Depends(flag("OFF"))])
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("hello")
        await websocket.close()

    browser = TestClient(app)
    with pytest.raises(WebSocketDisconnect), browser.websocket_connect("/"):
        pass
    with override_flags(client, OFF=True), browser.websocket_connect("/") as websocket:
        assert websocket.receive_text() == "hello"


def test_the_client_is_a_dependency(client: FeatureFlagClient) -> None:
    """Endpoints need no global variable."""
    app = FastAPI(lifespan=flipper_lifespan(client))

    @app.get("/")
    def view(features: Annotated[Any, Depends(flipper_client)]) -> bool:
        return features.is_enabled("ON")

    with TestClient(app) as browser:
        assert browser.get("/").json() is True


def test_a_question_may_have_a_client_of_its_own(app: FastAPI) -> None:
    """An app may have several clients."""
    own = FeatureFlagClient.from_url("memory://")
    own.create("OWN", is_enabled=True)
    with_plan = flag_context(lambda: {"plan": "pro"}, client=own)

    @app.get("/", dependencies=[Depends(flag("OWN", client=own)), Depends(with_plan)])
    def view(value: Annotated[Any, Depends(variant("OWN", client=own))]) -> Any:
        return value

    assert TestClient(app).get("/").json() is True


def test_a_slow_store_does_not_block_the_event_loop(
    client: FeatureFlagClient, store: CountingStore
) -> None:
    """Another request is answered while a dependency waits for the store."""
    app = FastAPI()
    app.state.flipper = client
    app.add_middleware(FlipperMiddleware)
    app.add_api_route("/slow", lambda: "slow", dependencies=[Depends(flag("ON"))])
    loops = []

    @app.get("/quick")
    async def quick() -> str:
        loops.append(threading.get_ident())
        store.gate.set()
        return "quick"

    async def main() -> list[Any]:
        store.gate.clear()
        slow = asyncio.create_task(_get(app, "/slow"))
        await asyncio.to_thread(store.wait_for_read)
        return [await _get(app, "/quick"), await slow]

    assert asyncio.run(main()) == [b'"quick"', b'"slow"']
    assert not store.threads & {*loops}


async def _get(app: FastAPI, path: str) -> bytes:
    """Return the body of a response, asked for in this event loop."""
    sent = []

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode()}
    scope |= {"headers": [], "query_string": b"", "root_path": "", "scheme": "http"}
    scope |= {"server": ("shop", 80), "client": ("me", 1), "http_version": "1.1"}
    await app(scope, receive, send)
    return b"".join(sent)


def test_openapi_shows_the_parameters_of_contexts_only(app: FastAPI) -> None:
    """A flag adds no parameter of its own."""
    app.add_api_route("/", lambda: "x", dependencies=[Depends(flag("ON"))])
    needs_plan = flag("PRO", context=plan_of_header)
    app.add_api_route("/pro", lambda: "x", dependencies=[Depends(needs_plan)])
    paths = app.openapi()["paths"]
    assert "parameters" not in paths["/"]["get"]
    assert [one["name"] for one in paths["/pro"]["get"]["parameters"]] == ["plan"]


@pytest.mark.parametrize("make", [flag, variant])
def test_mistakes_are_refused_when_the_dependency_is_made(make: Any) -> None:
    """The message says what to write."""
    with pytest.raises(InvalidArgumentError, match=r'Depends\(flag\("NEW_UI"\)\)'):
        make(lambda: "view")
    with pytest.raises(InvalidArgumentError, match="context of feature 'X'"):
        make("X", context={"a": 1})
    with pytest.raises(InvalidArgumentError, match=r"context of flag_context\(\)"):
        flag_context({"a": 1})  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError):
        make("")


def test_a_context_that_is_no_dict_is_an_error(app: FastAPI) -> None:
    """The flag is named, and the endpoint does not run."""
    app.add_api_route(
        "/", lambda: "x", dependencies=[Depends(flag("ON", context=lambda: None))]
    )
    with pytest.raises(TypeError, match="'ON' has to return a dict"):
        TestClient(app).get("/")


def test_an_app_without_a_client_says_so() -> None:
    """It is a mistake of the application, not a flag that is off."""
    app = FastAPI()
    app.add_api_route("/", lambda: "x", dependencies=[Depends(flag("X"))])
    with pytest.raises(RuntimeError, match=r"lifespan=flipper_lifespan"):
        TestClient(app).get("/")
