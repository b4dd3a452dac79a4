# SPDX-License-Identifier: Apache-2.0
"""The client for asyncio: the methods of `FeatureFlagClient`, awaited.

`asking` has its questions, `writing` its writes, `flag` the handle of one flag.
`in_memory` finds out which questions need no I/O, `worker_threads` has the threads for
all others and for writes, and `blocks` is for `memoize` and `context`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ..arguments import check_count, check_page
from ..client import FeatureFlagClient
from ..exceptions import InvalidArgumentError
from .flag import AsyncFeatureFlag
from .worker_threads import WorkerThreads
from .writing import AsyncWritingClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType
    from typing import Literal

    from typing_extensions import Self

    from ..contrib.interface import AbstractFeatureFlagStore
    from ..events.emitter import IEventEmitter
    from .worker_threads import Outcome

DEFAULT_MAX_THREADS = 16


class AsyncFeatureFlagClient(AsyncWritingClient):
    """Answers questions about flags, and changes them, without blocking an event loop.

    What the store answers from memory is answered at once, in the event loop. All other
    questions, and all writes, are made in threads of this client. Listeners to events
    run there, too. Safe for threads, for several event loops and for forks.

    If the caller of a method is cancelled before a thread has begun the call, the call
    is not made. After that it goes on to its end: a cancelled write may or may not take
    effect, but never half of it.

    Args:
        store: a store, as for `FeatureFlagClient`; or a `FeatureFlagClient`, with which
            it then shares hooks, `memoize` and `context` blocks, and overrides.
        on_error: as for `FeatureFlagClient`. Not with a client, which has its own.
        strict: as for `FeatureFlagClient`. Not with a client, which has its own.
        max_threads: how many threads may wait for the store at once. Further calls wait
            for a thread.

    Raises:
        InvalidArgumentError: an argument is not allowed.
    """

    def __init__(
        self,
        store: AbstractFeatureFlagStore | FeatureFlagClient,
        *,
        on_error: Literal["default", "raise"] = "default",
        strict: Literal["silent", "warn", "raise"] = "silent",
        max_threads: int = DEFAULT_MAX_THREADS,
    ) -> None:
        check_count("max_threads", max_threads, "answers nothing")
        if isinstance(store, AsyncFeatureFlagClient):
            raise InvalidArgumentError(
                "This is an AsyncFeatureFlagClient already; give a store, or a "
                "FeatureFlagClient",
                value=store,
            )
        if not isinstance(store, FeatureFlagClient):
            client = FeatureFlagClient(store, on_error=on_error, strict=strict)
        elif (on_error, strict) == ("default", "silent"):
            client = store
        else:
            raise InvalidArgumentError(
                "on_error and strict belong to the FeatureFlagClient that was given; "
                "pass them where it is made",
                value=store,
            )
        self._owns_client = False
        super().__init__(client, max_threads)

    @classmethod
    async def from_url(
        cls,
        url: str | None = None,
        *,
        on_error: Literal["default", "raise"] = "default",
        strict: Literal["silent", "warn", "raise"] = "silent",
        max_threads: int = DEFAULT_MAX_THREADS,
        **options: Any,
    ) -> Self:
        """Make a client and its store, which `close` closes. It is made in a thread.

        Args:
            url: the URL of the store, such as `redis://localhost:6379/0?sync=1`; see
                docs/store-urls.md. Without it, the environment variable `FLIPPER_URL`
                is used.
            on_error: as for the constructor.
            strict: as for the constructor.
            max_threads: as for the constructor.
            **options: options of the store, as in the query of the URL.

        Raises:
            InvalidArgumentError: there is no URL, or something in it is wrong.
            MissingDependencyError: the driver of the store is not installed.
            Exception: any error of the store's constructor.
        """

        def make() -> AsyncFeatureFlagClient:
            client = FeatureFlagClient.from_url(
                url, on_error=on_error, strict=strict, **options
            )
            try:
                made = cls(client, max_threads=max_threads)
            except BaseException:
                client.close()
                raise
            made._owns_client = True
            return made

        threads = WorkerThreads(1)
        making = threads.start(make)
        try:
            made, error = await asyncio.shield(making)
        except asyncio.CancelledError:
            making.add_done_callback(_close_unused)
            raise
        finally:
            threads.close()
        if error is not None:
            raise error
        return made  # type: ignore[no-any-return]  # an outcome has any type

    @property
    def sync_client(self) -> FeatureFlagClient:
        """The client that this one asks, for code that runs outside of event loops."""
        return self._client

    async def close(self) -> None:
        """Close the store that `from_url` has made, and end the threads. Idempotent.

        A store or a client that was given to the constructor stays open: the caller
        closes it. The client can still be asked, as far as its store can.
        """
        if self._owns_client:
            await self._threads.call(self._client.close)
        self._threads.close()

    aclose = close  # the name that `contextlib.aclosing` and asyncio use

    async def __aenter__(self) -> Self:
        """Return the client itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the client."""
        await self.close()

    @property
    def events(self) -> IEventEmitter:
        """The emitter that announces writes, in the thread that writes."""
        return self._client.events

    @events.setter
    def events(self, event_emitter: IEventEmitter) -> None:
        self._client.events = event_emitter

    def get_events(self) -> IEventEmitter:
        """Return `events`."""
        return self.events

    def set_events(self, event_emitter: IEventEmitter) -> None:
        """Replace `events`."""
        self.events = event_emitter

    def get(self, feature_name: str) -> AsyncFeatureFlag:
        """Return a handle of a flag, without checking that the flag exists."""
        return AsyncFeatureFlag(feature_name, self)

    def list(
        self, limit: int | None = None, offset: int = 0
    ) -> AsyncIterator[AsyncFeatureFlag]:
        """Return an async iterator of the handles of all flags, in the store's order.

        The store is read when the first flag is taken.

        Args:
            limit: how many flags to return at most; `None` is all.
            offset: how many flags to skip first.

        Raises:
            InvalidArgumentError: `limit` or `offset` is negative.
        """
        check_page(limit, offset)
        return self._list(limit, offset)

    async def _list(
        self, limit: int | None, offset: int
    ) -> AsyncIterator[AsyncFeatureFlag]:
        def names() -> list[str]:
            return [flag.name for flag in self._client.list(limit, offset)]

        # All at once, because a connection of a store may belong to one thread.
        for name in await self._threads.call(names):
            yield self.get(name)

    async def create(
        self,
        feature_name: str,
        is_enabled: bool = False,
        client_data: dict[str, Any] | None = None,
    ) -> AsyncFeatureFlag:
        """Write a new flag and return its handle; replace a flag of the same name.

        Args:
            feature_name: its name, unique.
            is_enabled: its state.
            client_data: the application's own data, kept with the flag.

        Raises:
            InvalidArgumentError: no flag can have this name, the state is neither on
                nor off, or the data cannot be stored.
        """
        create = self._client.create
        await self._threads.call(create, feature_name, is_enabled, client_data)
        return self.get(feature_name)


def _close_unused(making: asyncio.Future[Outcome]) -> None:
    """Close a client whose caller was cancelled while it was made."""
    made, _ = making.result()
    if made is not None:
        threads = WorkerThreads(1)
        threads.start(made.sync_client.close)
        threads.close()
