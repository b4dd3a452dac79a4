# SPDX-License-Identifier: Apache-2.0
"""Finds where names and values stand in a text that is valid TOML or JSON.

The parsers of Python tell positions of syntax errors only. This module goes through the
text again, after a parser has accepted it. It therefore only has to find where strings,
brackets and other values end, and decides nothing about their meaning.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from .problems import Path, Position

_LINE: Final = re.compile("\n")
_BLANK: Final = re.compile(r"(?:[\s,]|#[^\n]*)*")
_SPACE: Final = re.compile(r"[ \t]*")
_STRING: Final = (
    r'"""(?:\\[\s\S]|[^\\])*?"{3,5}'  # its last quotes may belong to the text
    r"|'''[\s\S]*?'{3,5}"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'"
)
_SCALAR: Final = re.compile(
    _STRING + r"|\d{4}-\d\d-\d\d \d\d:[^\s,\]}#]*"  # a date with a time after a space
    r"|[^\s,\]}#]+"
)
_NAME: Final = re.compile(_STRING + r"|[^\s.=\]]+")


class Positions:
    """Where each name and each value begins.

    Args:
        text: the text.
        unquote: makes a name of its quoted form.
        read: `read_toml` or `read_json`.
    """

    def __init__(
        self,
        text: str,
        unquote: Callable[[str], str],
        read: Callable[[Positions], None] | None = None,
    ) -> None:
        self._text = text
        self._at = 0
        self._unquote = unquote
        self._read = read or Positions.read_toml
        self._names: dict[Path, int] = {}
        self._values: dict[Path, int] = {}
        self._repeated: list[tuple[Path, int]] = []

    def locate(self, path: Path, at_name: bool) -> Position:
        """Return line and column of a value, of its name, or of what is around it."""
        self._read_once()
        while True:
            offset = self._names.get(path) if at_name else None
            if offset is None:
                offset = self._values.get(path)
            if offset is not None:
                return self._position(offset)
            path = path[:-1]

    def repeated(self) -> list[tuple[Path, Position]]:
        """Return the path and position of each name that was given before, in JSON."""
        self._read_once()
        return [(path, self._position(at)) for path, at in self._repeated]

    def _read_once(self) -> None:
        # Only for a file with mistakes.
        if not self._values:
            self._values[()] = 0
            self._line_starts = [0, *(one.end() for one in _LINE.finditer(self._text))]
            self._read(self)

    def _position(self, offset: int) -> Position:
        line = bisect_right(self._line_starts, offset)
        return line, offset - self._line_starts[line - 1] + 1

    def read_json(self) -> None:
        """Go through a JSON document."""
        self._skip(_BLANK)
        self._read_value((), self._read_json_name)

    def read_toml(self) -> None:
        """Go through a TOML document."""
        table: Path = ()
        counts: dict[Path, int] = {}  # of the tables of each array
        self._skip(_BLANK)
        while self._at < len(self._text):
            start = self._at
            if self._text[start] != "[":
                path = self._read_dotted_name(table, {})
                self._at += 1  # the equals sign
                self._skip(_SPACE)
                self._read_value(path, self._read_toml_name)
            else:
                is_in_array = self._text.startswith("[[", start)
                self._at += 1 + is_in_array
                table = self._read_dotted_name((), counts)
                self._at += 1 + is_in_array
                if is_in_array:
                    counts[table] = counts.get(table, -1) + 1
                    table = (*table, counts[table])
                self._values[table] = start
            self._skip(_BLANK)

    def _read_value(self, path: Path, read_name: Callable[[Path], Path]) -> None:
        """Go through a value with all that is in it."""
        # Not by recursion, because the parsers accept more levels than this could.
        opened: list[Path] = []
        indexes: list[int | None] = []  # of the next value in each list
        while True:
            self._values[path] = self._at
            if self._text[self._at] in "[{":
                opened.append(path)
                indexes.append(0 if self._text[self._at] == "[" else None)
                self._at += 1
            else:
                self._skip(_SCALAR)
            while opened:
                self._skip(_BLANK)
                if self._text[self._at] not in "]}":
                    break
                self._at += 1
                opened.pop()
                indexes.pop()
            if not opened:
                return
            index = indexes[-1]
            if index is None:
                path = read_name(opened[-1])
            else:
                path = (*opened[-1], index)
                indexes[-1] = index + 1

    def _read_json_name(self, table: Path) -> Path:
        path = (*table, self._unquote(self._read_name()))
        if path in self._names and not any(
            path[: len(one)] == one for one, _ in self._repeated
        ):
            self._repeated.append((path, self._name_at))
        self._names[path] = self._name_at
        self._skip(_BLANK)
        self._at += 1  # the colon
        self._skip(_BLANK)
        return path

    def _read_toml_name(self, table: Path) -> Path:
        path = self._read_dotted_name(table, {})
        self._at += 1  # the equals sign
        self._skip(_SPACE)
        return path

    def _read_dotted_name(self, table: Path, counts: dict[Path, int]) -> Path:
        """Read a name such as `flags."a b".enabled` with the space after it."""
        path = table
        while True:
            self._skip(_SPACE)
            name = self._read_name()
            if path in counts:  # it is an array, and the name belongs to its last table
                path = (*path, counts[path])
            path = (*path, self._unquote(name) if name[0] in "\"'" else name)
            self._names.setdefault(path, self._name_at)
            self._values.setdefault(path, self._name_at)
            self._skip(_SPACE)
            if self._text[self._at] != ".":
                return path
            self._at += 1

    def _read_name(self) -> str:
        self._name_at = self._at
        self._skip(_NAME)
        return self._text[self._name_at : self._at]

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self._text, self._at)
        if found is not None:
            self._at = found.end()
