# SPDX-License-Identifier: Apache-2.0
"""mypy and pyright accept correct programs of users, and report their mistakes."""

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
UNCOMMENTED = "uncommented.py"
EXPECTED = re.compile(r" *# type: ignore\[.+\]$")


class Mistake(NamedTuple):
    """What a type checker reports."""

    file: str
    line: int
    message: str


Checker: TypeAlias = "Callable[[Path], list[Mistake]]"


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
    cache = f"--cache-dir={folder.parent / 'mypy-cache'}"
    done = run("-m", "mypy", *options, cache, "--no-error-summary", ".", cwd=folder)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = re.findall(r"^(.+?):(\d+): error: (.+)$", done.stdout, re.MULTILINE)
    return [Mistake(file, int(line), message) for file, line, message in found]


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
        Mistake(
            Path(found["file"]).name,
            found["range"]["start"]["line"] + 1,
            found["message"],
        )
        for found in json.loads(done.stdout)["generalDiagnostics"]
    ]


@pytest.fixture(scope="module", params=[mypy, pyright])
def mistakes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> list[Mistake]:
    """Return what a type checker reports.

    It checks all files at once, since it takes seconds to read the library. One of them
    is `mistakes.py` without the comments that expect the mistakes.
    """
    folder = tmp_path_factory.mktemp("programs")
    for file in (PROGRAM, MISTAKES):
        shutil.copy(file, folder)
    lines = MISTAKES.read_text(encoding="utf-8").splitlines()
    text = "\n".join(EXPECTED.sub("", line) for line in lines)
    (folder / UNCOMMENTED).write_text(text, encoding="utf-8")
    check: Checker = request.param
    pytest.importorskip(check.__name__, reason="it has no wheel for each Python")
    return check(folder)


def test_correct_code_has_no_mistakes(mistakes: list[Mistake]) -> None:
    """The program passes, and so do mistakes with a comment that expects them."""
    assert [mistake for mistake in mistakes if mistake.file != UNCOMMENTED] == []


def test_each_mistake_is_reported(mistakes: list[Mistake]) -> None:
    """Without the comments that expect them, exactly the mistakes are reported."""
    lines = MISTAKES.read_text(encoding="utf-8").splitlines()
    expected = {n for n, line in enumerate(lines, 1) if EXPECTED.search(line)}
    assert expected
    found = {mistake.line for mistake in mistakes if mistake.file == UNCOMMENTED}
    assert found == expected


def test_the_program_runs(tmp_path: Path) -> None:
    """The annotations of the program agree with what it does."""
    done = run("-W", "error", PROGRAM, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Feature MISSING does not exist" in done.stdout
