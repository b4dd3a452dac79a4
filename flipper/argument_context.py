# SPDX-License-Identifier: Apache-2.0
"""`context`: within a block, arguments are added to every question.

This module is loaded when a client first uses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from .contrib.storage.item import FeatureFlagStoreItem
from .exceptions import FlipperError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
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


class LazyArguments:
    """Arguments that a function gives when a question first needs them.

    Python takes it for a mapping where `**` stands before it. If the function fails,
    each question that needs arguments fails with the same error, and so gets its
    default.

    Args:
        make: returns a dict of arguments; called once.
    """

    __slots__ = ("_error", "_found", "_make")

    def __init__(self, make: Callable[[], Mapping[str, Any]]) -> None:
        self._make = make
        self._found: Mapping[str, Any] | None = None
        self._error: Exception | None = None

    def keys(self) -> Iterable[str]:
        """Return the names of the arguments.

        Raises:
            Exception: any error of the function.
            TypeError: it has not returned a dict with texts as keys.
        """
        if self._error is not None:
            raise self._error
        found = self._found
        if found is None:
            try:
                found = _checked(self._make())
            except Exception as error:
                self._error = error
                raise
            # Race: two threads of a request may both call the function.
            self._found = found
        return found.keys()

    def __getitem__(self, name: str) -> Any:
        return self._found[name]  # type: ignore[index]  # `keys` was called before


def _checked(found: Any) -> Mapping[str, Any]:
    if not isinstance(found, Mapping):
        message = (
            f"The arguments of a request have to be a dict, as {{'user_id': 1}}, and "
            f"not a {type(found).__name__}"
        )
        raise TypeError(message)
    return found


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
        if not added or item is None:
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
