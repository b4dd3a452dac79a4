# SPDX-License-Identifier: Apache-2.0
"""What the stores in `stores.py` need beside the servers."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from flipper import MemoryFeatureFlagStore
from flipper.contrib.wrapper import FeatureFlagStoreWrapper

if TYPE_CHECKING:
    from collections.abc import Iterator


class ThriftService(NamedTuple):
    """A Thrift server on a socket of this process.

    Attributes:
        address: host and port.
        served: the wrapper that is served; a test puts a store of its own into it.
    """

    address: tuple[str, int]
    served: FeatureFlagStoreWrapper


@pytest.fixture(scope="session")
def thrift_service() -> Iterator[ThriftService]:
    """Give a Thrift server that all tests share."""
    thrift_server = pytest.importorskip("flipper.contrib.thrift_server")
    served = FeatureFlagStoreWrapper(MemoryFeatureFlagStore())
    addresses: queue.Queue[tuple[str, int]] = queue.Queue()

    def ready(host: str, port: int) -> Any:
        addresses.put((host, port))

    threading.Thread(
        target=thrift_server.serve,
        args=(served,),
        kwargs={"port": 0, "ready": ready},
        daemon=True,  # it serves until the program ends
    ).start()
    return ThriftService(addresses.get(timeout=30), served)
