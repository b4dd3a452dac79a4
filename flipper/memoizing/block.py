# SPDX-License-Identifier: Apache-2.0
"""`MemoizedBlock`: the context manager that `client.memoize` returns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..exceptions import FlipperError
from .memo import Memo

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import ContextVar, Token
    from types import TracebackType

    from ..runtime.request_variable import RequestVariable


class MemoizedBlock:
    """A block in which each flag is read once; what `client.memoize` returns.

    Args:
        current: the variable that has the block of each thread or task.
        preload: is called when the block has begun.
    """

    __slots__ = ("_current", "_memo", "_preload", "_token")

    def __init__(
        self,
        current: ContextVar[Memo | None] | RequestVariable,
        preload: Callable[[], object] | None,
    ) -> None:
        self._current = current
        self._preload = preload
        self._memo: Memo | None = None
        self._token: Token[Memo | None] | None = None

    def __enter__(self) -> None:
        """Begin the block."""
        if self._memo is not None:
            message = "This block has begun already; call client.memoize() for each one"
            raise FlipperError(message)
        current = self._current
        self._memo = memo = Memo()
        outer = current.get()
        if outer is not None:
            memo.outer = outer
        self._token = current.set(memo)
        if self._preload is not None:
            try:
                self._preload()
            except BaseException:
                self.__exit__(None, None, None)
                raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the block."""
        memo, token = self._memo, self._token
        if memo is None or token is None:
            return
        self._memo = self._token = None
        memo.end()
        try:  # noqa: SIM105  (`suppress` takes as long as the rest of this method)
            self._current.reset(token)
        except ValueError:
            # The end of a generator may run in another context than its beginning.
            # There the block is over all the same.
            pass
