# SPDX-License-Identifier: Apache-2.0
"""The exit codes of the command."""

from __future__ import annotations

from typing import Final

import click

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
NO_SUCH_FLAG: Final = 3
UNREACHABLE: Final = 4


class RefusedError(click.ClickException):
    """The command needs an option to do this; it needs no reminder of its usage."""

    exit_code = USAGE
