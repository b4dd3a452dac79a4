# SPDX-License-Identifier: Apache-2.0
"""The synced store over a store in memory: reads, threads, forks and exit.

Over real servers it is tested in `test_synced_consul.py` and its neighbours.
"""

from __future__ import annotations

import gc
import threading
import weakref
from time import sleep
from typing import TYPE_CHECKING, Any

from flipper import Condition, FeatureFlagClient, SyncedFeatureFlagStore
from flipper.testing.contract import eventually
from support.programs import needs_fork, run_forking_program
from support.synced_stores import InnerStore, synced

if TYPE_CHECKING:
    from collections.abc import Callable


# Reading


def test_reads_do_not_ask_the_inner_store(
    inner: InnerStore, store: SyncedFeatureFlagStore
) -> None:
    """Every read is answered from the copy."""
    assert inner.calls == ["watch", "list"]
    client = FeatureFlagClient(store)
    for _ in range(100):
        assert client.is_enabled("on") is True
        assert client.is_enabled("missing") is False
        assert [flag.name for flag in client.list()] == ["on"]
        assert client.exists("on")
        assert client.get_meta("on")["conditions"] == []
    assert inner.calls == ["watch", "list"]


def test_flags_are_listed_in_pages_by_name(store: SyncedFeatureFlagStore) -> None:
    """`list` gives the flags by name, and takes `limit` and `offset`."""
    for name in ("c", "a", "b"):
        store.create(name)
    assert [item.feature_name for item in store.list()] == ["a", "b", "c", "on"]
    assert [item.feature_name for item in store.list(2, 1)] == ["b", "c"]


def test_readers_see_only_states_that_the_flag_had(inner: InnerStore) -> None:
    """Many threads read while the flag changes, and never see a mixture of states."""
    store = SyncedFeatureFlagStore(inner, poll_interval=0.02)
    client = FeatureFlagClient(store, on_error="raise")
    client.create("f", is_enabled=True)
    client.set_conditions("f", [Condition(a=1), Condition(b=1)])
    is_over = threading.Event()
    wrong: list[Any] = []

    def ask() -> None:
        while not is_over.is_set():
            if client.is_enabled("f", a=1, b=2) is not False:
                wrong.append("on")
            sleep(0.001)  # otherwise the writers hardly ever run

    threads = [threading.Thread(target=ask) for _ in range(100)]
    for thread in threads:
        thread.start()
    for number in range(30):
        # Each state refuses b=2, by one condition or the other.
        inner.update("f", with_conditions(Condition(b=1), Condition(c=number)))
        client.set_conditions("f", [Condition(b__lt=2), Condition(a=1)])
    is_over.set()
    for thread in threads:
        thread.join()
    store.close()
    assert wrong == []


def with_conditions(*conditions: Condition) -> Callable[[Any], Any]:
    """Make a change that replaces the conditions."""

    def change(item: Any) -> Any:
        meta = item.raw_meta
        meta.conditions = [*conditions]
        return item.replace(meta=meta)

    return change


# Close, garbage collection, forks and exit


def test_garbage_collected_stores_leave_no_threads(
    inner: InnerStore, own_threads: Callable[[], set[threading.Thread]]
) -> None:
    """Stores that are no longer referenced leave no thread and no watch."""
    gone = []
    for _ in range(200):
        store = SyncedFeatureFlagStore(inner)
        gone.append(weakref.ref(store))
        del store
    gc.collect()
    assert [ref for ref in gone if ref() is not None] == []
    eventually(lambda: not own_threads())
    assert inner.watches == []


def test_a_closed_store_goes_on_answering(inner: InnerStore) -> None:
    """A closed store answers as when it was closed, and may be closed again."""
    with synced(inner) as store:
        pass
    calls = len(inner.calls)
    store.close()
    inner.set("on", False)
    assert store.get("on").raw_is_enabled is True
    assert store.status().state == "closed"
    assert inner.watches == []
    assert inner.calls[calls:] == ["write on"]
    store.create("f")
    assert store.get("f") is not None


@needs_fork
def test_a_forked_child_follows_the_inner_store_by_itself() -> None:
    """A child begins to follow the inner store at its first read."""
    program = """
        import os, sys, time
        from flipper import FeatureFlagClient, MemoryFeatureFlagStore
        from flipper import SyncedFeatureFlagStore

        inner = MemoryFeatureFlagStore()
        inner.create("f")
        store = SyncedFeatureFlagStore(inner, poll_interval=0.05)
        features = FeatureFlagClient(store)
        children = []
        for number in range(50):
            child = os.fork()
            if not child:
                import threading
                assert threading.active_count() == 1
                inner.set("f", True)
                deadline = time.monotonic() + 20
                ok = features.is_enabled("f")
                while store.status().state != "polling" and time.monotonic() < deadline:
                    time.sleep(0.01)
                features.create("mine")
                ok = ok and features.is_enabled("f")
                ok = ok and store.status().state == "polling"
                os._exit(not ok)
            children.append(child)
        codes = [os.waitpid(child, 0)[1] for child in children]
        assert not any(codes), codes
        assert not features.is_enabled("f")
        print("done")
    """
    assert run_forking_program(program) == "done\n"


def test_a_program_ends_although_the_inner_store_hangs() -> None:
    """Neither a thread that hangs nor a write without an answer prevents the exit."""
    program = """
        import threading, time
        from flipper import MemoryFeatureFlagStore, SyncedFeatureFlagStore

        class Hanging(MemoryFeatureFlagStore):
            hang = False
            def list(self, *args, **kwargs):
                if self.hang:
                    time.sleep(600)
                return super().list(*args, **kwargs)
            def _swap(self, item, expected):
                if self.hang:
                    time.sleep(600)
                return super()._swap(item, expected)

        inner = Hanging()
        store = SyncedFeatureFlagStore(inner, poll_interval=0.05, write_timeout=0.3)
        inner.hang = True
        try:
            store.create("f")
        except TimeoutError:
            print("given up")
    """
    # Within a minute, not ten.
    assert run_forking_program(program, timeout=60) == "given up\n"
