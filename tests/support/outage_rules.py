# SPDX-License-Identifier: Apache-2.0
"""What a client does while the server of its store is away, for real servers."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from flipper import FeatureFlagClient
from flipper.contracts.circuit_breaker import current_reader
from flipper.testing.contract import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from servers.process import Server

BACKGROUND = "flipper-circuit-breaker"


@contextmanager
def recorded_readers(store: Any) -> Iterator[list[str]]:
    """Give the names of the threads that read flags from the server."""
    read, readers = store._read, list[str]()

    def record_and_read(feature_name: str) -> Any:
        readers.append(threading.current_thread().name)
        return read(feature_name)

    with patch.object(store, "_read", record_and_read):
        yield readers


def check_circuit_breaker(
    store: Any, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Check that only the background thread asks a server that was killed.

    Eight threads ask for flags during the outage; then the server is started again.
    """
    caplog.set_level("INFO", "flipper")
    client = FeatureFlagClient(store)
    names = [f"flag-{number}" for number in range(25)]
    for name in names:
        client.create(name, is_enabled=True)
        assert client.is_enabled(name) is True
    server.kill()
    with recorded_readers(store) as readers, ThreadPoolExecutor(8) as pool:
        assert client.is_enabled(names[0]) is True
        first_readers = [*readers]
        for answers in pool.map(lambda _: [*map(client.is_enabled, names)], range(8)):
            assert answers == [True] * 25
        eventually(lambda: readers.count(BACKGROUND) >= 2)
        assert [name for name in readers if name != BACKGROUND] == first_readers
        assert len(first_readers) == 1
        server.start()
        eventually(lambda: current_reader(store) is store)
        client.disable(names[0])
        assert client.is_enabled(names[0]) is False
    kind = type(store).__name__
    begin, end = [
        record.getMessage()
        for record in caplog.records
        if record.name == "flipper.client"
    ]
    assert begin.startswith(f"{kind} fails (")
    assert end.startswith(f"{kind} answers again (")
