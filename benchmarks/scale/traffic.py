# SPDX-License-Identifier: Apache-2.0
"""Counts the requests and bytes of a synchronised store that does nothing.

All connections lead through a proxy that counts. The intervals are short, so that there
are many. SQLite has no server: the system counts its reads (Linux only).
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from .databases import connect, documents
from .start import check_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

POLL_INTERVAL: Final = 0.5  # seconds
_COUNTERS: Final = Path("/proc/self/io")


def measure(url: str, flags: int, idle: float) -> dict[str, Any]:
    """Return the traffic in one interval while nothing changes.

    Args:
        url: an empty database.
        flags: the number of flags.
        idle: how many seconds to count; the interval is half a second, and all flags
            are read again after 20 of them at the latest.
    """
    from flipper import SyncedFeatureFlagStore, store_from_url
    from flipper.contrib.synced import reading

    reading._MOST_INTERVALS = 1_000_000  # type: ignore[misc]  # noqa: SLF001
    with store_from_url(url) as inner:  # creates the table
        inner.get("x")
        connect(url).write(documents(flags))
    with (
        _counting(url) as (address, count),
        store_from_url(address) as inner,
        SyncedFeatureFlagStore(
            inner, start_timeout=60, poll_interval=POLL_INTERVAL
        ) as store,
    ):
        check_all(store)
        # PostgreSQL reports its counts of written rows some seconds later.
        sleep(12)
        before = count()
        sleep(idle)
        intervals = idle / POLL_INTERVAL
        return {
            name: round((value - before[name]) / intervals, 1)
            for name, value in count().items()
        }


@contextmanager
def _counting(url: str) -> Iterator[tuple[str, Callable[[], dict[str, int]]]]:
    """Give the address of a database, and what counts its traffic so far."""
    from servers import Proxy

    if url.startswith("sqlite"):

        def read_counters() -> dict[str, int]:
            lines = _COUNTERS.read_text().splitlines()
            found = dict(line.split(": ") for line in lines)
            return {"reads": int(found["syscr"]), "bytes": int(found["rchar"])}

        yield url, read_counters
        return
    parts = urlsplit(url)
    with Proxy(str(parts.hostname), int(parts.port or 0)) as proxy:
        login = parts.netloc.rpartition("@")[0]
        place = f"{login}{'@' * bool(login)}{proxy.host}:{proxy.port}"
        yield (
            parts._replace(netloc=place).geturl(),
            lambda: {"requests": proxy.requests, "bytes": proxy.bytes},
        )
