# SPDX-License-Identifier: Apache-2.0
"""Runs the commands of a shell in a pseudo-terminal, and gives what it shows."""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from servers import unmeasured

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from typing_extensions import Self

COLUMNS = 88
TIMEOUT = 60  # seconds
ROOT = Path(__file__).parents[2]

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# What a shell prints before each command, so that outputs can be told apart. The status
# of the command before stays what `$?` says.
_MARK = "\x1e"
_AT = "at() { status=$?; printf '\\036'; return $status; }\n"
_QUESTION = re.compile(r"\[y/N\]: $")


def without_colours(text: str) -> str:
    """Return a text without the sequences that control a terminal."""
    return _CONTROL.sub("", text)


def environment_with(programs: Path) -> dict[str, str]:
    """Return environment variables with which a shell finds `flipper` in a folder."""
    colours = ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "COLUMNS")
    unwanted = ("FLIPPER", "PYTHONPATH", *colours)
    kept = {k: v for k, v in unmeasured().items() if not k.startswith(unwanted)}
    path = f"{programs}{os.pathsep}{kept.get('PATH', os.defpath)}"
    return {**kept, "PATH": path, "TERM": "xterm-256color"}


def environment_of_checkout(folder: Path) -> dict[str, str]:
    """Put a program `flipper` into a new folder; it runs the code of this checkout."""
    programs = folder / "bin"
    programs.mkdir(parents=True)
    for name, arguments in (("flipper", "-m flipper"), ("python", "")):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
        program.chmod(0o755)
    return {**environment_with(programs), "PYTHONPATH": str(ROOT)}


class Session:
    """A shell that runs commands in a terminal of its own. Close it after use.

    Args:
        commands: what the shell runs, one after the other.
        folder: where it runs.
        environment: all its environment variables.
        answers: what is typed at each question, in this order.
    """

    def __init__(
        self,
        commands: Sequence[str],
        folder: Path,
        environment: dict[str, str],
        answers: Sequence[str] = (),
    ) -> None:
        self._text = ""
        self._answers = list(answers)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._terminal, inside = pty.openpty()
        size = struct.pack("HHHH", 24, COLUMNS, 0, 0)
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, size)
        script = _AT + "".join(f"at\n{command}\n" for command in commands)
        self._process = subprocess.Popen(
            ["sh", "-c", script],
            cwd=folder,
            env=environment,
            stdin=inside,
            stdout=inside,
            stderr=inside,
            start_new_session=True,
        )
        os.close(inside)

    @property
    def outputs(self) -> list[str]:
        """What each command has printed so far, as the terminal shows it."""
        return self._text.replace("\r\n", "\n").split(_MARK)[1:]

    def read_until(self, is_enough: Callable[[], bool]) -> None:
        """Read until this is enough, or all commands have ended, or time is over."""
        limit = time.monotonic() + TIMEOUT
        while not is_enough() and time.monotonic() < limit:
            ready, _, _ = select.select([self._terminal], [], [], 0.2)
            if ready and not self._read():
                return

    def read(self) -> list[str]:
        """Wait for the end of all commands, and return what each has printed."""
        self.read_until(lambda: False)
        try:
            self._process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            pytest.fail(f"this does not end:\n{self._text}", pytrace=False)
        return self.outputs

    def _read(self) -> bool:
        """Read what was printed, and answer if it is a question; false at the end."""
        try:
            data = os.read(self._terminal, 65536)
        except OSError:  # Linux reports so that all programs have ended
            return False
        self._text += self._decoder.decode(data)
        if self._answers and _QUESTION.search(without_colours(self._text)):
            os.write(self._terminal, f"{self._answers.pop(0)}\n".encode())
        return bool(data)

    def __enter__(self) -> Self:
        """Return the session."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the commands as Ctrl-C does, and those that do not obey at once."""
        for number in (signal.SIGINT, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
                break
        os.close(self._terminal)
