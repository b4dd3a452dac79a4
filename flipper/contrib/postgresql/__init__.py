# SPDX-License-Identifier: Apache-2.0
"""Flags in a table of PostgreSQL: the store keeps each flag in a row; needs psycopg 3.

`connections` lends connections, from `pools` and with `time_limits`. `table` runs
statements, `migrations` and `triggers` prepare the table, as the `first_task` of a
store. `watch` listens to changes.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from ...arguments import check_seconds
from ...contracts.atomic import ABSENT, ANY
from ...contracts.document import DocumentFeatureFlagStore
from ...contracts.watch import SupportsWatch, WatchRefusedError
from ...exceptions import InvalidArgumentError, MissingDependencyError
from ...runtime.closing import Closeable
from ..interface import AbstractFeatureFlagStore as AbstractFeatureFlagStore
from ..interface import FlagDoesNotExistError as FlagDoesNotExistError
from ..storage import FeatureFlagStoreItem as FeatureFlagStoreItem
from ..storage import FeatureFlagStoreMeta as FeatureFlagStoreMeta
from ..util.date import now

# This module can be imported without psycopg, and without its library libpq.
try:
    from psycopg import Connection, errors
    from psycopg import connect as connect
    from psycopg import sql as sql

    from .connections import Connections
    from .migrations import migrate, name_length_limits
    from .table import Table
    from .time_limits import default_timeout
    from .watch import PostgreSQLWatch
except ImportError:
    POSTGRES_ENABLED = False
else:
    POSTGRES_ENABLED = True

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from psycopg_pool import ConnectionPool

logger = logging.getLogger(__name__)

# The collation "C" orders names by code points, whatever the order of the database is,
# and `list` can read them in this order from the index.
CREATE_TABLE_SQL = """
    CREATE TABLE IF NOT EXISTS {table}
        ({name} text COLLATE "C" PRIMARY KEY, {item} bytea NOT NULL)
"""
CREATE_ITEM_SQL = """
    INSERT INTO {table} ({name}, {item}) VALUES (%s, %s)
        ON CONFLICT ({name}) DO UPDATE SET {item} = EXCLUDED.{item}
"""
DELETE_ITEM_SQL = "DELETE FROM {table} WHERE {name} = %s"
LIST_ITEMS_SQL = """
    SELECT {name}, {item} FROM {table}
        WHERE %(after)s::text IS NULL OR {name} COLLATE "C" > %(after)s
        ORDER BY {name} COLLATE "C" LIMIT %(limit)s OFFSET %(offset)s
"""
SELECT_ITEM_SQL = "SELECT {item} FROM {table} WHERE {name} = %s"
SELECT_ITEMS_SQL = "SELECT {name}, {item} FROM {table} WHERE {name} = ANY(%s)"
UPDATE_ITEM_SQL = "UPDATE {table} SET {item} = %s WHERE {name} = %s AND {item} = %s"

_INSERT_SQL: Final = """
    INSERT INTO {table} ({name}, {item}) VALUES (%s, %s) ON CONFLICT DO NOTHING
