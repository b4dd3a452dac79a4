# SPDX-License-Identifier: Apache-2.0
"""One replica of a replicated store, and the thread that keeps it level."""

from __future__ import annotations

import atexit
import logging
import threading
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import WeakSet

from ...exceptions import InvalidFlagDataError
from ...runtime.background import start_thread
from ...runtime.clock import monotonic
from ...runtime.fork import detect_fork, renew_after_fork
from ...runtime.log_throttle import LogThrottle
from ..storage import FeatureFlagStoreItem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, MutableSet

    Call = Callable[[], object]

logger = logging.getLogger(__name__)

_FIRST_PAUSE: Final = 0.05  # seconds between two tries, doubled each time
_LONGEST_PAUSE: Final = 5.0
_EXIT_PATIENCE: Final = 2.0  # seconds for all that is pending when the program ends


class ReplicaStatus(NamedTuple):
    """How far a replica is.

    Attributes:
        replica: the store.
        pending: the number of flags that it does not have as they are.
        behind: seconds since the oldest of them was written, 0 if there is none.
        failures: the number of tries that failed so far.
        last_error: why the last try failed; `None` once one has succeeded.
    """

    replica: Any
    pending: int
    behind: float
    failures: int
    last_error: BaseException | None


class Ticket(threading.Event):
    """Is set once a replica has a write, or has failed to take it."""

    error: BaseException | None = None
    """Why the replica does not have the write; it is tried again all the same."""


class _Task:
    def __init__(self, feature_name: str | None, call: Call | None) -> None:
        self.feature_name = feature_name  # None: look which flags the replica has
        self.call = call  # None: copy what the primary has
        self.has_begun = False  # stays true when it is tried again
        self.has_failed = False
        self.since = monotonic()
        self.tickets: list[Ticket] = []

    def release(self, error: BaseException | None = None) -> None:
        """Let go who waits for it, and tell them why it has failed, if it has."""
        for ticket in self.tickets:
            ticket.error = error
            ticket.set()
        self.tickets = []


