# SPDX-License-Identifier: Apache-2.0
"""Draws docs/architecture.svg from the imports of `flipper/`.

`make architecture` runs it. It reads the code and imports none of it.
"""

from __future__ import annotations

from html import escape
from textwrap import wrap
from typing import TYPE_CHECKING, NamedTuple

from imports import (
    CONTRACTS,
    DRIVERS,
    EDGE,
    FACE,
    FLOORS,
    GROUND,
    RECORDS,
    ROOT,
    RULES,
    arrows,
    modules,
    room,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PICTURE = ROOT / "docs" / "architecture.svg"

TITLES = {
    EDGE: ("Edge", "what may be absent"),
    FACE: ("Face", "what applications call"),
    DRIVERS: ("Drivers", "every store that a user can choose"),
    CONTRACTS: ("Contracts", "what a store promises, and what it is built on"),
    RECORDS: ("Records", "what is stored of a flag, and how it is evaluated"),
    RULES: ("Rules", "conditions, bucketers, and which arguments are valid"),
    GROUND: ("Ground", "errors, threads, forks, time"),
}
# From top to bottom. Face and drivers are side by side, without imports between them.
BANDS = ((EDGE,), (FACE, DRIVERS), (CONTRACTS,), (RECORDS,), (RULES,), (GROUND,))

WIDTH = 960
MARGIN = 20
GAP = 12  # between rooms
ALLEY = 28  # between floors, for the arrows
WALL = 16  # between face and drivers
COLUMNS = 4
ROOM = (WIDTH - 2 * MARGIN - WALL - (COLUMNS + 2) * GAP) / COLUMNS  # width of a room
TITLE = 34  # height of the title of a floor
LINE = 15  # height of a line of text
LETTERS = 33  # of the small text that fit into the width of a room
STYLE = """
  text { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #59636e }
  .card { fill: #ffffff; stroke: #d1d9e0 }
  .floor { fill: #f3f6f9; stroke: #d1d9e0 }
  .room { fill: #ffffff; stroke: #8c959f }
  .title { font-size: 17px; font-weight: 600; fill: #1f2328 }
  .name { font-size: 14px; font-weight: 600; fill: #1f2328 }
  .arrow { stroke: #0b69d4; stroke-width: 2 }
  .head { fill: #0b69d4 }
  .wall { stroke: #c4430a; stroke-width: 3; stroke-dasharray: 6 4 }
  @media (prefers-color-scheme: dark) {
    text { fill: #9198a1 }
    .card, .room { fill: #0d1117; stroke: #3d444d }
    .floor { fill: #161b22; stroke: #3d444d }
    .title, .name { fill: #e6edf3 }
    .arrow { stroke: #58a6ff }
    .head { fill: #58a6ff }
    .wall { stroke: #ff8a4c }
  }
"""


class Floor(NamedTuple):
    """Where a floor is drawn.

    Attributes:
        number: which floor, as in `FLOORS`.
        rooms: the names of its rooms.
        x: the left edge.
        y: the upper edge.
        width: the width of the whole floor.
        columns: how many rooms are side by side.
    """

    number: int
    rooms: list[str]
    x: float
    y: float
    width: float
    columns: int


def imported_rooms(root: Path) -> dict[str, set[str]]:
    """Return the rooms that each room of `flipper/` imports, without itself."""
    known = modules(root, "flipper")
    found: dict[str, set[str]] = {}
    for name, path in known.items():
        importer = room(name)
        if importer is None:
            continue  # a facade
        targets = {room(arrow.target) for arrow in arrows(name, path, known)}
        found.setdefault(importer, set()).update(
            target for target in targets if target not in {None, importer}
        )
    return found


def svg(imports: dict[str, set[str]]) -> str:
    """Return the picture of the rooms with what they import."""
    body: list[str] = []
    y = 84.0
    for band in BANDS:
        floors, bottom = _place(band, imports, y)
        if not any(floor.rooms for floor in floors):
            continue
        if body:
            body += _arrows(band, imports, y)
        for floor in floors:
            body += _floor(floor, imports, bottom)
        if len(floors) == 2:
            body += _wall(floors[1].x - WALL / 2, y, bottom)
        y = bottom + ALLEY
    return "\n".join([*_frame(y), *body, "</svg>"]) + "\n"


def _frame(height: float) -> Iterator[str]:
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:g}" '
        f'viewBox="0 0 {WIDTH} {height:g}" role="img">'
    )
    yield "<title>The rooms of flipper, floor by floor, with what they import</title>"
    yield f"<style>{STYLE}</style>"
    yield _box("card", 0.5, 0.5, WIDTH - 1, height - 1)
    yield _text(MARGIN, 34, "The rooms of flipper/", "title")
    yield _text(
        MARGIN,
        58,
        "A room imports only rooms of its own floor and of floors below it. The small "
        "text names all that it imports. Nothing crosses the dashed line.",
    )


