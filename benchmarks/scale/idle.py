# SPDX-License-Identifier: Apache-2.0
"""Measures the CPU time of a synchronised store while nothing changes.

With the defaults, all flags are read again after ten minutes at the latest, even if
nothing seems to have been missed. The time that nothing is done is shorter, so the CPU
time of such a reading is measured for itself.
"""

from __future__ import annotations

from time import process_time, sleep
from typing import Any, Final

from .databases import connect, documents
from .start import check_all, read_all_each_interval

ROUNDS: Final = 5
POLL_INTERVAL: Final = 1.0  # seconds
_LOOK: Final = 0.05  # seconds


def measure(url: str, flags: int, seconds: float) -> dict[str, Any]:
    """Return the CPU time of the process, which does nothing, in % of a core.

    Args:
        url: an empty database.
        flags: the number of flags, which it writes first.
        seconds: how long to do nothing.
    """
    from flipper import SyncedFeatureFlagStore, store_from_url

    with store_from_url(url) as inner:
        connect(url).write(documents(flags))
        with SyncedFeatureFlagStore(inner, start_timeout=60) as store:
            check_all(store)
            began = process_time()
            sleep(seconds)
            used = (process_time() - began) / seconds
        return {
            "% of a core": round(used * 100, 4),
            "seconds": seconds,
            "reading again, ms": round(_reading_again(inner) * 1000, 1),
        }


def _reading_again(inner: Any) -> float:
    """Return the mean CPU time of reading all flags again, in seconds."""
    from flipper import SyncedFeatureFlagStore
    from flipper.contrib.synced import reading

    read_all_each_interval()
    apply, readings = reading.FlagReader.apply, []

    def count(reader: Any, found: Any, changed: Any) -> None:
        apply(reader, found, changed)
        readings.append(process_time())

    reading.FlagReader.apply = count  # type: ignore[method-assign]
    with SyncedFeatureFlagStore(
        inner, start_timeout=60, poll_interval=POLL_INTERVAL
    ) as store:
        check_all(store)
        readings.clear()
        while len(readings) <= ROUNDS:
            sleep(_LOOK)
    return (readings[ROUNDS] - readings[0]) / ROUNDS
