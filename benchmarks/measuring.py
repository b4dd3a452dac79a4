# SPDX-License-Identifier: Apache-2.0
"""Measures work beside the limit, in turn, in one process.

The *limit* is the least that Python can do for a flag: a function that looks a name up
in a dict and returns a bool. A processor that others use too has slow and fast moments;
work and limit see the same ones, so their ratio holds where times do not.
"""

from __future__ import annotations

import statistics
import threading
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Work = Callable[[Any], list[Any]]

PAIRS = 8  # of limit and work in a slice
PIECE = 1e-3  # seconds that the work of one pair should last
MOST_CALLS = 10_000  # in the work of one pair


class Slice(NamedTuple):
    """What came out of a slice; times are seconds per call."""

    ratio: float
    work: float
    limit: float


def limit(names: Sequence[str]) -> Work:
    """Return the limit for flags of these names."""
    flags = {name: i % 2 == 0 for i, name in enumerate(names)}

    def is_enabled(name: str) -> bool:
        return flags[name]

    def work(calls: list[str]) -> list[bool]:
        return [is_enabled(name) for name in calls]

    return work


def seconds(work: Work, calls: list[Any]) -> float:
    """Measure one piece of work."""
    begin = perf_counter()
    work(calls)
    return perf_counter() - begin


def measure(
    work: Work,
    pieces: Sequence[list[Any]],
    limit_work: Work,
    limit_pieces: Sequence[list[Any]],
) -> tuple[Slice, list[list[Any]]]:
    """Do each piece of work after one of the limit; return the medians and the answers.

    A pair that the system interrupted is far off, so the median does without it.
    """
    ratios, works, limits, answers = [], [], [], []
    for calls, limit_calls in zip(pieces, limit_pieces, strict=True):
        begin = perf_counter()
        limit_work(limit_calls)
        middle = perf_counter()
        answer = work(calls)
        end = perf_counter()
        limits.append((middle - begin) / len(limit_calls))
        works.append((end - middle) / len(calls))
        ratios.append(works[-1] / limits[-1])
        answers.append(answer)
    median = statistics.median
    return Slice(median(ratios), median(works), median(limits)), answers


def throughput(work: Work, calls: list[Any], threads: int) -> float:
    """Let threads share these calls, and return calls per second, of all together."""
    share = len(calls) // threads
    barrier = threading.Barrier(threads + 1)

    def run(own: list[Any]) -> None:
        barrier.wait()
        work(own)

    started = [
        threading.Thread(target=run, args=(calls[i * share : (i + 1) * share],))
        for i in range(threads)
    ]
    for thread in started:
        thread.start()
    barrier.wait()
    begin = perf_counter()
    for thread in started:
        thread.join()
    return share * threads / (perf_counter() - begin)
