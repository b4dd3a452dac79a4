# SPDX-License-Identifier: Apache-2.0
"""The Flask extension: its set-up, requests, templates and decorator."""

from __future__ import annotations

import threading
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

import pytest
from flask import (
    Blueprint,
    Flask,
    Response,
    copy_current_request_context,
    g,
    render_template_string,
    request,
    stream_with_context,
)
from flask.views import MethodView

from flipper import FeatureFlagClient, MemoryFeatureFlagStore
from flipper.exceptions import InvalidArgumentError
from flipper.integrations.flask import AppFlags, Flipper, flag_required
from flipper.testing import override_flags
from support.counting_stores import CountingStore, store_with_flags

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def store() -> CountingStore:
    """Return a store with flags."""
    return store_with_flags()


@pytest.fixture
def other(store: CountingStore) -> FeatureFlagClient:
    """Return the client of another process."""
    return FeatureFlagClient(store)


@pytest.fixture
def app(store: CountingStore) -> Flask:
    """Return an app that tests give views to."""
    app = Flask("shop")
    app.testing = True
    Flipper(app, FeatureFlagClient(store), context=plan_of)
    return app


@pytest.fixture
def client(app: Flask) -> FeatureFlagClient:
    """Return the client of the app."""
    return flags_of(app).client


def plan_of(request: Any) -> dict[str, Any]:
    """Return the arguments that a request gives to all questions."""
    plan = request.args.get("plan")
    return {} if plan is None else {"plan": plan}


def flags_of(app: Flask) -> AppFlags:
    """Return what the extension has put into an app."""
    flags = app.extensions["flipper"]
    assert isinstance(flags, AppFlags)
    return flags


def test_a_flag_has_one_answer_and_one_read_in_a_request(
    app: Flask, client: FeatureFlagClient, other: FeatureFlagClient, store: Any
) -> None:
    """A page does not change halfway, and the next request sees the change."""

    @app.route("/")
    def view() -> str:
        first = client.is_enabled("OFF")
        other.enable("OFF")
        text = render_template_string('{{ flag_enabled("OFF") }}')
        return f"{first} {client.is_enabled('OFF')} {text}"

    browser = app.test_client()
    assert browser.get("/").text == "False False False"
    store.reads.clear()
    assert browser.get("/").text == "True True True"
    assert store.reads == ["OFF", "OFF"]  # the second is that of `enable`
    assert browser.get("/").text == "True True True"


def test_writes_of_the_request_are_seen_in_it(
    app: Flask, client: FeatureFlagClient
) -> None:
    """A page that switches a flag shows the new state."""

    @app.route("/")
    def view() -> str:
        first = client.is_enabled("OFF")
        client.enable("OFF")
        return f"{first} {client.is_enabled('OFF')}"

    assert app.test_client().get("/").text == "False True"


def test_a_request_gives_its_arguments_to_every_question(
    app: Flask, client: FeatureFlagClient
) -> None:
    """The context is asked once, and only if a question needs it."""
    calls = []
    flags_of(app).context = lambda request: calls.append(1) or plan_of(request)

    @app.route("/<name>")
    def view(name: str) -> str:
        if name == "none":
            return ""
        return f"{client.is_enabled(name)} {client.variant(name, False)}"

    browser = app.test_client()
    assert browser.get("/PRO?plan=free").text == "False False"
    assert browser.get("/PRO?plan=pro").text == "True True"
    assert calls == [1, 1]
    assert browser.get("/none").text == ""
    assert browser.get("/ON").text == "True True"
    assert calls == [1, 1]


def test_the_context_sees_what_functions_before_the_request_have_set(
    app: Flask, client: FeatureFlagClient
) -> None:
    """Extensions are set up before an application registers who logs in."""
    flags_of(app).context = lambda _: {"plan": g.plan}

    @app.before_request
    def log_in() -> None:
        g.plan = "free"

    @app.route("/")
    def view() -> str:
        return str(client.is_enabled("PRO"))

    assert app.test_client().get("/").text == "False"


def test_a_broken_context_gives_the_default(
    app: Flask, client: FeatureFlagClient, caplog: pytest.LogCaptureFixture
) -> None:
    """The page still comes, and no flag reads as on for the wrong user."""
    flags_of(app).context = lambda request: {"plan": request.args["plan"]}

    @app.route("/")
    def view() -> str:
        return f"{client.is_enabled('PRO')} {client.is_enabled('ON')}"

    browser = app.test_client()
    assert browser.get("/?plan=pro").text == "True True"
    assert browser.get("/").text == "False True"
    assert "BadRequestKeyError" in caplog.text


