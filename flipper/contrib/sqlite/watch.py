# SPDX-License-Identifier: Apache-2.0
"""The change signal of SQLite: asks whether the file has changed.

It asks at once if the system reports that the file is written to, and else several
times a second. `PRAGMA data_version` costs some microseconds, and changes when any
other connection commits. Only then the changed names are read from the table that the
triggers fill.
"""

from __future__ import annotations

import os
from time import sleep
from typing import TYPE_CHECKING, Final

from ...contracts.watch import Watch
from ...runtime.clock import monotonic
from .file_changes import FileChanges
from .schema import COMPLETE, COUNT_SQL

if TYPE_CHECKING:
    from collections.abc import Collection

    from .connections import Connections

# Seconds between two looks at the file. To wake a thread up costs more than the look.
_INTERVAL: Final = 0.2
_INTERVAL_WITH_REPORTS: Final = 0.5  # if the system reports writes
_SHORTEST_INTERVAL: Final = 0.005  # while there are writes; doubled after each look

_VERSION_SQL: Final = "PRAGMA data_version"
_LAST_SQL: Final = """
    SELECT number, token FROM feature_flag_changes ORDER BY number DESC LIMIT 1
"""
_CHANGES_SQL: Final = """
    SELECT number, token, name FROM feature_flag_changes
        WHERE number >= ? ORDER BY number
"""
_NO_CHANGE: Final = (0, b"")  # of a table that somebody has emptied


class SQLiteWatch(Watch):
    """Reports the changes of one file, whatever program writes. For one thread.

    Args:
        connections: connections of its own, which the watch closes.

    Raises:
        StoreUnavailableError: the file cannot be read.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        # SQLite writes to the second one first, beside the file that a link leads to.
        path = os.path.realpath(connections.path)
        self._file_changes = FileChanges([path, f"{path}-wal"])
        has_reports = self._file_changes.are_reported
        self._longest_interval = _INTERVAL_WITH_REPORTS if has_reports else _INTERVAL
        self._interval = self._longest_interval
        self._looked_at = -self._interval
        try:
            # Race: the version first, so that no later change is missed.
            self._version = self._read_version()
            self._last = self._read_last()
        except BaseException:
            self.close()
            raise

    def wait(self, timeout: float) -> Collection[str] | None:
        """Wait until flags change, at most `timeout` seconds, and return their names.

        Returns `None` if any flag may have changed: more than a thousand changes at
        once, a backup that was restored, or triggers that are missing.

        Raises:
            StoreUnavailableError: the file cannot be read.
        """
        end = monotonic() + timeout
        while True:
            look_at = min(self._looked_at + self._interval, end)
            is_written = self._file_changes.wait(look_at - monotonic())
            if is_written:  # many writes in a row are read together
                look_at = self._looked_at + _SHORTEST_INTERVAL
                sleep(max(0.0, look_at - monotonic()))
            changed = self._look()
            self._looked_at = monotonic()
            # Race: a commit can be seen only some time after it is written, so the next
            # looks follow soon.
            is_active = is_written or changed is None or changed
            self._interval = min(2 * self._interval, self._longest_interval)
            if is_active:
                self._interval = _SHORTEST_INTERVAL
            if changed is None or changed or self._looked_at >= end:
                return changed

    def revision(self) -> object:
        """Return what changes whenever any program has written to the file.

        Raises:
            StoreUnavailableError: the file cannot be read.
        """
        return self._read_version()

    def close(self) -> None:
        """Close the connection. May be called again."""
        self._file_changes.close()
        self._connections.close()

    def _look(self) -> Collection[str] | None:
        version = self._read_version()
        if version == self._version:
            return ()
        changed = self._read_changes()
        self._version = version
        return changed

    def _read_version(self) -> tuple[int, int]:
        """Return what changes with each commit of others, or with the connection."""
        version = self._connections.fetch(_VERSION_SQL)[0][0]
        # After a fork there is another connection, whose versions cannot be compared.
        return self._connections.opened, version

    def _read_last(self) -> tuple[int, bytes]:
        """Return the number and the token of the last change."""
        rows = self._connections.fetch(_LAST_SQL)
        return rows[0] if rows else _NO_CHANGE

    def _read_changes(self) -> Collection[str] | None:
        """Return the flags that have changed since the last call, `None` for any."""
        has_triggers = self._connections.fetch(COUNT_SQL)[0][0] == COMPLETE
        rows = self._connections.fetch(_CHANGES_SQL, self._last[:1])
        if not has_triggers or not rows or rows[0][:2] != self._last:
            self._last = self._read_last()
            return None
        self._last = rows[-1][:2]
        return {name for _, _, name in rows[1:]}
