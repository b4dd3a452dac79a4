# SPDX-License-Identifier: Apache-2.0
"""A copy of all flags of a Consul store, and the thread that keeps it level."""

from __future__ import annotations

import logging
import threading
from math import inf
from time import thread_time
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import WeakSet

from ...contracts.watch import WatchRefusedError
from ...exceptions import StoreUnavailableError
from ...runtime.background import start_thread
from ...runtime.clock import monotonic
from ...runtime.deadline import call_with_timeout
from ...runtime.fork import detect_fork, renew_after_fork
from ...runtime.jitter import uniform
from ...runtime.log_throttle import LogThrottle
from .connections import ConsulConnections, renew_connections
from .replies import read_keys, rows_under
from .watch import ConsulWatch

if TYPE_CHECKING:
    from collections.abc import Collection, MutableSet

    from .replies import Row

logger = logging.getLogger(__name__)

# All in seconds.
_FIRST_PAUSE: Final = 0.1  # between two requests, doubled each time
_LONGEST_PAUSE_AFTER_ERROR: Final = 2.0
_LONGEST_PAUSE_WITHOUT_NEWS: Final = 10.0
_PATIENCE: Final = 5.0  # with the first answer, before going on without it
_PATIENCE_OF_CHILD: Final = 0.25  # the same, in a forked child
_SLACK: Final = 10.0  # for an answer on its way, until it is taken to be lost
_SLICE: Final = 0.2  # after which the thread looks whether it is still wanted
_MOMENT: Final = 0.25  # before all flags are believed to be gone
# For so many times the processor time of an answer the thread rests after it.
_IDLE_SHARE: Final = 4
# A request whose answer is lost may wait for ever, since python-consul has no timeouts;
# that of a client whose connections are not known cannot be interrupted either.
_MOST_THREADS: Final = 3


# Larger than any, so that a write in vain finds out the true one.
UNKNOWN: Final = 2**62


class Fact(NamedTuple):
    """What is known of one flag from a request of its own.

    Attributes:
        row: its document, or `None` for no flag.
        since: the index at which it was so.
        asked: how many requests for all flags had been sent when this became known.
    """

    row: Row | None
    since: int
    asked: int


