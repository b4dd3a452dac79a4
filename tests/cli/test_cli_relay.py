# SPDX-License-Identifier: Apache-2.0
"""The command `flipper relay`, which keeps a second store equal to a first one."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from flipper import Condition, FeatureFlagClient, store_from_url
from flipper.cli.changes import flags_of
from flipper.client import store_of
from flipper.testing.contract import eventually
from servers import unmeasured

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


COPY = "sqlite:///copy.db"


class Relay:
    """The command in a process of its own."""

    def __init__(self, source: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "flipper", "relay", source, COPY, "--yes"],
            stderr=subprocess.PIPE,
            text=True,
            env=unmeasured(),
        )
        self.wait_for("Relaying")

    def wait_for(self, text: str) -> None:
        """Read what it prints until a line has this text."""
        assert self.process.stderr is not None
        patience = threading.Timer(120, self.process.kill)
        patience.start()
        try:
            for line in self.process.stderr:
                if text in line:
                    return
        finally:
            patience.cancel()
        pytest.fail(f"it has ended without {text!r}")

    def stop(self, how: signal.Signals) -> int:
        """End it, and return its exit code."""
        self.process.send_signal(how)
        return self.process.wait(timeout=60)


@pytest.fixture
def relay(folder: Path) -> Iterator[Any]:
    """Give a function that starts the command."""
    started = []

    def start(source: str) -> Relay:
        started.append(Relay(source))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.communicate()


def documents(client: FeatureFlagClient) -> dict[str, bytes]:
    """Return what the store of a client has."""
    found = flags_of(store_of(client))
    return {name: item.serialize() for name, item in found.items()}


@pytest.mark.postgres
def test_one_process_of_a_host_follows_the_database_for_all_others(
    relay: Any, postgres_conninfo: str
) -> None:
    """The others follow its file, and get each change without a connection."""
    url = f"postgresql://?{postgres_conninfo.replace(' ', '&')}"
    with FeatureFlagClient.from_url(url) as source:
        source.create("x")
        relay(url)
        with FeatureFlagClient.from_url(f"{COPY}?sync=1&read_only=1") as follower:
            assert follower.exists("x")
            source.add_condition("x", Condition(country="SE"))
            source.enable("x")
            eventually(lambda: follower.is_enabled("x", country="SE"))
            assert not follower.is_enabled("x", country="NO")
            source.create("y", is_enabled=True)
            eventually(lambda: follower.is_enabled("y"))
            source.destroy("x")
            eventually(lambda: not follower.exists("x"))
            assert documents(follower) == documents(source)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_relay_makes_up_for_what_happened_while_it_was_away(
    client: FeatureFlagClient, relay: Any, how: signal.Signals
) -> None:
    """Flags that were changed or deleted meanwhile are so in the copy, too."""
    client.create("stays")
    client.create("goes", is_enabled=True)
    first = relay("sqlite:///flipper.db")
    assert first.stop(how) == 0
    client.destroy("goes")
    client.create("comes", is_enabled=True)
    client.enable("stays")
    relay("sqlite:///flipper.db")
    with FeatureFlagClient.from_url(COPY) as copied:
        assert documents(copied) == documents(client)


def test_a_copy_that_cannot_be_written_is_written_later(
    client: FeatureFlagClient, relay: Any
) -> None:
    """The failure is reported once, and so is its end."""
    client.create("x")
    running = relay("sqlite:///flipper.db")
    with FeatureFlagClient.from_url(COPY) as copied:
        with closing(sqlite3.connect("copy.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            client.enable("x")
            running.wait_for("URL2 was not written")
            client.create("y", is_enabled=True)
        running.wait_for("URL2 is written again")
        eventually(lambda: copied.is_enabled("x") and copied.is_enabled("y"))


def test_a_store_that_has_other_flags_is_replaced_only_by_request(
    client: FeatureFlagClient, flipper: Any
) -> None:
    """Somebody may have exchanged the two stores."""
    with FeatureFlagClient(store_from_url(COPY)) as copied:
        copied.create("precious", is_enabled=True)
        result = flipper("relay", "sqlite:///flipper.db", COPY)
        assert "'precious' of sqlite://... will be replaced or deleted." in result.err
        assert "--yes" in result.err
        assert result.code == 2
        assert copied.is_enabled("precious")


def test_a_source_that_is_away_is_no_empty_source(flipper: Any) -> None:
    """Nothing is deleted from the copy."""
    with FeatureFlagClient(store_from_url(COPY)) as copied:
        copied.create("x", is_enabled=True)
        result = flipper("relay", "redis://localhost:1", COPY, "--yes")
        assert result.code == 4
        assert copied.is_enabled("x")
