# SPDX-License-Identifier: Apache-2.0
"""A replicated store at the exit of a program, and in forked processes."""

from __future__ import annotations

import textwrap

import pytest

from support.programs import needs_fork, run_program

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


def run_replicated(body: str) -> list[str]:
    """Run a program that has a replicated store, and return the names it wrote."""
    return run_program(SCRIPT + textwrap.dedent(body), may_log=True).split()


def test_pending_writes_are_made_at_exit() -> None:
    """A program that ends at once loses no write."""
    written = run_replicated("""
        Replica.wait = lambda self: time.sleep(0.1)
        for name in "abc":
            store.create(name)
    """)
    assert sorted(written) == ["a", "b", "c"]


def test_writes_of_exit_functions_are_repeated() -> None:
    """A function that runs at exit can write, though no thread can be started then."""
    written = run_replicated("""
        import atexit
        Replica.wait = lambda self: time.sleep(0.05)
        atexit.register(store.create, "b", asynch=False)
        store.create("a")
    """)
    assert sorted(written) == ["a", "b"]


def test_pending_writes_of_nested_replicas_are_made_at_exit() -> None:
    """What one replicated store writes to another one at exit is repeated, too."""
    written = run_replicated("""
        Replica.wait = lambda self: time.sleep(0.1)
        last = Replica()
        inner = ReplicatedFeatureFlagStore(replica, last)
        outer = ReplicatedFeatureFlagStore(primary, inner)
        outer.create("a")
    """)
    assert written == ["a", "a"]


@pytest.mark.parametrize("wait", ["self.gate.wait()", "1 / 0"], ids=["hangs", "fails"])
def test_a_replica_that_hangs_or_fails_does_not_prevent_the_exit(wait: str) -> None:
    """The program ends, and the other replicas get all writes."""
    written = run_replicated(f"""
        Replica.wait = lambda self: {wait}
        class Working(Replica):
            wait = lambda self: time.sleep(0.05)
        both = ReplicatedFeatureFlagStore(primary, replica, Working())
        for name in "abc":
            both.create(name)
    """)
    assert sorted(written) == ["a", "b", "c"]


@needs_fork
def test_parent_and_child_replicate_after_a_fork() -> None:
    """A forked child has nothing pending; the parent makes its pending writes."""
    written = run_replicated("""
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
