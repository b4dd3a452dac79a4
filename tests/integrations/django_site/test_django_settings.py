# SPDX-License-Identifier: Apache-2.0
"""The setting FLIPPER, its checks, and the client that is made of it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import Any

import pytest
from django.core.checks import run_checks
from django.test import SimpleTestCase, override_settings

from flipper import CachedFeatureFlagStore, MemoryFeatureFlagStore, store_from_url
from flipper.client import store_of
from flipper.events import EventType
from flipper.exceptions import InvalidArgumentError
from flipper.integrations.django import (
    DjangoFeatureFlagStore,
    features,
    override_flags,
)
from flipper.testing import override_flags as override_flags_of
from support.django_site import DATABASES

MIDDLEWARE = "flipper.integrations.django.middleware.FlipperMiddleware"
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
made: list[Any] = []


def make_store() -> Any:
    """Make a store as a site may do it."""
    made.append(MemoryFeatureFlagStore())
    return made[-1]


own_store = MemoryFeatureFlagStore()
no_store = object


def found() -> list[Any]:
    """Return the messages of the checks of flipper."""
    return [one for one in run_checks() if str(one.id).startswith("flipper.")]


MISTAKES: dict[str, tuple[Any, str, str, str]] = {
    "no dict": ("redis://", "E001", "is a str", "FLIPPER = {"),
    "misspelt key": ({"ULR": "memory://"}, "E002", "'ULR'", "Did you mean 'URL'?"),
    "lower case": ({"url": "memory://"}, "E002", "'url'", "Did you mean 'URL'?"),
    "unknown key": ({"XYZZY": 1}, "E002", "'XYZZY'", "Use one of 'URL'"),
    "two stores": (
        {"URL": "memory://", "STORE": f"{__name__}.make_store"},
        *("E003", "both", "Leave one of them out"),
    ),
    "scheme": ({"URL": "rediss3://"}, "E004", "'rediss3'", "store-urls.md"),
    "no text": ({"URL": 7}, "E004", "is no text but int", "store-urls.md"),
    "password": (
        {"URL": "redis://me:pass/word@host:badport/0"},
        *("E004", "URL of the setting FLIPPER", "store-urls.md"),
    ),
    "function itself": ({"CONTEXT": make_store}, "E005", "function", "dotted path"),
    "module": ({"STORE": "no.such.module"}, "E006", "cannot be", "Correct the path"),
    "name": ({"CONTEXT": f"{__name__}.no"}, "E006", "cannot be", "Correct the path"),
    "no function": ({"CONTEXT": f"{__name__}.MIDDLEWARE"}, "E005", "no func", "dict"),
    "choice": ({"ON_ERROR": "ignore"}, "E007", "'ignore'", "'default', 'raise'"),
    "text": ({"PRELOAD": "NEW_UI"}, "E008", "'NEW_UI'", "list of feature names"),
    "numbers": ({"PRELOAD": [1]}, "E008", "[1]", "list of feature names"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_each_mistake_has_a_check_and_a_hint(name: str) -> None:
    """`manage.py check` says what is wrong and what to do; first use says it, too."""
    setting, number, problem, hint = MISTAKES[name]
    with override_settings(FLIPPER=setting):
        (message,) = [one for one in found() if one.is_serious()]
        assert message.id == f"flipper.{number}"
        assert problem in message.msg
        assert hint in message.hint
        assert "pass/word" not in message.msg + message.hint
        with pytest.raises(InvalidArgumentError) as error:
            features.is_enabled("NEW")
        assert message.msg in str(error.value)


def test_several_mistakes_are_reported_together() -> None:
    """Nobody has to correct them one by one."""
    wrong = {"ULR": 1, "ON_ERROR": "x", "STRICT": "y", "PRELOAD": 3}
    with override_settings(FLIPPER=wrong):
        ids = [one.id for one in found() if one.is_serious()]
    assert ids == ["flipper.E002", "flipper.E007", "flipper.E007", "flipper.E008"]


@pytest.mark.parametrize(
    "setting",
    [
        {},
        {"URL": "memory://"},
        {"URL": "django://other?in_transaction=1&ttl=5"},
        {"STORE": f"{__name__}.make_store", "PRELOAD": ("NEW",), "STRICT": "warn"},
        {"CONTEXT": "flipper.integrations.django.context.user_and_language"},
    ],
)
def test_a_right_setting_has_no_message(setting: Any) -> None:
    """The middleware is in place in this site."""
    with override_settings(FLIPPER=setting):
        assert found() == []


def test_a_missing_middleware_is_a_warning() -> None:
    """Without it, CONTEXT and PRELOAD would be without effect."""
    setting = {"CONTEXT": f"{__name__}.make_store", "PRELOAD": ["NEW"]}
    with override_settings(FLIPPER=setting, MIDDLEWARE=[AUTHENTICATION]):
        (message,) = found()
        assert message.id == "flipper.W001"
        assert "CONTEXT and PRELOAD" in message.msg
        assert MIDDLEWARE in message.hint
    with override_settings(FLIPPER=setting, MIDDLEWARE=[MIDDLEWARE, AUTHENTICATION]):
        (message,) = found()
        assert message.id == "flipper.W002"
    with override_settings(FLIPPER={}, MIDDLEWARE=[]):
        assert found() == []


def test_the_environment_variable_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL that is not in the setting comes from FLIPPER_URL."""
    monkeypatch.setenv("FLIPPER_URL", "xyzzy://")
    (message,) = found()
    assert "FLIPPER_URL" in message.msg


