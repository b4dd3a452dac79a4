# SPDX-License-Identifier: Apache-2.0
"""Measures all contenders, prints the tables, and draws the chart: `make bench`."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any

from . import chart, chart_of_sizes, report, sections
from .contenders import ENTRIES, PUBLISHED, THIS
from .environments import ROOT, InstallError, interpreter, is_installed
from .process import Child
from .sections import FULL, QUICK, print_progress

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RESULTS = ROOT / "benchmarks" / "results.json"
CHART = ROOT / "docs" / "benchmark.svg"
CHART_OF_SIZES = ROOT / "docs" / "benchmark-flags.svg"
SECTIONS = ("memory", "stores", "frameworks", "scaling", "scale", "fleet")
# Only these need the environments of the contenders.
OF_CONTENDERS = ("memory", "stores", "scaling")
# These take most of an hour, and a quick run measures them only if they are selected.
LONG_SECTIONS = ("scale", "fleet")
QUICK_OPTIONS = {
    "scale": ("--flags=1000", "--idle=2", "--questions=100000"),
    "fleet": ("--followers=20", "--idle=5"),
}


def main() -> None:
    """Measure what the command line selects, or print the last results again."""
    arguments = _arguments()
    if arguments.again:
        results = json.loads(RESULTS.read_text())
    else:
        results = _measure(arguments)
        RESULTS.write_text(json.dumps(results, indent=1))
    sys.stdout.write(report.tables(results))
    all_measured = len(results["titles"]) + len(results["absent"]) == len(ENTRIES)
    if all_measured and "memory" in results:
        CHART.write_text(chart.svg(results))
    if all_measured and "others" in results:
        CHART_OF_SIZES.write_text(chart_of_sizes.svg(results))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        *("--quick",),
        action="store_true",
        help="fewer rounds, no chart, no other libraries, except for the published "
        "flipper-client if it is installed already, and no scale and fleet, unless "
        "--section selects them",
    )
    parser.add_argument(
        *("--again",),
        action="store_true",
        help="print and draw the last results, without measuring",
    )
    parser.add_argument(
        *("--section",),
        action="append",
        choices=SECTIONS,
        help="measure only this section; may be given several times",
    )
    parser.add_argument(
        *("--contender",),
        action="append",
        choices=[*ENTRIES],
        help="measure only this contender; may be given several times",
    )
    return parser.parse_args()


def _measure(arguments: argparse.Namespace) -> dict[str, Any]:
    begin = time.monotonic()
    effort = QUICK if arguments.quick else FULL
    wanted = arguments.section or SECTIONS
    if arguments.quick and not arguments.section:
        wanted = [section for section in SECTIONS if section not in LONG_SECTIONS]
    pythons: dict[str, Path] = {}
    absent: dict[str, str] = {}
    if not set(OF_CONTENDERS).isdisjoint(wanted):
        pythons, absent = _installed(arguments)
    ours = {key: pythons[key] for key in (THIS, PUBLISHED) if key in pythons}
    results: dict[str, Any] = {
        "machine": report.machine(),
        "titles": {key: _title(key, python) for key, python in pythons.items()},
        "absent": absent,
    }
    if "memory" in wanted:
        results["memory"] = sections.in_memory(pythons, effort.in_memory)
        results["import"] = sections.imports(pythons, effort.imports)
        results["bytes"] = sections.memory(pythons, [sections.FLAGS])
    if "stores" in wanted and ours:
        results["stores"] = _stores(ours, effort.stores)
    if "frameworks" in wanted:
        print_progress("frameworks")
        results["frameworks"] = _run("frameworks")
    if "scaling" in wanted and ours:
        scaled = {THIS: ours[THIS]} if arguments.quick and THIS in ours else ours
        results["sizes"] = sections.sizes(scaled, effort.sizes, effort.scaling)
        results["threads"] = sections.threads(scaled, effort.scaling)
        results["sizes of memory"] = sections.memory(scaled, effort.sizes)
        others = {key: python for key, python in pythons.items() if key not in ours}
        if others:
            sizes, row = sections.COMPARED_SIZES, sections.COMPARED
            results["others"] = {
                "calls": sections.sizes(others, sizes, effort.scaling, [row]),
                "bytes": sections.memory(others, sizes),
            }
    for section in LONG_SECTIONS:
        if section in wanted:
            quick = QUICK_OPTIONS[section] if arguments.quick else ()
            results[section] = _run(section, "--json", *quick)
    print_progress(f"done in {time.monotonic() - begin:.0f} s")
    return results


def _run(program: str, *options: str) -> dict[str, Any]:
    """Return the figures of a program of its own."""
    command = [sys.executable, "-m", f"benchmarks.{program}", *options]
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=ROOT)  # noqa: S603  (its own)
    return json.loads(found.stdout)  # type: ignore[no-any-return]


def _installed(arguments: argparse.Namespace) -> tuple[dict[str, Path], dict[str, str]]:
    """Return the interpreters of the contenders, and why others are not installed."""
    pythons, absent = {}, {}
    for key in arguments.contender or ENTRIES:
        entry = ENTRIES[key]
        if arguments.quick and not arguments.contender and key != THIS:
            if key != PUBLISHED:
                continue
            if not is_installed(key, entry):
                absent[key] = "not installed; `make bench` installs it"
                continue
        print_progress(
            f"installing {entry.title}" if not is_installed(key, entry) else entry.title
        )
        try:
            pythons[key] = interpreter(key, entry)
        except InstallError as error:
            absent[key] = f"cannot be installed: {error}"
    return pythons, absent


def _title(key: str, python: Path) -> str:
    entry = ENTRIES[key]
    if key == THIS:
        return entry.title
    with Child(python) as child:
        return f"{entry.title} {child.ask('version', distribution=entry.distribution)}"


def _stores(ours: dict[str, Path], rounds: int) -> dict[str, Any]:
    sys.path.append(str(ROOT / "tests"))
    from servers import PostgresServer, RedisServer
    from servers.process import ServerMissingError

    figures: dict[str, Any] = {}
    for name, kind in (("redis", RedisServer), ("postgresql", PostgresServer)):
        try:
            with kind() as server, contextlib.ExitStack() as stack:
                addresses = _empty_databases(name, server, stack)
                figures[name] = sections.store(name, ours, addresses, rounds)
        except ServerMissingError as error:
            figures[name] = {"absent": str(error)}
    if THIS in ours:  # the published library has neither of these
        mine = {THIS: ours[THIS]}
        with tempfile.TemporaryDirectory() as folder:
            paths = (f"{folder}/{number}.db" for number in itertools.count())
            figures["sqlite"] = sections.store("sqlite", mine, paths, rounds)
        domains = (f"domain-{number}" for number in itertools.count())
        figures["openfeature"] = sections.store("openfeature", mine, domains, rounds)
    return figures


def _empty_databases(
    name: str, server: Any, stack: contextlib.ExitStack
) -> Iterator[str]:
    if name == "redis":
        return (f"redis://{server.host}:{server.port}/{n}" for n in range(16))
    return iter(lambda: stack.enter_context(server.scratch_database()), None)


if __name__ == "__main__":
    main()
