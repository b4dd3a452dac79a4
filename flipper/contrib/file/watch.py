# SPDX-License-Identifier: Apache-2.0
"""`FileWatch`: reports which flags of a file have changed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from ...contracts.watch import Watch
from ...runtime.clock import monotonic

if TYPE_CHECKING:
    from collections.abc import Collection

    from .flag_file import FlagFile

_SHORTEST_PAUSE: Final = 0.01  # seconds between two looks


class FileWatch(Watch):
    """Looks at a file regularly while somebody waits. For one thread at a time.

    Args:
        file: the file to look at.
    """

    def __init__(self, file: FlagFile) -> None:
        self._file = file
        self._seen = file.flags
        self._closed = threading.Event()

    def wait(self, timeout: float) -> Collection[str]:
        """Wait until flags change, but at most `timeout` seconds; return their names.

        A file that is missing or has mistakes changes no flag.
        """
        deadline = monotonic() + timeout
        while True:
            self._file.refresh_if_due()
            before, self._seen = self._seen, self._file.flags
            changed = _changed(before, self._seen)
            if changed:
                return changed
            left = deadline - monotonic()
            pause = min(left, max(self._file.poll_interval, _SHORTEST_PAUSE))
            if left <= 0 or self._closed.wait(pause):
                return ()

    def close(self) -> None:
        """Stop waiting. May be called again."""
        self._closed.set()


def _changed(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    if before is after:
        return set()
    names = before.keys() | after.keys()
    return {name for name in names if before.get(name) is not after.get(name)}
