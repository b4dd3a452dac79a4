# SPDX-License-Identifier: Apache-2.0
"""Flags as attributes of a class: `FlagRegistry`."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from flipper import (
    AsyncFeatureFlagClient,
    CachedFeatureFlagStore,
    Condition,
    FeatureFlagClient,
    Flag,
    FlagRegistry,
    MemoryFeatureFlagStore,
    VariantFlag,
)
from flipper.events import EventType
from flipper.exceptions import FlipperError, InvalidArgumentError, InvalidFlagDataError
from flipper.explanation import Reason
from flipper.registry import binding, declared_flags
from flipper.rules import Rule, Rules, Split
from flipper.runtime.log_throttle import LogThrottle
from flipper.testing import override_flags
from support.custom_stores import CustomStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Flags(FlagRegistry):
    """The flags of these tests."""

    new_checkout = Flag("NEW_CHECKOUT")
    open_shop = Flag("OPEN_SHOP", default=True)
    colour = VariantFlag("COLOUR", default="blue")
    limits = VariantFlag("LIMITS", default={"seats": [1]})


@pytest.fixture
def client() -> Iterator[FeatureFlagClient]:
    """Give a client with an empty store, which answers for the flags."""
    client = FeatureFlagClient(MemoryFeatureFlagStore())
    Flags.bind(client)
    yield client
    Flags._binding = None


@pytest.fixture(autouse=True)
def log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Log each warning again, though an earlier test has caused the same one."""
    monkeypatch.setattr(declared_flags, "_log", LogThrottle("flipper.registry"))


def serve(client: FeatureFlagClient, name: str, value: Any) -> None:
    """Let a flag serve one value to everybody."""
    client.create(name, is_enabled=True)
    split = Split({"only": 1.0}, by="user_id")
    client.set_rules(name, Rules([Rule(None, split)], variants={"only": value}))


# Answers


def test_a_flag_is_asked_by_its_attribute(client: FeatureFlagClient) -> None:
    """With its default while it is missing, and with the arguments of the question."""
    assert Flags.new_checkout.is_enabled() is False
    assert Flags.open_shop.is_enabled() is True
    client.create("NEW_CHECKOUT", is_enabled=True)
    client.add_condition("NEW_CHECKOUT", Condition(user_id=1))
    assert Flags.new_checkout.is_enabled(user_id=1) is True
    assert Flags.new_checkout.is_enabled(user_id=2) is False
    client.create("OPEN_SHOP")
    assert Flags.open_shop.is_enabled() is False


def test_an_argument_may_have_any_name_but_default(client: FeatureFlagClient) -> None:
    """`default` is fixed where the flag is declared; a question cannot change it."""
    client.create("NEW_CHECKOUT", is_enabled=True)
    client.add_condition("NEW_CHECKOUT", Condition(feature_name="a", self="b"))
    arguments = {"feature_name": "a", "self": "b"}
    assert Flags.new_checkout.is_enabled(**arguments) is True
    with pytest.raises(TypeError, match="default"):
        Flags.new_checkout.is_enabled(default=True)


def test_a_flag_explains_its_answer(client: FeatureFlagClient) -> None:
    """The explanation is that of the client, with the default of the flag."""
    assert Flags.open_shop.explain() == client.explain("OPEN_SHOP", default=True)
    client.create("NEW_CHECKOUT", is_enabled=True)
    assert Flags.new_checkout.explain(user_id=1).reason is Reason.ON


def test_a_variant_is_asked_by_its_attribute(client: FeatureFlagClient) -> None:
    """The default is for a flag that is missing or off."""
    assert Flags.colour.variant(user_id=1) == "blue"
    serve(client, "COLOUR", "green")
    assert Flags.colour.variant(user_id=1) == "green"
    client.disable("COLOUR")
    assert Flags.colour.variant(user_id=1) == "blue"
    assert Flags.colour.explain(user_id=1).enabled is False


