# SPDX-License-Identifier: Apache-2.0
"""The site of docs/django.md: its settings are right, and its tests pass."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from document_examples import ROOT
from site_pages import File, steps

if TYPE_CHECKING:
    from pathlib import Path

PAGE = ROOT / "docs" / "django.md"
OWN_SETTINGS = '\nTEMPLATES[0]["DIRS"] = [BASE_DIR / "templates"]\n'


def run(folder: Path, *arguments: str) -> str:
    """Run a program of Django in the site, and return what it prints."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("FLIPPER")}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_the_site_of_the_page_works(tmp_path: Path) -> None:
    """The files of the page make a site without mistakes, whose tests pass."""
    run(tmp_path, "-m", "django", "startproject", "shop", ".")
    files = [step for step in steps(PAGE) if isinstance(step, File)]
    assert len(files) == 6
    for one in files:
        path = tmp_path / one.path
        path.parent.mkdir(exist_ok=True)
        with path.open("a" if one.is_addition else "w", encoding="utf-8") as file:
            file.write(one.text)
    with (tmp_path / "shop" / "settings.py").open("a") as settings:
        settings.write(OWN_SETTINGS)
    assert "no issues" in run(tmp_path, "manage.py", "check")
    tests = run(tmp_path, "-W", "error::RuntimeWarning", "manage.py", "test")
    assert "Ran 4 tests" in tests
