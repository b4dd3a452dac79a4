# SPDX-License-Identifier: Apache-2.0
"""`WorkerThreads`: call functions that wait for a server, outside of the event loop."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ..runtime.background import start_thread
from ..runtime.fork import detect_fork, renew_after_fork

if TYPE_CHECKING:
    from collections.abc import Callable

    Outcome = tuple[Any, BaseException | None]
    Task = Callable[[], object]

T = TypeVar("T")

_LONGEST_IDLE: Final = 10.0  # seconds after which a thread without work ends


class WorkerThreads:
    """A few daemon threads, which start when they are needed. Thread- and fork-safe.

    They are no `ThreadPoolExecutor`: Python waits for the threads of one when it exits,
    so a server that does not answer would hold up the exit of the program.

    Args:
        most: how many threads there are at most. Further calls wait for one.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Begin anew: neither the threads nor who waits for them is in the child."""
        self._lock = threading.Lock()
        self._renew()

    def _renew(self) -> None:
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        self._threads = 0
        self._unfinished = 0  # tasks that wait or run

    def close(self) -> None:
        """End the threads when they have done what was begun. Later calls start new."""
        with self._lock:
            tasks, threads = self._tasks, self._threads
            self._renew()
        for _ in range(threads):
            tasks.put(None)

    async def call(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        """Call a function in a thread, with the context variables of the caller.

        If the caller is cancelled before the call has begun, it is not made. After that
        it goes on to its end, and its result is dropped.

        Raises:
            BaseException: whatever the function raises.
        """
        bound = partial(function, *args, **kwargs)
        value, error = await self.start(bound)
        if error is None:
            return value  # type: ignore[no-any-return]
        try:
            raise error
        finally:
            del error  # otherwise the error and this frame refer to each other

    def start(self, function: Callable[[], Any]) -> asyncio.Future[Outcome]:
        """Do as `call`; the future gets the result and the error, one of them `None`.

        It never gets an exception: a future accepts no `StopIteration`, and complains
        about an exception that nobody takes.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()
        run = partial(copy_context().run, function)

        def task() -> None:
            if future.cancelled():
                return
            outcome = _outcome(run)
            with suppress(
                RuntimeError
            ):  # the loop is closed, and nobody waits any more
                loop.call_soon_threadsafe(_deliver, future, outcome)

        if not self._submit(task):
            future.set_result(_outcome(run))
        return future

    def _submit(self, task: Task) -> bool:
        """Give a task to the threads; return whether there are any."""
        detect_fork()
        with self._lock:
            if self._unfinished >= self._threads < self._most:
                thread = start_thread("flipper-async-client", self._run, self._tasks)
                self._threads += thread is not None
            if not self._threads:
                return False
            self._unfinished += 1
            self._tasks.put(task)
            return True

    def _run(self, tasks: SimpleQueue[Task | None]) -> None:
        """Do the tasks of a queue, until there are none for some seconds."""
        while True:
            try:
                task = tasks.get(timeout=_LONGEST_IDLE)
            except Empty:
                with self._lock:
                    # Race: a task may have come in just now, or `close` was called.
                    if tasks is not self._tasks or not tasks.empty():
                        continue
                    self._threads -= 1
                    return
            if task is None:
                return
            task()
            del task  # what it refers to, such as its caller, is not kept alive
            with self._lock:
                self._unfinished -= tasks is self._tasks


def _outcome(run: Callable[[], Any]) -> Outcome:
    try:
        return run(), None
    except BaseException as error:  # noqa: BLE001  (the caller raises it)
        return None, error


def _deliver(future: asyncio.Future[Outcome], outcome: Outcome) -> None:
    if not future.done():  # it may have been cancelled
        future.set_result(outcome)
