# SPDX-License-Identifier: Apache-2.0
"""How the texts that people type become values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import pytest

from flipper.cli.values import (
    format_value,
    kind_of,
    parse_list,
    parse_pairs,
    parse_value,
)
from flipper.client import store_of

if TYPE_CHECKING:
    from flipper import FeatureFlagClient

TYPED = {
    "18": 18,
    "-1": -1,
    "0.5": 0.5,
    "1e3": 1000.0,
    "true": True,
    "false": False,
    "null": None,
    '"18"': "18",
    '"true"': "true",
    "SE": "SE",
    " SE ": "SE",
    "a b": "a b",
    "user@example.com": "user@example.com",
    '["a", 1]': ["a", 1],
    '{"a": 1}': {"a": 1},
    '""': "",
    "2024-01-01": "2024-01-01",
    "1.2.3": "1.2.3",
    "yes": "yes",
}


@pytest.mark.parametrize(("text", "value"), TYPED.items())
def test_the_type_of_a_value_can_be_predicted(
    text: str, value: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """The words of JSON and its numbers have their types; all else is a text."""
    read = parse_value(text)
    assert read == value
    assert type(read) is type(value)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("True", "true for the value of this type"),
        ("FALSE", "false for the value of this type"),
        ("None", "null for the value of this type"),
        ("018", "18 for the number"),
        ("+5", "5 for the number"),
        (".5", "0.5 for the number"),
        ("1_000", "1000 for the number"),
        ("NaN", "a number with digits"),
    ],
)
def test_a_text_that_resembles_another_value_gets_a_warning(
    text: str, remedy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It stays a text, and the warning says how to write either."""
    assert parse_value(text) == text
    warning = capsys.readouterr().err
    assert warning == (
        f'Warning: {text} is read as a text; write {remedy}, or "{text}" in quotes\n'
    )
    assert format_value(text) == f'"{text}"'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('"a', "not valid JSON"),
        ("[1,", "not valid JSON"),
        ('{"a": NaN}', "NaN is not a value of JSON"),
        ("1e999", "a number that is too large"),
        ("[1e999]", "a number that is too large"),
        ("9" * 5000, "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
    ],
)
def test_a_value_that_cannot_be_read_is_refused(text: str, message: str) -> None:
    """The message names the value, and only its beginning if it is long."""
    with pytest.raises(click.UsageError, match=message) as caught:
        parse_value(text)
    assert len(str(caught.value)) < 300


def test_lists_are_written_with_commas_or_as_json() -> None:
    """A comma within quotes does not divide."""
    assert parse_list("SE,NO") == ["SE", "NO"]
    assert parse_list(" 1, true ,x ") == [1, True, "x"]
    assert parse_list('"a,b",c') == ["a,b", "c"]
    assert parse_list('["a,b", 2]') == ["a,b", 2]
    assert parse_list("SE") == ["SE"]


@pytest.mark.parametrize("text", ["", ",", "SE,", "SE,,NO", " "])
def test_an_empty_entry_of_a_list_is_refused(text: str) -> None:
    """It is a slip of the keyboard rather than an empty text."""
    with pytest.raises(click.UsageError, match="empty entry"):
        parse_list(text)


def test_pairs_are_read_once_each() -> None:
    """The value may contain a sign of equality, the name cannot."""
    assert parse_pairs(["a=1", "b=c=d", "e="]) == {"a": 1, "b": "c=d", "e": ""}
    for wrong in (["a"], ["=1"], ["a=1", "a=2"]):
        with pytest.raises(click.UsageError):
            parse_pairs(wrong)


def test_types_have_names_for_people() -> None:
    """Messages say what they compare."""
    values = [None, True, 1, 1.5, "a", [1], (1,), {}]
    assert [*map(kind_of, values)] == [
        *("null", "a truth value", "a number", "a number", "a text"),
        *("a list", "a list", "an object"),
    ]


@pytest.mark.parametrize(
    "words",
    [
        ("create", "\udcff"),
        ("show", "\udcff"),
        ("create", "B", "--data", "a=\udcff"),
        ("meta", "set", "A", "a=\udcff"),
        ("check", "A", "a=\udcff"),
        ("condition", "add", "A", "a == \udcff"),
        ("bucket", "set", "A", "7%", "--by", "\udcff"),
        ("bucket", "set", "A", "7%", "--by", " "),
    ],
    ids=ascii,
)
def test_arguments_that_are_no_text_are_refused(
    flipper: Any, client: FeatureFlagClient, words: tuple[str, ...]
) -> None:
    """Bytes that are no UTF-8 are not stored, since TOML cannot express them."""
    client.create("A")
    before = [item.serialize() for item in store_of(client).list()]
    result = flipper(*words)
    assert result.code == 2
    assert "is no text; write it in UTF-8" in result.err or "is empty" in result.err
    assert [item.serialize() for item in store_of(client).list()] == before
