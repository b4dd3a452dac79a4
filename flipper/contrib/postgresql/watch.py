# SPDX-License-Identifier: Apache-2.0
"""The change signal of PostgreSQL: it listens to the triggers of one table."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from psycopg import errors
from psycopg.pq import ExecStatus

from ...contracts.watch import Watch, WatchRefusedError
from ...runtime.clock import monotonic
from ...runtime.readable import is_readable
from .triggers import trigger_state_query

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from psycopg import Connection

# All in seconds.
_START_WITHIN: Final = 3.5
_NOTIFICATION_WITHIN: Final = 1.0
_PING_AFTER: Final = 2.0
_ANSWER_WITHIN: Final = 2.5

# The server counts the rows that any program writes, also without running triggers.
# `TRUNCATE` is not counted, but gives the table another file.
_REVISION_SQL: Final = """
    SELECT CASE WHEN current_setting('track_counts')::bool THEN concat_ws(' ',
        pg_relation_filenode({oid}), pg_stat_get_tuples_inserted({oid}),
        pg_stat_get_tuples_updated({oid}), pg_stat_get_tuples_deleted({oid})) END
"""


class PostgreSQLWatch(Watch):
    """Listens to the triggers of one table, on its own connection.

    It notices within five seconds if the server no longer answers, if the triggers are
    removed or disabled, or if the table is replaced by another one. For one thread at a
    time.

    Args:
        connect: creates the connection. The watch closes it.
        table: the name of the table, unquoted.
        column: the column of the feature names.
        notify: sends a notification to the channel that it gets, on another connection.

    Raises:
        WatchRefusedError: the table has no triggers, or notifications do not arrive.
        psycopg.OperationalError: the server is down, or does not answer in time.
    """

    def __init__(
        self,
        connect: Callable[[], Connection[Any]],
        table: str,
        column: str,
        notify: Callable[[str], object],
    ) -> None:
        deadline = monotonic() + _START_WITHIN
        self._connection = connect()
        self._process_id = os.getpid()
        self._pgconn = self._connection.pgconn
        self._encoding = self._connection.info.encoding
        self._received_at = monotonic()
        self._sent_at: float | None = None  # `None` if no answer is expected
        self._answer: Sequence[bytes | None] = ()
        self._notifications: list[tuple[bytes, bytes]] = []
        try:
            self._query = trigger_state_query(self._connection, table, column)
            self._trigger_state = self._read_trigger_state(table, deadline)
            self._listen(notify, deadline)
        except errors.OperationalError:
            self.close()
            raise
        except errors.DatabaseError as error:
            self.close()
            raise WatchRefusedError(
                f"The server refuses to report changes: {error}"
            ) from error
        except BaseException:
            self.close()
            raise

    def wait(self, timeout: float) -> Collection[str] | None:
        """Wait until flags change, at most `timeout` seconds, and return their names.

        Returns `None` if any flag may have changed.

        Raises:
            WatchRefusedError: the table no longer reports changes.
            psycopg.OperationalError: the server is down, or does not answer in time.
        """
        end, pause = monotonic() + timeout, 0.0
        while True:
            was_waiting = self._sent_at is not None
            # Race: read what has arrived before judging how long the server is silent.
            self._receive(pause)
            if self._notifications:
                return self._take_names()
            is_answered = was_waiting and self._sent_at is None
            if is_answered:
                self._check_trigger_state()
            now = monotonic()
            due = self._received_at + _PING_AFTER
            if self._sent_at is None and now >= due:
                self._send(self._query)
            if self._sent_at is not None:
                due = max(self._sent_at, self._received_at) + _ANSWER_WITHIN
                if now >= due:
                    raise _no_answer()
            if now >= end:
                return ()
            pause = min(due, end) - now

    def revision(self) -> object:
        """Return how many rows of the table were written, also without the triggers.

        A session of the server reports its writes up to ten seconds later; before
        PostgreSQL 15, some of them perhaps only with its next statement. `None` if the
        server does not count.

        Raises:
            WatchRefusedError: the table no longer reports changes.
            psycopg.OperationalError: the server is down, or does not answer in time.
        """
        deadline = monotonic() + _ANSWER_WITHIN
        if self._sent_at is not None:
            self._await_answer(deadline)
            self._check_trigger_state()
        try:
            answer = self._fetch(_REVISION_SQL.format(oid=self._oid), deadline)
        except errors.OperationalError:
            raise
        except errors.DatabaseError:  # a server that has no such functions
            self._await_answer(deadline)
            return None
        return answer[0] if answer else None

    def close(self) -> None:
        """Close the connection, but not in a forked child: its parent still uses it."""
        if os.getpid() == self._process_id:
            self._connection.close()

    def _read_trigger_state(
        self, table: str, deadline: float
    ) -> Sequence[bytes | None]:
        """Return the oid of the table, and true in the text format of the server."""
        found = self._fetch(self._query, deadline)[:2]
        if not found or found[1] != b"t":
            raise WatchRefusedError(
                f"The table {table!r} has no triggers that report changes; call "
                f"run_migrations() as its owner, or enable the triggers"
            )
        return found

    def _check_trigger_state(self) -> None:
        if self._answer[:2] != self._trigger_state:
            raise WatchRefusedError(
                "The table of the flags has no trigger any more, or was replaced"
            )

    @property
    def _oid(self) -> str:
        """The number of the table."""
        return (self._trigger_state[0] or b"").decode()

    def _listen(self, notify: Callable[[str], object], deadline: float) -> None:
        """Start to listen, and test that notifications arrive."""
        trial = f"flipper_{uuid4().hex}"
        self._fetch(f'LISTEN "flipper_{self._oid}"; LISTEN "{trial}"', deadline)
        # On another connection: a pooler that runs each statement in any session of the
        # server passes on a notification only together with the answer to a statement.
        notify(trial)
        expected = (trial.encode(), b"")
        deadline = min(deadline, monotonic() + _NOTIFICATION_WITHIN)
        while expected not in self._notifications:
            if monotonic() >= deadline:
                raise WatchRefusedError(
                    "The server's notifications do not arrive; is there a pooler in "
                    "between? It has to pool sessions; or connect without it"
                )
            self._receive(deadline - monotonic())
        self._notifications.remove(expected)

    def _take_names(self) -> Collection[str] | None:
        """Return the names in the notifications, or `None`, and clear them."""
        notifications, self._notifications = self._notifications, []
        names = {payload.decode(self._encoding) for _, payload in notifications}
        return None if "" in names else names

    # psycopg's own methods wait for an answer for ever. These have a limit of time.

    def _fetch(self, statement: str, deadline: float) -> Sequence[bytes | None]:
        """Return the first row of the answer. It is empty if there is none."""
        self._send(statement)
        self._await_answer(deadline)
        return self._answer

    def _await_answer(self, deadline: float) -> None:
        while self._sent_at is not None:
            if monotonic() >= deadline:
                raise _no_answer()
            self._receive(deadline - monotonic())

    def _send(self, statement: str) -> None:
        self._answer = ()
        self._pgconn.send_query(statement.encode(self._encoding))
        self._sent_at = monotonic()

    def _receive(self, timeout: float) -> None:
        """Read answers and notifications that arrive within `timeout` seconds."""
        pgconn = self._pgconn
        if is_readable(pgconn.socket, timeout):
            self._received_at = monotonic()
        # Even if the socket has no data: the encryption layer may hold some.
        pgconn.consume_input()
        while self._sent_at is not None and not pgconn.is_busy():
            result = pgconn.get_result()
            if result is None:
                self._sent_at = None
            elif result.status == ExecStatus.TUPLES_OK:
                columns = range(result.nfields if result.ntuples else 0)
                self._answer = [result.get_value(0, column) for column in columns]
            elif result.status != ExecStatus.COMMAND_OK:
                raise errors.error_from_result(result, self._encoding)
        while (notification := pgconn.notifies()) is not None:
            self._notifications.append((notification.relname, notification.extra))


def _no_answer() -> errors.OperationalError:
    return errors.OperationalError(
        "The server does not answer the connection that listens to changes"
    )
