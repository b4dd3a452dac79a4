# SPDX-License-Identifier: Apache-2.0
"""Fixtures for the tests with several processes: all servers, and stores of them."""

from __future__ import annotations

import queue
import threading
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from flags import KINDS, Places, disconnect

from flipper import MemoryFeatureFlagStore
from flipper.contrib.thrift import server as thrift_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers import ConsulServer, PostgresServer, RedisServer, S3Server


@pytest.fixture(scope="session")
def thrift_address() -> tuple[str, int]:
    """Give the address of a Thrift server, which is a thread of this process."""
    addresses: queue.Queue[tuple[str, int]] = queue.Queue()

    def ready(host: str, port: int) -> Any:
        addresses.put((host, port))

    threading.Thread(
        target=thrift_server.serve,
        args=(MemoryFeatureFlagStore(),),
        kwargs={"port": 0, "ready": ready},
        daemon=True,  # it serves until the program ends
    ).start()
    return addresses.get(timeout=30)


@pytest.fixture(scope="module")
def places(
    redis_server: RedisServer,
    postgres_server: PostgresServer,
    consul_server: ConsulServer,
    s3_server: S3Server,
    thrift_address: tuple[str, int],
) -> Iterator[Places]:
    """Give all servers, with an empty place for flags on each but Thrift's."""
    place = f"processes-{uuid.uuid4().hex}"
    client = s3_server.client()
    client.create_bucket(Bucket=place)
    with postgres_server.scratch_database() as conninfo:
        yield Places(
            (redis_server.host, redis_server.port),
            conninfo,
            (consul_server.host, consul_server.port),
            s3_server.endpoint,
            thrift_address,
            place,
        )
    client.close()


@pytest.fixture(scope="module")
def outside_stores(places: Places) -> Iterator[dict[str, Any]]:
    """Give a store of each kind for this process, by kind."""
    stores = {kind: places.store(kind) for kind in KINDS}
    yield stores
    for store in stores.values():
        disconnect(store)
