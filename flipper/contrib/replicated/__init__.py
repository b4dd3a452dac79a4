# SPDX-License-Identifier: Apache-2.0
"""One store that counts, and others that are kept like it."""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from weakref import finalize

from ...arguments import check_seconds
from ...contracts.atomic import write_lock
from ...contracts.wrapper import FeatureFlagStoreWrapper
from ...runtime.clock import monotonic
from ...runtime.containers import copy_containers
from ...runtime.fork import renew_after_fork
from ..interface import AbstractFeatureFlagStore
from ..storage import FeatureFlagStoreItem as FeatureFlagStoreItem  # noqa: TC001
from ..storage import FeatureFlagStoreMeta as FeatureFlagStoreMeta  # noqa: TC001
from .replica import Replica

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ...contracts.atomic import Change
    from .replica import ReplicaStatus, Ticket

    # A replica, what is set once it is level, and whether it had nothing else to do.
    _Wait = tuple[Replica, Ticket, bool]

logger = logging.getLogger(__name__)

StoreType = AbstractFeatureFlagStore

# Seconds that an asynchronous write waits for replicas that had nothing else to do: one
# in memory is written on return, one that is slow does not hold the writer up.
_MOMENT: Final = 0.01
# Seconds that it waits before that for the processor, which the threads of replicas
# have to get first. It is given within microseconds unless the machine is overloaded.
_OVERLOAD: Final = 1.0


