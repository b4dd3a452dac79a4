# SPDX-License-Identifier: Apache-2.0
"""`FlagFile`: the flags of a file, read again when the file changes."""

from __future__ import annotations

import os
import threading
from math import inf
from pathlib import Path
from stat import S_ISREG
from time import sleep, time
from typing import TYPE_CHECKING, Any, Final

from ...contracts.in_memory import NotInMemoryError
from ...exceptions import FlagFileError
from ...flag_files import format_of, parse_flags
from ...runtime.clock import monotonic
from ...runtime.fork import renew_after_fork
from ...runtime.log_throttle import LogThrottle

if TYPE_CHECKING:
    from ...contracts.watch import WatchQueue
    from ..storage import FeatureFlagStoreItem

# Seconds without a change after which a file is taken to be written completely. The
# first part of a file may be valid: a flag without the conditions that follow it.
_SETTLED: Final = 0.25
# Seconds after which another change gives another date, on any file system.
_COARSEST_DATE: Final = 2.0
_FIRST_READINGS: Final = 8  # at most; each pause is `_SETTLED`


class FlagFile:
    """The flags of a file by name, as they were when the file was last right.

    Safe for threads and forks. One thread looks at the file; the others do not wait.

    Args:
        path: the file.
        format_name: its format; `None` leaves that to the suffix.
        poll_interval: seconds between two looks at the file.

    Attributes:
        path: the file.
        flags: a dict that is replaced as a whole.
        poll_interval: seconds between two looks at the file.
        watches: they are told which flags have changed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        format_name: str | None,
        poll_interval: float,
    ) -> None:
        self.path = Path(path)
        self.flags: dict[str, FeatureFlagStoreItem] = {}
        self.poll_interval = poll_interval
        self._format = format_of(path) if format_name is None else format_name
        self._due = -inf
        self._identity: Any = None  # of the file that was seen last
        self._changed_at = -inf  # when another identity was seen
        self._read_at = -inf
        self._content: bytes | None = None  # that was used, or has mistakes
        self._pending: bytes | None = None  # that may not be complete yet
        self._unreadable: Exception | None = None
        self._mistakes: FlagFileError | None = None  # in `_content`
        self._log = LogThrottle(__name__)
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Make a new lock, and forget watches: their threads are in the parent only."""
        self._lock = threading.Lock()
        self.watches: list[WatchQueue] = []

    @property
    def last_error(self) -> Exception | None:
        """Why the present content of the file is not used, or `None`."""
        return self._unreadable or self._mistakes

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag, or `None` if there is none."""
        if monotonic() >= self._due:
            self.refresh_if_due()
        return self.flags.get(feature_name)

    get_in_memory_bypasses = get

    def get_in_memory(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag, unless it is time to look at the file."""
        if monotonic() >= self._due:
            raise NotInMemoryError
        return self.flags.get(feature_name)

    def refresh_if_due(self) -> None:
        """Read the file again if `poll_interval` has passed and it has changed."""
        # Race: another thread looks at the file, or this one does, and a signal handler
        # has interrupted it. The flags as they are answer then.
        if monotonic() < self._due or not self._lock.acquire(blocking=False):
            return
        try:
            unreadable, mistakes = self._unreadable, self._mistakes
            kind = hash(self._content)
            self._look()
            if self._unreadable is not None:
                self.log_failure(self._unreadable)
            elif unreadable is not None:
                self._log.end("unreadable", "The file %s is read again", self.path)
            if self._mistakes is not None and self._mistakes is not mistakes:
                self.log_failure(self._mistakes)
            elif mistakes is not None and self._mistakes is None:
                self._log.end(kind, "The file %s has no mistakes any more", self.path)
        finally:
            self._lock.release()

    def read_first(self) -> None:
        """Read the file, and wait a moment if somebody is writing it just now.

        Raises:
            InvalidArgumentError: the format is unknown.
            MissingDependencyError: a package that the format needs is not installed.
        """
        pending = None
        for _ in range(_FIRST_READINGS):
            self._look()
            pending = self._pending
            if pending is None:
                return
            sleep(_SETTLED)
        if pending is not None:  # it is written all the time
            self._use(pending)

    def log_failure(self, error: Exception) -> None:
        """Log why the file cannot be used: each cause once, or once a minute."""
        if isinstance(error, FlagFileError):
            kind: Any = hash(self._content)
            text = "The flags stay as they were last read, because of mistakes: %s"
            self._log.warning(kind, text, error)
        else:
            self._log.warning(
                "unreadable",
                "The flags stay as they were last read, because the file %s cannot be "
                "read (%s: %s)",
                *(self.path, type(error).__name__, error),
            )

    def _look(self) -> None:
        """Read the file if it has changed, and use it if it is complete."""
        self._due = monotonic() + self.poll_interval
        try:
            found = self.path.stat()
            self._refuse_irregular(found)
            content = self._read_if_changed(found)
        except (OSError, ValueError) as error:  # ValueError: NUL in the path
            self._identity = self._pending = None
            self._unreadable = error
            return
        self._unreadable = None
        if content is None:
            return
        is_settled = time() - found.st_mtime >= _SETTLED or content == self._pending
        if content == self._content:
            self._pending = None
        elif is_settled:
            self._use(content)
        else:
            self._pending = content

    def _read_if_changed(self, found: os.stat_result) -> bytes | None:
        """Return the content of the file, or `None` if it cannot have changed."""
        identity = (
            *(found.st_dev, found.st_ino, found.st_size),
            *(found.st_mtime_ns, found.st_ctime_ns),
        )
        now = monotonic()
        if identity != self._identity:
            self._identity, self._changed_at = identity, now
        # Race: a second change within one tick of the clock of the file system leaves
        # the identity as it is. A reading after that tick has seen it.
        elif self._read_at - self._changed_at > _COARSEST_DATE and not self._pending:
            return None
        self._read_at = now
        # Race: the file may be replaced by a pipe, whose opening would wait for ever.
        with open(self.path, "rb", opener=_open_at_once) as file:
            self._refuse_irregular(os.fstat(file.fileno()))
            return file.read()

    def _refuse_irregular(self, found: os.stat_result) -> None:
        if not S_ISREG(found.st_mode):  # reading a pipe would wait for ever
            raise OSError(f"{self.path} is no regular file")

    def _use(self, content: bytes) -> None:
        """Replace the flags by those of a content, unless it has mistakes."""
        self._content, self._pending = content, None
        try:
            items = parse_flags(content, self._format, where=str(self.path))
        except FlagFileError as error:
            self._mistakes = error
            return
        self._mistakes = None
        before, self.flags = self.flags, {i.feature_name: self._kept(i) for i in items}
        # Race: each version is compared with the one before it. A flag that changes
        # twice may end as it was, and somebody may have read it in between.
        changed = [
            name
            for name in before.keys() | self.flags.keys()
            if before.get(name) is not self.flags.get(name)
        ]
        for watch in [*self.watches]:
            watch.report(*changed)

    def _kept(self, item: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
        """Return the flag that is known already if it is the same: it is compiled."""
        known = self.flags.get(item.feature_name)
        is_same = known is not None and known.serialize() == item.serialize()
        return known if known is not None and is_same else item


def _open_at_once(path: str, flags: int) -> int:
    """Open a file without waiting, as for the other end of a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
