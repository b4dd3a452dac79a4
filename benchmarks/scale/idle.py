# SPDX-License-Identifier: Apache-2.0
"""Measures the CPU time of a synchronised store while nothing changes."""

from __future__ import annotations

from time import process_time, sleep
from typing import Any

from .databases import connect, documents
from .start import check_all


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
    return {"% of a core": round(used * 100, 4), "seconds": seconds}
