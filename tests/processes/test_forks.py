# SPDX-License-Identifier: Apache-2.0
"""Every store in processes that fork at any moment, in Python or in C."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from application_server import HERE, ROOT
from flags import FLAGS, KINDS, NAMES, WATCHED

from servers import unmeasured

if TYPE_CHECKING:
    from flags import Places

pytestmark = [
    *(getattr(pytest.mark, mark) for mark in ("redis", "postgres", "consul", "s3")),
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here"),
]


def run(places: Places, *arguments: str) -> str:
    """Run `forking.py`, and return what it prints: its failures."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", HERE / "forking.py", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=240,
        env={
            **unmeasured(),
            "PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}",
            **places.environment(),
        },
    )
    return done.stdout + (f"exit code {done.returncode}" if done.returncode else "")


@pytest.fixture(scope="module", autouse=True)
def flags(outside_stores: dict[str, Any]) -> None:
    """Create the flags that the program uses."""
    for store in outside_stores.values():
        for flag in FLAGS:
            store.create(flag, client_data={"of": flag})
        store.create("on", True)
        store.create("off")


@pytest.mark.parametrize("wrapper", ["itself", "synced", "cached"])
def test_no_process_uses_a_connection_of_another(wrapper: str, places: Places) -> None:
    """Children and their parent use one store at once, and get their own answers."""
    names = [n for n in NAMES if (n.rpartition("-")[0] or "itself") == wrapper]
    assert names
    assert run(places, "sharing", "os.fork", *names) == ""


# Python itself fails if it is forked without its knowledge while threads are busy.
# Stores with threads are tested in test_uwsgi.py, where no thread runs at that moment.
def test_a_fork_without_the_knowledge_of_python_is_noticed(places: Places) -> None:
    """Stores compare the number of the process before they use a connection."""
    # The last is the one whose pool has threads.
    names = ("redis", "s3", "thrift", "postgres")
    assert run(places, "sharing", "fork", *names) == ""


@pytest.mark.parametrize(
    "name",
    [
        "consul",
        "replicated",
        *(f"synced-{kind}" for kind in KINDS),
        *(f"cached-{kind}" for kind in WATCHED),
    ],
)
def test_a_child_forked_at_any_moment_follows_the_server(
    name: str, places: Places
) -> None:
    """A child's store follows the server, whatever the parent's threads were doing."""
    assert run(places, "moments", name) == ""
