# SPDX-License-Identifier: Apache-2.0
"""Flags in a file of SQLite: the store keeps each flag in a row, and needs no server.

`connections` runs statements on connections to the `file`, which `forks` closes before
the process forks. `schema` prepares the file, `errors` explains what SQLite raises, and
`watch` reports changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ...arguments import check_seconds
from ...contracts.atomic import ABSENT, ANY
from ...contracts.document import DocumentFeatureFlagStore
from ...contracts.watch import SupportsWatch
from ...exceptions import StoreTimeoutError, StoreUnavailableError
from ...runtime.closing import Closeable
from ..util.date import now
from ..util.iter import batchify
from .connections import Connections
from .file import DatabaseFile
from .watch import SQLiteWatch

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

# Another program may have stored text, which never equals bytes. `CAST` makes it bytes.
_SELECT_SQL: Final = "SELECT CAST(item AS BLOB) FROM feature_flags WHERE name = ?"
_SELECT_MANY_SQL: Final = """
    SELECT name, CAST(item AS BLOB) FROM feature_flags WHERE name IN ({})
"""
_UPDATE_SQL: Final = """
    UPDATE feature_flags SET item = ? WHERE name = ? AND CAST(item AS BLOB) = ?
"""
_INSERT_SQL: Final = """
    INSERT INTO feature_flags (name, item) VALUES (?, ?) ON CONFLICT DO NOTHING
"""
_CREATE_SQL: Final = """
    INSERT INTO feature_flags (name, item) VALUES (?, ?)
        ON CONFLICT (name) DO UPDATE SET item = excluded.item
"""
_DELETE_SQL: Final = "DELETE FROM feature_flags WHERE name = ?"
# Another program may have stored bytes as a name. To SQLite they are greater than any
# text, and the empty bytes are the smallest of them.
_LIST_SQL: Final = """
    SELECT name, CAST(item AS BLOB) FROM feature_flags
        WHERE name > CAST(? AS TEXT) AND name < x''
        ORDER BY name LIMIT ? OFFSET ?
"""

# Rows that `list` reads by its first statement, and by each later one.
_FIRST_BATCH_SIZE: Final = 100
_BATCH_SIZE: Final = 1000
# Names that one statement takes; SQLite before 3.32 allows 999 parameters.
_MOST_NAMES: Final = 500
_LARGEST_NUMBER: Final = 2**63 - 1


class SQLiteFeatureFlagStore(Closeable, SupportsWatch, DocumentFeatureFlagStore):
    """Keeps each flag in a row of an SQLite file. Safe for threads and forks.

    Any number of processes of one machine may use the file at once. Readers never wait,
    and writers wait for each other. The file has to be on a local disk: the write-ahead
    log, which makes this possible, does not work over a network.

    A write compares and sets in one statement. When it returns, it is on the disk, and
    survives a crash of the process and a power failure. `list` returns flags by name,
    in the order of code points, and reads a thousand at a time.

    The file must not be deleted or replaced while it is in use: the store notices that
    within a second, and raises a `StoreUnavailableError` from then on.

    Args:
        path: the file, which is created if it is missing. Its folder has to exist.
        timeout: the number of seconds to wait while another program locks the file.

    Raises:
        InvalidArgumentError: `path` is no path of a file, or `timeout` is not allowed.
        StoreUnavailableError: the file cannot be opened or created, is no SQLite file,
            or is where SQLite cannot work, such as on some network file systems.
        StoreTimeoutError: another program locks the file.
    """

    _documents_are_tokens = True

    def __init__(self, path: str | os.PathLike[str], *, timeout: float = 5.0) -> None:
        check_seconds("timeout", timeout)
        super().__init__()
        self._file = DatabaseFile(path)
        self._connections = Connections(self._file, timeout)
        self._connections.fetch("SELECT 1")

    @property
    def path(self) -> str:
        """The absolute path of the file."""
        return self._file.path

    @property
    def outage_errors(self) -> tuple[type[Exception], ...]:
        """The errors of a file that cannot be read; none once the store is closed."""
        if self._connections.is_closed:
            return ()
        return (StoreUnavailableError, StoreTimeoutError)

    def watch(self) -> SQLiteWatch:
        """Look for changes of the file five times a second, on one more connection.

        Raises:
            StoreUnavailableError: the file cannot be read, or the store is closed.
        """
        return SQLiteWatch(self._connections.another())

    def close(self) -> None:
        """Close all connections. May be called again."""
        self._connections.close()

    def _read(self, feature_name: str) -> tuple[bytes, Any] | None:
        rows = self._connections.fetch(_SELECT_SQL, (feature_name,))
        if not rows:
            return None
        document = rows[0][0]
        return document, document

    def _read_many(self, feature_names: Sequence[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for batch in batchify(feature_names, _MOST_NAMES):
            statement = _SELECT_MANY_SQL.format(", ".join("?" * len(batch)))
            found.update(self._connections.fetch(statement, tuple(batch)))
        return found

    def _replace(self, feature_name: str, document: bytes, expected: Any) -> bool:
        if expected is not ANY and expected is not ABSENT:
            update = (document, feature_name, expected)
            return self._connections.write(_UPDATE_SQL, update)
        statement = _CREATE_SQL if expected is ANY else _INSERT_SQL
        return self._connections.write(statement, (feature_name, document))

    def _remove(self, feature_name: str) -> bool:
        return self._connections.write(_DELETE_SQL, (feature_name,))

    def _documents(self, offset: int, limit: int | None) -> Iterator[tuple[str, bytes]]:
        left = _LARGEST_NUMBER if limit is None else limit
        after, offset, size = b"", min(offset, _LARGEST_NUMBER), _FIRST_BATCH_SIZE
        while left > 0:
            count = min(size, left)
            rows = self._connections.fetch(_LIST_SQL, (after, count, offset))
            yield from rows
            if len(rows) < count:
                return
            # Race: others may write between two statements. Continuing after the last
            # name, no flag that stays is missed, and none is returned twice.
            after = rows[-1][0].encode("utf-8", "surrogateescape")
            left, offset, size = left - count, 0, _BATCH_SIZE

    def _now(self) -> int:
        return now()
