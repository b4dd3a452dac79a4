# SPDX-License-Identifier: Apache-2.0
"""Measures the longest questions while the store works in the background.

One thread asks without a pause, and notes the duration of each question. In a loop of
this kind, the machine interrupts a question now and then, whatever else the process
does. So the same loop runs in the same way without a store, over a dict. And for long
questions, the system says how long the threads of this process have run meanwhile
(Linux only): the asking one, whose CPU time is read after each question, and all others
together, whose CPU times are read for each hundred questions.

A long question is this process's own if its threads have run for longer than that, less
the time that the host of a virtual machine has stolen: they decoded flags, held the
interpreter, or collected garbage. Otherwise the machine explains it: there was no
processor for the process. Since threads may also run at the same time, and the time of
the others is that of a hundred questions, more are counted as own than are.

The process has a real-time priority if it may have it (Linux, as root), so that other
programs hardly disturb it.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from collections import deque
from contextlib import contextmanager, suppress
from pathlib import Path
from time import perf_counter_ns, sleep, thread_time_ns
from typing import TYPE_CHECKING, Any, Final

from .databases import connect, documents, names
from .start import check_all, read_all_each_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Self

ASKED: Final = 1000  # flags
BLOCK: Final = 100  # questions between two looks at the times of the other threads
KEPT: Final = 10  # long questions that the figures describe
LONG: Final = 5_000_000  # nanoseconds
CHANGES: Final = 1000  # a second
POLL_INTERVAL: Final = 1.0  # seconds, while all flags are read again and again
_TASKS: Final = Path("/proc/self/task")
_STAT: Final = Path("/proc/stat")


def measure(url: str, flags: int, questions: int) -> dict[str, Any]:
    """Return the longest questions of each kind of work.

    Args:
        url: an empty database.
        flags: the number of flags.
        questions: how many questions to ask during each kind of work.
    """
    from flipper import FeatureFlagClient, SyncedFeatureFlagStore, store_from_url

    with suppress(AttributeError, OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    figures: dict[str, Any] = {}
    asked = names(flags)[:: max(1, flags // ASKED)]
    table = dict.fromkeys(asked, True)

    def look_up(name: str, **arguments: object) -> bool:
        return bool(arguments) and table[name]

    figures["without a store"] = _ask(look_up, asked, questions)
    with store_from_url(url) as inner:
        connect(url).write(documents(flags))

        def load_again() -> None:
            SyncedFeatureFlagStore(inner, start_timeout=60).close()

        with SyncedFeatureFlagStore(inner, start_timeout=60) as store:
            ask = FeatureFlagClient(store).is_enabled
            check_all(store)
            figures["idle"] = _ask(ask, asked, questions)
            with _repeating(load_again) as count:
                figures["while loading"] = _ask(ask, asked, questions)
            figures["while loading"]["loads"] = count()
        read_all_each_interval()
        for kind in ("while reconciling", "with changes", "reconciling with changes"):
            interval = 1e6 if kind == "with changes" else POLL_INTERVAL
            with SyncedFeatureFlagStore(
                inner, start_timeout=60, poll_interval=interval
            ) as store:
                ask = FeatureFlagClient(store).is_enabled
                before = store.status().revision
                with _changing(url, flags, is_active="changes" in kind):
                    figures[kind] = _ask(ask, asked, questions)
                figures[kind]["changes seen"] = store.status().revision - before
    return figures


def _ask(
    ask: Callable[..., object], asked: list[str], questions: int
) -> dict[str, Any]:
    """Ask many questions; return what the longest ones were."""
    longest = 0
    long: list[dict[str, float]] = []
    # What a program has imported is its own, and is walked through once in any case.
    gc.collect()
    began = perf_counter_ns()
    blocks = [asked[first : first + BLOCK] for first in range(0, len(asked), BLOCK)]
    with _Collections() as collections:
        for number in range(questions // BLOCK):
            others, stolen = _other_threads(), _stolen()
            ran_before, begin = thread_time_ns(), perf_counter_ns()
            for name in blocks[number % len(blocks)]:
                ask(name, plan="pro", seats=11)
                end, ran = perf_counter_ns(), thread_time_ns()
                longest = max(longest, end - begin)
                if end - begin > LONG:
                    one = {
                        "ms": end - begin,
                        "asking thread ran": ran - ran_before,
                        "other threads ran": _run_since(others),
                        "collecting garbage": collections.within(begin, end),
                        "stolen": _stolen() - stolen,
                    }
                    long.append(
                        {key: round(each / 1e6, 2) for key, each in one.items()}
                    )
                ran_before, begin = thread_time_ns(), perf_counter_ns()
    own = [one for one in long if _is_own(one)]
    return {
        "questions": questions // BLOCK * BLOCK,
        "longest ms": round(longest / 1e6, 2),
        "over 5 ms": len(long),
        "own": len(own),
        "machine's": len(long) - len(own),
        "own, collecting garbage": sum(one["collecting garbage"] > 0 for one in own),
        "seconds": round((perf_counter_ns() - began) / 1e9, 1),
        "each": sorted(long, key=lambda one: -one["ms"])[:KEPT],
    }


def _is_own(one: dict[str, float]) -> bool:
    ran = one["asking thread ran"] + one["other threads ran"]
    return ran - one["stolen"] > LONG / 1e6


class _Collections:
    """Notes when garbage is collected, by whatever thread."""

    def __init__(self) -> None:
        self._began = 0
        # A block of questions takes less time than so many collections.
        self._last: deque[tuple[int, int]] = deque(maxlen=100)

    def __enter__(self) -> Self:
        """Begin to note."""
        gc.callbacks.append(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop noting."""
        gc.callbacks.remove(self._note)

    def within(self, begin: int, end: int) -> int:
        """Return the nanoseconds of collections between two times."""
        overlaps = (min(end, last) - max(begin, first) for first, last in self._last)
        return sum(max(0, each) for each in overlaps)

    def _note(self, phase: str, _: object) -> None:
        now = perf_counter_ns()
        if phase == "start":
            self._began = now
        else:
            self._last.append((self._began, now))


