# SPDX-License-Identifier: Apache-2.0
"""What type checkers see of the library: programs as users write them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PROGRAM, MISTAKES = HERE / "program.py", HERE / "mistakes.py"
EXPECTED = re.compile(r" *# type: ignore\[.+\]$")


class Mistake(NamedTuple):
    """What a type checker reports."""

    line: int
    message: str


def run(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a module of this interpreter in a folder outside of the checkout."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def mypy(folder: Path) -> list[Mistake]:
    """Return what `mypy --strict` finds in the files of a folder."""
    # Without a configuration, and silent about the library, as if it were installed.
    options = ("--strict", "--config-file=", "--follow-imports=silent")
    cache = f"--cache-dir={folder.parent / 'mypy-cache'}"  # all tests share it
    done = run("-m", "mypy", *options, cache, "--no-error-summary", ".", cwd=folder)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = re.findall(r"^.+?:(\d+): error: (.+)$", done.stdout, re.MULTILINE)
    return [Mistake(int(line), message) for line, message in found]


def pyright(folder: Path) -> list[Mistake]:
    """Return what pyright, at its strictest, finds in the files of a folder."""
    settings = {
        "typeCheckingMode": "strict",
        "reportUnnecessaryTypeIgnoreComment": "error",
        "extraPaths": [str(ROOT)],
    }
    (folder / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    python = ("--pythonpath", sys.executable)
    done = run("-m", "pyright", *python, "--outputjson", cwd=folder)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return [
        Mistake(found["range"]["start"]["line"] + 1, found["message"])
        for found in json.loads(done.stdout)["generalDiagnostics"]
    ]


Checker: TypeAlias = "Callable[[Path], list[Mistake]]"
checkers = pytest.mark.parametrize("checker", [mypy, pyright])


@checkers
def test_correct_code_has_no_mistakes(checker: Checker, tmp_path: Path) -> None:
    """The program passes, and so do mistakes with a comment that expects them."""
    for file in (PROGRAM, MISTAKES):
        shutil.copy(file, tmp_path)
    assert checker(tmp_path) == []


@checkers
def test_each_mistake_is_reported(checker: Checker, tmp_path: Path) -> None:
    """Without the comments that expect them, exactly the mistakes are reported."""
    lines = MISTAKES.read_text(encoding="utf-8").splitlines()
    expected = {n for n, line in enumerate(lines, 1) if EXPECTED.search(line)}
    text = "\n".join(EXPECTED.sub("", line) for line in lines)
    (tmp_path / MISTAKES.name).write_text(text, encoding="utf-8")
    assert {mistake.line for mistake in checker(tmp_path)} == expected


def test_the_program_runs(tmp_path: Path) -> None:
    """Annotations that the running program contradicts would be worth nothing."""
    done = run("-W", "error", PROGRAM, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Feature MISSING does not exist" in done.stdout