def test_flags_to_preload_are_read_in_one_round_trip(
    store: CountingStore, other: FeatureFlagClient
) -> None:
    """The first question reads them; a request without questions reads nothing."""
    app = Flask("shop")
    app.config["FLIPPER_PRELOAD"] = ["ON", "OFF"]
    client = FeatureFlagClient(store)
    Flipper(app, client)

    @app.route("/<name>")
    def view(name: str) -> str:
        return name if name == "none" else str(client.is_enabled(name))

    browser = app.test_client()
    assert browser.get("/none").text == "none"
    assert store.reads == []
    assert browser.get("/ON").text == "True"
    assert store.reads == [["ON", "OFF"]]


def test_a_streamed_response_keeps_the_answers(
    app: Flask, client: FeatureFlagClient, other: FeatureFlagClient
) -> None:
    """Its end is sent after the view has returned, also if it asks there first."""

    @app.route("/")
    def view() -> Response:
        client.is_enabled("OFF")

        @stream_with_context
        def generate() -> Iterator[str]:
            yield f"{client.is_enabled('OFF')} {client.is_enabled('PRO')} "
            other.enable("OFF")
            other.disable("PRO")
            yield f"{client.is_enabled('OFF')} {client.is_enabled('PRO')}"

        return Response(generate())

    response = app.test_client().get("/?plan=pro", buffered=False)
    other.enable("OFF")
    other.disable("OFF")
    other.enable("OFF")
    assert response.text == "False True False True"
    response.close()


def test_nested_requests_have_their_own_answers(
    app: Flask, client: FeatureFlagClient, other: FeatureFlagClient
) -> None:
    """Each has its own context, and the outer one is as before at the end."""
    with app.test_request_context("/?plan=free"):
        assert client.is_enabled("PRO") is False
        assert client.is_enabled("OFF") is False
        other.enable("OFF")
        with app.test_request_context("/?plan=pro"):
            assert client.is_enabled("PRO") is True
            assert client.is_enabled("OFF") is True
        assert client.is_enabled("PRO") is False
        assert client.is_enabled("OFF") is False
    assert client.is_enabled("OFF") is True


def test_an_exception_ends_the_answers_of_a_request(
    app: Flask, client: FeatureFlagClient, other: FeatureFlagClient
) -> None:
    """The next request sees changes, also if the same thread handles it."""

    @app.route("/")
    def view() -> str:
        answer = client.is_enabled("OFF")
        raise ZeroDivisionError(answer)

    browser = app.test_client()
    for answer in (False, True):
        with pytest.raises(ZeroDivisionError, match=str(answer)):
            browser.get("/")
        other.enable("OFF")


def test_error_pages_have_the_answers_of_the_request(
    app: Flask, client: FeatureFlagClient, other: FeatureFlagClient
) -> None:
    """An error handler belongs to the request."""

    @app.route("/")
    def view() -> str:
        client.is_enabled("OFF")
        other.enable("OFF")
        raise ZeroDivisionError

    @app.errorhandler(ZeroDivisionError)
    def handle(_: Exception) -> tuple[str, int]:
        return str(client.is_enabled("OFF")), 500

    assert app.test_client().get("/").text == "False"


def test_async_views_have_the_answers_of_the_request(
    app: Flask, client: FeatureFlagClient, other: FeatureFlagClient
) -> None:
    """The view and what runs around it see the same."""
    pytest.importorskip("asgiref")
    seen = []

    @app.before_request
    def before() -> None:
        seen.append(client.is_enabled("OFF"))
        other.enable("OFF")

    @app.route("/")
    async def view() -> str:
        seen.append(client.is_enabled("OFF"))
        return str(client.is_enabled("PRO"))

    @app.after_request
    def after(response: Response) -> Response:
        seen.append(client.is_enabled("OFF"))
        return response

    assert app.test_client().get("/?plan=free").text == "False"
    assert seen == [False, False, False]


