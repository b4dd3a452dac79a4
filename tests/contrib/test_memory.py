# SPDX-License-Identifier: Apache-2.0
"""The store in memory: copies, lists, threads and forks.

`tests/contract` tests the rules of all stores.
"""

from __future__ import annotations

import copy
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from flipper import Condition, FeatureFlagClient, MemoryFeatureFlagStore
from flipper.bucketing import ConsistentHashPercentageBucketer, Percentage
from support.copies import pickled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
from support.programs import needs_fork, run_forking_program

AT_MOST = 30  # seconds until a thread that should have gone on counts as stuck


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Return a pool of threads."""
    with ThreadPoolExecutor(16) as pool:
        yield pool


def filled_store() -> MemoryFeatureFlagStore:
    """Return a store whose flags have all that a flag can have."""
    store = MemoryFeatureFlagStore()
    client = FeatureFlagClient(store)
    client.create("x", is_enabled=True, client_data={"a": {"b": [1]}})
    client.add_condition("x", Condition(user_id__in=[1, 2]))
    bucketer = ConsistentHashPercentageBucketer(
        key_whitelist=["user_id"], percentage=Percentage(0.5)
    )
    client.set_bucketer("x", bucketer)
    client.create("y")
    return store


@pytest.mark.parametrize(
    "duplicate",
    [copy.deepcopy, pickled],
    ids=["deepcopy", "pickle"],
)
def test_a_memory_store_can_be_copied_and_pickled(
    duplicate: Callable[[Any], Any],
) -> None:
    """The copy has the same flags, gives the same answers, and is independent."""
    store = filled_store()
    copied = duplicate(store)
    assert [item.to_dict() for item in copied.list()] == [
        item.to_dict() for item in store.list()
    ]
    before, after = FeatureFlagClient(store), FeatureFlagClient(copied)
    for user_id in range(20):
        asked = before.is_enabled("x", user_id=user_id)
        assert after.is_enabled("x", user_id=user_id) == asked
    after.set_client_data("x", {"a": 2})
    after.disable("x")
    after.destroy("y")
    assert before.get_client_data("x") == {"a": {"b": [1]}}
    assert before.is_enabled("x", user_id=1) is True
    assert before.exists("y")


def test_a_flag_deleted_while_listing_is_left_out() -> None:
    """A flag that is deleted before its turn is not listed."""
    store = MemoryFeatureFlagStore()
    for name in "abc":
        store.create(name)
    found = store.list()
    assert next(found).feature_name == "a"
    store.delete("b")
    store.create("d")
    assert [item.feature_name for item in found] == ["c"]


@pytest.mark.usefixtures("threads_switch_often")
def test_a_list_is_complete_while_other_threads_write(pool: ThreadPoolExecutor) -> None:
    """No list fails or repeats a flag, and each has all flags that stay."""
    store = MemoryFeatureFlagStore()
    stay = [f"stays-{number:02}" for number in range(50)]
    for name in stay:
        store.create(name)
    end = threading.Event()

    def write(thread: int) -> None:
        while not end.is_set():
            for number in range(20):
                store.create(f"{thread}-{number}")
            for number in range(20):
                store.delete(f"{thread}-{number}")

    writers = [pool.submit(write, thread) for thread in range(4)]
    try:
        for _ in range(100):
            names = [item.feature_name for item in store.list()]
            assert names == sorted(set(names))
            assert [name for name in names if name in stay] == stay
    finally:
        end.set()
    for writer in writers:
        writer.result(AT_MOST)
    assert [item.feature_name for item in store.list()] == stay


@needs_fork
def test_processes_can_fork_while_threads_write() -> None:
    """Each child of a process with busy writers can read and write flags."""
    run_forking_program(
        """
import os, signal, sys, threading
from flipper import FeatureFlagClient, MemoryFeatureFlagStore

sys.setswitchinterval(1e-5)
client = FeatureFlagClient(MemoryFeatureFlagStore())
client.create("x", client_data={"n": 0})
end = threading.Event()
def write(number):
    while not end.is_set():
        client.set_client_data("x", {"n": number})
        client.create(f"{number}")
        client.destroy(f"{number}")
threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
for thread in threads:
    thread.start()
statuses = []
for turn in range(10):
    pid = os.fork()
    if not pid:
        signal.alarm(20)  # ends a child that is stuck
        client.enable("x")
        client.create("new")
        right = client.is_enabled("x") and client.exists("new")
        os._exit(0 if right and len(list(client.list())) >= 2 else 3)
    statuses.append(os.waitpid(pid, 0)[1])
end.set()
for thread in threads:
    thread.join(30)
assert statuses == [0] * 10, statuses
assert client.is_enabled("x") is False
"""
    )


def test_a_client_notices_a_replaced_dict_of_flags() -> None:
    """A test may assign another dict, and clients then read that one."""
    store = MemoryFeatureFlagStore()
    client = FeatureFlagClient(store, on_error="raise")
    client.create("x", is_enabled=True)
    assert client.is_enabled("x") is True
    store._items = {}
    assert client.is_enabled("x") is False
    client.create("x", is_enabled=True)
    assert client.is_enabled("x") is True