# -- the client ------------------------------------------------------------------------


def test_the_client_follows_the_setting() -> None:
    """`override_settings` gives the client another store, and closes the one before."""
    with override_settings(FLIPPER={"URL": "memory://"}):
        features.create("NEW", is_enabled=True)
        first = store_of(features)
        assert features.is_enabled("NEW")
        with override_settings(FLIPPER={"STORE": f"{__name__}.make_store"}):
            assert not features.is_enabled("NEW")
            assert store_of(features) is made[-1]
        assert not features.is_enabled("NEW")
        assert store_of(features) is not first
    assert isinstance(store_of(features), DjangoFeatureFlagStore)


def test_without_a_setting_the_flags_are_in_the_database_of_the_site(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """FLIPPER_URL names another place, and the setting takes precedence."""
    assert isinstance(store_of(features), DjangoFeatureFlagStore)
    monkeypatch.setenv("FLIPPER_URL", "memory://")
    features.close()
    assert isinstance(store_of(features), MemoryFeatureFlagStore)
    with override_settings(FLIPPER={"URL": "django://other?ttl=5"}):
        cache = store_of(features)
        assert isinstance(cache, CachedFeatureFlagStore)
        features.create("NEW")
        assert DjangoFeatureFlagStore(using="other").get("NEW") is not None
        assert DjangoFeatureFlagStore(using="default").get("NEW") is None


def test_the_setting_may_name_a_store_itself() -> None:
    """Not only a function that makes one."""
    with override_settings(FLIPPER={"STORE": f"{__name__}.own_store"}):
        assert store_of(features) is own_store
    with (
        override_settings(FLIPPER={"STORE": f"{__name__}.no_store"}),
        pytest.raises(InvalidArgumentError, match="name a store, or a function"),
    ):
        features.exists("NEW")


def test_error_and_strictness_are_those_of_the_setting() -> None:
    """STRICT and ON_ERROR are the arguments of the client."""
    with (
        override_settings(FLIPPER={"URL": "memory://", "STRICT": "raise"}),
        pytest.raises(Exception, match="does not exist"),
    ):
        features.is_enabled("MISSING")


def test_listeners_hooks_and_overrides_outlive_a_change_of_the_setting() -> None:
    """They belong to the site, and not to a store."""
    heard: list[str] = []
    asked: list[str] = []

    def listen(name: str, *_: Any, **__: Any) -> None:
        heard.append(name)

    def hook(evaluation: Any, _: Any) -> None:
        asked.append(evaluation.feature_name)

    features.events.on(EventType.POST_ENABLE, listen)
    features.add_hook(hook)
    try:
        with (
            override_flags(FIXED=True),
            override_settings(FLIPPER={"URL": "memory://"}),
        ):
            features.create("NEW")
            features.enable("NEW")
            assert heard == ["NEW"]
            assert features.is_enabled("FIXED")
            assert asked == ["FIXED"]
    finally:
        features.remove_hook(hook)
        features.events.remove_listener(EventType.POST_ENABLE, listen)


def test_many_threads_that_ask_first_make_one_store() -> None:
    """All of them get answers from it."""
    made.clear()
    with override_settings(FLIPPER={"STORE": f"{__name__}.make_store"}):
        barrier = threading.Barrier(8)
        answers = []

        def ask() -> None:
            barrier.wait(30)
            answers.append(features.is_enabled("NEW", default="default"))

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert answers == ["default"] * 8
    assert len(made) == 1


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_has_its_own_store() -> None:
    """A child that asks first works, and so does one whose parent has asked."""
    for _ in range(2):
        child = os.fork()
        if not child:
            code = 1
            try:
                code = 0 if features.is_enabled("NEW") is False else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert features.is_enabled("NEW") is False


def test_a_store_url_needs_a_site() -> None:
    """Outside of manage.py, the error names the settings of the site."""
    code = "import flipper; flipper.store_from_url('django://')"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DJANGO")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "DJANGO_SETTINGS_MODULE" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("django://nowhere", "There is no database 'nowhere'"),
        ("django://default/path", "has a path"),
        ("django://me@default", "more than the alias"),
        ("django://default?in_transactoin=1", "in_transactoin"),
        ("django://default?in_transaction=1&sync=1", "in_transaction=True"),
    ],
)
def test_a_wrong_store_url_is_refused(url: str, problem: str) -> None:
    """The error says what is wrong with it."""
    with pytest.raises(InvalidArgumentError, match=problem):
        store_from_url(url)


