# SPDX-License-Identifier: Apache-2.0
"""The background thread that keeps a store's copy up to date with Consul.

It sends blocking queries, one after the other: Consul answers such a request as soon as
something has changed, or after `wait` seconds.
"""

from __future__ import annotations

import logging
import threading
from math import inf
from time import thread_time
from typing import TYPE_CHECKING, Any, Final

from ...contracts.watch import WatchRefusedError
from ...runtime.background import start_thread
from ...runtime.clock import monotonic
from ...runtime.deadline import call_with_timeout
from ...runtime.fork import detect_fork, renew_after_fork
from ...runtime.log_throttle import LogThrottle
from .connections import ConsulConnections, renew_connections
from .copy import unavailable
from .polling import PollingState
from .replies import read_keys, rows_under
from .watch import ConsulWatch

if TYPE_CHECKING:
    from collections.abc import Collection

    from .copy import ConsulCopy
    from .replies import Row

logger = logging.getLogger(__name__)

# All in seconds.
_FIRST_ANSWER_TIMEOUT: Final = 5.0  # then the store goes on without it
_FIRST_ANSWER_TIMEOUT_IN_CHILD: Final = 0.25  # the same, in a forked child
_GRACE: Final = 10.0  # for a reply on its way, until it is believed to be lost
_CHECK_INTERVAL: Final = 0.2  # in a pause, the thread checks whether it is to end
_PAUSE_BEFORE_EMPTY: Final = 0.25  # before all flags are believed to be gone
# A request whose reply is lost may wait for ever, since python-consul has no timeouts;
# that of a client whose connections are not known cannot be interrupted either.
_MAX_THREADS: Final = 3


