# SPDX-License-Identifier: Apache-2.0
"""`WriteThrough`: writes to the inner store, then records the flag in the copy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from ...exceptions import FlagDoesNotExistError
from ...runtime.deadline import call_with_timeout

if TYPE_CHECKING:
    from collections.abc import Callable

    from .follower import Follower

T = TypeVar("T")

UNKNOWN: Final = object()
"""Stands for a flag of which it is not known what was written."""


def _unchanged(item: object) -> Any:
    return item


class WriteThrough:
    """Calls the inner store, and makes the result visible in the copy at once.

    Safe for threads: the writes of one flag run one after the other.

    Args:
        follower: the follower of the inner store, with the copy.
        store: the inner store.
        timeout: seconds that a write may take; `None` is no limit.
    """

    def __init__(self, follower: Follower, store: Any, timeout: float | None) -> None:
        self._follower = follower
        self._store = store
        self._timeout = timeout

    def call(
        self,
        feature_name: str,
        write: Callable[[], T],
        find_flag: Callable[[T], Any] = _unchanged,
    ) -> T:
        """Call `write`, record the flag in the copy, and return the result of `write`.

        Args:
            feature_name: the flag.
            write: writes the flag to the inner store, or reads it from there.
            find_flag: takes the result of `write`, and returns the flag as it is now:
                an item, `None` if there is none, or `UNKNOWN`. By default, the result
                itself is the flag.

        Raises:
            StoreTimeoutError: it took longer than the timeout.
            Exception: any error that `write` raises.
        """

        def write_and_find() -> tuple[T, Any]:
            result = write()
            return result, find_flag(result)

        self._follower.start()
        with self._follower.copy.writing(feature_name, self._timeout) as record:
            try:
                result, item = call_with_timeout(self._timeout, write_and_find)
            except FlagDoesNotExistError:
                record(None)  # also if the copy has the flag
                raise
            if item is not UNKNOWN:
                record(item)
            return result

    def rereading(self, feature_name: str, expected: Any) -> Callable[[object], Any]:
        """Return a `find_flag` that reads the flag again after a write.

        Args:
            feature_name: the flag.
            expected: what to record if the flag cannot be read.
        """

        def reread(_: object) -> Any:
            try:
                return self._store.get(feature_name)
            except Exception:  # noqa: BLE001  (the write itself has succeeded)
                return expected

        return reread
