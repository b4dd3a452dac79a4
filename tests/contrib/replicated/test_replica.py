# SPDX-License-Identifier: Apache-2.0
"""One replica of a replicated store: the order of its writes, and its failures."""

from __future__ import annotations

import gc
import logging
import random
import threading
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest

from flipper import (
    FeatureFlagClient,
    FlagDoesNotExistError,
    MemoryFeatureFlagStore,
    ReplicatedFeatureFlagStore,
)
from flipper.contrib.replicated.replica import Replica
from flipper.contrib.storage import FeatureFlagStoreMeta
from flipper.testing.contract import eventually
from support.replicas import (
    ADMIN,
    TIMEOUT,
    Backup,
    dates_of,
    flags_of,
    nothing_is_pending,
)

if TYPE_CHECKING:
    from collections.abc import Callable


# The order of writes


def test_concurrent_writes_reach_each_replica_in_the_order_of_the_primary(
    primary: MemoryFeatureFlagStore,
) -> None:
    """After random writes of four threads each replica has the primary's flags."""
    replicas = [MemoryFeatureFlagStore(), Backup(), MemoryFeatureFlagStore()]
    store = ReplicatedFeatureFlagStore(primary, *replicas)
    seed = random.randrange(2**32)  # noqa: S311
    names = [f"flag{number}" for number in range(5)]

    def write(number: int) -> None:
        choice = random.Random(f"{seed} {number}")  # noqa: S311
        for step in range(150):
            name, data = choice.choice(names), {"writer": number, "step": step}
            kind = choice.randrange(10)
            with suppress(FlagDoesNotExistError):
                if kind < 2:
                    store.create(name, choice.random() < 0.5, data)
                elif kind < 5:
                    store.set(name, choice.random() < 0.5)
                elif kind < 8:
                    store.set_meta(name, FeatureFlagStoreMeta(1, data, [ADMIN]))
                elif kind < 9:
                    FeatureFlagClient(store).set_client_data(name, data)
                else:
                    store.delete(name)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(TIMEOUT)
    assert store.close(TIMEOUT)
    for replica in replicas:
        assert flags_of(replica) == flags_of(primary), f"seed {seed}"
    assert [status.failures for status in store.status()] == [0, 0, 0], f"seed {seed}"


def test_a_write_during_a_copy_is_not_repeated(
    primary: MemoryFeatureFlagStore, backup: Backup
) -> None:
    """A copy may have a later write, after which this one would fail or undo it."""
    replica, repeated = Replica(backup, primary), []
    backup.hang()
    replica.write("x")
    assert backup.called.wait(TIMEOUT)  # it found no flag, and removes it
    replica.write("x", lambda: repeated.append("x"))
    backup.recover()
    assert replica.flush(TIMEOUT)
    assert backup.calls == ["delete", "delete"]
    assert repeated == []


def test_a_slow_replica_gets_one_copy_of_many_writes(
    store: ReplicatedFeatureFlagStore, primary: MemoryFeatureFlagStore, backup: Backup
) -> None:
    """Writes that a replica missed are replaced by one copy of the flag."""
    store.create("x", asynch=False)
    backup.hang()
    store.set("x", True)
    assert backup.called.wait(TIMEOUT)
    for number in range(51):
        store.set("x", number % 2 == 0)
        store.set_meta("x", FeatureFlagStoreMeta(1, {"number": number}, [ADMIN]))
    assert store.status()[0].pending == 1
    backup.recover()
    assert store.close(TIMEOUT)
    assert backup.get("x").meta["client_data"] == {"number": 50}
    assert flags_of(backup) == flags_of(primary)
    assert dates_of(backup) == dates_of(primary)
    assert backup.calls == ["create", "set", "set_meta", "set"]


@pytest.mark.parametrize("busy", [True, False], ids=["pending", "under way"])
def test_changes_of_the_callers_objects_do_not_reach_a_slow_replica(
    busy: bool,
    store: ReplicatedFeatureFlagStore,
    primary: MemoryFeatureFlagStore,
    backup: Backup,
) -> None:
    """A slow replica gets a copy of the flag, not the caller's objects."""
    store.create("x", asynch=False)
    backup.hang()
    if busy:
        store.create("other")
        assert backup.called.wait(TIMEOUT)
    meta, data = FeatureFlagStoreMeta(1, {"a": [1]}, [ADMIN]), {"a": [1]}
    store.set_meta("x", meta)
    store.create("new", client_data=data)
    meta.client_data["a"].append(2)
    meta.conditions.clear()
    data["a"].append(2)
    backup.recover()
    assert store.close(TIMEOUT)
    assert flags_of(backup) == flags_of(primary)
    assert backup.get("x").meta["client_data"] == {"a": [1]}
    assert backup.get("new").meta["client_data"] == {"a": [1]}
    assert backup.get("x").raw_meta.conditions == [ADMIN]


def test_changes_of_client_data_during_create_do_not_reach_a_replica(
    store: ReplicatedFeatureFlagStore, backup: Backup
) -> None:
    """Client data that is changed while a replica creates the flag stays as it was."""
    backup.hang()
    data = {"a": [1]}
    store.create("x", client_data=data)
    assert backup.called.wait(TIMEOUT)
    data["a"].append(2)
    backup.recover()
    assert store.close(TIMEOUT)
    assert backup.get("x").meta["client_data"] == {"a": [1]}
    assert backup.calls == ["create"]


# Replicas that fail


