# SPDX-License-Identifier: Apache-2.0
"""Draws the chart: a line for each workload, with a mark for each contender."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, Any

from .contenders import PUBLISHED, THIS
from .table import number
from .workloads import IN_MEMORY

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDTH = 960
MARGIN = 24
LABELS = 300  # where the figures of this library end
FIGURES = 62
LINE = 32
LEGEND_LINE = 24
LEGEND_COLUMNS = 3
TICKS = (1, 2, 5)

# Colours for light and dark pages, and a shape. Neighbours differ in both, so that
# people with colour blindness can tell them apart.
MARKS = (
    ("#0b69d4", "#58a6ff", "circle"),
    ("#c4430a", "#ff8a4c", "diamond"),
    ("#0f766e", "#2dd4bf", "square"),
    ("#9333a8", "#d58bf0", "triangle"),
    ("#8a6d00", "#e3b341", "circle"),
    ("#b3216b", "#ff7eb6", "diamond"),
    ("#4d7c0f", "#a3d13c", "square"),
    ("#3f5b9c", "#a5b8f0", "triangle"),
    ("#6b7280", "#b0b8c4", "circle"),
)
STYLE = """
  text { font: 14px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
  .card { fill: #ffffff; stroke: #d1d9e0 }
  .title { font-size: 17px; font-weight: 600 }
  .faint { fill: #59636e; font-size: 13px }
  .own { font-weight: 600; fill: #0b69d4 }
  .grid { stroke: #e4e8ec }
  .span { stroke: #c2cad2; stroke-width: 2 }
  .mark { stroke: #ffffff; stroke-width: 1 }
  .pale { opacity: 0.4 }
"""
DARK = """
    text { fill: #e6edf3 }
    .card { fill: #0d1117; stroke: #3d444d }
    .faint { fill: #9198a1 }
    .own { fill: #58a6ff }
    .grid { stroke: #262c36 }
    .span { stroke: #4b535e }
    .mark { stroke: #0d1117 }
"""


def svg(results: dict[str, Any]) -> str:
    """Return the chart of the workloads in memory, as SVG.

    It has a background of its own, so it is readable on any page.
    """
    return "\n".join(_Chart(results).lines()) + "\n"


class _Chart:
    def __init__(self, results: dict[str, Any]) -> None:
        self._titles: dict[str, str] = results["titles"]
        self._keys = [k for k in self._titles if k in (THIS, PUBLISHED)]
        self._keys += [k for k in self._titles if k not in self._keys]
        self._machine = results["machine"]
        self._rows = {
            load.title: {
                key: (figure["value"], "note" in figure)
                for key, figure in results["memory"].get(name, {}).items()
                if "value" in figure
            }
            for name, load in IN_MEMORY.items()
        }
        figures = [figure for row in self._rows.values() for figure in row.values()]
        values = [value for value, _ in figures]
        self._any_wrong = any(wrong for _, wrong in figures)
        self._most = max(10.0, *values) * 1.15
        legend_lines = math.ceil(len(self._keys) / LEGEND_COLUMNS)
        self._top = 84 + legend_lines * LEGEND_LINE
        self._left = MARGIN + LABELS + FIGURES + 16
        self._right = WIDTH - MARGIN - 8
        self._bottom = self._top + len(self._rows) * LINE
        self._height = self._bottom + 60

    def lines(self) -> Iterator[str]:
        size = f'width="{WIDTH}" height="{self._height}"'
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} '
            f'viewBox="0 0 {WIDTH} {self._height}" role="img">'
        )
        yield "<title>The cost of one call, as a multiple of the least possible</title>"
        yield f"<style>{STYLE}{self._colours(0)}"
        yield f"  @media (prefers-color-scheme: dark) {{{DARK}{self._colours(1)}  }}"
        yield "</style>"
        yield (
            f'<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" '
            f'height="{self._height - 1}" rx="8"/>'
        )
        yield text(
            MARGIN, 34, "The cost of one call: how many times a dict lookup?", "title"
        )
        yield text(
            MARGIN,
            56,
            "A function that looks a name up in a dict is 1. Less is better; the axis "
            "is logarithmic.",
            "faint",
        )
        yield from self._legend()
        yield from self._grid()
        for number_of_row, (title, row) in enumerate(self._rows.items()):
            y = self._top + number_of_row * LINE + LINE / 2
            yield from self._row(y, title, row)
        yield text(MARGIN, self._height - 16, self._machine, "faint")
        if self._any_wrong:
            note = "Pale: gives a wrong answer."
            yield text(WIDTH - MARGIN, self._height - 16, note, "faint", "end")
        yield "</svg>"

    def _colours(self, scheme: int) -> str:
        return "".join(
            f"  .c{i} {{ fill: {mark[scheme]} }}\n"
            for i, mark in enumerate(MARKS[: len(self._keys)])
        )

    def _legend(self) -> Iterator[str]:
        column = (WIDTH - 2 * MARGIN) / LEGEND_COLUMNS
        for i, key in enumerate(self._keys):
            x = MARGIN + 8 + i % LEGEND_COLUMNS * column
            y = 80 + i // LEGEND_COLUMNS * LEGEND_LINE
            yield mark(i, x, y)
            kind = "own" if key == THIS else ""
            yield text(x + 14, y + 5, self._titles[key], kind)

    def _grid(self) -> Iterator[str]:
        power = 1
        while power <= self._most:
            for value in (tick * power for tick in TICKS):
                if value <= self._most:
                    x = self._x(value)
                    yield (
                        f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" '
                        f'y1="{self._top}" y2="{self._bottom}"/>'
                    )
                    label = f"{value:,}"
                    yield text(x, self._bottom + 18, label, "faint", "middle")
            power *= 10

    def _row(
        self, y: float, title: str, row: dict[str, tuple[float, bool]]
    ) -> Iterator[str]:
        yield text(MARGIN, y + 5, title.replace("`", ""))
        if THIS in row:
            end = MARGIN + LABELS + FIGURES
            yield text(end, y + 5, number(row[THIS][0]), "own", "end")
        if row:
            places = [self._x(value) for value, _ in row.values()]
            yield (
                f'<line class="span" x1="{min(places):.1f}" x2="{max(places):.1f}" '
                f'y1="{y}" y2="{y}"/>'
            )
        # This library last, so that it lies on top.
        for i, key in reversed([*enumerate(self._keys)]):
            if key in row:
                value, wrong = row[key]
                yield mark(i, self._x(value), y, "pale" if wrong else "")

    def _x(self, value: float) -> float:
        share = math.log(max(value, 1)) / math.log(self._most)
        return self._left + share * (self._right - self._left)


def mark(i: int, x: float, y: float, kind: str = "") -> str:
    """Return the mark of the contender with this number."""
    shape = MARKS[i][2]
    size = 7 if i == 0 else 5.5
    kind = f'class="mark c{i} {kind}"'
    if shape == "circle":
        return f'<circle {kind} cx="{x:.1f}" cy="{y:.1f}" r="{size}"/>'
    corners = {
        "square": ((-1, -1), (1, -1), (1, 1), (-1, 1)),
        "diamond": ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
        "triangle": ((0, -1.2), (1.2, 1), (-1.2, 1)),
    }[shape]
    points = " ".join(
        f"{x + dx * size * 0.9:.1f},{y + dy * size * 0.9:.1f}" for dx, dy in corners
    )
    return f'<polygon {kind} points="{points}"/>'


def text(x: float, y: float, text: str, kind: str = "", anchor: str = "") -> str:
    """Return a text."""
    attributes = f' class="{kind}"' if kind else ""
    attributes += f' text-anchor="{anchor}"' if anchor else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{attributes}>{escape(text)}</text>'
