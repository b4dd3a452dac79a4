# SPDX-License-Identifier: Apache-2.0
"""Prepares an SQLite file: the write-ahead log, the tables and the triggers.

The table `feature_flags` has the same columns as that of PostgreSQL. The triggers put
the name of each changed flag into `feature_flag_changes`, whatever program writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .errors import unavailable_error

if TYPE_CHECKING:
    import sqlite3

KEPT_CHANGES: Final = 1000
"""How many changes are kept at least; a trigger removes older ones."""

# Without row ids, the rows are in the order of the names. Reading all of them in this
# order is several times faster.
_TABLE_SQL: Final = """
    CREATE TABLE IF NOT EXISTS feature_flags
        (name TEXT PRIMARY KEY, item BLOB NOT NULL) WITHOUT ROWID
"""
# Fails if the table is another program's; that must not get triggers.
_CHECK_SQL: Final = "SELECT name, item FROM feature_flags LIMIT 0"
# A number is not enough to recognise a change: a backup that is restored may have given
# the same number to another change.
_CHANGES_SQL: Final = """
    CREATE TABLE IF NOT EXISTS feature_flag_changes (
        number INTEGER PRIMARY KEY,
        token BLOB NOT NULL DEFAULT (randomblob(8)),
        name TEXT NOT NULL
    )
"""
# The table is never empty, so a watch always knows a last change.
_FIRST_CHANGE_SQL: Final = """
    INSERT INTO feature_flag_changes (name)
        SELECT '' WHERE NOT EXISTS (SELECT 1 FROM feature_flag_changes)
"""
_LOG_SQL: Final = "INSERT INTO feature_flag_changes (name) VALUES"
_TRIM_SQL: Final = f"""
    CREATE TRIGGER IF NOT EXISTS feature_flag_changes_trimmed
        AFTER INSERT ON feature_flag_changes WHEN NEW.number % {KEPT_CHANGES} = 0
        BEGIN
            DELETE FROM feature_flag_changes
                WHERE number <= NEW.number - {KEPT_CHANGES};
        END
"""  # noqa: S608  (a constant)
_STATEMENTS: Final = {
    "feature_flags": _TABLE_SQL,
    "feature_flag_changes": _CHANGES_SQL,
    "feature_flag_created": f"""
        CREATE TRIGGER IF NOT EXISTS feature_flag_created
            AFTER INSERT ON feature_flags BEGIN {_LOG_SQL} (NEW.name); END
    """,
    "feature_flag_changed": f"""
        CREATE TRIGGER IF NOT EXISTS feature_flag_changed
            AFTER UPDATE ON feature_flags BEGIN {_LOG_SQL} (NEW.name); END
    """,
    "feature_flag_renamed": f"""
        CREATE TRIGGER IF NOT EXISTS feature_flag_renamed
            AFTER UPDATE OF name ON feature_flags WHEN OLD.name IS NOT NEW.name
            BEGIN {_LOG_SQL} (OLD.name); END
    """,
    "feature_flag_deleted": f"""
        CREATE TRIGGER IF NOT EXISTS feature_flag_deleted
            AFTER DELETE ON feature_flags BEGIN {_LOG_SQL} (OLD.name); END
    """,
    "feature_flag_changes_trimmed": _TRIM_SQL,
}
_NAMES: Final = ", ".join(f"'{name}'" for name in _STATEMENTS)
COUNT_SQL: Final = f"SELECT count(*) FROM sqlite_master WHERE name IN ({_NAMES})"  # noqa: S608  (constants)
"""Selects how many of the tables and triggers there are."""
COMPLETE: Final = len(_STATEMENTS)
"""What `COUNT_SQL` selects if all are there."""


def set_up(connection: sqlite3.Connection) -> None:
    """Make a new connection wait until the disk has what it commits.

    Flags are written seldom. It is worth a moment each time that a switch, once turned
    off, stays off after a power failure.
    """
    connection.execute("PRAGMA synchronous = FULL")


def prepare(connection: sqlite3.Connection, path: str) -> None:
    """Create what is missing in a file. Several processes may do this at once.

    If nothing is missing, nothing is written or locked.

    Raises:
        StoreUnavailableError: the file cannot have a write-ahead log.
        sqlite3.Error: the file is locked, or cannot be used.
    """
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise unavailable_error(
            path,
            f"cannot have a write-ahead log (its journal mode stays {mode!r}), because "
            f"its file system shares no memory, as many network file systems; move it "
            f"to a local disk",
        )
    if connection.execute(COUNT_SQL).fetchone()[0] == COMPLETE:
        return
    # Race: of several processes, one creates them and the others wait for it.
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(_TABLE_SQL)
        connection.execute(_CHECK_SQL)
        for statement in _STATEMENTS.values():
            connection.execute(statement)
        connection.execute(_FIRST_CHANGE_SQL)
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
