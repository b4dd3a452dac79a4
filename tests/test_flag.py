# SPDX-License-Identifier: Apache-2.0
"""The handle of one flag."""

from __future__ import annotations

import inspect
from unittest.mock import MagicMock

import pytest

from flipper import Condition, FeatureFlagClient, MemoryFeatureFlagStore
from flipper.bucketing import PercentageBucketer
from flipper.flag import FeatureFlag


@pytest.fixture
def client(store: MemoryFeatureFlagStore) -> FeatureFlagClient:
    """Return a client of that store."""
    return FeatureFlagClient(store)


@pytest.fixture
def store() -> MemoryFeatureFlagStore:
    """Return an empty store."""
    return MemoryFeatureFlagStore()


def test_a_handle_calls_the_method_of_the_client() -> None:
    """Each method calls the client's method of that name, with the name of the flag."""
    client = MagicMock()
    flag = FeatureFlag("x", client)
    condition, bucketer = Condition(), PercentageBucketer(0.5)
    flag.is_enabled(1, a=2)
    flag.explain(1, a=2)
    flag.exists()
    flag.enable()
    flag.disable()
    flag.destroy()
    flag.add_condition(condition)
    flag.set_conditions([condition])
    flag.set_client_data({"a": 1})
    flag.set_bucketer(bucketer)
    assert [tuple(call) for call in client.method_calls] == [
        ("is_enabled", ("x",), {"default": 1, "a": 2}),
        ("explain", ("x",), {"default": 1, "a": 2}),
        ("exists", ("x",), {}),
        ("enable", ("x",), {}),
        ("disable", ("x",), {}),
        ("destroy", ("x",), {}),
        ("add_condition", ("x", condition), {}),
        ("set_conditions", ("x", [condition]), {}),
        ("set_client_data", ("x", {"a": 1}), {}),
        ("set_bucketer", ("x", bucketer), {}),
    ]


def test_a_handle_has_every_method_of_a_client_that_takes_a_name() -> None:
    """Code that has a handle needs no client."""
    public = {
        name: inspect.signature(method)
        for name, method in vars(FeatureFlagClient).items()
        if callable(method) and not name.startswith("_")
    }
    named = {name for name, made in public.items() if "feature_name" in made.parameters}
    assert named - {"create", "get"} <= vars(FeatureFlag).keys()


def test_a_handle_shows_its_name(client: FeatureFlagClient) -> None:
    """The `repr` of a handle contains the name of the flag."""
    assert repr(client.get("a b")) == "<FeatureFlag 'a b'>"
