# SPDX-License-Identifier: Apache-2.0
"""Fixtures for the stores in `stores.py`."""

from __future__ import annotations

import queue
import threading
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

import consul
import pytest

from flipper import MemoryFeatureFlagStore
from flipper.contracts import listener
from flipper.contracts.wrapper import FeatureFlagStoreWrapper
from flipper.contrib.cached import invalidation
from flipper.contrib.synced import follower

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from servers import ConsulServer, PostgresServer, S3Server


@pytest.fixture(autouse=True, scope="module")
def _quick_end() -> Iterator[None]:
    """Let the threads that listen to stores end sooner; a test waits for each."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (listener, follower, invalidation):
            patch.setattr(module, "CHECK_INTERVAL", 0.02)
        yield


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
    thrift_server = pytest.importorskip("flipper.contrib.thrift.server")
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


@pytest.fixture(scope="session")
def contract_database(postgres_server: PostgresServer) -> Iterator[str]:
    """Give the connection string of a database for the tables of all stores."""
    with postgres_server.scratch_database() as conninfo:
        yield conninfo


@pytest.fixture(scope="session")
def contract_consul(consul_server: ConsulServer) -> Any:
    """Give a client that all stores share: Consul allows 200 connections."""
    return consul.Consul(consul_server.host, consul_server.port)


class S3Buckets(NamedTuple):
    """A client of an S3 server, and a function that makes a bucket with a new name."""

    client: Any
    make: Callable[[], str]


@pytest.fixture(scope="session")
def contract_buckets(s3_server: S3Server) -> Iterator[S3Buckets]:
    """Give a function that makes buckets, which are removed at the end."""
    client = s3_server.client()
    made = []

    def make() -> str:
        made.append(f"contract-{uuid.uuid4().hex}")
        client.create_bucket(Bucket=made[-1])
        return made[-1]

    yield S3Buckets(client, make)
    if s3_server.address is not None:  # a server that goes on after the tests
        for bucket in made:
            for entry in client.list_objects_v2(Bucket=bucket).get("Contents", ()):
                client.delete_object(Bucket=bucket, Key=entry["Key"])
            client.delete_bucket(Bucket=bucket)
    client.close()
