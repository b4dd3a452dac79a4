# SPDX-License-Identifier: Apache-2.0
"""Measures the start, and the memory of a flag."""

from __future__ import annotations

import gc
import tracemalloc
from math import inf
from statistics import median
from time import process_time, sleep
from typing import TYPE_CHECKING, Any, Final

from .databases import connect, documents

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS: Final = 5


def measure(url: str, flags: int) -> dict[str, Any]:
    """Return the figures for a number of flags, which it writes first.

    Args:
        url: an empty database.
        flags: the number of flags.
    """
    from flipper import SyncedFeatureFlagStore, store_from_url

    with store_from_url(url) as inner:
        database = connect(url)
        database.write(documents(flags))

        def start() -> None:
            SyncedFeatureFlagStore(inner, start_timeout=60).close()

        ratios = [_cpu(start) / _cpu(database.read) for _ in range(ROUNDS)]
        return {
            "multiple of reading": round(median(ratios), 2),
            "bytes per flag": round(_bytes(inner) / flags),
        }


def _cpu(task: Callable[[], object]) -> float:
    gc.collect()
    began = process_time()
    task()
    return process_time() - began


def check_all(store: Any) -> None:
    """Wait until the thread of a store has checked all documents."""
    while store._follower._reader.unchecked:  # noqa: SLF001  (not public)
        sleep(0.1)


def read_all_each_interval() -> None:
    """Let the synchronised stores of this process read all flags in each interval."""
    from flipper.contrib.synced import reading

    reading._MOST_INTERVALS = 1  # type: ignore[misc]  # noqa: SLF001
    reading._FLAGS_PER_INTERVAL = inf  # type: ignore[misc, assignment]  # noqa: SLF001


def _bytes(inner: Any) -> int:
    from flipper import SyncedFeatureFlagStore

    gc.collect()
    tracemalloc.start()
    with SyncedFeatureFlagStore(inner, start_timeout=60) as store:
        check_all(store)
        gc.collect()
        found = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return found
