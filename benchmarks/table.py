# SPDX-License-Identifier: Apache-2.0
"""Writes figures as tables in Markdown."""

from __future__ import annotations

from typing import Any, NamedTuple

NO_FIGURE = "-"
STORES = {
    "redis": "Redis",
    "postgresql": "PostgreSQL",
    "sqlite": "SQLite",
    "openfeature": "OpenFeature",
}


class Table(NamedTuple):
    """A table: its title, the titles of its columns, and its rows."""

    title: str
    header: list[str]
    rows: list[list[Any]]

    def lines(self) -> list[str]:
        """Return the lines, with the title as heading."""
        lines = [[str(cell) for cell in row] for row in (self.header, *self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        ruler = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
        lines.insert(1, ruler)
        found = [f"\n### {self.title}\n"]
        for line in lines:
            first, *others = zip(line, widths, strict=True)
            cells = [first[0].ljust(first[1]), *(c.rjust(w) for c, w in others)]
            found.append(f"| {' | '.join(cells)} |")
        return found


def number(value: float) -> str:
    """Return a figure with about three significant digits."""
    digits = 2 if value < 10 else 1 if value < 100 else 0  # noqa: PLR2004
    return f"{value:.{digits}f}"