class ConsulFollower:
    """Keeps a copy up to date in a background thread. Safe for threads.

    It holds no reference to the store, so that the garbage collector can free a store
    that nobody uses any more.

    Args:
        consul: the client of the application.
        prefix: what the keys of all flags begin with, with a slash at its end.
        wait: for how many seconds Consul holds back a reply while nothing changes.
        copy: the copy.
    """

    def __init__(self, consul: Any, prefix: str, wait: int, copy: ConsulCopy) -> None:
        self._consul = consul
        self._prefix = prefix
        self._wait = wait
        self._copy = copy
        self._closed = threading.Event()
        self._is_abandoned = False
        self._connections = ConsulConnections()
        self._reply_due = -inf  # after that the thread is believed to hang
        self._first_answer_timeout = _FIRST_ANSWER_TIMEOUT
        self._log = LogThrottle(__name__)
        self._forget_threads()
        renew_after_fork(self)

    def _forget_threads(self) -> None:
        self._threads: list[threading.Thread] = []
        # Of the thread in charge: set as soon as it has had an answer, or an error.
        self._current: threading.Event | None = None
        self._first_answer: threading.Event | None = None
        self._first_answer_due = -inf
        self._has_waited = False

    def after_fork(self) -> None:
        """Use a thread of this process, and connections of its own."""
        self._copy.after_fork()
        self._forget_threads()
        self._first_answer_timeout = _FIRST_ANSWER_TIMEOUT_IN_CHILD
        if not self._closed.is_set():
            self._closed = threading.Event()
            self._reply_due = -inf
        self._connections.after_fork()
        renew_connections(self._consul)

    def ensure_running(self, *, may_wait: bool = True) -> bool:
        """Start a thread if there is none, or if the present one seems to hang.

        Every caller waits until the first thread has an answer, or an error, 5 seconds
        at most. A forked child, which has the copy of its parent, waits 0.25 seconds.

        Returns:
            Whether the copy is kept up to date; `False` where background threads do not
            run, or if it would have to wait and must not.
        """
        detect_fork()
        if monotonic() > self._reply_due:
            self._start()
        if not self._has_waited:
            if not may_wait:
                return False
            self._wait_for_first_answer()
        return self._current is not None or self._closed.is_set()

    def read_all(self) -> None:
        """Read all flags into the copy, where no thread does that.

        Raises:
            StoreTimeoutError: Consul does not answer.
            Exception: of the Consul client.
        """
        index, rows = call_with_timeout(
            _FIRST_ANSWER_TIMEOUT, lambda: self._read_changes(0)
        )
        self._copy.reset(index, rows)

    def watch(self) -> ConsulWatch:
        """Begin to report changes.

        Raises:
            WatchRefusedError: the store is closed.
            StoreUnavailableError: Consul is down, or has not answered yet, so that the
                copy may be incomplete.
        """
        self.ensure_running()
        with self._copy.lock:
            if self._closed.is_set():
                raise WatchRefusedError(
                    "This Consul store is closed; create another one"
                )
            if self._copy.error is not None:
                raise unavailable(self._copy.error)
            watch = ConsulWatch(
                self._close_if_abandoned, self._ping, self._replace_thread
            )
            self._copy.add_watch(watch)
            return watch

    def close(self) -> None:
        """Stop; the thread ends within a moment. Idempotent."""
        with self._copy.lock:
            self._closed.set()
            self._current = None
            self._reply_due = inf
            self._copy.fail("the store is closed")
        # Race: afterwards, so that the thread does not report an interrupted request.
        self._connections.close()

    def abandon(self) -> None:
        """Stop as `close` does, but take no lock.

        The garbage collector may call this in any thread, which may hold the lock.
        """
        self._is_abandoned = True
        self._connections.close()

    def _close_if_abandoned(self) -> None:
        """Do the rest of `close`, for which `abandon` would have needed the lock."""
        if self._is_abandoned:
            self.close()

    def _start(self) -> None:
        with self._copy.lock:
            if monotonic() <= self._reply_due:
                return  # another caller has started it
            self._reply_due = self._next_reply_due()
            is_first = self._current is None
            if not is_first:
                self._connections.interrupt()
            self._threads = [one for one in self._threads if one.is_alive()]
            if len(self._threads) >= _MAX_THREADS:
                return
            answered = self._current = threading.Event()
            thread = start_thread("flipper-consul", self._run, answered)
            if thread is None:
                self._current, self._reply_due = None, -inf
                return
            self._threads.append(thread)
            if is_first:
                self._first_answer = answered
                self._first_answer_due = monotonic() + self._first_answer_timeout

    def _wait_for_first_answer(self) -> None:
        with self._copy.lock:  # Race: another caller may be about to start the thread
            answered = self._first_answer
        if answered is None:
            return
        if not answered.wait(max(0.0, self._first_answer_due - monotonic())):
            self._log.warning(
                "silent",
                "Consul has not answered yet; flags keep their last known state",
            )
        self._has_waited = True

    def _next_reply_due(self) -> float:
        # Consul adds up to a sixteenth to the time that it waits.
        return monotonic() + self._wait * 17 / 16 + _GRACE

    def _replace_thread(self) -> None:
        """Have the next caller start another thread: this one's connection is dead."""
        with self._copy.lock:
            if not self._closed.is_set():
                self._reply_due = -inf
                self._copy.fail("it does not answer any more")

    # -- in the thread -----------------------------------------------------------------

    def _run(self, answered: threading.Event) -> None:
        """Follow Consul until the store is closed or another thread is in charge."""
        self._poll(answered)
        self._close_if_abandoned()
        if self._closed.is_set():
            self._connections.release()

    def _poll(self, answered: threading.Event) -> None:
        state = PollingState()
        while self._begin_request(answered):
            began, spent_before = monotonic(), thread_time()
            try:
                index, rows = self._read_changes(state.index)
            except Exception as error:  # noqa: BLE001  (logged, tried again)
                pause = state.after_error()
                self._report_error(error, state.failures, answered)
            else:
                if state.failures:
                    self._log.end("away", "Consul answers again")
                state.failures = 0
                state.is_in_doubt = not state.is_in_doubt and self._has_lost_all(rows)
                if state.is_in_doubt:
                    state.index = 0
                    self._pause(answered, _PAUSE_BEFORE_EMPTY)
                    continue
                changed = self._replace_copy(index, rows, answered)
                if changed is None:
                    return
                pause = state.after_reply(
                    index,
                    seconds=monotonic() - began,
                    processor_time=thread_time() - spent_before,
                    has_changed=bool(changed),
                )
            answered.set()
            self._pause(answered, pause)

    def _is_over(self, answered: threading.Event) -> bool:
        """Return whether the store is gone, or another thread is in charge."""
        return self._is_abandoned or self._current is not answered

    def _begin_request(self, answered: threading.Event) -> bool:
        with self._copy.lock:
            if self._is_over(answered):
                return False
            self._reply_due = self._next_reply_due()
            self._copy.count_request()
            return True

    def _pause(self, answered: threading.Event, seconds: float) -> None:
        end = monotonic() + seconds
        while not self._is_over(answered) and (left := end - monotonic()) > 0:
            self._closed.wait(min(_CHECK_INTERVAL, left))

    def _has_lost_all(self, rows: dict[str, Row]) -> bool:
        """Return whether a reply has none of the flags that the copy has."""
        known = self._copy.rows
        return bool(known) and known.keys().isdisjoint(rows)

    def _replace_copy(
        self, index: int, rows: dict[str, Row], answered: threading.Event
    ) -> Collection[str] | None:
        """Replace the copy; return what has changed, or `None` if this is over."""
        with self._copy.lock:
            if self._is_over(answered):
                return None
            return self._copy.replace(index, rows)

    def _report_error(
        self, error: Exception, failures: int, answered: threading.Event
    ) -> None:
        with self._copy.lock:
            if self._is_over(answered):
                return
            self._copy.fail(f"{type(error).__name__}: {error}")
        message = (
            "Consul does not answer (%s: %s); flags keep their last known state until "
            "it does"
        )
        if failures == 1:
            self._log.warning("away", message, type(error).__name__, error)
        else:
            logger.debug(message, type(error).__name__, error)

    # -- requests ----------------------------------------------------------------------

    def _read_changes(self, index: int) -> tuple[int, dict[str, Row]]:
        """Read all flags as soon as Consul's index exceeds `index`; 0 is at once."""
        found, answer = read_keys(
            self._connections.client(self._consul).kv,
            self._prefix,
            index=str(index) if index > 0 else None,
            recurse=True,
            wait=f"{self._wait}s",
        )
        return found, rows_under(self._prefix, answer)

    def _ping(self) -> None:
        """Send a small request; raise an error if Consul does not answer it."""
        try:
            read_keys(self._connections.client(self._consul).kv, self._prefix)
        except Exception as error:
            # This is an answer, too: the token may permit only the keys below.
            if type(error).__name__ != "ACLPermissionDenied":
                raise
