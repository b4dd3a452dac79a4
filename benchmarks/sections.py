# SPDX-License-Identifier: Apache-2.0
"""The sections of the benchmark.

In each of them the contenders take turns, slice by slice and round by round: a slow
minute of the machine falls on everybody. A section returns its figures by row and
contender; `value` is the median over the rounds.
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


class Effort(NamedTuple):
    """How often everything is measured, and with how many flags the scaling."""

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
        turns = Turns("in memory")
        for key, child in children.items():
            for row in IN_MEMORY:
                course = {"table": "memory", "key": row, "flags": FLAGS}
                turns.add(row, key, child, course, module=ENTRIES[key].module)
        return turns.take(rounds)


def imports(pythons: Pythons, rounds: int) -> Figures:
    """Measure the processor time that a program's imports add to none, in seconds."""
    turns = Turns("imports")
    for key, python in pythons.items():
        turns.tasks["import", key] = _import(python, ENTRIES[key].program)
    turns.take(1)  # compiles to bytecode
    return turns.take(rounds)


def memory(pythons: Pythons, counts: Iterable[int]) -> Figures:
    """Measure the bytes of one flag, with so many flags."""
    figures: Figures = {}
    for size in counts:
        row = figures[str(size)] = {}
        for key, python in pythons.items():
            tell(f"memory: {ENTRIES[key].title}, {size} flags")
            # A process each: what was freed before would be used again.
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
        name: Redis or PostgreSQL, as in `IN_STORES`.
        pythons: the interpreters.
        addresses: of empty databases.
        rounds: how often.
    """
    flags, workloads = IN_STORES[name]
    with _children(pythons) as children:
        turns = Turns(name)
        for key, child in children.items():
            for row in workloads:
                course = {"table": name, "key": row, "flags": flags}
                place = {"module": f"{name}_store", "address": next(addresses)}
                turns.add(row, key, child, course, **place)
        return turns.take(rounds)


def sizes(pythons: Pythons, counts: Iterable[int], rounds: int) -> Figures:
    """Measure evaluations with more and more flags, as multiples of the limit."""
    with _children(pythons) as children:
        turns = Turns("sizes")
        for key, child in children.items():
            for row in SCALED:
                for size in counts:
                    course = {"table": "memory", "key": row, "flags": size}
                    module = ENTRIES[key].module
                    turns.add(f"{row} {size}", key, child, course, module=module)
        return turns.take(rounds)


def threads(pythons: Pythons, rounds: int) -> Figures:
    """Measure the evaluations per second of threads, all together."""
    with _children(pythons) as children:
        turns = Turns("threads")
        for key, child in children.items():
            for row in SCALED:
                course = {"table": "memory", "key": row, "flags": FLAGS}
                child.ask("prepare", module=ENTRIES[key].module, **course)
                for count in THREADS:
                    task = _asking(child, "throughput", threads=count, **course)
                    turns.tasks[f"{row} {count}", key] = task
        return turns.take(rounds)


def tell(progress: str) -> None:
    """Say on stderr what is going on."""
    sys.stderr.write(f"{progress}\n")
    sys.stderr.flush()


class Turns:
    """Tasks that are done in turn, again and again.

    Attributes:
        tasks: by row and contender, each returns a figure.
        notes: what is to be said of a figure: that the answers are wrong, or an error.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self.tasks: dict[tuple[str, str], Task] = {}
        self.notes: dict[tuple[str, str], str] = {}

    def add(
        self, row: str, key: str, child: Child, course: dict[str, Any], **how: str
    ) -> None:
        """Prepare a workload of a contender, and measure it if it can do that."""
        tell(f"{self._title}: preparing {ENTRIES[key].title}, {row}")
        try:
            wrong = child.ask("prepare", **course, **how)
        except ChildError as error:
            self.notes[row, key] = str(error)
            return
        if wrong is not None:
            self.notes[row, key] = wrong and f"wrong: {wrong}"
            self.tasks[row, key] = _asking(child, "slice", **course)

    def take(self, rounds: int) -> Figures:
        """Do every task once in a round, and return the medians."""
        found: dict[tuple[str, str], list[list[float]]] = {
            task: [] for task in self.tasks
        }
        for number in range(rounds):
            if number % 5 == 0:
                tell(f"{self._title}: round {number + 1} of {rounds}")
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
    """Summarise a figure, and the times it is made of if there are."""
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
