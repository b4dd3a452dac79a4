# SPDX-License-Identifier: Apache-2.0
"""How the async client answers: in the event loop from memory, else in a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from ..asking import NOT_GIVEN
from ..client import FeatureFlagClient
from ..contracts.in_memory import NotInMemoryError
from ..overrides import changing_readers
from .blocks import AsyncBlock
from .in_memory import InMemoryClient, answers_only_from_memory
from .worker_threads import WorkerThreads

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..explanation import Evaluation
    from ..hooks import Hook
    from ..overrides import OverriddenFlag
    from ..rules.rules import Rules

T = TypeVar("T")

_NONE: Final = object()
# What an `InMemoryClient` answers. A class of the application may override these.
_QUESTIONS: Final = (
    *("is_enabled", "variant", "explain", "evaluate_all", "preload", "exists"),
    *("get_meta", "get_client_data", "get_rules"),
)


class AsyncAskingClient:
    """The part of `AsyncFeatureFlagClient` that answers. Safe for threads and loops.

    Args:
        client: the client that it asks.
        max_threads: how many threads wait for the store at most.
    """

    def __init__(self, client: FeatureFlagClient, max_threads: int) -> None:
        self._client = client
        self._threads = WorkerThreads(max_threads)
        self._is_own_class = all(
            getattr(type(client), name) is getattr(FeatureFlagClient, name)
            for name in _QUESTIONS
        )
        self._in_memory: InMemoryClient | None = None
        # What the client reads its flags by, if that needs no I/O for any flag.
        self._reader_in_memory: Any = _NONE

    async def is_enabled(
        self,
        feature_name: str = NOT_GIVEN,
        /,
        default: Any = False,
        **conditions: Any,
    ) -> Any:
        """Return whether a flag is on for these arguments; never raise.

        A client made with `on_error="raise"` or `strict="raise"` does raise.

        Args:
            feature_name: the flag; may also be given by keyword.
            default: the answer for a flag that is missing or cannot be evaluated.
            **conditions: the arguments for conditions and bucketers, under any names.
        """
        # As `_ask`, but without another coroutine.
        client = self._client
        try:
            if client._fast_reader is not self._reader_in_memory:
                client = self._answering_from_memory()
            return client.is_enabled(feature_name, default, **conditions)
        except NotInMemoryError:
            ask = self._client.is_enabled
        return await self._threads.call(ask, feature_name, default, **conditions)

    async def variant(
        self,
        feature_name: str = NOT_GIVEN,
        default: Any = None,
        /,
        **conditions: Any,
    ) -> Any:
        """Return the value of the variant that a flag serves for these arguments.

        A flag that is on without a variant gives `True`. A flag that is off gives the
        value of its variant `off`, if its rules name one, else the default. As
        `is_enabled`, it never raises.
        """
        # As `_ask`, but without another coroutine.
        client = self._client
        try:
            if client._fast_reader is not self._reader_in_memory:
                client = self._answering_from_memory()
            return client.variant(feature_name, default, **conditions)
        except NotInMemoryError:
            ask = self._client.variant
        return await self._threads.call(ask, feature_name, default, **conditions)

    async def explain(
        self,
        feature_name: str = NOT_GIVEN,
        /,
        default: Any = False,
        **conditions: Any,
    ) -> Evaluation:
        """Decide as `is_enabled` does, and return the answer with its reason."""
        evaluation: Evaluation = await self._ask(
            "explain", feature_name, default, **conditions
        )
        return evaluation

    async def evaluate_all(
        self, /, *, names: Iterable[str] | None = None, **conditions: Any
    ) -> dict[str, Any]:
        """Return what all flags serve for these arguments, by name, as plain data.

        See `FeatureFlagClient.evaluate_all`.
        """
        asked = None if names is None else [*names]  # a generator stays in this thread
        evaluate_all = self._client.evaluate_all
        if self._answers_only_from_memory():
            return evaluate_all(names=asked, **conditions)
        return await self._threads.call(evaluate_all, names=asked, **conditions)

    async def preload(self, feature_names: Iterable[str]) -> None:
        """Read flags in one round trip, for the questions of this `memoize` block.

        See `FeatureFlagClient.preload`.
        """
        if not isinstance(feature_names, str):
            feature_names = [*feature_names]
        if self._answers_only_from_memory():
            self._client.preload(feature_names)
        else:
            await self._threads.call(self._client.preload, feature_names)

    def memoize(self, *, preload: Iterable[str] = ()) -> AsyncBlock:
        """Return a context manager: within it, each flag is read once.

        `with` will do, and `async with`; with `preload` only the latter. See
        `FeatureFlagClient.memoize`.
        """
        names = preload if isinstance(preload, str) else [*preload]
        block = self._client.memoize()
        if not names:
            return AsyncBlock(block)
        return AsyncBlock(block, lambda: self.preload(names))

    def context(self, /, **arguments: Any) -> AsyncBlock:
        """Return a context manager: within it, all questions get these arguments, too.

        `with` will do, and `async with`. See `FeatureFlagClient.context`.
        """
        return AsyncBlock(self._client.context(**arguments))

    def add_hook(self, hook: Hook) -> None:
        """Call a function after each question, such as to count answers.

        It runs where the question is answered: in the event loop if that needs no I/O,
        else in a thread. So it must not wait, and has to be safe for threads. See
        `FeatureFlagClient.add_hook`.
        """
        self._client.add_hook(hook)

    def remove_hook(self, hook: Hook) -> None:
        """Stop calling a function that `add_hook` has added. Idempotent."""
        self._client.remove_hook(hook)

    async def exists(self, feature_name: str) -> bool:
        """Return whether the store has a flag of this name."""
        there: bool = await self._ask("exists", feature_name)
        return there

    async def get_meta(self, feature_name: str) -> dict[str, Any]:
        """Return a copy of all metadata of a flag as plain data.

        Raises:
            FlagDoesNotExistError: there is no such flag.
            InvalidFlagDataError: the stored document is not a flag.
        """
        meta: dict[str, Any] = await self._ask("get_meta", feature_name)
        return meta

    async def get_client_data(self, feature_name: str) -> dict[str, Any]:
        """Return a copy of the client data of a flag.

        Raises:
            FlagDoesNotExistError: there is no such flag.
            InvalidFlagDataError: the stored document is not a flag.
        """
        data: dict[str, Any] = await self._ask("get_client_data", feature_name)
        return data

    async def get_rules(self, feature_name: str) -> Rules | None:
        """Return the rules of a flag, or `None` if it has none.

        Raises:
            FlagDoesNotExistError: there is no such flag.
            InvalidFlagDataError: the stored document is not a flag.
        """
        rules: Rules | None = await self._ask("get_rules", feature_name)
        return rules

    async def _ask(self, question: str, /, *args: Any, **conditions: Any) -> Any:
        """Ask the client, in the event loop if the answer needs no I/O."""
        try:
            client = self._answering_from_memory()
            return getattr(client, question)(*args, **conditions)
        except NotInMemoryError:
            ask = getattr(self._client, question)
        return await self._threads.call(ask, *args, **conditions)

    def _answering_from_memory(self) -> InMemoryClient:
        """Return what answers those questions that need no I/O.

        Raises:
            NotInMemoryError: it is not known what the methods of the client do.
        """
        in_memory = self._in_memory
        if in_memory is not None and in_memory.is_up_to_date():
            return in_memory
        if not self._is_own_class:
            raise NotInMemoryError
        client = self._client
        with changing_readers():
            from_memory = answers_only_from_memory(client)
            self._reader_in_memory = client._fast_reader if from_memory else _NONE
            in_memory = self._in_memory = InMemoryClient(client)
        return in_memory

    def _answers_only_from_memory(self) -> bool:
        return self._is_own_class and answers_only_from_memory(self._client)

    # For `flipper.testing.override_flags`.

    def _begin_override(self, flags: dict[str, OverriddenFlag]) -> None:
        self._client._begin_override(flags)

    def _end_override(self, flags: dict[str, OverriddenFlag]) -> None:
        self._client._end_override(flags)
