# SPDX-License-Identifier: Apache-2.0
"""Runs programs in a pseudo-terminal, as people do."""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING

from servers import unmeasured

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from typing_extensions import Self

_TIMEOUT = 60.0  # seconds
# Makes the terminal the one whose Ctrl-C reaches the program. Ctrl-C has to end it also
# if the tests run in the background of a shell, which ignores that.
_LAUNCHER = """
import fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])
"""
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def without_colours(text: str) -> str:
    """Return a text without the sequences that control a terminal."""
    return _COLOUR.sub("", text)


class Terminal:
    """A program in a terminal of some columns. Close it after use.

    Args:
        arguments: the program and its arguments.
        columns: how wide the terminal is.
        environment: further environment variables.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        columns: int = 80,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.output = ""
        self.code: int | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._terminal, inside = pty.openpty()
        size = struct.pack("HHHH", 24, columns, 0, 0)
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, size)
        names = {"TERM": "xterm", "COLUMNS": "", **(environment or {})}
        self._process = subprocess.Popen(
            [sys.executable, "-c", _LAUNCHER, *arguments],
            env={k: v for k, v in {**unmeasured(), **names}.items() if v},
            stdin=inside,
            stdout=inside,
            stderr=inside,
            start_new_session=True,
        )
        os.close(inside)

    @classmethod
    def flipper(
        cls, *arguments: str, columns: int = 80, **environment: str
    ) -> Terminal:
        """Run the command `flipper`."""
        program = [sys.executable, "-m", "flipper", *arguments]
        return cls(program, columns=columns, environment=environment)

    def wait_for(self, text: str) -> None:
        """Read until the program has printed a text.

        Raises:
            AssertionError: it ends before.
        """
        limit = time.monotonic() + _TIMEOUT
        while text not in without_colours(self.output):
            assert time.monotonic() < limit, self.output
            assert select.select([self._terminal], [], [], _TIMEOUT)[0], self.output
            assert self._read(), f"{text!r} is not in {self.output!r}"

    def answer(self, text: str) -> int:
        """Type a text, wait until the program ends, and return its exit code.

        It is typed again if nothing happens: a program that prepares the terminal for
        its question throws away what was typed before.
        """
        limit = time.monotonic() + _TIMEOUT
        while True:
            with contextlib.suppress(OSError):  # it has just ended
                os.write(self._terminal, text.encode())
            while select.select([self._terminal], [], [], 2)[0]:
                if not self._read():
                    return self.wait()
            assert time.monotonic() < limit, self.output

    def wait(self) -> int:
        """Read until the program ends, and return its exit code."""
        limit = time.monotonic() + _TIMEOUT
        while select.select([self._terminal], [], [], _TIMEOUT)[0] and self._read():
            assert time.monotonic() < limit, self.output
        self.code = self._process.wait(_TIMEOUT)
        return self.code

    def _read(self) -> bool:
        try:
            data = os.read(self._terminal, 65536)
        except OSError:  # Linux reports so that the program has ended
            return False
        self.output += self._decoder.decode(data).replace("\r\n", "\n")
        return bool(data)

    def __enter__(self) -> Self:
        """Return the terminal."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the program if it still runs."""
        if self.code is None:
            self._process.kill()
            self._process.wait()
        os.close(self._terminal)
