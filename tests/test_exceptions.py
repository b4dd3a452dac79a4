# SPDX-License-Identifier: Apache-2.0
"""Errors carry facts, survive copying and pickling, and are what callers catch."""

from __future__ import annotations

import copy
import json
import pickle
from typing import TYPE_CHECKING, Any

import pytest

import flipper
import flipper.contrib.interface
import flipper.contrib.memory
from flipper import Condition, FeatureFlagClient, MemoryFeatureFlagStore
from flipper.bucketing import BucketerFactory, PercentageFactory
from flipper.conditions.operators import Operator
from flipper.contrib.storage import FeatureFlagStoreItem
from flipper.exceptions import (
    ConcurrentUpdateError,
    FlagDoesNotExistError,
    FlipperError,
    InvalidArgumentError,
    InvalidFlagDataError,
    MissingDependencyError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ALL = [
    FlipperError,
    FlagDoesNotExistError,
    ConcurrentUpdateError,
    InvalidArgumentError,
    InvalidFlagDataError,
    MissingDependencyError,
]


# The tree


@pytest.mark.parametrize(
    ("kind", "bases"),
    [
        (FlipperError, (Exception,)),
        (FlagDoesNotExistError, (FlipperError,)),
        (ConcurrentUpdateError, (FlipperError,)),
        (InvalidArgumentError, (FlipperError, TypeError, ValueError)),
        (InvalidFlagDataError, (FlipperError, ValueError)),
        (MissingDependencyError, (FlipperError, ImportError)),
    ],
)
def test_each_error_is_what_callers_catch(
    kind: type[Exception], bases: tuple[type[Exception], ...]
) -> None:
    """The root catches all; Python's own classes are those that code caught before."""
    assert kind.__bases__ == bases


def test_one_error_at_all_of_its_addresses() -> None:
    """Who catches it from one module catches it from the others."""
    addresses = [
        flipper.FlagDoesNotExistError,
        flipper.contrib.interface.FlagDoesNotExistError,
        flipper.contrib.memory.FlagDoesNotExistError,
    ]
    assert all(kind is FlagDoesNotExistError for kind in addresses)


# Making one


@pytest.mark.parametrize("kind", ALL)
def test_each_can_be_made_of_a_text_or_of_nothing(kind: Any) -> None:
    """Stores of one's own raise them so."""
    assert "what happened" in str(kind("what happened"))
    assert kind("what happened").args == ("what happened",)
    assert kind().args == ()
    assert kind().feature_name is None
    assert kind("", feature_name="x").feature_name == "x"


def test_the_text_of_a_missing_flag_is_the_same_everywhere() -> None:
    """Whoever raises it: the client, or a store."""
    store = MemoryFeatureFlagStore()
    client = FeatureFlagClient(store)
    for call in (
        lambda: client.enable("a b"),
        lambda: client.get_meta("a b"),
        lambda: client.get("a b").destroy(),
        lambda: store.set_meta("a b", None),  # type: ignore[arg-type]
        lambda: store.update("a b", lambda item: item),
    ):
        with pytest.raises(FlagDoesNotExistError) as error:
            call()
        assert str(error.value) == "Feature a b does not exist"
        assert error.value.feature_name == "a b"


def test_a_lost_race_tells_how_often_it_was_tried() -> None:
    """The numbers are attributes, for those who try again."""
    error = ConcurrentUpdateError("lost", feature_name="x", attempts=7)
    assert (str(error), error.feature_name, error.attempts) == ("lost", "x", 7)
    assert ConcurrentUpdateError("lost").attempts == 0


def test_a_missing_package_is_named_with_its_remedy() -> None:
    """The extra is what has to be installed, in quotes, as shells need them."""
    error = MissingDependencyError.for_extra("psycopg", "postgres")
    assert str(error) == (
        "The package 'psycopg' is not installed; "
        "install it with pip install 'flipper-client[postgres]'"
    )


# Documents that are no flags


def problem(error: InvalidFlagDataError) -> str:
    """Give what an error says is wrong."""
    (said,) = error.args
    return str(said)


def broken(document: bytes | str) -> InvalidFlagDataError:
    """Give the error of reading a document."""
    with pytest.raises(InvalidFlagDataError) as error:
        FeatureFlagStoreItem.deserialize(document)
    return error.value


def altered(old: str, new: str) -> str:
    """Change a good document."""
    item = MemoryFeatureFlagStore().create("x", is_enabled=True)
    meta = item.raw_meta
    meta.conditions.append(Condition(a__gt=1))
    document = item.replace(meta=meta).serialize().decode()
    assert old in document
    return document.replace(old, new, 1)


@pytest.mark.parametrize(
    ("document", "kind", "said"),
    [
        ("{", json.JSONDecodeError, "JSONDecodeError: Expecting property name"),
        ("", json.JSONDecodeError, "JSONDecodeError: Expecting value"),
        (b'{"\xff"}', UnicodeDecodeError, "UnicodeDecodeError: 'utf-8' codec"),
        (altered('"meta"', '"m"'), KeyError, "KeyError: 'meta'"),
        (altered('"created_date"', '"c"'), KeyError, "KeyError: 'created_date'"),
        (altered('"value": 1, ', ""), KeyError, "KeyError: 'value'"),
        ("[]", TypeError, "TypeError: list indices must be"),
        ("null", TypeError, "TypeError: 'NoneType' object is not"),
        (
            altered("NoOpBucketer", "Lottery"),
            BucketerFactory.InvalidBucketerTypeError,
            "InvalidBucketerTypeError: Bucketer type not supported: Lottery",
        ),
        (
            altered(
                '{"type": "NoOpBucketer"}',
                '{"type": "PercentageBucketer", "percentage": {"type": "Few"}}',
            ),
            PercentageFactory.InvalidPercentageTypeError,
            "InvalidPercentageTypeError: Percentage type not supported: Few",
        ),
        (
            altered('"gt"', '"more"'),
            Operator.InvalidSymbolError,
            "InvalidSymbolError: Operator not supported: more",
        ),
        (
            altered(
                '{"type": "NoOpBucketer"}',
                '{"type": "PercentageBucketer", "percentage": {"type": '
                '"LinearRampPercentage", "initial_time": 1e300}}',
            ),
            OverflowError,
            "OverflowError: ",
        ),
    ],
)
def test_an_error_of_a_document_is_also_the_error_that_it_was(
    document: bytes | str, kind: type[Exception], said: str
) -> None:
    """Code written for flipper-client catches what json and the factories raise."""
    error = broken(document)
    assert isinstance(error, kind)
    assert isinstance(error, ValueError)
    assert isinstance(error, FlipperError)
    assert type(error).__name__ == "InvalidFlagDataError"
    assert problem(error).startswith(said)
    assert problem(error) in str(error)
    assert str(error).endswith(
        ". Replace it with create(), or remove it with the store's delete()"
    )
    assert isinstance(error.__cause__, kind)
    assert type(error.__cause__) is kind


def test_the_flag_is_named_where_it_is_known() -> None:
    """By the document itself, else by whoever knows where it was."""
    assert broken("{").feature_name is None
    assert str(broken("{")).startswith("A stored flag cannot be read: JSONDecodeError")
    assert broken(altered('"meta"', '"m"')).feature_name == "x"
    named = str(broken(altered('"meta"', '"m"')))
    assert named.startswith("Feature 'x' cannot be read: KeyError: 'meta'. ")


def test_the_position_of_bad_json_is_kept() -> None:
    """Whoever caught a `JSONDecodeError` may show where it was."""
    error: Any = broken('{"feature_name": "x",')
    assert (error.lineno, error.colno, error.pos) == (1, 22, 21)
    assert error.doc == '{"feature_name": "x",'


def test_an_error_of_ours_is_not_wrapped_again() -> None:
    """One is enough, and the first one knows best."""
    error = InvalidFlagDataError("no flag", feature_name="x")
    assert InvalidFlagDataError.from_error(error, feature_name="y") is error
    assert error.feature_name == "x"


def test_a_class_that_cannot_be_a_base_is_left_out() -> None:
    """The text still says what it was."""

    class FinalError(Exception):
        def __init_subclass__(cls) -> None:
            raise TypeError("no subclasses")

    error = InvalidFlagDataError.from_error(FinalError("odd"), feature_name="x")
    assert type(error) is InvalidFlagDataError
    assert str(error).startswith("Feature 'x' cannot be read: FinalError: odd. ")


def test_a_class_with_a_constructor_of_its_own_will_do() -> None:
    """Its constructor is not called, and its attributes are kept."""

    class PeculiarError(Exception):
        def __init__(self, one: int, *, two: int) -> None:
            super().__init__(f"{one} and {two}")
            self.two = two
            self.feature_name = "not ours"

    error: Any = InvalidFlagDataError.from_error(
        PeculiarError(1, two=2), feature_name="x"
    )
    assert isinstance(error, PeculiarError)
    assert error.two == 2
    assert error.feature_name == "x"
    assert problem(error) == "PeculiarError: 1 and 2"


# Copies


def made() -> list[FlipperError]:
    """Make errors as they occur."""
    store = MemoryFeatureFlagStore()
    client = FeatureFlagClient(store)
    client.create("x")
    calls: list[Callable[[], object]] = [
        lambda: client.enable("missing"),
        lambda: client.create(""),
        lambda: client.set_client_data("x", 5),  # type: ignore[arg-type]
    ]
    errors: list[FlipperError] = []
    for call in calls:
        with pytest.raises(FlipperError) as error:
            call()
        errors.append(error.value)
    return [
        *errors,
        ConcurrentUpdateError("lost", feature_name="x", attempts=3),
        MissingDependencyError.for_extra("redis", "redis"),
        InvalidFlagDataError("no flag", feature_name="x"),
        broken("{"),
        broken(b"\xff"),
        broken(altered('"meta"', '"m"')),
        broken(altered('"gt"', '"more"')),
    ]


def pickled(error: Any) -> Any:
    """Send an error through a pickle."""
    return pickle.loads(pickle.dumps(error))  # noqa: S301 # our own


@pytest.mark.parametrize(
    "twin_of",
    [copy.copy, copy.deepcopy, pickled],
    ids=["copy", "deepcopy", "pickle"],
)
@pytest.mark.parametrize("number", range(10))
def test_an_error_travels(twin_of: Callable[[Any], Any], number: int) -> None:
    """To another process, as pools send it, with its text and its facts."""
    error = made()[number]
    twin = twin_of(error)
    assert twin is not error
    assert isinstance(twin, FlipperError)
    assert (str(twin), twin.args) == (str(error), error.args)
    for fact in ("feature_name", "attempts", "value"):
        assert getattr(twin, fact, None) == getattr(error, fact, None)
    if not isinstance(error, InvalidFlagDataError):
        assert type(twin) is type(error)
    else:  # its class was made on the way, and cannot be found by name
        assert isinstance(twin, InvalidFlagDataError)
        assert isinstance(twin, ValueError)
