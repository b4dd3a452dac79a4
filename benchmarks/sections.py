# SPDX-License-Identifier: Apache-2.0
"""The sections of the benchmark.

In each section the contenders take turns, slice by slice and round by round, so that a
slow moment of the machine affects all of them. A section returns its figures by row and
contender; `value` is the median of all rounds.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from .contenders import ENTRIES
from .process import Child, ChildError, environment
from .workloads import FLAGS, IN_MEMORY, IN_STORES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    Pythons = dict[str, Path]
    Figures = dict[str, dict[str, dict[str, Any]]]
    Task = Callable[[], list[float]]

THREADS = (1, 2, 4, 8)
SCALED = ("on_off", "checks", "seen_user")
# What is measured for all libraries that keep their flags in memory.
COMPARED = "checks"
COMPARED_SIZES = (1000, 10_000, 100_000)


class Effort(NamedTuple):
    """The numbers of rounds, and the numbers of flags for the section on scaling."""

    in_memory: int
    imports: int
    stores: int
    scaling: int
    sizes: tuple[int, ...]


FULL = Effort(
    in_memory=40,
    imports=25,
    stores=20,
    scaling=15,
    sizes=(10, 100, 1000, 10_000, 100_000),
)
QUICK = Effort(
    in_memory=10,
    imports=5,
    stores=3,
    scaling=3,
    sizes=(10, 1000, 100_000),
)


def in_memory(pythons: Pythons, rounds: int) -> Figures:
    """Measure the workloads on flags in memory, as multiples of the limit."""
    with _children(pythons) as children:
        turns = RoundRobin("in memory")
        for key, child in children.items():
            for row in IN_MEMORY:
                workload = {"table": "memory", "key": row, "flags": FLAGS}
                turns.add(row, key, child, workload, module=ENTRIES[key].module)
        return turns.run(rounds)


def imports(pythons: Pythons, rounds: int) -> Figures:
    """Measure the processor time of a program's imports, in seconds."""
    turns = RoundRobin("imports")
    for key, python in pythons.items():
        turns.tasks["import", key] = _import(python, ENTRIES[key].program)
    turns.run(1)  # not measured: it compiles to bytecode
    return turns.run(rounds)


def memory(pythons: Pythons, counts: Iterable[int]) -> Figures:
    """Measure the bytes of one flag, for each number of flags."""
    figures: Figures = {}
    for size in counts:
        row = figures[str(size)] = {}
        for key, python in pythons.items():
            print_progress(f"memory: {ENTRIES[key].title}, {size} flags")
            # A new process each time, because freed memory would be used again.
            with Child(python) as child:
                try:
                    found = child.ask("memory", module=ENTRIES[key].module, flags=size)
                except ChildError as error:
                    row[key] = {"note": str(error)}
                else:
                    row[key] = {"value": found} if found is not None else {}
    return figures


def store(
    name: str, pythons: Pythons, addresses: Iterator[str], rounds: int
) -> Figures:
    """Measure a store, as multiples of the bare operation.

    Args:
        name: as in `IN_STORES`.
        pythons: the interpreters of the contenders.
        addresses: the addresses of empty databases.
        rounds: how many slices to measure.
    """
    flags, workloads = IN_STORES[name]
    with _children(pythons) as children:
        turns = RoundRobin(name)
        for key, child in children.items():
            for row in workloads:
                workload = {"table": name, "key": row, "flags": flags}
                place = {"module": f"{name}_store", "address": next(addresses)}
                turns.add(row, key, child, workload, **place)
        return turns.run(rounds)


def sizes(
    pythons: Pythons,
    counts: Iterable[int],
    rounds: int,
    rows: Iterable[str] = SCALED,
) -> Figures:
    """Measure evaluations for each number of flags, as multiples of the limit."""
    with _children(pythons) as children:
        turns = RoundRobin("sizes")
        for key, child in children.items():
            for row in rows:
                for size in counts:
                    workload = {"table": "memory", "key": row, "flags": size}
                    module = ENTRIES[key].module
                    turns.add(f"{row} {size}", key, child, workload, module=module)
        return turns.run(rounds)


