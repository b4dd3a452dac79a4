# SPDX-License-Identifier: Apache-2.0
"""The warning in asyncio's debug mode that a sync client blocks an event loop."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from flipper import (
    AsyncFeatureFlagClient,
    CachedFeatureFlagStore,
    FeatureFlagClient,
    MemoryFeatureFlagStore,
    SQLiteFeatureFlagStore,
    SyncedFeatureFlagStore,
)
from flipper.contracts import event_loop
from support.custom_stores import CustomStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BLOCKED = "in the thread of an event loop"


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[SQLiteFeatureFlagStore]:
    """Give a store that reads a file."""
    with SQLiteFeatureFlagStore(tmp_path / "flags.db") as store:
        yield store


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the warnings about blocked event loops, and forget them."""
    found = [record for record in caplog.records if BLOCKED in record.getMessage()]
    caplog.clear()
    assert {record.name for record in found} <= {"flipper.client"}
    return [record.getMessage() for record in found]


def ask_in_loop(question: Callable[[], Any], *, debug: bool = True) -> None:
    """Ask twice in an event loop."""

    async def main() -> None:
        question()
        question()

    asyncio.run(main(), debug=debug)


def test_a_client_that_blocks_the_event_loop_says_so_once(
    sqlite: SQLiteFeatureFlagStore, caplog: pytest.LogCaptureFixture
) -> None:
    """The warning names the store and the remedy; it needs asyncio's debug mode."""
    client = FeatureFlagClient(sqlite)
    client.is_enabled("X")
    ask_in_loop(lambda: client.is_enabled("X"), debug=False)
    assert not warnings_of(caplog)
    ask_in_loop(lambda: client.is_enabled("X"))
    (warning,) = warnings_of(caplog)
    assert warning.startswith("SQLiteFeatureFlagStore is called")
    assert "flipper.AsyncFeatureFlagClient" in warning
    assert "SyncedFeatureFlagStore" in warning
    ask_in_loop(lambda: client.is_enabled("X"))
    assert not warnings_of(caplog)


def test_debug_mode_may_be_switched_on_later(
    sqlite: SQLiteFeatureFlagStore, caplog: pytest.LogCaptureFixture
) -> None:
    """The client is made, and asks, before the loop is in debug mode."""
    client = FeatureFlagClient(CachedFeatureFlagStore(sqlite))

    async def main() -> None:
        client.is_enabled("X")
        assert not warnings_of(caplog)
        asyncio.get_running_loop().set_debug(True)
        client.is_enabled("X")
        assert not warnings_of(caplog)  # the cache answers
        client.is_enabled("Y")
        assert len(warnings_of(caplog)) == 1

    asyncio.run(main())


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.exists("X"),
        lambda client: client.evaluate_all(),
        lambda client: list(client.list()),
        lambda client: client.memoize(preload=["X"]).__enter__(),
        lambda client: client.create("X").enable(),
    ],
    ids=["exists", "evaluate_all", "list", "preload", "enable"],
)
def test_every_way_to_block_is_noticed(
    ask: Callable[[Any], Any],
    sqlite: SQLiteFeatureFlagStore,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Not only `is_enabled` waits for the store."""
    ask_in_loop(lambda: ask(FeatureFlagClient(sqlite)))
    assert len(warnings_of(caplog)) == 1


def test_a_store_of_the_application_is_noticed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Once for each client, since such a store is wrapped by each client."""
    clients = [FeatureFlagClient(CustomStore()) for _ in range(2)]
    for client in clients:
        ask_in_loop(lambda client=client: client.is_enabled("X"))
    found = warnings_of(caplog)
    assert [warning.split()[0] for warning in found] == ["CustomStore"] * 2


def test_what_answers_from_memory_is_not_mentioned(
    sqlite: SQLiteFeatureFlagStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither a store in memory or a copy, nor an async client."""
    memory = FeatureFlagClient(MemoryFeatureFlagStore())
    ask_in_loop(lambda: memory.is_enabled("X"))
    with SyncedFeatureFlagStore(sqlite) as store:
        synced = FeatureFlagClient(store)
        ask_in_loop(lambda: synced.is_enabled("X"))

    async def main() -> None:
        async with AsyncFeatureFlagClient(sqlite) as client:
            await client.is_enabled("X")
            await client.create("X")
            await client.evaluate_all()

    with caplog.at_level(logging.WARNING):
        asyncio.run(main(), debug=True)
    assert not warnings_of(caplog)


def test_a_half_loaded_asyncio_has_no_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread may be importing it at this moment."""
    monkeypatch.setitem(sys.modules, "asyncio.events", logging)
    event_loop.warn_in_event_loop(FeatureFlagClient(CustomStore())._source, None)


def test_the_check_does_not_load_asyncio(tmp_path: Path) -> None:
    """A program without event loops does not pay for them."""
    program = """
import sys
from flipper import FeatureFlagClient, SQLiteFeatureFlagStore
client = FeatureFlagClient(SQLiteFeatureFlagStore(sys.argv[1]))
client.is_enabled("X")
assert "asyncio" not in sys.modules
"""
    command = [sys.executable, "-c", program, str(tmp_path / "flags.db")]
    subprocess.run(command, check=True, timeout=60)