def test_threads_of_a_request_have_its_answers_until_its_end(
    app: Flask, client: FeatureFlagClient, other: FeatureFlagClient
) -> None:
    """A thread that lives on sees changes after the response was sent."""
    answers: list[Any] = []
    sent = threading.Event()

    def work() -> None:
        answers.append(client.is_enabled("OFF"))
        answers.append(client.is_enabled("PRO"))
        asked.set()
        assert sent.wait(10)
        answers.append(client.is_enabled("OFF"))
        answers.append(client.is_enabled("PRO"))

    asked = threading.Event()
    threads = []

    @app.route("/<way>")
    def view(way: str) -> str:
        client.is_enabled("OFF")
        other.enable("OFF")
        run = copy_current_request_context(work)
        if way == "context":
            run = lambda: copied.run(work)  # noqa: E731
        copied = copy_context()
        threads.append(threading.Thread(target=run))
        threads[-1].start()
        assert asked.wait(10)
        return str(client.is_enabled("OFF"))

    for way in ("flask", "context"):
        assert _sent(app, f"/{way}?plan=free") == "False"
        sent.set()
        threads.pop().join(10)
        assert answers == [False, False, True, False]
        answers.clear()
        for event in (sent, asked):
            event.clear()
        other.disable("OFF")


def _sent(app: Flask, path: str) -> str:
    """Return the text of a response that is closed, as servers do."""
    with app.test_client().get(path, buffered=True) as response:
        return response.text


def test_a_response_that_is_returned_again_does_not_grow(
    app: Flask, client: FeatureFlagClient
) -> None:
    """An app may keep a response object and return it for ever."""
    kept = Response("kept")

    @app.route("/")
    def view() -> Response:
        client.is_enabled("ON")
        return kept

    _sent(app, "/")
    kept_scopes = kept._flipper_scopes  # type: ignore[attr-defined]
    listeners = len(kept._on_close)
    for _ in range(3):
        assert kept_scopes == []
        _sent(app, "/")
    assert len(kept._on_close) == listeners == 1


def test_outside_of_requests_questions_see_the_store(
    app: Flask, client: FeatureFlagClient, other: FeatureFlagClient
) -> None:
    """A worker that lives in an application context for days sees changes."""
    with app.app_context():
        assert client.is_enabled("OFF") is False
        other.enable("OFF")
        assert client.is_enabled("OFF") is True
        assert client.is_enabled("PRO") is True


def test_a_request_in_an_application_context_has_its_own_answers(
    app: Flask, client: FeatureFlagClient, other: FeatureFlagClient
) -> None:
    """Fixtures of tests often push one for the whole test."""

    @app.route("/")
    def view() -> str:
        return str(client.is_enabled("OFF"))

    with app.app_context():
        assert app.test_client().get("/").text == "False"
        other.enable("OFF")
        assert app.test_client().get("/").text == "True"


def test_templates_have_a_test_and_functions(app: Flask) -> None:
    """They take arguments, as the client does."""
    template = (
        '{% if "ON" is flag_enabled %}1{% endif %}'
        '{% if "OFF" is not flag_enabled %}2{% endif %}'
        '{% if "PRO" is flag_enabled(plan="pro") %}3{% endif %}'
        '{% if flag_enabled("PRO", plan="free") %}wrong{% endif %}'
        '{% if flag_enabled("MISSING", default=True) %}4{% endif %}'
        '{% if "MISSING" is flag_enabled(default=True) %}5{% endif %}'
        '{{ flag_variant("OFF", "blue") }}'
        '{% for name in ["ON", "OFF"] if name is flag_enabled %}{{ name }}{% endfor %}'
        '{{ ["ON", "OFF"] | select("flag_enabled") | list }}'
    )
    with app.test_request_context():
        assert render_template_string(template) == "12345blueON[&#39;ON&#39;]"


def test_a_compiled_template_asks_each_time(
    app: Flask, other: FeatureFlagClient
) -> None:
    """Jinja calls a test of a constant only once, unless it needs the context."""
    template = app.jinja_env.from_string('{{ "OFF" is flag_enabled }}')
    with app.test_request_context():
        assert template.render() == "False"
    other.enable("OFF")
    with app.test_request_context():
        assert template.render() == "True"


def test_templates_and_macros_work_outside_of_requests(app: Flask) -> None:
    """Such as for e-mails that a command sends."""
    with app.app_context():
        text = '{% macro m() %}{{ "ON" is flag_enabled }}{% endmacro %}{{ m() }}'
        assert render_template_string(text) == "True"


