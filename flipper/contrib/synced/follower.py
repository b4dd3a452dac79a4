# SPDX-License-Identifier: Apache-2.0
"""`Follower`: the thread that keeps a local copy up to date with a store."""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ...contracts.listener import CHECK_INTERVAL, BackgroundListener
from ...contracts.watch import WatchRefusedError
from ...runtime.clock import monotonic
from ...runtime.deadline import call_with_timeout
from ...runtime.jitter import uniform
from ...runtime.log_throttle import LogThrottle
from .copy import LocalCopy
from .reading import FlagReader
from .saving import SnapshotSaver

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from .snapshot import Snapshot

logger = logging.getLogger(__name__)

# All in seconds.
_RECHECK_PAUSE: Final = 0.25  # before a second look when all flags seem to be gone


class SyncStatus(NamedTuple):
    """The status of a synced store.

    Attributes:
        state: "initialising" until this process has read the flags for the first time;
            "live" while the store pushes changes; "polling" while the store is asked
            for changes; "stale" while the store is down; "closed"; "direct" where
            background threads do not run, so that the store is asked for each flag.
        age: seconds since the copy was known to be up to date; infinite before that.
        last_error: the last error of reading the store; `None` after a success.
        flags: the number of flags.
        revision: the number of changes that the copy has seen.
    """

    state: str
    age: float
    last_error: BaseException | None
    flags: int
    revision: int


