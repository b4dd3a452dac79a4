# SPDX-License-Identifier: Apache-2.0
"""Runs Python code in an interpreter of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from servers import unmeasured

ROOT = Path(__file__).parents[2]

needs_fork = pytest.mark.skipif(
    not hasattr(os, "fork"), reason="processes do not fork on this system"
)


def run_script(
    code: str, *, is_measured: bool = True, timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own, which has to end without an error.

    Args:
        code: the code, which may be indented.
        is_measured: whether coverage measures it. Coverage takes locks that a fork may
            leave locked in the child.
        timeout: seconds after which the process is killed and the test fails.
    """
    # Newer Pythons warn of a fork beside threads.
    options = ("-W", "ignore::DeprecationWarning")
    done = subprocess.run(
        [sys.executable, *options, "-c", textwrap.dedent(code)],
        cwd=ROOT,
        env=None if is_measured else unmeasured(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done
