# SPDX-License-Identifier: Apache-2.0
"""`context`: within a block, arguments are added to every question.

This module is loaded when a client first uses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from .contrib.storage.item import FeatureFlagStoreItem
from .exceptions import FlipperError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextvars import Token
    from types import TracebackType
    from typing import TypeAlias

    from .runtime.request_variable import RequestVariable

    Variable: TypeAlias = ContextVar[Mapping[str, Any] | None] | RequestVariable


# Whether arguments are being searched for. That may ask questions, which need none.
_is_searching: Final[ContextVar[bool]] = ContextVar("flipper_context", default=False)


class ArgumentContext:
    """The arguments that one client adds. Safe for threads, asyncio and gevent.

    Each block belongs to the thread, the task or the greenlet that it began in, and to
    the tasks of asyncio that begin in it.
    """

    def __init__(self) -> None:
        self.current: Variable = ContextVar("flipper", default=None)

    def merged(self, arguments: dict[str, Any]) -> Any:
        """Return the arguments of a question, with those of the present blocks.

        If those cannot be found, the result raises the error when it is used: this is
        a reason why the flag cannot be evaluated, as others are.
        """
        added = self.current.get()
        if not added:
            return arguments
        try:
            return {**added, **arguments}
        except ArgumentsNotFoundError:
            return added

    def unwrapped(self, item: Any) -> Any:
        """Return a flag that was read by `reader` without what was added to it."""
        return item.item if type(item) is FlagInContext else item

    def block(self, arguments: dict[str, Any] | Callable[[], Any]) -> ContextBlock:
        """Return a context manager that adds arguments, or those that are found."""
        return ContextBlock(self.current, arguments)

    def reader(self, reader: Any) -> ContextReader:
        """Return what reads flags and adds the arguments, given what reads them."""
        return ContextReader(reader, self)


class ArgumentsNotFoundError(FlipperError):
    """The arguments that a request gives to every question could not be found."""


class LazyArguments(Mapping[str, Any]):
    """Arguments that are found when a question first needs them. Safe for threads.

    Each use raises an `ArgumentsNotFoundError` if they could not be found. They are
    not searched for again, so that the same question keeps its answer. Questions that
    the function asks itself get no arguments.

    Args:
        find: returns the arguments as a dict.
        outer: arguments to which these are added.
    """

    __slots__ = ("_find", "_outcome", "_outer")

    def __init__(
        self, find: Callable[[], Any], outer: Mapping[str, Any] | None = None
    ) -> None:
        self._find = find
        self._outer = outer
        self._outcome: dict[str, Any] = {}

    def found(self) -> Mapping[str, Any]:
        """Return the arguments.

        Raises:
            ArgumentsNotFoundError: the function has raised, or has returned no dict.
        """
        if not self._outcome:
            if _is_searching.get():
                return {}
            # Race: threads of one request may do this at once; the first result counts.
            self._outcome.setdefault("result", self._search())
        result = self._outcome["result"]
        if isinstance(result, Mapping):
            return result
        raise ArgumentsNotFoundError(str(result)) from result.__cause__

    def _search(self) -> Any:
        """Return the arguments, or an error that says what happened."""
        try:
            outer = {} if self._outer is None else {**self._outer}
        except ArgumentsNotFoundError as error:
            return error
        token = _is_searching.set(True)
        try:
            found = self._find()
        except Exception as error:  # noqa: BLE001  (a question never raises)
            kind = type(error).__name__
            failure = ArgumentsNotFoundError(
                f"The context of the request has raised {kind}: {error}"
            )
            failure.__cause__ = error
            return failure
        finally:
            _is_searching.reset(token)
        if isinstance(found, Mapping):
            return {**outer, **found}
        return ArgumentsNotFoundError(
            f"The context of the request has to return a dict of arguments, and has "
            f"returned {type(found).__name__}"
        )

    def __bool__(self) -> bool:
        """Return whether there may be arguments, without searching for them."""
        return True

    def __eq__(self, other: object) -> bool:
        """Return whether it is the same object.

        asgiref compares the values of context variables, which must find nothing.
        """
        return self is other

    __hash__ = object.__hash__

    def __getitem__(self, name: str) -> Any:
        return self.found()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.found())

    def __len__(self) -> int:
        return len(self.found())


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

    def __init__(self, item: Any, added: Mapping[str, Any]) -> None:
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
        arguments: the arguments, or a function that a question calls that needs them.
    """

    __slots__ = ("_arguments", "_current", "_token")

    def __init__(
        self, current: Variable, arguments: dict[str, Any] | Callable[[], Any]
    ) -> None:
        self._current = current
        self._arguments = arguments
        self._token: Token[Mapping[str, Any] | None] | None = None

    def __enter__(self) -> None:
        """Begin the block."""
        if self._token is not None:
            message = "This block has begun already; call client.context() for each one"
            raise FlipperError(message)
        current, arguments = self._current, self._arguments
        outer = current.get()
        if callable(arguments):
            self._token = current.set(LazyArguments(arguments, outer))
        elif isinstance(outer, LazyArguments):  # they may never be needed
            self._token = current.set(LazyArguments(lambda: arguments, outer))
        else:
            self._token = current.set({**(outer or {}), **arguments})

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
