# SPDX-License-Identifier: Apache-2.0
"""What `is_enabled` and `explain` answer, and which errors they catch or raise."""

from __future__ import annotations

from typing import Any
from unittest.mock import MagicMock

import pytest

from flipper import (
    Condition,
    FeatureFlagClient,
    FlagDoesNotExistError,
    MemoryFeatureFlagStore,
)
from flipper.bucketing import ConsistentHashPercentageBucketer, PercentageBucketer
from flipper.evaluation import Reason
from flipper.exceptions import InvalidArgumentError
from support.answers import DEFAULT, answer_of
from support.custom_stores import CustomStore, RemoteStore


@pytest.fixture
def store() -> MemoryFeatureFlagStore:
    """Give an empty store."""
    return MemoryFeatureFlagStore()


@pytest.fixture
def client(store: MemoryFeatureFlagStore) -> FeatureFlagClient:
    """Give a client of that store."""
    return FeatureFlagClient(store)


# Flags that cannot be evaluated


def test_values_that_cannot_be_compared_answer_the_default(
    client: FeatureFlagClient,
) -> None:
    """A page view must not fail over a value that is missing for once."""
    client.create("x", is_enabled=True)
    client.add_condition("x", Condition(age__gt=17))
    assert answer_of(client, "x", age=18) is True
    assert answer_of(client, "x", age=None) is DEFAULT
    assert answer_of(client, "x", age="18") is DEFAULT


def test_arguments_without_a_bucket_answer_the_default(
    client: FeatureFlagClient,
) -> None:
    """What JSON cannot express has no bucket."""
    client.create("x", is_enabled=True)
    client.set_bucketer("x", ConsistentHashPercentageBucketer(percentage=0.5))
    assert answer_of(client, "x", user=object()) is DEFAULT


def test_a_value_whose_truth_is_unknown_answers_the_default(
    client: FeatureFlagClient,
) -> None:
    """Comparing may work, and deciding upon the result may not: arrays are so."""

    class Array:
        def __gt__(self, other: object) -> Array:
            return self

        def __bool__(self) -> bool:
            raise ValueError("ambiguous")

    client.create("x", is_enabled=True)
    client.add_condition("x", Condition(n__gt=1))
    assert answer_of(client, "x", n=Array()) is DEFAULT


@pytest.mark.parametrize(
    ("text", "replacement"),
    [
        (b"NoOpBucketer", b"NoSuchBucketer"),
        (b"Percentage", b"Share"),
        (b'"gt"', b'"greater"'),
        (b'"meta"', b'"metadata"'),
        (b'{"feature_name"', b'"feature_name"'),
        (b'"x"', b'"\xff"'),
    ],
    ids=["bucketer", "percentage", "operator", "field", "json", "utf-8"],
)
def test_a_broken_document_answers_the_default(text: bytes, replacement: bytes) -> None:
    """Its state cannot be trusted, whatever is wrong with it."""
    store = CustomStore()
    client = FeatureFlagClient(store)
    client.create("x", is_enabled=True)
    client.add_condition("x", Condition(a__gt=1))
    if text == b"Percentage":
        client.set_bucketer("x", PercentageBucketer(0.5))
    assert answer_of(client, "x", a=2) is True
    good = store.documents["x"]
    store.documents["x"] = good.replace(text, replacement, 1)
    assert store.documents["x"] != good
    assert answer_of(client, "x", a=2) is DEFAULT
    assert client.explain("x").reason is Reason.ERROR


@pytest.mark.parametrize("name", [["x"], {"x": 1}, set(), None, 5, b"x", "\ud800", ""])
def test_what_is_no_name_answers_the_default(
    client: FeatureFlagClient, name: Any
) -> None:
    """Not even hashable: the question is an odd one, the answer is the default."""
    assert answer_of(client, name) is DEFAULT
    assert client.explain(name, True).feature_name is name


@pytest.mark.parametrize("item", ["on", True, {"is_enabled": True}, object()])
def test_a_store_that_gives_no_item_answers_the_default(item: Any) -> None:
    """A store of one's own may have a bug; the page is shown all the same."""
    store = MagicMock()
    store.get.return_value = item
    assert answer_of(FeatureFlagClient(store), "x") is DEFAULT


def test_only_errors_are_caught() -> None:
    """Who interrupts a program does not ask about a flag."""
    store = CustomStore()
    store.failure = KeyboardInterrupt()
    client = FeatureFlagClient(store)
    with pytest.raises(KeyboardInterrupt):
        client.is_enabled("x")
    with pytest.raises(KeyboardInterrupt):
        client.explain("x")


# On_error and strict


