# SPDX-License-Identifier: Apache-2.0
"""Changes of flags in a table of PostgreSQL, as a trigger tells them; needs psycopg 3.

The trigger notifies the channel `flipper_<oid of the table>` of the flag's name, or of
nothing when any flag may have changed. Whoever writes the table, by whatever means, is
heard as soon as the transaction is committed.
"""

from __future__ import annotations

import logging
import os
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from psycopg import Cursor, errors, sql
from psycopg.pq import ExecStatus
from psycopg.rows import tuple_row

from ...contracts.watch import Watch, WatchRefusedError
from ...runtime.clock import monotonic
from .connections import is_readable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from psycopg import Connection

logger = logging.getLogger(__name__)

# The table's oid; whether its triggers are there and fire; whether they are there at
# all; whether any is, be it for another column; the names of schema and table; whether
# this role may make triggers. No row if there is no table.
_LOOK_SQL: Final = """
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
# Apart, since it waits for readers, too, even if there is nothing to be removed.
_REMOVE_SQL: Final = """
    DROP TRIGGER IF EXISTS flipper_notify ON {table};
    DROP TRIGGER IF EXISTS flipper_notify_truncate ON {table};
"""
# The column is named twice: in the function, which runs for each row, that costs least;
# by the triggers' argument one sees which it is. A function belongs to one table.
_MAKE_SQL: Final = """
    CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql
        SET search_path = pg_catalog, pg_temp AS {body};
    CREATE TRIGGER flipper_notify AFTER INSERT OR UPDATE OR DELETE ON {table}
        FOR EACH ROW EXECUTE FUNCTION {function}({column});
    CREATE TRIGGER flipper_notify_truncate AFTER TRUNCATE ON {table}
        FOR EACH STATEMENT EXECUTE FUNCTION {function}({column});
