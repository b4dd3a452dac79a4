# SPDX-License-Identifier: Apache-2.0
"""`ReplicatedFeatureFlagStore` repeats each write to a primary store on its replicas.

`replica` holds one replica with its thread, `tasks` what it has to do, and `copying`
how it copies a flag from the primary.
"""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import finalize

from ...arguments import check_seconds
from ...contracts.transactions import refuse_transactions
from ...contracts.update import write_lock
from ...contracts.wrapper import FeatureFlagStoreWrapper
from ...runtime.clock import monotonic
from ...runtime.containers import copy_containers
from ...runtime.fork import renew_after_fork
from ..interface import AbstractFeatureFlagStore
from ..storage import FeatureFlagStoreItem as FeatureFlagStoreItem  # noqa: TC001
from ..storage import FeatureFlagStoreMeta as FeatureFlagStoreMeta  # noqa: TC001
from .copying import repeating_call
from .replica import Replica

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ...contracts.update import Change
    from .tasks import Completion, ReplicaStatus

logger = logging.getLogger(__name__)

StoreType = AbstractFeatureFlagStore

# Seconds that an asynchronous write waits for replicas that had nothing else to do. A
# replica in memory has the write when the call returns; a slow one does not delay it.
_IDLE_REPLICA_TIMEOUT: Final = 0.01
# Seconds that such a write waits before that until the threads of the replicas run.
# They do so within microseconds unless the machine is overloaded.
_START_TIMEOUT: Final = 1.0


class _ReplicaWrite(NamedTuple):
    """A write that a replica has to repeat."""

    replica: Replica
    completion: Completion
    was_idle: bool  # whether the replica had nothing else to do


