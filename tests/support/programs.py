# SPDX-License-Identifier: Apache-2.0
"""Runs Python programs in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from textwrap import dedent

import pytest

from servers.process import unmeasured

TIMEOUT = 120  # seconds until a program counts as stuck

forks = pytest.mark.skipif(
    not hasattr(os, "fork"), reason="processes do not fork on this system"
)


def run_program(program: str, *options: str) -> str:
    """Run Python code in a new process, and return what it prints.

    Coverage does not measure it, since coverage may hang where a process forks while
    other threads are busy.

    Args:
        program: the code; it may be indented.
        options: options of Python, such as `-W` and `ignore`.

    Raises:
        AssertionError: the process failed, or took too long.
    """
    done = subprocess.run(
        [sys.executable, *options, "-c", dedent(program)],
        env=unmeasured(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout
