# SPDX-License-Identifier: Apache-2.0
"""`context`: within a block, arguments are added to every question.

This module is loaded when a client first uses it.
"""

from __future__ import annotations

from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from .contrib.storage.item import FeatureFlagStoreItem
from .exceptions import FlipperError
from .overrides import OverriddenFlag

if TYPE_CHECKING:
    from contextvars import Token
    from types import TracebackType


class ArgumentContext:
    """The arguments that one client adds. Safe for threads, asyncio and gevent.

    Each block belongs to the thread, the task or the greenlet that it began in, and to
    the tasks of asyncio that begin in it.
    """

    def __init__(self) -> None:
        self.current: ContextVar[dict[str, Any] | None] = ContextVar(
            "flipper", default=None
        )

    def merged(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of a question, with those of the present blocks."""
        added = self.current.get()
        return {**added, **arguments} if added else arguments

    def unwrapped(self, item: Any) -> Any:
        """Return a flag that was read by `reader` without what was added to it."""
        return item.item if type(item) is FlagInContext else item

    def block(self, arguments: dict[str, Any]) -> ContextBlock:
        """Return a context manager that adds these arguments."""
        return ContextBlock(self.current, arguments)

    def reader(self, reader: Any) -> ContextReader:
        """Return what reads flags and adds the arguments, given what reads them."""
        return ContextReader(reader, self)


class ContextReader:
    """Reads flags that add the arguments of the present blocks to their questions.

    Args:
        reader: the object whose `get` reads flags.
        context: of the client that reads.
    """

    def __init__(self, reader: Any, context: ArgumentContext) -> None:
        self._reader = reader
        self._current = context.current.get

    def get(self, feature_name: Any) -> Any:
        """Return a flag."""
        item = self._reader.get(feature_name)
        added = self._current()
        if not added or item is None or type(item) is OverriddenFlag:
            return item
        if type(item) is FeatureFlagStoreItem and item.answer is not None:
            return item  # no argument matters
        return FlagInContext(item, added)


class FlagInContext:
    """A flag that is asked with more arguments than those of the question.

    Args:
        item: the flag.
        added: the arguments to add; those of the question take precedence.
    """

    __slots__ = ("_added", "item")

    def __init__(self, item: Any, added: dict[str, Any]) -> None:
        self.item = item
        self._added = added

    def is_enabled(self, /, **conditions: Any) -> Any:
        """Return whether the flag is on.

        Raises:
            Exception: whatever the flag raises.
        """
        return self.item.is_enabled(**{**self._added, **conditions})


class ContextBlock:
    """A block that adds arguments to questions; what `client.context` returns.

    Args:
        current: the variable that has the arguments of each thread or task.
        arguments: the arguments.
    """

    __slots__ = ("_arguments", "_current", "_token")

    def __init__(
        self, current: ContextVar[dict[str, Any] | None], arguments: dict[str, Any]
    ) -> None:
        self._current = current
        self._arguments = arguments
        self._token: Token[dict[str, Any] | None] | None = None

    def __enter__(self) -> None:
        """Begin the block."""
        if self._token is not None:
            message = "This block has begun already; call client.context() for each one"
            raise FlipperError(message)
        current = self._current
        self._token = current.set({**(current.get() or {}), **self._arguments})

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the block."""
        token, self._token = self._token, None
        # The end of a generator may run in another context than its beginning. The
        # arguments were never added there.
        if token is not None:
            with suppress(ValueError):
                self._current.reset(token)
