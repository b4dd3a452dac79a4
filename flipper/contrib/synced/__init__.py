# SPDX-License-Identifier: Apache-2.0
"""`SyncedFeatureFlagStore` answers from a complete copy of another store's flags.

`follower` is the thread that updates the `copy`, by `reading`. `snapshot` is a file of
the flags. `read_through` answers without that thread, `write_through` writes.
`staleness` limits the age of the copy, `start` is about a start during an outage.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import finalize

from ...arguments import check_seconds
from ...contracts.last_known import TableFastPath
from ...contracts.transactions import refuse_transactions
from ...contracts.watch import WatchQueue
from ...contracts.wrapper import FeatureFlagStoreWrapper
from ...exceptions import InvalidFlagDataError, StaleFlagsError, StoreUnavailableError
from ...runtime.closing import Closeable
from ...runtime.fork import renew_after_fork
from ..storage import FeatureFlagStoreItem
from .copy import FlagChange as FlagChange  # noqa: TC001  (for users' annotations)
from .follower import Follower
from .follower import SyncStatus as SyncStatus
from .read_through import ReadThrough
from .snapshot import Snapshot
from .staleness import FreshFlags
from .start import check_arguments, start_without_store
from .write_through import UNKNOWN, WriteThrough

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator
    from typing import Literal

    from ...contracts.update import Change
    from ..storage import FeatureFlagStoreMeta

F = TypeVar("F", bound="Callable[..., object]")


class SyncedFeatureFlagStore(Closeable, TableFastPath, FeatureFlagStoreWrapper):
    """Answers from a complete copy of the inner store's flags, without I/O.

    A daemon thread follows the inner store. It uses the change signal of the store, if
    the store has one (`SupportsWatch`), and reads all flags again if a change may have
    been missed. While the inner store is down, the copy keeps answering. Writes go to
    the inner store, raise its errors, and are visible at once in this process.

    Safe for threads and forks: in a child process, the thread starts at the first call.
    The thread ends within a second after the store was closed or garbage-collected.

    Args:
        store: the inner store, of any kind except one that answers from a cache.
        poll_interval: seconds between two readings of all flags; each pause varies by
            up to 20 %. With a change signal, up to 20 of them are left out while it
            knows that it has missed nothing.
        start_timeout: seconds to wait for the first reading.
        on_start_failure: what to do if the first reading fails: "raise" a
            `StoreUnavailableError`; start "empty", so that every flag is missing until
            the inner store answers; or start with the flags of the "snapshot". The
            default is "snapshot" if a snapshot file is given, and "raise" if not.
        snapshot: a file to which the flags are written about a second after a change.
        max_staleness: seconds. If the copy is older, a `StaleFlagsError` is raised, and
            `is_enabled` returns the caller's default. By default, any age is accepted.
        write_timeout: seconds that a write may take; the inner store is then called in
            another thread. `None` is no limit; the inner store is then called in the
            caller's thread.

    Raises:
        StoreUnavailableError: the flags could not be loaded.
        InvalidArgumentError: an argument is not allowed.
    """

    _table = "_flags"

    def __init__(  # noqa: PLR0913  (each a choice of its own, and all have defaults)
        self,
        store: Any,
        *,
        poll_interval: float = 30.0,
        start_timeout: float = 5.0,
        on_start_failure: Literal["raise", "empty", "snapshot"] | None = None,
        snapshot: str | os.PathLike[str] | None = None,
        max_staleness: float | None = None,
        write_timeout: float | None = 4.0,
    ) -> None:
        if on_start_failure is None:
            on_start_failure = "raise" if snapshot is None else "snapshot"
        check_arguments(on_start_failure, snapshot, poll_interval)
        refuse_transactions("SyncedFeatureFlagStore", store)
        check_seconds("start_timeout", start_timeout, none="to wait for ever")
        check_seconds(
            *("max_staleness", max_staleness), none="for any age", largest=float("inf")
        )
        check_seconds("write_timeout", write_timeout, none="for no limit")
        super().__init__(store)
        self._max_staleness = max_staleness
        file = None if snapshot is None else Snapshot(snapshot)
        self._follower = Follower(store, poll_interval, file)
        self._copy = self._follower.copy
        if type(self).get is SyncedFeatureFlagStore.get:
            self.local_copy = self._copy
        self._writes = WriteThrough(self._follower, store, write_timeout)
        # `get` looks here: in the copy itself, or in an object that checks the age of
        # the copy, or asks the inner store.
        self._flags: Any = self._copied_flags()
        finalize(self, self._follower.abandon).atexit = False
        renew_after_fork(self)
        if self._follower.start():
            is_loaded = self._follower.loaded.wait(start_timeout)
        else:
            is_loaded = self._follower.read_all_once(start_timeout)
            self._flags = self._new_read_through()
        if not is_loaded:
            self._start_without_store(on_start_failure, file, start_timeout)

    def _start_without_store(
        self, on_start_failure: str, snapshot: Snapshot | None, waited: float
    ) -> None:
        try:
            start_without_store(
                self._follower,
                self._store,
                on_start_failure=on_start_failure,
                snapshot=snapshot,
                waited=waited,
            )
        except StoreUnavailableError:
            self.close()
            raise

    def after_fork(self) -> None:
        """Prepare to start a thread in this child process at the next call."""
        self._follower.after_fork()
        if not self._follower.is_closed:
            self._flags = self._new_read_through()

    # -- reading -----------------------------------------------------------------------

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag, or `None` if there is none.

        Raises:
            StaleFlagsError: the copy is older than `max_staleness`.
            InvalidFlagDataError: the stored document is not a flag.
        """
        return self._flags.get(feature_name)  # type: ignore[no-any-return]

    def fast_path(self) -> Any:
        """Return the dict of decoded flags, or the object whose `get` is called."""
        table = super().fast_path()
        return self._copy.decoded if table is self._copy else table

    def list(
        self, limit: int | None = None, offset: int = 0
    ) -> Iterator[FeatureFlagStoreItem]:
        """Return an iterator of at most `limit` flags by name, from number `offset` on.

        Raises:
            StaleFlagsError: the copy is older than `max_staleness`.
        """
        stop = None if limit is None else offset + limit
        return islice(self._iterate(), offset, stop)

    def _iterate(self) -> Iterator[FeatureFlagStoreItem]:
        if type(self._flags) is ReadThrough:
            self._flags.update_copy()
        flags = self._copied_flags()
        for feature_name in sorted(self._copy.flags):
            with suppress(InvalidFlagDataError):
                item = flags.get(feature_name)
                if item is not None:  # None: deleted since the names were read
                    yield item

    @property
    def outage_errors(self) -> tuple[type[Exception], ...]:
        """Empty, because reading does not use a server."""
        return ()

    def last_known(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag from the copy, or `None` if the copy is too old."""
        try:
            return self.get(feature_name)
        except StaleFlagsError:
            return None

    def known_names(self) -> tuple[str, ...]:
        """Return the names of the flags of the copy."""
        return tuple(self._copy.flags)

    # -- writing -----------------------------------------------------------------------

    def create(
        self,
        feature_name: str,
        is_enabled: bool = False,
        client_data: dict[str, Any] | None = None,
    ) -> FeatureFlagStoreItem:
        """Write a new flag, replacing any flag of that name, and return it."""
        create = partial(super().create, feature_name, is_enabled, client_data)
        return self._writes.call(feature_name, create)

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Change the state and keep the metadata; create the flag if it is missing."""
        expected: Any = UNKNOWN
        with suppress(InvalidFlagDataError):
            known = self._copy.get(feature_name)
            if type(known) is FeatureFlagStoreItem:
                expected = known.replace(is_enabled=is_enabled)
        set_state = partial(super().set, feature_name, is_enabled)
        reread = self._writes.rereading(feature_name, expected)
        self._writes.call(feature_name, set_state, reread)

    def delete(self, feature_name: str) -> None:
        """Remove the flag if it exists."""
        delete = partial(super().delete, feature_name)
        self._writes.call(feature_name, delete, lambda _: None)

    def set_meta(self, feature_name: str, meta: FeatureFlagStoreMeta) -> None:
        """Replace the metadata and keep the state.

        Raises:
            FlagDoesNotExistError: there is no such flag.
        """
        set_meta = partial(super().set_meta, feature_name, meta)
        reread = self._writes.rereading(feature_name, UNKNOWN)
        self._writes.call(feature_name, set_meta, reread)

    def update(self, feature_name: str, change: Change) -> FeatureFlagStoreItem:
        """Replace a flag by the result of `change`, and return that result."""
        update = partial(super().update, feature_name, change)
        return self._writes.call(feature_name, update)

    def delete_existing(self, feature_name: str) -> None:
        """Remove the flag.

        Raises:
            FlagDoesNotExistError: the inner store says that there is no such flag.
        """
        delete = partial(super().delete_existing, feature_name)
        self._writes.call(feature_name, delete, lambda _: None)

    def get_uncached(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag from the inner store, and record it in the copy.

        Raises:
            StoreTimeoutError: it took longer than `write_timeout`.
            Exception: any error of the inner store.
        """
        get = partial(super().get_uncached, feature_name)
        return self._writes.call(feature_name, get)

    # -- following ---------------------------------------------------------------------

    def status(self) -> SyncStatus:
        """Return the state, age, last error, size and revision of the copy."""
        self._follower.start()
        return self._follower.status()

    def on_change(self, listener: F) -> F:
        """Call `listener` with a `FlagChange` whenever a flag has changed in the copy.

        The calls are made one after the other, in the order of the changes, and from
        any thread. Errors of the listener are logged. Can be used as a decorator.
        """
        self._copy.add_listener(listener)
        self._follower.start()
        return listener

    def on_status(self, listener: F) -> F:
        """Call `listener` with the `SyncStatus` whenever its state has changed.

        For calls, errors and decorators see `on_change`.
        """
        self._follower.add_listener(listener)
        self._follower.start()
        return listener

    def remove_listener(self, listener: Callable[..., Any]) -> None:
        """Stop calling a listener of `on_change` or `on_status`."""
        self._copy.remove_listener(listener)
        self._follower.remove_listener(listener)

    def watch(self) -> WatchQueue:
        """Return a watch that reports changes of the copy, after the copy has them."""

        def report(change: FlagChange) -> None:
            queue.report(change.feature_name)

        queue = WatchQueue(lambda: self.remove_listener(report))
        self.on_change(report)
        return queue

    def close(self) -> None:
        """Stop following; the copy keeps answering, but does not change any more.

        May be called again. The caller has to close the inner store, which is not read
        any more after this method, unless a read takes longer than a second.
        """
        self._follower.close()
        self._follower.join()
        self._answer_from_copy()

    # -- what answers `get` ------------------------------------------------------------

    def _copied_flags(self) -> Any:
        limit = self._max_staleness
        return self._copy if limit is None else FreshFlags(self._follower, limit)

    def _new_read_through(self) -> ReadThrough:
        flags, use_copy = self._copied_flags(), self._answer_from_copy
        return ReadThrough(self._follower, self._store, flags, use_copy)

    def _answer_from_copy(self) -> None:
        self._flags = self._copied_flags()
