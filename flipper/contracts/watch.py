# SPDX-License-Identifier: Apache-2.0
"""The change signal of a store: which flags have changed, whoever changed them."""

from __future__ import annotations

import threading
from abc import ABCMeta, abstractmethod
from typing import TYPE_CHECKING, Any

from ..exceptions import FlipperError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection


class WatchRefusedError(FlipperError):
    """A store, its server or its settings have no change signal; `list` has to do."""


class Watch(metaclass=ABCMeta):
    """Listens to one store until it is closed. For one thread at a time."""

    @abstractmethod
    def wait(self, timeout: float) -> Collection[str] | None:
        """Wait until flags change, `timeout` seconds at most.

        A flag may be named though it did not change; none that did is left out.

        Returns:
            The names of flags that were created, changed or deleted; empty if time is
            up; `None` if it cannot be told which, as when the server was emptied.

        Raises:
            Exception: the server is away, or has been silent for some seconds. What
                changed meanwhile is not known, and a new watch is needed.
        """

    @abstractmethod
    def close(self) -> None:
        """Stop listening, and let go of the connection. Idempotent."""


class SupportsWatch:
    """A store that has a change signal.

    To be derived from, not to be imitated: a test double seems to have any method.
    """

    def watch(self) -> Watch:
        """Begin to listen, and return what listens.

        Whatever is written after this has returned is reported.

        Raises:
            WatchRefusedError: there is no signal.
            Exception: the server is away.
        """
        raise NotImplementedError


def watch(store: Any) -> Watch:
    """Begin to listen to a store of any kind.

    Raises:
        WatchRefusedError: the store has no signal.
        Exception: its server is away.
    """
    if not issubclass(type(store), SupportsWatch):
        raise WatchRefusedError(f"{type(store).__name__} has no change signal")
    return store.watch()  # type: ignore[no-any-return]


class WatchQueue(Watch):
    """A watch for a store that learns of changes by itself. Safe for threads.

    Args:
        stop: called once when the watch is closed, to report to it no more.
    """

    def __init__(self, stop: Callable[[], object]) -> None:
        self._stop: Callable[[], object] | None = stop
        self._news = threading.Condition()
        self._names: set[str] = set()
        self._error: Exception | None = None

    def report(self, *feature_names: str) -> None:
        """Let these flags be given by `wait`."""
        with self._news:
            self._names.update(feature_names)
            self._news.notify_all()

    def fail(self, error: Exception) -> None:
        """Let `wait` raise this error."""
        with self._news:
            self._error = error
            self._news.notify_all()

    def wait(self, timeout: float) -> Collection[str]:
        """Wait for changes; return the names of the flags, or raise what failed."""
        with self._news:
            self._news.wait_for(lambda: self._names or self._error, timeout)
            if self._error is not None:
                raise self._error
            names, self._names = self._names, set()
            return names

    def close(self) -> None:
        """Hear no more."""
        stop, self._stop = self._stop, None
        if stop is not None:
            stop()
