# SPDX-License-Identifier: Apache-2.0
"""One replica of a replicated store, and the thread that repeats writes on it."""

from __future__ import annotations

import atexit
import logging
import threading
from typing import TYPE_CHECKING, Any, Final

from ...runtime.background import start_thread
from ...runtime.clock import monotonic
from ...runtime.fork import detect_fork, renew_after_fork
from ...runtime.log_throttle import LogThrottle
from ...runtime.weak_objects import WeakObjects
from .copying import copy_flag
from .tasks import Completion, ReplicaStatus, Task

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .tasks import Call

logger = logging.getLogger(__name__)

_FIRST_PAUSE: Final = 0.05  # seconds between two tries, doubled each time
_LONGEST_PAUSE: Final = 5.0
_EXIT_TIMEOUT: Final = 2.0  # seconds for all pending tasks when the program ends


class Replica:
    """Repeats the writes of the primary on one other store. Safe for threads.

    A write is repeated as it was made if it is the only pending write of its flag.
    Otherwise, and after a failure, the flag is copied as the primary has it at that
    time. This keeps the order of writes, combines several writes into one, and repairs
    differences. A daemon thread does the work; it starts when there is a write, and
    ends when nothing is pending.

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
        """Drop all tasks: the thread of the parent process does what it had to do."""
        self._changed = threading.Condition()
        self._pending: dict[str | None, Task] = {}
        self._current: Task | None = None
        self._is_running = False
        self._is_retrying = True
        self._failures = 0
        self._failures_in_a_row = 0
        self._last_error: BaseException | None = None

    def write(
        self, feature_name: str, call: Call | None = None
    ) -> tuple[Completion, bool]:
        """Have the thread repeat a write.

        Args:
            feature_name: the flag.
            call: repeats the write; without it, the flag is copied from the primary.

        Returns:
            What is set once the replica has the write or has failed to take it, and
            whether the replica had nothing else to do.
        """
        detect_fork()
        completion = Completion()
        with self._changed:
            was_idle = self.is_idle
            self._is_retrying = True
            self._enqueue(feature_name, call).completions.append(completion)
            if self._is_running:
                self._changed.notify_all()
            else:
                self._start()
        return completion, was_idle

    def wait_for_start(
        self, feature_name: str, completion: Completion, timeout: float | None
    ) -> None:
        """Wait until the thread has begun with a write, `timeout` seconds at most."""

        def has_started() -> bool:
            task = self._pending.get(feature_name)
            return task is None or task.has_begun or completion not in task.completions

        with self._changed:
            self._changed.wait_for(has_started, timeout)

    def resync(self, feature_names: Iterable[str]) -> None:
        """Have the thread copy these flags, and remove all others from the replica."""
        detect_fork()
        with self._changed:
            self._is_retrying = True
            for feature_name in (None, *feature_names):
                self._enqueue(feature_name)
            if not self._is_running:
                self._start()
            self._changed.notify_all()

    @property
    def is_idle(self) -> bool:
        """Whether the replica has every write."""
        with self._changed:
            return not self._pending and self._current is None

    def copy_instead_of_repeating(
        self, feature_name: str, *, arguments_may_change: bool
    ) -> None:
        """Copy the flag instead of repeating its pending write.

        Args:
            feature_name: the flag.
            arguments_may_change: whether the caller of the write may change an object
                that it has passed to it. A write that is being repeated at this moment
                is followed by a copy then.
        """
        with self._changed:
            task, current = self._pending.get(feature_name), self._current
            if task is not None:
                task.call = None
            elif (
                arguments_may_change
                and current is not None
                and current.feature_name == feature_name
            ):
                self.write(feature_name)

    def status(self) -> ReplicaStatus:
        """Return how far the replica is."""
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
        """Wait at most `timeout` seconds until nothing is pending; `None` is for ever.

        Returns:
            Whether nothing is pending.
        """
        with self._changed:
            self._changed.notify_all()
            return self._changed.wait_for(lambda: self.is_idle, timeout)

    def stop_retrying(self) -> None:
        """Do what is pending, but end the thread once a copy fails, too.

        The next write starts the thread again.
        """
        with self._changed:
            self._is_retrying = False
            self._changed.notify_all()

    def _enqueue(self, feature_name: str | None, call: Call | None = None) -> Task:
        task, current = self._pending.get(feature_name), self._current
        if task is None:
            task = self._pending[feature_name] = Task(feature_name, call)
            # Race: a copy that is being made may have a later write of the flag, after
            # which this one would fail or undo it.
            if current and current.feature_name == feature_name and not current.call:
                task.call = None
        else:
            task.call = None
        return task

    def _start(self) -> None:
        if start_thread("flipper-replica", self._run) is None:
            # No thread runs in the background here, so the writer does the work
            # itself. The lock is reentrant.
            self._is_running = True
            self._is_retrying = False
            self._run()
        else:
            self._is_running = True

    def _run(self) -> None:
        while (task := self._next_task()) is not None:
            try:
                if task.call is not None:
                    task.call()
                elif task.feature_name is not None:
                    copy_flag(task.feature_name, self._primary, self.store)
                else:
                    self._enqueue_flags_of_replica()
            # Any error, even a pytest.fail or a timeout of gevent, is counted, logged
            # and tried again: no other thread would go on with the tasks.
            except BaseException as error:  # noqa: BLE001
                self._failed(task, error)
            else:
                self._succeeded(task)

    def _next_task(self) -> Task | None:
        with self._changed:
            # The second try copies the flag, which often helps. So it is made before
            # the thread gives up.
            if self._pending and (self._is_retrying or self._failures_in_a_row <= 1):
                task = self._pending.pop(next(iter(self._pending)))
                task.has_begun = True
                self._current = task
                self._changed.notify_all()
                return task
            lost = [*self._pending.values()]
            self._pending.clear()
            self._is_running = False
            self._failures_in_a_row = 0
            for task in lost:
                task.complete(self._last_error)
            self._changed.notify_all()
        if lost:
            logger.warning(
                "Replica %s is given up after repeated failures; %d flags are missing "
                "changes",
                type(self.store).__name__,
                len(lost),
            )
        return None

    # These two log without the lock: writers must not wait for a slow log handler.

    def _succeeded(self, task: Task) -> None:
        if self._failures_in_a_row:
            self._log.end(
                "fails", "Replica %s answers again", type(self.store).__name__
            )
        with self._changed:
            self._current = None
            self._failures_in_a_row = 0
            self._last_error = None
            task.complete()
            self._changed.notify_all()

    def _failed(self, task: Task, error: BaseException) -> None:
        if self._failures_in_a_row == 1:
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
            self._failures_in_a_row += 1
            self._last_error = error
            in_a_row = self._failures_in_a_row
            if in_a_row > 1 or task.has_failed:  # else it is tried again at once
                task.complete(error)
            task.has_failed = True
            newer = self._pending.pop(task.feature_name, None)
            if newer is not None:
                task.completions += newer.completions
            task.call = None
            self._pending[task.feature_name] = task  # behind the others
            if in_a_row == 1 or not self._is_retrying:
                return  # there is no pause before the second try, or before giving up
            pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(in_a_row - 2, 10))
            self._changed.wait(pause)

    def _enqueue_flags_of_replica(self) -> None:
        """Copy all flags that the replica has, since the primary may lack some."""
        found = [item.feature_name for item in self.store.list() if item is not None]
        with self._changed:
            for feature_name in found:
                self._enqueue(feature_name)


_replicas: WeakObjects[Replica] = WeakObjects()  # all of this process


def _flush_at_exit() -> None:
    """Let all replicas finish their tasks, for a limited time."""
    deadline = monotonic() + _EXIT_TIMEOUT
    # A loop, since a replica may be a store that has replicas itself.
    while busy := [replica for replica in _replicas if not replica.is_idle]:
        for replica in busy:
            replica.stop_retrying()
        for replica in busy:
            if not replica.flush(max(0.0, deadline - monotonic())):
                return


atexit.register(_flush_at_exit)
