# SPDX-License-Identifier: Apache-2.0
"""What the questions of one request share, for integrations with frameworks.

In a framework with a present request, answers belong to its object, wherever it goes;
`_share_in_requests` of a client takes a `RequestScope`. A request that asks nothing
costs nothing. In other frameworks, a `RequestBlock` is put around the request.

This module is loaded when an integration first uses it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .argument_context import LazyArguments
from .memoizing.memo import Memo

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType


class RequestScope:
    """What the questions of one client in one request share. Safe for threads.

    Args:
        find_arguments: returns the arguments that all questions get; called at most
            once, by the first question that needs them.
    """

    __slots__ = ("arguments", "memo")

    def __init__(self, find_arguments: Callable[[], Any] | None = None) -> None:
        self.memo = Memo()
        self.arguments: LazyArguments | None = None
        if find_arguments is not None:
            self.arguments = LazyArguments(find_arguments)

    def end(self) -> None:
        """Let what has outlived the request read the store again."""
        self.memo.end()


class RequestBlock:
    """One answer per flag, and the arguments of a request, as a context manager.

    It may be entered again, such as for each part of a response that is streamed after
    the request was handled. The flags keep their state until `end` is called. For one
    thread or task at a time.

    Args:
        client: the `FeatureFlagClient` that is asked.
        find_arguments: returns the arguments that all questions get; called at most
            once, by the first question that needs them.

    Attributes:
        arguments: these arguments; `None` if there is no function.
    """

    __slots__ = (
        *("_arguments_token", "_arguments_variable", "arguments"),
        *("_memo", "_memo_token", "_memo_variable"),
    )

    def __init__(
        self,
        client: Any,
        find_arguments: Callable[[], Any] | None = None,
    ) -> None:
        memoization = client._memoization or client._begin_memoizing()  # noqa: SLF001
        self._memo = memo = Memo()
        self._memo_variable: Any = memoization.current
        outer = self._memo_variable.get()
        if outer is not None:
            memo.outer = outer
        self.arguments: LazyArguments | None = None
        if find_arguments is None:
            return
        context = client._context or client._begin_adding_arguments()  # noqa: SLF001
        self._arguments_variable: Any = context.current
        around = self._arguments_variable.get()
        self.arguments = LazyArguments(find_arguments, around)

    def __enter__(self) -> None:
        """Let the questions of this thread or task belong to the request."""
        self._memo_token = self._memo_variable.set(self._memo)
        if self.arguments is not None:
            self._arguments_token = self._arguments_variable.set(self.arguments)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let them belong to what is around it again."""
        _reset(self._memo_variable, self._memo_token)
        if self.arguments is not None:
            _reset(self._arguments_variable, self._arguments_token)

    def end(self) -> None:
        """Forget the state of the flags. Tasks that go on read the store again."""
        self._memo.end()


def _reset(variable: Any, token: Any) -> None:
    try:  # noqa: SIM105  (`suppress` takes as long as all the rest)
        variable.reset(token)
    except ValueError:
        # A stream may end in another context than it has begun in.
        pass
