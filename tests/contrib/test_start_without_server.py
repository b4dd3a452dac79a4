# SPDX-License-Identifier: Apache-2.0
"""Every store can be made while its server is away, and works once it answers."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from time import monotonic
from typing import TYPE_CHECKING, Any

import boto3
import consul
import psycopg
import pytest
import redis
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.transport.TSocket import TSocket
from thrift.transport.TTransport import TBufferedTransport

from flipper import (
    CachedFeatureFlagStore,
    ConsulFeatureFlagStore,
    FailoverFeatureFlagStore,
    FeatureFlagClient,
    MemoryFeatureFlagStore,
    PostgreSQLFeatureFlagStore,
    ReadOnlyFeatureFlagStore,
    RedisFeatureFlagStore,
    ReplicatedFeatureFlagStore,
    S3FeatureFlagStore,
    SyncedFeatureFlagStore,
    ThriftRPCFeatureFlagStore,
)
from flipper.testing.contract import eventually
from flipper_thrift.python.feature_flag_store import FeatureFlagStore
from servers import PostgresServer, start_postgres, unmeasured
from servers.process import free_port
from support.postgres_roles import (
    TRIGGER_NAMES,
    trigger_names,
)
from support.synced_rules import is_live

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Give a server that tests stop and start again."""
    with start_postgres() as server:
        yield server


@pytest.fixture
def conninfo(server: PostgresServer) -> Iterator[str]:
    """Give the connection string of an empty database."""
    with server.scratch_database() as conninfo:
        yield conninfo


def test_a_synced_store_starts_from_its_snapshot(
    server: PostgresServer, conninfo: str, tmp_path: Path
) -> None:
    """A synced store answers from its snapshot, and then follows the server."""
    file = tmp_path / "flags.json"
    with (
        PostgreSQLFeatureFlagStore(conninfo, "old") as inner,
        SyncedFeatureFlagStore(inner, snapshot=file) as store,
    ):
        FeatureFlagClient(store).create("x", is_enabled=True)
    with server.away():
        inner = PostgreSQLFeatureFlagStore(conninfo)  # whose table does not exist yet
        store = SyncedFeatureFlagStore(inner, snapshot=file, start_timeout=0.5)
        flags = FeatureFlagClient(store)
        assert flags.is_enabled("x") is True
    with inner, store, PostgreSQLFeatureFlagStore(conninfo) as other:
        eventually(lambda: is_live(store))
        other.create("y", is_enabled=True)
        eventually(lambda: flags.is_enabled("y"))
        assert flags.is_enabled("x") is False


def test_a_cached_store_gets_invalidations_after_the_outage(
    server: PostgresServer, conninfo: str
) -> None:
    """A cache that was made during an outage is invalidated by later changes."""
    with server.away():
        inner = PostgreSQLFeatureFlagStore(conninfo)
        store = CachedFeatureFlagStore(inner, invalidate=True)
    with inner, store, PostgreSQLFeatureFlagStore(conninfo) as other:
        eventually(lambda: store._listener._is_listening)
        assert store.get("x") is None
        other.create("x")
        eventually(lambda: store.get("x") is not None)


def redis_store(port: int) -> Any:
    """Make a store for Redis."""
    return RedisFeatureFlagStore(redis.Redis(port=port))


def consul_store(port: int) -> Any:
    """Make a store for Consul."""
    return ConsulFeatureFlagStore(consul.Consul(port=port))


def s3_store(port: int) -> Any:
    """Make a store for S3."""
    endpoint = f"http://127.0.0.1:{port}"
    options = {"region_name": "eu-west-1", "endpoint_url": endpoint}
    keys = {"aws_access_key_id": "id", "aws_secret_access_key": "key"}
    return S3FeatureFlagStore(boto3.client("s3", **options, **keys), "flags")


def thrift_store(port: int) -> Any:
    """Make a store for a Thrift service."""
    transport = TBufferedTransport(TSocket("127.0.0.1", port))
    return ThriftRPCFeatureFlagStore(
        FeatureFlagStore.Client(TBinaryProtocol(transport))
    )


def postgresql_store(port: int) -> Any:
    """Make a store for PostgreSQL."""
    return PostgreSQLFeatureFlagStore(f"host=127.0.0.1 port={port} dbname=flags")


STACKS: dict[str, Callable[[Any], Any]] = {
    "itself": lambda inner: inner,
    "cached": lambda inner: CachedFeatureFlagStore(inner, invalidate=True),
    "replicated": lambda inner: ReplicatedFeatureFlagStore(
        MemoryFeatureFlagStore(), inner
    ),
    "failover": lambda inner: FailoverFeatureFlagStore(inner, inner),
    "read-only": ReadOnlyFeatureFlagStore,
    "synced": lambda inner: SyncedFeatureFlagStore(
        inner, start_timeout=0, on_start_failure="empty"
    ),
}


@pytest.mark.parametrize(
    "make", [redis_store, consul_store, s3_store, thrift_store, postgresql_store]
)
def test_every_store_can_be_made_without_a_server(make: Callable[[int], Any]) -> None:
    """Every store, alone and wrapped, can be made quickly while no server answers."""
    began = monotonic()
    with contextlib.ExitStack() as stack:
        inner = make(free_port())
        for wrap in STACKS.values():
            store = wrap(inner)
            stack.callback(getattr(store, "close", str))
    assert monotonic() - began < 60


@pytest.mark.thrift
def test_a_thrift_server_starts_without_its_database(
    server: PostgresServer, conninfo: str
) -> None:
    """A Thrift server that starts during an outage serves the table after it."""
    program = [sys.executable, "-m", "flipper.contrib.thrift.server", "--port", "0"]
    with server.away():
        process = subprocess.Popen(
            [*program, "--store", conninfo],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=unmeasured(),
            text=True,
        )
        assert process.stdout is not None
        port = int(process.stdout.readline().rpartition(":")[2])
    with process:
        transport = TBufferedTransport(TSocket("127.0.0.1", port))
        protocol = TBinaryProtocol(transport)
        client = FeatureFlagClient(
            ThriftRPCFeatureFlagStore(FeatureFlagStore.Client(protocol))
        )
        client.create("x", is_enabled=True)
        assert client.is_enabled("x") is True
        transport.close()
        process.terminate()
    with psycopg.connect(conninfo) as connection:
        assert trigger_names(connection) == TRIGGER_NAMES
