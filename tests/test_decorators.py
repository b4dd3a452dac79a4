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
    """Give a client whose flag `x` is off."""
    client = FeatureFlagClient(MemoryFeatureFlagStore())
    client.create("x")
    return client


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
def test_client_and_flag_are_needed(given: tuple[Any, ...], named: Any) -> None:
    """The mistake is said where it is made, not at the first call."""
    with pytest.raises(TypeError, match="needs both 'features' and 'feature_name'"):
        is_enabled(*given, **named)


def test_the_brackets_are_needed() -> None:
    """Without them the function itself is taken for the client."""
    with pytest.raises(TypeError, match="needs both 'features' and 'feature_name'"):

        @is_enabled
        def view() -> None:
            """Show nothing."""


@pytest.mark.parametrize("keyword", ["features", "flags"])
def test_the_client_has_two_names(client: FeatureFlagClient, keyword: str) -> None:
    """That of the README, and that of the code which applications were written for."""
    decorate = is_enabled(feature_name="x", **{keyword: client})  # type: ignore[arg-type]
    client.enable("x")
    assert decorate(lambda: "on")() == "on"


def test_features_wins_over_flags(client: FeatureFlagClient) -> None:
    """Who gives both means the one that is documented."""
    client.enable("x")
    other = MagicMock()
    assert is_enabled(client, "x", flags=other)(lambda: "on")() == "on"
    other.is_enabled.assert_not_called()


def test_the_module_is_there_by_itself() -> None:
    """`from flipper import decorators` is how the README begins."""
    assert decorators.is_enabled is is_enabled


def test_one_decorator_serves_many_functions(client: FeatureFlagClient) -> None:
    """It keeps nothing of the function before."""
    under_flag = is_enabled(client, "x", redirect=lambda: "off")
    first, second = under_flag(lambda: "first"), under_flag(lambda: "second")
    assert (first(), second()) == ("off", "off")
    client.enable("x")
    assert (first(), second()) == ("first", "second")


def test_two_flags_are_asked_one_after_the_other(client: FeatureFlagClient) -> None:
    """Both have to be on."""
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
    """The flag is asked without arguments, and conditions look at arguments."""
    client.enable("x")
    client.add_condition("x", Condition(user="ann"))
    assert is_enabled(client, "x")(lambda user: user)(user="bob") == "bob"


def test_a_bucketer_draws_for_each_call(client: FeatureFlagClient) -> None:
    """A share of the calls gets through."""
    client.enable("x")
    client.set_bucketer("x", PercentageBucketer(0))
    function = is_enabled(client, "x", redirect=lambda: "out")(lambda: "in")
    assert function() == "out"
    client.set_bucketer("x", PercentageBucketer(1))
    assert function() == "in"


def test_a_store_that_fails_calls_the_redirect() -> None:
    """A view is shown, the old one."""
    store = MagicMock()
    store.get.side_effect = ConnectionError
    view = is_enabled(FeatureFlagClient(store), "x", redirect=lambda: "old")
    assert view(lambda: "new")() == "old"


def test_metadata_is_kept(client: FeatureFlagClient) -> None:
    """Frameworks name routes by it, and find the function itself behind it."""

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
    """Methods of all kinds under a flag that the tests replace."""

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
        """Tell the price."""
        return "9"

    @property
    @is_enabled(features, "shop", redirect=lambda self: "no door")
    def door(self) -> str:
        """Tell where to go in."""
        return f"door of {self.name}"


def test_methods_of_all_kinds_can_be_decorated() -> None:
    """The redirect gets whatever the method gets, the object or the class first."""
    shop = Shop()
    Shop.features.create("shop")
    closed = [shop.sell("tea"), Shop.open(), Shop.price(), shop.door]
    assert closed == ["shop: no tea", "no Shop", "no price", "no door"]
    Shop.features.enable("shop")
    opened = [shop.sell("tea"), Shop.open(), Shop.price(), shop.door]
    assert opened == ["shop: tea", "Shop", "9", "door of shop"]
    Shop.features.disable("shop")


def test_callables_without_a_name_can_be_decorated(client: FeatureFlagClient) -> None:
    """A partial has no `__name__` to keep."""
    client.enable("x")
    partial = functools.partial(max, 5)
    assert is_enabled(client, "x")(partial)(3) == 5

    class Adder:
        def __call__(self, a: int) -> int:
            return a + 1

    assert is_enabled(client, "x")(Adder())(3) == 4


def test_a_class_becomes_a_factory(client: FeatureFlagClient) -> None:
    """Objects of it, or what the redirect gives; it is no class any more."""

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


def test_class_methods_and_static_methods_stay_what_they_are(
    client: FeatureFlagClient,
) -> None:
    """The decorator may stand above theirs as well as below."""

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
def test_exceptions_come_out(client: FeatureFlagClient, state: bool) -> None:
    """Those of the function and those of the redirect; no answer is made of them."""

    def fail() -> None:
        raise LookupError("plain")

    async def fail_later() -> None:
        raise LookupError("async")

    client.create("x", is_enabled=state)
    with pytest.raises(LookupError, match="plain"):
        is_enabled(client, "x", redirect=fail)(fail)()
    with pytest.raises(LookupError, match="async"):
        asyncio.run(is_enabled(client, "x", redirect=fail_later)(fail_later)())


def test_threads_share_a_decorated_function(client: FeatureFlagClient) -> None:
    """Each call is new or old, whole: no thread gets another one's answer."""
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