class Follower(BackgroundListener):
    """Reads all flags of a store, then those that change, and all again periodically.

    It has no reference to the synced store, which can therefore be collected while the
    thread runs. Safe for threads and forks.

    Args:
        store: the store to follow.
        poll_interval: seconds between two readings of all flags, or between two looks
            whether a reading is needed.
        snapshot: the file to save the flags in, or `None`.

    Attributes:
        copy: the flags.
        up_to_date_at: when the copy was last up to date, by the monotonic clock.
        loaded: set when this process has read all flags, or the follower is closed.
    """

    def __init__(
        self, store: Any, poll_interval: float, snapshot: Snapshot | None
    ) -> None:
        self.copy = LocalCopy()
        self._reader = FlagReader(store, self.copy)
        self.up_to_date_at = -float("inf")
        self.loaded = threading.Event()
        self._poll_interval = poll_interval
        self._saver = SnapshotSaver(snapshot, self.copy, self._reader.check_all)
        self._has_read = False
        self._state = "initialising"
        self._last_error: BaseException | None = None
        self._listeners: list[Callable[[Any], object]] = []
        self._log = LogThrottle(__name__)
        super().__init__(store, "flipper-synced")

    def after_fork(self) -> None:
        """Prepare for another `start`: the thread is in the parent process only."""
        super().after_fork()
        self.copy.after_fork()
        if self._state != "closed":
            self.loaded = threading.Event()
            self._state = "initialising"

    def start(self) -> bool:
        """Start the thread if there is none; return whether there is one."""
        follows = super().start()
        if not follows:
            self._set_state("direct")
        return follows

    def read_all_once(self, timeout: float | None) -> bool:
        """Read all flags within `timeout` seconds; return whether it was ever done."""
        try:
            call_with_timeout(timeout, self._read_all)
            self._reader.check_all()
        except Exception as error:  # noqa: BLE001  (`status` shows it)
            self._last_error = error
        return self.loaded.is_set()

    def load_snapshot(self, snapshot: Snapshot) -> None:
        """Fill the copy from a snapshot, unless the store has been read by now.

        Raises:
            OSError: the file cannot be read.
            FlipperError: the file is not a snapshot.
        """
        age, items = snapshot.load()
        with self._lock:
            if not self._has_read:
                self.copy.begin_reading()
                self.copy.apply(items, complete=True)
                self._saver.revision = self.copy.revision
                self.up_to_date_at = monotonic() - age

    def close(self) -> None:
        """Stop following; the thread ends within a moment."""
        super().close()
        self.loaded.set()
        self._set_state("closed")

    def status(self) -> SyncStatus:
        """Return the present status."""
        copy = self.copy
        age = max(0.0, monotonic() - self.up_to_date_at)
        return SyncStatus(
            self._state, age, self._last_error, len(copy.flags), copy.revision
        )

    def add_listener(self, listener: Callable[[Any], object]) -> None:
        """Call `listener` with the status whenever its state changes."""
        with self._lock:
            self._listeners = [*self._listeners, listener]

    def remove_listener(self, listener: Callable[[Any], object]) -> None:
        """Stop calling `listener`."""
        with self._lock:
            self._listeners = [one for one in self._listeners if one != listener]

    # -- the thread --------------------------------------------------------------------

    def _run(self, closed: threading.Event) -> None:
        super()._run(closed)
        self._saver.save(at_once=True)

    def _note_failure(self, error: Exception) -> None:
        self._last_error = error
        self._set_state("stale")

    def _listen(self, closed: threading.Event) -> None:
        """Read all flags, then those that change, until the next watch is needed."""
        try:
            # Race: listen before reading, so that changes in between are reported.
            watch = self._open_watch()
        except WatchRefusedError:
            self._read_all()
            self._note_success()
            self._set_state("polling")
            self._follow_until_due(closed)
            return
        try:
            self._read_all()
            self._note_success()
            self._set_state("live")
            while True:
                self._follow_until_due(closed)
                if self._is_over(closed):
                    return
                if self._reader.is_due(watch):
                    self._read_all()
                else:
                    self._saver.touch()
        finally:
            self._close_watch()

    def _follow_until_due(self, closed: threading.Event) -> None:
        due = monotonic() + uniform(0.8, 1.2) * self._poll_interval
        while not self._is_over(closed) and (left := due - monotonic()) > 0:
            pause = self._reader.check_some()
            if pause is None:
                self._saver.save()
                pause = CHECK_INTERVAL
            changed = self._wait(min(pause, left), closed)
            waited_until = monotonic()
            if changed is None or not self._reader.read_some(
                {*changed, *self.copy.pop_uncertain()}
            ):
                self._read_all()
                continue
            if self._watch is not None:
                self.up_to_date_at = waited_until

    def _wait(self, timeout: float, closed: threading.Event) -> Collection[str] | None:
        if self._watch is None:
            closed.wait(timeout)
            return ()
        return self._watch.wait(timeout)

    def _read_all(self) -> None:
        """Read all flags."""
        # Until all flags were read once, nobody is interested in single changes.
        read = partial(self._reader.read, self._watch, follows=self.loaded.is_set())
        began, found, changed = read()
        flags = self.copy.flags
        if flags and flags.keys().isdisjoint(found):
            # All flags may have been deleted. But a server that has just started, or an
            # incomplete reply, looks the same and would turn all flags off: read again.
            self._sleep(self._closed, _RECHECK_PAUSE)
            if self._is_over(self._closed):
                return
            began, found, changed = read()
        with self._lock:
            self._has_read = True
        self._reader.apply(found, changed)
        self.up_to_date_at = began
        self._last_error = None
        self.loaded.set()
        self._saver.touch()

    def read_flag(self, feature_name: str) -> Any:
        """Return a flag of the store; `None` if it is missing or invalid."""
        return self._reader.read_flag(feature_name)

    def _set_state(self, state: str) -> None:
        with self._lock:
            if self._state in {state, "closed"}:
                return
            before, self._state = self._state, state
            listeners = self._listeners
        status = self.status()
        store = type(self._store).__name__
        if state == "stale":
            self._log.warning(
                "stale",
                "%s cannot be read (%s: %s); flags keep their last known state",
                store,
                type(status.last_error).__name__,
                status.last_error,
            )
        elif before == "stale":
            self._log.end("stale", "The copy of %s is %s", store, state)
        else:
            logger.info("The copy of %s is %s", store, state)
        self.copy.notify(listeners, status)