class ReplicatedFeatureFlagStore(FeatureFlagStoreWrapper):
    """Reads and writes a primary store, and repeats each write on the replicas.

    A write that fails on the primary raises and is not repeated. A replica that fails
    is logged and counted (`status`). It gets the missing writes within seconds once it
    answers again. Safe for threads; writes of one flag are made one after the other.

    Writes take `asynch`. With `True` they return once the primary is done. With `False`
    they return once every replica has the write, too, or has failed to take it, or
    `replication_timeout` has passed. A warning is logged for each such write that a
    replica does not have then. It is no error, since the primary has the write.

    Args:
        primary: the store to read.
        *replicas: stores that get all writes of the primary.
        replication_timeout: seconds that a write with `asynch=False` waits at most for
            all replicas together; `None` waits for ever.

    Raises:
        InvalidArgumentError: the timeout is not a number of seconds.
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
        refuse_transactions("ReplicatedFeatureFlagStore", primary)
        super().__init__(primary)
        self._replicas = [Replica(replica, primary) for replica in replicas]
        self._replication_timeout = replication_timeout
        self.after_fork()
        renew_after_fork(self)
        for replica in self._replicas:
            finalize(self, replica.stop_retrying).atexit = False

    def after_fork(self) -> None:
        """Make new locks: the threads that held the old ones are not in the child."""
        self._flag_locks = [threading.RLock() for _ in range(16)]

    def get(self, *args: Any, **kwargs: Any) -> FeatureFlagStoreItem | None:
        """Return the flag of the primary, or `None` if there is none."""
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
        """Write a new flag, replacing any flag of that name; return the primary's."""
        client_data = copy_containers(client_data)

        def create(store: Any) -> Any:
            return store.create(
                feature_name, is_enabled=is_enabled, client_data=client_data
            )

        return self._write_all(feature_name, create, asynch)  # type: ignore[no-any-return]

    def set(
        self, feature_name: str, is_enabled: bool, asynch: bool | None = True
    ) -> None:
        """Change the state and keep the metadata; create the flag if it is missing."""
        self._write_all(feature_name, lambda s: s.set(feature_name, is_enabled), asynch)

    def delete(self, feature_name: str, asynch: bool | None = True) -> None:
        """Remove the flag if it exists."""
        self._write_all(feature_name, lambda s: s.delete(feature_name), asynch)

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
        self._write_all(
            feature_name,
            lambda s: s.set_meta(feature_name, meta),
            asynch,
            arguments_may_change=True,
        )

    def update(self, feature_name: str, change: Change) -> FeatureFlagStoreItem:
        """Replace a flag by what `change` returns for it, and return that.

        Raises:
            FlagDoesNotExistError: the primary has no such flag.
        """
        before: list[FeatureFlagStoreItem] = []

        def change_and_note(item: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
            before[:] = [item]
            return change(item)

        with self._flag_lock(feature_name):
            after = super().update(feature_name, change_and_note)
            writes = self._enqueue(feature_name, repeating_call(before[0], after))
        self._wait_for_replicas(feature_name, writes, asynch=True)
        return after

    # Named again because they may be called instead of the `get` of this class.
    get_in_memory = FeatureFlagStoreWrapper.get_in_memory
    get_many = FeatureFlagStoreWrapper.get_many
    get_uncached = FeatureFlagStoreWrapper.get_uncached

    def delete_existing(self, feature_name: str) -> None:
        """Remove the flag.

        Raises:
            FlagDoesNotExistError: the primary reports that there is no such flag.
        """
        with self._flag_lock(feature_name):
            super().delete_existing(feature_name)
            writes = self._enqueue(feature_name, lambda s: s.delete(feature_name))
        self._wait_for_replicas(feature_name, writes, asynch=True)

    def status(self) -> Sequence[ReplicaStatus]:
        """Return how far each replica is, in the order in which they were passed."""
        return [replica.status() for replica in self._replicas]

    def resync(self, timeout: float | None = 60) -> bool:
        """Copy every flag to every replica, and remove all others from the replicas.

        Args:
            timeout: seconds to wait until that is done, `None` for ever. The replicas
                go on after that time.

        Returns:
            Whether all replicas have every flag as the primary has it.

        Raises:
            Exception: the primary cannot be read.
        """
        deadline = None if timeout is None else monotonic() + timeout
        names = [item.feature_name for item in self._store.list() if item is not None]
        for replica in self._replicas:
            replica.resync(names)
        return self._flush(deadline)

    def close(self, timeout: float | None = 2) -> bool:
        """Wait until the replicas have all writes, and stop retrying. Idempotent.

        Later writes are repeated as before.

        Args:
            timeout: seconds to wait at most; `None` for ever.

        Returns:
            Whether all replicas have every write.
        """
        deadline = None if timeout is None else monotonic() + timeout
        for replica in self._replicas:
            replica.stop_retrying()
        return self._flush(deadline)

    def _flush(self, deadline: float | None) -> bool:
        are_idle = [r.flush(_seconds_left(deadline)) for r in self._replicas]
        return all(are_idle) and not any(r.status().last_error for r in self._replicas)

    def _write_all(
        self,
        feature_name: str,
        call: Callable[[Any], Any],
        asynch: bool | None,
        *,
        arguments_may_change: bool = False,
    ) -> Any:
        """Write to the primary, have the replicas repeat it, and wait for them."""
        # Race: replicas must get the writes of a flag in the order in which the primary
        # got them.
        with self._flag_lock(feature_name):
            with write_lock(self._store, feature_name):
                result = call(self._store)
            self._reader.record_write(feature_name, result)
            writes = self._enqueue(feature_name, call)
        self._wait_for_replicas(
            feature_name,
            writes,
            asynch=bool(asynch),
            arguments_may_change=arguments_may_change,
        )
        return result

    def _enqueue(
        self, feature_name: str, call: Callable[[Any], Any] | None
    ) -> Sequence[_ReplicaWrite]:
        """Have the replicas repeat a call, or copy the flag if it is `None`."""
        writes = []
        for replica in self._replicas:
            repeated = None if call is None else partial(call, replica.store)
            completion, was_idle = replica.write(feature_name, repeated)
            writes.append(_ReplicaWrite(replica, completion, was_idle))
        return writes

    def _wait_for_replicas(
        self,
        feature_name: str,
        writes: Sequence[_ReplicaWrite],
        *,
        asynch: bool,
        arguments_may_change: bool = False,
    ) -> None:
        """Wait until replicas have a write, as long as `asynch` says."""
        if asynch:
            start_deadline = monotonic() + _START_TIMEOUT
            for replica, completion, was_idle in writes:
                if was_idle:
                    timeout = _seconds_left(start_deadline)
                    replica.wait_for_start(feature_name, completion, timeout)
        limit = _IDLE_REPLICA_TIMEOUT if asynch else self._replication_timeout
        deadline = None if limit is None else monotonic() + limit
        for replica, completion, was_idle in writes:
            is_awaited = was_idle or not asynch
            is_done = is_awaited and completion.wait(_seconds_left(deadline))
            if not is_done:
                replica.copy_instead_of_repeating(
                    feature_name, arguments_may_change=arguments_may_change
                )
            if not asynch and (not is_done or completion.error is not None):
                _warn(replica, feature_name, completion.error)

    def _flag_lock(self, feature_name: str) -> Any:
        return self._flag_locks[hash(feature_name) % len(self._flag_locks)]


def _warn(replica: Replica, feature_name: str, error: BaseException | None) -> None:
    """Log that a replica does not have a write for which its caller has waited."""
    if error is None:  # the time was up, but an earlier try may have failed
        error = replica.status().last_error
    logger.warning(
        "Feature %r was written, but replica %s does not have it yet (%s)",
        feature_name,
        type(replica.store).__name__,
        "no answer in time" if error is None else type(error).__name__,
        exc_info=error,
        extra={"feature_name": feature_name},
    )


def _seconds_left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - monotonic())
