# SPDX-License-Identifier: Apache-2.0
"""`FileWatch`: reports which flags of a file have changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ...contracts.watch import WatchQueue
from ...runtime.clock import monotonic

if TYPE_CHECKING:
    from collections.abc import Collection

    from .flag_file import FlagFile

_SHORTEST_PAUSE: Final = 0.01  # seconds between two looks


class FileWatch(WatchQueue):
    """Looks at a file regularly while somebody waits. For one thread at a time.

    Args:
        file: the file; it reports every flag that it has replaced.
    """

    def __init__(self, file: FlagFile) -> None:
        super().__init__(self._stop_reports)
        self._file = file
        self._is_closed = False
        file.watches.append(self)

    def wait(self, timeout: float) -> Collection[str]:
        """Wait until flags change, but at most `timeout` seconds; return their names.

        A file that is missing or has mistakes changes no flag.
        """
        deadline = monotonic() + timeout
        pause = max(self._file.poll_interval, _SHORTEST_PAUSE)
        while True:
            self._file.refresh_if_due()
            left = max(0.0, deadline - monotonic())
            names = super().wait(min(left, pause))
            if names or self._is_closed or left == 0:
                return names

    def _stop_reports(self) -> None:
        self._is_closed = True
        if self in self._file.watches:  # not in a child process, see `after_fork`
            self._file.watches.remove(self)
