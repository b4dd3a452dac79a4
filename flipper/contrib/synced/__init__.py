# SPDX-License-Identifier: Apache-2.0
"""A complete copy of the flags in the memory of this process, in front of any store."""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar
from weakref import WeakMethod, finalize

from ...arguments import check_seconds
from ...contracts.last_known import TableFastPath
from ...contracts.watch import WatchQueue
from ...contracts.wrapper import FeatureFlagStoreWrapper
from ...exceptions import (
    FlagDoesNotExistError,
    FlipperError,
    InvalidArgumentError,
    StaleFlagsError,
    StoreUnavailableError,
)
from ...runtime.clock import monotonic
from ...runtime.closing import ClosesAtExit
from ...runtime.deadline import call_with_timeout
from ...runtime.fork import renew_after_fork
from ..storage import FeatureFlagStoreItem
from .follower import Follower
from .read_through import ReadThrough
from .snapshot import Snapshot

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    from ...contracts.atomic import Change
    from ..storage import FeatureFlagStoreMeta
    from .copy import FlagChange
    from .follower import SyncStatus

F = TypeVar("F", bound="Callable[..., object]")
T = TypeVar("T")

_UNKNOWN: Final = object()
_NO_LIMIT: Final = float("inf")
_START_FAILURES: Final = ("raise", "empty", "snapshot")


def _itself(item: T) -> T:
    return item


class SyncedFeatureFlagStore(ClosesAtExit, TableFastPath, FeatureFlagStoreWrapper):
    """Answers from a complete copy of the flags, without I/O.

    A daemon thread follows the inner store: by the change signal of a store that has
    one (`SupportsWatch`), and by reading all flags now and then. While the inner store
    is away the copy goes on answering. Writes go through, raise what the inner store
    raises, and are seen at once in this process.

    Safe for threads and forks: in a child the thread starts when a flag is asked for. A
    store that is not held any more, or closed, ends its thread within a second.

    Args:
        store: the inner store, of any kind but one that answers from a cache.
        poll_interval: seconds between two readings of all flags, give or take a fifth:
            what heals a lost signal, and all there is where there is no signal.
        start_timeout: seconds to wait for the first reading.
        on_start_failure: what to do then: "raise" a `StoreUnavailableError`, begin
            "empty", so that every flag is missing until the store answers, or begin
            with the flags of the "snapshot". As a rule the latter where there is one.
        snapshot: a file to which the flags are written when they have changed, about a
            second later.
        max_staleness: seconds; a copy that is older raises a `StaleFlagsError`, by
            which `is_enabled` answers the caller's default. As a rule any age will do.
        write_timeout: seconds that a write waits for the inner store, which it calls in
            a thread of its own; `None` waits as long as the inner store does, and calls
            it in the caller's thread.

    Raises:
        StoreUnavailableError: the flags could not be loaded.
        InvalidArgumentError: an argument makes no sense.
    """

    _table = "_flags"

    def __init__(  # noqa: PLR0913  (each a choice of its own, and all have defaults)
        self,
        store: Any,
        *,
        poll_interval: float = 30.0,
        start_timeout: float = 5.0,
        on_start_failure: str | None = None,
        snapshot: str | os.PathLike[str] | None = None,
        max_staleness: float | None = None,
        write_timeout: float | None = 4.0,
    ) -> None:
        if on_start_failure is None:
            on_start_failure = "raise" if snapshot is None else "snapshot"
        _check(on_start_failure, snapshot, poll_interval)
        check_seconds("start_timeout", start_timeout, none="to wait for ever")
        check_seconds(
            *("max_staleness", max_staleness), none="for any age", largest=_NO_LIMIT
        )
        check_seconds("write_timeout", write_timeout, none="for no limit")
        super().__init__(store)
        self._write_timeout = write_timeout
        self._max_staleness = max_staleness
        file = None if snapshot is None else Snapshot(snapshot)
        self._follower = Follower(store, poll_interval, file)
        self._copy = self._follower.copy
        # Where `get` looks: the dict itself, unless something has to be done before.
        self._flags: Any = self._view()
        finalize(self, self._follower.abandon).atexit = False
        renew_after_fork(self)
        if self._follower.start():
            is_loaded = self._follower.loaded.wait(start_timeout)
        else:
            is_loaded = self._follower.load_once(start_timeout)
            self._flags = self._read_through()
        if not is_loaded:
            self._begin_without_store(on_start_failure, file, start_timeout)

    def after_fork(self) -> None:
        """Be followed by a thread of this process, as soon as a flag is asked for."""
        self._follower.after_fork()
        if not self._follower.is_closed:
            self._flags = self._read_through()

    # -- reading -----------------------------------------------------------------------

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag, or `None` if there is none.

        Raises:
            StaleFlagsError: the copy is older than `max_staleness`.
        """
        return self._flags.get(feature_name)  # type: ignore[no-any-return]

    def list(
        self, limit: int | None = None, offset: int = 0
    ) -> Iterator[FeatureFlagStoreItem]:
        """Return an iterator of the flags by name: `offset` are skipped, `limit` given.

        Raises:
            StaleFlagsError: the copy is older than `max_staleness`.
        """
        stop = None if limit is None else offset + limit
        return islice(self._each(), offset, stop)

    def _each(self) -> Iterator[FeatureFlagStoreItem]:
        if type(self._flags) is ReadThrough:
            self._flags.prepare_list()
        flags = self._view()
        for feature_name in sorted(self._copy.flags):
            item = flags.get(feature_name)
            if item is not None:  # deleted since the names were read
                yield item

    @property
    def away_errors(self) -> tuple[type[Exception], ...]:
        """None: reading asks no server."""
        return ()

    def last_known(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag as the copy has it, `None` if the copy is too old."""
        try:
            return self.get(feature_name)
        except StaleFlagsError:
            return None

    # -- writing -----------------------------------------------------------------------

    def create(
        self,
        feature_name: str,
        is_enabled: bool = False,
        client_data: dict[str, Any] | None = None,
    ) -> FeatureFlagStoreItem:
        """Write a new flag over whatever was there, and return it."""
        create = partial(super().create, feature_name, is_enabled, client_data)
        item: FeatureFlagStoreItem = self._written(feature_name, create, _itself)
        return item

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Change the state and keep the metadata; create the flag if it is missing."""
        known = self._copy.flags.get(feature_name)
        guess: Any = _UNKNOWN
        if type(known) is FeatureFlagStoreItem:
            guess = known.replace(is_enabled=is_enabled)
        set_state = partial(super().set, feature_name, is_enabled)
        self._written(feature_name, set_state, self._rereading(feature_name, guess))

    def delete(self, feature_name: str) -> None:
        """Remove the flag, if it is there."""
        delete = partial(super().delete, feature_name)
        self._written(feature_name, delete, lambda _: None)

    def set_meta(self, feature_name: str, meta: FeatureFlagStoreMeta) -> None:
        """Replace the metadata and keep the state.

        Raises:
            FlagDoesNotExistError: there is no such flag.
        """
        set_meta = partial(super().set_meta, feature_name, meta)
        self._written(feature_name, set_meta, self._rereading(feature_name, _UNKNOWN))

    def update(self, feature_name: str, change: Change) -> FeatureFlagStoreItem:
        """Replace a flag by what `change` makes of it, and return that."""
        update = partial(super().update, feature_name, change)
        item: FeatureFlagStoreItem = self._written(feature_name, update, _itself)
        return item

    def delete_existing(self, feature_name: str) -> None:
        """Remove the flag, or raise if the inner store tells that there is none."""
        delete = partial(super().delete_existing, feature_name)
        self._written(feature_name, delete, lambda _: None)

    def get_uncached(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Ask the inner store, and take what it gives into the copy.

        Raises:
            StoreTimeoutError: that took longer than `write_timeout`.
            Exception: what the inner store raises.
        """
        get = partial(super().get_uncached, feature_name)
        item: FeatureFlagStoreItem | None = self._written(feature_name, get, _itself)
        return item

    def _written(
        self, feature_name: str, write: Callable[[], T], find: Callable[[T], Any]
    ) -> T:
        """Write or ask, take in the flag that `find` gives, return what `write` did."""

        def write_and_find() -> tuple[T, Any]:
            result = write()
            return result, find(result)

        self._follower.start()
        with self._copy.writing(feature_name, self._write_timeout) as learn:
            try:
                result, item = call_with_timeout(self._write_timeout, write_and_find)
            except FlagDoesNotExistError:
                learn(None)  # whatever the copy has
                raise
            if item is not _UNKNOWN:
                learn(item)
            return result

    def _rereading(self, feature_name: str, guess: Any) -> Callable[[object], Any]:
        def reread(_: object) -> Any:
            try:
                return self._store.get(feature_name)
            except Exception:  # noqa: BLE001  (it was written: that has not failed)
                return guess

        return reread

    # -- following ---------------------------------------------------------------------

    def status(self) -> SyncStatus:
        """Tell how the copy is: its state, age, last error, size and revision."""
        self._follower.start()
        return self._follower.status()

    def on_change(self, listener: F) -> F:
        """Call `listener` with a `FlagChange` whenever a flag has changed in the copy.

        It is called in any thread, for one change after the other, in their order. Its
        errors are logged. May be used as a decorator.
        """
        self._copy.add_listener(listener)
        self._follower.start()
        return listener

    def on_status(self, listener: F) -> F:
        """Call `listener` with the status whenever its state has changed; as above."""
        self._follower.add_listener(listener)
        self._follower.start()
        return listener

    def remove_listener(self, listener: Callable[..., Any]) -> None:
        """Call a listener no more."""
        self._copy.remove_listener(listener)
        self._follower.remove_listener(listener)

    def watch(self) -> WatchQueue:
        """Report what changes in the copy, not in the inner store a moment before."""

        def tell(change: FlagChange) -> None:
            queue.report(change.feature_name)

        queue = WatchQueue(lambda: self.remove_listener(tell))
        self.on_change(tell)
        return queue

    def close(self) -> None:
        """Stop following; flags are answered as of now from then on. Idempotent.

        The inner store remains the caller's to close. It is not read any more on
        return, unless it has not answered for a second.
        """
        self._follower.close()
        self._follower.join()
        self._use_copy()

    # -- inside ------------------------------------------------------------------------

    def _view(self) -> Any:
        if self._max_staleness is None:
            return self._copy.flags
        return _Perishable(self._follower, self._max_staleness)

    def _read_through(self) -> ReadThrough:
        reference = WeakMethod(self._use_copy)  # a store nobody holds is free at once

        def use_copy() -> None:
            method = reference()
            if method is not None:
                method()

        return ReadThrough(self._follower, self._store, self._view(), use_copy)

    def _use_copy(self) -> None:
        self._flags = self._view()

    def _begin_without_store(
        self, on_start_failure: str, snapshot: Snapshot | None, waited: float
    ) -> None:
        error = self.status().last_error
        remedy = "; is its server up? on_start_failure= tells what to begin with then"
        if on_start_failure == "empty":
            return
        if on_start_failure == "snapshot" and snapshot is not None:
            try:
                self._follower.begin_with(snapshot)
            except (OSError, FlipperError) as problem:
                error, remedy = problem, ", nor from the snapshot"
            else:
                return
        self.close()
        raise StoreUnavailableError(
            f"The flags could not be loaded from {type(self._store).__name__} within "
            f"{waited:g} seconds{remedy} ({type(error).__name__}: {error})"
        ) from error


