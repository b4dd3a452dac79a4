# SPDX-License-Identifier: Apache-2.0
"""The replicated store: which calls it repeats, and how long a write waits.

That it is a store like any other is tested in `tests/contract`.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock, Mock, call

import pytest

from flipper import (
    CachedFeatureFlagStore,
    FeatureFlagClient,
    FlagDoesNotExistError,
    MemoryFeatureFlagStore,
    ReplicatedFeatureFlagStore,
)
from flipper.bucketing import Percentage, PercentageBucketer
from flipper.contrib import replicated as replicated_module
from flipper.contrib.replicated import replica as replica_module
from flipper.contrib.storage import FeatureFlagStoreMeta
from flipper.testing.contract import eventually
from support.replicas import (
    ADMIN,
    TIMEOUT,
    Backup,
    call_with_timeout,
    dates_of,
    flags_of,
    nothing_is_pending,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from flipper.contrib.storage import FeatureFlagStoreItem


# Calls of the primary and of the replicas


def test_each_write_is_repeated_on_all_replicas(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When a write returns, each replica was called with the same arguments."""
    # Mocks may be slow on a busy machine.
    monkeypatch.setattr(replicated_module, "_IDLE_REPLICA_TIMEOUT", TIMEOUT)
    for _ in range(100):
        stores = primary, *replicas = [Mock() for _ in range(4)]
        store = ReplicatedFeatureFlagStore(primary, *replicas)
        meta, data = FeatureFlagStoreMeta(1), {"a": [1]}
        store.create("x", is_enabled=True, client_data=data)
        assert [s.mock_calls for s in stores] == [
            [call.create("x", is_enabled=True, client_data={"a": [1]})]
        ] * 4
        store.set("x", False)
        assert [s.mock_calls[1:] for s in stores] == [[call.set("x", False)]] * 4
        store.set_meta("x", meta)
        assert [s.mock_calls[2:] for s in stores] == [[call.set_meta("x", meta)]] * 4
        store.delete("x")
        assert [s.mock_calls[3:] for s in stores] == [[call.delete("x")]] * 4


