# SPDX-License-Identifier: Apache-2.0
"""Draws the cost of a call and the memory of a flag over the number of flags."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from .chart import DARK, MARKS, STYLE, mark, text
from .contenders import PUBLISHED, THIS
from .sections import COMPARED, COMPARED_SIZES
from .table import number

if TYPE_CHECKING:
    from collections.abc import Iterator

    # By contender: the figures for each of `COMPARED_SIZES`.
    Lines = dict[str, list[float]]

WIDTH = 960
HEIGHT = 500
MARGIN = 24
LEGEND_LINE = 24
LEGEND_COLUMNS = 3
TOP = 190
BOTTOM = HEIGHT - 76
LINE_STYLE = "  .line { fill: none; stroke-width: 2 }\n"


class Panel(NamedTuple):
    """One of the two diagrams: its place, its title, and its lines."""

    left: float
    right: float
    title: str
    lines: Lines


def svg(results: dict[str, Any]) -> str:
    """Return the chart, as SVG. It has a background of its own."""
    return "\n".join(_lines(results)) + "\n"


def _lines(results: dict[str, Any]) -> Iterator[str]:
    titles = results["titles"]
    calls, sizes = _calls(results), _bytes(results)
    keys = [key for key in titles if key in (THIS, PUBLISHED)]
    keys += [key for key in titles if key not in keys]
    keys = [key for key in keys if key in calls or key in sizes]
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
    )
    yield "<title>The cost of a call and of a flag, by the number of flags</title>"
    yield f"<style>{STYLE}{LINE_STYLE}{_colours(keys, 0)}"
    yield f"  @media (prefers-color-scheme: dark) {{{DARK}{_colours(keys, 1)}  }}"
    yield "</style>"
    yield (
        f'<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" '
        f'height="{HEIGHT - 1}" rx="8"/>'
    )
    yield text(MARGIN, 34, "What more flags cost", "title")
    note = "Over the number of flags. Less is better; all axes are logarithmic."
    yield text(MARGIN, 56, note, "faint")
    for i, key in enumerate(keys):
        x = MARGIN + 8 + i % LEGEND_COLUMNS * (WIDTH - 2 * MARGIN) / LEGEND_COLUMNS
        y = 80 + i // LEGEND_COLUMNS * LEGEND_LINE
        yield mark(i, x, y)
        yield text(x + 14, y + 5, titles[key], "own" if key == THIS else "")
    middle = WIDTH / 2
    title = "One call of two checks, in dict lookups"
    yield from _panel(Panel(MARGIN + 56, middle - 20, title, calls), keys)
    title = "Bytes per flag of one condition"
    yield from _panel(Panel(middle + 76, WIDTH - MARGIN - 20, title, sizes), keys)
    yield text(MARGIN, HEIGHT - 16, results["machine"], "faint")
    yield "</svg>"


def _calls(results: dict[str, Any]) -> Lines:
    found = (results["sizes"], results["others"]["calls"])
    return _by_contender(found, [f"{COMPARED} {size}" for size in COMPARED_SIZES])


def _bytes(results: dict[str, Any]) -> Lines:
    found = (results["sizes of memory"], results["others"]["bytes"])
    return _by_contender(found, [str(size) for size in COMPARED_SIZES])


def _by_contender(sources: tuple[dict[str, Any], ...], rows: list[str]) -> Lines:
    found: Lines = {}
    for source in sources:
        for key in source.get(rows[0], {}):
            values = [source[row].get(key, {}).get("value") for row in rows]
            if None not in values:
                found[key] = values
    return found


def _panel(panel: Panel, keys: list[str]) -> Iterator[str]:
    values = [value for line in panel.lines.values() for value in line]
    least = 10 ** math.floor(math.log10(min(values)))
    decades = math.log10(max(values) * 1.1 / least)

    def place(size: int, value: float) -> tuple[float, float]:
        first, last = math.log10(COMPARED_SIZES[0]), math.log10(COMPARED_SIZES[-1])
        share = (math.log10(size) - first) / (last - first)
        height = math.log10(value / least) / decades * (BOTTOM - TOP)
        return panel.left + share * (panel.right - panel.left), BOTTOM - height

    yield text(panel.left - 50, TOP - 18, panel.title)
    power = least
    while power <= max(values):
        y = place(COMPARED_SIZES[0], power)[1]
        yield (
            f'<line class="grid" x1="{panel.left:.1f}" x2="{panel.right:.1f}" '
            f'y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        yield text(panel.left - 12, y + 5, f"{power:,}", "faint", "end")
        power *= 10
    for size in COMPARED_SIZES:
        x = place(size, least)[0]
        yield text(x, BOTTOM + 22, f"{size:,}", "faint", "middle")
    # This library last, so that it lies on top.
    for i, key in reversed([*enumerate(keys)]):
        if key not in panel.lines:
            continue
        line = panel.lines[key]
        places = [place(*pair) for pair in zip(COMPARED_SIZES, line, strict=True)]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        yield f'<polyline class="line s{i}" points="{points}"/>'
        for x, y in places:
            yield mark(i, x, y)
        if key == THIS:
            x, y = places[-1]
            yield text(x, y - 12, number(line[-1]), "own", "end")


def _colours(keys: list[str], scheme: int) -> str:
    colours = [colour[scheme] for colour in MARKS[: len(keys)]]
    return "".join(
        f"  .c{i} {{ fill: {colour} }} .s{i} {{ stroke: {colour} }}\n"
        for i, colour in enumerate(colours)
    )
