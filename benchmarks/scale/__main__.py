# SPDX-License-Identifier: Apache-2.0
"""Measures a synchronised store of many flags: `python -m benchmarks.scale`.

Each store and number of flags is measured in a process of its own. `--measure` selects
what: "start" the CPU time of the start as a multiple of reading the documents alone, in
turns, the memory of a flag, and the CPU time of a process that does nothing; "pauses"
the longest questions while the store works in the background; "propagation" the time
until another process has a change; "traffic" the requests and bytes of a process that
does nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from . import databases, pauses, propagation, start, traffic

ROOT: Final = Path(__file__).resolve().parent.parent.parent
KINDS: Final = ("start", "pauses", "propagation", "traffic")
STORES: Final = ("sqlite", "postgresql", "redis")


def main() -> None:
    """Measure all that the command line selects, and print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale")
    parser.add_argument("--store", action="append", choices=STORES)
    parser.add_argument("--flags", action="append", type=int)
    parser.add_argument("--measure", default="start", choices=KINDS)
    parser.add_argument("--idle", type=float, default=60.0, help="seconds")
    parser.add_argument("--questions", type=int, default=5_000_000)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    if arguments.url:
        (flags,) = arguments.flags
        sys.stdout.write(json.dumps(_measure(arguments, flags)))
        return
    for name in arguments.store or STORES:
        for flags in arguments.flags or (1000, 10_000, 100_000):
            with databases.start(name) as url:
                figures = _in_child(arguments, url, flags)
            sys.stdout.write(f"{name}, {flags} flags: {json.dumps(figures)}\n")
            sys.stdout.flush()


def _measure(arguments: Any, flags: int) -> dict[str, Any]:
    url, kind = arguments.url, arguments.measure
    if kind == "pauses":
        return pauses.measure(url, flags, arguments.questions)
    if kind == "propagation":
        return propagation.measure(url, flags)
    if kind == "traffic":
        return traffic.measure(url, flags, arguments.idle)
    return start.measure(url, flags, arguments.idle)


def _in_child(arguments: Any, url: str, flags: int) -> dict[str, Any]:
    options = {
        "url": url,
        "flags": flags,
        "measure": arguments.measure,
        "idle": arguments.idle,
        "questions": arguments.questions,
    }
    given = [part for key, value in options.items() for part in (f"--{key}", value)]
    command = [sys.executable, "-m", "benchmarks.scale", *map(str, given)]
    found = subprocess.run(command, check=True, stdout=-1, cwd=ROOT)  # noqa: S603
    return json.loads(found.stdout)  # type: ignore[no-any-return]


if __name__ == "__main__":
    main()