class TestFlagRequired:
    """`@flag_required`."""

    @pytest.fixture(autouse=True)
    def views(self, app: Flask) -> None:
        """Add views of all kinds."""

        @app.route("/plain/<name>", endpoint="plain")
        @flag_required("PRO")
        def plain(name: str) -> str:
            return name

        @app.route("/async/<name>")
        @flag_required("PRO")
        async def asynchronous(name: str) -> str:
            return name

        class Page(MethodView):
            decorators = [flag_required("PRO")]  # noqa: RUF012  (as Flask says it)

            def get(self, name: str) -> str:
                return name

            async def post(self, name: str) -> str:
                return name

        class Method(MethodView):
            @flag_required("PRO")
            def get(self, name: str) -> str:
                return name

            @flag_required("PRO")
            async def post(self, name: str) -> str:
                return name

        app.add_url_rule("/view/<name>", view_func=Page.as_view("view"))
        app.add_url_rule("/method/<name>", view_func=Method.as_view("method"))

        @app.route("/stream/<name>")
        @flag_required("PRO")
        def stream(name: str) -> Iterator[str]:
            yield name

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/plain/x"),
            ("GET", "/async/x"),
            ("GET", "/view/x"),
            ("POST", "/view/x"),
            ("GET", "/method/x"),
            ("POST", "/method/x"),
            ("GET", "/stream/x"),
        ],
    )
    def test_a_view_exists_only_while_its_flag_is_on(
        self, app: Flask, client: FeatureFlagClient, method: str, path: str
    ) -> None:
        """Views of each kind get their arguments, or the answer is 404."""
        browser = app.test_client()
        response = browser.open(f"{path}?plan=pro", method=method)
        assert (response.status_code, response.text) == (200, "x")
        assert browser.open(f"{path}?plan=free", method=method).status_code == 404
        with override_flags(client, PRO=False):
            assert browser.open(path, method=method).status_code == 404
        client.destroy("PRO")
        assert browser.open(path, method=method).status_code == 404

    @pytest.mark.parametrize("kind", ["plain", "async"])
    @pytest.mark.parametrize(
        ("redirect", "expected"),
        [
            ("home", (302, "/home")),
            (".home", (302, "/home")),
            ("/old?x=1", (302, "/old?x=1")),
            ("https://example.org/", (302, "https://example.org/")),
            (lambda name: f"no {name}", (200, "no x")),
            (lambda name: ("gone", 410), (410, "gone")),
        ],
    )
    def test_it_redirects_to_an_endpoint_a_url_or_a_function(
        self, app: Flask, redirect: Any, expected: tuple[int, str], kind: str
    ) -> None:
        """A function gets the arguments of the view."""
        app.add_url_rule("/home", "home", lambda: "home")

        @flag_required("OFF", redirect=redirect)
        def plain(name: str) -> str:
            return name

        @flag_required("OFF", redirect=redirect)
        async def asynchronous(name: str) -> str:
            return name

        view = plain if kind == "plain" else asynchronous
        app.add_url_rule("/new/<name>", "new", view)
        response = app.test_client().get("/new/x")
        found = response.headers.get("Location", response.text)
        assert (response.status_code, found) == expected

    @pytest.mark.parametrize("kind", ["plain", "async"])
    def test_its_redirect_and_context_may_be_async(self, app: Flask, kind: str) -> None:
        """With views of both kinds."""

        async def context(name: str) -> dict[str, Any]:
            return {"plan": name}

        async def redirect(name: str) -> str:
            return f"no {name}"

        gate = flag_required("PRO", redirect=redirect, context=context)

        async def asynchronous(name: str) -> str:
            return name

        view = gate((lambda name: name) if kind == "plain" else asynchronous)
        app.add_url_rule("/new/<name>", "new", view)
        browser = app.test_client()
        assert browser.get("/new/pro").text == "pro"
        assert browser.get("/new/free").text == "no free"

    def test_a_relative_endpoint_is_that_of_the_blueprint(self, app: Flask) -> None:
        """As `url_for` says."""
        shop = Blueprint("shop", "shop", url_prefix="/shop")

        @shop.route("/")
        def index() -> str:
            return "index"

        @shop.route("/new")
        @flag_required("OFF", redirect=".index")
        def new() -> str:
            return "new"

        app.register_blueprint(shop)
        assert app.test_client().get("/new").status_code == 404
        assert app.test_client().get("/shop/new").headers["Location"] == "/shop/"

    def test_default_answers_for_a_missing_flag(self, app: Flask) -> None:
        """As that of the client, also with a context."""
        for context in (None, lambda: {"default": False}):
            gate = flag_required("MISSING", default=True, context=context)
            view = gate(lambda: "x")
            app.add_url_rule(f"/{context is None}", f"e{context is None}", view)
        browser = app.test_client()
        assert browser.get("/True").text == browser.get("/False").text == "x"

    def test_a_view_keeps_its_name(self) -> None:
        """Flask makes the endpoint of it."""

        @flag_required("X")
        def view() -> str:
            """Return a page."""
            return ""

        assert (view.__name__, view.__doc__) == ("view", "Return a page.")

    def test_mistakes_are_refused_when_the_view_is_decorated(self) -> None:
        """The message says what to write."""
        with pytest.raises(InvalidArgumentError, match=r'@flag_required\("NEW_UI"\)'):
            flag_required(lambda: "view")  # type: ignore[arg-type]
        with pytest.raises(InvalidArgumentError, match="redirect of feature 'X'"):
            flag_required("X", redirect="")
        with pytest.raises(InvalidArgumentError, match="context of feature 'X'"):
            flag_required("X", context={"a": 1})  # type: ignore[arg-type]
        with pytest.raises(InvalidArgumentError):
            flag_required("")
        with pytest.raises(TypeError, match=r"decorators = \[flag_required\('X'\)\]"):

            @flag_required("X")
            class View(MethodView):
                pass

    def test_a_context_that_is_no_dict_is_an_error(self, app: Flask) -> None:
        """The flag is named, and the view does not run."""
        app.add_url_rule("/n", "n", flag_required("ON", context=list)(lambda: "x"))
        with pytest.raises(TypeError, match="'ON' has to return a dict"):
            app.test_client().get("/n")

    def test_an_app_without_the_extension_says_so(self) -> None:
        """A blueprint may be registered in another app."""
        app = Flask("bare")
        app.testing = True
        app.add_url_rule("/", "x", flag_required("X")(lambda: "x"))
        with pytest.raises(RuntimeError, match=r"Flipper\(\).init_app\(app\)"):
            app.test_client().get("/")


