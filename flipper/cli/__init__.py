# SPDX-License-Identifier: Apache-2.0
"""The command `flipper`, also `python -m flipper`.

`program` has the table of commands, and one module each for groups of them; `session`
opens the store; `values`, `condition_text` and `percentages` read what people type;
`output` prints.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command with the arguments of this process, and exit with its code."""
    try:
        import click  # noqa: F401
    except ImportError:
        from ..exceptions import MissingDependencyError

        print(  # noqa: T201  (click, which prints the rest, is missing)
            f"Error: {MissingDependencyError.for_extra('click', 'cli')}",
            file=sys.stderr,
        )
        sys.exit(1)
    try:
        from .program import run
    except KeyboardInterrupt:  # while modules are loaded
        sys.exit(130)
    sys.exit(run())
