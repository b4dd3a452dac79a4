# SPDX-License-Identifier: Apache-2.0
"""Golden cases: store operations and the raw data they leave behind."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import boto3
import fakeredis
import psycopg
import psycopg.sql
import pytest
from consul_kv import ConsulClient
from golden import Case, agree, cases, decode, encode, outcome

from flipper import (
    CachedFeatureFlagStore,
    ConsulFeatureFlagStore,
    MemoryFeatureFlagStore,
    PostgreSQLFeatureFlagStore,
    RedisFeatureFlagStore,
    ReplicatedFeatureFlagStore,
    S3FeatureFlagStore,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

NO_SERVER = ("memory", "cached", "replicated")
BUCKET = "flags-bucket"


class Backend:
    """A store under test, and access to its raw data."""

    store: Any
    in_order = True

    def preload(self, rows: list[list[str]]) -> None:
        """Write raw data before the store is used."""
        raise NotImplementedError

    def state(self) -> Any:
        """Return the raw data as pairs of key and text, sorted by key."""
        raise NotImplementedError

    def sync(self) -> None:
        """Wait until the store has seen everything."""

    def close(self) -> None:
        """Close what the store uses."""


def in_memory(store: MemoryFeatureFlagStore) -> list[list[str]]:
    """Return the raw data of a memory store, as if it wrote bytes."""
    items = sorted(store.list(), key=lambda item: item.feature_name)
    return [[item.feature_name, item.serialize().decode()] for item in items]


class Memory(Backend):
    """A memory store."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.store = MemoryFeatureFlagStore(**options)

    def state(self) -> Any:
        """Return the raw data, read without the store."""
        return in_memory(self.store)


class Cached(Backend):
    """A cache over a memory store, whose data is compared."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.inner = MemoryFeatureFlagStore()
        self.store = CachedFeatureFlagStore(self.inner, **options)

    def state(self) -> Any:
        """Return the raw data, read without the store."""
        return in_memory(self.inner)


class ReplicatedSynchronously(ReplicatedFeatureFlagStore):
    """Wait for the replicas with every write."""

    def create(self, *args: Any, **kwargs: Any) -> str:
        """Write everywhere, and return "replicated"."""
        super().create(*args, asynch=False, **kwargs)
        return "replicated"

    def set(self, *args: Any, **kwargs: Any) -> None:
        """Write everywhere."""
        super().set(*args, asynch=False, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> None:
        """Write everywhere."""
        super().delete(*args, asynch=False, **kwargs)

    def set_meta(self, *args: Any, **kwargs: Any) -> None:
        """Write everywhere."""
        super().set_meta(*args, asynch=False, **kwargs)


class Replicated(Backend):
    """One primary and two replicas, all in memory."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.stores = [MemoryFeatureFlagStore() for _ in range(3)]
        self.store = ReplicatedSynchronously(
            *self.stores, replication_timeout=30, **options
        )

    def state(self) -> Any:
        """Return the raw data, read without the store."""
        return [in_memory(store) for store in self.stores]


class Redis(Backend):
    """A Redis in this process."""

    in_order = False

    def __init__(self, options: dict[str, Any]) -> None:
        self.redis = fakeredis.FakeRedis()
        self.store = RedisFeatureFlagStore(self.redis, **options)

    def preload(self, rows: list[list[str]]) -> None:
        """Write raw data without the store."""
        for key, text in rows:
            self.redis.set(key, text)

    def state(self) -> Any:
        """Return the raw data, read without the store."""
        keys = sorted(key.decode() for key in self.redis.scan_iter())
        return [[key, self.redis.get(key).decode()] for key in keys]


class S3(Backend):
    """A bucket in this process."""

    def __init__(self, options: dict[str, Any], client: Any) -> None:
        self.client = client
        options = {"bucket_name": BUCKET, **options}
        self.bucket = options["bucket_name"]
        client.create_bucket(Bucket=self.bucket)
        self.store = S3FeatureFlagStore(client, **options)

    def preload(self, rows: list[list[str]]) -> None:
        """Write raw data without the store."""
        for key, text in rows:
            self.client.put_object(Bucket=self.bucket, Key=key, Body=text.encode())

    def _keys(self) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket
        )
        return sorted(row["Key"] for page in pages for row in page.get("Contents", []))

    def state(self) -> Any:
        """Return the raw data, read without the store."""

        def text(key: str) -> str:
            found = self.client.get_object(Bucket=self.bucket, Key=key)
            return found["Body"].read().decode()

        return [[key, text(key)] for key in self._keys()]

    def close(self) -> None:
        """Delete what the case has left."""
        for key in self._keys():
            self.client.delete_object(Bucket=self.bucket, Key=key)
        self.client.delete_bucket(Bucket=self.bucket)


