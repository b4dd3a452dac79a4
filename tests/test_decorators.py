# SPDX-License-Identifier: Apache-2.0
"""The decorator on functions, methods and classes, and the arguments that it refuses.

`tests/compat` tests it on plain functions, `tests/examples` on views.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest.mock import MagicMock

import pytest

from flipper import Condition, FeatureFlagClient, MemoryFeatureFlagStore, decorators
from flipper.bucketing import PercentageBucketer
from flipper.decorators import is_enabled


@pytest.fixture
def client() -> FeatureFlagClient:
    """Return a client whose flag `x` is off."""
    client = FeatureFlagClient(MemoryFeatureFlagStore())
    client.create("x")
    return client


# Arguments


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ((), {}),
        ((), {"feature_name": "x"}),
        ((), {"redirect": print}),
        ((MagicMock(),), {}),
        ((), {"features": MagicMock()}),
        ((), {"flags": MagicMock()}),
        ((None, "x"), {}),
        ((MagicMock(), None), {}),
    ],
)
def test_client_and_feature_name_are_required(
    given: tuple[Any, ...], named: Any
) -> None:
    """A missing argument is an error when the decorator is made, not at a call."""
    with pytest.raises(TypeError, match="needs both 'features' and 'feature_name'"):
        is_enabled(*given, **named)


def test_a_decorator_without_arguments_is_refused() -> None:
    """Without arguments, the decorated function would be taken for the client."""
    with pytest.raises(TypeError, match="needs both 'features' and 'feature_name'"):

        @is_enabled
        def view() -> None:
            """Show nothing."""


@pytest.mark.parametrize("keyword", ["features", "flags"])
def test_the_client_may_be_given_as_features_or_flags(
    client: FeatureFlagClient, keyword: str
) -> None:
    """The README calls the parameter `features`, existing code calls it `flags`."""
    decorate = is_enabled(feature_name="x", **{keyword: client})  # type: ignore[arg-type]
    client.enable("x")
    assert decorate(lambda: "on")() == "on"


def test_features_takes_precedence_over_flags(client: FeatureFlagClient) -> None:
    """If both are given, the documented name is used."""
    client.enable("x")
    other = MagicMock()
    assert is_enabled(client, "x", flags=other)(lambda: "on")() == "on"
    other.is_enabled.assert_not_called()


def test_flipper_has_the_module_decorators() -> None:
    """`from flipper import decorators` works, as the README writes it."""
    assert decorators.is_enabled is is_enabled


# Questions to the flag


def test_one_decorator_serves_many_functions(client: FeatureFlagClient) -> None:
    """A decorator can be applied to several functions."""
    under_flag = is_enabled(client, "x", redirect=lambda: "off")
    first, second = under_flag(lambda: "first"), under_flag(lambda: "second")
    assert (first(), second()) == ("off", "off")
    client.enable("x")
    assert (first(), second()) == ("first", "second")


def test_two_decorators_require_both_flags(client: FeatureFlagClient) -> None:
    """A function under two flags is called only if both are on."""
    client.create("y", is_enabled=True)
    both = is_enabled(client, "x")(is_enabled(client, "y")(lambda: "both"))
    assert both() is None
    client.enable("x")
    assert both() == "both"
    client.disable("y")
    assert both() is None


def test_conditions_do_not_limit_a_decorated_function(
    client: FeatureFlagClient,
) -> None:
    """The flag is asked without arguments, so no condition applies."""
    client.enable("x")
    client.add_condition("x", Condition(user="ann"))
    assert is_enabled(client, "x")(lambda user: user)(user="bob") == "bob"


def test_a_bucketer_decides_about_each_call(client: FeatureFlagClient) -> None:
    """A change of the percentage counts from the next call on."""
    client.enable("x")
    client.set_bucketer("x", PercentageBucketer(0))
    function = is_enabled(client, "x", redirect=lambda: "out")(lambda: "in")
    assert function() == "out"
    client.set_bucketer("x", PercentageBucketer(1))
    assert function() == "in"


def test_a_store_that_fails_calls_the_redirect() -> None:
    """While the flag cannot be read, the redirect is called."""
    store = MagicMock()
    store.get.side_effect = ConnectionError
    view = is_enabled(FeatureFlagClient(store), "x", redirect=lambda: "old")
    assert view(lambda: "new")() == "old"


# What can be decorated


def test_the_metadata_of_the_function_is_kept(client: FeatureFlagClient) -> None:
    """Frameworks use the name, the signature and the attributes of a function."""

    def view(request: str, *, page: int = 1) -> str:
        """Show a page."""
        return f"{request}{page}"

    view.login_required = True  # type: ignore[attr-defined]
    decorated = is_enabled(client, "x")(view)
    assert decorated.__name__ == "view"
    assert decorated.__qualname__ == view.__qualname__
    assert decorated.__module__ == __name__
    assert decorated.__doc__ == "Show a page."
    assert decorated.login_required is True  # type: ignore[attr-defined]
    assert inspect.signature(decorated) == inspect.signature(view)
    assert inspect.unwrap(decorated) is view


class Shop:
    """A class whose methods of all kinds are under one flag."""

    features = FeatureFlagClient(MemoryFeatureFlagStore())
    name = "shop"

    def closed(self, what: str) -> str:
        """Answer instead of a method: the redirect gets the object too."""
        return f"{self.name}: no {what}"

    @is_enabled(features, "shop", redirect=closed)
    def sell(self, what: str) -> str:
        """Sell."""
        return f"{self.name}: {what}"

    @classmethod
    @is_enabled(features, "shop", redirect=lambda cls: f"no {cls.__name__}")
    def open(cls) -> str:
        """Open one."""
        return cls.__name__

    @staticmethod
    @is_enabled(features, "shop", redirect=lambda: "no price")
    def price() -> str:
        """Return the price."""
        return "9"

    @property
    @is_enabled(features, "shop", redirect=lambda self: "no door")
    def door(self) -> str:
        """Return the door."""
        return f"door of {self.name}"


def test_methods_of_all_kinds_can_be_decorated() -> None:
    """The redirect gets the arguments of the method, with the object or class first."""
    shop = Shop()
    Shop.features.create("shop")
    closed = [shop.sell("tea"), Shop.open(), Shop.price(), shop.door]
    assert closed == ["shop: no tea", "no Shop", "no price", "no door"]
    Shop.features.enable("shop")
    opened = [shop.sell("tea"), Shop.open(), Shop.price(), shop.door]
    assert opened == ["shop: tea", "Shop", "9", "door of shop"]
    Shop.features.disable("shop")


def test_callables_without_a_name_can_be_decorated(client: FeatureFlagClient) -> None:
    """A partial or an object with `__call__` has no `__name__` to keep."""
    client.enable("x")
    partial = functools.partial(max, 5)
    assert is_enabled(client, "x")(partial)(3) == 5

    class Adder:
        def __call__(self, a: int) -> int:
            return a + 1

    assert is_enabled(client, "x")(Adder())(3) == 4


def test_a_decorated_class_becomes_a_function(client: FeatureFlagClient) -> None:
    """The function returns an object of the class, or the result of the redirect."""

    class New:
        """The new one."""

    class Old:
        """The old one."""

    decorated: Any = is_enabled(client, "x", redirect=Old)(New)
    assert decorated.__name__ == "New"
    assert type(decorated()) is Old
    client.enable("x")
    assert type(decorated()) is New
    assert not isinstance(decorated, type)


def test_class_methods_and_static_methods_keep_their_kind(
    client: FeatureFlagClient,
) -> None:
    """The decorator may stand above `classmethod` and `staticmethod`, or below."""

    class Site:
        @is_enabled(client, "x", redirect=lambda cls: f"no {cls.__name__}")
        @classmethod
        def open(cls) -> str:
            return cls.__name__

        @is_enabled(client, "x", redirect=lambda: "no price")  # type: ignore[type-var]
        @staticmethod
        def price() -> str:
            return "9"

    assert [Site.open(), Site().open(), Site.price()] == ["no Site"] * 2 + ["no price"]
    client.enable("x")
    assert [Site.open(), Site().open(), Site().price()] == ["Site", "Site", "9"]


@pytest.mark.parametrize("state", [True, False])
def test_exceptions_reach_the_caller(client: FeatureFlagClient, state: bool) -> None:
    """The decorator catches no exception of the function or the redirect."""

    def fail() -> None:
        raise LookupError("plain")

    async def fail_later() -> None:
        raise LookupError("async")

    client.create("x", is_enabled=state)
    with pytest.raises(LookupError, match="plain"):
        is_enabled(client, "x", redirect=fail)(fail)()
    with pytest.raises(LookupError, match="async"):
        asyncio.run(is_enabled(client, "x", redirect=fail_later)(fail_later)())


def test_threads_may_share_a_decorated_function(client: FeatureFlagClient) -> None:
    """Each call gets the result for its own arguments."""
    barrier = threading.Barrier(8)

    @is_enabled(client, "x", redirect=lambda thread: ("old", thread))
    def view(thread: int) -> tuple[str, int]:
        return "new", thread

    def ask(thread: int) -> bool:
        barrier.wait()
        for count in range(200):
            (client.enable if count % 2 else client.disable)("x")
            if view(thread) not in {("new", thread), ("old", thread)}:
                return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(8)))


# Context and default


def test_the_context_makes_arguments_of_those_of_the_call(
    client: FeatureFlagClient,
) -> None:
    """Conditions and bucketers decide by what `context` returns for each call."""
    client.enable("x")
    client.add_condition("x", Condition(user="ann"))

    @is_enabled(
        client,
        "x",
        redirect=lambda request, **_: f"old for {request['user']}",
        context=lambda request, page: {"user": request["user"], "page": page},
    )
    def view(request: dict[str, str], page: int) -> str:
        return f"new for {request['user']}, page {page}"

    assert view({"user": "ann"}, page=2) == "new for ann, page 2"
    assert view({"user": "bob"}, page=2) == "old for bob"


def test_the_context_of_a_method_gets_the_object(client: FeatureFlagClient) -> None:
    """The arguments are those of the function, so `self` is one of them."""
    client.enable("x")
    client.add_condition("x", Condition(plan="pro"))

    class Account:
        plan = "pro"

        @is_enabled(client, "x", context=lambda account: {"plan": account.plan})
        def limit(self) -> int:
            return 100

    account = Account()
    assert account.limit() == 100
    account.plan = "free"
    assert account.limit() is None


def test_without_context_and_default_the_question_has_no_arguments() -> None:
    """Tests with a mock client expect the call that flipper-client made."""
    features = MagicMock()
    is_enabled(features, "x")(lambda **_: None)(user="ann", self=1)
    features.is_enabled.assert_called_once_with("x")


def test_the_default_answers_for_a_missing_flag() -> None:
    """The function is called if the default is true and there is no flag."""
    features = FeatureFlagClient(MemoryFeatureFlagStore())
    view = is_enabled(features, "y", default=True, context=lambda: {"a": 1})
    assert view(lambda: "new")() == "new"
    features.create("y")
    assert view(lambda: "new")() is None


def test_context_and_default_are_passed_together() -> None:
    """The explicit default takes precedence over one in the context."""
    features = MagicMock()
    context = {"user": "ann", "default": True}
    is_enabled(features, "x", context=lambda: context, default=False)(lambda: None)()
    features.is_enabled.assert_called_once_with("x", user="ann", default=False)


@pytest.mark.parametrize("wrong", [{"user": "ann"}, "user", 1])
def test_a_context_that_is_no_function_is_refused(wrong: Any) -> None:
    """It is found when the decorator is made, not at the first request."""
    with pytest.raises(TypeError, match="feature 'x' needs as 'context' a function"):
        is_enabled(MagicMock(), "x", context=wrong)


@pytest.mark.parametrize("wrong", [None, "ann", [("user", "ann")]])
def test_a_context_that_returns_no_dict_is_refused(wrong: Any) -> None:
    """The error names the flag and the function that has to return a dict."""
    features = MagicMock()
    view = is_enabled(features, "x", context=lambda: wrong)(lambda: "new")
    with pytest.raises(TypeError, match="context of feature 'x' has to be a dict"):
        view()
    features.is_enabled.assert_not_called()


def test_an_error_of_the_context_is_raised(client: FeatureFlagClient) -> None:
    """A mistake in `context` does not look like a flag that is off."""

    def context(request: object) -> dict[str, Any]:
        message = "no user"
        raise LookupError(message)

    with pytest.raises(LookupError, match="no user"):
        is_enabled(client, "x", context=context)(lambda request: "new")(object())