def _other_threads() -> dict[str, int]:
    """Return the nanoseconds that each thread but this one has run so far."""
    found = {}
    own = str(threading.get_native_id())
    for task in _TASKS.iterdir() if _TASKS.exists() else ():
        if task.name != own:
            with suppress(OSError):  # it has ended
                found[task.name] = int((task / "schedstat").read_text().split()[0])
    return found


def _run_since(before: dict[str, int]) -> int:
    """Return the nanoseconds that other threads have run since then."""
    return sum(ran - before.get(task, 0) for task, ran in _other_threads().items())


def _stolen() -> int:
    """Return the nanoseconds so far in which the host let no virtual processor run."""
    if not _STAT.exists():
        return 0
    with _STAT.open() as file:
        ticks = int(file.readline().split()[8])
    return ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


@contextmanager
def _repeating(task: Callable[[], object]) -> Iterator[Callable[[], int]]:
    """Repeat a task in a thread; give a function that says how often it was done."""
    done: list[None] = []
    is_over = threading.Event()

    def run() -> None:
        while not is_over.is_set():
            task()
            done.append(None)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield lambda: len(done)
    finally:
        is_over.set()
        thread.join()


@contextmanager
def _changing(url: str, flags: int, *, is_active: bool) -> Iterator[None]:
    """Let another process change flags."""
    if not is_active:
        yield
        return
    command = [sys.executable, "-m", "benchmarks.scale.writer", url, str(flags)]
    with subprocess.Popen([*command, str(CHANGES)]) as writer:  # noqa: S603
        try:
            sleep(0.5)
            yield
        finally:
            writer.kill()