class Consul(Backend):
    """A Consul in this process."""

    def __init__(self, options: dict[str, Any], preload: list[list[str]]) -> None:
        self.consul = ConsulClient()
        for key, text in preload:
            self.consul.kv.put(key, text)
        self.store = ConsulFeatureFlagStore(self.consul, **options)

    def preload(self, rows: list[list[str]]) -> None:
        """Do nothing, since the data was written before the store was made."""

    def state(self) -> Any:
        """Return the raw data, read without the store."""
        raw = self.consul.kv.raw()
        return [[key, (raw[key] or b"").decode()] for key in sorted(raw)]

    def sync(self) -> None:
        """Wait for the store's thread."""
        self.consul.kv.sync()

    def close(self) -> None:
        """Delete what the case has left."""
        self.consul.kv.close()
        if hasattr(self.store, "close"):
            self.store.close()


class Postgres(Backend):
    """A table of a real server."""

    in_order = False

    def __init__(self, options: dict[str, Any], conninfo: str) -> None:
        self.connection = psycopg.connect(conninfo, autocommit=True)
        self.names = {
            "table": psycopg.sql.Identifier(options.get("table_name", "feature_flags")),
            "name": psycopg.sql.Identifier(options.get("name_column", "name")),
            "item": psycopg.sql.Identifier(options.get("item_column", "item")),
        }
        self._do("DROP TABLE IF EXISTS {table}")
        self.store = PostgreSQLFeatureFlagStore(conninfo, **options)

    def _do(self, text: str, *parameters: Any) -> Any:
        query = psycopg.sql.SQL(text).format(**self.names)
        return self.connection.execute(query, parameters or None)

    def preload(self, rows: list[list[str]]) -> None:
        """Write raw data without the store."""
        insert = "INSERT INTO {table} ({name}, {item}) VALUES (%s, %s)"
        for key, text in rows:
            self._do(insert, key, text.encode())

    def state(self) -> Any:
        """Return the raw data, read without the store."""
        rows = self._do("SELECT {name}, {item} FROM {table}").fetchall()
        return sorted([key, bytes(data).decode()] for key, data in rows)

    def close(self) -> None:
        """Delete what the case has left."""
        if hasattr(self.store, "close"):
            self.store.close()
        self._do("DROP TABLE {table}")
        self.connection.close()


@pytest.fixture(scope="module")
def moto_client() -> Iterator[Any]:
    """A real client whose requests are answered in this process."""
    with pytest.importorskip("moto").mock_aws():
        yield boto3.client(
            "s3",
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",  # noqa: S106 (nobody checks it)
        )


@pytest.fixture
def backend(case: Case, request: pytest.FixtureRequest) -> Iterator[Backend]:
    """The store that the case asks for, on data of its own."""
    given = case["given"]
    options = decode(given.get("options") or {})
    preload = given.get("preload", [])
    made: Backend
    match given["backend"]:
        case "memory":
            made = Memory(options)
        case "cached":
            made = Cached(options)
        case "replicated":
            made = Replicated(options)
        case "redis":
            made = Redis(options)
        case "s3":
            made = S3(options, request.getfixturevalue("moto_client"))
        case "consul":
            made = Consul(options, preload)
        case "postgres":
            made = Postgres(options, request.getfixturevalue("postgres_conninfo"))
    if preload:
        made.preload(preload)
    yield made
    made.close()


def names(backend: Backend, *args: Any, **kwargs: Any) -> list[str]:
    """List the names, sorted where their order is not fixed."""
    found = [item.feature_name for item in backend.store.list(*args, **kwargs)]
    return found if backend.in_order else sorted(found)


def pages(backend: Backend, size: int) -> list[str]:
    """List the names page by page, and return them together."""
    found: list[str] = []
    while page := names(backend, limit=size, offset=len(found)):
        found += page
    return found if backend.in_order else sorted(found)


def perform(backend: Backend, op: str, args: Any, kwargs: Any) -> Any:
    """Do one operation on the store."""
    if op == "list_names":
        return names(backend, *args, **kwargs)
    if op == "list_count":
        found = names(backend, *args, **kwargs)
        return [len(found), len(set(found))]
    if op == "list_pages":
        return pages(backend, *args, **kwargs)
    if op == "is_enabled":
        return backend.store.get(*args).is_enabled(**kwargs)
    target = backend.store
    if op.startswith("inner."):
        target, op = backend.inner, op.removeprefix("inner.")
    return getattr(target, op)(*args, **kwargs)


def marker(case: Case) -> str | None:
    """Return the marker of a case that needs a server."""
    name = case["given"]["backend"]
    return None if name in NO_SERVER else name


@pytest.mark.parametrize("case", cases("keys", marker))
def test_stored_data_is_that_of_flipper_client(case: Case, backend: Backend) -> None:
    """Both libraries can work with the same keys, rows and bytes."""
    returned = []
    for step in case["given"]["ops"]:
        if step["op"] == "sync":
            backend.sync()
            continue
        args, kwargs = decode(step.get("args", [])), decode(step.get("kwargs", {}))
        returned.append(outcome(partial(perform, backend, step["op"], args, kwargs)))
    wanted = case["expect"]
    agree({"returned": wanted["returned"]}, returned)
    agree({"state": wanted["state"]}, encode(backend.state()))