def threads(pythons: Pythons, rounds: int) -> Figures:
    """Measure the evaluations per second that several threads make together."""
    with _children(pythons) as children:
        turns = RoundRobin("threads")
        for key, child in children.items():
            for row in SCALED:
                workload = {"table": "memory", "key": row, "flags": FLAGS}
                child.ask("prepare", module=ENTRIES[key].module, **workload)
                for count in THREADS:
                    task = _asking(child, "throughput", threads=count, **workload)
                    turns.tasks[f"{row} {count}", key] = task
        return turns.run(rounds)


def print_progress(progress: str) -> None:
    """Print a line of progress to standard error."""
    sys.stderr.write(f"{progress}\n")
    sys.stderr.flush()


class RoundRobin:
    """Runs the tasks of all contenders in turn, round after round.

    Attributes:
        tasks: by row and contender; each returns a figure.
        notes: by row and contender; that answers are wrong, or an error.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self.tasks: dict[tuple[str, str], Task] = {}
        self.notes: dict[tuple[str, str], str] = {}

    def add(
        self, row: str, key: str, child: Child, workload: dict[str, Any], **how: str
    ) -> None:
        """Prepare a workload, and add a task for it if the contender supports it."""
        print_progress(f"{self._title}: preparing {ENTRIES[key].title}, {row}")
        try:
            wrong = child.ask("prepare", **workload, **how)
        except ChildError as error:
            self.notes[row, key] = str(error)
            return
        if wrong is not None:
            self.notes[row, key] = wrong and f"wrong: {wrong}"
            self.tasks[row, key] = _asking(child, "slice", **workload)

    def run(self, rounds: int) -> Figures:
        """Run every task once in each round, and return the medians."""
        found: dict[tuple[str, str], list[list[float]]] = {
            task: [] for task in self.tasks
        }
        for number in range(rounds):
            if number % 5 == 0:
                print_progress(f"{self._title}: round {number + 1} of {rounds}")
            for task in [*self.tasks]:
                try:
                    found[task].append(self.tasks[task]())
                except ChildError as error:
                    self.notes[task] = str(error)
                    del self.tasks[task]
        figures: Figures = {}
        for row, key in found | self.notes:
            figure = figures.setdefault(row, {})[key] = {}
            if found.get((row, key)):
                figure |= _summary(found[row, key])
            if self.notes.get((row, key)):
                figure["note"] = self.notes[row, key]
        return figures


def _summary(found: list[list[float]]) -> dict[str, Any]:
    """Return the median and the quartiles of a figure, and the medians of its times."""
    values, *times = zip(*found, strict=True)
    low, value, high = statistics.quantiles(values, n=4) if values[1:] else values * 3
    summary = {"value": value, "low": low, "high": high, "rounds": len(values)}
    for name, seconds in zip(("work", "limit"), times, strict=False):
        summary[f"{name}, ns"] = statistics.median(seconds) * 1e9
    return summary


@contextlib.contextmanager
def _children(pythons: Pythons) -> Iterator[dict[str, Child]]:
    with contextlib.ExitStack() as stack:
        yield {k: stack.enter_context(Child(python)) for k, python in pythons.items()}


def _import(python: Path, program: str) -> Task:
    def seconds(source: str) -> float:
        command = [python, "-I", "-c", source]
        with subprocess.Popen(command, env=environment()) as process:  # noqa: S603
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise ChildError(f"the imports ended with {process.returncode}")
        return used.ru_utime + used.ru_stime

    return lambda: [seconds(program) - seconds("")]


def _asking(child: Child, command: str, **arguments: Any) -> Task:
    return lambda: child.ask(command, **arguments)
