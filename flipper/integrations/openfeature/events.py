# SPDX-License-Identifier: Apache-2.0
"""What a synced store reports, as events of an OpenFeature provider."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakMethod, ref

from openfeature.event import ProviderEvent, ProviderEventDetails
from openfeature.exception import ErrorCode, ProviderNotReadyError

from ...contracts.wrapper import FeatureFlagStoreWrapper
from ...contrib.synced import SyncedFeatureFlagStore
from ...runtime.background import start_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...contrib.synced import FlagChange, SyncStatus

    Emit = Callable[[ProviderEvent, ProviderEventDetails], None]

# Seconds after which the state of the store is announced once more.
_PAUSE: Final = 0.1


def synced_store_in(store: Any) -> SyncedFeatureFlagStore | None:
    """Return the synced store that a store is or wraps, or `None`."""
    while not isinstance(store, SyncedFeatureFlagStore):
        if not isinstance(store, FeatureFlagStoreWrapper):
            return None
        store = store._store  # noqa: SLF001  (what it wraps)
    return store


class SyncedStoreEvents:
    """Emits what a synced store reports, from the thread in which it reports it.

    Safe for threads and forks: a child process emits what its own copy reports.

    Args:
        store: the synced store.
        emit: the method of the provider that emits an event. Both are referred to
            weakly, so that they can be collected.
    """

    def __init__(self, store: SyncedFeatureFlagStore, emit: Emit) -> None:
        self._store = ref(store)
        self._emit = WeakMethod(emit)
        self._announced = ProviderEvent.PROVIDER_READY
        self._is_listening = False

    def start(self) -> None:
        """Emit events from now on.

        Raises:
            ProviderNotReadyError: the store has not read the flags yet. Once it has, an
                event says so.
        """
        store = self._store()
        if store is None:  # nobody asks it any more
            return
        if not self._is_listening:
            self._is_listening = True
            store.on_change(self._flag_changed)
            store.on_status(self._status_changed)
        event, details = _event_of(store.status())
        if event is ProviderEvent.PROVIDER_ERROR:
            self._announced = event
            raise ProviderNotReadyError(details.message)
        self._announced = ProviderEvent.PROVIDER_READY
        # Race: OpenFeature announces that the provider is ready when this has returned,
        # also if the store is stale, or becomes so meanwhile.
        start_thread("flipper-openfeature", self._announce_later)

    def stop(self) -> None:
        """Emit no more events."""
        self._is_listening = False
        store = self._store()
        if store is not None:
            store.remove_listener(self._flag_changed)
            store.remove_listener(self._status_changed)

    def _announce_later(self) -> None:
        time.sleep(_PAUSE)
        store = self._store()
        if store is not None:
            self._status_changed(store.status())

    def _status_changed(self, status: SyncStatus) -> None:
        event, details = _event_of(status)
        if event is not self._announced and self._is_listening:
            self._announced = event
            self._send(event, details)

    def _flag_changed(self, change: FlagChange) -> None:
        details = ProviderEventDetails(flags_changed=[change.feature_name])
        self._send(ProviderEvent.PROVIDER_CONFIGURATION_CHANGED, details)

    def _send(self, event: ProviderEvent, details: ProviderEventDetails) -> None:
        emit = self._emit()
        if emit is not None:
            # While the interpreter exits, OpenFeature cannot call handlers any more.
            with suppress(RuntimeError):
                emit(event, details)


def _event_of(status: SyncStatus) -> tuple[ProviderEvent, ProviderEventDetails]:
    """Return the event that announces a status."""
    error = status.last_error
    cause = "" if error is None else f" ({type(error).__name__}: {error})"
    if status.state == "closed":
        message = "The store was closed, so its flags do not change any more"
        return ProviderEvent.PROVIDER_STALE, ProviderEventDetails(message=message)
    if math.isinf(status.age) and status.state != "direct":
        message = f"The flags have not been read yet{cause}"
        return ProviderEvent.PROVIDER_ERROR, ProviderEventDetails(
            message=message, error_code=ErrorCode.PROVIDER_NOT_READY
        )
    if status.state == "stale":
        message = f"The store cannot be read, so flags keep their last state{cause}"
        return ProviderEvent.PROVIDER_STALE, ProviderEventDetails(message=message)
    return ProviderEvent.PROVIDER_READY, ProviderEventDetails()
