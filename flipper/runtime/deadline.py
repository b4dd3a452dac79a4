# SPDX-License-Identifier: Apache-2.0
"""`call_with_timeout`: a time limit for calls that have none of their own."""

from __future__ import annotations

import threading
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ..exceptions import StoreTimeoutError
from .fork import at_fork, detect_fork

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_MAX_UNANSWERED: Final = 32

# The threads whose calls took too long and have not ended yet.
_unanswered: set[object] = set()


def call_with_timeout(
    seconds: float | None,
    call: Callable[[], T],
    progress: Callable[[], object] | None = None,
    name: str = "flipper-call",
    wait: Callable[[threading.Event, float], bool] = threading.Event.wait,
) -> T:
    """Return the result of `call`, or raise an error if it takes too long.

    The call runs in a new daemon thread, with the context variables of the caller. A
    call that takes too long is not stopped, and may still take effect. Safe for threads
    and forks.

    Args:
        seconds: the limit; with `None` there is no limit, and the call runs in the
            thread of the caller.
        call: the function to call.
        progress: returns how far the call has come. Whenever its result changes, the
            limit starts again.
        name: the name of the thread.
        wait: waits until an event is set, at most some seconds, and returns whether it
            is. It may do something else meanwhile. If it raises an error, this function
            raises that.

    Raises:
        StoreTimeoutError: the call took too long, or 32 earlier calls that took too
            long have not ended yet.
        BaseException: any error that `call` raises.
    """
    if seconds is None:
        return call()
    detect_fork()
    if len(_unanswered) >= _MAX_UNANSWERED:
        raise StoreTimeoutError(
            f"{len(_unanswered)} earlier calls still wait for an answer of the store; "
            f"this call was not made"
        )
    try:
        thread = _CallThread(name, copy_context().run, call)
        thread.start()
    except RuntimeError:  # no thread can run, for example while the interpreter exits
        return call()
    reached = None if progress is None else progress()
    is_over = False
    try:
        while not (is_over or wait(thread.done, seconds)):
            before, reached = reached, None if progress is None else progress()
            is_over = reached == before
    except BaseException:
        thread.mark_unanswered()
        raise
    if is_over:
        thread.mark_unanswered()
        raise StoreTimeoutError(
            f"The store has not answered within {seconds:g} seconds; a write may "
            f"have taken effect, or may do so later"
        )
    if thread.error is not None:
        try:
            raise thread.error
        finally:
            del thread  # otherwise the error and this frame refer to each other
    return thread.result  # type: ignore[no-any-return]


class _CallThread(threading.Thread):
    """Runs one call, and keeps its result or its error."""

    def __init__(
        self, name: str, run: Callable[..., Any], call: Callable[[], Any]
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._run, self._call = run, call
        self.result: Any = None
        self.error: BaseException | None = None
        self.done = threading.Event()

    def run(self) -> None:
        """Run the call."""
        try:
            self.result = self._run(self._call)
        except BaseException as error:  # noqa: BLE001  (the waiting thread raises it)
            self.error = error
        self.done.set()
        _unanswered.discard(self)

    def mark_unanswered(self) -> None:
        """Count this call as unanswered until it ends."""
        _unanswered.add(self)
        # Race: the call may have ended just before it was counted.
        if self.done.is_set():
            _unanswered.discard(self)


# A child process does not have the threads of its parent.
at_fork(after_in_child=_unanswered.clear)