@pytest.mark.parametrize(
    ("default", "value", "fits"),
    [
        ("blue", "green", True),
        ("blue", 5, False),
        ("5", 5, False),
        (5, 6, True),
        (5, True, False),
        (5, 6.5, False),
        (0.5, 0.75, True),
        (0.5, 1, True),
        (0.5, True, False),
        (False, True, True),
        (True, "on", False),
        (["a"], ["b"], True),
        (["a"], {"b": 1}, False),
        ({"a": 1}, {"b": 2}, True),
        ({"a": 1}, "{}", False),
    ],
)
def test_a_value_of_another_type_gives_the_default(
    default: Any, value: Any, fits: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning names the flag, the attribute and both types, but never the value."""

    class Typed(FlagRegistry):
        flag = VariantFlag("TYPED", default=default)

    client = FeatureFlagClient(MemoryFeatureFlagStore())
    serve(client, "TYPED", value)
    Typed.bind(client)
    for _ in range(2):
        answer = Typed.flag.variant(user_id=1)
        assert answer == (value if fits else default)
        assert type(answer) is type(value if fits else default)
    warning = (
        f"Feature 'TYPED' serves a value of the type {type(value).__name__}, and "
        f"<VariantFlag Typed.flag 'TYPED'> expects {type(default).__name__}; the "
        f"default answers"
    )
    logged = [record.getMessage() for record in caplog.records]
    assert logged == ([] if fits else [warning])


def test_a_flag_that_is_on_without_a_variant_gives_the_default(
    client: FeatureFlagClient, caplog: pytest.LogCaptureFixture
) -> None:
    """`client.variant` returns `True` then, which is no colour."""
    client.create("COLOUR", is_enabled=True)
    assert Flags.colour.variant(user_id=1) == "blue"
    assert "serves a value of the type bool" in caplog.text


def test_no_caller_can_change_the_default(client: FeatureFlagClient) -> None:
    """Each caller gets a list or a dict of its own."""
    given: dict[str, Any] = {"seats": [1]}

    class Own(FlagRegistry):
        limits = VariantFlag("LIMITS", default=given)

    Own.bind(client)
    given["seats"].append(2)
    Own.limits.variant()["seats"].append(3)
    assert Own.limits.variant() == {"seats": [1]}
    serve(client, "LIMITS", "text")
    Own.limits.variant(user_id=1)["seats"].append(4)
    assert Own.limits.variant(user_id=1) == {"seats": [1]}


def test_overrides_and_stores_of_the_application_answer(
    client: FeatureFlagClient,
) -> None:
    """An answer of another class than `bool` counts by its truth."""
    with override_flags(client, NEW_CHECKOUT=True, COLOUR="red"):
        assert Flags.new_checkout.is_enabled() is True
        assert Flags.colour.variant() == "red"
    double = mock.Mock()
    double.is_enabled.return_value = 1
    Flags.bind(double)
    assert Flags.new_checkout.is_enabled(a=1) is True
    double.is_enabled.assert_called_once_with("NEW_CHECKOUT", False, a=1)


# Async


def test_an_async_client_is_awaited(client: FeatureFlagClient) -> None:
    """The methods that begin with `a` accept clients of both kinds."""
    client.create("NEW_CHECKOUT", is_enabled=True)
    serve(client, "COLOUR", "green")

    async def answers() -> list[Any]:
        return [
            await Flags.new_checkout.ais_enabled(user_id=1),
            await Flags.open_shop.ais_enabled(),
            (await Flags.new_checkout.aexplain()).enabled,
            await Flags.colour.avariant(user_id=1),
            await Flags.limits.avariant(),
        ]

    expected = [True, True, True, "green", {"seats": [1]}]
    assert asyncio.run(answers()) == expected
    Flags.bind(AsyncFeatureFlagClient(client))
    assert asyncio.run(answers()) == expected


@pytest.mark.parametrize(
    "ask",
    [
        Flags.new_checkout.is_enabled,
        Flags.new_checkout.explain,
        Flags.colour.variant,
    ],
    ids=["is_enabled", "explain", "variant"],
)
def test_an_async_client_is_never_asked_without_await(ask: Callable[[], Any]) -> None:
    """A coroutine would count as on; the error names the remedy."""
    Flags.bind(AsyncFeatureFlagClient(MemoryFeatureFlagStore()))
    with pytest.raises(FlipperError, match=r"Flags\..*await flag\.ais_enabled\(\)"):
        ask()
    double = mock.Mock()
    future: Any = mock.MagicMock()
    type(future).__await__ = lambda _: iter(())
    for method in ("is_enabled", "explain", "variant"):
        getattr(double, method).return_value = future
    Flags.bind(double)
    with pytest.raises(FlipperError, match="must be awaited"):
        ask()
    Flags._binding = None


# Binding


def test_an_unbound_registry_says_how_to_bind_it() -> None:
    """The error names the class and the call."""
    for ask in (Flags.new_checkout.is_enabled, Flags.colour.variant, Flags.missing):
        with pytest.raises(FlipperError, match=r"call Flags\.bind\(client\)"):
            ask()


def test_a_flag_outside_of_a_registry_says_so() -> None:
    """It has no client."""
    with pytest.raises(FlipperError, match="<Flag 'X'> is not declared in a registry"):
        Flag("X").is_enabled()


def test_tests_can_bind_anew(client: FeatureFlagClient) -> None:
    """The latest client answers."""
    other = FeatureFlagClient(MemoryFeatureFlagStore())
    other.create("NEW_CHECKOUT", is_enabled=True)
    assert Flags.new_checkout.is_enabled() is False
    assert Flags.client() is client
    Flags.bind(other)
    assert Flags.new_checkout.is_enabled() is True


def test_all_registries_can_be_bound_at_once(client: FeatureFlagClient) -> None:
    """A class that was bound itself keeps its own client."""

    class Others(FlagRegistry):
        beta = Flag("BETA")

    other = FeatureFlagClient(MemoryFeatureFlagStore())
    try:
        FlagRegistry.bind(other)
        assert Others.client() is other
        assert Flags.client() is client
    finally:
        FlagRegistry._binding = None


def test_a_client_can_be_made_when_it_is_needed(client: FeatureFlagClient) -> None:
    """Once, by one thread, and not before; a failure is tried again."""
    makers: list[int] = []

    def make() -> FeatureFlagClient:
        makers.append(threading.get_ident())
        if len(makers) == 1:
            raise ConnectionError
        return client

    Flags.bind(make=make)
    assert not makers
    with pytest.raises(ConnectionError):
        Flags.new_checkout.is_enabled()
    with ThreadPoolExecutor(8) as pool:
        clients = list(pool.map(lambda _: Flags.client(), range(50)))
    assert clients == [client] * 50
    assert len(makers) == 2


def test_a_client_that_another_thread_has_made_is_used(
    client: FeatureFlagClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits for the other thread makes no second client."""
    make = mock.Mock()
    Flags.bind(make=make)
    bound: Any = Flags._binding

    class OtherThread:
        def __enter__(self) -> None:
            bound._client, bound._make = client, None

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(binding, "_lock", OtherThread())
    assert Flags.client() is client
    make.assert_not_called()


@pytest.mark.parametrize(
    ("bind", "message"),
    [
        (Flags.bind, "needs a client, or a function"),
        (lambda: Flags.bind(mock.Mock(), make=mock.Mock), "needs a client, or"),
        (lambda: Flags.bind(MemoryFeatureFlagStore()), r"FeatureFlagClient\(store\)"),  # type: ignore[arg-type]
        (lambda: Flags.bind(FeatureFlagClient), r"FeatureFlagClient\(store\)"),  # type: ignore[arg-type]
    ],
    ids=["nothing", "both", "a store", "a class"],
)
def test_what_is_no_client_is_refused(bind: Callable[[], Any], message: str) -> None:
    """The error says what to give instead."""
    with pytest.raises(InvalidArgumentError, match=message):
        bind()


# Declarations


def test_flags_are_listed_in_the_order_of_their_declaration() -> None:
    """With their names in the store, defaults and attributes."""
    assert [flag.feature_name for flag in Flags.declared()] == [
        "NEW_CHECKOUT",
        "OPEN_SHOP",
        "COLOUR",
        "LIMITS",
    ]
    assert [flag.default for flag in Flags.declared()[:3]] == [False, True, "blue"]
    assert repr(Flags.new_checkout) == "<Flag Flags.new_checkout 'NEW_CHECKOUT'>"
    assert repr(Flags.colour) == "<VariantFlag Flags.colour 'COLOUR'>"
    assert FlagRegistry.declared() == ()


def test_a_name_that_is_declared_twice_is_refused() -> None:
    """The error names both attributes."""
    with pytest.raises(
        InvalidArgumentError,
        match=r"Twice\.b for feature 'X' is declared twice, by <Flag Twice\.a 'X'>",
    ):

        class Twice(FlagRegistry):
            a = Flag("X")
            b = VariantFlag("X", default=1)


def test_one_object_is_one_flag() -> None:
    """An object cannot be declared by two classes, which may have two clients."""
    with pytest.raises(InvalidArgumentError, match=r"<Flag Flags\.new_checkout"):

        class Again(FlagRegistry):
            flag = Flags.new_checkout


@pytest.mark.parametrize("name", ["bind", "missing", "_flags"])
def test_a_flag_must_not_hide_a_method(name: str) -> None:
    """Otherwise the method could not be called any more."""
    with pytest.raises(InvalidArgumentError, match="the name of a method"):
        type("Hiding", (FlagRegistry,), {name: Flag("X")})


def test_a_registry_with_flags_has_no_subclasses() -> None:
    """Each flag has one place; a class without flags may be a common base."""
    with pytest.raises(InvalidArgumentError, match="declare each flag in one class"):

        class More(Flags):
            beta = Flag("BETA")

    class Base(FlagRegistry):
        pass

    class Derived(Base):
        beta = Flag("BETA")

    assert len(Derived.declared()) == 1


def test_a_registry_has_no_objects() -> None:
    """The error shows how it is used."""
    with pytest.raises(TypeError, match=r"Flags\.bind\(client\)"):
        Flags()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Flag(""), "is empty"),
        (lambda: Flag("X", default="no"), "use a VariantFlag"),  # type: ignore[arg-type]
        (lambda: VariantFlag("", default=1), "is empty"),
        (lambda: VariantFlag("X", default=None), "says the type"),  # type: ignore[type-var]
    ],
)
def test_a_wrong_declaration_is_refused(make: Callable[[], Any], message: str) -> None:
    """Where it stands, so that the traceback shows the line."""
    with pytest.raises(InvalidArgumentError, match=message):
        make()


