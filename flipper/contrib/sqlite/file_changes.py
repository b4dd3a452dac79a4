# SPDX-License-Identifier: Apache-2.0
"""Waits for writes to files, where the operating system reports them.

Linux does, by https://man7.org/linux/man-pages/man7/inotify.7.html, for which Python
has no module. Nothing is reported on other systems, on some shared file systems, and if
too many programs of the user wait for files. So the caller has to look now and then
anyway.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from time import sleep
from typing import TYPE_CHECKING, Any, Final
from weakref import finalize

from ...runtime.readable import is_readable

if TYPE_CHECKING:
    from collections.abc import Sequence

_IN_MODIFY: Final = 0x2
_BUFFER_SIZE: Final = 65536  # equal reports that nobody has read yet are one


class FileChanges:
    """Waits until one of some files is written to. For one thread at a time.

    Args:
        paths: the files. One that is missing is found later.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = [os.fsencode(path) for path in paths]
        self._inotify: Any = None
        self._descriptor = -1
        with suppress(ImportError, AttributeError, OSError):
            self._inotify, self._descriptor = _open_inotify()
        self.close: Any = finalize(self, _close, self._descriptor)
        """Stop listening. May be called again."""

    @property
    def are_reported(self) -> bool:
        """Whether the system reports writes to files."""
        return self._descriptor >= 0

    def wait(self, timeout: float) -> bool:
        """Wait for a write, at most `timeout` seconds; return whether there was one.

        Writes since the last call count, too.
        """
        if not self.are_reported or not self.close.alive:
            sleep(max(timeout, 0.0))
            return False
        # A file may have been replaced. To add it again costs some microseconds.
        for path in self._paths:
            self._inotify.inotify_add_watch(self._descriptor, path, _IN_MODIFY)
        if not is_readable(self._descriptor, timeout):
            return False
        with suppress(BlockingIOError):
            os.read(self._descriptor, _BUFFER_SIZE)
        return True


def _open_inotify() -> tuple[Any, int]:
    """Return the C library, and a descriptor that no program of this one inherits.

    Raises:
        Exception: the system cannot report writes, or not to yet another program.
    """
    if sys.platform != "linux":
        raise OSError
    import ctypes

    library = ctypes.CDLL(None)
    descriptor = library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    return library, descriptor


def _close(descriptor: int) -> None:
    if descriptor >= 0:
        os.close(descriptor)
