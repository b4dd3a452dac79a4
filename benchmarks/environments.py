# SPDX-License-Identifier: Apache-2.0
"""Makes an environment for each contender, with the interpreter that runs this."""

from __future__ import annotations

import platform
import subprocess
import venv
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .contenders import Entry

ROOT = Path(__file__).parents[1]
_INSTALL_TIMEOUT = 900  # seconds


class InstallError(Exception):
    """A contender cannot be installed. The message is the end of the output of pip."""


def is_installed(key: str, entry: Entry) -> bool:
    """Return whether the environment exists and is up to date."""
    marker = _marker(key)
    return marker.exists() and marker.read_text() == _content(entry)


def interpreter(key: str, entry: Entry) -> Path:
    """Return the contender's interpreter; install the contender if it is not installed.

    Raises:
        InstallError: pip failed.
    """
    home = _marker(key).parent
    python = home / "bin" / "python"
    if not is_installed(key, entry):
        venv.create(home, with_pip=True, clear=True)
        pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        command = [*pip, "install", *_requirements(entry)]
        try:
            subprocess.run(  # noqa: S603  (the table's own requirements)
                command,
                check=True,
                capture_output=True,
                text=True,
                timeout=_INSTALL_TIMEOUT,
            )
        except subprocess.CalledProcessError as error:
            raise InstallError(error.stderr.strip()[-500:]) from error
        except subprocess.TimeoutExpired as error:
            raise InstallError(f"not done after {_INSTALL_TIMEOUT} s") from error
        _marker(key).write_text(_content(entry))
    return python


def _marker(key: str) -> Path:
    return ROOT / f".venv-bench-{key}" / ".installed"


def _content(entry: Entry) -> str:
    return f"{platform.python_version()} {_requirements(entry)}"


def _requirements(entry: Entry) -> list[str]:
    return [each.format(root=ROOT) for each in entry.requirements]
