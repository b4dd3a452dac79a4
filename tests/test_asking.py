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
from flipper.contrib.storage import FeatureFlagStoreItem
from flipper.exceptions import InvalidArgumentError
from flipper.explanation import Reason
from support.answers import DEFAULT, answer_of
from support.custom_stores import CustomStore, RemoteStore


@pytest.fixture
def store() -> MemoryFeatureFlagStore:
    """Return an empty store."""
    return MemoryFeatureFlagStore()


@pytest.fixture
def client(store: MemoryFeatureFlagStore) -> FeatureFlagClient:
    """Return a client of that store."""
    return FeatureFlagClient(store)


# Flags that cannot be evaluated


def test_values_that_cannot_be_compared_answer_the_default(
    client: FeatureFlagClient,
) -> None:
    """A value that Python cannot compare gives the default instead of an error."""
    client.create("x", is_enabled=True)
    client.add_condition("x", Condition(age__gt=17))
    assert answer_of(client, "x", age=18) is True
    assert answer_of(client, "x", age=None) is DEFAULT
    assert answer_of(client, "x", age="18") is DEFAULT


def test_arguments_that_cannot_be_hashed_answer_the_default(
    client: FeatureFlagClient,
) -> None:
    """An argument that JSON cannot express has no bucket, so the default answers."""
    client.create("x", is_enabled=True)
    client.set_bucketer("x", ConsistentHashPercentageBucketer(percentage=0.5))
    assert answer_of(client, "x", user=object()) is DEFAULT


def test_a_comparison_without_a_truth_value_answers_the_default(
    client: FeatureFlagClient,
) -> None:
    """Comparing an array gives an array, whose truth value is an error."""

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
    """The state in a broken document cannot be trusted, so the default answers."""
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
def test_an_invalid_feature_name_answers_the_default(
    client: FeatureFlagClient, name: Any
) -> None:
    """Any object as the feature name, even one without a hash, gives the default."""
    assert answer_of(client, name) is DEFAULT
    assert client.explain(name, True).feature_name is name


@pytest.mark.parametrize("item", ["on", True, {"is_enabled": True}, object()])
def test_a_store_that_returns_no_item_answers_the_default(item: Any) -> None:
    """A custom store that returns some other object does not break `is_enabled`."""
    store = MagicMock()
    store.get.return_value = item
    assert answer_of(FeatureFlagClient(store), "x") is DEFAULT


def test_an_interrupt_is_not_caught() -> None:
    """`KeyboardInterrupt` is no `Exception`, so it reaches the caller."""
    store = CustomStore()
    store.failure = KeyboardInterrupt()
    client = FeatureFlagClient(store)
    with pytest.raises(KeyboardInterrupt):
        client.is_enabled("x")
    with pytest.raises(KeyboardInterrupt):
        client.explain("x")


# `on_error` and `strict`


def test_on_error_raise_raises_every_error() -> None:
    """With `on_error="raise"` every error reaches the caller, as in flipper-client."""
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


def test_on_error_raise_reads_the_store_for_every_question() -> None:
    """With `on_error="raise"` each question reads the store, also during an outage."""
    store = RemoteStore()
    client = FeatureFlagClient(store, on_error="raise")
    store.failure = ConnectionError("away")
    for _ in range(5):
        with pytest.raises(ConnectionError):
            client.is_enabled("x")
    assert store.reads == 5


@pytest.mark.parametrize("choice", ["rise", "", None, True, "Raise"])
def test_an_unknown_on_error_is_refused(
    store: MemoryFeatureFlagStore, choice: Any
) -> None:
    """A misspelt `on_error` is an error that names the valid values."""
    with pytest.raises(InvalidArgumentError) as error:
        FeatureFlagClient(store, on_error=choice)
    assert str(error.value) == (
        f"on_error={choice!r} is unknown; use 'default' or 'raise'"
    )
    assert error.value.value is choice


def test_strict_raise_raises_for_a_missing_flag(store: MemoryFeatureFlagStore) -> None:
    """With `strict="raise"` a missing flag is an error for `is_enabled` only."""
    client = FeatureFlagClient(store, strict="raise")
    with pytest.raises(FlagDoesNotExistError) as error:
        client.is_enabled("missing", default=True)
    assert error.value.feature_name == "missing"
    assert client.explain("missing").reason is Reason.MISSING
    client.create("missing")
    assert client.is_enabled("missing") is False


