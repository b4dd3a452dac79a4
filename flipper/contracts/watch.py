# SPDX-License-Identifier: Apache-2.0
"""The change signal of a store: reports which flags have changed, in any process."""

from __future__ import annotations

import threading
from abc import ABCMeta, abstractmethod
from typing import TYPE_CHECKING, Any

from ..exceptions import FlipperError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection


class WatchRefusedError(FlipperError):
    """The store, its server or its settings offer no change signal: use `list`."""


class Watch(metaclass=ABCMeta):
    """Reports the changes of one store until it is closed. For one thread at a time."""

    @abstractmethod
    def wait(self, timeout: float) -> Collection[str] | None:
        """Wait until flags change, but at most `timeout` seconds.

        Every flag that changed is reported. A flag that did not change may be reported,
        too.

        Returns:
            The names of flags that were created, changed or deleted; empty if none
            changed in time; `None` if it is not known which flags changed, for example
            when the server was emptied.

        Raises:
            Exception: the server is down, or has been silent for some seconds. Changes
                may have been missed, and a new watch is needed.
        """

    def revision(self) -> object:
        """Return a value that is another one once `wait` may have missed a change.

        While it stays the same, a copy of all flags that was read after an earlier call
        and updated by `wait` is complete. `None` means that this is not known.

        Raises:
            Exception: as `wait`.
        """
        return None

    @abstractmethod
    def close(self) -> None:
        """Stop listening, and release the connection. May be called again."""


class SupportsWatch:
    """A store that has a change signal.

    A store has to derive from this class. Having the same method is not enough: a test
    double seems to have any method.
    """

    def watch(self) -> Watch:
        """Return a watch that listens to this store.

        It reports every write that starts after this method has returned.

        Raises:
            WatchRefusedError: there is no change signal.
            Exception: the server is down.
        """
        raise NotImplementedError


def watch(store: Any) -> Watch:
    """Return a watch that listens to a store of any kind.

    Raises:
        WatchRefusedError: the store has no change signal.
        Exception: its server is down.
    """
    if not issubclass(type(store), SupportsWatch):
        raise WatchRefusedError(f"{type(store).__name__} has no change signal")
    return store.watch()  # type: ignore[no-any-return]


class WatchQueue(Watch):
    """A watch that a store feeds: it calls `report` for each change. Safe for threads.

    Args:
        stop: called once when the watch is closed, so that the store stops reporting.
    """

    def __init__(self, stop: Callable[[], object]) -> None:
        self._stop: Callable[[], object] | None = stop
        self._changed = threading.Condition()
        self._names: set[str] = set()
        self._error: Exception | None = None

    def report(self, *feature_names: str) -> None:
        """Make `wait` return these flags."""
        with self._changed:
            self._names.update(feature_names)
            self._changed.notify_all()

    def fail(self, error: Exception) -> None:
        """Make `wait` raise this error."""
        with self._changed:
            self._error = error
            self._changed.notify_all()

    def wait(self, timeout: float) -> Collection[str]:
        """Wait for changes; return the names of flags, or raise the error of `fail`."""
        with self._changed:
            self._changed.wait_for(lambda: self._names or self._error, timeout)
            if self._error is not None:
                raise self._error
            names, self._names = self._names, set()
            return names

    def close(self) -> None:
        """Stop the reports. May be called again."""
        stop, self._stop = self._stop, None
        if stop is not None:
            stop()
