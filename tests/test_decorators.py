# SPDX-License-Identifier: Apache-2.0
"""The decorator on everything that can be called, and what it refuses.

What it does to a plain function is in `tests/compat`, views are in `tests/examples`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import threading
import types
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from unittest.mock import AsyncMock, MagicMock

import pytest

from flipper import Condition, FeatureFlagClient, MemoryFeatureFlagStore, decorators
from flipper.bucketing import PercentageBucketer
from flipper.decorators import is_enabled

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator


@pytest.fixture
def client() -> FeatureFlagClient:
    """Give a client whose flag `x` is off."""
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


# What is asked


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


# What can be decorated


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


# Generators


def numbers(first: int = 1) -> Generator[int, Any, str]:
    """Give numbers, and tell what is sent, thrown and closed."""
    try:
        got = yield first
        heard.append(got)
        yield first + 1
    except KeyError as error:
        heard.append(error)
        yield -1
    finally:
        heard.append("closed")
    return "done"


async def async_numbers(first: int = 1) -> AsyncGenerator[int, Any]:
    """Give numbers, and tell what is sent, thrown and closed."""
    try:
        await asyncio.sleep(0)
        got = yield first
        heard.append(got)
        yield first + 1
    except KeyError as error:
        heard.append(error)
        yield -1
    finally:
        await asyncio.sleep(0)
        heard.append("closed")


heard: list[Any] = []


@pytest.fixture(autouse=True)
def _nothing_heard() -> None:
    """Begin each test with nothing told."""
    heard.clear()


def collected(items: AsyncIterator[Any]) -> list[Any]:
    """Iterate over something in an event loop."""

    async def collect() -> list[Any]:
        return [item async for item in items]

    return asyncio.run(collect())


def test_a_generator_function_stays_one(client: FeatureFlagClient) -> None:
    """Frameworks look what a function is, and off there is nothing to iterate over."""
    decorated = is_enabled(client, "x")(numbers)
    assert inspect.isgeneratorfunction(decorated)
    assert inspect.signature(decorated) == inspect.signature(numbers)
    assert [*decorated()] == []
    client.enable("x")
    assert [*decorated(first=5)] == [5, 6]


def test_an_async_generator_function_stays_one(client: FeatureFlagClient) -> None:
    """It is no coroutine function: what it gives is iterated over, not awaited."""
    decorated = is_enabled(client, "x")(async_numbers)
    assert inspect.isasyncgenfunction(decorated)
    assert not inspect.iscoroutinefunction(decorated)
    assert collected(decorated()) == []
    client.enable("x")
    assert collected(decorated(first=5)) == [5, 6]


def test_a_generator_asks_when_its_iteration_begins(client: FeatureFlagClient) -> None:
    """That is when the body of a generator begins, too; later it is not asked again."""
    early, later = is_enabled(client, "x")(numbers)(), is_enabled(client, "x")(numbers)
    client.enable("x")
    assert next(early) == 1
    running = later()
    client.disable("x")
    assert [*running] == []
    assert [*early] == [2]
    alike = is_enabled(client, "x")(async_numbers)()
    client.enable("x")
    assert collected(alike) == [1, 2]


def gives_async(*numbers: int) -> Any:
    """Make an async generator function that gives these."""

    async def redirect() -> AsyncIterator[int]:
        for number in numbers:
            yield number

    return redirect


class Countdown:
    """An async iterator that is no generator."""

    def __init__(self) -> None:
        self.left = 3

    def __aiter__(self) -> Countdown:
        return self

    async def __anext__(self) -> int:
        self.left -= 1
        if not self.left:
            raise StopAsyncIteration
        return self.left


async def later_a_countdown() -> Countdown:
    """Give something to iterate over, after a while."""
    return Countdown()


async def later_nothing() -> None:
    """Give nothing, after a while."""


@pytest.mark.parametrize(
    ("redirect", "expected"),
    [
        (lambda: [7, 8], [7, 8]),
        (lambda: numbers(7), [7, 8]),
        (lambda: range(2), [0, 1]),
        (lambda: None, []),
        (MagicMock(), []),
    ],
    ids=["list", "generator", "range", "none", "double"],
)
def test_what_a_redirect_gives_is_iterated_over(
    client: FeatureFlagClient, redirect: Any, expected: list[int]
) -> None:
    """It need not be a generator function itself."""
    assert [*is_enabled(client, "x", redirect=redirect)(numbers)()] == expected
    decorated = is_enabled(client, "x", redirect=redirect)(async_numbers)
    assert collected(decorated()) == expected


@pytest.mark.parametrize(
    ("redirect", "expected"),
    [
        (gives_async(7, 8), [7, 8]),
        (Countdown, [2, 1]),
        (later_a_countdown, [2, 1]),
        (later_nothing, []),
    ],
    ids=["generator", "iterator", "awaitable", "nothing"],
)
def test_an_async_redirect_stands_in_for_an_async_generator(
    client: FeatureFlagClient, redirect: Any, expected: list[int]
) -> None:
    """Whatever can be iterated over, also if it has to be awaited first."""
    decorated = is_enabled(client, "x", redirect=redirect)(async_numbers)
    assert collected(decorated()) == expected


def test_what_is_sent_thrown_and_returned_passes_through(
    client: FeatureFlagClient,
) -> None:
    """A generator that is a coroutine of the old kind works as before."""
    client.enable("x")
    decorated = is_enabled(client, "x")(numbers)
    running = decorated()
    assert next(running) == 1
    assert running.send("hello") == 2
    with pytest.raises(StopIteration) as end:
        next(running)
    assert end.value.value == "done"
    running = decorated()
    next(running)
    error = KeyError("thrown")
    assert running.throw(error) == -1
    running.close()
    assert heard == ["hello", "closed", error, "closed"]


def test_what_is_sent_and_thrown_passes_through_an_async_generator(
    client: FeatureFlagClient,
) -> None:
    """Python has no `yield from` there; its rules hold all the same."""
    client.enable("x")
    decorated = is_enabled(client, "x")(async_numbers)
    error = KeyError("thrown")

    async def use() -> None:
        running = decorated()
        assert await anext(running) == 1
        assert await running.asend("hello") == 2
        with pytest.raises(StopAsyncIteration):
            await running.asend(None)
        running = decorated()
        await anext(running)
        assert await running.athrow(error) == -1
        await running.aclose()
        running = decorated()
        await anext(running)
        with pytest.raises(ZeroDivisionError) as caught:
            await running.athrow(ZeroDivisionError("not theirs"))
        assert str(caught.value) == "not theirs"

    asyncio.run(use())
    assert heard == ["hello", "closed", error, "closed", "closed"]


def test_who_stops_early_closes_the_async_generator_behind(
    client: FeatureFlagClient,
) -> None:
    """What it holds, a connection say, is given back then and not by and by."""
    client.enable("x")
    decorated = is_enabled(client, "x")(async_numbers)

    async def use() -> None:
        async with contextlib.aclosing(decorated()) as running:
            async for _ in running:
                break
        assert heard == ["closed"]

    asyncio.run(use())


def test_a_plain_async_iterator_takes_nothing_that_is_thrown(
    client: FeatureFlagClient,
) -> None:
    """It cannot, so the error comes out where it was thrown."""
    decorated = is_enabled(client, "x", redirect=Countdown)(async_numbers)

    async def use() -> None:
        running = decorated()
        assert await anext(running) == 2
        with pytest.raises(KeyError):
            await running.athrow(KeyError("thrown"))

    asyncio.run(use())


def test_partials_and_objects_keep_their_kind(client: FeatureFlagClient) -> None:
    """What they call says what they are."""

    class Called:
        def __init__(self, kind: str) -> None:
            self.kind = kind

    class AsyncCalled(Called):
        async def __call__(self) -> str:
            return self.kind

    class GeneratorCalled(Called):
        def __call__(self) -> Iterator[str]:
            yield self.kind

    class AsyncGeneratorCalled(Called):
        async def __call__(self) -> AsyncIterator[str]:
            yield self.kind

    decorate: Any = is_enabled(client, "x")
    coroutine = decorate(AsyncCalled("coroutine"))
    generator = decorate(functools.partial(GeneratorCalled("generator")))
    async_generator = decorate(AsyncGeneratorCalled("async generator"))
    assert asyncio.run(coroutine()) is None
    assert [*generator()] == []
    assert collected(async_generator()) == []
    client.enable("x")
    assert asyncio.run(coroutine()) == "coroutine"
    assert [*generator()] == ["generator"]
    assert collected(async_generator()) == ["async generator"]
    assert inspect.isasyncgenfunction(decorate(functools.partial(async_numbers, 5)))
    assert [*decorate(functools.partial(numbers, 5))()] == [5, 6]


def test_a_function_that_is_marked_as_a_coroutine_function_stays_one(
    client: FeatureFlagClient,
) -> None:
    """Web frameworks mark functions that return a coroutine, and await them."""

    def marked() -> Any:
        return new(1)

    if hasattr(inspect, "markcoroutinefunction"):
        inspect.markcoroutinefunction(marked)
    else:
        marked._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]

    @types.coroutine
    def old_kind() -> Any:
        yield from asyncio.sleep(0).__await__()
        return ("new", 1, 0)

    for function in (marked, old_kind, AsyncMock(return_value=("new", 1, 0))):
        client.disable("x")
        decorated: Any = is_enabled(client, "x")(function)
        assert inspect.iscoroutinefunction(decorated)
        assert asyncio.run(decorated()) is None
        client.enable("x")
        assert asyncio.run(decorated()) == ("new", 1, 0)


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


# async def


async def new(a: int, b: int = 0) -> tuple[str, int, int]:
    """Answer after a moment."""
    await asyncio.sleep(0)
    return "new", a, b


async def old(a: int, b: int = 0) -> tuple[str, int, int]:
    """Answer after a moment, the old way."""
    await asyncio.sleep(0)
    return "old", a, b


def plain(a: int, b: int = 0) -> tuple[str, int, int]:
    """Answer at once."""
    return "plain", a, b


class Awaitable:
    """Something to be awaited that is no coroutine."""

    def __init__(self, *given: int, **named: int) -> None:
        self.given = (*given, *named.values())

    def __await__(self) -> Any:
        yield from asyncio.sleep(0).__await__()
        return "awaitable", *self.given


@pytest.mark.parametrize(
    ("redirect", "expected"),
    [
        (None, None),
        (old, ("old", 1, 2)),
        (plain, ("plain", 1, 2)),
        (functools.partial(old, b=3), ("old", 1, 2)),
        (Awaitable, ("awaitable", 1, 2)),
    ],
    ids=["none", "async", "plain", "partial", "awaitable"],
)
def test_a_coroutine_function_stays_one(
    client: FeatureFlagClient, redirect: Any, expected: Any
) -> None:
    """Whatever the redirect is: who awaits the one can await the other."""
    decorated = is_enabled(client, "x", redirect=redirect)(new)
    assert inspect.iscoroutinefunction(decorated)
    assert asyncio.run(decorated(1, b=2)) == expected
    client.enable("x")
    assert asyncio.run(decorated(1, b=2)) == ("new", 1, 2)


def test_a_partial_of_a_coroutine_function_is_one(client: FeatureFlagClient) -> None:
    """Arguments may be filled in before."""
    decorated = is_enabled(client, "x", redirect=plain)(functools.partial(new, b=5))
    assert inspect.iscoroutinefunction(decorated)
    assert asyncio.run(decorated(1)) == ("plain", 1, 0)
    client.enable("x")
    assert asyncio.run(decorated(1)) == ("new", 1, 5)


def test_async_methods_can_be_decorated(client: FeatureFlagClient) -> None:
    """The redirect gets the object first, as the method does."""

    class Site:
        name = "site"

        @is_enabled(client, "x", redirect=lambda self: f"{self.name} closed")
        async def visit(self) -> str:
            return f"{self.name} open"

    site = Site()
    assert asyncio.run(site.visit()) == "site closed"
    client.enable("x")
    assert asyncio.run(site.visit()) == "site open"


def test_a_plain_function_gives_what_an_async_redirect_gives(
    client: FeatureFlagClient,
) -> None:
    """A function that returns an awaitable is decorated so, and awaited by its caller.

    The methods of Django's class-based async views are such functions.
    """
    decorated: Any = is_enabled(client, "x", redirect=old)(lambda a: new(a, 0))
    assert not inspect.iscoroutinefunction(decorated)
    assert asyncio.run(decorated(1)) == ("old", 1, 0)
    client.enable("x")
    assert asyncio.run(decorated(1)) == ("new", 1, 0)


def test_the_flag_is_asked_when_a_coroutine_begins(client: FeatureFlagClient) -> None:
    """Not when it is made: it may be awaited much later."""

    async def make_then_enable() -> Any:
        coroutine = is_enabled(client, "x")(new)(1)
        client.enable("x")
        return await coroutine

    assert asyncio.run(make_then_enable()) == ("new", 1, 0)


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
