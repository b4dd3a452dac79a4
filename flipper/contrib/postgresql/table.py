# SPDX-License-Identifier: Apache-2.0
"""Run statements on the table of the flags; needs psycopg 3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import Cursor, errors, sql
from psycopg.rows import tuple_row

if TYPE_CHECKING:
    from psycopg import Connection

    from .connections import Connections


class Table:
    """Fills the names of a table into statements, and runs them. Safe for threads.

    A template of a statement contains `{table}`, `{name}` and `{item}`.

    Args:
        connections: lends the connections.
        name: the name of the table, unquoted.
        name_column: the column of the feature names.
        item_column: the column of the items.
    """

    def __init__(
        self, connections: Connections, name: str, name_column: str, item_column: str
    ) -> None:
        self.name = name
        self.name_column = name_column
        self._connections = connections
        self._names = {"table": name, "name": name_column, "item": item_column}
        self._statements: dict[str, str] = {}  # by their templates

    def fetch(
        self, template: str, parameters: Any, *, prepare: bool | None
    ) -> list[Any]:
        """Read rows. If the connection breaks, read them again on another one.

        Args:
            template: the template of the statement.
            parameters: the values of its parameters.
            prepare: as in psycopg: `None` prepares a statement after a few uses.

        Raises:
            psycopg.Error: the server is down or refuses the statement.
        """
        with self._connections.connection() as connection:
            statement = self._statement(template, connection)
            try:
                return fetch_rows(connection, statement, parameters, prepare=prepare)
            except errors.ConnectionTimeout:
                raise  # another attempt could take as long again
            except errors.OperationalError as error:
                if not _is_lost(connection, error):
                    raise
        with self._connections.connection() as connection:
            return fetch_rows(connection, statement, parameters, prepare=prepare)

    def write(self, template: str, parameters: tuple[Any, ...]) -> bool:
        """Run a writing statement, and return whether it has changed any row.

        Raises:
            psycopg.Error: the server is down or refuses the statement. If the
                connection was lost the row may have been written.
        """
        with self._connections.connection() as connection:
            return self.execute(connection, template, parameters) > 0

    def execute(
        self,
        connection: Connection[Any],
        template: str,
        parameters: tuple[Any, ...] = (),
    ) -> int:
        """Run a statement on a given connection, and return the number of its rows.

        Raises:
            psycopg.Error: the server is down or refuses the statement.
        """
        with Cursor(connection) as cursor:
            # Never prepared: behind a pooler another session may run the statement.
            statement = self._statement(template, connection)
            cursor.execute(statement, parameters, prepare=False)
            return cursor.rowcount

    def _statement(self, template: str, connection: Connection[Any]) -> str:
        """Fill the names of the table and its columns into a template."""
        statement = self._statements.get(template)
        if statement is None:
            names = {
                # psycopg reads a percent sign as the start of a parameter.
                placeholder: sql.Identifier(name.replace("%", "%%"))
                for placeholder, name in self._names.items()
            }
            statement = sql.SQL(template).format(**names).as_string(connection)
            self._statements[template] = statement
        return statement


def fetch_rows(
    connection: Connection[Any],
    statement: str,
    parameters: Any,
    *,
    prepare: bool | None,
) -> list[Any]:
    """Read rows as tuples on a given connection.

    Raises:
        psycopg.Error: the server is down or refuses the statement.
    """
    # Connections of a pool that the application made may have other kinds of cursors,
    # and rows that are dicts.
    with Cursor(connection, row_factory=tuple_row) as cursor:
        try:
            cursor.execute(statement, parameters, prepare=prepare, binary=True)
        except (errors.InvalidSqlStatementName, errors.DuplicatePreparedStatement):
            # A pooler such as PgBouncer runs each statement in any session of the
            # server, but a prepared statement exists in one session only.
            connection.prepare_threshold = None
            cursor.execute(statement, parameters, prepare=False, binary=True)
        return cursor.fetchall()


def _is_lost(connection: Connection[Any], error: Any) -> bool:
    """Return whether a connection is broken, and close it if it is."""
    if not connection.closed and (error.sqlstate or "").startswith("57P"):
        connection.close()  # the server has announced that it closes the connection
    return connection.closed
