# SPDX-License-Identifier: Apache-2.0
"""Flags in a table of PostgreSQL, each a row of its own; needs psycopg 3."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from ..exceptions import InvalidArgumentError, MissingDependencyError
from .atomic import ABSENT, ANY
from .document import DocumentFeatureFlagStore
from .interface import AbstractFeatureFlagStore as AbstractFeatureFlagStore
from .interface import FlagDoesNotExistError as FlagDoesNotExistError
from .storage import FeatureFlagStoreItem as FeatureFlagStoreItem
from .storage import FeatureFlagStoreMeta as FeatureFlagStoreMeta
from .util.closing import ClosesAtExit
from .util.date import now
from .watch import SupportsWatch, WatchRefusedError

# It is in the way of nobody who has not got it, nor where its library libpq is missing.
try:
    from psycopg import Connection, Cursor, errors, sql
    from psycopg import connect as connect
    from psycopg.rows import tuple_row

    from .postgresql_connections import Connections
    from .postgresql_watch import PostgreSQLWatch, make_triggers
except ImportError:
    POSTGRES_ENABLED = False
else:
    POSTGRES_ENABLED = True

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg_pool import ConnectionPool

logger = logging.getLogger(__name__)

# In the order of code points whatever the database's is, and not to be sorted for it.
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
UPDATE_ITEM_SQL = "UPDATE {table} SET {item} = %s WHERE {name} = %s AND {item} = %s"

_INSERT_SQL: Final = """
    INSERT INTO {table} ({name}, {item}) VALUES (%s, %s) ON CONFLICT DO NOTHING
"""
_WIDEN_SQL: Final = "ALTER TABLE {table} ALTER COLUMN {name} TYPE text"
# A row if the column is there; its only value is the longest name, null for any length.
_LIMIT_SQL: Final = """
    SELECT CASE WHEN atttypid = 'varchar'::regtype AND atttypmod > 0
                THEN atttypmod - 4 END
        FROM pg_attribute
        WHERE attrelid = to_regclass(%s) AND attname = %s AND NOT attisdropped
