# SPDX-License-Identifier: Apache-2.0
"""Runs examples, and web applications among them, in interpreters of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

from servers.process import Server

ROOT = Path(__file__).parents[2]
TIMEOUT = 60  # seconds


def run_example(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments in the checkout, and wait for its end."""
    run = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr}"
    return run


class Answer(NamedTuple):
    """The answer of a web server."""

    status: int
    text: str
    path: str  # after all redirects


class Site(Server):
    """A web application, served by a command of its framework.

    Args:
        arguments: of Python; `{port}` is replaced by the port.
    """

    def __init__(self, *arguments: str) -> None:
        super().__init__()
        port = str(self.port)
        self._arguments = [argument.replace("{port}", port) for argument in arguments]

    def find_programs(self) -> None:
        """Find nothing, since only Python is needed."""

    def command(self) -> list[str]:
        """Return the command, which uses the library of this checkout."""
        path = f"PYTHONPATH={ROOT}"
        return ["env", path, sys.executable, *self._arguments]

    def answers(self) -> bool:
        """Return whether the first page is there."""
        return self.get("/").status < 500

    def get(self, path: str) -> Answer:
        """Request a page."""
        return self._open(path, None)

    def post(self, path: str) -> Answer:
        """Send an empty form."""
        return self._open(path, b"")

    def _open(self, path: str, body: bytes | None) -> Answer:
        address = f"http://{self.host}:{self.port}"
        try:
            response = urllib.request.urlopen(address + path, body, TIMEOUT)  # noqa: S310  (our own)
        except urllib.error.HTTPError as error:
            response = error
        with response:
            where = response.geturl().removeprefix(address)
            return Answer(response.status, response.read().decode(), where)
