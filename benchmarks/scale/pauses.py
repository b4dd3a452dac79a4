# SPDX-License-Identifier: Apache-2.0
"""Measures the longest questions while the store works in the background.

One thread asks without a pause, and notes the duration of each question. In a loop of
this kind, the operating system interrupts a question now and then, whatever else the
process does. So the same loop runs in the same way without a store, over a dict; and
for long questions, the system says for how long threads of this process were ready to
run but had no processor, and for how long other threads than the asking one have run
(Linux only). The store's part is at most the latter: a question waits while another
thread of the process holds the interpreter. The process has a real-time priority if it
may have it (Linux, as root), so that other programs hardly disturb it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from time import perf_counter_ns, sleep
from typing import TYPE_CHECKING, Any, Final

from .databases import connect, documents, names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ASKED: Final = 1000  # flags
BLOCK: Final = 100  # questions between two looks at the times of the threads
LONG: Final = 5_000_000  # nanoseconds
CHANGES: Final = 1000  # a second
POLL_INTERVAL: Final = 1.0  # seconds, while all flags are read again and again
_TASKS: Final = Path("/proc/self/task")


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
            while store._follower._reader.unchecked:  # noqa: SLF001  (not public)
                sleep(0.1)
            figures["idle"] = _ask(ask, asked, questions)
            with _repeating(load_again) as count:
                figures["while loading"] = _ask(ask, asked, questions)
            figures["while loading"]["loads"] = count()
        reader = "flipper.contrib.synced.reading"
        sys.modules[reader]._MOST_INTERVALS = 1  # type: ignore[attr-defined]  # noqa: SLF001
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
    began = perf_counter_ns()
    blocks = [asked[first : first + BLOCK] for first in range(0, len(asked), BLOCK)]
    for number in range(questions // BLOCK):
        state = _thread_times()
        for name in blocks[number % len(blocks)]:
            begin = perf_counter_ns()
            ask(name, plan="pro", seats=11)
            took = perf_counter_ns() - begin
            longest = max(longest, took)
            if took > LONG:
                long.append({"ms": took / 1e6, **_explained(state)})
    found: dict[str, Any] = {
        "longest ms": round(longest / 1e6, 2),
        "over 5 ms": len(long),
        "by other threads": sum(one["other threads ran"] > LONG / 1e6 for one in long),
        "seconds": round((perf_counter_ns() - began) / 1e9, 1),
    }
    if long:
        found["each"] = [
            {name: round(value, 1) for name, value in one.items()}
            for one in sorted(long, key=lambda one: -one["other threads ran"])[:3]
        ]
    return found


def _thread_times() -> dict[str, tuple[int, int]]:
    """Return, for each thread, the time it has run and the time it was kept waiting."""
    found = {}
    for task in _TASKS.iterdir() if _TASKS.exists() else ():
        try:
            ran, waited, _ = (task / "schedstat").read_text().split()
        except OSError:  # it has ended
            continue
        found[task.name] = int(ran), int(waited)
    return found


def _explained(before: dict[str, tuple[int, int]]) -> dict[str, float]:
    """Return what the threads have done since then, in milliseconds."""
    own = str(threading.get_native_id())
    asking = others = waited = 0
    for task, (ran, waiting) in _thread_times().items():
        ran_before, waiting_before = before.get(task, (0, 0))
        if task == own:
            asking = ran - ran_before
        else:
            others += ran - ran_before
        waited += waiting - waiting_before
    return {
        "asking thread ran": asking / 1e6,
        "other threads ran": others / 1e6,
        "without processor": waited / 1e6,
    }


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
