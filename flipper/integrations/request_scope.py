# SPDX-License-Identifier: Apache-2.0
"""`RequestScope`: what holds for all questions of one request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..memoizing.memo import Memo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from ..client import FeatureFlagClient


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
                found = self._make()
                if not isinstance(found, Mapping):
                    raise _not_a_dict(found)
            except Exception as error:
                self._error = error
                raise
            # Race: two threads of a request may both call the function.
            self._found = found
        return found.keys()

    def __getitem__(self, name: str) -> Any:
        return self._found[name]  # type: ignore[index]  # `keys` was called before


def _not_a_dict(found: Any) -> TypeError:
    message = (
        f"The arguments of a request have to be a dict, as {{'user_id': 1}}, and not "
        f"a {type(found).__name__}"
    )
    return TypeError(message)


class RequestScope:
    """One answer per flag, and the arguments of a request.

    It is a context manager that may be entered again, such as for each part of a
    response that is streamed after the request was handled. The flags keep their state
    until `end` is called. For one thread or task at a time.

    Args:
        client: the client that is asked.
        arguments: are added to each question; `None` for none.
    """

    __slots__ = ("_memo", "_set", "_tokens")

    def __init__(
        self,
        client: FeatureFlagClient,
        arguments: LazyArguments | None = None,
    ) -> None:
        memoization: Any = client._memoization or client._begin_memoizing()  # noqa: SLF001
        self._memo = memo = Memo()
        outer = memoization.current.get()
        if outer is not None:
            memo.outer = outer
        self._set: Any = [(memoization.current, memo)]
        if arguments is not None:
            context = client._context or client._begin_adding_arguments()  # noqa: SLF001
            around = context.current.get()
            if around:
                own = arguments
                arguments = LazyArguments(lambda: {**around, **own})
            self._set.append((context.current, arguments))
        self._tokens: Any = ()

    def __enter__(self) -> None:
        """Let the questions of this thread or task belong to the request."""
        self._tokens = [variable.set(value) for variable, value in self._set]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End that."""
        for (variable, _), token in zip(self._set, self._tokens, strict=True):
            try:
                variable.reset(token)
            except ValueError:  # it ends in another context than it has begun in
                pass

    def end(self) -> None:
        """Forget the state of the flags. Tasks that go on read the store again."""
        self._memo.end()
