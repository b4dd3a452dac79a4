# SPDX-License-Identifier: Apache-2.0
"""Measures calls and the limit alternately, in one process.

The *limit* is the least work that Python can do for a flag: a function that looks up a
name in a dict and returns a bool. A processor that other programs use has slow and fast
moments. They affect the calls and the limit alike, so the ratio of both is stable.
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
PIECE = 1e-3  # seconds that the calls of one pair should take
MOST_CALLS = 10_000  # in one pair


class Slice(NamedTuple):
    """The result of a slice; times are seconds per call."""

    ratio: float
    work: float
    limit: float


def limit(names: Sequence[str]) -> Work:
    """Return the function that measures the limit, for flags of these names."""
    flags = {name: i % 2 == 0 for i, name in enumerate(names)}

    def is_enabled(name: str) -> bool:
        return flags[name]

    def work(calls: list[str]) -> list[bool]:
        return [is_enabled(name) for name in calls]

    return work


def seconds(work: Work, calls: list[Any]) -> float:
    """Return how long some calls take."""
    begin = perf_counter()
    work(calls)
    return perf_counter() - begin


def measure(
    work: Work,
    pieces: Sequence[list[Any]],
    limit_work: Work,
    limit_pieces: Sequence[list[Any]],
) -> tuple[Slice, list[list[Any]]]:
    """Run each piece of calls after one of the limit; return medians and answers.

    A pair that the operating system interrupted is an outlier, which a median ignores.
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
    """Divide calls among threads; return the calls per second of all threads."""
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
