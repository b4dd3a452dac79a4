# SPDX-License-Identifier: Apache-2.0
"""`AsyncBlock`: what `memoize` and `context` of the async client return."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..exceptions import FlipperError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractContextManager
    from types import TracebackType


class AsyncBlock:
    """A block of the sync client, for `with` and `async with`.

    Args:
        block: the block. It belongs to the task that begins it.
        prepare: is awaited when the block has begun; then only `async with` will do.
    """

    __slots__ = ("_block", "_prepare")

    def __init__(
        self,
        block: AbstractContextManager[None],
        prepare: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._block = block
        self._prepare = prepare

    def __enter__(self) -> None:
        """Begin the block.

        Raises:
            FlipperError: something has to be read first.
        """
        if self._prepare is not None:
            message = (
                "memoize(preload=...) reads flags at its beginning, and must not block "
                "the event loop; use `async with`"
            )
            raise FlipperError(message)
        self._block.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the block."""
        self._block.__exit__(kind, error, traceback)

    async def __aenter__(self) -> None:
        """Begin the block, and read what it begins with."""
        self._block.__enter__()
        if self._prepare is not None:
            try:
                await self._prepare()
            except BaseException:
                self._block.__exit__(None, None, None)
                raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the block."""
        self._block.__exit__(kind, error, traceback)