class ReplicatedFeatureFlagStore(FeatureFlagStoreWrapper):
    """Reads and writes a primary store, and repeats each write on the replicas.

    A write that fails on the primary raises, and is not repeated. A replica that fails
    is logged and counted (`status`), and comes level by itself within seconds once it
    answers again. Safe for threads; writes of one flag follow each other.

    Writes take `asynch`: `True` returns once the primary is done, `False` once every
    replica has the write too, has failed to take it, or `replication_timeout` has
    passed. A warning is logged for each such write that a replica does not have then;
    it is no error, since the primary has it.

    Args:
        primary: the store that counts.
        *replicas: stores to be kept like it.
        replication_timeout: seconds that `asynch=False` waits at most for all replicas
            together; `None` waits for ever.

    Raises:
        InvalidArgumentError: the timeout is no time.
    """

    def __init__(
        self,
        primary: StoreType,
        *replicas: StoreType,
        replication_timeout: float | None = 1,
    ) -> None:
        check_seconds(
            *("replication_timeout", replication_timeout), none="to wait for ever"
        )
        super().__init__(primary)
        self._replicas = [Replica(replica, primary) for replica in replicas]
        self._replication_timeout = replication_timeout
        self.after_fork()
        renew_after_fork(self)
        for replica in self._replicas:
            finalize(self, replica.abandon).atexit = False

    def after_fork(self) -> None:
        """Make the locks anew: threads that held one are not in this process."""
        self._locks = [threading.RLock() for _ in range(16)]

    def get(self, *args: Any, **kwargs: Any) -> FeatureFlagStoreItem | None:
        """Return the flag of the primary, or `None`."""
        if kwargs or len(args) != 1:
            return self._store.get(*args, **kwargs)  # type: ignore[no-any-return]
        return super().get(*args)

    def list(self, *args: Any, **kwargs: Any) -> Iterator[FeatureFlagStoreItem]:
        """Return an iterator of the flags of the primary."""
        return self._store.list(*args, **kwargs)  # type: ignore[no-any-return]

    def create(
        self,
        feature_name: str,
        is_enabled: bool = False,
        client_data: dict[str, Any] | None = None,
        asynch: bool | None = True,
    ) -> FeatureFlagStoreItem:
        """Write a new flag over whatever was there, and return the primary's."""
        client_data = copy_containers(client_data)

        def create(store: Any) -> Any:
            return store.create(
                feature_name, is_enabled=is_enabled, client_data=client_data
            )

        return self._repeat(feature_name, create, asynch)  # type: ignore[no-any-return]

    def set(
        self, feature_name: str, is_enabled: bool, asynch: bool | None = True
    ) -> None:
        """Change the state and keep the metadata; create the flag if it is missing."""
        self._repeat(feature_name, lambda s: s.set(feature_name, is_enabled), asynch)

    def delete(self, feature_name: str, asynch: bool | None = True) -> None:
        """Remove the flag, if it is there."""
        self._repeat(feature_name, lambda s: s.delete(feature_name), asynch)

    def set_meta(
        self,
        feature_name: str,
        meta: FeatureFlagStoreMeta,
        asynch: bool | None = True,
    ) -> None:
        """Replace the metadata and keep the state.

        Raises:
            FlagDoesNotExistError: the primary has no such flag.
        """
        self._repeat(
            feature_name, lambda s: s.set_meta(feature_name, meta), asynch, lent=True
        )

    def update(self, feature_name: str, change: Change) -> FeatureFlagStoreItem:
        """Replace a flag by what `change` makes of it, and return that."""
        before: list[FeatureFlagStoreItem] = []

        def noting(item: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
            before[:] = [item]
            return change(item)

        with self._lock_of(feature_name):
            after = super().update(feature_name, noting)
            waits = self._hand_on(feature_name, _as_call(before[0], after))
        self._await(feature_name, waits, asynch=True)
        return after

    def get_uncached(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag as it is where the primary's writes go."""
        return super().get_uncached(feature_name)

    def delete_existing(self, feature_name: str) -> None:
        """Remove the flag, or raise if the primary tells that there is none."""
        with self._lock_of(feature_name):
            super().delete_existing(feature_name)
            waits = self._hand_on(feature_name, lambda s: s.delete(feature_name))
        self._await(feature_name, waits, asynch=True)

    def status(self) -> Sequence[ReplicaStatus]:
        """Tell how far each replica is, in the order in which they were given."""
        return [replica.status() for replica in self._replicas]

    def resync(self, timeout: float | None = 60) -> bool:
        """Copy every flag to every replica, and remove there what the primary has not.

        Args:
            timeout: seconds to wait for it, `None` for ever; it goes on afterwards.

        Returns:
            Whether all replicas are level.
        """
        deadline = None if timeout is None else monotonic() + timeout
        names = [item.feature_name for item in self._store.list() if item is not None]
        for replica in self._replicas:
            replica.resync(names)
        return self._flush(deadline)

    def close(self, timeout: float | None = 2) -> bool:
        """Do what is pending, for `timeout` seconds at most, and try no more.

        Later writes are repeated as before.

        Returns:
            Whether all replicas are level.
        """
        deadline = None if timeout is None else monotonic() + timeout
        for replica in self._replicas:
            replica.abandon()
        return self._flush(deadline)

    def _flush(self, deadline: float | None) -> bool:
        remaining = [replica.flush(_left(deadline)) for replica in self._replicas]
        return all(remaining) and not any(r.status().last_error for r in self._replicas)

    def _repeat(
        self,
        feature_name: str,
        call: Callable[[Any], Any],
        asynch: bool | None,
        *,
        lent: bool = False,
    ) -> Any:
        # Race: replicas get the writes of a flag in the order in which the primary got
        # them.
        with self._lock_of(feature_name):
            with write_lock(self._store, feature_name):
                result = call(self._store)
            self._reader.record_write(feature_name, result)
            waits = self._hand_on(feature_name, call)
        self._await(feature_name, waits, asynch=bool(asynch), lent=lent)
        return result

    def _hand_on(
        self, feature_name: str, call: Callable[[Any], Any] | None
    ) -> Sequence[_Wait]:
        waits = []
        for replica in self._replicas:
            repeated = None if call is None else partial(call, replica.store)
            waits.append((replica, *replica.write(feature_name, repeated)))
        return waits

    def _await(
        self,
        feature_name: str,
        waits: Sequence[_Wait],
        *,
        asynch: bool,
        lent: bool = False,
    ) -> None:
        if asynch:
            overload = monotonic() + _OVERLOAD
            for replica, ticket, prompt in waits:
                if prompt:
                    replica.wait_for_start(feature_name, ticket, _left(overload))
        timeout = _MOMENT if asynch else self._replication_timeout
        deadline = None if timeout is None else monotonic() + timeout
        for replica, ticket, prompt in waits:
            wanted = prompt or not asynch
            is_done = wanted and ticket.wait(_left(deadline))
            if not is_done:
                replica.fell_behind(feature_name, lent=lent)
            if not asynch and (not is_done or ticket.error is not None):
                _warn(replica, feature_name, ticket.error)

    def _lock_of(self, feature_name: str) -> Any:
        return self._locks[hash(feature_name) % len(self._locks)]


def _warn(replica: Replica, feature_name: str, error: BaseException | None) -> None:
    """Tell who has waited for a write that a replica does not have it."""
    if error is None:  # the wait was over before: why the last try failed, if any did
        error = replica.status().last_error
    logger.warning(
        "Feature %r was written, but replica %s does not have it yet (%s)",
        feature_name,
        type(replica.store).__name__,
        "no answer in time" if error is None else type(error).__name__,
        exc_info=error,
        extra={"feature_name": feature_name},
    )


def _as_call(
    before: FeatureFlagStoreItem, after: FeatureFlagStoreItem
) -> Callable[[Any], Any] | None:
    """Return the call that repeats a change; `None` if it takes more than one."""
    feature_name, state, meta = after.feature_name, after.raw_is_enabled, after.raw_meta
    if after.shares_meta_with(before):
        return lambda store: store.set(feature_name, state)
    if state is before.raw_is_enabled:
        return lambda store: store.set_meta(feature_name, meta)
    return None


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - monotonic())
