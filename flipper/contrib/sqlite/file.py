# SPDX-License-Identifier: Apache-2.0
"""The file of a store: its path, and whether it is still the file that was opened."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from ...exceptions import InvalidArgumentError
from ...runtime.clock import monotonic
from . import forks
from .errors import unavailable_error

_CHECK_INTERVAL: Final = 1.0  # seconds


class DatabaseFile:
    """A file of SQLite, which must not be deleted or replaced while it is in use.

    SQLite would go on with the deleted file, so that all writes were lost. Safe for
    threads.

    Args:
        path: where it is.

    Attributes:
        path: the absolute path.
        identity: its device and inode, once it was opened.
        check_at: when readers have to call `check` again, by the monotonic clock.

    Raises:
        InvalidArgumentError: the path is none, or means no file to SQLite.
    """

    def __init__(self, path: Any) -> None:
        self.path = _absolute_path(path)
        self.identity: forks.Identity | None = None
        self.check_at = 0.0

    def uri(self) -> str:
        """Return the URI to connect to. Only the first connection creates the file."""
        mode = "rwc" if self.identity is None else "rw"
        return f"{Path(self.path).as_uri()}?mode={mode}"

    def identify(self) -> None:
        """Remember which file is there now, unless that is known already."""
        if self.identity is None:
            self.identity = self._find()

    def check(self) -> None:
        """Make sure that the file is still the one that was opened.

        Raises:
            StoreUnavailableError: it was deleted, moved or replaced.
        """
        if self.identity is None:
            return
        found = self._find()
        if found is None:
            raise unavailable_error(
                self.path,
                "was deleted or moved away; put it back, or restart all processes that "
                "use it, to begin with a new one",
            )
        if found != self.identity:
            raise unavailable_error(
                self.path,
                "was replaced by another one while it was in use; restart all "
                "processes that use it",
            )
        self.check_at = monotonic() + _CHECK_INTERVAL

    def refuse_if_inherited(self) -> None:
        """Refuse to open a file whose connections this process has inherited.

        Raises:
            StoreUnavailableError: it has.
        """
        if forks.is_inherited(self.identity or self._find()):
            raise unavailable_error(
                self.path,
                "was open when this process was forked, so SQLite cannot use it here; "
                "close the store before the fork, or fork by os.fork, before which the "
                "store closes its connections",
            )

    def _find(self) -> forks.Identity | None:
        """Return the device and inode of the file, `None` if there is no file."""
        try:
            found = os.stat(self.path)  # noqa: PTH116  (faster than that of a Path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise unavailable_error(self.path, f"cannot be opened: {error}") from error
        return found.st_dev, found.st_ino


def _absolute_path(path: Any) -> str:
    text: Any = os.fspath(path) if isinstance(path, os.PathLike) else path
    problem = None
    if not isinstance(text, str):
        problem = "is no path; use a str or a pathlib.Path"
    elif not text or "\0" in text:
        problem = "names no file; use the path of a file"
    elif text == ":memory:":
        problem = "is no file; use a MemoryFeatureFlagStore, or the path of a file"
    elif text.startswith(("file:", "sqlite:")):
        problem = "is a URI; use the path of the file alone"
    if problem is not None:
        raise InvalidArgumentError(f"path={path!r} {problem}", value=path)
    absolute: str = os.path.abspath(text)  # noqa: PTH100  (keeps links, unlike a Path)
    return absolute
