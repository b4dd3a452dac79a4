# SPDX-License-Identifier: Apache-2.0
"""`ReadThrough`: answers while no thread of this process follows the inner store.

This is the case in a forked child until its thread has read all flags, and always where
background threads do not run.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakMethod

from ...contracts.circuit_breaker import (
    comes_from_open_circuit,
    current_reader,
    open_circuit,
)
from ...contracts.last_known import ERRORS_OF_ONE_FLAG, with_last_known
from ...runtime.clock import monotonic
from ...runtime.deadline import call_with_timeout
from ...runtime.log_throttle import OutageLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from .follower import Follower

# Seconds that a forked child waits for the inner store in total.
_READ_TIMEOUT_IN_CHILD: Final = 0.25


class ReadThrough:
    """Asks the inner store for each flag until the follower has read all flags.

    In a forked child, the copy is as old as the fork or older, and the first call may
    come hours later. If the inner store does not answer, or the child has waited for it
    0.25 seconds in total, the old copy answers.

    Where background threads do not run, the inner store is asked every time, and the
    copy answers only while the inner store is down. Safe for threads.

    Args:
        follower: the follower of the inner store, started by the first call if it can.
        store: the inner store.
        copied_flags: its `get` returns flags of the copy.
        use_copy: a method that is called when the copy can answer instead of this
            object, which has only a weak reference to it.
    """

    def __init__(
        self,
        follower: Follower,
        store: Any,
        copied_flags: Any,
        use_copy: Callable[[], object],
    ) -> None:
        self._follower = follower
        self._reader = with_last_known(store)
        self._copied_flags = copied_flags
        # A weak reference, so that a store that is not used any more is freed at once.
        self._use_copy_reference = WeakMethod(use_copy)
        self._seconds_left = _READ_TIMEOUT_IN_CHILD
        self._outage = OutageLog(__name__, store, "flags keep their last known state")

    def get(self, feature_name: str) -> Any:
        """Return the flag, or `None` if there is none.

        Raises:
            InvalidFlagDataError: the stored document is not a flag.
            StaleFlagsError: the copy has to answer, but is too old.
        """
        if not self._follower.start():
            return self._read_directly(feature_name)
        if self._seconds_left > 0 and not self._follower.loaded.is_set():
            began = monotonic()
            read = partial(self._follower.read_flag, feature_name)
            try:
                item = call_with_timeout(self._seconds_left, read)
            except Exception:  # noqa: BLE001  (the follower logs it)
                self._seconds_left = 0.0
            else:
                self._seconds_left -= monotonic() - began
                return item
        self._use_copy()
        return self._copied_flags.get(feature_name)

    def update_copy(self) -> None:
        """Read all flags of the inner store into the copy, if that is possible."""
        if self._follower.start():
            self._follower.loaded.wait(max(0.0, self._seconds_left))
            self._use_copy()
        else:
            self._follower.read_all_once(None)

    def _use_copy(self) -> None:
        use_copy = self._use_copy_reference()
        if use_copy is not None:
            use_copy()

    def _read_directly(self, feature_name: str) -> Any:
        copy = self._follower.copy
        copy.begin_reading()
        try:
            item = current_reader(self._reader).get(feature_name)
        except ERRORS_OF_ONE_FLAG:
            raise
        except Exception as error:  # noqa: BLE001  (the copy answers)
            if not comes_from_open_circuit(error) and not open_circuit(
                self._reader, feature_name, error, self._outage
            ):
                self._outage.failed(error)
            return self._copied_flags.get(feature_name)
        copy.apply({feature_name: item}, complete=False)
        return item
