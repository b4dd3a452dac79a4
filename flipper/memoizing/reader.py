# SPDX-License-Identifier: Apache-2.0
"""`MemoizingReader`: what a client reads instead of its store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..contracts.last_known import FailedReadError
from .memo import ongoing

if TYPE_CHECKING:
    from collections.abc import Callable

    from .memo import Memo

_UNREAD: Final[Any] = object()


class MemoizingReader:
    """Reads each flag once in a block, and otherwise whenever it is asked for.

    Args:
        reader: the object whose `get` reads the store.
        current: returns the block of this thread or task.
        memoized: returns a flag that gives the same answer to the same question.
        after_failed_read: returns the last known state of a flag, or raises the error.
    """

    def __init__(
        self,
        reader: Any,
        current: Callable[[], Memo | None],
        memoized: Callable[[Any], Any],
        after_failed_read: Callable[[str, Exception], Any],
    ) -> None:
        self._reader = reader
        self._current = current
        self._memoized = memoized
        self._after_failed_read = after_failed_read

    def get(self, feature_name: Any) -> Any:
        """Return a flag."""
        memo = self._current()
        if memo is None:
            return self._reader.get(feature_name)
        try:
            return memo[feature_name]
        except KeyError:
            if isinstance(feature_name, str):
                return self._read(memo, feature_name)
        except TypeError:
            pass
        return self._reader.get(feature_name)  # what is no name concerns the store

    def _read(self, memo: Memo, feature_name: str) -> Any:
        """Return a flag as this block or one around it knows it, else read it."""
        block = ongoing(memo)
        if block is None:
            return self._reader.get(feature_name)
        memo = block
        failure = memo.failures.get(feature_name)
        if failure is not None:
            raise FailedReadError(failure.cause, failure.item)
        item = memo.get(feature_name, _UNREAD)
        if item is not _UNREAD:
            return item
        last_write, outer = memo.last_write, memo.outer
        try:
            if outer is None:
                item = self._reader.get(feature_name)
            else:
                item = self._read(outer, feature_name)
        except Exception as error:
            failure = self._failed(feature_name, error)
            memo.put_failure(feature_name, failure, last_write)
            if failure is error:
                raise
            raise failure from error
        return memo.put(feature_name, self._memoized(item), last_write)

    def _failed(self, feature_name: str, error: Exception) -> FailedReadError:
        """Return a failure, with the last known state that answers the whole block.

        Raises:
            Exception: `error`, if the client raises the errors of its store.
        """
        if isinstance(error, FailedReadError):  # of the block around this one
            return error
        item = self._after_failed_read(feature_name, error)
        return FailedReadError(error, self._memoized(item))
