# SPDX-License-Identifier: Apache-2.0
"""Whatever a file holds, the only error is the project's own, and names a place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_mistakes import JSON, RIGHT, YAML

from flipper.contrib.file.flag_file import FlagFile
from flipper.exceptions import FlagFileError
from flipper.flag_files import parse_flags
from support.fuzz import CASES

FORMATS = ["toml", "json", "yaml"]
GOOD = {"toml": RIGHT, "json": JSON, "yaml": YAML}
PIECES = [
    *(
        '"',
        "'",
        '"""',
        "[",
        "]",
        "[[",
        "{",
        "}",
        "=",
        ":",
        ",",
        ".",
        "\n",
        "\t",
        " ",
        "#",
    ),
    *(
        "null",
        "true",
        "nan",
        "1e999",
        "-1",
        "0x1",
        "2026-01-01",
        "&a",
        "*a",
        "!!set",
        "---",
    ),
    *(
        "\\",
        "\\u12",
        "\0",
        "\x7f",
        "\ufeff",
        "\u2028",
        "é",
        "🐬",
        "version",
        "flags",
        "- ",
    ),
    *(
        "__",
        "__gt",
        "type",
        "percentage",
        "enabled",
        "[flags.X]",
        "? ",
        "<<",
        "%YAML 1.1\n",
    ),
]
SETTINGS = settings(max_examples=2 * CASES, deadline=None, database=None)


def is_read_or_refused(content: bytes | str, format_name: str) -> bool:
    """Return whether a content is read; fail if an error is not the project's own."""
    found: FlagFileError | None = None
    try:
        parse_flags(content, format_name)
    except FlagFileError as error:
        found = error
    if found is None:
        return True
    assert all(problem.message for problem in found.problems)
    assert str(found).startswith("the text")
    return not found.problems


@st.composite
def mutations(draw: Any, text: str) -> str:
    """Return a text with some characters replaced, removed, repeated or moved."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 40)))
        piece = draw(st.sampled_from([*PIECES, "", text[start:end] * 2]))
        text = text[:start] + piece + text[end:]
    return text


@pytest.mark.parametrize("format_name", FORMATS)
@SETTINGS
@given(data=st.data())
def test_a_file_that_somebody_has_edited_badly(format_name: str, data: Any) -> None:
    """Edits of a good file reach further into the reader than random text does."""
    is_read_or_refused(data.draw(mutations(GOOD[format_name])), format_name)


@pytest.mark.parametrize("format_name", FORMATS)
@SETTINGS
@given(content=st.binary(max_size=60) | st.lists(st.sampled_from(PIECES)).map("".join))
def test_a_file_that_holds_something_else(format_name: str, content: Any) -> None:
    """Such as an image, or the output of another program."""
    is_read_or_refused(content, format_name)


OPENING = '{"version": 1, "flags": {"A": {"enabled": true, "client_data": {"x": '
NESTED = {
    "toml": "version = 1\n[flags.A]\nenabled = true\nclient_data.x = VALUE\n",
    "json": f"{OPENING}VALUE}}}}}}}}",
    "yaml": f"{OPENING}VALUE}}}}}}}}",
}


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_value_that_is_nested_deeply_is_refused(format_name: str) -> None:
    """It could be read, and then not be copied or written."""
    text = NESTED[format_name]
    # The reader of YAML is written in Python: it is slow, and overruns no stack of C.
    for depth in (101, 400, 10_000 if format_name == "yaml" else 100_000):
        nested = text.replace("VALUE", "[" * depth + "]" * depth)
        assert not is_read_or_refused(nested, format_name)
    assert is_read_or_refused(text.replace("VALUE", "[" * 90 + "]" * 90), format_name)


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_number_with_thousands_of_digits_is_refused(format_name: str) -> None:
    """Python reads it in some ways, and cannot write it."""
    for digits in ("9" * 5000, "9" * 5000 + ".5"):
        text = NESTED[format_name].replace("VALUE", digits)
        assert is_read_or_refused(text, format_name) == ("." in digits)
    if format_name == "toml":
        assert not is_read_or_refused(
            NESTED["toml"].replace("VALUE", "0x" + "f" * 5000), "toml"
        )


def test_an_anchor_cannot_multiply_the_content() -> None:
    """A few lines of YAML can stand for billions of values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    assert not is_read_or_refused("\n".join(lines), "yaml")
    assert not is_read_or_refused("&a [*a]", "yaml")


@pytest.mark.parametrize("format_name", FORMATS)
@settings(max_examples=CASES, deadline=None, database=None)
@given(data=st.data())
def test_a_file_is_used_as_a_whole_or_not_at_all(format_name: str, data: Any) -> None:
    """After any edit, the flags are those of the old file or those of the new one."""
    file = FlagFile("flags", format_name, 0)
    file._use(GOOD[format_name].encode())
    before = file.flags
    edited = data.draw(mutations(GOOD[format_name])).encode("utf-8", "replace")
    file._use(edited)
    try:
        expected = parse_flags(edited, format_name)
    except FlagFileError:
        assert file.flags is before
        assert isinstance(file.last_error, FlagFileError)
    else:
        assert file.last_error is None
        assert [(n, f.serialize()) for n, f in file.flags.items()] == [
            (each.feature_name, each.serialize()) for each in expected
        ]


def test_values_of_json_are_kept_by_yaml() -> None:
    """Most files in JSON can be renamed."""
    assert is_read_or_refused(JSON, "yaml")
    assert json.loads(JSON)
