# SPDX-License-Identifier: Apache-2.0
"""Positions in a text lead to the values that a parser finds there."""

from __future__ import annotations

import json
import math
import sys
from typing import Any

import pytest
from flag_items import ITEMS, inexpressible
from hypothesis import given, settings

from flipper.contrib.storage import FeatureFlagStoreItem  # noqa: TC001  (hypothesis reads it)
from flipper.flag_files import write_flags
from flipper.flag_files.formats import read_data
from flipper.flag_files.problems import Problems

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HAND_WRITTEN = '''\
# a comment with "quotes" and [brackets]
version = 1   # another
"quoted key".'literal key'.bare-key_1 = """a multi-line
"text" with \\""" quotes"""""
dates = [ 2026-01-01 10:00:00Z, 2026-01-01, 10:00:00, ]  # [ no list
literal = \'\'\'it's
"""not over"""\'\'\'
empty = ["", \'\', {}, [], [[], {a.b = {}}]]
numbers = [ +1, 0x_ff, 1_000.5e-3, -inf, nan ] # ] } "
"\\u00e9\\"." = true

[ flags . "a.b" ] # spaces
enabled=true
"x" = { y . "z" = 1, w = [ # a comment ]
  1, 2
] }

[[list]]
a = 1
[[list.inner]]
b = 1
[[list]]
[list.table]
c = "#"
[[list.inner]]
d = 2
[[list.inner]]
d = 3
'''.replace("0x_ff", "0xff")


def check_positions(text: str, format_name: str, loads: Any) -> int:
    """Compare the text at the position of every value with the value."""
    data, locate = read_data(text, format_name, Problems())
    lines = text.split("\n")
    seen = 0

    def compare(path: tuple[Any, ...], value: Any) -> None:
        nonlocal seen
        if isinstance(value, (dict, list)):
            for key, entry in (
                value.items() if isinstance(value, dict) else enumerate(value)
            ):
                compare((*path, key), entry)
            return
        line, column = locate(path, False)
        rest = "\n".join([lines[line - 1][column - 1 :], *lines[line:]])
        assert _starts_with(rest, value, loads), (path, value, line, column)
        if isinstance(path[-1], str):
            line, column = locate(path, True)
            assert lines[line - 1][column - 1] in f"\"'{path[-1][:1]}"
        seen += 1

    compare((), data)
    return seen


def _starts_with(text: str, value: Any, loads: Any) -> bool:
    """Return whether a text begins with a value, in any way of writing it."""
    for end in range(1, len(text) + 1):
        try:
            found = loads(text[:end])
        except ValueError:
            continue
        is_nan = isinstance(value, float) and math.isnan(value)
        if type(found) is type(value) and (found == value or is_nan):
            return True
    return False


def toml_value(text: str) -> Any:
    """Parse one value of TOML."""
    return tomllib.loads(f"x = {text}")["x"]


def test_positions_in_toml_that_people_write() -> None:
    """Every way of writing strings, names, tables and comments is understood."""
    assert check_positions(HAND_WRITTEN, "toml", toml_value) == 23


def test_positions_with_line_ends_of_windows() -> None:
    """A carriage return belongs to no name and no value."""
    text = 'version = 1\r\n[flags.A]\r\nenabled = true\r\nx = "y"\r\n'
    assert check_positions(text, "toml", toml_value) == 3


@pytest.mark.parametrize(
    ("format_name", "loads"), [("toml", toml_value), ("json", json.loads)]
)
@settings(max_examples=30, deadline=None, database=None)
@given(items=ITEMS)
def test_positions_of_random_flags(
    format_name: str, loads: Any, items: list[FeatureFlagStoreItem]
) -> None:
    """Whatever is written can be located."""
    kept = [each for each in items if not inexpressible(each, format_name)]
    text = write_flags(kept, format_name)
    assert check_positions(text, format_name, loads) > 0
