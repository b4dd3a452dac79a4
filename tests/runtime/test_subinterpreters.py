# SPDX-License-Identifier: Apache-2.0
"""Flipper in sub-interpreters, which share a process but no modules and no objects."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

# Each version of Python has another module for it, and before 3.14 none is public.
_RUN = """
def run(program):
    try:
        from concurrent import interpreters
    except ImportError:
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        failure = interpreters.run_string(interpreters.create(), program)
        assert failure is None, failure
    else:
        interpreters.create().exec(program)
"""


# Python 3.12.1 crashes in the second one, even if they only import modules of its own.
COUNT = 1 if sys.version_info[:2] == (3, 12) else 2


def run_in_each(program: str) -> list[str]:
    """Run a program in sub-interpreters of a new process; return what it prints."""
    main = f"""
{_RUN}
import os
for _ in range({COUNT}):
    run({textwrap.dedent(program)!r})
os._exit(0)
"""
    command = [sys.executable, "-W", "ignore", "-c", main]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


pytestmark = pytest.mark.skipif(
    sys.implementation.name != "cpython", reason="only CPython has sub-interpreters"
)


def test_flags_are_asked_in_sub_interpreters() -> None:
    """Each has a client of its own, with rules that are compiled."""
    answers = run_in_each(
        """
        from flipper import Condition, FeatureFlagClient, MemoryFeatureFlagStore
        client = FeatureFlagClient(MemoryFeatureFlagStore())
        client.create("x", is_enabled=True).add_condition(Condition(plan="pro"))
        for plan in ("pro", "basic"):
            print(client.is_enabled("x", plan=plan), flush=True)
        """
    )
    assert answers == ["True", "False"] * COUNT


def test_without_background_threads_each_question_goes_to_the_store() -> None:
    """A sub-interpreter with a lock of its own allows no daemon threads."""
    answers = run_in_each(
        """
        from flipper import FeatureFlagClient, MemoryFeatureFlagStore
        from flipper import SyncedFeatureFlagStore
        inner = MemoryFeatureFlagStore()
        inner.create("x")
        with SyncedFeatureFlagStore(inner, poll_interval=1000) as store:
            client = FeatureFlagClient(store)
            print(store.status().state, client.is_enabled("x"), flush=True)
            inner.set("x", True)
            print(client.is_enabled("x"), flush=True)
            client.disable("x")
            print(inner.get("x").raw_is_enabled, flush=True)
        """
    )
    assert answers == ["direct", "False", "True", "False"] * COUNT
