# SPDX-License-Identifier: Apache-2.0
"""Reads public test suites of other flag systems, which are not part of the project.

They are in the folder that the environment variable FLIPPER_SUITES names, else in
`../shared/suites` beside the checkout. Without such a folder the tests are skipped; a
folder that is named but missing is an error.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def _folder() -> Path:
    named = os.environ.get("FLIPPER_SUITES")
    return Path(named) if named else ROOT.parent / "shared" / "suites"


def names_of_files(suite: str, ending: str = "json") -> list[str]:
    """Return the names of the files of a suite; if there is no folder, one."""
    found = (_folder() / suite).glob(f"*.{ending}")
    return sorted(path.name for path in found) or ["none"]


def read_suite(path: str) -> Any:
    """Return the content of a JSON file of the suites, or skip the test."""
    return json.loads(read_text(path))


def read_text(path: str) -> str:
    """Return the text of a file of the suites, or skip the test."""
    folder = _folder()
    if not folder.is_dir():
        reason = f"there is no folder {folder} with the suites; set FLIPPER_SUITES"
        if os.environ.get("FLIPPER_SUITES"):
            pytest.fail(reason)
        pytest.skip(reason)
    return (folder / path).read_text(encoding="utf-8")
