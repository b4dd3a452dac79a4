# SPDX-License-Identifier: Apache-2.0
"""Stores whose change signal is incomplete."""

from __future__ import annotations

from stores import Rows

from broken import breaks
from flipper.contracts.watch import WatchQueue


@breaks("test_every_write_is_reported")
class ReportsNoDeletion(Rows):
    """Does not report deletions."""

    def _remove(self, feature_name: str) -> None:
        self.rows.pop(feature_name, None)


@breaks("test_what_another_process_writes_is_reported")
class ReportsItsOwnWritesOnly(Rows):
    """Reports only its own writes."""

    def watch(self) -> WatchQueue:
        """Listen to the writes of this store."""
        self.own = WatchQueue(str)
        return self.own

    def report(self, feature_name: str) -> None:
        """Report a write of this store."""
        if hasattr(self, "own"):
            self.own.report(feature_name)


class _LastOnly(WatchQueue):
    """A watch that has room for one name."""

    def report(self, *feature_names: str) -> None:
        """Drop the name that was reported before."""
        with self._changed:
            self._names.clear()
        super().report(*feature_names)


@breaks("test_changes_at_once_are_all_reported")
class ReportsTheLastChangeOnly(Rows):
    """Reports only the last change to a listener that is slow."""

    def watch(self) -> WatchQueue:
        """Listen with room for one name."""
        queue = _LastOnly(lambda: self.rows.watches.remove(queue))
        self.rows.watches.append(queue)
        return queue
