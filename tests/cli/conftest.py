# SPDX-License-Identifier: Apache-2.0
"""Runs the command `flipper`: within this process, which is quick, or as a program."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from flipper import FeatureFlagClient, store_from_url
from flipper.cli.program import run
from servers import unmeasured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Result(NamedTuple):
    """What a command has printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """What stdout has as JSON."""
        return json.loads(self.out)


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c_ends_programs() -> Iterator[None]:
    """Let programs be ended by Ctrl-C, which the background of a shell ignores."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, with nothing configured."""
    monkeypatch.chdir(tmp_path)
    for name in ("FLIPPER_URL", "NO_COLOR", "FORCE_COLOR", "_FLIPPER_COMPLETE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def flipper(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Give a function that runs a command within this process."""

    def run_here(*arguments: str) -> Result:
        capsys.readouterr()
        code = run(list(arguments))
        return Result(code, *capsys.readouterr())

    return run_here


@pytest.fixture
def program(folder: Path) -> Callable[..., Result]:
    """Give a function that runs a command as a program, with pipes."""

    def run_program(*arguments: str, input: str = "", **environment: str) -> Result:  # noqa: A002
        done = subprocess.run(
            [sys.executable, "-m", "flipper", *arguments],
            input=input,
            capture_output=True,
            text=True,
            encoding=environment.get("PYTHONIOENCODING", "utf-8"),
            errors="replace",
            timeout=60,
            check=False,
            cwd=folder,
            env={**unmeasured(), **environment},
        )
        return Result(done.returncode, done.stdout, done.stderr)

    return run_program


@pytest.fixture
def client(folder: Path) -> Iterator[FeatureFlagClient]:
    """Give a client of the store that commands use by default."""
    with store_from_url("sqlite:///flipper.db") as store:
        yield FeatureFlagClient(store)
