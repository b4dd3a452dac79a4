# SPDX-License-Identifier: Apache-2.0
"""The table of the cached store, which drops the least recently used entries."""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from typing import Any

from ...runtime.fork import renew_after_fork


def _find_lru_dict() -> Any:
    """Return the table of lru-dict, or `None` where it is missing or does not fit.

    On a free-threaded Python, its import would switch the GIL on for the whole program,
    since it does not declare that it works without.
    """
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return None
    try:
        from lru import LRU
    except ImportError:
        return None
    return LRU


LRU: Any = _find_lru_dict()


class PlainLRU:
    """A table of bounded size in plain Python. Safe for threads.

    It is used where lru-dict is not installed, since that has no wheel for each system,
    and in a Python without the GIL.

    Args:
        size: how many entries it keeps; with 0 or less it keeps none.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        # Not a dict: the search for its oldest entry would pass all removed entries.
        self._entries: OrderedDict[Any, Any] = OrderedDict()
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Make a new lock: the thread that held the old one is not in the child."""
        self._lock = threading.Lock()

    def __getitem__(self, key: Any) -> Any:
        with self._lock:
            entry = self._entries[key]
            self._entries.move_to_end(key)
            return entry

    def __setitem__(self, key: Any, entry: Any) -> None:
        with self._lock:
            entries = self._entries
            entries.pop(key, None)
            # Race: `len` takes no lock, so the table must never hold too many entries.
            while entries and len(entries) >= self._size:
                entries.popitem(last=False)
            if self._size > 0:
                entries[key] = entry

    def __contains__(self, key: Any) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def keys(self) -> list[Any]:
        """Return the keys, the most recently used first."""
        with self._lock:
            return list(self._entries)[::-1]

    def pop(self, key: Any, default: Any = None) -> Any:
        """Remove an entry and return it, or return `default`."""
        with self._lock:
            return self._entries.pop(key, default)


def make_lru(size: int) -> Any:
    """Make a table for `size` entries, with lru-dict where that can be used."""
    if LRU is None or size < 1:  # lru-dict has room for one at least
        return PlainLRU(size)
    return LRU(size)
