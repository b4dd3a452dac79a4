# SPDX-License-Identifier: Apache-2.0
"""The errors of flipper: their classes, messages, attributes and copies."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import flipper
import flipper.contrib.interface
import flipper.contrib.memory
from flipper import Condition, FeatureFlagClient, MemoryFeatureFlagStore
from flipper.bucketing import BucketerFactory, PercentageFactory
from flipper.conditions.operators import Operator
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.exceptions import (
    ConcurrentUpdateError,
    FlagDoesNotExistError,
    FlipperError,
    InvalidArgumentError,
    InvalidFlagDataError,
    MissingDependencyError,
)
from support.copies import every_copy

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


# Classes


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
def test_each_error_has_the_bases_that_callers_catch(
    kind: type[Exception], bases: tuple[type[Exception], ...]
) -> None:
    """All derive from `FlipperError`, and from what existing code catches."""
    assert kind.__bases__ == bases


def test_an_error_is_the_same_class_in_all_modules() -> None:
    """Code may import `FlagDoesNotExistError` from any of its modules."""
    addresses = [
        flipper.FlagDoesNotExistError,
        flipper.contrib.interface.FlagDoesNotExistError,
        flipper.contrib.memory.FlagDoesNotExistError,
    ]
    assert all(kind is FlagDoesNotExistError for kind in addresses)


# Messages and attributes


@pytest.mark.parametrize("kind", ALL)
def test_each_error_can_be_made_with_a_message_or_without(kind: Any) -> None:
    """Custom stores raise these errors with a message, or without arguments."""
    assert "what happened" in str(kind("what happened"))
    assert kind("what happened").args == ("what happened",)
    assert kind().args == ()
    assert kind().feature_name is None
    assert kind("", feature_name="x").feature_name == "x"


def test_the_message_about_a_missing_flag_is_the_same_everywhere() -> None:
    """The client and the stores raise the same error."""
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


def test_a_concurrent_update_error_has_the_number_of_attempts() -> None:
    """The number of attempts is an attribute."""
    error = ConcurrentUpdateError("lost", feature_name="x", attempts=7)
    assert (str(error), error.feature_name, error.attempts) == ("lost", "x", 7)
    assert ConcurrentUpdateError("lost").attempts == 0


def test_a_missing_package_is_named_with_the_extra_to_install() -> None:
    """The message contains the command that installs the package."""
    error = MissingDependencyError.for_extra("psycopg", "postgres")
    assert str(error) == (
        "The package 'psycopg' is not installed; "
        "install it with pip install 'flipper-client[postgres]'"
    )


# Broken documents


def problem(error: InvalidFlagDataError) -> str:
    """Return what the error says is wrong."""
    (said,) = error.args
    return str(said)


def broken(document: bytes | str) -> InvalidFlagDataError:
    """Return the error of reading a document."""
    with pytest.raises(InvalidFlagDataError) as error:
        FeatureFlagStoreItem.deserialize(document)
    return error.value


def altered(old: str, new: str) -> str:
    """Return a valid document after one replacement."""
    # At a fixed time: all workers of pytest need the same names of tests.
    meta = FeatureFlagStoreMeta(1_700_000_000, conditions=[Condition(a__gt=1)])
    document = FeatureFlagStoreItem("x", True, meta).serialize().decode()
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
def test_an_error_of_a_document_is_also_its_cause(
    document: bytes | str, kind: type[Exception], said: str
) -> None:
    """Code written for flipper-client catches what `json` and the factories raise."""
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


def test_an_error_of_a_document_names_the_flag_if_it_is_known() -> None:
    """The name comes from the document, if that part of it can be read."""
    assert broken("{").feature_name is None
    assert str(broken("{")).startswith("A stored flag cannot be read: JSONDecodeError")
    assert broken(altered('"meta"', '"m"')).feature_name == "x"
    named = str(broken(altered('"meta"', '"m"')))
    assert named.startswith("Feature 'x' cannot be read: KeyError: 'meta'. ")


def test_the_position_of_invalid_json_is_kept() -> None:
    """The error has the attributes of `JSONDecodeError`."""
    error: Any = broken('{"feature_name": "x",')
    assert (error.lineno, error.colno, error.pos) == (1, 22, 21)
    assert error.doc == '{"feature_name": "x",'


def test_an_invalid_flag_data_error_is_not_wrapped_again() -> None:
    """The error that was raised first is raised."""
    error = InvalidFlagDataError("no flag", feature_name="x")
    assert InvalidFlagDataError.from_error(error, feature_name="y") is error
    assert error.feature_name == "x"


def test_a_cause_that_cannot_be_a_base_class_is_in_the_message() -> None:
    """A class that refuses subclasses is named in the message only."""

    class FinalError(Exception):
        def __init_subclass__(cls) -> None:
            raise TypeError("no subclasses")

    error = InvalidFlagDataError.from_error(FinalError("odd"), feature_name="x")
    assert type(error) is InvalidFlagDataError
    assert str(error).startswith("Feature 'x' cannot be read: FinalError: odd. ")


def test_a_cause_with_another_constructor_keeps_its_attributes() -> None:
    """The constructor of the cause is not called again."""

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


def make_errors() -> list[FlipperError]:
    """Return errors of all kinds, as they occur."""
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


@every_copy
@pytest.mark.parametrize("number", range(10))
def test_an_error_can_be_copied_and_pickled(
    duplicate: Callable[[Any], Any], number: int
) -> None:
    """Its text and its attributes survive, for example between two processes."""
    error = make_errors()[number]
    twin = duplicate(error)
    assert twin is not error
    assert isinstance(twin, FlipperError)
    assert (str(twin), twin.args) == (str(error), error.args)
    for fact in ("feature_name", "attempts", "value"):
        assert getattr(twin, fact, None) == getattr(error, fact, None)
    if not isinstance(error, InvalidFlagDataError):
        assert type(twin) is type(error)
    else:  # its class was made at run time, so pickle cannot find it by name
        assert isinstance(twin, InvalidFlagDataError)
        assert isinstance(twin, ValueError)