"""

_NOTIFY_SQL: Final = "SELECT pg_notify(%s, '')"

_LONGEST_WAIT_FOR_A_LOCK: Final = "3s"  # which others who use the table wait for, too
_BATCHES: Final = (100, 5000)  # rows of the first statement of a list, of the others
_LISTENER_TIMEOUT: Final = 3  # seconds
_LARGEST_OFFSET: Final = 2**63 - 1


class PostgresNotEnabled(MissingDependencyError):  # noqa: N818  (flipper-client's name)
    """psycopg or psycopg_pool cannot be imported."""

    def __init__(self) -> None:
        super().__init__(
            "Postgres is not enabled, please install extra dependency [postgres]"
        )

    def __reduce__(self) -> tuple[type[PostgresNotEnabled], tuple[()]]:
        """Be made without a message when unpickled, too."""
        return type(self), ()


class PostgreSQLFeatureFlagStore(ClosesAtExit, SupportsWatch, DocumentFeatureFlagStore):
    """Keeps each flag in a row of one table. Safe for threads and forks.

    `list` gives flags by name, in the order of code points. It reads rows by hundreds
    and thousands, and holds no connection between them.

    A write compares and sets in one statement. Errors of psycopg come out as they are;
    a write whose reply is lost raises, and may have taken effect.

    Connections are kept, and made anew where they were lost. Those of a connection
    string give up connecting after its `connect_timeout`, or 5 seconds, and a statement
    that is not answered at all after 30, if psycopg is 3.2 or newer.

    A store can be made while the server is away: that is logged as a warning, and the
    table is made before the first statement that reaches the server. What would not
    pass by itself raises at once: a refused password, an unknown role or database.

    Args:
        conninfo: a connection string or URI of libpq, or an open
            `psycopg_pool.ConnectionPool`, which remains the caller's to close.
        table_name: the table; like the columns a name as it is, with its upper case,
            dots and spaces.
        name_column: the column of the names.
        item_column: the column of the flags.
        run_migrations: whether to do what `run_migrations()` does, as soon as the
            server answers.

    Raises:
        PostgresNotEnabled: psycopg is not installed.
        InvalidArgumentError: `conninfo` is neither text nor a pool.
        psycopg.ProgrammingError: `conninfo` is no connection string, or the table is
            missing and may not be made.
        psycopg.OperationalError: the server refuses the connection.
    """

    _documents_are_tokens = True

    def __init__(
        self,
        conninfo: str | ConnectionPool[Any],
        table_name: str = "feature_flags",
        name_column: str = "name",
        item_column: str = "item",
        run_migrations: bool = True,
    ) -> None:
        if not POSTGRES_ENABLED:
            raise PostgresNotEnabled
        super().__init__()
        self._connections = Connections(conninfo)
        self._table, self._name_column = table_name, name_column
        self._names = {"table": table_name, "name": name_column, "item": item_column}
        self._statements: dict[str, str] = {}
        if run_migrations:
            try:
                away = self._connections.do_first(self._migrate)
            except BaseException:
                self._connections.close()  # nobody else can
                raise
            if away is not None:
                logger.warning(
                    "PostgreSQL is away (%s); the table %s is looked after as soon as "
                    "it answers",
                    away,
                    table_name,
                )

    @property
    def away_errors(self) -> tuple[type[Exception], ...]:
        """The error of psycopg by which it tells that nobody answers, among others.

        None when the store is closed: it will never answer, so nobody has to try.
        """
        return () if self._connections.is_closed else (errors.OperationalError,)

    def run_migrations(self) -> None:
        """Create the table, or let it take names longer than flipper-client's 40.

        It gets triggers, too, that tell whoever listens (`watch`) of changes.

        Nothing is locked if there is nothing to do. Several processes may do it at
        once. A table that may not be altered, or is not free within 3 seconds, stays as
        it is: with a warning, or in silence if it only does not tell of changes.

        Raises:
            psycopg.Error: the server is away, or the table may not be made.
        """
        with self._connections.lend() as connection:
            self._migrate(connection)

    def watch(self) -> PostgreSQLWatch:
        """Listen to what the table tells of its changes, on one more connection.

        Raises:
            WatchRefusedError: the table does not tell, the server cannot be heard, or
                it takes no more connections.
            psycopg.OperationalError: the server is away.
        """
        self._connections.catch_up()  # the triggers may be still to be made
        return PostgreSQLWatch(
            self._connect_to_listen, self._table, self._name_column, self._notify
        )

    def close(self) -> None:
        """Close the connections, but not a pool that was given. Idempotent."""
        self._connections.close()

    def _connect_to_listen(self) -> Connection[Any]:
        try:
            return self._connections.connect(_LISTENER_TIMEOUT)
        except errors.ConnectionTimeout:
            raise
        except errors.OperationalError:
            self._notify("flipper")  # which fails, too, if the server is away
        try:
            return self._connections.connect(_LISTENER_TIMEOUT)
        except errors.OperationalError as error:
            raise WatchRefusedError(
                f"There is no connection left by which to listen to changes: {error}"
            ) from error

    def _notify(self, channel: str) -> None:
        self._fetch(_NOTIFY_SQL, (channel,), prepare=False)

    def _read(self, feature_name: str) -> tuple[bytes, Any] | None:
        rows = self._fetch(SELECT_ITEM_SQL, (feature_name,), prepare=None)
        if not rows:
            return None
        document = bytes(rows[0][0])
        return document, document

    def _replace(self, feature_name: str, document: bytes, expected: Any) -> bool:
        if expected is not ANY and expected is not ABSENT:
            update = (document, feature_name, expected)
            return self._execute(UPDATE_ITEM_SQL, update)
        template = CREATE_ITEM_SQL if expected is ANY else _INSERT_SQL
        # An old column cuts spaces at its end off without a word.
        if feature_name.endswith(" "):
            self._refuse_if_too_long(feature_name)
        try:
            return self._execute(template, (feature_name, document))
        except errors.StringDataRightTruncation:
            self._refuse_if_too_long(feature_name)
            raise

    def _remove(self, feature_name: str) -> bool:
        return self._execute(DELETE_ITEM_SQL, (feature_name,))

    def _documents(self, offset: int, limit: int | None) -> Iterator[tuple[str, bytes]]:
        left, after, offset = limit, None, min(offset, _LARGEST_OFFSET)
        size = _BATCHES[0]
        while left is None or left > 0:
            count = size if left is None else min(size, left)
            page = {"after": after, "limit": count, "offset": offset}
            rows = self._fetch(LIST_ITEMS_SQL, page, prepare=False)
            yield from rows
            if len(rows) < count:
                return
            # Going on behind the last name, none is missed and none comes twice,
            # whatever is written meanwhile.
            after, offset, size = rows[-1][0], 0, _BATCHES[1]
            left = None if left is None else left - count

    def _now(self) -> int:
        return now()

    def _fetch(
        self, template: str, parameters: Any, *, prepare: bool | None
    ) -> list[Any]:
        """Read rows; a second time if the connection breaks meanwhile."""
        with self._connections.lend() as connection:
            statement = self._statement(template, connection)
            try:
                return _rows(connection, statement, parameters, prepare=prepare)
            except errors.ConnectionTimeout:
                raise  # it has taken long enough
            except errors.OperationalError as error:
                if not _is_lost(connection, error):
                    raise
        with self._connections.lend() as connection:
            return _rows(connection, statement, parameters, prepare=prepare)

    def _execute(self, template: str, parameters: tuple[Any, ...]) -> bool:
        """Write, and tell whether there was a row to be written."""
        with self._connections.lend() as connection:
            return self._run(connection, template, parameters) > 0

    def _run(
        self, connection: Connection[Any], template: str, parameters: tuple[Any, ...]
    ) -> int:
        with Cursor(connection) as cursor:
            # Never prepared: behind a pooler that might be another's statement.
            statement = self._statement(template, connection)
            cursor.execute(statement, parameters, prepare=False)
            return cursor.rowcount

    def _statement(self, template: str, connection: Connection[Any]) -> str:
        """Fill in the names."""
        statement = self._statements.get(template)
        if statement is None:
            names = {
                # psycopg takes a percent sign for the beginning of a parameter.
                placeholder: sql.Identifier(name.replace("%", "%%"))
                for placeholder, name in self._names.items()
            }
            statement = sql.SQL(template).format(**names).as_string(connection)
            self._statements[template] = statement
        return statement

    def _migrate(self, connection: Connection[Any]) -> None:
        limits = self._limits(connection)
        if not limits:
            # Race: of two who create it one may be told so by an error.
            with suppress(
                errors.DuplicateObject,
                errors.DuplicateTable,
                errors.UniqueViolation,
            ):
                self._run(connection, CREATE_TABLE_SQL, ())
        elif limits[0] is not None:
            self._widen(connection)
        make_triggers(
            connection, self._table, self._name_column, _LONGEST_WAIT_FOR_A_LOCK
        )

    def _limits(self, connection: Connection[Any]) -> list[int | None]:
        """Give the length of names that the table takes, nothing if there is none."""
        table = sql.Identifier(self._table).as_string(connection)
        rows = _rows(connection, _LIMIT_SQL, (table, self._name_column), prepare=False)
        return [limit for (limit,) in rows]

    def _widen(self, connection: Connection[Any]) -> None:
        try:
            with connection.transaction():
                connection.execute(
                    f"SET LOCAL lock_timeout = '{_LONGEST_WAIT_FOR_A_LOCK}'"
                )
                self._run(connection, _WIDEN_SQL, ())
        except errors.DatabaseError as error:
            if connection.closed:
                raise
            logger.warning(
                "The column %s.%s could not be widened (%s); it takes short names only",
                self._table,
                self._name_column,
                error,
            )

    def _refuse_if_too_long(self, feature_name: str) -> None:
        with self._connections.lend() as connection:
            limits = self._limits(connection)
        if any(limit is not None and len(feature_name) > limit for limit in limits):
            raise InvalidArgumentError(
                f"Feature {feature_name!r} cannot be stored: the column "
                f"{self._name_column!r} of the table {self._table!r} takes names of "
                f"{limits[0]} characters at most; call run_migrations() to widen it",
                feature_name=feature_name,
                value=feature_name,
            )


def _rows(
    connection: Connection[Any],
    statement: str,
    parameters: Any,
    *,
    prepare: bool | None,
) -> list[Any]:
    # Not by a method of the connection, which in a pool that was given may make
    # cursors of other kinds, and rows that are dicts.
    with Cursor(connection, row_factory=tuple_row) as cursor:
        try:
            cursor.execute(statement, parameters, prepare=prepare, binary=True)
        except (errors.InvalidSqlStatementName, errors.DuplicatePreparedStatement):
            # A pooler such as PgBouncer stands between, and gives each statement to
            # another session of the server.
            connection.prepare_threshold = None
            cursor.execute(statement, parameters, prepare=False, binary=True)
        return cursor.fetchall()


def _is_lost(connection: Connection[Any], error: Any) -> bool:
    """Tell whether a connection has broken, and close it then."""
    if not connection.closed and (error.sqlstate or "").startswith("57P"):
        connection.close()  # the server has said that it closes it
    return connection.closed
