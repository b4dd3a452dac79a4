# SPDX-License-Identifier: Apache-2.0
"""The thread that keeps a local copy level with a store."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ...contracts.listener import SLICE, BackgroundListener
from ...contracts.watch import WatchRefusedError
from ...exceptions import InvalidFlagDataError
from ...runtime.clock import monotonic
from ...runtime.deadline import call_with_timeout
from ...runtime.jitter import uniform
from ...runtime.log_throttle import LogThrottle
from .copy import LocalCopy

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from .snapshot import Snapshot

logger = logging.getLogger(__name__)

# All in seconds.
_ANSWER: Final = 4.0  # for an answer of the store, or for the next flag of a list
_SAVES_APART: Final = 1.0
_DOUBT: Final = 0.25  # before all flags are believed to be gone
# The most flags that are read one by one after a change; more are read by one list.
_ONE_BY_ONE: Final = 100


class SyncStatus(NamedTuple):
    """How a synchronised copy is.

    Attributes:
        state: "initialising" before the flags were read for the first time in this
            process, "live" while changes are pushed, "polling" while they are asked
            for, "stale" while the store is away, "closed"; "direct" where background
            threads do not run, so that the inner store is asked for each flag.
        age: seconds since the copy was level with the store, as far as is known;
            infinite before the first time.
        last_error: why the store could not be read last; `None` when it was since.
        flags: how many there are.
        revision: how many changes the copy has seen.
    """

    state: str
    age: float
    last_error: BaseException | None
    flags: int
    revision: int


class Follower(BackgroundListener):
    """Reads a store as a whole, then what changes, and as a whole now and then.

    It knows nothing of who uses the copy, so that a store nobody holds is free to go.
    Safe for threads.

    Args:
        store: the store to follow.
        poll_interval: seconds between two readings of the whole.
        snapshot: where to save the flags, if anywhere.

    Attributes:
        copy: the flags.
        level_at: when the copy was level last, by the monotonic clock.
        loaded: set once this process has read the store, or the follower is closed.
    """

    def __init__(
        self, store: Any, poll_interval: float, snapshot: Snapshot | None
    ) -> None:
        self.copy = LocalCopy()
        self.level_at = -float("inf")
        self.loaded = threading.Event()
        self._poll_interval = poll_interval
        self._snapshot = snapshot
        self._has_read = False
        self._saved_revision = -1
        self._save_after = -float("inf")
        self._state = "initialising"
        self._last_error: BaseException | None = None
        self._listeners: list[Callable[[Any], object]] = []
        self._log = LogThrottle(__name__)
        super().__init__(store, "flipper-synced")

    def after_fork(self) -> None:
        """Be ready to begin anew; the thread of the parent is not in this process."""
        super().after_fork()
        self.copy.after_fork()
        if self._state != "closed":
            self.loaded = threading.Event()
            self._state = "initialising"

    def start(self) -> bool:
        """Follow in a thread of this process; tell whether there is one."""
        follows = super().start()
        if not follows:
            self._become("direct")
        return follows

    def load_once(self, timeout: float | None) -> bool:
        """Read all flags without following them; tell whether they have been read."""
        try:
            call_with_timeout(timeout, self._load)
        except Exception as error:  # noqa: BLE001  (told by the status)
            self._last_error = error
        return self.loaded.is_set()

    def begin_with(self, snapshot: Snapshot) -> None:
        """Take the flags of a snapshot, unless they have been read by now.

        Raises:
            OSError: the file cannot be read.
            FlipperError: it is no snapshot.
        """
        age, items = snapshot.load()
        with self._lock:
            if not self._has_read:
                self.copy.begin_reading()
                self.copy.take(items, complete=True)
                self._saved_revision = self.copy.revision
                self.level_at = monotonic() - age

    def close(self) -> None:
        """Follow no more; the thread ends within a moment."""
        super().close()
        self.loaded.set()
        self._become("closed")

    def status(self) -> SyncStatus:
        """Tell how the copy is."""
        copy = self.copy
        age = max(0.0, monotonic() - self.level_at)
        return SyncStatus(
            self._state, age, self._last_error, len(copy.flags), copy.revision
        )

    def add_listener(self, listener: Callable[[Any], object]) -> None:
        """Call `listener` with the status whenever its state changes."""
        with self._lock:
            self._listeners = [*self._listeners, listener]

    def remove_listener(self, listener: Callable[[Any], object]) -> None:
        """Call `listener` no more."""
        with self._lock:
            self._listeners = [one for one in self._listeners if one != listener]

    # -- the thread --------------------------------------------------------------------

    def _run(self, closed: threading.Event) -> None:
        super()._run(closed)
        self._save(at_once=True)

    def _note_failure(self, error: Exception) -> None:
        self._last_error = error
        self._become("stale")

    def _listen(self, closed: threading.Event) -> None:
        """Read everything, then what changes, until it is time to begin anew."""
        try:
            # Race: first listen, then read: what changes in between is reported.
            self._open_watch()
        except WatchRefusedError:
            self._load()
            self._failures = 0
            self._become("polling")
            self._follow_until_due(closed)
            return
        try:
            self._load()
            self._failures = 0
            self._become("live")
            while True:
                self._follow_until_due(closed)
                if self._is_over(closed):
                    return
                self._load()
        finally:
            self._close_watch()

    def _follow_until_due(self, closed: threading.Event) -> None:
        due = monotonic() + uniform(0.8, 1.2) * self._poll_interval
        while not self._is_over(closed) and (left := due - monotonic()) > 0:
            self._save()
            changed = self._wait(min(SLICE, left), closed)
            heard = monotonic()
            if changed is None:
                self._load()
                continue
            self._read({*changed, *self.copy.doubtful()})
            if self._watch is not None:
                self.level_at = heard

    def _wait(self, timeout: float, closed: threading.Event) -> Collection[str] | None:
        if self._watch is None:
            closed.wait(timeout)
            return ()
        return self._watch.wait(timeout)

    def _load(self) -> None:
        """Read all flags."""
        began, found = self._list()
        flags = self.copy.flags
        if flags and flags.keys().isdisjoint(found):
            # It may be so; but a server that has just been started, or a reply that was
            # not complete, may look like that, too, and turns all flags off.
            self._sleep(self._closed, _DOUBT)
            if self._is_over(self._closed):
                return
            began, found = self._list()
        with self._lock:
            self._has_read = True
        self.copy.take(found, complete=True)
        self.level_at = began
        self._last_error = None
        self.loaded.set()
        if self._snapshot is not None:
            self._confirm(self._snapshot)

    def _list(self) -> tuple[float, dict[str, Any]]:
        """Return what the store has, and when reading it began."""
        found: dict[str, Any] = {}

        def read() -> None:
            for item in self._store.list():
                if item is not None:  # a store of one's own, a flag deleted meanwhile
                    found[item.feature_name] = item

        began = monotonic()
        self.copy.begin_reading()
        call_with_timeout(_ANSWER, read, found.__len__)
        return began, found

    def _read(self, feature_names: Collection[str]) -> None:
        """Read some flags."""
        if not feature_names:
            return
        if len(feature_names) > _ONE_BY_ONE:
            self._load()
            return
        found: dict[str, Any] = {}

        def read() -> None:
            for feature_name in feature_names:
                found[feature_name] = self.read_one(feature_name)

        self.copy.begin_reading()
        call_with_timeout(_ANSWER, read, found.__len__)
        self.copy.take(found, complete=False)

    def read_one(self, feature_name: str) -> Any:
        """Ask the store for one flag; `None` stands for a document that is no flag."""
        try:
            return self._store.get(feature_name)
        except InvalidFlagDataError as error:  # which `list` leaves out, too
            self._log.warning(("flag", feature_name), "A flag is left out: %s", error)
            return None

    def _become(self, state: str) -> None:
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
                "%s cannot be followed (%s: %s); its flags stay as last known",
                store,
                type(status.last_error).__name__,
                status.last_error,
            )
        elif before == "stale":
            self._log.end("stale", "The copy of %s is %s", store, state)
        else:
            logger.info("The copy of %s is %s", store, state)
        self.copy.announce(listeners, status)

    # -- the snapshot ------------------------------------------------------------------

    def _save(self, *, at_once: bool = False) -> None:
        snapshot, revision = self._snapshot, self.copy.revision
        if snapshot is None or revision == self._saved_revision:
            return
        began = monotonic()
        if began < self._save_after and not at_once:
            return
        try:
            snapshot.save(list(self.copy.flags.values()))
        except Exception as error:  # noqa: BLE001  (following goes on)
            self._log.warning("snapshot", "The snapshot was not written: %s", error)
        else:
            self._saved_revision = revision
        # Writing takes at most a twentieth of the time.
        took = monotonic() - began
        self._save_after = began + max(_SAVES_APART, 20 * took)

    def _confirm(self, snapshot: Snapshot) -> None:
        """Let an unchanged snapshot be as young as the copy."""
        if self._saved_revision == self.copy.revision:
            try:
                snapshot.touch()
            except OSError:
                self._saved_revision = -1  # somebody has removed it
