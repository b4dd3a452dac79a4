# SPDX-License-Identifier: Apache-2.0
"""`SnapshotSaver`: saves the flags of a copy from time to time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ...runtime.clock import monotonic
from ...runtime.log_throttle import LogThrottle

if TYPE_CHECKING:
    from collections.abc import Callable

    from .copy import LocalCopy
    from .snapshot import Snapshot

_SAVE_INTERVAL: Final = 1.0  # seconds between two writes of the snapshot


class SnapshotSaver:
    """Saves a copy. For the thread of the follower only.

    Args:
        snapshot: the file to save the flags in, or `None`.
        copy: the flags.
        check_all: removes from the copy what is not a flag.

    Attributes:
        revision: that of the copy when it was saved, or was read from the file.
    """

    def __init__(
        self, snapshot: Snapshot | None, copy: LocalCopy, check_all: Callable[[], None]
    ) -> None:
        self.revision = -1
        self._snapshot = snapshot
        self._copy = copy
        self._check_all = check_all
        self._save_after = -float("inf")
        self._log = LogThrottle(__name__)

    def save(self, *, at_once: bool = False) -> None:
        """Save the copy if it has changed, but not again and again."""
        snapshot, revision = self._snapshot, self._copy.revision
        if snapshot is None or revision == self.revision:
            return
        self._check_all()
        began = monotonic()
        if began < self._save_after and not at_once:
            return
        try:
            snapshot.save(list(self._copy.flags.values()))
        except Exception as error:  # noqa: BLE001  (the thread has to go on)
            self._log.warning("snapshot", "The snapshot was not written: %s", error)
        else:
            self.revision = revision
        # Spend at most a twentieth of the time on writing.
        took = monotonic() - began
        self._save_after = began + max(_SAVE_INTERVAL, 20 * took)

    def touch(self) -> None:
        """Set the date of the snapshot to now if it has the flags of the copy."""
        if self._snapshot is not None and self.revision == self._copy.revision:
            try:
                self._snapshot.touch()
            except OSError:
                self.revision = -1  # the file is missing: write it again
