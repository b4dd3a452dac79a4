# SPDX-License-Identifier: Apache-2.0
"""Answers of the synchronised store while no thread of this process follows the flags.

That is so in a forked child until its thread has read all flags, and for good where
background threads do not run.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ...contracts.circuit_breaker import has_opened_circuit, open_circuit, reader_of
from ...contracts.last_known import ANSWERS, remembering
from ...runtime.clock import monotonic
from ...runtime.deadline import call_with_timeout
from ...runtime.log_throttle import OutageLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from .follower import Follower

_PATIENCE: Final = 0.25  # seconds that a child waits for the inner store, all in all


class ReadThrough:
    """Asks the inner store for each flag until the follower of this process has them.

    The copy that a child inherits is as old as the fork, or older: perhaps nobody has
    asked for a flag for hours. If the inner store does not answer, or the child has
    waited long enough for it, the copy answers as it is.

    Where background threads do not run, the inner store is asked every time, and the
    copy answers while it is away. Safe for threads.

    Args:
        follower: follows the inner store from the first question on, if it can.
        store: the inner store.
        copied: gives flags of the copy.
        use_copy: called when nobody has to ask this object any more.
    """

    def __init__(
        self,
        follower: Follower,
        store: Any,
        copied: Any,
        use_copy: Callable[[], object],
    ) -> None:
        self._follower = follower
        self._reader = remembering(store)
        self._copied = copied
        self._use_copy = use_copy
        self._patience = _PATIENCE
        self._outage = OutageLog(__name__, store, "its flags stay as last known")

    def get(self, feature_name: str) -> Any:
        """Return the flag, or `None` if there is none.

        Raises:
            InvalidFlagDataError: what is stored is no flag.
            StaleFlagsError: the copy has to answer, and is too old.
        """
        if not self._follower.start():
            return self._read_directly(feature_name)
        if self._patience > 0 and not self._follower.loaded.is_set():
            began = monotonic()
            read = partial(self._follower.read_one, feature_name)
            try:
                item = call_with_timeout(self._patience, read)
            except Exception:  # noqa: BLE001  (the follower logs it)
                self._patience = 0.0
            else:
                self._patience -= monotonic() - began
                return item
        self._use_copy()
        return self._copied.get(feature_name)

    def prepare_list(self) -> None:
        """Let the copy have all flags as they are now, if that is possible."""
        if self._follower.start():
            self._follower.loaded.wait(max(0.0, self._patience))
            self._use_copy()
        else:
            self._follower.load_once(None)

    def _read_directly(self, feature_name: str) -> Any:
        try:
            item = reader_of(self._reader).get(feature_name)
        except ANSWERS:
            raise
        except Exception as error:  # noqa: BLE001  (the copy answers)
            if not has_opened_circuit(error) and not open_circuit(
                self._reader, feature_name, error, self._outage
            ):
                self._outage.failed(error)
            return self._copied.get(feature_name)
        copy = self._follower.copy
        copy.begin_reading()
        copy.take({feature_name: item}, complete=False)
        return item
