# SPDX-License-Identifier: Apache-2.0
"""`RequestScope`: what integrations with frameworks put around a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .argument_context import LazyArguments
from .memoizing.memo import Memo

if TYPE_CHECKING:
    from contextvars import ContextVar, Token
    from types import TracebackType

    from .client import FeatureFlagClient


class RequestScope:
    """One answer per flag, and the arguments of a request, as a context manager.

    It may be entered again, such as for each part of a response that is streamed after
    the request was handled. The flags keep their state until `end` is called. For one
    thread or task at a time.

    Args:
        client: the client that is asked.
        arguments: are added to each question; `None` for none.
    """

    __slots__ = (
        *("_arguments", "_arguments_token", "_arguments_variable"),
        *("_memo", "_memo_token", "_memo_variable"),
    )

    def __init__(
        self, client: FeatureFlagClient, arguments: LazyArguments | None = None
    ) -> None:
        memoization = client._memoization or client._begin_memoizing()  # noqa: SLF001
        self._memo = memo = Memo()
        self._memo_variable = memoization.current
        outer = self._memo_variable.get()
        if outer is not None:
            memo.outer = outer
        self._arguments: Any = arguments
        if arguments is None:
            return
        context = client._context or client._begin_adding_arguments()  # noqa: SLF001
        self._arguments_variable: ContextVar[Any] = context.current
        around = self._arguments_variable.get()
        if around:
            own = arguments
            self._arguments = LazyArguments(lambda: {**around, **own})

    def __enter__(self) -> None:
        """Let the questions of this thread or task belong to the request."""
        self._memo_token = self._memo_variable.set(self._memo)
        if self._arguments is not None:
            self._arguments_token = self._arguments_variable.set(self._arguments)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let them belong to what is around it again."""
        _reset(self._memo_variable, self._memo_token)
        if self._arguments is not None:
            _reset(self._arguments_variable, self._arguments_token)

    def end(self) -> None:
        """Forget the state of the flags. Tasks that go on read the store again."""
        self._memo.end()


def _reset(variable: ContextVar[Any], token: Token[Any]) -> None:
    try:  # noqa: SIM105  (`suppress` takes as long as all the rest)
        variable.reset(token)
    except ValueError:
        # A stream may end in another context than it has begun in.
        pass
