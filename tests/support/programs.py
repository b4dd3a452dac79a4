# SPDX-License-Identifier: Apache-2.0
"""Python programs that a test runs in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from servers import unmeasured

if TYPE_CHECKING:
    from collections.abc import Sequence

WITHOUT_WARNINGS = ("-W", "ignore")
DEVELOPMENT_MODE = ("-X", "dev")

needs_fork = pytest.mark.skipif(
    not hasattr(os, "fork"), reason="processes do not fork on this system"
)


def run_program(
    code: str,
    *arguments: str,
    options: Sequence[str] = WITHOUT_WARNINGS,
    environment: dict[str, str] | None = None,
    timeout: float = 120,
    may_log: bool = False,
) -> str:
    """Run a program and return what it prints.

    Args:
        code: the program, which may be indented.
        arguments: what it finds in `sys.argv`.
        options: those of the interpreter.
        environment: its environment variables; by default those of this process. Those
            of `unmeasured` keep coverage out, whose locks a fork may leave locked.
        timeout: seconds after which the program is killed and the test fails.
        may_log: whether it may write to its standard error.

    Raises:
        AssertionError: the program has failed, or has written to its standard error.
    """
    done = subprocess.run(
        [sys.executable, *options, "-c", textwrap.dedent(code), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert may_log or done.stderr == ""
    return done.stdout


def run_forking_program(code: str, timeout: float = 120) -> str:
    """Run a program that forks, without coverage, and return what it prints."""
    return run_program(code, environment=unmeasured(), timeout=timeout)
