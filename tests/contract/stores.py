# SPDX-License-Identifier: Apache-2.0
"""The stores that the contract runs on, and the stacks made of them.

A new store is a class with what `StoreContract` asks for, and a line in `STORES`. The
name is what `make contract STORE=name` looks for, in capitals or not.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from itertools import islice
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import fakeredis
import psycopg
import pytest
import redis
from psycopg.sql import SQL, Identifier
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.transport.TSocket import TSocket
from thrift.transport.TTransport import TBufferedTransport

from flipper import (
    CachedFeatureFlagStore,
    ConsulFeatureFlagStore,
    FlagDoesNotExistError,
    MemoryFeatureFlagStore,
    PostgreSQLFeatureFlagStore,
    RedisFeatureFlagStore,
    ReplicatedFeatureFlagStore,
    S3FeatureFlagStore,
    SQLiteFeatureFlagStore,
    SyncedFeatureFlagStore,
    ThriftRPCFeatureFlagStore,
)
from flipper.contracts.atomic import ABSENT, ANY
from flipper.contracts.document import DocumentFeatureFlagStore
from flipper.contracts.watch import SupportsWatch, WatchQueue, WatchRefusedError
from flipper.contracts.wrapper import FeatureFlagStoreWrapper
from flipper.contrib.interface import AbstractFeatureFlagStore
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.contrib.util.date import now
from flipper.exceptions import InvalidFlagDataError
from flipper.testing.contract import eventually, innermost
from flipper_thrift.python.feature_flag_store import FeatureFlagStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import S3Buckets, ThriftService
    from servers import RedisServer


class Duck:
    """A store as users wrote them: six methods, and no class of flipper's as its base.

    Args:
        rows: where the documents are, by name.
    """

    def __init__(self, rows: dict[str, bytes]) -> None:
        self.rows = rows

    def create(
        self,
        feature_name: str,
        is_enabled: bool = False,
        client_data: dict[str, Any] | None = None,
    ) -> FeatureFlagStoreItem:
        """Write a new flag."""
        meta = FeatureFlagStoreMeta(now(), client_data=client_data)
        return self._put(FeatureFlagStoreItem(feature_name, is_enabled, meta))

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Read a flag."""
        row = self.rows.get(feature_name)
        return None if row is None else FeatureFlagStoreItem.deserialize(row)

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Write the state."""
        item = self.get(feature_name)
        if item is None:
            self.create(feature_name, is_enabled)
        else:
            meta = FeatureFlagStoreMeta.from_dict(item.meta)
            self._put(FeatureFlagStoreItem(feature_name, is_enabled, meta))

    def delete(self, feature_name: str) -> None:
        """Remove a flag."""
        self.rows.pop(feature_name, None)

    def list(
        self, limit: int | None = None, offset: int = 0
    ) -> Iterator[FeatureFlagStoreItem]:
        """List the flags by name."""
        end = None if limit is None else offset + limit
        for name in sorted(self.rows)[offset:end]:
            try:
                item = self.get(name)
            except InvalidFlagDataError:
                continue
            if item is not None:
                yield item

    def set_meta(self, feature_name: str, meta: FeatureFlagStoreMeta) -> None:
        """Write the metadata."""
        item = self.get(feature_name)
        if item is None:
            raise FlagDoesNotExistError(f"Feature {feature_name} does not exist")
        self._put(FeatureFlagStoreItem(feature_name, item.raw_is_enabled, meta))

    def _put(self, item: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
        self.rows[item.feature_name] = item.serialize()
        return item


class Subclass(Duck, AbstractFeatureFlagStore):
    """The same, as a subclass of the interface."""


_rows_lock = threading.Lock()  # as a server has one for all who ask it


class Table(dict[str, bytes]):
    """Rows on a server that reports changes to all listeners."""

    def __init__(self) -> None:
        super().__init__()
        self.watches: list[WatchQueue] = []

    def report(self, feature_name: str) -> None:
        """Report a change of a row."""
        for watch in list(self.watches):
            watch.report(feature_name)


class Rows(SupportsWatch, DocumentFeatureFlagStore):
    """A store of four hooks that deal in bytes, over a dict.

    Args:
        rows: where the documents are, by name; a `Table` also reports changes.
    """

    def __init__(self, rows: dict[str, bytes]) -> None:
        super().__init__()
        self.rows = rows

    def watch(self) -> WatchQueue:
        """Listen to the table."""
        if not isinstance(self.rows, Table):
            raise WatchRefusedError("these rows are a plain dict")
        watches = self.rows.watches
        queue = WatchQueue(lambda: watches.remove(queue))
        watches.append(queue)
        return queue

    def report(self, feature_name: str) -> None:
        """Report a change to all listeners."""
        if isinstance(self.rows, Table):
            self.rows.report(feature_name)

    def _read(self, feature_name: str) -> tuple[bytes, Any] | None:
        row = self.rows.get(feature_name)
        return None if row is None else (row, row)

    def _replace(self, feature_name: str, document: bytes, expected: Any) -> bool:
        with _rows_lock:
            found = self.rows.get(feature_name, ABSENT)
            if expected is not ANY and found != expected:
                return False
            self.rows[feature_name] = document
        self.report(feature_name)
        return True

    def _remove(self, feature_name: str) -> None:
        with _rows_lock:
            self.rows.pop(feature_name, None)
        self.report(feature_name)

    def _documents(self, offset: int, limit: int | None) -> Iterator[tuple[str, bytes]]:
        end = None if limit is None else offset + limit
        for name in islice(sorted(self.rows), offset, end):
            row = self.rows.get(name)
            if row is not None:
                yield name, row

    def _now(self) -> int:
        return now()


class Memory:
    """Live objects in a dict."""

    atomic = True

    def make_store(self) -> Any:
        """Make a store of its own."""
        return MemoryFeatureFlagStore()


class OldStyle:
    """Documents in a dict, written by the six methods only."""

    atomic = False
    repetitions = 20
    kind: type[Any] = Subclass
    table: type[dict[str, bytes]] = dict

    def make_store(self) -> Any:
        """Make a store with rows of its own."""
        return self.kind(self.table())

    def open_again(self, store: Any) -> Any:
        """Make another with the same rows."""
        return self.kind(innermost(store).rows)

    def write_document(self, store: Any, feature_name: str, document: bytes) -> None:
        """Write a row."""
        innermost(store).rows[feature_name] = document

    def read_document(self, store: Any, feature_name: str) -> bytes | None:
        """Read a row."""
        return innermost(store).rows.get(feature_name)


class DuckTyped(OldStyle):
    """The same, without a base class."""

    kind = Duck


class Documents(OldStyle):
    """Documents in a dict, written by hooks."""

    atomic = True
    kind = Rows
    table = Table


class FakeRedis:
    """Strings in a double of a Redis, as applications have it in their tests."""

    atomic = True
    repetitions = 20

    @pytest.fixture(autouse=True)
    def _connect(self) -> None:
        self.redis = fakeredis.FakeRedis()

    def make_store(self) -> Any:
        """Make a store under a key of its own."""
        return RedisFeatureFlagStore(self.redis, base_key=f"contract-{uuid4().hex}")

    def open_again(self, store: Any) -> Any:
        """Make another with the same key."""
        return RedisFeatureFlagStore(self.redis, base_key=innermost(store).base_key)

    def write_document(self, store: Any, feature_name: str, document: bytes) -> None:
        """Write a string."""
        self.redis.set(f"{innermost(store).base_key}/{feature_name}", document)

    def read_document(self, store: Any, feature_name: str) -> bytes | None:
        """Read a string."""
        return self.redis.get(f"{innermost(store).base_key}/{feature_name}")


@pytest.mark.redis
class Redis(FakeRedis):
    """Strings in a Redis server."""

    @pytest.fixture(autouse=True)
    def _connect(self, redis_server: RedisServer) -> Iterator[None]:
        with contextlib.closing(redis.Redis.from_url(redis_server.url)) as self.redis:
            yield


class Following(ConsulFeatureFlagStore):
    """A store whose thread waits for changes for one second only, and so ends soon."""

    wait = 1


@pytest.mark.consul
class Consul:
    """Keys in a Consul server, followed by a copy."""

    atomic = True
    repetitions = 6
    refused_names = ("/a", "a//b", ".", "../a", "a\nb", "a\tb")

    @pytest.fixture(autouse=True)
    def _connect(self, contract_consul: Any) -> None:
        self.consul = contract_consul

    def make_store(self) -> Any:
        """Make a store under a key of its own."""
        return Following(self.consul, base_key=f"contract-{uuid4().hex}")

    def close_store(self, store: Any) -> None:
        """End its thread."""
        store.close()

    def open_again(self, store: Any) -> Any:
        """Make another with the same key."""
        return Following(self.consul, base_key=innermost(store).base_key)

    def write_document(self, store: Any, feature_name: str, document: bytes) -> None:
        """Write a value, and wait until the copy has it."""
        store = innermost(store)
        self.consul.kv.put(f"{store.base_key}/{feature_name}", document)
        eventually(lambda: _is_there(store, feature_name))

    def read_document(self, store: Any, feature_name: str) -> bytes | None:
        """Read a value."""
        key = f"{innermost(store).base_key}/{feature_name}"
        row = self.consul.kv.get(key)[1]
        return None if row is None else row["Value"]


def _has(store: Any, feature_name: str, document: bytes) -> bool:
    item = store.get(feature_name)
    wanted = FeatureFlagStoreItem.deserialize(document).with_name(feature_name)
    return item is not None and item.to_dict() == wanted.to_dict()


def _is_there(store: Any, feature_name: str) -> bool:
    try:
        return store.get(feature_name) is not None
    except InvalidFlagDataError:
        return True


@pytest.mark.postgres
class PostgreSQL:
    """Rows in a PostgreSQL server."""

    atomic = True
    repetitions = 10

    @pytest.fixture(autouse=True)
    def _connect(self, contract_database: str) -> Iterator[None]:
        self.conninfo = contract_database
        with psycopg.connect(contract_database, autocommit=True) as self.connection:
            yield

    def make_store(self) -> Any:
        """Make a store with a table of its own."""
        return self._open(f"contract_{uuid4().hex}")

    def close_store(self, store: Any) -> None:
        """Close its connections."""
        store.close()

    def open_again(self, store: Any) -> Any:
        """Make another with the same table."""
        return self._open(innermost(store).table)

    def write_document(self, store: Any, feature_name: str, document: bytes) -> None:
        """Write a row."""
        table = Identifier(innermost(store).table)
        insert = SQL("INSERT INTO {} VALUES (%s, %s)").format(table)
        self.connection.execute(insert, (feature_name, document))

    def read_document(self, store: Any, feature_name: str) -> bytes | None:
        """Read a row."""
        table = Identifier(innermost(store).table)
        select = SQL("SELECT item FROM {} WHERE name = %s").format(table)
        row = self.connection.execute(select, (feature_name,)).fetchone()
        return None if row is None else bytes(row[0])

    def _open(self, table: str) -> Any:
        store = PostgreSQLFeatureFlagStore(self.conninfo, table_name=table)
        store.table = table
        return store


class SQLite:
    """Rows in a file of SQLite."""

    atomic = True
    repetitions = 10

    @pytest.fixture(autouse=True)
    def _give_folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def make_store(self) -> Any:
        """Make a store with a file of its own."""
        return SQLiteFeatureFlagStore(self.folder / f"{uuid4().hex}.db")

    def close_store(self, store: Any) -> None:
        """Close its connections."""
        store.close()

    def open_again(self, store: Any) -> Any:
        """Make another with the same file."""
        return SQLiteFeatureFlagStore(innermost(store).path)

    def write_document(self, store: Any, feature_name: str, document: bytes) -> None:
        """Write a row."""
        self._execute(
            store, "INSERT INTO feature_flags VALUES (?, ?)", feature_name, document
        )

    def read_document(self, store: Any, feature_name: str) -> bytes | None:
        """Read a row."""
        select = "SELECT item FROM feature_flags WHERE name = ?"
        rows = self._execute(store, select, feature_name)
        return rows[0][0] if rows else None

    def _execute(self, store: Any, statement: str, *parameters: Any) -> list[Any]:
        path = innermost(store).path
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as file:
            return file.execute(statement, parameters).fetchall()


@pytest.mark.s3
class S3:
    """Objects in an S3 server."""

    atomic = True
    repetitions = 3
    refused_names = ("a\nb",)  # by the server of the tests; S3 itself keeps it

    @pytest.fixture(autouse=True)
    def _connect(self, contract_buckets: S3Buckets) -> None:
        self.s3 = contract_buckets.client
        self.make_bucket = contract_buckets.make

    def make_store(self) -> Any:
        """Make a store in a bucket of its own."""
        return self._open(self.make_bucket())

    def open_again(self, store: Any) -> Any:
        """Make another in the same bucket."""
        return self._open(innermost(store).bucket)

    def write_document(self, store: Any, feature_name: str, document: bytes) -> None:
        """Write an object."""
        bucket = innermost(store).bucket
        self.s3.put_object(Bucket=bucket, Key=feature_name, Body=document)

    def read_document(self, store: Any, feature_name: str) -> bytes | None:
        """Read an object."""
        bucket = innermost(store).bucket
        try:
            found = self.s3.get_object(Bucket=bucket, Key=feature_name)
        except self.s3.exceptions.NoSuchKey:
            return None
        return found["Body"].read()

    def _open(self, bucket: str) -> Any:
        store = S3FeatureFlagStore(self.s3, bucket)
        store.bucket = bucket
        return store


@pytest.mark.thrift
class Thrift:
    """A store in memory behind a Thrift service."""

    atomic = False
    repetitions = 10

    @pytest.fixture(autouse=True)
    def _connect(self, thrift_service: ThriftService) -> Iterator[None]:
        self.service = thrift_service
        with contextlib.ExitStack() as self.transports:
            yield

    def make_store(self) -> Any:
        """Serve an empty store, and make one that asks the service."""
        FeatureFlagStoreWrapper.__init__(self.service.served, MemoryFeatureFlagStore())
        return self.open_again(None)

    def open_again(self, store: Any) -> Any:
        """Make another that asks the same service."""
        transport = TBufferedTransport(TSocket(*self.service.address))
        transport.open()
        self.transports.callback(transport.close)
        client = FeatureFlagStore.Client(TBinaryProtocol(transport))
        return ThriftRPCFeatureFlagStore(client)


class Cached:
    """A cache before the store."""

    ttl: float | None = None
    size = 5000
    invalidate = False

    def make_store(self) -> Any:
        """Put the cache before it."""
        return CachedFeatureFlagStore(
            super().make_store(),
            size=self.size,
            ttl=self.ttl,
            invalidate=self.invalidate,
        )

    def close_store(self, store: Any) -> None:
        """Close the inner store."""
        super().close_store(innermost(store))


class CachedBriefly(Cached):
    """A cache whose entries expire all the time."""

    ttl = 0.002


class CachedExpired(Cached):
    """A cache whose entries have expired when they are put in."""

    ttl = -10


class CachedTiny(Cached):
    """A cache that forgets whatever is not asked for at once."""

    size = 1


class CachedEmpty(Cached):
    """A cache that keeps nothing."""

    size = 0


class CachedInvalidated(Cached):
    """A cache that listens to the changes of the store."""

    invalidate = True

    def make_store(self) -> Any:
        """Put the cache before it, and wait until it listens."""
        store = super().make_store()
        eventually(lambda: store._listener._is_listening)
        return store

    def close_store(self, store: Any) -> None:
        """Stop listening, and close the inner store."""
        if isinstance(store, CachedFeatureFlagStore):
            store.close()
        super().close_store(store)

    def test_what_another_process_writes_is_seen(self, store: Any) -> None:
        """Entries never expire, but are dropped when another process writes."""
        other = self.open_again(store)
        try:
            for _ in range(5):
                assert store.get("f") is None
                other.create("f")
                eventually(lambda: store.get("f") is not None)
                for is_enabled in (True, False):
                    other.set("f", is_enabled)
                    eventually(
                        lambda on=is_enabled: store.get("f").raw_is_enabled is on
                    )
                other.delete("f")
                eventually(lambda: store.get("f") is None)
        finally:
            self.close_store(other)


class Synced:
    """A copy of all flags in front of the store, which it polls all the time."""

    broken_is_missing = True

    def make_store(self) -> Any:
        """Put the copy before it."""
        return SyncedFeatureFlagStore(super().make_store(), poll_interval=0.05)

    def close_store(self, store: Any) -> None:
        """Stop following, and close the inner store."""
        if isinstance(store, SyncedFeatureFlagStore):
            store.close()
        super().close_store(innermost(store))

    def write_document(self, store: Any, feature_name: str, document: bytes) -> None:
        """Write it, and wait until the copy has it if it is a flag."""
        super().write_document(store, feature_name, document)
        with contextlib.suppress(InvalidFlagDataError):
            FeatureFlagStoreItem.deserialize(document)
            if isinstance(store, SyncedFeatureFlagStore):
                eventually(lambda: _has(store, feature_name, document))


class Replicated:
    """A replica in memory beside the store, which is the primary."""

    def make_store(self) -> Any:
        """Put a replica beside it."""
        replica = MemoryFeatureFlagStore()
        return ReplicatedFeatureFlagStore(super().make_store(), replica)

    def close_store(self, store: Any) -> None:
        """Wait until the replica has all writes, and close the primary."""
        if isinstance(store, ReplicatedFeatureFlagStore):
            store.close()
        super().close_store(innermost(store))


class Wrapped:
    """A wrapper that changes nothing."""

    def make_store(self) -> Any:
        """Put the wrapper around it."""
        return FeatureFlagStoreWrapper(super().make_store())

    def close_store(self, store: Any) -> None:
        """Close the inner store."""
        super().close_store(innermost(store))


# Of each store: the stacks that it is run in, beside itself. The first class is the
# outermost, so `Cached, Replicated` is a cache before a replicated store.
USUAL = [(Cached,), (Replicated,)]
FOLLOWED = [*USUAL, (Synced,)]
STORES: dict[type[Any], list[tuple[type[Any], ...]]] = {
    Memory: [
        *FOLLOWED,
        (CachedBriefly,),
        (CachedExpired,),
        (CachedTiny,),
        (CachedEmpty,),
        (Wrapped,),
        (Cached, Replicated),
        (Replicated, Cached),
    ],
    OldStyle: [*FOLLOWED, (Wrapped,)],
    DuckTyped: [(Cached,)],
    Documents: [*USUAL, (CachedInvalidated,)],
    FakeRedis: [],
    Redis: [*FOLLOWED, (CachedInvalidated,)],
    # Most stacks are the same over every server, and these take their time.
    Consul: [(Synced,)],
    PostgreSQL: [(Synced,)],
    SQLite: [(Synced,), (CachedInvalidated,)],
    S3: [],
    Thrift: USUAL,
}
