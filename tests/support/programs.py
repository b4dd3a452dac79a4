# SPDX-License-Identifier: Apache-2.0
"""Python programs that a test runs in a process of their own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

WITHOUT_WARNINGS = ("-W", "ignore")
DEVELOPMENT_MODE = ("-X", "dev")


def run_program(
    code: str,
    *arguments: str,
    options: Sequence[str] = WITHOUT_WARNINGS,
    environment: dict[str, str] | None = None,
) -> str:
    """Run a program and return what it prints.

    Args:
        code: the program, which may be indented.
        arguments: what it finds in `sys.argv`.
        options: those of the interpreter.
        environment: its environment variables; by default those of this process.

    Raises:
        AssertionError: the program has failed, or has written to its standard error.
    """
    done = subprocess.run(
        [sys.executable, *options, "-c", textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout
