# SPDX-License-Identifier: Apache-2.0
"""How a client changes flags: one atomic step, with an event before and after it."""

from __future__ import annotations

from operator import methodcaller
from typing import TYPE_CHECKING, Any

from .arguments import (
    check_bucketer,
    check_client_data,
    check_condition,
    check_conditions,
    check_feature_name,
    check_state,
)
from .conditions.condition import Condition
from .contracts.last_known import SupportsLastKnown, TableFastPath
from .contracts.update import (
    SupportsUpdate,
    delete_existing,
    get_uncached,
    update,
    updates_atomically,
    write_lock,
)
from .contrib.storage.item import FeatureFlagStoreItem, with_state_off, with_state_on
from .events.emitter import FlipperEventEmitter
from .events.types import EventType
from .exceptions import FlagDoesNotExistError, InvalidFlagDataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .contracts.update import Change
    from .contrib.interface import AbstractFeatureFlagStore
    from .events.emitter import IEventEmitter
    from .flag import FeatureFlag

# Python 3.11 is slow at looking up members of an Enum.
_PRE_ENABLE, _POST_ENABLE = EventType.PRE_ENABLE, EventType.POST_ENABLE
_PRE_DISABLE, _POST_DISABLE = EventType.PRE_DISABLE, EventType.POST_DISABLE
_PRE_ADD_CONDITION = EventType.PRE_ADD_CONDITION
_POST_ADD_CONDITION = EventType.POST_ADD_CONDITION


class WritingClient:
    """The part of `FeatureFlagClient` that changes flags. Threads may share it.

    Args:
        store: the store to write to.
        source: what the client reads from, which records every write; see
            `SupportsLastKnown`.
    """

    def __init__(
        self, store: AbstractFeatureFlagStore, source: SupportsLastKnown
    ) -> None:
        self._store = store
        self._recorder: Any = source  # `memoize` replaces it
        # Most stores have nothing to do when a write is recorded: they made it.
        self._records_writes = (
            type(source).record_write is not SupportsLastKnown.record_write
        )
        self._is_atomic: bool | None = None
        self._events: IEventEmitter = FlipperEventEmitter()

    if TYPE_CHECKING:

        def get(self, feature_name: str) -> FeatureFlag:
            """Return a handle of a flag; the client provides it."""

        def _refuse_cycle(self, feature_name: str, condition: Condition) -> None:
            """Refuse a circle of flags; the client provides it."""

    def create(
        self,
        feature_name: str,
        is_enabled: bool = False,
        client_data: dict[str, Any] | None = None,
    ) -> FeatureFlag:
        """Write a new flag and return its handle; replace a flag of the same name.

        Args:
            feature_name: its name, unique.
            is_enabled: its state.
            client_data: the application's own data, kept with the flag. JSON has to be
                able to express it for all stores except those in memory.

        Raises:
            InvalidArgumentError: no flag can have this name, the state is neither on
                nor off, or the data cannot be stored.
        """
        check_feature_name(feature_name)
        if type(is_enabled) is not bool:
            check_state(feature_name, is_enabled)
        check_client_data(feature_name, client_data or None)
        announced = {"is_enabled": is_enabled, "client_data": client_data}
        self._events.emit(EventType.PRE_CREATE, feature_name, **announced)
        with write_lock(self._store, feature_name):
            item = self._store.create(
                feature_name, is_enabled=is_enabled, client_data=client_data
            )
        self._recorder.record_write(feature_name, item)
        self._events.emit(EventType.POST_CREATE, feature_name, **announced)
        return self.get(feature_name)

    def enable(self, feature_name: str) -> None:
        """Switch a flag on.

        Raises:
            FlagDoesNotExistError: there is no such flag.
        """
        if not self._write_without_events(feature_name, with_state_on):
            self._switch(feature_name, True, _PRE_ENABLE, _POST_ENABLE)

    def disable(self, feature_name: str) -> None:
        """Switch a flag off.

        Raises:
            FlagDoesNotExistError: there is no such flag.
        """
        if not self._write_without_events(feature_name, with_state_off):
            self._switch(feature_name, False, _PRE_DISABLE, _POST_DISABLE)

    def destroy(self, feature_name: str) -> None:
        """Remove a flag.

        Raises:
            FlagDoesNotExistError: there is no such flag.
        """
        self._get_existing_uncached(feature_name)
        self._events.emit(EventType.PRE_DESTROY, feature_name)
        try:
            delete_existing(self._store, feature_name)
        finally:
            # Also after an error: a flag that may be gone must not come back.
            self._recorder.record_write(feature_name, None)
        self._events.emit(EventType.POST_DESTROY, feature_name)

    def add_condition(self, feature_name: str, condition: Condition) -> None:
        """Add a condition to a flag, which is on only if all its conditions hold.

        Raises:
            FlagDoesNotExistError: there is no such flag.
            InvalidArgumentError: it is not a condition, or cannot be stored; or the
                flag would depend on itself.
        """
        if type(condition) is not Condition or condition.needs_context:
            self._refuse_cycle(feature_name, condition)
        change = methodcaller("with_condition", condition)
        if type(condition) is Condition and self._write_without_events(
            feature_name, change
        ):
            return
        self._prepare_write(feature_name, check_condition, condition)
        self._events.emit(_PRE_ADD_CONDITION, feature_name, condition)
        self._update(feature_name, change)
        self._events.emit(_POST_ADD_CONDITION, feature_name, condition)

    def set_conditions(
        self, feature_name: str, conditions: Iterable[Condition]
    ) -> None:
        """Replace all conditions of a flag.

        Raises:
            FlagDoesNotExistError: there is no such flag.
            InvalidArgumentError: one is not a condition, or they cannot be stored.
        """
        _, new = self._prepare_write(feature_name, check_conditions, conditions)
        # Listeners get the caller's object, but not an iterator, which is exhausted.
        announced = new if iter(conditions) is conditions else conditions
        self._events.emit(EventType.PRE_SET_CONDITIONS, feature_name, announced)
        self._update_meta(feature_name, conditions=new)
        self._events.emit(EventType.POST_SET_CONDITIONS, feature_name, announced)

    def set_bucketer(self, feature_name: str, bucketer: Any) -> None:
        """Let a bucketer decide for calls that no condition applies to.

        Args:
            feature_name: the flag.
            bucketer: replaces the bucketer of the flag. `None` changes nothing; to
                remove a bucketer, set a `NoOpBucketer()`.

        Raises:
            FlagDoesNotExistError: there is no such flag.
            InvalidArgumentError: it is not a bucketer, its percentage is not a fraction
                from 0 to 1, or it cannot be stored.
        """
        self._prepare_write(feature_name, check_bucketer, bucketer)
        self._events.emit(EventType.PRE_SET_BUCKETER, feature_name, bucketer)
        self._update_meta(feature_name, bucketer=bucketer)
        self._events.emit(EventType.POST_SET_BUCKETER, feature_name, bucketer)

    def _check_atomicity(self) -> None:
        """Find out whether the store's `update` can be called; `None` at each write."""
        self._is_atomic = None  # its methods may be replaced without notice
        store = self._store
        if not issubclass(type(store), SupportsUpdate):
            self._is_atomic = False
        elif isinstance(store, TableFastPath):  # it gives notice of replaced methods
            self._is_atomic = updates_atomically(store)

    def _write_without_events(self, feature_name: str, change: Change) -> bool:
        """Change a flag by the store's `update` alone; return whether that was done.

        Not while anybody listens to events, nor for a store without an `update`. The
        write itself finds out whether the flag exists, which saves a request.
        """
        is_atomic = self._is_atomic
        if is_atomic is None:
            is_atomic = updates_atomically(self._store)
        events = self._events
        if not is_atomic or type(events) is not FlipperEventEmitter:
            return False
        if not events.has_no_listeners():
            return False
        store: Any = self._store
        try:
            item = store.update(feature_name, change)
        except FlagDoesNotExistError:
            self._recorder.record_write(feature_name, None)
            raise
        if self._records_writes:
            self._recorder.record_write(feature_name, item)
        return True

    def _switch(
        self, feature_name: str, is_enabled: bool, before: EventType, after: EventType
    ) -> None:
        item = self._get_existing_uncached(feature_name)
        self._events.emit(before, feature_name)
        has_rules = type(item) is FeatureFlagStoreItem and item.rules is not None
        if updates_atomically(self._store) or has_rules:
            # `set` would create the flag again if somebody has just destroyed it, and
            # the state of a flag with rules is in its metadata.
            self._update(feature_name, with_state_on if is_enabled else with_state_off)
        else:
            with write_lock(self._store, feature_name):
                self._store.set(feature_name, is_enabled)  # Drop-in: by position
            if self._records_writes:
                self._recorder.record_state(feature_name, is_enabled)
        self._events.emit(after, feature_name)

    def _prepare_write(
        self, feature_name: str, check: Callable[[str, Any], Any], value: Any
    ) -> tuple[Any, Any]:
        """Return the flag before the write, and the result of `check` for a value.

        An error about a missing flag comes before an error about the value. The flag is
        `None` while nobody listens to events: the write itself finds out whether the
        flag exists.
        """
        before = None
        if not self._has_no_listeners():
            before = self._get_existing_uncached(feature_name)
        try:
            return before, check(feature_name, value)
        except Exception:
            if before is None:
                self._get_existing_uncached(feature_name)
            raise

    def _has_no_listeners(self) -> bool:
        """Return whether nobody listens to events, and flipper's emitter is in use."""
        events = self._events
        return type(events) is FlipperEventEmitter and events.has_no_listeners()

    def _get_existing_uncached(self, feature_name: str) -> Any:
        """Return a flag as the store that is written to has it, past every cache.

        Raises:
            FlagDoesNotExistError: there is no such flag.
        """
        try:
            item = get_uncached(self._store, feature_name)
        except InvalidFlagDataError as error:
            error.feature_name = feature_name
            raise
        if item is None:
            self._recorder.record_write(feature_name, None)
            raise FlagDoesNotExistError.for_flag(feature_name)
        return item

    def _update_meta(self, feature_name: str, **changes: Any) -> FeatureFlagStoreItem:
        def changed(item: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
            meta = item.raw_meta
            meta.update(**changes)
            return item.replace(meta=meta)

        return self._update(feature_name, changed)

    def _update(self, feature_name: str, change: Change) -> FeatureFlagStoreItem:
        try:
            after = update(self._store, feature_name, change)
        except FlagDoesNotExistError:
            self._recorder.record_write(feature_name, None)
            raise
        if self._records_writes:
            self._recorder.record_write(feature_name, after)
        return after
