# SPDX-License-Identifier: Apache-2.0
"""A limit of time for calls that have none: a server may accept and never answer."""

from __future__ import annotations

import threading
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ..exceptions import StoreTimeoutError
from .util.fork import at_fork, detect_fork

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_MOST_HANGING: Final = 32

_hanging: set[object] = set()


def within(
    seconds: float | None,
    call: Callable[[], T],
    progress: Callable[[], object] | None = None,
    name: str = "flipper-call",
) -> T:
    """Return what `call` does, or raise if that takes too long.

    The call runs in a daemon thread of its own, with the context variables of the
    caller. One that takes too long is left to itself, and may take effect yet.

    Args:
        seconds: the limit; `None` is none, and then the call runs in this thread.
        call: what to do.
        progress: tells how far it is; the limit begins anew whenever that changes.
        name: of the thread.

    Raises:
        StoreTimeoutError: it took too long, or many such calls hang already.
        BaseException: what `call` raises.
    """
    if seconds is None:
        return call()
    detect_fork()
    _refuse_too_many()
    attempt = _Attempt(name, copy_context().run, call)
    try:
        attempt.start()
    except RuntimeError:  # no more threads, as at the very end of a program
        return call()
    reached = None if progress is None else progress()
    while not attempt.done.wait(seconds):
        before, reached = reached, None if progress is None else progress()
        if reached == before:
            attempt.leave()
            raise StoreTimeoutError(
                f"The store has not answered within {seconds:g} seconds; a write may "
                f"have taken effect, or may do so later"
            )
    if attempt.error is not None:
        try:
            raise attempt.error
        finally:
            del attempt  # or the error and this frame would hold each other
    return attempt.result  # type: ignore[no-any-return]


def _refuse_too_many() -> None:
    if len(_hanging) >= _MOST_HANGING:
        raise StoreTimeoutError(
            f"{len(_hanging)} calls wait for an answer of the store already; this one "
            f"was not begun"
        )


class _Attempt(threading.Thread):
    """Does one call."""

    def __init__(
        self, name: str, run: Callable[..., Any], call: Callable[[], Any]
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._run, self._call = run, call
        self.result: Any = None
        self.error: BaseException | None = None
        self.done = threading.Event()

    def run(self) -> None:
        """Do it, and keep what comes out."""
        try:
            self.result = self._run(self._call)
        except BaseException as error:  # noqa: BLE001  (raised where it is waited for)
            self.error = error
        self.done.set()
        _hanging.discard(self)

    def leave(self) -> None:
        """Count it among those that hang, until it ends."""
        _hanging.add(self)
        # Race: it may have ended just now, before it was counted.
        if self.done.is_set():
            _hanging.discard(self)


# The threads of the parent are not in the child.
at_fork(after_in_child=_hanging.clear)
