# SPDX-License-Identifier: Apache-2.0
"""Reads values as people type them: which text is a number, a truth value, a list.

`true`, `false` and `null`, numbers as JSON writes them, and what begins with a quote, a
bracket or a brace is JSON; everything else is text. So `18` is a number, `"18"` and
`018` are texts.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, Final

import click

from .output import warn

if TYPE_CHECKING:
    from collections.abc import Iterable

_WORDS: Final = {"true": True, "false": False, "null": None}
_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?", re.ASCII)
_JSON_BEGINS: Final = ('"', "[", "{")
# What other languages write for the words of JSON, in lower case.
_LOOKALIKES: Final = {"true": "true", "false": "false", "null": "null", "none": "null"}


def parse_value(text: str) -> Any:
    """Return the value that a text stands for.

    Raises:
        click.UsageError: the text begins like JSON, and is none; or a number is too
            large.
    """
    text = text.strip()
    if text in _WORDS:
        return _WORDS[text]
    if text.startswith(_JSON_BEGINS) or _NUMBER.fullmatch(text):
        return _parse_json(text)
    remedy = _resembles(text)
    if remedy is not None:
        warn(f'{text} is read as a text; write {remedy}, or "{text}" in quotes')
    return text


def _resembles(text: str) -> str | None:
    """Return what to write if a text may be meant as another value, else `None`."""
    word = _LOOKALIKES.get(text.lower())
    if word is not None:
        return f"{word} for the value of this type"
    try:
        number = float(text)
    except ValueError:
        return None
    if math.isfinite(number):
        return f"{number:.15g} for the number"
    return "a number with digits"


def _parse_json(text: str) -> Any:
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        message = f"The value {shortened(text)} is not valid JSON: {error}"
        if text.startswith('"'):
            message += "; a text in quotes ends with a quote, and \\ is written \\\\"
        raise click.UsageError(message) from None
    if not _is_storable(value):
        message = f"The value {shortened(text)} has a number that is too large"
        raise click.UsageError(message)
    return value


def _is_storable(value: Any) -> bool:
    """Return whether JSON can express all numbers of a value."""
    try:
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse_constant(name: str) -> None:
    message = f"{name} is not a value of JSON"
    raise ValueError(message)


def parse_list(text: str) -> list[Any]:
    """Return the values of a list: JSON such as `["SE","NO"]`, or `SE,NO`.

    Raises:
        click.UsageError: a value is not valid.
    """
    if text.strip().startswith("["):
        values = parse_value(text)
        return list(values)
    parts = _split_at_commas(text)
    if not all(part.strip() for part in parts):
        message = f"The list {shortened(text)} has an empty entry; write SE,NO"
        raise click.UsageError(message)
    return [parse_value(part) for part in parts]


def _split_at_commas(text: str) -> list[str]:
    """Split at commas, but not within the quotes of a JSON text."""
    return re.findall(r'(?:^|(?<=,))((?:\s*"(?:\\.|[^"\\])*"\s*|[^,]*))(?=,|$)', text)


def format_value(value: Any) -> str:
    """Return the text that `parse_value` reads as this value."""
    if isinstance(value, str) and is_plain_text(value):
        return value
    return json.dumps(value, ensure_ascii=False, default=repr)


def is_plain_text(text: str) -> bool:
    """Return whether a text needs no quotes to be read as this text."""
    return (
        text != ""
        and text == text.strip()
        and text.isprintable()
        and not text.startswith(_JSON_BEGINS)
        and "," not in text
        and text not in _WORDS
        and _resembles(text) is None
        and not _NUMBER.fullmatch(text)
    )


def utf8_text(text: str) -> str:
    """Return an argument of the command, unless a part of it is no text.

    Python has halves of characters for the bytes that are no text in this locale.

    Raises:
        click.BadParameter: a part is none.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        message = f"{shortened(text)} is no text; write it in UTF-8, in a UTF-8 locale"
        raise click.BadParameter(message) from None
    return text


def parse_pairs(words: Iterable[str]) -> dict[str, Any]:
    """Return the values of words such as `age=18`, by name.

    Raises:
        click.UsageError: a word is no pair, a name is given twice, or a value is not
            valid.
    """
    found: dict[str, Any] = {}
    for word in words:
        name, sign, value = word.partition("=")
        if not (name and sign):
            message = f"{shortened(word)} is not an argument; write name=value"
            raise click.UsageError(message)
        if name in found:
            message = f"The argument {name} is given twice"
            raise click.UsageError(message)
        found[name] = parse_value(value)
    return found


def kind_of(value: Any) -> str:
    """Return what people call the type of a value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a truth value"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "a text"
    return "a list" if isinstance(value, (list, tuple)) else "an object"


def shortened(text: str) -> str:
    """Return a text in quotes for a message, and only its beginning if it is long."""
    return repr(text if len(text) <= 60 else f"{text[:60]}...")  # noqa: PLR2004