# Deployments


def test_missing_flags_are_found_and_created(client: FeatureFlagClient) -> None:
    """Each answers as before, and flags that exist stay as they are."""
    client.create("NEW_CHECKOUT", is_enabled=True, client_data={"owner": "shop"})
    before = client.get_meta("NEW_CHECKOUT")
    created: list[tuple[str, Any]] = []

    @client.events.on(EventType.POST_CREATE)
    def note(feature_name: str, **values: Any) -> None:
        created.append((feature_name, values["is_enabled"]))

    answers = [Flags.open_shop.is_enabled(), Flags.colour.variant(user_id=1)]
    assert Flags.missing() == ["OPEN_SHOP", "COLOUR", "LIMITS"]
    assert Flags.create_missing() == ["OPEN_SHOP", "COLOUR", "LIMITS"]
    assert Flags.missing() == Flags.create_missing() == []
    assert created == [("OPEN_SHOP", True), ("COLOUR", False), ("LIMITS", False)]
    assert [Flags.open_shop.is_enabled(), Flags.colour.variant(user_id=1)] == answers
    assert client.get_meta("NEW_CHECKOUT") == before
    assert client.get_meta("OPEN_SHOP")["created_date"] > 1_700_000_000


def test_a_flag_that_somebody_else_creates_meanwhile_is_kept(
    client: FeatureFlagClient,
) -> None:
    """Nothing that was set in the last moment is lost."""

    @client.events.on(EventType.PRE_CREATE)
    def create_first(feature_name: str, **_: Any) -> None:
        client._store.create(feature_name, client_data={"owner": "somebody"})

    assert Flags.create_missing() == []
    assert client.get_client_data("OPEN_SHOP") == {"owner": "somebody"}