class _Perishable:
    """Gives flags as long as they are fresh enough."""

    def __init__(self, follower: Follower, max_staleness: float) -> None:
        self._follower = follower
        self._get = follower.copy.flags.get
        self._max_staleness = max_staleness

    def get(self, feature_name: str) -> Any:
        age = monotonic() - self._follower.level_at
        if age > self._max_staleness:
            raise StaleFlagsError(
                f"Feature {feature_name!r} is not answered: the copy of the flags is "
                f"{age:.1f} seconds old, and {self._max_staleness:g} are allowed",
                feature_name=feature_name,
            )
        return self._get(feature_name)


def _check(on_start_failure: str, snapshot: object, poll_interval: float) -> None:
    if on_start_failure not in _START_FAILURES:
        raise InvalidArgumentError(
            f"on_start_failure={on_start_failure!r} is unknown; use one of "
            f"{', '.join(map(repr, _START_FAILURES))}",
            value=on_start_failure,
        )
    if on_start_failure == "snapshot" and snapshot is None:
        raise InvalidArgumentError(
            "on_start_failure='snapshot' needs a file; use snapshot='flags.json'",
            value=snapshot,
        )
    if not poll_interval > 0:
        raise InvalidArgumentError(
            f"poll_interval={poll_interval!r} is no time to wait; use seconds above 0",
            value=poll_interval,
        )