def test_on_request_errors_come_out() -> None:
    """The behaviour of flipper-client, for those who built on it."""
    store = CustomStore()
    client = FeatureFlagClient(store, on_error="raise")
    client.create("x", is_enabled=True)
    client.add_condition("x", Condition(n__gt=1))
    assert answer_of(client, "x", n=2) is True
    for ask in (client.is_enabled, client.explain):
        with pytest.raises(TypeError, match="not supported between"):
            ask("x", n=None)
        store.documents["broken"] = b"{"
        with pytest.raises(ValueError, match="JSONDecodeError"):
            ask("broken")
        store.failure = ConnectionError("away")
        with pytest.raises(ConnectionError) as error:
            ask("x", n=2)
        assert error.value is store.failure
        store.failure = None


def test_who_wants_errors_gets_each() -> None:
    """Each call asks, and each call tells, though the server is away."""
    store = RemoteStore()
    client = FeatureFlagClient(store, on_error="raise")
    store.failure = ConnectionError("away")
    for _ in range(5):
        with pytest.raises(ConnectionError):
            client.is_enabled("x")
    assert store.reads == 5


@pytest.mark.parametrize("choice", ["rise", "", None, True, "Raise"])
def test_a_choice_that_is_none_is_refused(
    store: MemoryFeatureFlagStore, choice: Any
) -> None:
    """A misspelt choice must not be taken for the other one."""
    with pytest.raises(InvalidArgumentError) as error:
        FeatureFlagClient(store, on_error=choice)
    assert str(error.value) == (
        f"on_error={choice!r} is unknown; use 'default' or 'raise'"
    )
    assert error.value.value is choice


def test_on_request_an_unknown_flag_is_an_error(store: MemoryFeatureFlagStore) -> None:
    """For tests, where a misspelt name is a mistake; `explain` goes on telling."""
    client = FeatureFlagClient(store, strict="raise")
    with pytest.raises(FlagDoesNotExistError) as error:
        client.is_enabled("missing", default=True)
    assert error.value.feature_name == "missing"
    assert client.explain("missing").reason is Reason.MISSING
    client.create("missing")
    assert client.is_enabled("missing") is False


@pytest.mark.parametrize("choice", ["rise", "", None, True])
def test_a_strictness_that_is_none_is_refused(
    store: MemoryFeatureFlagStore, choice: Any
) -> None:
    """It names those there are."""
    with pytest.raises(InvalidArgumentError, match="'silent' or 'warn' or 'raise'"):
        FeatureFlagClient(store, strict=choice)


def test_a_class_is_no_store() -> None:
    """Without its brackets, every flag would be off for ever."""
    with pytest.raises(InvalidArgumentError, match=r"use MemoryFeatureFlagStore\("):
        FeatureFlagClient(MemoryFeatureFlagStore)  # type: ignore[arg-type]


# The names of arguments


@pytest.mark.parametrize(
    "name", ["feature_name", "self", "randomizer", "item", "store"]
)
def test_a_condition_may_look_at_any_name(client: FeatureFlagClient, name: str) -> None:
    """Users' names come first: the library keeps out of their way."""
    client.create("x", is_enabled=True)
    client.add_condition("x", Condition(**{name: "a"}))
    assert answer_of(client, "x", **{name: "a"}) is True
    assert answer_of(client, "x", **{name: "b"}) is False


def test_the_flag_may_be_named_by_keyword(client: FeatureFlagClient) -> None:
    """As the README of flipper-client writes it in each signature."""
    client.create("x", is_enabled=True)
    assert client.is_enabled(feature_name="x") is True
    assert client.is_enabled(default=DEFAULT, feature_name="y") is DEFAULT
    assert client.explain(feature_name="x").enabled is True
    assert client.explain(feature_name="x", a=1).feature_name == "x"


@pytest.mark.parametrize("method", ["is_enabled", "explain"])
def test_a_question_without_a_flag_is_a_mistake(
    client: FeatureFlagClient, method: str
) -> None:
    """It cannot have a default: the program is wrong, not the world."""
    with pytest.raises(TypeError, match="missing 1 required argument: 'feature_name'"):
        getattr(client, method)()
    with pytest.raises(TypeError, match="missing 1 required argument: 'feature_name'"):
        getattr(client, method)(user_id=1)


def test_default_is_the_default(client: FeatureFlagClient) -> None:
    """Callers have always given it by this name, so no condition ever sees it."""
    client.create("x", is_enabled=True)
    client.add_condition("x", Condition(default="a"))
    assert client.is_enabled("x", default="b") is True
    assert client.is_enabled("missing", default="b") == "b"


def test_a_randomizer_draws_only_if_it_can(client: FeatureFlagClient) -> None:
    """An argument of that name may as well be an argument of the user's."""
    client.create("x", is_enabled=True)
    client.set_bucketer("x", PercentageBucketer(0.5))
    assert answer_of(client, "x", randomizer=lambda: 0.4) is True
    assert answer_of(client, "x", randomizer=lambda: 0.6) is False
    assert client.is_enabled("x", randomizer=5) in {True, False}
    client.set_bucketer("x", ConsistentHashPercentageBucketer(percentage=0.5))
    assert answer_of(client, "x", user_id=1, randomizer=5) is True