def test_the_integration_names_its_extra_without_django() -> None:
    """And `import flipper` does not load Django."""
    code = (
        "import sys; sys.modules['django'] = None; import flipper\n"
        "try: import flipper.integrations.django\n"
        "except ImportError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert "pip install 'flipper-client[django]'" in done.stdout


# -- override_flags --------------------------------------------------------------------


@override_flags(OF_CLASS=True, NEW=False)
class OverriddenTest(SimpleTestCase):
    """A class that is decorated; its methods may be, too."""

    databases = frozenset(DATABASES)

    def setUp(self) -> None:
        """Ask before the test."""
        assert features.is_enabled("OF_CLASS")

    def test_of_the_class(self) -> None:
        """The class sets its flags for all its tests."""
        assert features.is_enabled("OF_CLASS")
        assert not features.is_enabled("NEW", default=True)

    @override_flags(NEW=True, COLOUR="blue")
    def test_of_a_method(self) -> None:
        """The flags of a method take precedence."""
        assert features.is_enabled("OF_CLASS")
        assert features.is_enabled("NEW")
        assert features.variant("COLOUR") == "blue"

    @override_flags(NEW=True)
    async def test_of_a_coroutine(self) -> None:
        """The same holds for tests that are coroutines."""
        assert features.is_enabled("NEW")


def test_an_override_ends_whatever_happens() -> None:
    """Also after an error, and in a test that fails."""

    @override_flags(NEW=True)
    def fail() -> None:
        assert features.is_enabled("NEW")
        raise LookupError

    for _ in range(2):
        with pytest.raises(LookupError):
            fail()
        assert not features.is_enabled("NEW")
    with override_flags(NEW=True) as flags, override_flags_of(features, NEW=False):
        assert not features.is_enabled("NEW")
        flags["MORE"] = True
        assert features.is_enabled("MORE")
    assert not features.is_enabled("MORE")
    assert features._overrides == ()


def test_a_wrong_override_is_refused_before_the_test() -> None:
    """The error names the flag."""
    with pytest.raises(InvalidArgumentError, match="'NEW'"):
        override_flags(NEW=None)
    with pytest.raises(TypeError, match="TestCase"):
        override_flags(NEW=True)(type("NoTest", (), {}))
