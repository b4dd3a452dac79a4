# SPDX-License-Identifier: Apache-2.0
"""The databases: starts them, and fills, reads and changes them by their drivers."""

from __future__ import annotations

import contextlib
import tempfile
from abc import ABCMeta, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Documents = Iterable[tuple[str, bytes]]


def documents(flags: int) -> list[tuple[str, bytes]]:
    """Return names and documents of flags with one condition of two checks each."""
    return [(name, document(name)) for name in names(flags)]


def names(flags: int) -> list[str]:
    """Return the names of the flags."""
    return [f"feature-{number:06d}" for number in range(flags)]


def document(name: str, *, is_enabled: bool = True) -> bytes:
    """Return the document of one flag."""
    from flipper import Condition
    from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta

    meta = FeatureFlagStoreMeta(1, conditions=[Condition(plan="pro", seats__gt=10)])
    return FeatureFlagStoreItem(name, is_enabled, meta).serialize()


def missing(name: str) -> str | None:
    """Return why a server cannot be started; `None` if it can."""
    from servers.process import ServerMissingError

    try:
        with start(name):
            return None
    except ServerMissingError as error:
        return str(error)


@contextlib.contextmanager
def start(name: str) -> Iterator[str]:
    """Start a server, and give the URL of an empty database.

    Raises:
        ServerMissingError: it is not installed.
    """
    from servers import PostgresServer, RedisServer

    if name == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/flags.db"
    elif name == "postgresql":
        with PostgresServer() as postgres:
            yield f"postgresql://postgres@{postgres.host}:{postgres.port}/postgres"
    else:
        with RedisServer() as redis:
            yield f"redis://{redis.host}:{redis.port}"


def connect(url: str) -> Database:
    """Connect to the database of a URL. It has to have the table of the flags."""
    kinds: dict[str, Any] = {
        "sqlite": SQLite,
        "postgresql": PostgreSQL,
        "redis": Redis,
    }
    database: Database = kinds[url.partition(":")[0]](url)
    return database


class Database(metaclass=ABCMeta):
    """A database, without flipper. For one thread at a time.

    Args:
        url: where it is.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    @abstractmethod
    def write(self, documents: Documents) -> None:
        """Write documents, and replace those that are there already."""

    @abstractmethod
    def read(self) -> None:
        """Connect, and read all names and documents."""


class SQLite(Database):
    """A file of SQLite."""

    def __init__(self, url: str) -> None:
        import sqlite3

        super().__init__(url)
        self._path = url.removeprefix("sqlite:///")
        self._raw = sqlite3.connect(self._path, timeout=30)
        self._raw.execute("PRAGMA synchronous = OFF")

    def write(self, documents: Documents) -> None:
        """Write documents in one transaction."""
        self._raw.executemany(
            "INSERT INTO feature_flags VALUES (?, ?) "
            "ON CONFLICT (name) DO UPDATE SET item = excluded.item",
            documents,
        )
        self._raw.commit()

    def read(self) -> None:
        """Read in one statement."""
        import sqlite3

        with contextlib.closing(sqlite3.connect(self._path)) as raw:
            raw.execute("SELECT name, item FROM feature_flags ORDER BY name").fetchall()


class PostgreSQL(Database):
    """A table of PostgreSQL."""

    def __init__(self, url: str) -> None:
        import psycopg

        super().__init__(url)
        self._raw = psycopg.connect(url)

    def write(self, documents: Documents) -> None:
        """Write documents in one transaction."""
        with self._raw.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO feature_flags VALUES (%s, %s) "
                "ON CONFLICT (name) DO UPDATE SET item = excluded.item",
                documents,
            )
        self._raw.commit()

    def read(self) -> None:
        """Read in one statement."""
        import psycopg

        with psycopg.connect(self.url) as raw, raw.cursor(binary=True) as cursor:
            cursor.execute("SELECT name, item FROM feature_flags ORDER BY name")
            cursor.fetchall()


class Redis(Database):
    """The keys of a Redis server."""

    def __init__(self, url: str) -> None:
        import redis

        super().__init__(url)
        self._raw: Any = redis.Redis.from_url(url)

    def write(self, documents: Documents) -> None:
        """Write documents in one round trip."""
        pipe = self._raw.pipeline(transaction=False)
        for name, found in documents:
            pipe.set(f"features/{name}", found)
        pipe.execute()

    def read(self) -> None:
        """Read a hundred documents in each round trip."""
        import redis

        with redis.Redis.from_url(self.url) as raw:
            keys: Any = [*raw.scan_iter(match="features/*", count=1000)]
            for begin in range(0, len(keys), 100):
                raw.mget(keys[begin : begin + 100])
