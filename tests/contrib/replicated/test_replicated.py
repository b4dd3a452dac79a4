# SPDX-License-Identifier: Apache-2.0
"""Replication: what is repeated, in which order, and what holds nobody up."""

from __future__ import annotations

import gc
import logging
import os
import random
import subprocess
import sys
import textwrap
import threading
import weakref
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock, Mock, call, patch

import pytest

from flipper import (
    CachedFeatureFlagStore,
    Condition,
    FeatureFlagClient,
    FlagDoesNotExistError,
    MemoryFeatureFlagStore,
    ReplicatedFeatureFlagStore,
)
from flipper.bucketing import Percentage, PercentageBucketer
from flipper.contracts.wrapper import FeatureFlagStoreWrapper
from flipper.contrib import replicated as replicated_module
from flipper.contrib.replicated import replica as replica_module
from flipper.contrib.storage import FeatureFlagStoreMeta
from flipper.exceptions import InvalidFlagDataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flipper.contrib.storage import FeatureFlagStoreItem

ROOT = Path(__file__).parents[3]
PATIENCE = 30.0  # seconds after which a test gives up; none takes that long
ADMIN = Condition(is_admin=True)
WAYS_TO_WAIT = pytest.mark.parametrize("asynch", [False, None])


class Backup(FeatureFlagStoreWrapper):
    """A replica in memory that can be made to hang and to fail, and remembers."""

    def __init__(self) -> None:
        super().__init__(MemoryFeatureFlagStore())
        self.error: BaseException | None = None
        self.answers = threading.Event()
        self.answers.set()
        self.asked = threading.Event()
        self.calls: list[str] = []
        self.states: list[tuple[bool, int]] = []

    def hang(self) -> None:
        """Let each call wait from now on."""
        self.asked.clear()
        self.answers.clear()

    def recover(self) -> None:
        """Answer from now on."""
        self.error = None
        self.answers.set()

    def create(self, feature_name: str, *args: Any, **kwargs: Any) -> Any:
        """Write a flag."""
        self._enter("create")
        item = super().create(feature_name, *args, **kwargs)
        self._note(feature_name)
        return item

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Write the state."""
        self._enter("set")
        super().set(feature_name, is_enabled)
        self._note(feature_name)

    def delete(self, feature_name: str) -> None:
        """Remove a flag."""
        self._enter("delete")
        super().delete(feature_name)

    def set_meta(self, feature_name: str, meta: Any) -> None:
        """Write the metadata."""
        self._enter("set_meta")
        super().set_meta(feature_name, meta)
        self._note(feature_name)

    def list(self, *args: Any, **kwargs: Any) -> Iterator[FeatureFlagStoreItem]:
        """List the flags."""
        self._enter("list")
        return super().list(*args, **kwargs)

    def _enter(self, name: str) -> None:
        self.calls.append(name)
        self.asked.set()
        assert self.answers.wait(PATIENCE)
        if self.error is not None:
            raise self.error

    def _note(self, feature_name: str) -> None:
        item = self._store.get(feature_name)
        self.states.append((item.raw_is_enabled, len(item.raw_meta.conditions)))


@pytest.fixture
def primary() -> MemoryFeatureFlagStore:
    """Give the store that counts."""
    return MemoryFeatureFlagStore()


@pytest.fixture
def backup() -> Iterator[Backup]:
    """Give a replica that is released after the test, so that no thread stays."""
    made = Backup()
    yield made
    made.recover()


@pytest.fixture
def store(
    primary: MemoryFeatureFlagStore, backup: Backup
) -> Iterator[ReplicatedFeatureFlagStore]:
    """Give a store with one replica."""
    made = ReplicatedFeatureFlagStore(primary, backup)
    yield made
    backup.recover()
    made.close()


@pytest.fixture
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a failing replica be tried again at once."""
    monkeypatch.setattr(replica_module, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(replica_module, "_LONGEST_PAUSE", 0.01)


soon = pytest.mark.usefixtures("_soon")


def until(condition: Callable[[], object]) -> None:
    """Wait for what has to become true."""
    deadline = monotonic() + PATIENCE
    while not condition():
        assert monotonic() < deadline, "it did not become true"
        sleep(0.002)


def call_with_timeout(seconds: float, work: Callable[[], Any]) -> Any:
    """Return what `work` does, which must not hang."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(work()), daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), "it hangs"
    return results[0]


def items(store: Any) -> list[FeatureFlagStoreItem]:
    """Give the flags, also of a backup that hangs."""
    return [*(store._store if isinstance(store, Backup) else store).list()]


def flags(store: Any) -> dict[str, Any]:
    """Give all of every flag but its date: each store sets its own on `create`."""
    found = {}
    for item in items(store):
        fields = item.to_dict()
        del fields["meta"]["created_date"]
        found[item.feature_name] = fields
    return found


def dates(store: Any) -> dict[str, Any]:
    """Give the date of every flag."""
    return {item.feature_name: item.meta["created_date"] for item in items(store)}


def is_level(store: ReplicatedFeatureFlagStore) -> bool:
    """Tell whether nothing is pending."""
    return all(status.pending == 0 for status in store.status())


# The calls


def test_the_calls_are_repeated_as_they_were_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Replicas have been called, with the primary's arguments, when a call returns."""
    # Mocks are slow for a moment's sake where other programs have the processor.
    monkeypatch.setattr(replicated_module, "_IDLE_REPLICA_TIMEOUT", PATIENCE)
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


def test_a_busy_processor_is_no_slow_replica(
    store: ReplicatedFeatureFlagStore,
    backup: Backup,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The moment a write waits begins when the replica's thread has begun."""
    monkeypatch.setattr(replicated_module, "_START_TIMEOUT", PATIENCE)
    replica = store._replicas[0]
    run, go = replica._run, threading.Event()

    def run_late() -> None:
        assert go.wait(PATIENCE)
        monkeypatch.setattr(replicated_module, "_IDLE_REPLICA_TIMEOUT", PATIENCE)
        run()

    monkeypatch.setattr(replicated_module, "_IDLE_REPLICA_TIMEOUT", 0)
    monkeypatch.setattr(replica, "_run", run_late)
    timer = threading.Timer(0.1, go.set)
    timer.start()
    store.create("x", True)
    timer.join()
    assert backup.calls == ["create"]


def test_create_forwards_its_defaults() -> None:
    """Whoever names only the flag creates it off, and without data."""
    primary, replica = MagicMock(), MagicMock()
    ReplicatedFeatureFlagStore(primary, replica).create("x", asynch=False)
    expected = [call.create("x", is_enabled=False, client_data=None)]
    assert primary.mock_calls == replica.mock_calls == expected


def test_create_returns_the_item_of_the_primary() -> None:
    """A cache in front keeps what `create` returns."""
    primary = MagicMock()
    store = ReplicatedFeatureFlagStore(primary, MemoryFeatureFlagStore())
    assert store.create("x") is primary.create.return_value


def test_reading_asks_the_primary_alone() -> None:
    """Whatever the arguments are, they are passed on."""
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
def test_what_fails_on_the_primary_is_not_repeated(
    write: Callable[[ReplicatedFeatureFlagStore], object],
) -> None:
    """The exception comes out, and no replica is asked."""
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
    """The primary says so, and nothing is repeated."""
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
def test_what_the_client_changes_is_repeated_as_set_meta(
    change: Callable[[FeatureFlagClient], object], primary: MemoryFeatureFlagStore
) -> None:
    """A change of the metadata is one call on the replica, with all of them."""
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


def test_what_the_client_switches_is_repeated_as_set(
    primary: MemoryFeatureFlagStore,
) -> None:
    """A change of the state is one call on the replica."""
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


def test_an_update_of_the_state_is_copied(
    store: ReplicatedFeatureFlagStore, primary: MemoryFeatureFlagStore, backup: Backup
) -> None:
    """No single call can repeat it."""
    store.create("x", asynch=False)

    def change(item: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
        meta = item.raw_meta
        meta.update(client_data={"a": 1}, conditions=[ADMIN])
        return item.replace(is_enabled=True, meta=meta)

    after = store.update("x", change)
    assert store.close(PATIENCE)
    assert after is primary.get("x")
    assert flags(backup) == flags(primary)


# Waiting


@WAYS_TO_WAIT
def test_a_synchronous_write_waits_for_all(
    asynch: bool | None, primary: MemoryFeatureFlagStore, backup: Backup
) -> None:
    """It returns when the last replica has it; `None` means the same as `False`."""
    others = [MemoryFeatureFlagStore() for _ in range(3)]
    store = ReplicatedFeatureFlagStore(
        primary, others[0], backup, *others[1:], replication_timeout=None
    )
    backup.hang()
    writer = threading.Thread(
        target=store.create, args=("x", True), kwargs={"asynch": asynch}
    )
    writer.start()
    assert backup.asked.wait(PATIENCE)
    until(lambda: all(other.get("x") for other in others))
    writer.join(0.1)
    assert writer.is_alive()
    assert backup.get("x") is None
    backup.recover()
    writer.join(PATIENCE)
    assert not writer.is_alive()
    assert flags(backup) == flags(primary)


@WAYS_TO_WAIT
def test_the_timeout_ends_the_waiting(
    asynch: bool | None, primary: MemoryFeatureFlagStore, backup: Backup
) -> None:
    """One replica that hangs does not keep the write from the others."""
    other = MemoryFeatureFlagStore()
    store = ReplicatedFeatureFlagStore(primary, backup, other, replication_timeout=0.05)
    backup.hang()
    call_with_timeout(PATIENCE, lambda: store.create("x", True, asynch=asynch))
    assert store.status()[0].pending == 1
    assert backup.get("x") is None
    until(lambda: flags(other) == flags(primary))
    backup.recover()
    until(lambda: flags(backup) == flags(primary))


def test_who_waits_for_a_replica_that_fails_is_told_each_time(
    primary: MemoryFeatureFlagStore, caplog: pytest.LogCaptureFixture
) -> None:
    """The write counts, since the primary has it, but the caller wanted more."""
    backup = Backup()
    store = ReplicatedFeatureFlagStore(primary, backup, replication_timeout=0.2)
    names = [f"flag-{number}" for number in range(8)]
    for name in names:
        store.create(name, asynch=False)
    backup.error = ConnectionError("away")
    writes: list[Callable[[str], object]] = [
        lambda name: store.create(name, True, asynch=False),
        lambda name: store.set(name, True, asynch=False),
        lambda name: store.delete(name, asynch=False),
        lambda name: store.set_meta(name, FeatureFlagStoreMeta(1), asynch=False),
    ]
    for name, write in zip(names, writes * 2, strict=True):
        write(name)
    told = [r for r in caplog.records if r.name == "flipper.contrib.replicated"]
    assert [record.feature_name for record in told] == names  # type: ignore[attr-defined]
    for name, record in zip(names, told, strict=True):
        assert record.levelname == "WARNING"
        assert record.getMessage() == (
            f"Feature {name!r} was written, but replica Backup does not have it yet "
            f"(ConnectionError)"
        )
        assert record.exc_info is not None
        assert record.exc_info[1] is backup.error
    backup.recover()
    assert store.resync(PATIENCE)
    assert flags(backup) == flags(primary)
    caplog.clear()
    store.create("later", asynch=False)
    assert not caplog.records


def test_who_waits_in_vain_is_told_each_time(
    primary: MemoryFeatureFlagStore, caplog: pytest.LogCaptureFixture
) -> None:
    """A replica that hangs tells nothing by itself."""
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
    until(lambda: flags(backup) == flags(primary))


def test_who_waits_for_ever_does_not_wait_for_a_replica_that_fails(
    primary: MemoryFeatureFlagStore, caplog: pytest.LogCaptureFixture
) -> None:
    """There is nothing to wait for any more, and the write is done all the same."""
    backup = Backup()
    backup.error = ConnectionError("away")
    store = ReplicatedFeatureFlagStore(primary, backup, replication_timeout=None)
    for name in ("a", "b"):
        call_with_timeout(PATIENCE, lambda name=name: store.create(name, asynch=False))
        assert f"Feature {name!r} was written, but" in caplog.text
    backup.recover()
    until(lambda: flags(backup) == flags(primary))


def test_who_does_not_wait_is_not_told_of_each_write(
    store: ReplicatedFeatureFlagStore,
    backup: Backup,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An outage is one warning in the background, not one for each write."""
    backup.error = ConnectionError("away")
    for number in range(20):
        store.create(f"flag-{number}")
    until(lambda: store.status()[0].failures > 1)
    store.close()
    told = [record.getMessage() for record in caplog.records]
    assert len([text for text in told if "was written, but" in text]) == 0
    assert len([text for text in told if "its writes are kept" in text]) <= 1


def test_the_timeout_is_for_all_replicas_together(
    primary: MemoryFeatureFlagStore,
) -> None:
    """Waiting for each in turn would take twice the time allowed here."""
    backups = [Backup() for _ in range(40)]
    for backup in backups:
        backup.hang()
    store = ReplicatedFeatureFlagStore(primary, *backups, replication_timeout=0.5)
    try:
        call_with_timeout(10, lambda: store.create("x", asynch=False))
    finally:
        for backup in backups:
            backup.recover()
    until(lambda: is_level(store))


def test_a_hanging_replica_does_not_hold_up_a_write(
    store: ReplicatedFeatureFlagStore, primary: MemoryFeatureFlagStore, backup: Backup
) -> None:
    """By default a write returns once the primary is done."""
    backup.hang()

    def write() -> None:
        for number in range(100):
            store.create(f"x{number}", True)
            store.set(f"x{number}", False)

    call_with_timeout(PATIENCE, write)
    assert len(flags(primary)) == 100
    assert flags(backup) == {}
    assert store.status()[0].pending == 100
    backup.recover()
    until(lambda: is_level(store))
    assert flags(backup) == flags(primary)


# Order


def test_many_writers_leave_every_replica_as_the_primary(
    primary: MemoryFeatureFlagStore,
) -> None:
    """The writes of a flag reach each replica in the primary's order."""
    replicas = [MemoryFeatureFlagStore(), Backup(), MemoryFeatureFlagStore()]
    store = ReplicatedFeatureFlagStore(primary, *replicas)
    seed = random.randrange(2**32)  # noqa: S311
    names = [f"flag{number}" for number in range(5)]

    def write(number: int) -> None:
        dice = random.Random(f"{seed} {number}")  # noqa: S311
        for step in range(150):
            name, data = dice.choice(names), {"writer": number, "step": step}
            kind = dice.randrange(10)
            with suppress(FlagDoesNotExistError):
                if kind < 2:
                    store.create(name, dice.random() < 0.5, data)
                elif kind < 5:
                    store.set(name, dice.random() < 0.5)
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
        writer.join(PATIENCE)
    assert store.close(PATIENCE)
    for replica in replicas:
        assert flags(replica) == flags(primary), f"seed {seed}"
    assert [status.failures for status in store.status()] == [0, 0, 0], f"seed {seed}"


def test_a_slow_replica_gets_one_copy_of_many_writes(
    store: ReplicatedFeatureFlagStore, primary: MemoryFeatureFlagStore, backup: Backup
) -> None:
    """What it missed does not pile up: the flag is copied as it is by then."""
    store.create("x", asynch=False)
    backup.hang()
    store.set("x", True)
    assert backup.asked.wait(PATIENCE)
    for number in range(51):
        store.set("x", number % 2 == 0)
        store.set_meta("x", FeatureFlagStoreMeta(1, {"number": number}, [ADMIN]))
    assert store.status()[0].pending == 1
    backup.recover()
    assert store.close(PATIENCE)
    assert backup.get("x").meta["client_data"] == {"number": 50}
    assert flags(backup) == flags(primary)
    assert dates(backup) == dates(primary)
    assert backup.calls == ["create", "set", "set_meta", "set"]


@pytest.mark.parametrize("busy", [True, False], ids=["pending", "under way"])
def test_what_the_caller_changes_later_does_not_leak(
    busy: bool,
    store: ReplicatedFeatureFlagStore,
    primary: MemoryFeatureFlagStore,
    backup: Backup,
) -> None:
    """A slow asynchronous write copies the flag, not the caller's object."""
    store.create("x", asynch=False)
    backup.hang()
    if busy:
        store.create("other")
        assert backup.asked.wait(PATIENCE)
    meta, data = FeatureFlagStoreMeta(1, {"a": [1]}, [ADMIN]), {"a": [1]}
    store.set_meta("x", meta)
    store.create("new", client_data=data)
    meta.client_data["a"].append(2)
    meta.conditions.clear()
    data["a"].append(2)
    backup.recover()
    assert store.close(PATIENCE)
    assert flags(backup) == flags(primary)
    assert backup.get("x").meta["client_data"] == {"a": [1]}
    assert backup.get("new").meta["client_data"] == {"a": [1]}
    assert backup.get("x").raw_meta.conditions == [ADMIN]


def test_what_is_being_created_does_not_leak(
    store: ReplicatedFeatureFlagStore, backup: Backup
) -> None:
    """Client data that the caller changes while a replica is at it stays as it was."""
    backup.hang()
    data = {"a": [1]}
    store.create("x", client_data=data)
    assert backup.asked.wait(PATIENCE)
    data["a"].append(2)
    backup.recover()
    assert store.close(PATIENCE)
    assert backup.get("x").meta["client_data"] == {"a": [1]}
    assert backup.calls == ["create"]


# Failing replicas


@soon
@pytest.mark.parametrize(
    "error", [OSError("away"), SystemExit(3), KeyboardInterrupt()], ids=repr
)
def test_a_failing_replica_is_told_and_comes_level_by_itself(
    error: BaseException,
    store: ReplicatedFeatureFlagStore,
    primary: MemoryFeatureFlagStore,
    backup: Backup,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whatever it raises; it is logged once, counted, and nothing comes out."""
    caplog.set_level(logging.INFO, "flipper.contrib.replicated.replica")
    backup.error = error
    store.create("x", True)
    store.create("y")
    until(lambda: store.status()[0].failures >= 4)
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
    until(lambda: is_level(store))
    assert flags(backup) == flags(primary)
    after = store.status()[0]
    assert after[1:3] == (0, 0.0)
    assert after.failures >= 4
    assert after.last_error is None
    assert "answers again" in caplog.records[1].getMessage()
    assert len(caplog.records) == 2


def test_a_failing_replica_does_not_hold_up_a_write(
    store: ReplicatedFeatureFlagStore,
    backup: Backup,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That it is tried again is not mistaken for a busy processor."""
    monkeypatch.setattr(replicated_module, "_START_TIMEOUT", 10 * PATIENCE)
    backup.error = OSError()
    call_with_timeout(PATIENCE, lambda: store.create("x"))
    assert store.status()[0].pending == 1


@soon
def test_a_failing_replica_does_not_stop_the_others(
    primary: MemoryFeatureFlagStore, backup: Backup
) -> None:
    """Each replica has a thread of its own."""
    other = MemoryFeatureFlagStore()
    store = ReplicatedFeatureFlagStore(primary, backup, other)
    backup.error = OSError()
    store.create("x", True)
    store.set("x", False)
    until(lambda: flags(other) == flags(primary))
    assert [status.pending for status in store.status()] == [1, 0]


@soon
def test_writes_during_a_failure_are_not_lost(
    store: ReplicatedFeatureFlagStore, primary: MemoryFeatureFlagStore, backup: Backup
) -> None:
    """Made, changed and deleted meanwhile: each flag is copied as it is."""
    for name in "abc":
        store.create(name, asynch=False)
    backup.error = OSError()
    store.set("a", True)
    store.delete("b")
    store.create("d", True, {"a": 1})
    store.set_meta("d", FeatureFlagStoreMeta(5, {"b": 2}, [ADMIN]))
    store.create("e")
    store.delete("e")
    until(lambda: store.status()[0].failures > 3)
    backup.recover()
    until(lambda: is_level(store))
    assert flags(backup) == flags(primary)
    assert backup.get("d").meta["created_date"] == 5


def test_a_replica_that_lacks_the_flag_is_repaired(
    store: ReplicatedFeatureFlagStore, primary: MemoryFeatureFlagStore, backup: Backup
) -> None:
    """It cannot repeat the write, so it gets the whole flag."""
    primary.create("x", True, {"a": 1})
    store.set_meta("x", FeatureFlagStoreMeta(7, {"b": 2}), asynch=False)
    until(lambda: is_level(store))
    assert flags(backup) == flags(primary)
    assert dates(backup) == dates(primary)
    assert store.status()[0].failures == 1
    assert store.status()[0].last_error is None


class Spoiled(MemoryFeatureFlagStore):
    """A replica that holds documents which are no flags, until one is created."""

    is_spoiled = True

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Read what is no flag."""
        if self.is_spoiled:
            raise InvalidFlagDataError("on purpose")
        return super().get(feature_name)

    def create(self, *args: Any, **kwargs: Any) -> FeatureFlagStoreItem:
        """Write a flag over it."""
        self.is_spoiled = False
        return super().create(*args, **kwargs)


def test_a_document_that_is_no_flag_is_replaced_by_a_copy(
    primary: MemoryFeatureFlagStore,
) -> None:
    """It stands in nobody's way for ever."""
    replica = Spoiled()
    store = ReplicatedFeatureFlagStore(primary, replica)
    primary.create("x", True, {"a": 1})
    assert store.resync(PATIENCE)
    assert flags(replica) == flags(primary)
    assert store.status()[0].failures == 0


@soon
def test_what_the_primary_deleted_is_deleted_by_a_copy(
    store: ReplicatedFeatureFlagStore, backup: Backup
) -> None:
    """A flag that is gone when the replica answers again goes there too."""
    store.create("x", asynch=False)
    backup.error = OSError()
    store.set("x", True)
    store.delete("x")
    until(lambda: store.status()[0].failures > 2)
    backup.recover()
    until(lambda: is_level(store))
    assert flags(backup) == {}


@soon
@pytest.mark.parametrize("before", [None, False, True], ids=["missing", "off", "on"])
def test_a_copy_is_never_on_without_its_conditions(
    before: bool | None,
    store: ReplicatedFeatureFlagStore,
    primary: MemoryFeatureFlagStore,
    backup: Backup,
) -> None:
    """Somebody may ask the replica while it is written."""
    if before is not None:
        store.create("x", before)
        store.set_meta("x", FeatureFlagStoreMeta(1, None, [ADMIN]), asynch=False)
        if not before:
            store.set_meta("x", FeatureFlagStoreMeta(1), asynch=False)
    backup.states.clear()
    backup.error = OSError()
    store.create("x", True)
    store.set_meta("x", FeatureFlagStoreMeta(1, None, [ADMIN, ADMIN]))
    until(lambda: store.status()[0].failures > 2)
    backup.recover()
    until(lambda: is_level(store))
    assert flags(backup) == flags(primary)
    assert backup.states[-1] == (True, 2)
    assert (True, 0) not in backup.states


def test_a_copy_switches_off_first(
    store: ReplicatedFeatureFlagStore, primary: MemoryFeatureFlagStore, backup: Backup
) -> None:
    """A flag that lost its conditions and was switched off is not on for everybody."""
    store.create("x", True)
    store.set_meta("x", FeatureFlagStoreMeta(1, None, [ADMIN]), asynch=False)
    primary.create("x", False)
    backup.states.clear()
    assert store.resync(PATIENCE)
    assert flags(backup) == flags(primary)
    assert (True, 0) not in backup.states


def test_a_replica_writes_when_no_thread_can_be_started(
    store: ReplicatedFeatureFlagStore, primary: MemoryFeatureFlagStore, backup: Backup
) -> None:
    """At the very end of a program, and of a machine's limits, the writer does it."""
    primary.create("lacking")
    with patch.object(threading.Thread, "start", side_effect=RuntimeError):
        store.create("x", True, {"a": 1})
        assert flags(backup)["x"] == flags(primary)["x"]
        store.set_meta("lacking", FeatureFlagStoreMeta(7, None, [ADMIN]))
        assert flags(backup) == flags(primary)
        backup.error = OSError()
        store.set("x", False)  # is not tried for ever
        assert store.status()[0].last_error is backup.error
        backup.recover()
    store.set("x", True, asynch=False)
    assert flags(backup) == flags(primary)
    assert store.status()[0].last_error is None


# Resync


def test_resync_makes_every_replica_like_the_primary(
    primary: MemoryFeatureFlagStore, backup: Backup
) -> None:
    """Missing flags are made, different ones changed, and surplus ones removed."""
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
    assert store.resync(PATIENCE) is True
    for replica in (backup, other):
        assert flags(replica) == flags(primary)
        assert dates(replica) == dates(primary)
    assert is_level(store)


def test_resync_of_nothing_is_level(
    store: ReplicatedFeatureFlagStore, backup: Backup
) -> None:
    """A failure of long ago does not count, and neither does having no replica."""
    backup.error = OSError()
    store.create("x")
    assert store.close() is False
    backup.recover()
    store.delete("x")
    assert store.resync(PATIENCE) is True
    assert ReplicatedFeatureFlagStore(MemoryFeatureFlagStore()).resync() is True


@soon
@pytest.mark.parametrize("hangs", [True, False], ids=["hangs", "fails"])
def test_resync_tells_that_a_replica_is_not_level(
    hangs: bool, primary: MemoryFeatureFlagStore, backup: Backup
) -> None:
    """It raises nothing, serves the other replicas, and goes on afterwards."""
    other = MemoryFeatureFlagStore()
    store = ReplicatedFeatureFlagStore(primary, backup, other)
    primary.create("x", True)
    backup.create("surplus")
    if hangs:
        backup.hang()
    else:
        backup.error = OSError()
    assert call_with_timeout(PATIENCE, lambda: store.resync(0.1)) is False
    until(lambda: flags(other) == flags(primary))
    assert store.status()[0].pending >= 2
    backup.recover()
    until(lambda: is_level(store))
    assert flags(backup) == flags(primary)


def test_resync_raises_what_the_primary_raises(backup: Backup) -> None:
    """Without the primary's flags nobody knows what a replica should have."""
    primary = MagicMock()
    primary.list.side_effect = OSError("away")
    store = ReplicatedFeatureFlagStore(primary, backup)
    backup.create("x")
    with pytest.raises(OSError, match="away"):
        store.resync()
    assert list(flags(backup)) == ["x"]


# The end


def test_close_does_what_is_pending(
    store: ReplicatedFeatureFlagStore, primary: MemoryFeatureFlagStore, backup: Backup
) -> None:
    """It waits for a slow replica."""
    backup.hang()
    for name in "abc":
        store.create(name, True)
    timer = threading.Timer(0.05, backup.recover)
    timer.start()
    assert store.close(PATIENCE) is True
    assert flags(backup) == flags(primary)
    timer.join()


def test_close_does_not_wait_for_ever(
    store: ReplicatedFeatureFlagStore, backup: Backup
) -> None:
    """A replica that hangs is not level."""
    backup.hang()
    store.create("x")
    assert call_with_timeout(PATIENCE, lambda: store.close(0.05)) is False


def test_close_gives_up_a_failing_replica(
    store: ReplicatedFeatureFlagStore,
    backup: Backup,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It tells so, tries no more, and what is written later is repeated as before."""
    backup.error = OSError()
    store.create("lost")
    store.create("lost too")
    assert store.close(PATIENCE) is False
    assert is_level(store)
    until(lambda: "2 flags are missing changes" in caplog.text)
    tries = len(backup.calls)
    backup.recover()
    store.create("x", True, asynch=False)
    assert [*flags(backup)] == ["x"]
    assert len(backup.calls) == tries + 1
    assert store.close() is True


def test_stores_that_are_dropped_leave_no_thread() -> None:
    """A thread begins with a write, and ends when nothing is pending."""
    before = set(threading.enumerate())
    dropped = []
    for number in range(100):
        replicas = [MemoryFeatureFlagStore() for _ in range(3)]
        store = ReplicatedFeatureFlagStore(MemoryFeatureFlagStore(), *replicas)
        store.create("x", asynch=number % 2 == 0)
        dropped.append(weakref.ref(store))
        del store
    gc.collect()
    assert not any(reference() for reference in dropped)
    until(lambda: set(threading.enumerate()) <= before)


def test_a_dropped_store_gives_up_its_failing_replica(backup: Backup) -> None:
    """Nobody else would ever end that thread."""
    before = set(threading.enumerate())
    store = ReplicatedFeatureFlagStore(MemoryFeatureFlagStore(), backup)
    backup.error = OSError()
    store.create("x")
    del store
    gc.collect()
    until(lambda: set(threading.enumerate()) <= before)


SCRIPT = """
import os, sys, threading, time
from flipper import *

class Replica(MemoryFeatureFlagStore):
    gate = threading.Event()
    def create(self, *args, **kwargs):
        self.wait()
        super().create(*args, **kwargs)
        os.write(1, args[0].encode() + b"\\n")

primary, replica = MemoryFeatureFlagStore(), Replica()
store = ReplicatedFeatureFlagStore(primary, replica, replication_timeout=None)
"""


def run(body: str) -> list[str]:
    """Run a program that has a replicated store, and give what it wrote."""
    source = SCRIPT + textwrap.dedent(body)
    done = subprocess.run(
        [sys.executable, "-c", source],
        check=False,
        capture_output=True,
        cwd=ROOT,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_what_is_pending_is_written_when_the_program_ends() -> None:
    """A program that ends at once loses nothing."""
    written = run("""
        Replica.wait = lambda self: time.sleep(0.1)
        for name in "abc":
            store.create(name)
    """)
    assert sorted(written) == ["a", "b", "c"]


def test_what_is_written_at_the_very_end_is_repeated() -> None:
    """Also by a function that runs at exit, when threads may not start any more."""
    written = run("""
        import atexit
        Replica.wait = lambda self: time.sleep(0.05)
        atexit.register(store.create, "b", asynch=False)
        store.create("a")
    """)
    assert sorted(written) == ["a", "b"]


def test_a_replica_of_a_replica_is_written_when_the_program_ends() -> None:
    """What the first hands on meanwhile is waited for too."""
    written = run("""
        Replica.wait = lambda self: time.sleep(0.1)
        last = Replica()
        inner = ReplicatedFeatureFlagStore(replica, last)
        outer = ReplicatedFeatureFlagStore(primary, inner)
        outer.create("a")
    """)
    assert written == ["a", "a"]


@pytest.mark.parametrize("wait", ["self.gate.wait()", "1 / 0"], ids=["hangs", "fails"])
def test_a_replica_that_is_away_does_not_hold_up_the_exit(wait: str) -> None:
    """The program ends although it has not written all; the others get theirs."""
    written = run(f"""
        Replica.wait = lambda self: {wait}
        class Well(Replica):
            wait = lambda self: time.sleep(0.05)
        both = ReplicatedFeatureFlagStore(primary, replica, Well())
        for name in "abc":
            both.create(name)
    """)
    assert sorted(written) == ["a", "b", "c"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_both_sides_of_a_fork_replicate() -> None:
    """The child begins with nothing pending; the parent does what was."""
    written = run("""
        Replica.wait = lambda self: self.gate.wait()
        store.create("pending")
        pid = os.fork()
        Replica.gate.set()
        store.create("child" if pid == 0 else "parent", asynch=False)
        assert store.close(20)
        if pid == 0:
            os._exit(0 if replica.get("child") else 1)
        assert os.waitpid(pid, 0)[1] == 0
        assert replica.get("pending") and replica.get("parent")
    """)
    assert sorted(written) == ["child", "parent", "pending"]


# Stacks


def change_all(client: FeatureFlagClient) -> None:
    """Do one of everything, and ask in between."""
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


def test_a_cache_over_replicas(
    store: ReplicatedFeatureFlagStore, primary: MemoryFeatureFlagStore, backup: Backup
) -> None:
    """It keeps what the primary gave, and all writes go through."""
    change_all(FeatureFlagClient(CachedFeatureFlagStore(store)))
    assert store.close(PATIENCE)
    assert flags(backup) == flags(primary)
    assert store.status()[0].failures == 0


def test_replicas_of_a_cache(primary: MemoryFeatureFlagStore, backup: Backup) -> None:
    """Primary and replicas may have caches, and those are right afterwards."""
    caches = [CachedFeatureFlagStore(primary), CachedFeatureFlagStore(backup)]
    store = ReplicatedFeatureFlagStore(*caches)
    change_all(FeatureFlagClient(store))
    assert store.close(PATIENCE)
    assert flags(backup) == flags(primary)
    for name in "xyz":
        assert caches[0].get(name) is primary.get(name)
        assert caches[1].get(name) is backup.get(name)


def test_replicas_of_replicas(
    store: ReplicatedFeatureFlagStore, primary: MemoryFeatureFlagStore, backup: Backup
) -> None:
    """A replicated store may be the primary, and a replica."""
    first, second = MemoryFeatureFlagStore(), MemoryFeatureFlagStore()
    replica = ReplicatedFeatureFlagStore(first, second)
    outer = ReplicatedFeatureFlagStore(store, replica)
    change_all(FeatureFlagClient(outer))
    assert outer.close(PATIENCE)
    assert store.close(PATIENCE)
    assert replica.close(PATIENCE)
    for each in (backup, first, second):
        assert flags(each) == flags(primary)