def _place(
    band: tuple[int, ...], imports: dict[str, set[str]], y: float
) -> tuple[list[Floor], float]:
    """Return the floors of a band, and where the band ends."""
    floors = []
    x, bottom = float(MARGIN), y
    for number in band:
        rooms = [name for name in FLOORS if FLOORS[name] == number and name in imports]
        columns = {FACE: 1, DRIVERS: COLUMNS - 1}.get(number, COLUMNS)
        is_alone = len(band) == 1
        width = WIDTH - 2 * MARGIN if is_alone else columns * (ROOM + GAP) + GAP
        floor = Floor(number, rooms, x, y, width, columns)
        rows = (_row_height(row, imports) + GAP for row in _rows(floor))
        bottom = max(bottom, y + TITLE + sum(rows))
        x += width + WALL
        floors.append(floor)
    return floors, bottom


def _rows(floor: Floor) -> Iterator[list[str]]:
    for start in range(0, len(floor.rooms), floor.columns):
        yield floor.rooms[start : start + floor.columns]


def _row_height(names: list[str], imports: dict[str, set[str]]) -> float:
    return 32 + LINE * max(len(_small_text(imports[name])) for name in names)


def _small_text(targets: set[str]) -> list[str]:
    names = ", ".join(sorted(_short(target) for target in targets))
    return wrap(f"imports {names}", LETTERS) if names else ["imports no other room"]


def _short(name: str) -> str:
    return name.removeprefix("flipper.").removeprefix("contrib.")


def _floor(floor: Floor, imports: dict[str, set[str]], bottom: float) -> Iterator[str]:
    yield _box("floor", floor.x, floor.y, floor.width, bottom - floor.y)
    title, what = TITLES[floor.number]
    yield (
        f'<text x="{floor.x + GAP:g}" y="{floor.y + 22:g}"><tspan class="name">{title}'
        f'</tspan><tspan dx="8">{escape(what)}</tspan></text>'
    )
    y = floor.y + TITLE
    for row in _rows(floor):
        height = _row_height(row, imports)
        for column, name in enumerate(row):
            x = floor.x + GAP + column * (ROOM + GAP)
            yield _box("room", x, y, ROOM, height)
            yield _text(x + 10, y + 20, name.removeprefix("flipper."), "name")
            for line, text in enumerate(_small_text(imports[name])):
                yield _text(x + 10, y + 38 + line * LINE, text)
        y += height + GAP


def _arrows(
    band: tuple[int, ...], imports: dict[str, set[str]], y: float
) -> Iterator[str]:
    """Draw an arrow down into a band, with the floors that import rooms of it."""
    importers = {
        FLOORS[name]
        for name, targets in imports.items()
        if FLOORS[name] not in band and any(FLOORS[t] in band for t in targets)
    }
    if not importers:
        return
    top, tip = y - ALLEY + 2, y - 2
    x = WIDTH / 2
    yield f'<path class="arrow" d="M{x:g} {top:g}V{tip - 6:g}"/>'
    yield f'<path class="head" d="M{x - 6:g} {tip - 8:g}h12l-6 8z"/>'
    who = ", ".join(TITLES[floor][0].lower() for floor in sorted(importers))
    yield _text(x + 14, y - 10, f"imported by {who}")


def _wall(x: float, y: float, bottom: float) -> Iterator[str]:
    """Draw that two floors of a band import nothing of each other."""
    yield f'<path class="wall" d="M{x:g} {y:g}V{bottom:g}"/>'


def _box(kind: str, x: float, y: float, width: float, height: float) -> str:
    return (
        f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" '
        f'height="{height:g}" rx="6"/>'
    )


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    style = f' class="{kind}"' if kind else ""
    return f'<text{style} x="{x:g}" y="{y:g}">{escape(text)}</text>'


if __name__ == "__main__":
    PICTURE.write_text(svg(imported_rooms(ROOT)), encoding="utf-8")
