# SPDX-License-Identifier: Apache-2.0
"""Prints: results to stdout, as text or JSON; messages to stderr."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_UNUSUAL: Final = re.compile(r"[^\x20-\x7e\n]")


def printable(text: str, *, keep_lines: bool = False) -> str:
    """Escape the characters that a terminal would obey instead of showing them."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or (keep_lines and each == "\n") else _escaped(each)
        for each in text
    )


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def printable_data(text: str, form: str) -> str:
    r"""Escape these characters in JSON or TOML, which keeps its meaning.

    Characters that the encoding of stdout does not have are escaped, too. Both forms
    allow unusual characters only within quotes, where they can be written `\u00e9`.
    """
    encoding = sys.stdout.encoding or "utf-8"

    def replace(found: re.Match[str]) -> str:
        character = found[0]
        if character.isprintable():
            try:
                character.encode(encoding)
            except UnicodeError:
                pass
            else:
                return character
        if form == "toml" and ord(character) > 0xFFFF:  # noqa: PLR2004  (4 hex digits)
            return f"\\U{ord(character):08x}"  # TOML has no surrogate pairs
        return json.dumps(character)[1:-1]

    return _UNUSUAL.sub(replace, text)


def message(text: str) -> str:
    """Return a text as it is printed to stderr, which logs may keep.

    A URL that was given in the wrong place is shown without its secrets.
    """
    from ..urls.redaction import hide_in_urls

    return printable(hide_in_urls(text), keep_lines=True)


def some_of(texts: Iterable[str]) -> str:
    """Return the first texts, and how many more there are."""
    every = list(texts)
    few = 5
    more = f" and {len(every) - few:,} more" if len(every) > few else ""
    return ", ".join(every[:few]) + more


def note(text: str) -> None:
    """Print a message to stderr."""
    click.echo(message(text), err=True)


def warn(text: str) -> None:
    """Print a warning to stderr."""
    note(f"Warning: {text}")


def print_json(data: Any, *, indent: int | None = 2) -> None:
    """Print a result as JSON: with one value a line, or all on one line."""
    text = json.dumps(data, indent=indent, ensure_ascii=False, default=repr)
    click.echo(printable_data(text, "json"))


def print_text(text: str) -> None:
    """Print a result as text."""
    click.echo(printable(text, keep_lines=True))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows: a coloured table on a terminal, otherwise columns of plain text."""
    shown = [[printable(cell) for cell in row] for row in rows]
    if not is_terminal():
        _print_plain([list(columns), *shown])
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in shown:
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    Console(highlight=False).print(table)


def print_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Print names and values, one a line; further lines of a value are indented."""
    pairs = [(name, printable(value, keep_lines=True)) for name, value in fields]
    width = max(len(name) for name, _ in pairs) + 2
    for name, value in pairs:
        lines = value.split("\n")
        click.echo(click.style(f"{name}:".ljust(width), bold=True) + lines[0])
        for line in lines[1:]:
            click.echo(" " * width + line)


def is_terminal() -> bool:
    """Return whether results are printed for people, and not into a file or a pipe."""
    return sys.stdout.isatty()


_STYLES: Final = {"on": "green", "off": "red", "partly": "yellow"}


def _print_plain(rows: list[list[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        click.echo("  ".join(cells).rstrip())