"""
_NOTIFY_SQL: Final = "SELECT pg_notify(%s, '')"

# Rows that `list` reads by its first statement, and by each later one.
_FIRST_BATCH_SIZE: Final = 100
_BATCH_SIZE: Final = 5000
_LISTENER_CONNECT_TIMEOUT: Final = 3  # seconds
_LARGEST_OFFSET: Final = 2**63 - 1


class PostgresNotEnabled(MissingDependencyError):  # noqa: N818  (flipper-client's name)
    """psycopg or psycopg_pool cannot be imported."""

    def __init__(self) -> None:
        super().__init__(
            "Postgres is not enabled, please install extra dependency [postgres]"
        )

    def __reduce__(self) -> tuple[type[PostgresNotEnabled], tuple[()]]:
        """Let pickle call the constructor without a message."""
        return type(self), ()


class PostgreSQLFeatureFlagStore(Closeable, SupportsWatch, DocumentFeatureFlagStore):
    """Keeps each flag in a row of one table. Safe for threads and forks.

    `list` returns flags by name, in the order of code points. It reads some hundreds
    or thousands of rows at a time, and holds no connection in between.

    A write compares and sets in one statement. The store raises the errors of psycopg
    unchanged. A write whose reply is lost raises an error, and may have taken effect.

    The store keeps its connections, and replaces those that are lost. With a connection
    string, connecting gives up after its `connect_timeout`, or else 5 seconds. A
    statement without an answer gives up after `timeout` with psycopg 3.2 or newer.

    A store can be created while the server is down. It then logs a warning, and creates
    the table before the first statement that reaches the server. Errors that do not
    pass by themselves raise at once: a wrong password, an unknown role or database.

    Args:
        conninfo: a connection string or URI of libpq, or an open
            `psycopg_pool.ConnectionPool`, which the caller has to close.
        table_name: the table. The names of the table and of the columns are used
            literally, with upper case letters, dots and spaces.
        name_column: the column of the feature names.
        item_column: the column of the items.
        run_migrations: whether to do the work of `run_migrations()` as soon as the
            server answers.
        timeout: seconds to wait for the answer to a statement, 30 by default.
            Connections of a given pool do not have this limit.

    Raises:
        PostgresNotEnabled: psycopg is not installed.
        InvalidArgumentError: `conninfo` is neither text nor a pool, or `timeout` is no
            time.
        psycopg.ProgrammingError: `conninfo` is not a valid connection string, or the
            table is missing and its role may not create it.
        psycopg.OperationalError: the server refuses the connection.
    """

    _documents_are_tokens = True

    def __init__(  # noqa: PLR0913  (five are flipper-client's)
        self,
        conninfo: str | ConnectionPool[Any],
        table_name: str = "feature_flags",
        name_column: str = "name",
        item_column: str = "item",
        run_migrations: bool = True,
        *,
        timeout: float | None = None,
    ) -> None:
        if not POSTGRES_ENABLED:
            raise PostgresNotEnabled
        check_seconds("timeout", timeout, none="for 30 seconds")
        super().__init__()
        self._connections = Connections(conninfo, timeout)
        self._table = Table(self._connections, table_name, name_column, item_column)
        if run_migrations:
            self._migrate_when_reachable()

    @property
    def outage_errors(self) -> tuple[type[Exception], ...]:
        """The error that psycopg raises if no server answers; also for other reasons.

        Empty once the store is closed, because trying again cannot succeed then.
        """
        return () if self._connections.is_closed else (errors.OperationalError,)

    def run_migrations(self) -> None:
        """Create the table, or let it take names of more than flipper-client's 40.

        It also creates the triggers that report changes to `watch`.

        If there is nothing to do it takes no lock. Several processes may call it at
        once. A table stays as it is if its role may not alter it, or if its lock is not
        free within 3 seconds. That is logged: as a warning if long names cannot be
        stored, as information if only the triggers are missing.

        Raises:
            psycopg.Error: the server is down, or the table cannot be created.
        """
        with self._connections.connection() as connection:
            self._migrate(connection)

    def watch(self) -> PostgreSQLWatch:
        """Listen to changes of the table, on one more connection.

        Raises:
            WatchRefusedError: the table has no triggers, notifications do not arrive,
                or the server accepts no more connections.
            psycopg.OperationalError: the server is down.
        """
        self._connections.run_pending_first_task()  # it creates the triggers
        table = self._table
        return PostgreSQLWatch(
            self._connect_listener, table.name, table.name_column, self._notify
        )

    def close(self) -> None:
        """Close the store's connections, but not a pool of the caller. Idempotent."""
        self._connections.close()

    def _migrate_when_reachable(self) -> None:
        """Migrate now, or on the first connection if the server is down now."""
        try:
            error = self._connections.run_first(self._migrate)
        except BaseException:
            self._connections.close()  # the caller gets no store to close
            raise
        if error is not None:
            logger.warning(
                "PostgreSQL is unavailable (%s); the table %s is created or updated as "
                "soon as it answers",
                error,
                self._table.name,
            )

    def _migrate(self, connection: Connection[Any]) -> None:
        with default_timeout(connection):
            migrate(connection, self._table, CREATE_TABLE_SQL)

    def _connect_listener(self) -> Connection[Any]:
        try:
            return self._connections.connect(_LISTENER_CONNECT_TIMEOUT)
        except errors.ConnectionTimeout:
            raise
        except errors.OperationalError:
            self._notify("flipper")  # raises if the server is down
        try:
            return self._connections.connect(_LISTENER_CONNECT_TIMEOUT)
        except errors.OperationalError as error:
            raise WatchRefusedError(
                f"The server accepts no more connections to listen to changes: {error}"
            ) from error

    def _notify(self, channel: str) -> None:
        self._table.fetch(_NOTIFY_SQL, (channel,), prepare=False)

    def _read(self, feature_name: str) -> tuple[bytes, Any] | None:
        rows = self._table.fetch(SELECT_ITEM_SQL, (feature_name,), prepare=None)
        if not rows:
            return None
        document = bytes(rows[0][0])
        return document, document

    def _read_many(self, feature_names: Sequence[str]) -> dict[str, bytes]:
        names = (list(feature_names),)
        rows = self._table.fetch(SELECT_ITEMS_SQL, names, prepare=None)
        return {name: bytes(document) for name, document in rows}

    def _replace(self, feature_name: str, document: bytes, expected: Any) -> bool:
        if expected is not ANY and expected is not ABSENT:
            update = (document, feature_name, expected)
            return self._table.write(UPDATE_ITEM_SQL, update)
        template = CREATE_ITEM_SQL if expected is ANY else _INSERT_SQL
        # A column of flipper-client silently cuts off spaces at the end of a long name.
        if feature_name.endswith(" "):
            self._refuse_if_too_long(feature_name)
        try:
            return self._table.write(template, (feature_name, document))
        except errors.StringDataRightTruncation:
            self._refuse_if_too_long(feature_name)
            raise

    def _remove(self, feature_name: str) -> bool:
        return self._table.write(DELETE_ITEM_SQL, (feature_name,))

    def _documents(self, offset: int, limit: int | None) -> Iterator[tuple[str, bytes]]:
        return self._pages(min(offset, _LARGEST_OFFSET), limit, _FIRST_BATCH_SIZE)

    def _all_documents(self) -> Iterator[tuple[str, bytes]]:
        return self._pages(0, None, _BATCH_SIZE)

    def _pages(
        self, offset: int, limit: int | None, size: int
    ) -> Iterator[tuple[str, bytes]]:
        """Yield names and documents, `size` of them by the first statement."""
        left, after = limit, None
        while left is None or left > 0:
            count = size if left is None else min(size, left)
            page = {"after": after, "limit": count, "offset": offset}
            rows = self._table.fetch(LIST_ITEMS_SQL, page, prepare=False)
            yield from rows
            if len(rows) < count:
                return
            # Race: others may write between two statements. Continuing after the last
            # name, no flag that stays is missed, and none is returned twice.
            after, offset, size = rows[-1][0], 0, _BATCH_SIZE
            left = None if left is None else left - count

    def _now(self) -> int:
        return now()

    def _refuse_if_too_long(self, feature_name: str) -> None:
        with self._connections.connection() as connection:
            limits = name_length_limits(connection, self._table)
        if any(limit is not None and len(feature_name) > limit for limit in limits):
            raise InvalidArgumentError(
                f"Feature {feature_name!r} cannot be stored: the column "
                f"{self._table.name_column!r} of the table {self._table.name!r} takes "
                f"names of {limits[0]} characters at most; call run_migrations() to "
                f"widen it",
                feature_name=feature_name,
                value=feature_name,
            )
