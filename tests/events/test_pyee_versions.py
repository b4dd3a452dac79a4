# SPDX-License-Identifier: Apache-2.0
"""Every version of pyee that flipper can be installed with passes the event tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from servers.process import absent, unmeasured

ROOT = Path(__file__).parents[2]
# The newest version of each line that changed something here, and the newest of all.
PYEE_VERSIONS = ["==6.*", "==7.*", "==8.*", "==9.*", "==11.*", "==12.*", "==13.*", ""]


@pytest.mark.slow
@pytest.mark.parametrize("pin", PYEE_VERSIONS)
def test_events_work_with_every_pyee(pin: str, tmp_path: Path) -> None:
    """The tests of events pass with each version, with warnings as errors.

    Between the versions a class was renamed, and the removal of listeners changed.
    """
    folder = tmp_path / "pyee"
    pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    try:
        run(*pip, "--no-deps", "--no-compile", "--target", str(folder), f"pyee{pin}")
    except AssertionError as error:
        absent(f"pyee{pin} cannot be installed: {error}")
    output = run(
        "-c",
        "import pyee, pytest, sys; print(pyee.__file__); sys.exit(pytest.main())",
        *("-q", "-p", "no:cacheprovider", "-m", "not slow"),
        *("tests/events", "tests/compat/test_compat_events.py"),
        folder=folder,
    )
    assert Path(output.splitlines()[0]).is_relative_to(folder)
    assert " passed" in output
    assert " skipped" not in output


def run(*arguments: str, folder: Path = ROOT) -> str:
    """Run Python with the packages of `folder` first, and return its output."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={
            **unmeasured(),
            "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout
