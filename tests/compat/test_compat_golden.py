# SPDX-License-Identifier: Apache-2.0
"""The comparison of golden cases is as strict as it claims to be."""

from __future__ import annotations

import time
from typing import Any

import pytest
from golden import Raised, agree, cases, decode, encode, outcome

FILES = [
    "bucketing",
    "conditions",
    "evaluation",
    "events",
    "keys",
    "serialization",
    "thrift",
]


@pytest.mark.parametrize("name", FILES)
def test_every_file_has_cases(name: str) -> None:
    """Every file has cases, so that an empty one does not look like agreement."""
    found = cases(name)
    assert found
    assert len({each.id for each in found}) == len(found)


@pytest.mark.parametrize(
    ("wanted", "actual"),
    [
        (1, True),
        (1, 1.0),
        (0, False),
        (0.0, -0.0),
        (0.3, 0.1 + 0.2),
        ("1", 1),
        ([1], (1,)),
        ([1, 2], [2, 1]),
        ({"a": None}, {}),
        ({"a": []}, {}),
        ({"conditions": [{"a": [1]}]}, {"conditions": [{}]}),
        ({"created_date": 1500000000}, {"created_date": 1500000001}),
        ({"$bytes": "00"}, "00"),
        pytest.param("NOW", int(time.time()), id="now"),
        (True, Raised(KeyError("x"))),
    ],
)
def test_different_values_do_not_agree(wanted: Any, actual: Any) -> None:
    """Values that differ, even in type, do not agree."""
    with pytest.raises(AssertionError):
        agree({"result": wanted}, encode(actual))


@pytest.mark.parametrize(
    ("wanted", "actual"),
    [
        ({"b": 1, "a": 2}, {"a": 2, "b": 1}),
        ({"$float": "nan"}, float("nan")),
        ({"$tuple": [1]}, (1,)),
        ({"$set": [2, 1]}, {1, 2}),
        ({"$pairs": [[1, 2], ["a", 3]]}, {"a": 3, 1: 2}),
        ({"$pairs": [["$dollar", 1]]}, {"$dollar": 1}),
        ({"key_whitelist": ["b", "a"]}, {"key_whitelist": ["a", "b"]}),
        ({"created_date": "NOW"}, {"created_date": int(time.time())}),
        ({"conditions": [{"b": [1]}]}, {"conditions": [{"a": [], "b": [1]}]}),
    ],
)
def test_what_the_format_leaves_open_agrees(wanted: Any, actual: Any) -> None:
    """Values agree if they differ only where the format leaves it open."""
    agree({"result": wanted}, encode(actual))


def test_exceptions_agree_by_class_or_base_and_text() -> None:
    """Exceptions agree if the class, or a base of it, and the text are the same."""
    raised = outcome(lambda: {}["x"])
    agree({"raises": "KeyError"}, raised)
    agree({"raises": "LookupError"}, raised)
    agree({"raises": "KeyError", "message": "'x'"}, raised)
    for wanted in (
        {"raises": "ValueError"},
        {"raises": "KeyError", "message": "x"},
        {"result": None},
    ):
        with pytest.raises(AssertionError):
            agree(wanted, raised)
    with pytest.raises(AssertionError):
        agree({"raises": "KeyError"}, encode(None))


def test_a_tolerance_is_for_the_number_alone() -> None:
    """A tolerance applies to the number, and not to its type."""
    agree({"result": 0.5}, 0.5 + 1e-12, tolerance=1e-9)
    for actual in (0.51, 1, "0.5"):
        with pytest.raises(AssertionError):
            agree({"result": 0.5}, actual, tolerance=1e-9)


@pytest.mark.parametrize(
    "value",
    [
        (1, [2, {"a": (3,)}]),
        {1, 2},
        b"\x00\xff",
        {1: "a", None: 2, "$x": 3},
        [None, True, 1, 1.5, "text"],
        float("inf"),
    ],
)
def test_values_go_through_the_notation_unchanged(value: Any) -> None:
    """A value that is written in the notation and read again is the same."""
    back = decode(encode(value))
    assert back == value
    assert type(back) is type(value)


def test_documents_are_compared_as_text() -> None:
    """Documents are compared as text, but for creation date and whitelist."""
    text = '{"feature_name": "x", "created_date": %s, "key_whitelist": ["%s", "%s"]}'
    agree({"result": text % ("NOW", "a", "b")}, text % (int(time.time()), "b", "a"))
    for other in (text % (5, "a", "b"), text.replace(": ", ":") % (5, "a", "b")):
        with pytest.raises(AssertionError):
            agree({"result": text % ("NOW", "a", "b")}, other)