@pytest.mark.usefixtures("_short_pauses")
@pytest.mark.parametrize(
    "error", [OSError("away"), SystemExit(3), KeyboardInterrupt()], ids=repr
)
def test_a_failing_replica_is_logged_once_and_catches_up_by_itself(
    error: BaseException,
    store: ReplicatedFeatureFlagStore,
    primary: MemoryFeatureFlagStore,
    backup: Backup,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A failure raises nothing; it is logged once, counted, and tried again."""
    caplog.set_level(logging.INFO, "flipper.contrib.replicated.replica")
    backup.error = error
    store.create("x", True)
    store.create("y")
    eventually(lambda: store.status()[0].failures >= 4)
    status = store.status()[0]
    assert status.replica is backup
    assert status.pending == 2
    assert status.behind > 0
    assert status.last_error is error
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "Backup fails" in record.getMessage()
    assert record.exc_info
    backup.recover()
    eventually(lambda: nothing_is_pending(store))
    assert flags_of(backup) == flags_of(primary)
    after = store.status()[0]
    assert after[1:3] == (0, 0.0)
    assert after.failures >= 4
    assert after.last_error is None
    assert "answers again" in caplog.records[1].getMessage()
    assert len(caplog.records) == 2


@pytest.mark.usefixtures("_short_pauses")
def test_a_failing_replica_does_not_affect_the_others(
    primary: MemoryFeatureFlagStore, backup: Backup
) -> None:
    """Each replica has a thread of its own."""
    other = MemoryFeatureFlagStore()
    store = ReplicatedFeatureFlagStore(primary, backup, other)
    backup.error = OSError()
    store.create("x", True)
    store.set("x", False)
    eventually(lambda: flags_of(other) == flags_of(primary))
    assert [status.pending for status in store.status()] == [1, 0]


@pytest.mark.usefixtures("_short_pauses")
def test_writes_during_a_failure_are_not_lost(
    store: ReplicatedFeatureFlagStore, primary: MemoryFeatureFlagStore, backup: Backup
) -> None:
    """Flags that were created, changed or deleted during a failure are copied."""
    for name in "abc":
        store.create(name, asynch=False)
    backup.error = OSError()
    store.set("a", True)
    store.delete("b")
    store.create("d", True, {"a": 1})
    store.set_meta("d", FeatureFlagStoreMeta(5, {"b": 2}, [ADMIN]))
    store.create("e")
    store.delete("e")
    eventually(lambda: store.status()[0].failures > 3)
    backup.recover()
    eventually(lambda: nothing_is_pending(store))
    assert flags_of(backup) == flags_of(primary)
    assert backup.get("d").meta["created_date"] == 5


def test_a_replica_that_lacks_a_flag_gets_a_copy(
    store: ReplicatedFeatureFlagStore, primary: MemoryFeatureFlagStore, backup: Backup
) -> None:
    """A replica without the flag of a `set_meta` gets the whole flag."""
    primary.create("x", True, {"a": 1})
    store.set_meta("x", FeatureFlagStoreMeta(7, {"b": 2}), asynch=False)
    eventually(lambda: nothing_is_pending(store))
    assert flags_of(backup) == flags_of(primary)
    assert dates_of(backup) == dates_of(primary)
    assert store.status()[0].failures == 1
    assert store.status()[0].last_error is None


@pytest.mark.usefixtures("_short_pauses")
def test_a_flag_deleted_during_a_failure_is_deleted_from_the_replica(
    store: ReplicatedFeatureFlagStore, backup: Backup
) -> None:
    """A flag that was deleted meanwhile is deleted when the replica works again."""
    store.create("x", asynch=False)
    backup.error = OSError()
    store.set("x", True)
    store.delete("x")
    eventually(lambda: store.status()[0].failures > 2)
    backup.recover()
    eventually(lambda: nothing_is_pending(store))
    assert flags_of(backup) == {}


def test_a_write_is_repeated_by_its_own_thread_if_no_other_can_be_started(
    store: ReplicatedFeatureFlagStore, primary: MemoryFeatureFlagStore, backup: Backup
) -> None:
    """If no thread can be started, the writing thread calls the replica."""
    primary.create("lacking")
    with patch.object(threading.Thread, "start", side_effect=RuntimeError):
        store.create("x", True, {"a": 1})
        assert flags_of(backup)["x"] == flags_of(primary)["x"]
        store.set_meta("lacking", FeatureFlagStoreMeta(7, None, [ADMIN]))
        assert flags_of(backup) == flags_of(primary)
        backup.error = OSError()
        store.set("x", False)  # is not tried for ever
        assert store.status()[0].last_error is backup.error
        backup.recover()
    store.set("x", True, asynch=False)
    assert flags_of(backup) == flags_of(primary)
    assert store.status()[0].last_error is None


# Garbage collection


def test_garbage_collected_stores_leave_no_threads(
    own_threads: Callable[[], set[threading.Thread]],
) -> None:
    """The thread of a replica ends when nothing is pending."""
    dropped = []
    for number in range(100):
        replicas = [MemoryFeatureFlagStore() for _ in range(3)]
        store = ReplicatedFeatureFlagStore(MemoryFeatureFlagStore(), *replicas)
        store.create("x", asynch=number % 2 == 0)
        dropped.append(weakref.ref(store))
        del store
    gc.collect()
    assert not any(reference() for reference in dropped)
    eventually(lambda: not own_threads())


def test_a_garbage_collected_store_gives_up_its_failing_replica(
    backup: Backup, own_threads: Callable[[], set[threading.Thread]]
) -> None:
    """The thread that tries a failing replica ends with the store."""
    store = ReplicatedFeatureFlagStore(MemoryFeatureFlagStore(), backup)
    backup.error = OSError()
    store.create("x")
    del store
    gc.collect()
    eventually(lambda: not own_threads())