def test_the_store_itself_is_asked(client: FeatureFlagClient) -> None:
    """A cache may not know yet that a flag was created; an async client is fine."""
    store = MemoryFeatureFlagStore()
    cached = FeatureFlagClient(CachedFeatureFlagStore(store))
    Flags.bind(AsyncFeatureFlagClient(cached))
    assert asyncio.run(Flags.new_checkout.ais_enabled()) is False
    store.create("NEW_CHECKOUT")
    assert "NEW_CHECKOUT" not in Flags.missing()
    assert Flags.create_missing() == ["OPEN_SHOP", "COLOUR", "LIMITS"]


def test_a_broken_document_is_not_a_missing_flag(client: FeatureFlagClient) -> None:
    """It is reported, and not replaced by a new flag."""
    store = CustomStore()
    store.documents["COLOUR"] = b"{"
    Flags.bind(FeatureFlagClient(store))
    with pytest.raises(InvalidFlagDataError, match="COLOUR"):
        Flags.create_missing()
    assert store.documents == {"COLOUR": b"{"}


def test_a_registry_loads_no_asyncio() -> None:
    """Programs without event loops do not pay for them."""
    program = """
import sys
from flipper import Flag, FlagRegistry, VariantFlag, FeatureFlagClient
from flipper import MemoryFeatureFlagStore
class Flags(FlagRegistry):
    flag = Flag("X")
Flags.bind(FeatureFlagClient(MemoryFeatureFlagStore()))
Flags.flag.is_enabled()
Flags.create_missing()
assert "asyncio" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
