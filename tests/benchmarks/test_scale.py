# SPDX-License-Identifier: Apache-2.0
"""The benchmark of many flags: small runs, and the tables that they print."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from pathlib import Path
from time import sleep, thread_time
from typing import TYPE_CHECKING, Any

from benchmarks.scale import pauses

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

ROOT = Path(__file__).resolve().parents[2]
QUESTIONS = 200
LONG = 0.03  # seconds


def run(*options: str) -> str:
    """Run the benchmark with 50 flags of SQLite, and return what it prints."""
    small = ("--store=sqlite", "--flags=50", "--idle=0.1", "--questions=1000")
    command = [sys.executable, "-m", "benchmarks.scale", *small, *options]
    found = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


def test_the_figures_are_printed_as_tables() -> None:
    """The program alone prints what `make bench` prints for its section."""
    printed = run("--measure=start", "--measure=idle")
    assert printed.startswith("Measured on ")
    assert "### A synchronised store, by the number of flags" in printed
    rows = [
        line.split("|")[1].strip() for line in printed.splitlines() if "SQL" in line
    ]
    assert rows == [
        "start, multiples of the bare bulk read: SQLite",
        "bytes per flag: SQLite",
        "idle, % of a core: SQLite",
        "reading all flags again, ms of CPU time: SQLite",
    ]


def test_every_kind_of_work_is_measured() -> None:
    """Other programs get the figures by store, number of flags and kind, as JSON."""
    (found,) = json.loads(run("--measure=pauses", "--json"))["sqlite"].values()
    assert [*found["pauses"]] == [
        "without a store",
        "idle",
        "while loading",
        "while reconciling",
        "with changes",
        "reconciling with changes",
    ]
    for kind in found["pauses"].values():
        assert kind["questions"] == 1000
        assert kind["over 5 ms"] == kind["own"] + kind["machine's"]
    assert found["pauses"]["while loading"]["loads"] > 0


def compute() -> None:
    """Use the processor for some time."""
    end = thread_time() + LONG
    while thread_time() < end:
        pass


def ask(task: Callable[[], object]) -> Any:
    """Ask 200 questions, two of which take long; return what was found."""
    asked = iter(range(QUESTIONS))

    def question(_: str, **arguments: object) -> None:
        if next(asked) % pauses.BLOCK == 0:
            task()

    return pauses._ask(question, ["x"] * pauses.BLOCK, QUESTIONS)


def test_a_question_without_a_processor_is_the_machines() -> None:
    """A long question in which no thread of the process ran is not its own."""
    found = ask(lambda: sleep(LONG))
    assert found["over 5 ms"] >= 2
    assert found["machine's"] >= 2
    assert found["longest ms"] >= LONG * 1000


def test_a_question_that_computes_is_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long question in which a thread of the process ran is its own."""
    monkeypatch.setattr(pauses, "_stolen", lambda: 0)
    found = ask(compute)
    assert found["own"] >= 2
    assert found["own, collecting garbage"] == 0


def test_a_question_during_which_garbage_is_collected_is_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A collection is the process's own, and the figures say that it was one."""
    monkeypatch.setattr(pauses, "_stolen", lambda: 0)
    heap = [[number] for number in range(1_000_000)]
    found = ask(gc.collect)
    assert len(heap) == 1_000_000
    assert found["own"] >= 2
    assert found["own, collecting garbage"] >= 2


def test_stolen_time_is_not_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some systems count the time that the host has stolen as if the thread had run."""
    ticks = iter(range(1_000_000))
    monkeypatch.setattr(pauses, "_stolen", lambda: next(ticks) * 1_000_000_000)
    found = ask(compute)
    assert found["own"] == 0
    assert found["machine's"] >= 2
