# SPDX-License-Identifier: Apache-2.0
"""Create the table of the flags, and bring an older table up to date."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from psycopg import errors, sql

from .table import fetch_rows
from .triggers import create_triggers

if TYPE_CHECKING:
    from psycopg import Connection

    from .table import Table

logger = logging.getLogger(__name__)

_WIDEN_SQL: Final = "ALTER TABLE {table} ALTER COLUMN {name} TYPE text"
# One row if the column exists. Its only value is the length of the longest name that
# the column takes, or null if there is no limit.
_LIMIT_SQL: Final = """
    SELECT CASE WHEN atttypid = 'varchar'::regtype AND atttypmod > 0
                THEN atttypmod - 4 END
        FROM pg_attribute
        WHERE attrelid = to_regclass(%s) AND attname = %s AND NOT attisdropped
"""

# While a migration waits for the lock of the table, other users of the table wait, too.
_LOCK_TIMEOUT: Final = "3s"


def migrate(connection: Connection[Any], table: Table, create_sql: str) -> None:
    """Create the table if it is missing, widen its column of names, create triggers.

    Args:
        connection: a connection that commits each statement.
        table: the table of the flags.
        create_sql: the template of the statement that creates the table.

    Raises:
        psycopg.Error: the server is down, or the table cannot be created.
    """
    limits = name_length_limits(connection, table)
    if not limits:
        # Race: if two processes create the table at once, one of them may get an error.
        with suppress(
            errors.DuplicateObject,
            errors.DuplicateTable,
            errors.UniqueViolation,
        ):
            table.execute(connection, create_sql)
    elif limits[0] is not None:
        _widen_name_column(connection, table)
    create_triggers(connection, table.name, table.name_column, _LOCK_TIMEOUT)


def name_length_limits(connection: Connection[Any], table: Table) -> list[int | None]:
    """Return the greatest length of names in characters, `None` for any length.

    The list has one element, or none if the table does not exist.

    Raises:
        psycopg.Error: the server is down.
    """
    identifier = sql.Identifier(table.name).as_string(connection)
    parameters = (identifier, table.name_column)
    rows = fetch_rows(connection, _LIMIT_SQL, parameters, prepare=False)
    return [limit for (limit,) in rows]


def _widen_name_column(connection: Connection[Any], table: Table) -> None:
    try:
        with connection.transaction():
            connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
            table.execute(connection, _WIDEN_SQL)
    except errors.DatabaseError as error:
        if connection.closed:
            raise
        logger.warning(
            "The column %s.%s could not be widened (%s); it takes short names only",
            table.name,
            table.name_column,
            error,
        )
