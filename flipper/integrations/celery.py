# SPDX-License-Identifier: Apache-2.0
"""Flags in the tasks of Celery: one answer for each flag in a task, and its arguments.

`memoize_tasks` is all that an application calls, once, beside its Celery app.
"""

from __future__ import annotations

from contextlib import ExitStack
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any

from ..exceptions import InvalidArgumentError
from . import require

require("celery", "celery")

from celery.signals import task_postrun, task_prerun  # noqa: E402  (`require` is first)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ..client import FeatureFlagClient

    Context = Callable[[Any], Mapping[str, Any]]


def memoize_tasks(
    client: FeatureFlagClient,
    *,
    context: Context | None = None,
    preload: Iterable[str] = (),
) -> Callable[[], None]:
    """Read each flag once in a task, as in `with client.memoize():`.

    That holds for all tasks that this process runs, of all apps and in all pools; also
    for eager tasks. A task that is retried reads the flags anew each time. A task that
    runs eagerly within another one sees what that one has read.

    Call it once, in the module that makes the client and the Celery app. Thread-safe.

    Args:
        client: the client to ask in tasks.
        context: is called with the task, before it runs; it returns a dict of arguments
            for all questions in it, as `client.context` takes them. `task.request` has
            the `args`, `kwargs` and `headers` of the task. If it raises, questions that
            need the arguments have the default, and a warning is logged.
        preload: the flags to read at the beginning of each task, in one round trip.

    Returns:
        A function that undoes it, for tests.

    Raises:
        InvalidArgumentError: `context` is not a function, or is a coroutine function;
            or `preload` is no list of names.
    """
    if context is not None and (not callable(context) or iscoroutinefunction(context)):
        raise InvalidArgumentError(
            f"{context!r} cannot be the context of tasks; use a function of the task "
            f"that returns a dict, as lambda task: {{...}}, without `async`",
            value=context,
        )
    if not isinstance(preload, str):
        preload = tuple(preload)
    client.memoize(preload=preload)  # refuses what is no list of names
    blocks = _Blocks(client, context, preload)
    # Signals are for all apps: a worker whose processes are not forked has a copy of
    # the app, and tasks may be made at any time, with any class.
    # Named, since older releases of Celery take the methods of two objects for one.
    name = f"flipper-{id(blocks)}"
    task_prerun.connect(blocks.begin, weak=False, dispatch_uid=name)
    task_postrun.connect(blocks.end, weak=False, dispatch_uid=name)

    def undo() -> None:
        task_prerun.disconnect(blocks.begin, dispatch_uid=name)
        task_postrun.disconnect(blocks.end, dispatch_uid=name)

    return undo


class _Blocks:
    """Begins a block for each task, and ends it. Safe for threads and greenlets."""

    def __init__(
        self,
        client: FeatureFlagClient,
        context: Context | None,
        preload: Iterable[str],
    ) -> None:
        self._client = client
        self._context = context
        self._preload = preload
        # By the identity of the request, which Celery makes anew for each run of a
        # task, nested ones and retries too, and keeps until the end.
        self._open: dict[int, ExitStack] = {}

    def begin(self, *, task: Any, **_: Any) -> None:
        """Begin the block of a task.

        Raises:
            Exception: any error of the store, if the client was made with
                `on_error="raise"` and flags are preloaded. Celery logs it.
        """
        client = self._client
        with ExitStack() as blocks:
            blocks.enter_context(client.memoize())
            try:
                if self._context is not None:
                    find = _found(self._context, task)
                    blocks.enter_context(client._lazy_context(find))  # noqa: SLF001  (for integrations)
                if self._preload:
                    client.preload(self._preload)
            finally:
                self._open[id(task.request)] = blocks.pop_all()

    def end(self, *, task: Any, **_: Any) -> None:
        """End the block of a task."""
        blocks = self._open.pop(id(task.request), None)
        if blocks is not None:
            blocks.close()


def _found(context: Context, task: Any) -> Callable[[], Mapping[str, Any]]:
    """Return a function that returns or raises what the context does now.

    Celery runs a task whatever a receiver of its signal raises; so the questions that
    need the arguments fail. Later, `task.request` may be that of a call in the task.
    """
    try:
        found = context(task)
    except Exception as caught:  # noqa: BLE001  (a question reports it)
        error = caught

        def fail() -> Mapping[str, Any]:
            raise error

        return fail
    return lambda: found
