# SPDX-License-Identifier: Apache-2.0
"""The stores that are tried in many processes."""

from __future__ import annotations

import json
import os
from typing import Any, NamedTuple

import consul
import redis
from boto3.session import Session
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.transport.TSocket import TSocket
from thrift.transport.TTransport import TBufferedTransport

from flipper import (
    CachedFeatureFlagStore,
    ConsulFeatureFlagStore,
    PostgreSQLFeatureFlagStore,
    RedisFeatureFlagStore,
    S3FeatureFlagStore,
    SQLiteFeatureFlagStore,
    SyncedFeatureFlagStore,
    ThriftRPCFeatureFlagStore,
)
from flipper_thrift.python.feature_flag_store import FeatureFlagStore

KINDS = ("redis", "postgres", "consul", "s3", "thrift", "sqlite")
FLAGS = [f"P{number}" for number in range(8)]
WATCHED = ("redis", "postgres", "consul", "sqlite")  # those that report changes
NAMES = (
    *KINDS,
    *(f"synced-{kind}" for kind in KINDS),
    *(f"cached-{kind}" for kind in WATCHED),
)
"""The names of all stores: `kind`, or a wrapper and the kind of its inner store."""


class Places(NamedTuple):
    """Where the servers are, and where in them the flags.

    Attributes:
        redis, consul, thrift: host and port.
        postgres: a connection string.
        s3: the address of the endpoint; `place` is the bucket.
        place: the base key.
        sqlite: the path of a file.
    """

    redis: tuple[str, int]
    postgres: str
    consul: tuple[str, int]
    s3: str
    thrift: tuple[str, int]
    place: str
    sqlite: str

    @classmethod
    def of_environment(cls) -> Places:
        """Read what the test has put into the environment of this process."""
        return cls(**json.loads(os.environ["FLIPPER_TEST_PLACES"]))

    def environment(self) -> dict[str, str]:
        """Return what `of_environment` reads."""
        return {"FLIPPER_TEST_PLACES": json.dumps(self._asdict())}

    def store(self, name: str) -> Any:
        """Make one of `NAMES` with connections of its own."""
        wrapper, _, kind = name.rpartition("-")
        store = getattr(self, f"_{kind}")()
        if wrapper == "synced":
            return SyncedFeatureFlagStore(store, poll_interval=0.3)
        if wrapper == "cached":
            return CachedFeatureFlagStore(store, invalidate=True)
        return store

    def _redis(self) -> Any:
        host, port = self.redis
        client = redis.Redis(host, port, socket_timeout=5)
        return RedisFeatureFlagStore(client, self.place)

    def _postgres(self) -> Any:
        return PostgreSQLFeatureFlagStore(self.postgres)

    def _consul(self) -> Any:
        return ConsulFeatureFlagStore(consul.Consul(*self.consul), self.place)

    def _s3(self) -> Any:
        session = Session("testing", "testing", region_name="us-east-1")
        client = session.client("s3", endpoint_url=self.s3)
        return S3FeatureFlagStore(client, self.place)

    def _thrift(self) -> Any:
        transport = TBufferedTransport(TSocket(*self.thrift))
        client = FeatureFlagStore.Client(TBinaryProtocol(transport))
        return ThriftRPCFeatureFlagStore(client)

    def _sqlite(self) -> Any:
        return SQLiteFeatureFlagStore(self.sqlite)


def disconnect(store: Any) -> None:
    """Close a plain store, and the connections of its driver's client."""
    if hasattr(store, "close"):
        store.close()
    client = getattr(store, "_redis", None) or getattr(store, "_client", None)
    session = getattr(getattr(store, "_consul", None), "http", None)
    if isinstance(client, FeatureFlagStore.Client):
        client._iprot.trans.close()
    elif client is not None:
        client.close()
    elif session is not None:
        session.session.close()
