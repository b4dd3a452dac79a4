# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/command-line.md say what the command does."""

from __future__ import annotations

import inspect
import json
import re
import shlex
from typing import TYPE_CHECKING

import pytest
from document_examples import ROOT

from flipper import Condition
from flipper.cli import errors
from flipper.cli.condition_text import parse_condition
from flipper.cli.program import COMMANDS
from flipper.cli.values import parse_pairs

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
CODE = re.compile(r"`([^`]+)`")


def rows(first_column: str) -> Iterator[list[str]]:
    """Yield the cells of the rows of the tables whose first column has this name."""
    for table in re.findall(rf"^\| {first_column} \|.*\n\| -.*\n((?:\|.*\n)+)", PAGE, re.M):
        for line in table.splitlines():
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


def _values() -> list[tuple[str, str, bool]]:
    """Return what is typed, the value that the page says it is, and if it warns."""
    found = []
    for typed, values, note in rows("in a shell"):
        words, meant = CODE.findall(typed), CODE.findall(values)
        if "=" in meant[0]:
            continue  # the table of checks
        if len(meant) == 1:
            meant *= len(words)
        for word, value in zip(words, meant, strict=True):
            found.append((word, value, "with a warning" in note))
    return found


def _checks() -> list[tuple[str, str]]:
    """Return what is typed, and the keyword that the page says it is."""
    return [
        (word, CODE.findall(keyword)[0])
        for typed, keyword, *_ in rows("in a shell")
        if "=" in CODE.findall(keyword)[0]
        for word in CODE.findall(typed)
    ]


@pytest.mark.parametrize(("typed", "value", "warns"), _values())
def test_a_value_is_read_as_the_page_says(
    typed: str, value: str, warns: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is typed is read as this value, and has a warning where the page says so."""
    ((_, read),) = parse_pairs(shlex.split(typed)).items()
    assert json.dumps(read) == json.dumps(json.loads(value))
    assert capsys.readouterr().err.startswith("Warning: ") is warns


@pytest.mark.parametrize(("typed", "keyword"), _checks())
def test_a_check_is_read_as_the_page_says(typed: str, keyword: str) -> None:
    """What is typed is the same condition as the keyword of the library."""
    name, _, value = keyword.partition("=")
    meant = Condition(**{name: json.loads(value)})
    assert parse_condition(shlex.split(typed)).to_dict() == meant.to_dict()


def test_the_page_has_all_exit_codes() -> None:
    """Each exit code of the command is in the table."""
    codes = {
        value
        for name, value in inspect.getmembers(errors)
        if name.isupper() and not name.startswith("_") and isinstance(value, int)
    }
    assert {int(code) for code, *_ in rows("exit code")} == codes


def test_the_page_has_all_commands() -> None:
    """Each command is named on the page."""
    assert [name for name in COMMANDS if not re.search(rf"[`/ ]{name}[` ]", PAGE)] == []


def test_the_tables_are_found() -> None:
    """The tables have rows, so that the tests above test something."""
    assert len(_values()) > 20
    assert len(_checks()) > 15
