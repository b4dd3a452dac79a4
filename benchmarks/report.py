# SPDX-License-Identifier: Apache-2.0
"""Makes tables in Markdown of the results."""

from __future__ import annotations

import json
import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .report_of_scale import fleet_tables, scale_tables
from .sections import COMPARED, COMPARED_SIZES, SCALED, THREADS
from .table import NO_FIGURE, STORES, Table, number
from .workloads import FLAGS, IN_MEMORY, IN_STORES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

IMPORT_GOAL = 20  # milliseconds
BYTES_GOAL = 700


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
    if "scale" in results:
        report.by_store(results["scale"], scale_tables)
    if "fleet" in results:
        report.by_store(results["fleet"], fleet_tables)
    return report.text()


def print_section(name: str, figures: dict[str, Any], *, as_json: bool) -> None:
    """Print the figures of one section, which was measured alone."""
    if as_json:
        sys.stdout.write(json.dumps(figures))
        return
    results = {"machine": machine(), "titles": {}, "absent": {}, name: figures}
    sys.stdout.write(tables(results))


def machine() -> str:
    """Return what the benchmark runs on."""
    processor = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            processor = line.partition(":")[2].strip()
            break
    implementation = platform.python_implementation()
    return (
        f"{implementation} {platform.python_version()}, {platform.system()}, "
        f"{os.cpu_count()} x {processor}"
    )


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
        self._table(
            "Multiples of the limit, 1,000 flags in memory",
            ["", "goal", *self._titles.values()],
            rows,
        )

    def stores(self) -> None:
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
        self._table(
            "Multiples of the bare operation on an open connection",
            ["", "goal", *(self._titles[key] for key in ours)],
            rows,
        )

    def frameworks(self) -> None:
        found = self._results["frameworks"]
        rows = [[title, number(value)] for title, value in found.items()]
        self._table(
            "Requests of frameworks, in microseconds", ["", "microseconds"], rows
        )

    def scaling(self) -> None:
        results = self._results
        sizes = [int(size) for size in results["sizes of memory"]]
        ours = [*results["sizes"][f"{SCALED[0]} {sizes[0]}"]]
        self._table(
            "Multiples of the limit, by the number of flags",
            ["", *(f"{size:,}" for size in sizes)],
            [
                [self._row(row, key), *self._across(results["sizes"], row, sizes, key)]
                for row in SCALED
                for key in ours
            ]
            + [["the limit, ns", *self._limits(sizes, ours[0])]],
        )
        found = results["sizes of memory"]
        self._table(
            "Bytes per flag with one condition, by the number of flags",
            ["", *(f"{size:,}" for size in sizes)],
            [
                [self._titles[key], *(_cell(found[str(n)].get(key, {})) for n in sizes)]
                for key in ours
            ],
        )
        self._table(
            "Millions of evaluations per second, by the number of threads",
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
        self._table(
            f"Other libraries, by the number of flags: {title}",
            ["", *(f"{size:,}" for size in COMPARED_SIZES)],
            [
                [title, *self._across(found["calls"], COMPARED, COMPARED_SIZES, key)]
                for key, title in self._titles.items()
                if key in found["calls"].get(f"{COMPARED} {COMPARED_SIZES[0]}", {})
            ],
        )
        self._table(
            "Other libraries, by the number of flags: bytes per flag",
            ["", *(f"{size:,}" for size in COMPARED_SIZES)],
            [
                [
                    self._titles[key],
                    *(_cell(found["bytes"][str(n)][key]) for n in COMPARED_SIZES),
                ]
                for key in found["bytes"][str(COMPARED_SIZES[0])]
            ],
        )

    def by_store(
        self,
        figures: dict[str, Any],
        tables_of: Callable[[dict[str, Any]], Iterator[Table]],
    ) -> None:
        """Add tables of the stores that were measured."""
        present = {}
        for name, found in figures.items():
            if "absent" in found:
                self._notes.append(f"{STORES[name]}: {found['absent']}")
            else:
                present[name] = found
        for table in tables_of(present):
            self._parts += table.lines()

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

    def _table(self, title: str, header: list[str], rows: list[list[Any]]) -> None:
        self._parts += Table(title, header, rows).lines()


def _cell(figure: dict[str, Any], factor: float = 1) -> str:
    if "value" not in figure:
        return NO_FIGURE
    value = figure["value"] * factor
    shown = number(value)
    return f"{shown}*" if "note" in figure else shown
