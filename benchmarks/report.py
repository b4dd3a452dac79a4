# SPDX-License-Identifier: Apache-2.0
"""Makes tables in Markdown of the results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .sections import COMPARED, COMPARED_SIZES, SCALED, THREADS
from .workloads import FLAGS, IN_MEMORY, IN_STORES

if TYPE_CHECKING:
    from collections.abc import Iterable

IMPORT_GOAL = 20  # milliseconds
BYTES_GOAL = 700
NO_FIGURE = "-"
STORES = {
    "redis": "Redis",
    "postgresql": "PostgreSQL",
    "sqlite": "SQLite",
    "openfeature": "OpenFeature",
}


def tables(results: dict[str, Any]) -> str:
    """Return a table of every section that has results."""
    report = _Report(results)
    if "memory" in results:
        report.in_memory()
    if "stores" in results:
        report.stores()
    if "frameworks" in results:
        report.frameworks()
    if "sizes" in results:
        report.scaling()
    if "others" in results:
        report.others()
    return report.text()


class _Report:
    def __init__(self, results: dict[str, Any]) -> None:
        self._results = results
        self._titles: dict[str, str] = results["titles"]
        self._parts = [f"Measured on {results['machine']}."]
        self._notes = [f"{key}: {why}" for key, why in results["absent"].items()]

    def text(self) -> str:
        notes = ["", *(f"* {note}" for note in self._notes)] if self._notes else []
        return "\n".join([*self._parts, *notes]) + "\n"

    def in_memory(self) -> None:
        results = self._results
        self._heading("Multiples of the limit, 1,000 flags in memory")
        rows = [
            [
                load.title,
                load.goal or "-",
                *self._cells(load.title, results["memory"].get(key, {})),
            ]
            for key, load in IN_MEMORY.items()
        ]
        title = "import, ms more than an empty program"
        cells = self._cells(title, results["import"]["import"], factor=1000)
        rows.append([title, IMPORT_GOAL, *cells])
        title = "bytes per flag with one condition"
        cells = self._cells(title, results["bytes"][str(FLAGS)])
        rows.append([title, BYTES_GOAL, *cells])
        self._table(["", "goal", *self._titles.values()], rows)

    def stores(self) -> None:
        self._heading("Multiples of the bare operation on an open connection")
        ours = [key for key in ("this", "published") if key in self._titles]
        rows = []
        for name, found in self._results["stores"].items():
            if "absent" in found:
                self._notes.append(f"{STORES[name]}: {found['absent']}")
                continue
            count, workloads = IN_STORES[name]
            for key, load in workloads.items():
                title = f"{STORES[name]} {load.title}"
                title += f" {count:,}" if key.startswith("list") else ""
                cells = self._cells(title, found.get(key, {}), ours)
                rows.append([title, load.goal or "-", *cells])
        self._table(["", "goal", *(self._titles[key] for key in ours)], rows)

    def frameworks(self) -> None:
        self._heading("Requests of frameworks, in microseconds")
        found = self._results["frameworks"]
        rows = [[title, number(value)] for title, value in found.items()]
        self._table(["", "microseconds"], rows)

    def scaling(self) -> None:
        results = self._results
        sizes = [int(size) for size in results["sizes of memory"]]
        ours = [*results["sizes"][f"{SCALED[0]} {sizes[0]}"]]
        self._heading("Multiples of the limit, by the number of flags")
        self._table(
            ["", *(f"{size:,}" for size in sizes)],
            [
                [self._row(row, key), *self._across(results["sizes"], row, sizes, key)]
                for row in SCALED
                for key in ours
            ]
            + [["the limit, ns", *self._limits(sizes, ours[0])]],
        )
        self._heading("Bytes per flag with one condition, by the number of flags")
        found = results["sizes of memory"]
        self._table(
            ["", *(f"{size:,}" for size in sizes)],
            [
                [self._titles[key], *(_cell(found[str(n)].get(key, {})) for n in sizes)]
                for key in ours
            ],
        )
        self._heading("Millions of evaluations per second, by the number of threads")
        self._table(
            ["", *map(str, THREADS)],
            [
                [
                    self._row(row, key),
                    *self._across(results["threads"], row, THREADS, key, 1e-6),
                ]
                for row in SCALED
                for key in ours
            ],
        )

    def others(self) -> None:
        found = self._results["others"]
        title = IN_MEMORY[COMPARED].title
        self._heading(f"Other libraries, by the number of flags: {title}")
        self._table(
            ["", *(f"{size:,}" for size in COMPARED_SIZES)],
            [
                [title, *self._across(found["calls"], COMPARED, COMPARED_SIZES, key)]
                for key, title in self._titles.items()
                if key in found["calls"].get(f"{COMPARED} {COMPARED_SIZES[0]}", {})
            ],
        )
        self._heading("Other libraries, by the number of flags: bytes per flag")
        self._table(
            ["", *(f"{size:,}" for size in COMPARED_SIZES)],
            [
                [
                    self._titles[key],
                    *(_cell(found["bytes"][str(n)][key]) for n in COMPARED_SIZES),
                ]
                for key in found["bytes"][str(COMPARED_SIZES[0])]
            ],
        )

    def _limits(self, sizes: list[int], key: str) -> list[str]:
        found = (self._results["sizes"][f"{SCALED[0]} {size}"][key] for size in sizes)
        return [number(figure["limit, ns"]) for figure in found]

    def _row(self, row: str, key: str) -> str:
        return f"{IN_MEMORY[row].title}: {self._titles[key]}"

    def _across(
        self,
        figures: dict[str, Any],
        row: str,
        counts: Iterable[int],
        key: str,
        factor: float = 1,
    ) -> list[str]:
        return [_cell(figures[f"{row} {n}"].get(key, {}), factor) for n in counts]

    def _cells(
        self,
        title: str,
        figures: dict[str, Any],
        keys: Iterable[str] = (),
        factor: float = 1,
    ) -> list[str]:
        cells = []
        for key in keys or self._titles:
            figure = figures.get(key, {})
            cells.append(_cell(figure, factor))
            if "note" in figure:
                self._notes.append(f"{title}, {self._titles[key]}: {figure['note']}")
        return cells

    def _heading(self, text: str) -> None:
        self._parts.append(f"\n### {text}\n")

    def _table(self, header: list[str], rows: list[list[Any]]) -> None:
        lines = [[str(cell) for cell in row] for row in (header, *rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        ruler = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
        lines.insert(1, ruler)
        for line in lines:
            first, *others = zip(line, widths, strict=True)
            cells = [first[0].ljust(first[1]), *(c.rjust(w) for c, w in others)]
            self._parts.append(f"| {' | '.join(cells)} |")


def _cell(figure: dict[str, Any], factor: float = 1) -> str:
    if "value" not in figure:
        return NO_FIGURE
    value = figure["value"] * factor
    shown = number(value)
    return f"{shown}*" if "note" in figure else shown


def number(value: float) -> str:
    """Return a figure with about three significant digits."""
    digits = 2 if value < 10 else 1 if value < 100 else 0  # noqa: PLR2004
    return f"{value:.{digits}f}"
