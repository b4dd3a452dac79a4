# SPDX-License-Identifier: Apache-2.0
"""The triggers that report changes of a table: SQL, and how they are created.

They notify the channel `flipper_<oid of the table>`. The payload is the name of the
changed flag, or empty if any flag may have changed. A notification is sent when the
transaction of a write is committed, whatever program writes.
"""

from __future__ import annotations

import logging
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from psycopg import Cursor, errors, sql
from psycopg.rows import tuple_row

from ...contracts.watch import WatchRefusedError

if TYPE_CHECKING:
    from psycopg import Connection

logger = logging.getLogger(__name__)

# Columns: the table's oid; whether both triggers exist and are enabled; whether both
# exist; whether any exists, perhaps for another column; the names of the schema and of
# the table; whether this role may create triggers. No row if there is no table.
_STATE_SQL: Final = """
    SELECT c.oid, count(*) FILTER (WHERE t.is_ours AND t.tgenabled IN ('O', 'A')) = 2,
           count(*) FILTER (WHERE t.is_ours) = 2, count(t.tgrelid) > 0,
           n.nspname, c.relname,
           has_table_privilege(c.oid, 'TRIGGER')
               AND has_schema_privilege(n.oid, 'CREATE') AND c.relkind = 'r'
        FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN (
            SELECT *, tgargs = convert_to({column}, getdatabaseencoding())
                   || decode('00', 'hex') AS is_ours FROM pg_catalog.pg_trigger
        ) t ON t.tgrelid = c.oid AND c.relkind = 'r'
            AND t.tgname IN ('flipper_notify', 'flipper_notify_truncate')
        WHERE c.oid = to_regclass({table})
        GROUP BY c.oid, n.oid, n.nspname, c.relname, c.relkind
"""
# Separate, because it waits for readers of the table even if it removes nothing.
_DROP_SQL: Final = """
    DROP TRIGGER IF EXISTS flipper_notify ON {table};
    DROP TRIGGER IF EXISTS flipper_notify_truncate ON {table};
"""
# The name of the column appears twice. In the body of the function it is a constant,
# which is fastest for each row. As the argument of the triggers it tells `_STATE_SQL`
# which column they report. Each table has a function of its own.
_CREATE_SQL: Final = """
    CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql
        SET search_path = pg_catalog, pg_temp AS {body};
    CREATE TRIGGER flipper_notify AFTER INSERT OR UPDATE OR DELETE ON {table}
        FOR EACH ROW EXECUTE FUNCTION {function}({column});
    CREATE TRIGGER flipper_notify_truncate AFTER TRUNCATE ON {table}
        FOR EACH STATEMENT EXECUTE FUNCTION {function}({column});
"""
# The function has the rights of the role that writes. It ignores all errors: a flag can
# be written even if the notification fails. A payload must be shorter than 8000 bytes.
# The server sends equal notifications of one transaction only once.
_BODY_SQL: Final = """
BEGIN
    PERFORM pg_notify(
        'flipper_' || TG_RELID,
        CASE WHEN octet_length(feature_name) < 8000 THEN feature_name ELSE '' END
    )
    FROM unnest(ARRAY[OLD.{name}, NEW.{name}]::text[]) feature_name
    WHERE feature_name IS NOT NULL OR TG_OP = 'TRUNCATE';
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END
"""
# If two processes created triggers in one schema at once, one of them would fail.
_LOCK_SQL: Final = "SELECT pg_catalog.pg_advisory_xact_lock(1718382704)"

_LONGEST_IDENTIFIER: Final = 63  # in bytes


def create_triggers(
    connection: Connection[Any], table: str, column: str, lock_timeout: str
) -> None:
    """Create the triggers that report changes of a table, unless they exist.

    If they cannot be created, the table stays as it is, and that is logged. Several
    processes may do this at once.

    Args:
        connection: a connection that commits each statement.
        table: the name of the table, unquoted.
        column: the column of the feature names.
        lock_timeout: how long to wait for others who use the table, in the notation of
            PostgreSQL, such as "3s".

    Raises:
        psycopg.OperationalError: the connection breaks.
    """
    query = trigger_state_query(connection, table, column)
    try:
        if _creating_statements(connection, query, column) is None:
            return
        with connection.transaction():
            _execute(connection, f"SET LOCAL lock_timeout = '{lock_timeout}'")
            _execute(connection, _LOCK_SQL)
            # Race: another process may have created them while this one waited.
            statements = _creating_statements(connection, query, column)
            if statements is not None:
                _execute(connection, statements)
    except (errors.DatabaseError, WatchRefusedError) as error:
        if connection.closed:
            raise
        logger.info(
            "The table %s does not report changes (%s); stores have to poll for them",
            table,
            error,
        )


def trigger_state_query(connection: Connection[Any], table: str, column: str) -> str:
    """Return a query for the table's oid and, as a boolean, whether it reports changes.

    More columns follow. The query gives no row if the table does not exist.
    """
    identifier = sql.Identifier(table).as_string(connection)
    names = {"table": sql.Literal(identifier), "column": sql.Literal(column)}
    return sql.SQL(_STATE_SQL).format(**names).as_string(connection)


def _creating_statements(
    connection: Connection[Any], query: str, column: str
) -> str | None:
    """Return the statements that create the triggers, or `None` if they exist.

    Raises:
        WatchRefusedError: the triggers cannot be created.
    """
    with Cursor(connection, row_factory=tuple_row) as cursor:
        row = cursor.execute(query, prepare=False).fetchone()
    if row is None:
        raise WatchRefusedError("there is no such table")
    _, _, has_triggers, has_any, schema, table, may_create = row
    if has_triggers:
        return None
    if not may_create:
        raise WatchRefusedError("this role may not create triggers and functions there")
    body = sql.SQL(_BODY_SQL).format(name=sql.Identifier(column)).as_string(connection)
    function = f"flipper_notify_{table}"
    # The server cuts off longer names, and then two tables could share one function.
    if len(function.encode()) > _LONGEST_IDENTIFIER:
        function = f"flipper_notify_{sha256(table.encode()).hexdigest()[:32]}"
    statements = sql.SQL(_DROP_SQL + _CREATE_SQL if has_any else _CREATE_SQL).format(
        function=sql.Identifier(schema, function),
        body=sql.Literal(body),
        table=sql.Identifier(schema, table),
        column=sql.Literal(column),
    )
    return statements.as_string(connection)


def _execute(connection: Connection[Any], statements: str) -> None:
    with Cursor(connection) as cursor:
        cursor.execute(statements, prepare=False)
