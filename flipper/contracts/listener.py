# SPDX-License-Identifier: Apache-2.0
"""`BackgroundListener`: a daemon thread that listens to the changes of a store."""

from __future__ import annotations

import threading
from abc import ABCMeta, abstractmethod
from typing import TYPE_CHECKING, Any, Final

from ..runtime.background import start_thread
from ..runtime.clock import monotonic
from ..runtime.deadline import call_with_timeout
from ..runtime.fork import detect_fork
from ..runtime.jitter import uniform
from .watch import watch

if TYPE_CHECKING:
    from .watch import Watch

# All in seconds.
CHECK_INTERVAL: Final = 0.5
"""The interval at which a waiting thread checks whether it has to end."""
_OPEN_TIMEOUT: Final = 8.0  # to open a watch, which may take several requests
_JOIN_TIMEOUT: Final = 1.0
_FIRST_PAUSE: Final = 0.1  # between two attempts to reach the store, doubled each time
_LONGEST_PAUSE: Final = 4.5


class BackgroundListener(metaclass=ABCMeta):
    """Listens to a store in a daemon thread until it is closed.

    A subclass defines `_listen`, which is called again after an error. It may call
    `_note_success` when it has read what it needs. The listener
    must not refer to the object that uses it. That object can then be collected, and
    ends the thread by a finalizer that calls `abandon`. Safe for threads and forks: a
    child calls `after_fork`, and then `start`.

    Args:
        store: the store to listen to.
        name: the name of the thread.
    """

    def __init__(self, store: Any, name: str) -> None:
        self._store = store
        self._name = name
        self._failures = 0
        self._has_succeeded = False
        self._abandoned = False
        self._watch: Watch | None = None
        self._reset_thread()

    def _reset_thread(self) -> None:
        self._lock = threading.RLock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def after_fork(self) -> None:
        """Prepare for another `start`: the thread is in the parent process only."""
        if self._watch is not None:
            _watches_of_parent.append(self._watch)
            self._watch = None
        was_closed = self._closed.is_set()
        self._reset_thread()
        if was_closed:
            self._closed.set()

    @property
    def is_closed(self) -> bool:
        """Whether it has been closed."""
        return self._closed.is_set()

    def start(self) -> bool:
        """Start the thread unless it runs or this is closed; return whether it runs."""
        detect_fork()
        with self._lock:
            if not self._closed.is_set() and self._thread is None:
                self._thread = start_thread(self._name, self._run, self._closed)
            return self._thread is not None

    def close(self) -> None:
        """Stop listening; the thread ends within a moment. May be called again."""
        with self._lock:
            self._closed.set()

    def abandon(self) -> None:
        """Stop listening like `close`, but without taking a lock.

        The garbage collector may call this in any thread, while that holds any lock.
        """
        self._abandoned = True

    def join(self) -> None:
        """Wait until the closed thread has ended, but at most 1 second."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(_JOIN_TIMEOUT)

    def _run(self, closed: threading.Event) -> None:
        while not self._is_over(closed):
            try:
                self._listen(closed)
            except Exception as error:  # noqa: BLE001  (reported, and tried again)
                self._failures += 1
                self._note_failure(error)
                self._sleep(closed, self._pause())

    def _pause(self) -> float:
        """Return the seconds until the next attempt to reach the store.

        Many processes may lose their server at the same moment. Their first attempts
        are at random times, and all later ones in one rhythm, so that whenever the
        server is back, they come evenly spread over the longest pause.
        """
        if self._has_succeeded:
            return uniform(0, _LONGEST_PAUSE) if self._failures == 1 else _LONGEST_PAUSE
        longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(self._failures, 10))
        return uniform(longest / 4, longest)

    def _note_success(self) -> None:
        self._failures = 0
        self._has_succeeded = True

    def _is_over(self, closed: threading.Event) -> bool:
        return self._abandoned or closed.is_set()

    def _sleep(self, closed: threading.Event, seconds: float) -> None:
        """Wait for some seconds, or until the thread has to end."""
        end = monotonic() + seconds
        while not self._is_over(closed) and (left := end - monotonic()) > 0:
            closed.wait(min(CHECK_INTERVAL, left))

    @abstractmethod
    def _listen(self, closed: threading.Event) -> None:
        """Do the work of the thread until `_is_over`; may return earlier.

        Raises:
            Exception: any error; the method is called again after a pause.
        """

    @abstractmethod
    def _note_failure(self, error: Exception) -> None:
        """Take note of an error that `_listen` has raised."""

    def _open_watch(self) -> Watch:
        """Open a watch on the store, within 8 seconds.

        Raises:
            WatchRefusedError: the store has no change signal.
            StoreTimeoutError: opening the watch took too long.
            Exception: the server is down.
        """
        self._watch = call_with_timeout(_OPEN_TIMEOUT, lambda: watch(self._store))
        return self._watch

    def _close_watch(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None


# In a forked child: the watches of the parent. They are kept, because collecting them
# would close connections that the parent uses.
_watches_of_parent: list[Any] = []
