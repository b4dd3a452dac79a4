# SPDX-License-Identifier: Apache-2.0
"""What the decorator does, rule by rule."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any
from unittest.mock import MagicMock

import pytest

from flipper import FeatureFlagClient, MemoryFeatureFlagStore, decorators
from flipper.decorators import is_enabled


@pytest.fixture
def client() -> FeatureFlagClient:
    """A client with one flag that is on and one that is off."""
    client = FeatureFlagClient(MemoryFeatureFlagStore())
    client.create("on", is_enabled=True)
    client.create("off")
    return client


def neigh(*args: Any, **kwargs: Any) -> Any:
    """Return the old sound."""
    return "Neigh", args, kwargs


def test_a_flag_that_is_on_calls_the_function(client: FeatureFlagClient) -> None:
    """If the flag is on, the function gets all arguments and its result is returned."""

    @is_enabled(client, "on", redirect=neigh)
    def whinny(*args: Any, **kwargs: Any) -> Any:
        return "Whinny", args, kwargs

    assert whinny(1, b=2) == ("Whinny", (1,), {"b": 2})


@pytest.mark.parametrize("name", ["off", "missing"])
def test_a_flag_that_is_off_calls_the_redirect(
    client: FeatureFlagClient, name: str
) -> None:
    """If the flag is off, the redirect is called with all arguments instead."""

    @is_enabled(client, name, redirect=neigh)
    def whinny(*_: Any, **__: Any) -> None:
        pytest.fail("the flag is off")

    assert whinny(1, b=2) == ("Neigh", (1,), {"b": 2})


@pytest.mark.parametrize("redirect", [{}, {"redirect": None}])
def test_without_a_redirect_nothing_is_called(
    client: FeatureFlagClient, redirect: dict[str, None]
) -> None:
    """Without a redirect, a flag that is off returns `None`."""

    @is_enabled(client, "off", **redirect)
    def whinny() -> None:
        pytest.fail("the flag is off")

    assert whinny() is None


def test_the_flag_is_checked_at_each_call(client: FeatureFlagClient) -> None:
    """The flag is checked at each call, and not when the function is decorated."""

    @is_enabled(client, "off")
    def whinny() -> str:
        return "Whinny"

    assert whinny() is None
    client.enable("off")
    assert whinny() == "Whinny"
    client.disable("off")
    assert whinny() is None


def test_the_flag_is_checked_without_arguments() -> None:
    """The arguments of the function are not given to the flag."""
    features = MagicMock()

    @is_enabled(features, "x")
    def whinny(user_id: int) -> int:
        return user_id

    features.is_enabled.assert_not_called()
    assert whinny(user_id=1) == 1
    features.is_enabled.assert_called_once_with("x")


@pytest.mark.parametrize("keyword", ["features", "flags"])
def test_the_first_parameter_has_two_names(
    client: FeatureFlagClient, keyword: str
) -> None:
    """The client can be given by the name in the README and by flipper-client's."""

    @is_enabled(**{keyword: client}, feature_name="off", redirect=neigh)
    def whinny() -> None:
        pytest.fail("the flag is off")

    assert whinny() == ("Neigh", (), {})


def test_client_and_flag_are_required(client: FeatureFlagClient) -> None:
    """The decorator raises without a client or without a flag."""
    with pytest.raises(TypeError):
        is_enabled(feature_name="x")
    with pytest.raises(TypeError):
        is_enabled(features=client)


def test_all_parameters_can_be_given_by_position(client: FeatureFlagClient) -> None:
    """All parameters can be given by position."""

    @decorators.is_enabled(client, "off", neigh)
    def whinny() -> None:
        pytest.fail("the flag is off")

    assert whinny() == ("Neigh", (), {})


def test_the_function_keeps_its_metadata(client: FeatureFlagClient) -> None:
    """The decorated function keeps its name, docstring and signature."""

    @is_enabled(client, "on")
    def whinny(sound: str = "Whinny") -> str:
        """Make a sound."""
        return sound

    assert whinny.__name__ == "whinny"
    assert whinny.__doc__ == "Make a sound."
    assert whinny.__module__ == __name__
    assert list(inspect.signature(whinny).parameters) == ["sound"]


def test_methods_can_be_decorated(client: FeatureFlagClient) -> None:
    """A decorated method gets its instance."""

    class Horse:
        def old(self) -> str:
            return "Neigh"

        @is_enabled(client, "off", redirect=old)
        def sound(self) -> str:
            return "Whinny"

    assert Horse().sound() == "Neigh"
    client.enable("off")
    assert Horse().sound() == "Whinny"


def test_exceptions_of_the_function_are_raised(client: FeatureFlagClient) -> None:
    """An exception of the function is raised, and does not call the redirect."""

    @is_enabled(client, "on", redirect=neigh)
    def whinny() -> None:
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        whinny()


def test_arguments_may_have_any_name(client: FeatureFlagClient) -> None:
    """The function's arguments may have the names of the decorator's."""

    @is_enabled(client, "on")
    def whinny(features: int, flags: int, redirect: int, feature_name: int) -> Any:
        return features, flags, redirect, feature_name

    assert whinny(features=1, flags=2, redirect=3, feature_name=4) == (1, 2, 3, 4)


@pytest.mark.parametrize("kind", ["none", "plain", "coroutine"])
@pytest.mark.parametrize("name", ["on", "off"])
def test_a_coroutine_function_stays_one(
    client: FeatureFlagClient, name: str, kind: str
) -> None:
    """A decorated coroutine function is one, whatever kind the redirect is."""

    async def slow_neigh(*args: Any) -> Any:
        await asyncio.sleep(0)
        return "slow Neigh", args

    redirect = {"none": None, "plain": neigh, "coroutine": slow_neigh}[kind]

    @is_enabled(client, name, redirect=redirect)
    async def whinny(number: int) -> Any:
        await asyncio.sleep(0)
        return "Whinny", number

    assert inspect.iscoroutinefunction(whinny)
    off = {
        "none": None,
        "plain": ("Neigh", (1,), {}),
        "coroutine": ("slow Neigh", (1,)),
    }
    expected = ("Whinny", 1) if name == "on" else off[kind]
    assert asyncio.run(whinny(1)) == expected
