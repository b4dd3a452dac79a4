# SPDX-License-Identifier: Apache-2.0
"""What a client does while the server of its store is away, over real servers."""

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
def recorded(store: Any) -> Iterator[list[str]]:
    """Give the names of the threads that read flags from the server."""
    read, asked_by = store._read, list[str]()

    def recording(feature_name: str) -> Any:
        asked_by.append(threading.current_thread().name)
        return read(feature_name)

    with patch.object(store, "_read", recording):
        yield asked_by


def check_that_it_is_spared(
    store: Any, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Kill the server, ask by eight threads, start it, and see who has asked it."""
    caplog.set_level("INFO", "flipper")
    client = FeatureFlagClient(store)
    names = [f"flag-{number}" for number in range(25)]
    for name in names:
        client.create(name, is_enabled=True)
        assert client.is_enabled(name) is True
    server.kill()
    with recorded(store) as asked_by, ThreadPoolExecutor(8) as pool:
        assert client.is_enabled(names[0]) is True
        noticed_by = [*asked_by]
        for answers in pool.map(lambda _: [*map(client.is_enabled, names)], range(8)):
            assert answers == [True] * 25
        eventually(lambda: asked_by.count(BACKGROUND) >= 2)
        assert [name for name in asked_by if name != BACKGROUND] == noticed_by
        assert len(noticed_by) == 1
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