class ConsulCopy:
    """A copy of all documents, and the thread that follows the server. Thread-safe.

    It knows nothing of the store, so that a store nobody holds is free to go.

    Attributes:
        rows: the documents by feature name; to be read only.
        index: the index of the last change that is in it.
    """

    def __init__(self, consul: Any, prefix: str, wait: int) -> None:
        self._consul = consul
        self._prefix = prefix
        self._wait = wait
        self.rows: dict[str, Row] = {}
        self.index = 0
        self._closed = threading.Event()
        self._abandoned = False
        self._connections = ConsulConnections()
        self._due = -inf  # when the thread is taken to hang
        self._patience = _PATIENCE
        self._log = LogThrottle(__name__)
        self._begin()
        renew_after_fork(self)

    def _begin(self) -> None:
        # Reentrant: the garbage collector may run code that reads a store anywhere.
        self._lock = threading.RLock()
        self._threads: list[threading.Thread] = []
        self._current: threading.Event | None = None  # of the thread that counts
        self._asked = 0
        self._facts: dict[str, Fact] = {}
        self._error: str | None = "it has not answered yet"
        self._first_answer: threading.Event | None = None
        self._wait_until = -inf
        self._has_waited = False
        # What nobody waits on any more is free to go, closed or not.
        self._watches: MutableSet[ConsulWatch] = WeakSet()

    def after_fork(self) -> None:
        """Be followed by a thread of this process, over connections of its own."""
        self._begin()
        self._patience = _PATIENCE_OF_CHILD
        if not self._closed.is_set():
            self._closed = threading.Event()
            self._due = -inf
        self._connections.after_fork()
        renew_connections(self._consul)

    def be_followed(self) -> bool:
        """Start a thread if there is none, or if the one there is seems to hang.

        Everybody waits until the first one has an answer, or an error; in a forked
        child, where the rows of the parent can answer, not for long.

        Returns:
            Whether `rows` are what Consul has; `False` where background threads do not
            run.
        """
        detect_fork()
        if monotonic() > self._due:
            self._start()
        if not self._has_waited:
            self._wait_for_first_answer()
        return self._current is not None or self._closed.is_set()

    def read_all(self) -> None:
        """Replace the copy by what Consul has now, where no thread does that.

        Raises:
            StoreTimeoutError: Consul does not answer.
            Exception: of the client.
        """
        index, rows = call_with_timeout(_PATIENCE, lambda: self._ask(0))
        with self._lock:
            self.rows, self.index = rows, index
            self._facts.clear()

    def watch(self) -> ConsulWatch:
        """Begin to report changes.

        Raises:
            WatchRefusedError: the copy is closed.
            StoreUnavailableError: Consul is away, or has not answered yet. The copy is
                not all there is, then.
        """
        self.be_followed()
        with self._lock:
            if self._closed.is_set():
                raise WatchRefusedError("This Consul store is closed; make another one")
            if self._error is not None:
                raise _away(self._error)
            watch = ConsulWatch(self._look_after, self._ask_for_little, self._distrust)
            self._watches.add(watch)
            return watch

    def close(self) -> None:
        """Follow no more; the thread ends within a moment. Idempotent."""
        with self._lock:
            self._closed.set()
            self._current = None
            self._due = inf
            self._fail("the store is closed")
        # Race: after that, so that the thread does not take it for a failure.
        self._connections.close()

    def abandon(self) -> None:
        """Follow no more, as after `close`, but take no lock.

        The garbage collector may call this in the thread itself, wherever that is.
        """
        self._abandoned = True
        self._connections.close()

    def record_write(self, feature_name: str, row: Row | None, since: int) -> None:
        """Take in what is known of one flag, unless something newer is known."""
        with self._lock:
            known = self._facts.get(feature_name)
            if since <= self.index or (known is not None and since < known.since):
                return
            self._facts[feature_name] = Fact(row, since, self._asked)
            _put(self.rows, feature_name, row)
            for watch in self._watches:
                watch.report(feature_name)

    def _start(self) -> None:
        with self._lock:
            if monotonic() <= self._due:
                return  # another caller has done it
            self._due = self._deadline()
            is_first = self._current is None
            if not is_first:
                self._connections.interrupt()
            self._threads = [one for one in self._threads if one.is_alive()]
            if len(self._threads) >= _MOST_THREADS:
                return
            answered = self._current = threading.Event()
            thread = start_thread("flipper-consul", self._follow, answered)
            if thread is None:
                self._current, self._due = None, -inf
                return
            self._threads.append(thread)
            if is_first:
                self._first_answer = answered
                self._wait_until = monotonic() + self._patience

    def _wait_for_first_answer(self) -> None:
        with self._lock:  # Race: another caller may be about to start the thread
            answered = self._first_answer
        if answered is None:
            return
        if not answered.wait(max(0.0, self._wait_until - monotonic())):
            self._log.warning(
                "silent", "Consul has not answered yet; its flags stay as last known"
            )
        self._has_waited = True

    def _deadline(self) -> float:
        # Consul adds up to a sixteenth by itself.
        return monotonic() + self._wait * 17 / 16 + _SLACK

    def _follow(self, answered: threading.Event) -> None:
        """Follow until that is over; runs in a thread."""
        self._ask_again_and_again(answered)
        self._look_after()
        if self._closed.is_set():
            self._connections.release()

    def _look_after(self) -> None:
        """Do what the garbage collector could not do."""
        if self._abandoned:
            self.close()

    def _is_over(self, answered: threading.Event) -> bool:
        return self._abandoned or self._current is not answered

    def _ask_again_and_again(self, answered: threading.Event) -> None:
        index = failures = unchanged = 0
        in_doubt = False
        while True:
            with self._lock:
                if self._is_over(answered):
                    return
                self._due = self._deadline()
                self._asked += 1
            began, spent_before = monotonic(), thread_time()
            try:
                found, rows = self._ask(index)
            except Exception as error:  # noqa: BLE001  (logged, tried again)
                failures += 1
                self._take_failure(error, failures, answered)
                index, in_doubt = 0, False
                pause = uniform(0.5, 1) * _growing(failures, _LONGEST_PAUSE_AFTER_ERROR)
            else:
                if failures:
                    self._log.end("away", "Consul answers again")
                failures = 0
                in_doubt = not in_doubt and self._loses_all(rows)
                if in_doubt:  # it is asked once more, and believed then
                    index = 0
                    self._rest(answered, _MOMENT)
                    continue
                changed = self._take(found, rows, answered)
                if changed is None:
                    return
                took = monotonic() - began
                # No news, and not waited for any: a server, or a double, that cannot.
                unchanged = unchanged + 1 if found == index and took < 1 else 0
                pause = _growing(unchanged, _LONGEST_PAUSE_WITHOUT_NEWS) - took
                if changed:
                    # The next change may come at once; but among very many flags, only
                    # a part of the time is for reading all of them again.
                    pause = _IDLE_SHARE * (thread_time() - spent_before)
                # An index that goes backwards belongs to another history: begin anew.
                index = found if found >= index else 0
            answered.set()
            self._rest(answered, pause)

    def _rest(self, answered: threading.Event, seconds: float) -> None:
        end = monotonic() + seconds
        while not self._is_over(answered) and (left := end - monotonic()) > 0:
            self._closed.wait(min(_SLICE, left))

    def _loses_all(self, rows: dict[str, Row]) -> bool:
        known = self.rows
        return bool(known) and known.keys().isdisjoint(rows)

    def _take(
        self, index: int, rows: dict[str, Row], answered: threading.Event
    ) -> Collection[str] | None:
        """Replace the copy and name what has changed.

        Returns `None` if another thread does that by now.
        """
        with self._lock:
            if self._is_over(answered):
                return None
            # Race: the answer may be older than what has become known since it was
            # asked for. A request sent later has it, whatever its index.
            self._facts = {
                feature_name: fact
                for feature_name, fact in self._facts.items()
                if fact.asked == self._asked and fact.since > index
            }
            for feature_name, fact in self._facts.items():
                _put(rows, feature_name, fact.row)
            before, self.rows = self.rows, rows
            self.index = index
            self._error = None
            # Not by index: it may have begun anew, or gone backwards.
            changed = dict(before.items() ^ rows.items())
            for watch in self._watches:
                watch.report(*changed)
            return changed

    def _ask(self, index: int) -> tuple[int, dict[str, Row]]:
        """Wait for what comes after an index; without one be answered at once."""
        found, answer = read_keys(
            self._connections.client(self._consul).kv,
            self._prefix,
            index=str(index) if index > 0 else None,
            recurse=True,
            wait=f"{self._wait}s",
        )
        return found, rows_under(self._prefix, answer)

    def _ask_for_little(self) -> None:
        try:
            read_keys(self._connections.client(self._consul).kv, self._prefix)
        except Exception as error:
            # An answer all the same: a token may be for what lies below only.
            if type(error).__name__ != "ACLPermissionDenied":
                raise

    def _distrust(self) -> None:
        """Take it that the thread will not be answered either; the next is."""
        with self._lock:
            if not self._closed.is_set():
                self._due = -inf
                self._fail("it does not answer any more")

    def _take_failure(
        self, error: Exception, failures: int, answered: threading.Event
    ) -> None:
        with self._lock:
            if self._is_over(answered):
                return
            self._fail(f"{type(error).__name__}: {error}")
        message = (
            "Consul cannot be asked (%s: %s); flags stay as last known until it can"
        )
        if failures == 1:
            self._log.warning("away", message, type(error).__name__, error)
        else:
            logger.debug(message, type(error).__name__, error)

    def _fail(self, error: str) -> None:
        self._error = error
        for watch in self._watches:
            watch.fail(_away(error))


def _away(error: str) -> StoreUnavailableError:
    return StoreUnavailableError(f"The flags of Consul cannot be followed: {error}")


def _put(rows: dict[str, Row], feature_name: str, row: Row | None) -> None:
    if row is None:
        rows.pop(feature_name, None)
    else:
        rows[feature_name] = row


def _growing(times: int, longest: float) -> float:
    """Return a pause in seconds that doubles from the second time on."""
    return min(longest, _FIRST_PAUSE * 2.0 ** max(0, min(times - 1, 10)))
