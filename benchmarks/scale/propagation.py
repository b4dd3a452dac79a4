# SPDX-License-Identifier: Apache-2.0
"""Measures how long a change takes to reach another process.

Another process writes single flags by the driver, and notes when each write began. The
clock is that of the system, which all processes share.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from statistics import median, quantiles
from time import monotonic, sleep
from typing import Any, Final

from .databases import connect, document, documents, names
from .start import check_all

CHANGES: Final = 300


def measure(url: str, flags: int) -> dict[str, Any]:
    """Return the milliseconds from the beginning of a write, for single changes.

    Args:
        url: an empty database.
        flags: the number of flags.
    """
    from flipper import SyncedFeatureFlagStore, store_from_url

    seen: dict[str, float] = {}
    with store_from_url(url) as inner:
        connect(url).write(documents(flags))
        with SyncedFeatureFlagStore(inner, start_timeout=60) as store:
            check_all(store)
            store.on_change(
                lambda change: seen.setdefault(change.feature_name, monotonic())
            )
            command = [sys.executable, "-m", "benchmarks.scale.propagation", url]
            found = subprocess.run([*command, str(flags)], check=True, stdout=-1)  # noqa: S603
            sleep(2)
    written = json.loads(found.stdout)
    took = sorted((seen[name] - began) * 1000 for name, began in written.items())
    return {
        "median ms": round(median(took), 1),
        "p99 ms": round(quantiles(took, n=100)[98], 1),
        "longest ms": round(took[-1], 1),
        "changes": len(took),
    }


def write_changes(url: str, flags: int) -> dict[str, float]:
    """Turn flags off, one by one, and return when each write began."""
    chosen, database = random.Random(0), connect(url)  # noqa: S311
    began: dict[str, float] = {}
    for name in chosen.sample(names(flags), CHANGES):
        off = document(name, is_enabled=False)
        sleep(chosen.uniform(0.01, 0.1))
        began[name] = monotonic()
        database.write([(name, off)])
    return began


if __name__ == "__main__":
    json.dump(write_changes(sys.argv[1], int(sys.argv[2])), sys.stdout)
