# SPDX-License-Identifier: Apache-2.0
"""Follows docs/tutorial-django.md to the letter, with the wheel, outside of the tree.

`site_pages.py` says how the page is read. `...` in an output stands for what differs
each time. A command with `runserver` runs beside the others.
"""

from __future__ import annotations

import doctest
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from document_examples import ROOT
from site_pages import Command, File, steps

from servers.process import free_port

PAGE = ROOT / "docs" / "tutorial-django.md"
REQUIREMENT = "'flipper-client[django]'"
PORT = "8000"
TIMEOUT = 300  # seconds, for the installation
COMPARISON = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Shell:
    """Runs commands as one shell does: folder and variables stay.

    Args:
        folder: where it begins.
        port: is used in place of the one of the page.
        wheel: is installed in place of the released package.
    """

    def __init__(self, folder: Path, port: int, wheel: Path) -> None:
        self.folder = folder
        self._state = folder / "shell-state"
        self._state.write_text("", encoding="utf-8")
        self._replaced = {PORT: str(port), REQUIREMENT: f"'{wheel}[django]'"}
        self._beside: list[subprocess.Popen[str]] = []
        self._port = port
        unwanted = ("COVERAGE", "PYTHONPATH", "FLIPPER", "DJANGO", "VIRTUAL_ENV")
        self._environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(unwanted)
        }

    def run(self, command: str) -> str:
        """Run a command, and return what it prints."""
        for old, new in self._replaced.items():
            command = command.replace(old, new)
        state, cwd = self._state, self.folder
        script = f". {state}\n{command}\nexport -p > {state}; pwd > {state}.folder\n"
        if "runserver" in command:
            log = (state.parent / "server.log").open("w")
            script = f". {state}\nexec {command}\n"
            started = subprocess.Popen(
                ["sh", "-ec", script],
                cwd=cwd,
                env=self._environment,
                text=True,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            log.close()
            self._beside.append(started)
            self._wait_for_server(started)
            return ""
        done = subprocess.run(
            ["sh", "-ec", script],
            cwd=cwd,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}"
        found = Path(f"{state}.folder").read_text(encoding="utf-8").strip()
        self.folder = Path(found)
        return done.stdout

    def close(self) -> None:
        """End what runs beside."""
        for one in self._beside:
            os.killpg(one.pid, signal.SIGTERM)
            one.wait(30)

    def _wait_for_server(self, started: subprocess.Popen[str]) -> None:
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end and started.poll() is None:
            with socket.socket() as connection:
                if connection.connect_ex(("127.0.0.1", self._port)) == 0:
                    return
            time.sleep(0.1)
        log = (self._state.parent / "server.log").read_text(encoding="utf-8")
        pytest.fail(f"the server does not start\n{log}")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of the checkout."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "thrift"):
        copy_one = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy_one(ROOT / name, copy / name)
    left = shutil.ignore_patterns("__pycache__")
    for name in ("flipper", "flipper_thrift"):
        shutil.copytree(ROOT / name, copy / name, ignore=left)
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", folder, copy],
        cwd=folder,
        capture_output=True,
        check=True,
    )
    (found,) = folder.glob("*.whl")
    return found


@pytest.mark.slow
def test_the_tutorial_ends_with_the_page_that_it_promises(
    wheel: Path, tmp_path: Path
) -> None:
    """A newcomer who follows the page gets all outputs that it shows."""
    if shutil.which("curl") is None:
        pytest.skip("the page uses curl, which is not installed")
    shell = Shell(tmp_path, free_port(), wheel)
    last = None
    try:
        for step in steps(PAGE):
            if isinstance(step, Command):
                last = shell.run(step.text)
                if step.text.startswith("pip "):
                    continue  # it may warn of what this machine lacks
                is_same = doctest.OutputChecker().check_output(
                    step.output, last, COMPARISON
                )
                assert is_same, f"$ {step.text}\n{last}\ninstead of\n{step.output}"
                continue
            path = shell.folder / step.path
            path.parent.mkdir(exist_ok=True)
            with path.open("a" if step.is_addition else "w", encoding="utf-8") as file:
                file.write(step.text)
    finally:
        shell.close()
    assert last == "What is new in the shop\n"


def test_the_page_names_its_files_and_commands() -> None:
    """The test above does all that the page says."""
    found = list(steps(PAGE))
    paths = [step.path for step in found if isinstance(step, File)]
    assert "shop/settings.py" in paths
    assert len(paths) == len({*paths}) == 6
    commands = [step.text for step in found if isinstance(step, Command)]
    assert sum("manage.py flipper" in each for each in commands) == 4
    assert sum(REQUIREMENT in each for each in commands) == 1
    assert sum("runserver" in each for each in commands) == 1