class TestSetUp:
    """`Flipper(app)` and `init_app`."""

    def test_the_url_is_that_of_the_configuration_else_of_the_environment(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
    ) -> None:
        """As other extensions do."""
        monkeypatch.setenv("FLIPPER_URL", f"sqlite:///{tmp_path}/env.db")
        app = Flask("one")
        flags = Flipper(app)
        with app.app_context():
            flags.client.create("X", is_enabled=True)
        with FeatureFlagClient.from_url() as client:
            assert client.is_enabled("X") is True
        two = Flask("two")
        two.config["FLIPPER_URL"] = "memory://"
        flags.init_app(two)
        with two.app_context():
            assert flags.is_enabled("X") is False
        with app.app_context():
            assert flags.is_enabled("X") is True

    def test_a_missing_url_says_what_to_set(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each extension has names of its own."""
        monkeypatch.delenv("FLIPPER_URL", raising=False)
        with pytest.raises(InvalidArgumentError, match=r"app.config\['FLIPPER_URL'\]"):
            Flipper(Flask("shop"))
        monkeypatch.setenv("FLIPPER_URL", "memory://")
        with pytest.raises(InvalidArgumentError, match=r"app.config\['BETA_URL'\]"):
            Flipper(Flask("shop"), name="beta")

    def test_all_settings_come_from_the_configuration(self) -> None:
        """A function may be given by its path."""
        app = Flask("shop")
        app.config.update(
            FLIPPER_URL="memory://",
            FLIPPER_CONTEXT=f"{__name__}:plan_of",
            FLIPPER_PRELOAD=("A", "B"),
            FLIPPER_ON_ERROR="raise",
            FLIPPER_STRICT="raise",
        )
        Flipper(app)
        flags = flags_of(app)
        assert flags.context.__name__ == "plan_of"
        assert flags.preload == ["A", "B"]
        with pytest.raises(Exception, match="does not exist"):
            flags.client.is_enabled("MISSING")

    @pytest.mark.parametrize(
        ("key", "value", "message"),
        [
            ("CONTEXT", "no.such:thing", "'no.such:thing' cannot be imported"),
            ("CONTEXT", {"a": 1}, "has to be a function of the request"),
            ("PRELOAD", "NEW_UI", r"as \['NEW_UI'\], and are 'NEW_UI'"),
            ("PRELOAD", [1], r"and are \[1\]"),
            ("ON_ERROR", "explode", "on_error"),
            ("URL", "nonsense://", "nonsense"),
        ],
    )
    def test_wrong_settings_are_refused(
        self, key: str, value: Any, message: str
    ) -> None:
        """Nothing is put into the app then."""
        app = Flask("shop")
        app.config["FLIPPER_URL"] = "memory://"
        app.config[f"FLIPPER_{key}"] = value
        with pytest.raises(InvalidArgumentError, match=message):
            Flipper(app)
        assert "flipper" not in app.extensions
        app.config["FLIPPER_URL"] = "memory://"
        app.config.pop(f"FLIPPER_{key}")
        Flipper(app, FeatureFlagClient(MemoryFeatureFlagStore()))

    def test_what_is_no_app_or_no_client_is_refused(self) -> None:
        """The message says what to write instead."""
        store = MemoryFeatureFlagStore()
        with pytest.raises(InvalidArgumentError, match=r"Flipper\(app, client\)"):
            Flipper(FeatureFlagClient(store))  # type: ignore[arg-type]
        with pytest.raises(InvalidArgumentError, match=r"FeatureFlagClient\(store\)"):
            Flipper(Flask("shop"), store)  # type: ignore[arg-type]

    def test_an_extension_serves_several_apps(self) -> None:
        """Each app has its own client and its own answers."""
        flags = Flipper(context=plan_of)
        apps = []
        for state in (False, True):
            app = Flask(f"app{state}")
            client = FeatureFlagClient(MemoryFeatureFlagStore())
            client.create("X", is_enabled=state)
            flags.init_app(app, client)
            app.add_url_rule("/", "x", lambda: str(flags.is_enabled("X")))
            apps.append(app)
        for app, expected in zip(apps, ("False", "True"), strict=True):
            assert app.test_client().get("/").text == expected

    def test_apps_may_share_a_client(self, other: FeatureFlagClient) -> None:
        """Each gives its own arguments, also while one calls the other."""
        client = FeatureFlagClient(other._store)
        outer, inner = Flask("outer"), Flask("inner")
        Flipper(outer, client, context=lambda _: {"plan": "pro"})
        Flipper(inner, client, context=lambda _: {"plan": "free"})
        bare = Flask("bare")
        for app in (inner, bare):
            app.add_url_rule("/", "x", lambda: str(client.is_enabled("PRO")))

        @outer.route("/")
        def view() -> str:
            before = client.is_enabled("PRO")
            texts = [app.test_client().get("/").text for app in (inner, bare)]
            return f"{before} {texts} {client.is_enabled('PRO')}"

        assert outer.test_client().get("/").text == "True ['False', 'True'] True"

    def test_an_app_may_have_several_extensions(self, store: CountingStore) -> None:
        """Each has its own client, settings and names."""
        app = Flask("shop")
        app.config["BETA_URL"] = "memory://"
        flags, beta = Flipper(app, FeatureFlagClient(store)), Flipper(app, name="beta")
        app.extensions["beta"].client.create("BETA", is_enabled=True)

        @app.route("/")
        @flag_required("BETA", extension="beta")
        def view() -> str:
            text = '{{ "BETA" is beta_enabled }} {{ "ON" is beta_enabled }} '
            text += '{{ beta_variant("BETA") }} {{ "ON" is flag_enabled }}'
            found = render_template_string(text)
            return f"{found} {flags.is_enabled('BETA')} {beta.is_enabled('BETA')}"

        expected = "True False True True False True"
        assert app.test_client().get("/").text == expected
        assert {"flipper", "beta"} <= app.cli.commands.keys()

    def test_the_same_extension_twice_is_refused(self, app: Flask) -> None:
        """It would be unclear whose context counts."""
        with pytest.raises(InvalidArgumentError, match="has an extension 'flipper'"):
            Flipper(app)
        with pytest.raises(InvalidArgumentError, match="has this client already"):
            Flipper(app, flags_of(app).client, name="beta")

    def test_a_view_of_the_request_is_not_needed(self, app: Flask) -> None:
        """A request object of the app's own class works, too."""

        class Request(app.request_class):  # type: ignore[misc, name-defined]
            pass

        app.request_class = Request
        client = flags_of(app).client
        app.add_url_rule(
            "/", "x", lambda: f"{client.is_enabled('PRO')} {type(request)}"
        )
        assert app.test_client().get("/?plan=free").text.startswith("False")
