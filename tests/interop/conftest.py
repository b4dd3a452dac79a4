# SPDX-License-Identifier: Apache-2.0
"""Agents: processes with the published flipper-client or with this library."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
import venv
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PUBLISHED = "flipper-client==1.3.2"
# It pins a psycopg without wheels for current Pythons; it works with newer ones.
REQUIREMENTS = [PUBLISHED, "psycopg[binary]>=3.1", "setuptools<81"]


class Agent:
    """A process that runs `agent.py`, with the methods of the agent."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __getattr__(self, method: str) -> Any:
        def call(*arguments: object) -> Any:
            assert self._process.stdin
            assert self._process.stdout
            self._process.stdin.write(json.dumps([method, arguments]) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
            assert line, f"the agent ended during {method}"
            answer = json.loads(line)
            assert "error" not in answer, f"{method}{arguments}: {answer['error']}"
            return answer["result"]

        return call


@contextmanager
def agent(python: Path, backend: str, address: str, folder: Path) -> Iterator[Agent]:
    """Run an agent with the library that `python` finds, in `folder` or installed."""
    process = subprocess.Popen(
        [python, "-W", "ignore", HERE / "agent.py", backend, address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin"},
    )
    with process:
        try:
            yield Agent(process)
        finally:
            process.kill()


@pytest.fixture(scope="session")
def original_python() -> Path:
    """Give an interpreter that has the published flipper-client."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    home = ROOT / f".venv-original-{version}"
    python = home / "bin" / "python"
    mark = home / ".installed"
    # Race: one of the workers that run tests makes it, and the others wait.
    with home.with_name(f"{home.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not mark.exists() or mark.read_text() != repr(REQUIREMENTS):
            # With the pip of this environment: to install another takes longer than all
            # that it would do.
            venv.create(home, with_pip=False, clear=True)
            pip = [sys.executable, "-m", "pip", "--python", python, "--quiet"]
            pip.append("--disable-pip-version-check")
            subprocess.run([*pip, "install", *REQUIREMENTS], check=True, timeout=600)
            mark.write_text(repr(REQUIREMENTS))
    return python


@pytest.fixture
def agents(
    original_python: Path, address: tuple[str, str], tmp_path: Path
) -> Iterator[dict[str, Agent]]:
    """Give two agents that use the same store, "original" and "ours"."""
    with agent(original_python, *address, tmp_path) as original:
        # One after the other: if both create the table at the same moment, the original
        # may end with an error of PostgreSQL.
        assert original.version() == "original"
        with agent(Path(sys.executable), *address, ROOT) as ours:
            yield {"original": original, "ours": ours}
