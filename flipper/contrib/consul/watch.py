# SPDX-License-Identifier: Apache-2.0
"""The change signal of the Consul store: reports what changes in its copy."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from ...contracts.watch import WatchQueue
from ...exceptions import StoreTimeoutError
from ...runtime.clock import monotonic

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

# In seconds. Consul answers the store's thread only when something has changed, so a
# watch sends a ping to find out whether Consul is there.
_PING_AFTER: Final = 1.5
_PING_TIMEOUT: Final = 2.5


class ConsulWatch(WatchQueue):
    """Reports the changes of a copy, and checks that Consul is there.

    Args:
        close_if_abandoned: called by each `wait`; ends this watch if its store is gone.
        ping: sends Consul a small request; raises an error if it fails.
        replace_thread: called once when the ping has not been answered in time.
    """

    def __init__(
        self,
        close_if_abandoned: Callable[[], object],
        ping: Callable[[], object],
        replace_thread: Callable[[], None],
    ) -> None:
        super().__init__(lambda: None)
        self._close_if_abandoned = close_if_abandoned
        self._send_ping = ping
        self._replace_thread = replace_thread
        self._ping: _Ping | None = None
        self._last_sign_of_life = monotonic()

    def report(self, *feature_names: str) -> None:
        """Make `wait` return these names; with none, note that Consul is there."""
        self._last_sign_of_life = monotonic()
        super().report(*feature_names)

    def wait(self, timeout: float) -> Collection[str]:
        """Wait for changes, `timeout` seconds at most; return the names of the flags.

        Raises:
            StoreTimeoutError: Consul does not answer.
            StoreUnavailableError: the store is closed, or its last request failed.
            Exception: of the Consul client, if the ping fails.
        """
        self._close_if_abandoned()
        # The ping of a closed store fails only because it was interrupted.
        if self._error is None:
            self._check_consul()
        return super().wait(timeout)

    def revision(self) -> object:
        """Return always the same: the copy, in this process, reports each change."""
        return True

    def _check_consul(self) -> None:
        ping, now = self._ping, monotonic()
        if ping is None:
            if now > self._last_sign_of_life + _PING_AFTER:
                self._ping = _Ping(self._send_ping)
        elif ping.is_answered.is_set():
            self._ping, self._last_sign_of_life = None, now
            if ping.error is not None:
                raise ping.error
        elif now > ping.sent_at + _PING_TIMEOUT:
            self._replace_thread()
            raise StoreTimeoutError(
                f"Consul has not answered for {now - self._last_sign_of_life:.1f} "
                f"seconds"
            )


class _Ping(threading.Thread):
    """Sends one small request, in a thread: Consul's clients have no timeout."""

    def __init__(self, send: Callable[[], object]) -> None:
        super().__init__(name="flipper-consul-ping", daemon=True)
        self._send = send
        self.sent_at = monotonic()
        self.is_answered = threading.Event()
        self.error: Exception | None = None
        try:
            self.start()
        except RuntimeError:  # no more threads at the very end of a program
            self.is_answered.set()

    def run(self) -> None:
        """Send it, and keep the error if it fails."""
        try:
            self._send()
        except Exception as error:  # noqa: BLE001  (the watch raises it)
            self.error = error
        self.is_answered.set()
