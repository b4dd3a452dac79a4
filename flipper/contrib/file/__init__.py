# SPDX-License-Identifier: Apache-2.0
"""`FileFeatureFlagStore` reads flags from a TOML, JSON or YAML file.

`flag_file` reads the file again when it changes, and `watch` reports its changes. The
package `flipper.flag_files` has the form of the file.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from ...arguments import check_choice, check_seconds
from ...contracts.last_known import TableFastPath
from ...contracts.read_only import RefusesWrites
from ...contracts.watch import SupportsWatch
from ...exceptions import FlagFileError, StoreUnavailableError
from ..interface import AbstractFeatureFlagStore
from .flag_file import FlagFile
from .watch import FileWatch

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from ..storage import FeatureFlagStoreItem


class FileFeatureFlagStore(
    RefusesWrites, TableFastPath, SupportsWatch, AbstractFeatureFlagStore
):
    """Answers from the flags of a file that people write, and refuses every write.

    A question looks at the file if `poll_interval` has passed since the last look, and
    reads it again if it was changed or replaced. While the file is missing or has
    mistakes, the flags stay as they were last read, and a warning says what is wrong
    and where. All flags of a file are used, or none.

    Safe for threads and forks. There is no background thread; for one, put a
    `SyncedFeatureFlagStore` in front.

    Args:
        path: the file. It may be a symbolic link that is moved to another file.
        format: "toml", "json" or "yaml"; by default, the suffix of the file says it.
        poll_interval: seconds between two looks at the file.
        on_start_failure: what to do if the file is missing or has mistakes now: "raise"
            an error, or start "empty", so that every flag is missing until the file is
            right.

    Raises:
        FlagFileError: the file has mistakes. It names all of them.
        StoreUnavailableError: the file cannot be read.
        InvalidArgumentError: an argument is not allowed, or the format is unknown.
        MissingDependencyError: a package that the format needs is not installed.
    """

    _table = "_file"

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        format: str | None = None,  # noqa: A002
        poll_interval: float = 0.25,
        on_start_failure: str = "raise",
    ) -> None:
        check_choice("on_start_failure", on_start_failure, "raise", "empty")
        check_seconds("poll_interval", poll_interval, largest=float("inf"))
        self._file = FlagFile(path, format, poll_interval)
        self._file.read_first()
        error = self._file.last_error
        if error is None:
            return
        if on_start_failure == "empty":
            self._file.log_failure(error)
        elif isinstance(error, FlagFileError):
            raise error
        else:
            raise StoreUnavailableError(
                f"The flags cannot be read from the file {str(path)!r} "
                f"({type(error).__name__}: {error}); put it there, or start without "
                f"flags by on_start_failure='empty'"
            ) from error

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag, or `None` if there is none."""
        return self._file.get(feature_name)

    def list(
        self, limit: int | None = None, offset: int = 0
    ) -> Iterator[FeatureFlagStoreItem]:
        """Return an iterator of at most `limit` flags by name, from number `offset` on.

        It gives the flags of one version of the file.
        """
        self._file.refresh_if_due()
        flags = self._file.flags
        stop = None if limit is None else offset + limit
        return islice((flags[name] for name in sorted(flags)), offset, stop)

    @property
    def last_error(self) -> Exception | None:
        """Why the present content of the file is not used; `None` if it is used.

        It is a `FlagFileError`, or an `OSError` if the file cannot be read.
        """
        return self._file.last_error

    def last_known(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag as last read, or `None`, without I/O."""
        return self._file.flags.get(feature_name)

    def known_names(self) -> tuple[str, ...]:
        """Return the names of the flags that are known."""
        return tuple(self._file.flags)

    def watch(self) -> FileWatch:
        """Return a watch that reports changes of the file."""
        return FileWatch(self._file)

    @property
    def _remedy(self) -> str:
        return f"the flags are in the file {self._file.path}; change it there"