"""
# It runs with the rights of whoever writes. A flag has to be written though nobody can
# be told: the exception is for that. No payload may have 8000 bytes; of two that are
# alike the server sends one.
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
# Of two processes that make the triggers of one schema at once, one would fail.
_ALONE_SQL: Final = "SELECT pg_catalog.pg_advisory_xact_lock(1718382704)"

_LONGEST_IDENTIFIER: Final = 63  # in bytes
# All in seconds.
_BEGIN_WITHIN: Final = 3.5
_HEAR_WITHIN: Final = 1.0
_PING_AFTER: Final = 2.0
_ANSWER_WITHIN: Final = 2.5


def make_triggers(
    connection: Connection[Any], table: str, column: str, longest_wait: str
) -> None:
    """Let a table tell of changes, unless it does.

    A table that cannot stays as it is; that is logged. Several processes may do it at
    once. A connection that breaks meanwhile raises.

    Args:
        connection: one that commits each statement.
        table: its name as it is.
        column: the column of the names of flags.
        longest_wait: for others who use the table, as the server spells times.
    """
    look = _look(connection, table, column)
    try:
        if _missing(connection, look, column) is None:
            return
        with connection.transaction():
            _run(connection, f"SET LOCAL lock_timeout = '{longest_wait}'")
            _run(connection, _ALONE_SQL)
            # Race: another process may have made them while this one waited.
            statements = _missing(connection, look, column)
            if statements is not None:
                _run(connection, statements)
    except (errors.DatabaseError, WatchRefusedError) as error:
        if connection.closed:
            raise
        logger.info(
            "The table %s does not tell of changes (%s); they have to be asked for",
            table,
            error,
        )


class PostgreSQLWatch(Watch):
    """Listens to the trigger of one table, on a connection of its own.

    It notices within five seconds that the server does not answer any more, and that
    the trigger is gone or the table is another one.

    Args:
        connect: makes the connection, which is closed with the watch.
        table: the name of the table as it is.
        column: the column of the names of flags.
        notify: notifies the channel that it is given, on any other connection.

    Raises:
        WatchRefusedError: there is no trigger, or nothing is heard.
        psycopg.OperationalError: the server is away, or does not answer in time.
    """

    def __init__(
        self,
        connect: Callable[[], Connection[Any]],
        table: str,
        column: str,
        notify: Callable[[str], object],
    ) -> None:
        deadline = monotonic() + _BEGIN_WITHIN
        self._connection = connect()
        self._process = os.getpid()
        self._pgconn = self._connection.pgconn
        self._encoding = self._connection.info.encoding
        self._heard_at = monotonic()
        self._asked_at: float | None = None
        self._answer: Sequence[bytes | None] = ()
        self._news: list[tuple[bytes, bytes]] = []
        try:
            self._look = _look(self._connection, table, column)
            self._found = self._look_up(table, deadline)
            self._listen(notify, deadline)
        except errors.OperationalError:
            self.close()
            raise
        except errors.DatabaseError as error:
            self.close()
            raise WatchRefusedError(
                f"The server does not let anybody listen to changes: {error}"
            ) from error
        except BaseException:
            self.close()
            raise

    def wait(self, timeout: float) -> Collection[str] | None:
        """Wait for notifications, and see to it that the server is there."""
        end, pause = monotonic() + timeout, 0.0
        while True:
            was_asked = self._asked_at is not None
            # Race: first what has come, then how long it is that nothing came.
            self._receive(pause)
            if self._news:
                return self._names()
            if was_asked and self._asked_at is None and self._answer[:2] != self._found:
                raise WatchRefusedError(
                    "The table of the flags has lost its trigger, or is another one"
                )
            now = monotonic()
            due = self._heard_at + _PING_AFTER
            if self._asked_at is None and now >= due:
                self._send(self._look)
            if self._asked_at is not None:
                due = max(self._asked_at, self._heard_at) + _ANSWER_WITHIN
                if now >= due:
                    raise _silent()
            if now >= end:
                return ()
            pause = min(due, end) - now

    def close(self) -> None:
        """Close the connection, but not in a child: it is the parent's."""
        if os.getpid() == self._process:
            self._connection.close()

    def _look_up(self, table: str, deadline: float) -> Sequence[bytes | None]:
        found = self._ask(self._look, deadline)[:2]
        if not found or found[1] != b"t":
            raise WatchRefusedError(
                f"The table {table!r} has no triggers that tell of changes; call "
                f"run_migrations() as its owner, or enable the triggers"
            )
        return found

    def _listen(self, notify: Callable[[str], object], deadline: float) -> None:
        """Begin to listen, and see whether anything is heard."""
        oid = (self._found[0] or b"").decode()
        trial = f"flipper_{uuid4().hex}"
        self._ask(f'LISTEN "flipper_{oid}"; LISTEN "{trial}"', deadline)
        # Not on this connection: a pooler that gives each statement to any session of
        # the server passes on what comes with an answer, and only that.
        notify(trial)
        heard = (trial.encode(), b"")
        deadline = min(deadline, monotonic() + _HEAR_WITHIN)
        while heard not in self._news:
            if monotonic() >= deadline:
                raise WatchRefusedError(
                    "The server's notifications do not arrive; is there a pooler in "
                    "between? It has to pool sessions, or to be gone round"
                )
            self._receive(deadline - monotonic())
        self._news.remove(heard)
        self._ask(f'UNLISTEN "{trial}"', monotonic() + _ANSWER_WITHIN)

    def _names(self) -> Collection[str] | None:
        """Give what is new, and forget it; `None` if it is not told."""
        news, self._news = self._news, []
        names = {payload.decode(self._encoding) for _, payload in news}
        return None if "" in names else names

    # psycopg waits for answers as long as it takes; here there is a limit of time.

    def _ask(self, statement: str, deadline: float) -> Sequence[bytes | None]:
        """Return the first row of the answer, empty if there is none."""
        self._send(statement)
        while self._asked_at is not None:
            if monotonic() >= deadline:
                raise _silent()
            self._receive(deadline - monotonic())
        return self._answer

    def _send(self, statement: str) -> None:
        self._answer = ()
        self._pgconn.send_query(statement.encode(self._encoding))
        self._asked_at = monotonic()

    def _receive(self, timeout: float) -> None:
        """Take in what comes, of answers and of notifications."""
        pgconn = self._pgconn
        if is_readable(pgconn.socket, timeout):
            self._heard_at = monotonic()
        # Even if there is nothing: encryption may have kept something back.
        pgconn.consume_input()
        while self._asked_at is not None and not pgconn.is_busy():
            result = pgconn.get_result()
            if result is None:
                self._asked_at = None
            elif result.status == ExecStatus.TUPLES_OK:
                columns = range(result.nfields if result.ntuples else 0)
                self._answer = [result.get_value(0, column) for column in columns]
            elif result.status != ExecStatus.COMMAND_OK:
                raise errors.error_from_result(result, self._encoding)
        while (told := pgconn.notifies()) is not None:
            self._news.append((told.relname, told.extra))


def _silent() -> errors.OperationalError:
    return errors.OperationalError("The server does not answer who listens to changes")


def _look(connection: Connection[Any], table: str, column: str) -> str:
    identifier = sql.Identifier(table).as_string(connection)
    names = {"table": sql.Literal(identifier), "column": sql.Literal(column)}
    return sql.SQL(_LOOK_SQL).format(**names).as_string(connection)


def _missing(connection: Connection[Any], look: str, column: str) -> str | None:
    """Return the statements that make the triggers, `None` if they are there.

    Raises:
        WatchRefusedError: they cannot be made.
    """
    with Cursor(connection, row_factory=tuple_row) as cursor:
        row = cursor.execute(look, prepare=False).fetchone()
    if row is None:
        raise WatchRefusedError("there is no such table")
    _, _, has_triggers, has_any, schema, table, may = row
    if has_triggers:
        return None
    if not may:
        raise WatchRefusedError("this role may make no triggers and functions there")
    body = sql.SQL(_BODY_SQL).format(name=sql.Identifier(column)).as_string(connection)
    function = f"flipper_notify_{table}"
    if len(function.encode()) > _LONGEST_IDENTIFIER:  # cut off it might be another's
        function = f"flipper_notify_{sha256(table.encode()).hexdigest()[:32]}"
    statements = sql.SQL(_REMOVE_SQL + _MAKE_SQL if has_any else _MAKE_SQL).format(
        function=sql.Identifier(schema, function),
        body=sql.Literal(body),
        table=sql.Identifier(schema, table),
        column=sql.Literal(column),
    )
    return statements.as_string(connection)


def _run(connection: Connection[Any], statements: str) -> None:
    with Cursor(connection) as cursor:
        cursor.execute(statements, prepare=False)
