# SPDX-License-Identifier: Apache-2.0
"""Explains what SQLite raises: which file, what is wrong with it, and the remedy."""

from __future__ import annotations

import os
import sqlite3
from typing import Final

from ...exceptions import FlipperError, StoreTimeoutError, StoreUnavailableError

# By how the message begins: Python 3.10 does not give the error's code.
_LOCKED: Final = ("database is locked", "database table is locked")
_UNDECODABLE: Final = "could not decode to utf-8"
_CANNOT_OPEN: Final = "unable to open database file"
_REMEDIES: Final = {
    "attempt to write a readonly database": "cannot be written; make the file and its "
    "folder writable for this user",
    "database or disk is full": "cannot grow, so nothing was written; free some space "
    "on its disk",
    "file is not a database": "is no SQLite file; use another path",
    "file is encrypted or is not a database": "is no SQLite file; use another path",
    "database disk image is malformed": "is damaged; restore it from a backup, or let "
    "`sqlite3 FILE .recover` save what is left",
    "locking protocol": "cannot be locked; move it to a local disk, because SQLite "
    "does not work on this file system",
    "disk i/o error": "cannot be read or written; move it to a local disk if it is on "
    "a network file system, or else check the disk",
    "no such table": "has lost its tables; restore it, or create the store anew",
    "no such column": "has a table feature_flags that is not of this library; use "
    "another file",
}


def is_locked(error: sqlite3.Error) -> bool:
    """Return whether another connection locks the file, so that trying again helps."""
    return str(error).startswith(_LOCKED)


def is_undecodable(error: sqlite3.Error) -> bool:
    """Return whether the error is about a stored text that is not UTF-8."""
    return str(error).lower().startswith(_UNDECODABLE)


def to_flipper_error(error: sqlite3.Error, path: str, timeout: float) -> Exception:
    """Return the error to raise instead, with the path and the remedy in its message.

    An error that is not about the file, but about an argument, is returned unchanged.

    Args:
        error: the error of SQLite.
        path: the file.
        timeout: for how many seconds the store has waited if the file is locked.
    """
    if is_locked(error):
        return locked_error(path, timeout)
    if type(error) not in {sqlite3.OperationalError, sqlite3.DatabaseError}:
        return error
    problem = str(error)
    if problem.startswith(_CANNOT_OPEN):
        return unavailable_error(path, f"cannot be opened: {_why_closed(path)}")
    for beginning, remedy in _REMEDIES.items():
        if problem.lower().startswith(beginning):
            return unavailable_error(path, f"{remedy} ({problem})")
    return unavailable_error(path, f"cannot be used: {problem}")


def locked_error(path: str, timeout: float) -> StoreTimeoutError:
    """Return the error that says that a file was locked for so many seconds."""
    return StoreTimeoutError(
        f"The SQLite file {path!r} was locked by another program for {timeout:g} "
        f"seconds, and nothing was written; end the transaction of that program, or "
        f"use a longer timeout"
    )


def unavailable_error(path: str, problem: str) -> FlipperError:
    """Return the error that says what is wrong with a file."""
    return StoreUnavailableError(f"The SQLite file {path!r} {problem}")


def _why_closed(path: str) -> str:
    folder = os.path.dirname(path)  # noqa: PTH120  (paths are text here)
    if not os.path.isdir(folder):  # noqa: PTH112
        return f"there is no folder {folder!r}; create it"
    if os.path.isdir(path):  # noqa: PTH112
        return "it is a folder; use the path of a file"
    return "this user may not; change the permissions of the file and its folder"
