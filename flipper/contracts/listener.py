# SPDX-License-Identifier: Apache-2.0
"""A daemon thread that listens to a store, and goes on when the store was away."""

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
SLICE: Final = 0.2
"""After which a thread looks whether it is still wanted."""
_OPEN_WITHIN: Final = 8.0  # for a watch to begin, which may take several answers
_END: Final = 1.0  # for the thread to end
_FIRST_PAUSE: Final = 0.1  # between two tries to reach the store, doubled each time
_LONGEST_PAUSE: Final = 3.0


class BackgroundListener(metaclass=ABCMeta):
    """Listens until it is closed: derive from it, and say what for.

    It must not hold who uses it, so that a store nobody holds is free to go, and ends
    its thread by a finalizer that calls `abandon`. Safe for threads, and for forks: the
    child starts it anew after `after_fork`.

    Args:
        store: what to listen to.
        name: of the thread.
    """

    def __init__(self, store: Any, name: str) -> None:
        self._store = store
        self._name = name
        self._failures = 0
        self._abandoned = False
        self._watch: Watch | None = None
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.RLock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def after_fork(self) -> None:
        """Be ready to begin anew; the thread of the parent is not in this process."""
        if self._watch is not None:
            _parents.append(self._watch)
            self._watch = None
        was_closed = self._closed.is_set()
        self._begin()
        if was_closed:
            self._closed.set()

    @property
    def is_closed(self) -> bool:
        """Whether it has been closed."""
        return self._closed.is_set()

    def start(self) -> bool:
        """Start the thread, unless there is one or this is closed; tell if there is."""
        detect_fork()
        with self._lock:
            if not self._closed.is_set() and self._thread is None:
                self._thread = start_thread(self._name, self._run, self._closed)
            return self._thread is not None

    def close(self) -> None:
        """Listen no more; the thread ends within a moment. Idempotent."""
        with self._lock:
            self._closed.set()

    def abandon(self) -> None:
        """Listen no more, as after `close`, but take no lock.

        The garbage collector may call this in the thread itself, wherever that is.
        """
        self._abandoned = True

    def join(self) -> None:
        """Wait until the closed thread has ended, but not for long."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(_END)

    def _run(self, closed: threading.Event) -> None:
        while not self._is_over(closed):
            try:
                self._listen(closed)
            except Exception as error:  # noqa: BLE001  (told, and tried again)
                self._failures += 1
                self._note_failure(error)
                longest = _FIRST_PAUSE * 2.0 ** min(self._failures, 10)
                longest = min(_LONGEST_PAUSE, longest)
                # Not all processes at once, when a server comes back to all of them.
                self._sleep(closed, uniform(longest / 4, longest))

    def _is_over(self, closed: threading.Event) -> bool:
        return self._abandoned or closed.is_set()

    def _sleep(self, closed: threading.Event, seconds: float) -> None:
        """Wait, but not if it is over meanwhile."""
        end = monotonic() + seconds
        while not self._is_over(closed) and (left := end - monotonic()) > 0:
            closed.wait(min(SLICE, left))

    @abstractmethod
    def _listen(self, closed: threading.Event) -> None:
        """Do what the thread is for until it is over, or time to begin anew.

        Sets `_failures` to 0 when it has gone well, so that pauses are short again.

        Raises:
            Exception: any; it is called again after a pause.
        """

    @abstractmethod
    def _note_failure(self, error: Exception) -> None:
        """Hear what `_listen` has raised."""

    def _open_watch(self) -> Watch:
        """Begin to listen.

        Raises:
            WatchRefusedError: the store has no change signal.
            Exception: it is away.
        """
        self._watch = call_with_timeout(_OPEN_WITHIN, lambda: watch(self._store))
        return self._watch

    def _close_watch(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None


# Never to be collected: in a child that was forked, the connections of its parent.
_parents: list[Any] = []
