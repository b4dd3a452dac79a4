# SPDX-License-Identifier: Apache-2.0
"""The table of commands, and what happens before and after each of them."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

import click

from .. import __version__
from .command_table import CommandTable
from .errors import exit_code_of, message_of
from .exit_codes import DONE, FAILED
from .log_messages import log_messages_printed
from .options import common_options
from .output import message
from .session import Session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..client import FeatureFlagClient

COMMANDS = {
    "list": ("flags:list_flags", "List the flags."),
    "show": ("flags:show", "Show all of one flag."),
    "create": ("flags:create", "Create a flag, switched off."),
    "enable": ("flags:enable", "Switch a flag on."),
    "disable": ("flags:disable", "Switch a flag off for everybody."),
    "delete": ("flags:delete", "Delete a flag."),
    "condition": ("conditions:condition", "Change the conditions of a flag."),
    "bucket": ("bucketers:bucket", "Let a share of the calls in."),
    "rules": ("rules:rules", "Show and change the rules of a flag."),
    "meta": ("client_data:meta", "Print and change client data."),
    "check": ("check:check", "Ask whether a flag is on, and why."),
    "export": ("transfer:export", "Write all flags to a file."),
    "import": ("transfer:import_flags", "Create and change flags from a file."),
    "diff": ("transfer:diff", "Compare two stores or files."),
    "copy": ("transfer:copy", "Copy all flags to another store."),
    "plan": ("plans:plan", "Print what apply would change, and for whom."),
    "apply": ("plans:apply", "Make the flags of the store like those of a file."),
    "watch": ("watch:watch", "Print changes as they happen."),
    "relay": ("relay:relay", "Keep another store equal to a store."),
    "doctor": ("doctor:doctor", "Examine the store."),
    "schema": ("tools:schema", "Print the JSON Schema of flag files."),
    "serve-thrift": ("tools:serve_thrift", "Serve the flags to Thrift clients."),
    "completion": ("tools:completion", "Print the completion for a shell."),
}


@click.group(
    cls=CommandTable,
    table=COMMANDS,
    params=common_options(),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 88},
    epilog=(
        "The store is the one of --url, else of the environment variable FLIPPER_URL, "
        "else the file flipper.db in this folder. Exit codes: 0 done, 1 failed (or "
        "off, for check), 2 wrong usage, 3 no such flag, 4 store not reachable."
    ),
)
@click.version_option(__version__, prog_name="flipper")
@click.pass_context
def program(ctx: click.Context) -> None:
    """Show and change feature flags."""


def run(
    arguments: Sequence[str] | None = None,
    *,
    client: FeatureFlagClient | None = None,
    prog_name: str = "flipper",
) -> int:
    """Run one command, and return its exit code. No error is raised.

    Args:
        arguments: those of the command; `None` is those of the process.
        client: of the application that runs the command, for where no store is named.
        prog_name: what people type to run it.
    """
    session = Session(client)
    _replace_closed_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name may have characters that the encoding of the terminal does not have.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with log_messages_printed(session), session:
            result = program.main(
                None if arguments is None else list(arguments),
                prog_name=prog_name,
                obj=session,
                standalone_mode=False,
                # See no-color.org: any value but an empty one counts.
                color=False if os.environ.get("NO_COLOR") else None,
            )
        sys.stdout.flush()
    except click.ClickException as error:
        vars(error)["message"] = message(error.message)
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped.", err=True)
        return 130  # what shells expect of a program that Ctrl-C has ended
    except Exception as error:  # noqa: BLE001  (users get a message, no traceback)
        if isinstance(error, BrokenPipeError) and _has_no_reader():
            return FAILED
        click.echo(f"Error: {message_of(error)}", err=True)
        return exit_code_of(error, session)
    return result if isinstance(result, int) else DONE


def _replace_closed_streams() -> None:
    """Read nothing from a closed stdin, and print nothing to closed outputs.

    Python has `None` for a stream that was closed before it started, as by `>&-`.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115


def _has_no_reader() -> bool:
    """Return whether nobody reads stdout any more, as in `flipper list | head`."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes it once more at its exit, and would report an error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False