@pytest.mark.parametrize("choice", ["rise", "", None, True])
def test_an_unknown_strict_is_refused(
    store: MemoryFeatureFlagStore, choice: Any
) -> None:
    """A misspelt `strict` is an error that names the valid values."""
    with pytest.raises(InvalidArgumentError, match="'silent' or 'warn' or 'raise'"):
        FeatureFlagClient(store, strict=choice)


def test_a_store_class_instead_of_a_store_is_refused() -> None:
    """A client of a class would answer the default for every flag."""
    with pytest.raises(InvalidArgumentError, match=r"use MemoryFeatureFlagStore\("):
        FeatureFlagClient(MemoryFeatureFlagStore)  # type: ignore[arg-type]


# The names of arguments


@pytest.mark.parametrize(
    "name", ["feature_name", "self", "randomizer", "item", "store"]
)
def test_an_argument_may_have_any_name(client: FeatureFlagClient, name: str) -> None:
    """The library's own parameter names are free for the arguments of conditions."""
    client.create("x", is_enabled=True)
    client.add_condition("x", Condition(**{name: "a"}))
    assert answer_of(client, "x", **{name: "a"}) is True
    assert answer_of(client, "x", **{name: "b"}) is False


def test_the_feature_name_may_be_given_by_keyword(client: FeatureFlagClient) -> None:
    """`feature_name=` works as in the README of flipper-client."""
    client.create("x", is_enabled=True)
    assert client.is_enabled(feature_name="x") is True
    assert client.is_enabled(default=DEFAULT, feature_name="y") is DEFAULT
    assert client.explain(feature_name="x").enabled is True
    assert client.explain(feature_name="x", a=1).feature_name == "x"


@pytest.mark.parametrize("method", ["is_enabled", "explain"])
def test_a_missing_feature_name_is_a_type_error(
    client: FeatureFlagClient, method: str
) -> None:
    """A call without a feature name is an error in the program, so it raises."""
    with pytest.raises(TypeError, match="missing 1 required argument: 'feature_name'"):
        getattr(client, method)()
    with pytest.raises(TypeError, match="missing 1 required argument: 'feature_name'"):
        getattr(client, method)(user_id=1)


def test_default_is_never_an_argument_of_conditions(client: FeatureFlagClient) -> None:
    """`default=` is the default, even if a condition has a check of that name."""
    client.create("x", is_enabled=True)
    client.add_condition("x", Condition(default="a"))
    assert client.is_enabled("x", default="b") is True
    assert client.is_enabled("missing", default="b") == "b"


def test_a_randomizer_that_cannot_be_called_is_an_argument(
    client: FeatureFlagClient,
) -> None:
    """`randomizer` draws the number if it can be called; else it is an argument."""
    client.create("x", is_enabled=True)
    client.set_bucketer("x", PercentageBucketer(0.5))
    assert answer_of(client, "x", randomizer=lambda: 0.4) is True
    assert answer_of(client, "x", randomizer=lambda: 0.6) is False
    assert client.is_enabled("x", randomizer=5) in {True, False}
    client.set_bucketer("x", ConsistentHashPercentageBucketer(percentage=0.5))
    assert answer_of(client, "x", user_id=1, randomizer=5) is True


def test_what_explains_a_flag_is_made_once(
    client: FeatureFlagClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Making the function that explains takes longer than the explanation."""
    client.create("x", is_enabled=True)
    client.add_condition("x", Condition(a=1))
    made = []
    compiled = FeatureFlagStoreItem.compiled

    def compile_and_count(item: FeatureFlagStoreItem, **result: bool) -> Any:
        made.append(item)
        return compiled(item, **result)

    monkeypatch.setattr(FeatureFlagStoreItem, "compiled", compile_and_count)
    for answer in (True, False):
        assert client.explain("x", a=1).enabled is answer
        assert client.explain("x", a=1).enabled is answer
        client.set_conditions("x", [Condition(a=2)])
    assert len(made) == 2


def test_a_flag_that_is_just_on_is_explained_without_arguments(
    client: FeatureFlagClient,
) -> None:
    """It has no conditions that could look at them."""
    client.create("x", is_enabled=True)
    assert client.explain("x", a=object()).reason is Reason.ON
    client.disable("x")
    assert client.explain("x", a=object()).reason is Reason.DISABLED
