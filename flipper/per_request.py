# SPDX-License-Identifier: Apache-2.0
"""What holds for all questions of a request: `memoize`, `context`, and hooks.

A client that uses none of them pays nothing for them: `memoizing`, `argument_context`
and `hooks` are loaded at their first use, and only then put before the store.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakMethod

from .exceptions import InvalidArgumentError
from .overrides import changing_readers
from .serving import ServingClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

    from .argument_context import ArgumentContext
    from .hooks import Hook
    from .memoizing.memoization import Memoization
    from .request_scope import RequestScope
    from .runtime.request_variable import RequestVariable


class PerRequestClient(ServingClient):
    """The part of `FeatureFlagClient` that has to do with requests. Thread-safe."""

    if TYPE_CHECKING:
        _recorder: Any
        _records_writes: bool

    def memoize(self, *, preload: Iterable[str] = ()) -> AbstractContextManager[None]:
        """Return a context manager: within it, each flag is read once.

        A flag then has one state, and the same question one answer, whatever changes in
        the store meanwhile. That holds for `is_enabled`, `variant`, `explain` and
        `evaluate_all`, also if the store fails or a bucketer is random. A write by this
        client in the block is seen: the flag is read again.

        The block belongs to the thread, the task of asyncio or the greenlet that begins
        it, and to tasks of asyncio that begin in it. Within another block, a flag keeps
        the state that it has there.

        Args:
            preload: the flags to read at the beginning, as `preload` does.

        Raises:
            InvalidArgumentError: `preload` is no list of names.
        """
        memoization = self._memoization or self._begin_memoizing()
        if not preload:
            return memoization.new_block(None)
        names = _checked_names(preload)
        return memoization.new_block(lambda: self.preload(names))

    def preload(self, feature_names: Iterable[str]) -> None:
        """Read flags in one round trip, for the questions of this `memoize` block.

        A store that cannot read several flags at once reads one after the other. If the
        store fails, the flags are read when they are asked for. Outside of a block
        nothing happens.

        Raises:
            InvalidArgumentError: it is no list of names.
            Exception: any error of the store, if the client was made with
                `on_error="raise"`.
        """
        names = _checked_names(feature_names)
        memoization = self._memoization
        if memoization is None:
            return
        try:
            memoization.preload(self._store_reader, names)
        except Exception as error:
            if self._raises:
                raise
            if isinstance(error, self._source.outage_errors):
                # Opens the circuit breaker, so that no question waits for the server.
                self._after_failed_read(names[0], error)

    def context(self, /, **arguments: Any) -> AbstractContextManager[None]:
        """Return a context manager: within it, all questions get these arguments, too.

        An argument of the question itself takes precedence, and then that of the
        innermost block. The block belongs to the thread, the task of asyncio or the
        greenlet that begins it, and to tasks of asyncio that begin in it.
        """
        return (self._context or self._begin_adding_arguments()).block(arguments)

    def _lazy_context(self, find: Callable[[], Any]) -> AbstractContextManager[None]:
        """Return such a context manager for arguments that are found when needed.

        Integrations call this. The first question that needs the arguments calls the
        function, which returns a dict. If it raises, the defaults answer.
        """
        return (self._context or self._begin_adding_arguments()).block(find)

    def add_hook(self, hook: Hook) -> None:
        """Call a function after each question, such as to count answers.

        It is called with the `Evaluation` and a dict of the arguments, in the thread
        that asks, for `is_enabled`, `explain` and `variant`, and for each flag of
        `evaluate_all`. `enabled` of the evaluation is what the question returns; for
        `variant`, that is the value. Errors of the function are logged, at most once a
        minute. Questions that it asks itself call no hooks.

        Questions take some microseconds longer while there are hooks.

        Raises:
            InvalidArgumentError: it is not a function, or it is a coroutine function.
        """
        code_flags = getattr(getattr(hook, "__code__", None), "co_flags", 0)
        if not callable(hook) or code_flags & _CO_COROUTINE:
            raise InvalidArgumentError(
                f"{hook!r} cannot be a hook; use a function of two arguments, the "
                f"evaluation and the dict of arguments, without `async`",
                value=hook,
            )
        with changing_readers():
            self._set_hooks((*self._present_hooks(), hook))

    def remove_hook(self, hook: Hook) -> None:
        """Stop calling a function that `add_hook` has added. Idempotent."""
        with changing_readers():
            self._set_hooks(tuple(h for h in self._present_hooks() if h != hook))

    def evaluate_all(
        self, /, *, names: Iterable[str] | None = None, **conditions: Any
    ) -> dict[str, Any]:
        """Return what all flags serve for these arguments, by name, as plain data.

        The value of a flag is what `variant` returns with the default `False`: `True`
        or `False`, or the value of a variant. It never raises: a flag that cannot be
        evaluated is `False`. If the store cannot be read, the flags have their last
        known states, and those that are not known are left out.

        Args:
            names: the flags; `None` is all of the store. A name without a flag gives
                `False`.
            **conditions: the arguments for rules, conditions and bucketers.
        """
        if names is not None and self._memoization is not None:
            names = [*names]
            self.preload([name for name in names if isinstance(name, str)])
        if self._hooks is None:
            return super().evaluate_all(names=names, **conditions)
        with self.memoize():
            if names is None:
                flags = [item.feature_name for item in self._all_items() or ()]
                names = [*flags, *(name for each in self._overrides for name in each)]
            names = dict.fromkeys(names)
            return {name: self.variant(name, False, **conditions) for name in names}

    def _all_items(self) -> list[Any] | None:
        memoization = self._memoization
        block = None if memoization is None else memoization.block()
        if memoization is None or block is None:
            return super()._all_items()
        return memoization.all_items(
            *(block, self._store_reader, super()._all_items, self._source.known_names)
        )

    def _share_in_requests(
        self, find: Callable[[int], RequestScope | None], *, arguments: bool
    ) -> None:
        """Share answers and arguments within each request of a framework. Idempotent.

        Integrations call this. A `memoize` block in a request is one in a block.

        Args:
            find: returns what questions of this client share in the present request, by
                the `id` of the client; `None` outside of requests. It is called for
                each question, by threads at once.
            arguments: whether requests add arguments to their questions.
        """
        with changing_readers():
            memoization = self._memoization or self._begin_memoizing()
            memoization.current = self._in_requests(memoization.current, find, "memo")
            if arguments:
                context = self._context or self._begin_adding_arguments()
                context.current = self._in_requests(context.current, find, "arguments")
            self._put_before_store()

    def _in_requests(self, variable: Any, find: Any, attribute: str) -> RequestVariable:
        from .runtime.request_variable import RequestVariable

        if isinstance(variable, RequestVariable) and variable.uses(find):
            return variable
        return RequestVariable(variable, find, id(self), attribute)

    def _begin_memoizing(self) -> Memoization:
        from .memoizing.memoization import Memoization, WriteRecorder

        with changing_readers():
            if self._memoization is None:
                memoization = Memoization(WeakMethod(self._after_failed_read))
                self._recorder = WriteRecorder(self._recorder, memoization, self._store)
                self._records_writes = True
                self._memoization = memoization
                self._put_before_store()
            return self._memoization

    def _begin_adding_arguments(self) -> ArgumentContext:
        from .argument_context import ArgumentContext

        with changing_readers():
            if self._context is None:
                self._context = ArgumentContext()
                self._put_before_store()
            return self._context

    def _present_hooks(self) -> tuple[Hook, ...]:
        return () if self._hooks is None else self._hooks.hooks

    def _set_hooks(self, hooks: tuple[Hook, ...]) -> None:
        from .hooks import Hooks

        self._hooks = Hooks(hooks, self._log) if hooks else None
        self._put_before_store()


_CO_COROUTINE = 0x80  # `inspect` takes long to import


def _checked_names(names: Any) -> list[str]:
    found = None
    if not isinstance(names, str):
        with suppress(TypeError):
            found = list(names)
    if found is None or not all(isinstance(name, str) for name in found):
        raise InvalidArgumentError(
            f"{names!r} is no list of feature names; use a list, as in "
            f'["new-checkout", "dark-mode"]',
            value=names,
        )
    return found