class Replica:
    """Repeats writes on a store in their order, and copies flags where it fell behind.

    A write is repeated as it was made if it is the only one pending for its flag.
    Otherwise, and after a failure, the flag is copied as the primary has it then: that
    keeps the order, makes one write of many, and repairs. A daemon thread does it,
    which begins with a write and ends when nothing is pending. Safe for threads.

    Args:
        store: the replica.
        primary: the store to copy from.
    """

    def __init__(self, store: Any, primary: Any) -> None:
        self.store = store
        self._primary = primary
        self._log = LogThrottle(__name__)
        self.after_fork()
        renew_after_fork(self)
        _replicas.add(self)

    def after_fork(self) -> None:
        """Begin with nothing pending: the parent's thread does what was."""
        self._changed = threading.Condition()
        self._pending: dict[str | None, _Task] = {}
        self._current: _Task | None = None
        self._running = False
        self._persistent = True
        self._failures = 0
        self._streak = 0
        self._last_error: BaseException | None = None

    def write(self, feature_name: str, call: Call | None = None) -> tuple[Ticket, bool]:
        """Repeat a write, or copy the flag.

        Returns:
            What is set once it is there or has failed, and whether nothing is done
            before it.
        """
        detect_fork()
        ticket = Ticket()
        with self._changed:
            is_next = self.is_idle
            self._persistent = True
            self._add(feature_name, call).tickets.append(ticket)
            if self._running:
                self._changed.notify_all()
            else:
                self._start()
        return ticket, is_next

    def wait_for_start(
        self, feature_name: str, ticket: Ticket, timeout: float | None
    ) -> None:
        """Wait until the thread has got to a write, for `timeout` seconds at most."""

        def has_started() -> bool:
            task = self._pending.get(feature_name)
            return task is None or task.has_begun or ticket not in task.tickets

        with self._changed:
            self._changed.wait_for(has_started, timeout)

    def resync(self, feature_names: Iterable[str]) -> None:
        """Copy these flags, and remove those that are in the replica alone."""
        detect_fork()
        with self._changed:
            self._persistent = True
            for feature_name in (None, *feature_names):
                self._add(feature_name)
            if not self._running:
                self._start()
            self._changed.notify_all()

    @property
    def is_idle(self) -> bool:
        """Whether it has all that was written."""
        with self._changed:
            return not self._pending and self._current is None

    def fell_behind(self, feature_name: str, *, lent: bool) -> None:
        """Copy the flag instead of repeating its pending write.

        Args:
            feature_name: the flag.
            lent: what the write was given is still the caller's, who may change it: a
                write that is being repeated at this moment is followed by a copy.
        """
        with self._changed:
            task, current = self._pending.get(feature_name), self._current
            if task is not None:
                task.call = None
            elif lent and current is not None and current.feature_name == feature_name:
                self.write(feature_name)

    def status(self) -> ReplicaStatus:
        """Tell how far the replica is."""
        with self._changed:
            tasks = [*self._pending.values()]
            if self._current is not None:
                tasks.append(self._current)
            pending = len({task.feature_name for task in tasks})
            oldest = min((task.since for task in tasks), default=None)
            behind = 0.0 if oldest is None else monotonic() - oldest
            return ReplicaStatus(
                self.store, pending, behind, self._failures, self._last_error
            )

    def flush(self, timeout: float | None) -> bool:
        """Wait until nothing is pending, for `timeout` seconds at most; tell if so."""
        with self._changed:
            self._changed.notify_all()
            return self._changed.wait_for(lambda: self.is_idle, timeout)

    def abandon(self) -> None:
        """Do what is pending, but stop when also a copy fails; a new write goes on."""
        with self._changed:
            self._persistent = False
            self._changed.notify_all()

    def _add(self, feature_name: str | None, call: Call | None = None) -> _Task:
        task = self._pending.get(feature_name)
        if task is None:
            task = self._pending[feature_name] = _Task(feature_name, call)
        else:
            task.call = None
        return task

    def _start(self) -> None:
        if start_thread("flipper-replica", self._run) is None:
            # The writer does it. The lock is reentrant.
            self._running = True
            self._persistent = False
            self._run()
        else:
            self._running = True

    def _run(self) -> None:
        while (task := self._next()) is not None:
            try:
                if task.call is not None:
                    task.call()
                elif task.feature_name is not None:
                    self._copy(task.feature_name)
                else:
                    self._look()
            # Whatever it is (a pytest.fail, a time limit of gevent's): it is counted,
            # logged and tried again, since nobody else would go on with this.
            except BaseException as error:  # noqa: BLE001
                self._failed(task, error)
            else:
                self._succeeded(task)

    def _next(self) -> _Task | None:
        with self._changed:
            # The second try copies, which often helps; who gives up waits for that.
            if self._pending and (self._persistent or self._streak <= 1):
                task = self._pending.pop(next(iter(self._pending)))
                task.has_begun = True
                self._current = task
                self._changed.notify_all()
                return task
            lost = [*self._pending.values()]
            self._pending.clear()
            self._running = False
            self._streak = 0
            for task in lost:
                task.release(self._last_error)
            self._changed.notify_all()
        if lost:
            logger.warning(
                "Replica %s still failed when it was given up; %d flags are not level",
                type(self.store).__name__,
                len(lost),
            )
        return None

    # Logging is done without the lock: a slow handler holds no writer up.

    def _succeeded(self, task: _Task) -> None:
        if self._streak:
            self._log.end(
                "fails", "Replica %s answers again", type(self.store).__name__
            )
        with self._changed:
            self._current = None
            self._streak = 0
            self._last_error = None
            task.release()
            self._changed.notify_all()

    def _failed(self, task: _Task, error: BaseException) -> None:
        if self._streak == 1:
            self._log.warning(
                "fails",
                "Replica %s fails (%s); its writes are kept and tried again",
                type(self.store).__name__,
                type(error).__name__,
                cause=error,
                feature_name=task.feature_name,
            )
        with self._changed:
            self._current = None
            self._failures += 1
            self._streak += 1
            self._last_error = error
            if self._streak > 1 or task.has_failed:  # else it is tried again at once
                task.release(error)
            task.has_failed = True
            newer = self._pending.pop(task.feature_name, None)
            if newer is not None:
                task.tickets += newer.tickets
            task.call = None
            self._pending[task.feature_name] = task  # behind the others
            if self._streak == 1 or not self._persistent:
                return  # the first try again is made at once
            pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(self._streak - 2, 10))
            self._changed.wait(pause)

    def _look(self) -> None:
        """Copy all flags that the replica has: one may be in the primary no more."""
        found = [item.feature_name for item in self.store.list() if item is not None]
        with self._changed:
            for feature_name in found:
                self._add(feature_name)

    def _copy(self, feature_name: str) -> None:
        """Make the flag what it is in the primary, and never more than that."""
        replica = self.store
        found = self._primary.get(feature_name)
        if found is None:
            replica.delete(feature_name)
            return
        item = FeatureFlagStoreItem.of(found)
        state, meta = item.raw_is_enabled, item.raw_meta
        # Race: somebody may ask the replica meanwhile. The flag is off while its
        # conditions are not there yet.
        if not self._has(feature_name):
            replica.create(feature_name, is_enabled=False, client_data=meta.client_data)
        elif not state:
            replica.set(feature_name, state)
        replica.set_meta(feature_name, meta)
        replica.set(feature_name, state)

    def _has(self, feature_name: str) -> bool:
        try:
            return self.store.get(feature_name) is not None
        except InvalidFlagDataError:
            return False  # what is there is no flag, and `create` replaces it


_replicas: MutableSet[Replica] = WeakSet()


def _flush_all() -> None:
    deadline = monotonic() + _EXIT_PATIENCE
    # Again, since one replica may be a store that has replicas itself.
    while busy := [replica for replica in list(_replicas) if not replica.is_idle]:
        for replica in busy:
            replica.abandon()
        for replica in busy:
            if not replica.flush(max(0.0, deadline - monotonic())):
                return


atexit.register(_flush_all)
