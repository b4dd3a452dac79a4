# SPDX-License-Identifier: Apache-2.0
"""Measures a synchronised store of many flags: `python -m benchmarks.scale`.

Each store and number of flags is measured in a process of its own. `--measure` selects
what: "start" the CPU time of the start as a multiple of reading the documents alone, in
turns, and the memory of a flag; "idle" the CPU time of a process that does nothing;
"traffic" its requests and bytes; "propagation" the time until another process has a
change; "pauses" the longest questions while the store works in the background. The last
two are measured with the most flags only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

from ..environments import ROOT
from ..report import print_section
from ..sections import print_progress
from . import databases, idle, pauses, propagation, start, traffic

SIZES: Final = (1000, 10_000, 100_000)
STORES: Final = ("sqlite", "postgresql", "redis")
# Idle processes do not disturb each other, so that all stores are measured together.
TOGETHER: Final = ("idle", "traffic")
WITH_MOST_FLAGS: Final = ("propagation", "pauses")
KINDS: Final = ("start", *TOGETHER, *WITH_MOST_FLAGS)
IDLE: Final = {"idle": 60.0, "traffic": 20.0}  # seconds
IDLE_WITH_MOST_FLAGS: Final = 300.0


def main() -> None:
    """Measure what the command line selects, and print it."""
    arguments = _arguments()
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    if arguments.url:
        sys.stdout.write(json.dumps(_measure(arguments)))
        return
    print_section("scale", _figures(arguments), as_json=arguments.json)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale")
    parser.add_argument("--store", action="append", choices=STORES)
    parser.add_argument("--flags", action="append", type=int)
    parser.add_argument("--measure", action="append", choices=KINDS)
    parser.add_argument(
        *("--idle",),
        type=float,
        help="seconds; 60, or 300 with the most flags, and 20 for traffic",
    )
    parser.add_argument("--questions", type=int, default=5_000_000)
    parser.add_argument("--json", action="store_true", help="print no tables")
    parser.add_argument("--url", help=argparse.SUPPRESS)
    return parser.parse_args()


def _figures(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the figures by store, number of flags and kind."""
    figures: dict[str, Any] = {}
    for name in arguments.store or STORES:
        missing = databases.missing(name)
        figures[name] = {"absent": missing} if missing else {}
    stores = [name for name in figures if not figures[name]]
    sizes = sorted(arguments.flags or SIZES)
    for kind in arguments.measure or KINDS:
        for flags in sizes[-1:] if kind in WITH_MOST_FLAGS else sizes:
            seconds = arguments.idle
            if seconds is None:
                is_longest = kind == "idle" and flags == sizes[-1]
                seconds = IDLE_WITH_MOST_FLAGS if is_longest else IDLE.get(kind, 0.0)
            measure = partial(_in_child, kind, flags, seconds, arguments.questions)
            workers = max(1, len(stores)) if kind in TOGETHER else 1
            with ThreadPoolExecutor(workers) as pool:
                for name, found in zip(stores, pool.map(measure, stores), strict=True):
                    figures[name].setdefault(str(flags), {})[kind] = found
    return figures


def _measure(arguments: argparse.Namespace) -> Any:
    url, (flags,), (kind,) = arguments.url, arguments.flags, arguments.measure
    if kind == "pauses":
        return pauses.measure(url, flags, arguments.questions)
    if kind == "propagation":
        return propagation.measure(url, flags)
    if kind == "traffic":
        return traffic.measure(url, flags, arguments.idle)
    if kind == "idle":
        return idle.measure(url, flags, arguments.idle)
    return start.measure(url, flags)


def _in_child(kind: str, flags: int, idle: float, questions: int, store: str) -> Any:
    """Measure one store in a process of its own."""
    print_progress(f"scale: {kind}, {store}, {flags} flags")
    with databases.start(store) as url:
        options = {
            "url": url,
            "flags": flags,
            "measure": kind,
            "idle": idle,
            "questions": questions,
        }
        given = [part for key, value in options.items() for part in (f"--{key}", value)]
        command = [sys.executable, "-m", "benchmarks.scale", *map(str, given)]
        found = subprocess.run(command, check=True, stdout=-1, cwd=ROOT)  # noqa: S603
    return json.loads(found.stdout)


if __name__ == "__main__":
    main()