def test_a_write_waits_for_the_thread_of_a_replica_to_begin(
    store: ReplicatedFeatureFlagStore,
    backup: Backup,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The time limit for a replica begins when its thread has begun."""
    monkeypatch.setattr(replicated_module, "_START_TIMEOUT", TIMEOUT)
    start_thread, may_begin = replica_module.start_thread, threading.Event()

    def start_late(name: str, target: Callable[[], object]) -> Any:
        def run() -> None:
            assert may_begin.wait(TIMEOUT)
            monkeypatch.setattr(replicated_module, "_IDLE_REPLICA_TIMEOUT", TIMEOUT)
            target()

        return start_thread(name, run)

    monkeypatch.setattr(replicated_module, "_IDLE_REPLICA_TIMEOUT", 0)
    monkeypatch.setattr(replica_module, "start_thread", start_late)
    timer = threading.Timer(0.1, may_begin.set)
    timer.start()
    store.create("x", True)
    timer.join()
    assert backup.calls == ["create"]


def test_create_forwards_its_defaults() -> None:
    """`create` with a name only creates a flag that is off and has no client data."""
    primary, replica = MagicMock(), MagicMock()
    ReplicatedFeatureFlagStore(primary, replica).create("x", asynch=False)
    expected = [call.create("x", is_enabled=False, client_data=None)]
    assert primary.mock_calls == replica.mock_calls == expected


def test_create_returns_the_item_of_the_primary() -> None:
    """`create` returns the primary's item, which a cache in front of it keeps."""
    primary = MagicMock()
    store = ReplicatedFeatureFlagStore(primary, MemoryFeatureFlagStore())
    assert store.create("x") is primary.create.return_value


def test_reads_ask_the_primary_only() -> None:
    """Reads are passed on to the primary with the same arguments."""
    primary, replica = MagicMock(), MagicMock()
    store = ReplicatedFeatureFlagStore(primary, replica)
    assert store.get("x") is primary.get.return_value
    assert store.get(feature_name="x") is primary.get.return_value
    assert store.list(5, offset=2) is primary.list.return_value
    assert primary.mock_calls == [
        call.get("x"),
        call.get(feature_name="x"),
        call.list(5, offset=2),
    ]
    assert replica.mock_calls == []


@pytest.mark.parametrize(
    "write",
    [
        lambda store: store.create("x", asynch=False),
        lambda store: store.set("x", True, asynch=False),
        lambda store: store.delete("x", asynch=False),
        lambda store: store.set_meta("x", FeatureFlagStoreMeta(1), asynch=False),
        lambda store: store.update("x", lambda item: item),
    ],
    ids=["create", "set", "delete", "set_meta", "update"],
)
def test_a_write_that_fails_on_the_primary_is_not_repeated(
    write: Callable[[ReplicatedFeatureFlagStore], object],
) -> None:
    """The error of the primary is raised, and no replica is called."""
    primary, replica = MagicMock(), MagicMock()
    error = OSError("away")
    for method in (primary.create, primary.set, primary.delete, primary.set_meta):
        method.side_effect = error
    primary.get.side_effect = error
    store = ReplicatedFeatureFlagStore(primary, replica)
    with pytest.raises(OSError, match="away") as raised:
        write(store)
    assert raised.value is error
    assert store.close()
    assert replica.mock_calls == []


def test_set_meta_of_a_missing_flag_raises(
    store: ReplicatedFeatureFlagStore, backup: Backup
) -> None:
    """`set_meta` of a missing flag raises, and is not repeated."""
    with pytest.raises(FlagDoesNotExistError):
        store.set_meta("x", FeatureFlagStoreMeta(1))
    assert backup.calls == []


@pytest.mark.parametrize(
    "change",
    [
        lambda client: client.add_condition("x", ADMIN),
        lambda client: client.set_conditions("x", [ADMIN]),
        lambda client: client.set_client_data("x", {"a": 1}),
        lambda client: client.set_bucketer("x", PercentageBucketer(Percentage(0.5))),
    ],
    ids=["add_condition", "set_conditions", "set_client_data", "set_bucketer"],
)
def test_a_client_changes_the_metadata_of_a_replica_by_set_meta(
    change: Callable[[FeatureFlagClient], object], primary: MemoryFeatureFlagStore
) -> None:
    """Each change of the metadata is one call of `set_meta` on the replica."""
    replica = MagicMock()
    store = ReplicatedFeatureFlagStore(primary, replica)
    store.create("x", asynch=False)
    replica.reset_mock()
    change(FeatureFlagClient(store))
    assert store.close()
    (only,) = replica.mock_calls
    name, meta = only.args
    assert only == call.set_meta(name, meta)
    assert name == "x"
    assert meta.to_dict() == primary.get("x").meta


def test_a_client_changes_the_state_of_a_replica_by_set(
    primary: MemoryFeatureFlagStore,
) -> None:
    """Each change of the state is one call of `set` on the replica."""
    replica = MagicMock()
    store = ReplicatedFeatureFlagStore(primary, replica)
    client = FeatureFlagClient(store)
    client.create("x")
    client.enable("x")
    client.disable("x")
    client.destroy("x")
    assert store.close()
    assert replica.mock_calls[1:] == [
        call.set("x", True),
        call.set("x", False),
        call.delete("x"),
    ]


def test_an_update_of_state_and_metadata_is_copied(
    store: ReplicatedFeatureFlagStore, primary: MemoryFeatureFlagStore, backup: Backup
) -> None:
    """The flag is copied to the replica, since no single call can repeat the change."""
    store.create("x", asynch=False)

    def change(item: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
        meta = item.raw_meta
        meta.update(client_data={"a": 1}, conditions=[ADMIN])
        return item.replace(is_enabled=True, meta=meta)

    after = store.update("x", change)
    assert store.close(TIMEOUT)
    assert after is primary.get("x")
    assert flags_of(backup) == flags_of(primary)


# Writes that wait for replicas


waits = pytest.mark.parametrize("asynch", [False, None])


@waits
def test_a_synchronous_write_waits_for_all_replicas(
    asynch: bool | None, primary: MemoryFeatureFlagStore, backup: Backup
) -> None:
    """With `asynch=False` or `None` a write returns when the last replica has it."""
    others = [MemoryFeatureFlagStore() for _ in range(3)]
    store = ReplicatedFeatureFlagStore(
        primary, others[0], backup, *others[1:], replication_timeout=None
    )
    backup.hang()
    writer = threading.Thread(
        target=store.create, args=("x", True), kwargs={"asynch": asynch}
    )
    writer.start()
    assert backup.called.wait(TIMEOUT)
    eventually(lambda: all(other.get("x") for other in others))
    writer.join(0.1)
    assert writer.is_alive()
    assert backup.get("x") is None
    backup.recover()
    writer.join(TIMEOUT)
    assert not writer.is_alive()
    assert flags_of(backup) == flags_of(primary)


@waits
def test_a_synchronous_write_waits_no_longer_than_the_timeout(
    asynch: bool | None, primary: MemoryFeatureFlagStore, backup: Backup
) -> None:
    """A replica that hangs does not keep the write from the other replicas."""
    other = MemoryFeatureFlagStore()
    store = ReplicatedFeatureFlagStore(primary, backup, other, replication_timeout=0.05)
    backup.hang()
    call_with_timeout(TIMEOUT, lambda: store.create("x", True, asynch=asynch))
    assert store.status()[0].pending == 1
    assert backup.get("x") is None
    eventually(lambda: flags_of(other) == flags_of(primary))
    backup.recover()
    eventually(lambda: flags_of(backup) == flags_of(primary))


def test_each_synchronous_write_logs_a_replica_that_fails(
    primary: MemoryFeatureFlagStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Each synchronous write succeeds, and logs that a replica does not have it."""
    backup = Backup()
    store = ReplicatedFeatureFlagStore(primary, backup, replication_timeout=TIMEOUT)
    names = [f"flag-{number}" for number in range(8)]
    for name in names:
        store.create(name, asynch=False)
    store._replication_timeout = 0.2
    backup.error = ConnectionError("away")
    writes: list[Callable[[str], object]] = [
        lambda name: store.create(name, True, asynch=False),
        lambda name: store.set(name, True, asynch=False),
        lambda name: store.delete(name, asynch=False),
        lambda name: store.set_meta(name, FeatureFlagStoreMeta(1), asynch=False),
    ]
    for name, write in zip(names, writes * 2, strict=True):
        write(name)
    logged = [r for r in caplog.records if r.name == "flipper.contrib.replicated"]
    assert [record.feature_name for record in logged] == names  # type: ignore[attr-defined]
    for name, record in zip(names, logged, strict=True):
        assert record.levelname == "WARNING"
        assert record.getMessage() == (
            f"Feature {name!r} was written, but replica Backup does not have it yet "
            f"(ConnectionError)"
        )
        assert record.exc_info is not None
        assert record.exc_info[1] is backup.error
    backup.recover()
    assert store.resync(TIMEOUT)
    assert flags_of(backup) == flags_of(primary)
    caplog.clear()
    store._replication_timeout = TIMEOUT
    store.create("later", asynch=False)
    assert not caplog.records


def test_each_synchronous_write_logs_a_replica_that_hangs(
    primary: MemoryFeatureFlagStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Each write logs a replica that does not answer in time."""
    backup = Backup()
    store = ReplicatedFeatureFlagStore(primary, backup, replication_timeout=0.01)
    backup.hang()
    for name in ("a", "b", "c"):
        store.create(name, asynch=False)
    backup.recover()
    assert [record.getMessage() for record in caplog.records] == [
        f"Feature {name!r} was written, but replica Backup does not have it yet (no "
        f"answer in time)"
        for name in ("a", "b", "c")
    ]
    eventually(lambda: flags_of(backup) == flags_of(primary))


def test_a_write_without_a_timeout_does_not_wait_for_a_failing_replica(
    primary: MemoryFeatureFlagStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a timeout, a write waits only for replicas that may still answer."""
    backup = Backup()
    backup.error = ConnectionError("away")
    store = ReplicatedFeatureFlagStore(primary, backup, replication_timeout=None)
    for name in ("a", "b"):
        call_with_timeout(TIMEOUT, lambda name=name: store.create(name, asynch=False))
        assert f"Feature {name!r} was written, but" in caplog.text
    backup.recover()
    eventually(lambda: flags_of(backup) == flags_of(primary))


def test_asynchronous_writes_log_an_outage_once(
    store: ReplicatedFeatureFlagStore,
    backup: Backup,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An outage is one warning in the background, not one for each write."""
    backup.error = ConnectionError("away")
    for number in range(20):
        store.create(f"flag-{number}")
    eventually(lambda: store.status()[0].failures > 1)
    store.close()
    logged = [record.getMessage() for record in caplog.records]
    assert len([text for text in logged if "was written, but" in text]) == 0
    assert len([text for text in logged if "its writes are kept" in text]) <= 1


def test_the_timeout_is_for_all_replicas_together(
    primary: MemoryFeatureFlagStore,
) -> None:
    """The timeout limits how long a write waits for all replicas together."""
    backups = [Backup() for _ in range(40)]
    for backup in backups:
        backup.hang()
    store = ReplicatedFeatureFlagStore(primary, *backups, replication_timeout=0.5)
    try:
        call_with_timeout(10, lambda: store.create("x", asynch=False))
    finally:
        for backup in backups:
            backup.recover()
    eventually(lambda: nothing_is_pending(store))


def test_an_asynchronous_write_does_not_wait_for_a_hanging_replica(
    store: ReplicatedFeatureFlagStore, primary: MemoryFeatureFlagStore, backup: Backup
) -> None:
    """By default a write returns when the primary has it."""
    backup.hang()

    def write() -> None:
        for number in range(100):
            store.create(f"x{number}", True)
            store.set(f"x{number}", False)

    call_with_timeout(TIMEOUT, write)
    assert len(flags_of(primary)) == 100
    assert flags_of(backup) == {}
    assert store.status()[0].pending == 100
    backup.recover()
    eventually(lambda: nothing_is_pending(store))
    assert flags_of(backup) == flags_of(primary)


def test_a_write_does_not_wait_for_a_failing_replica(
    store: ReplicatedFeatureFlagStore,
    backup: Backup,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A write does not wait for the start of a thread that pauses between retries."""
    monkeypatch.setattr(replicated_module, "_START_TIMEOUT", 10 * TIMEOUT)
    backup.error = OSError()
    call_with_timeout(TIMEOUT, lambda: store.create("x"))
    assert store.status()[0].pending == 1


# Resync


def test_resync_makes_every_replica_like_the_primary(
    primary: MemoryFeatureFlagStore, backup: Backup
) -> None:
    """`resync` creates missing flags, changes different ones and deletes others."""
    other = MemoryFeatureFlagStore()
    store = ReplicatedFeatureFlagStore(primary, backup, other)
    bucketer = PercentageBucketer(Percentage(0.25))
    for name, state in [("missing", True), ("different", False), ("same", True)]:
        primary.create(name, state, {"name": name})
        meta = FeatureFlagStoreMeta(11, {"name": name}, [ADMIN], bucketer)
        primary.set_meta(name, meta)
    backup.create("different", True)
    backup.create("same", True, {"name": "same"})
    backup.create("surplus", True)
    other.create("other", True)
    assert store.resync(TIMEOUT) is True
    for replica in (backup, other):
        assert flags_of(replica) == flags_of(primary)
        assert dates_of(replica) == dates_of(primary)
    assert nothing_is_pending(store)


def test_resync_succeeds_after_a_failure_and_without_replicas(
    store: ReplicatedFeatureFlagStore, backup: Backup
) -> None:
    """`resync` returns `True` after an earlier failure, and without replicas."""
    backup.error = OSError()
    store.create("x")
    assert store.close() is False
    backup.recover()
    store.delete("x")
    assert store.resync(TIMEOUT) is True
    assert ReplicatedFeatureFlagStore(MemoryFeatureFlagStore()).resync() is True


@pytest.mark.usefixtures("_short_pauses")
@pytest.mark.parametrize("hangs", [True, False], ids=["hangs", "fails"])
def test_resync_returns_false_if_a_replica_hangs_or_fails(
    hangs: bool, primary: MemoryFeatureFlagStore, backup: Backup
) -> None:
    """`resync` raises nothing, serves the other replicas, and is finished later."""
    other = MemoryFeatureFlagStore()
    store = ReplicatedFeatureFlagStore(primary, backup, other)
    primary.create("x", True)
    backup.create("surplus")
    if hangs:
        backup.hang()
    else:
        backup.error = OSError()
    assert call_with_timeout(TIMEOUT, lambda: store.resync(0.1)) is False
    eventually(lambda: flags_of(other) == flags_of(primary))
    assert store.status()[0].pending >= 2
    backup.recover()
    eventually(lambda: nothing_is_pending(store))
    assert flags_of(backup) == flags_of(primary)


def test_resync_raises_what_the_primary_raises(backup: Backup) -> None:
    """An error of the primary's `list` is raised, and no replica is changed."""
    primary = MagicMock()
    primary.list.side_effect = OSError("away")
    store = ReplicatedFeatureFlagStore(primary, backup)
    backup.create("x")
    with pytest.raises(OSError, match="away"):
        store.resync()
    assert list(flags_of(backup)) == ["x"]


# Close


def test_close_waits_for_pending_writes(
    store: ReplicatedFeatureFlagStore, primary: MemoryFeatureFlagStore, backup: Backup
) -> None:
    """`close` waits for a slow replica."""
    backup.hang()
    for name in "abc":
        store.create(name, True)
    timer = threading.Timer(0.05, backup.recover)
    timer.start()
    assert store.close(TIMEOUT) is True
    assert flags_of(backup) == flags_of(primary)
    timer.join()


def test_close_returns_false_after_its_timeout(
    store: ReplicatedFeatureFlagStore, backup: Backup
) -> None:
    """`close` returns `False` if a replica hangs for longer than the timeout."""
    backup.hang()
    store.create("x")
    assert call_with_timeout(TIMEOUT, lambda: store.close(0.05)) is False


def test_close_gives_up_a_failing_replica(
    store: ReplicatedFeatureFlagStore,
    backup: Backup,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """`close` drops what a replica has refused; later writes are repeated as before."""
    backup.error = OSError()
    store.create("lost")
    store.create("lost too")
    assert store.close(TIMEOUT) is False
    assert nothing_is_pending(store)
    eventually(lambda: "2 flags are missing changes" in caplog.text)
    tries = len(backup.calls)
    backup.recover()
    store.create("x", True, asynch=False)
    assert [*flags_of(backup)] == ["x"]
    assert len(backup.calls) == tries + 1
    assert store.close() is True


# Stacks


def change_all(client: FeatureFlagClient) -> None:
    """Write in every way, and check the answers in between."""
    client.create("x", is_enabled=True, client_data={"a": 1})
    assert client.is_enabled("x") is True
    client.disable("x")
    assert client.is_enabled("x") is False
    client.enable("x")
    client.add_condition("x", ADMIN)
    assert client.is_enabled("x", is_admin=False) is False
    client.set_client_data("x", {"b": 2})
    client.create("y")
    client.set_bucketer("y", PercentageBucketer(Percentage(1.0)))
    client.create("z")
    client.destroy("z")
    assert client.exists("z") is False
    assert client.get_client_data("x") == {"a": 1, "b": 2}


def test_a_cache_in_front_of_a_replicated_store(
    store: ReplicatedFeatureFlagStore, primary: MemoryFeatureFlagStore, backup: Backup
) -> None:
    """All writes pass a cache in front of a replicated store."""
    change_all(FeatureFlagClient(CachedFeatureFlagStore(store)))
    assert store.close(TIMEOUT)
    assert flags_of(backup) == flags_of(primary)
    assert store.status()[0].failures == 0


def test_caches_as_primary_and_replica(
    primary: MemoryFeatureFlagStore, backup: Backup
) -> None:
    """The caches of a primary and of a replica are right after writes."""
    caches = [CachedFeatureFlagStore(primary), CachedFeatureFlagStore(backup)]
    store = ReplicatedFeatureFlagStore(*caches)
    change_all(FeatureFlagClient(store))
    assert store.close(TIMEOUT)
    assert flags_of(backup) == flags_of(primary)
    for name in "xyz":
        assert caches[0].get(name) is primary.get(name)
        assert caches[1].get(name) is backup.get(name)


def test_replicated_stores_as_primary_and_replica(
    store: ReplicatedFeatureFlagStore, primary: MemoryFeatureFlagStore, backup: Backup
) -> None:
    """A replicated store can be the primary or a replica of another one."""
    first, second = MemoryFeatureFlagStore(), MemoryFeatureFlagStore()
    replica = ReplicatedFeatureFlagStore(first, second)
    outer = ReplicatedFeatureFlagStore(store, replica)
    change_all(FeatureFlagClient(outer))
    assert outer.close(TIMEOUT)
    assert store.close(TIMEOUT)
    assert replica.close(TIMEOUT)
    for each in (backup, first, second):
        assert flags_of(each) == flags_of(primary)
