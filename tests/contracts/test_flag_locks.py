# SPDX-License-Identifier: Apache-2.0
"""Per-flag locks: which writes wait for each other, in threads and after a fork."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from flipper import FeatureFlagClient
from flipper.contracts import flag_locks
from flipper.contracts.update import update, write_lock
from support.changes import stored, switch_on

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flipper.contrib.storage import FeatureFlagStoreItem
from support.custom_stores import ForwardingStore
from support.programs import needs_fork, run_forking_program

AT_MOST = 30  # seconds until a thread that should have gone on counts as stuck


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Return a pool of threads."""
    with ThreadPoolExecutor(16) as pool:
        yield pool


def test_writes_of_other_flags_and_stores_do_not_wait(pool: ThreadPoolExecutor) -> None:
    """A lock belongs to one flag of one store."""
    store, other = ForwardingStore(), ForwardingStore()
    entered, go_on = threading.Event(), threading.Event()
    for each in (store, other):
        each.create("x")
        each.create("y")

    def slow(item: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
        entered.set()
        assert go_on.wait(AT_MOST)
        return switch_on(item)

    writer = pool.submit(update, store, "x", slow)
    assert entered.wait(AT_MOST)
    update(store, "y", switch_on)
    update(other, "x", switch_on)
    assert not writer.done()
    go_on.set()
    assert writer.result(AT_MOST).raw_is_enabled is True


def test_a_write_inside_a_write_of_the_same_flag_does_not_wait() -> None:
    """The lock is reentrant, so a store may write the flag again by a client."""

    class Counts(ForwardingStore):
        def set(self, feature_name: str, is_enabled: bool) -> None:
            super().set(feature_name, is_enabled)
            client.set_client_data(feature_name, {"switched": True})

    store = Counts()
    client = FeatureFlagClient(store)
    client.create("x")
    with ThreadPoolExecutor(1) as pool:
        pool.submit(client.enable, "x").result(AT_MOST)
    assert client.get_client_data("x") == {"switched": True}
    assert client.is_enabled("x") is True


def test_stores_that_write_to_each_other_do_not_deadlock(
    pool: ThreadPoolExecutor,
) -> None:
    """One thread writes A and then B, another one B and then A, and both end."""
    both_inside = threading.Barrier(2)

    class Mirror(ForwardingStore):
        other: Any = None

        def set(self, feature_name: str, is_enabled: bool) -> None:
            super().set(feature_name, is_enabled)
            if feature_name == self.mirrored:
                both_inside.wait(AT_MOST)
                FeatureFlagClient(self.other).enable(feature_name)

    first, second = Mirror(), Mirror()
    first.other, second.other = second, first
    first.mirrored, second.mirrored = "x", "y"  # type: ignore[attr-defined]
    for store in (first, second):
        store.create("x")
        store.create("y")
    writes = [
        pool.submit(FeatureFlagClient(first).enable, "x"),
        pool.submit(FeatureFlagClient(second).enable, "y"),
    ]
    for write in writes:
        write.result(AT_MOST)
    assert stored(second, "x").raw_is_enabled is True
    assert stored(first, "y").raw_is_enabled is True


def test_a_lock_is_removed_after_its_write() -> None:
    """No lock stays in memory, however many flags were written."""
    store = ForwardingStore()
    client = FeatureFlagClient(store)
    for number in range(100):
        client.create(f"flag-{number}")
        client.enable(f"flag-{number}")
    assert not [key for key in flag_locks._locks if key[0] == id(store)]
    lock = write_lock(store, "x")
    assert write_lock(store, "x") is lock
    assert write_lock(store, "y") is not lock


@needs_fork
def test_a_child_does_not_wait_for_a_write_of_its_parent() -> None:
    """A child process can write a flag whose lock a thread held during the fork."""
    run_forking_program(
        """
import os, signal, threading
from flipper import FeatureFlagClient, MemoryFeatureFlagStore
from flipper.bucketing import ConsistentHashPercentageBucketer, Percentage
from flipper.contracts import flag_locks
from flipper.contracts.update import updates_atomically, write_lock

class Own(MemoryFeatureFlagStore):
    def get(self, feature_name):
        return super().get(feature_name)

store = Own()
assert not updates_atomically(store)
client = FeatureFlagClient(store)
client.create("x")
reached, go_on = threading.Event(), threading.Event()
def hold():
    with write_lock(store, "x"), flag_locks._locks_guard:
        reached.set()
        go_on.wait(30)
thread = threading.Thread(target=hold)
thread.start()
assert reached.wait(30)
pid = os.fork()
if not pid:
    signal.alarm(20)  # ends a child that is stuck
    client.set_client_data("x", {"a": 1})
    os._exit(0 if client.get_client_data("x") == {"a": 1} else 3)
status = os.waitpid(pid, 0)[1]
go_on.set()
thread.join(30)
assert status == 0, status
"""
    )
