# SPDX-License-Identifier: Apache-2.0
"""The contenders' environments: one each, all with the interpreter that runs this."""

from __future__ import annotations

import platform
import subprocess
import venv
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .contenders import Entry

ROOT = Path(__file__).parents[1]
_INSTALLING = 900  # seconds at most


class InstallError(Exception):
    """A contender cannot be installed; with the end of what pip said."""


def is_made(key: str, entry: Entry) -> bool:
    """Tell whether the environment is there and up to date."""
    mark = _mark(key)
    return mark.exists() and mark.read_text() == _content(entry)


def interpreter(key: str, entry: Entry) -> Path:
    """Return the contender's interpreter; install the contender if need be.

    Raises:
        InstallError: pip could not.
    """
    home = _mark(key).parent
    python = home / "bin" / "python"
    if not is_made(key, entry):
        venv.create(home, with_pip=True, clear=True)
        pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        command = [*pip, "install", *_requirements(entry)]
        try:
            subprocess.run(  # noqa: S603  (the table's own requirements)
                command, check=True, capture_output=True, text=True, timeout=_INSTALLING
            )
        except subprocess.CalledProcessError as error:
            raise InstallError(error.stderr.strip()[-500:]) from error
        except subprocess.TimeoutExpired as error:
            raise InstallError(f"not done after {_INSTALLING} s") from error
        _mark(key).write_text(_content(entry))
    return python


def _mark(key: str) -> Path:
    return ROOT / f".venv-bench-{key}" / ".installed"


def _content(entry: Entry) -> str:
    return f"{platform.python_version()} {_requirements(entry)}"


def _requirements(entry: Entry) -> list[str]:
    return [each.format(root=ROOT) for each in entry.requirements]
