# SPDX-License-Identifier: Apache-2.0
"""A group of commands that imports each of them only when it is used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

Table = dict[str, tuple[str, str]]


class CommandTable(click.Group):
    """A group whose commands are imported when they are used.

    Importing all of them, and what they need, would delay each of them.

    Args:
        table: for the name of each command, where it is (`module:variable`), and what
            it does, for the help of the group.
        **kwargs: the arguments of `click.Group`.
    """

    def __init__(self, *, table: Table, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._table = table

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names of the commands in the order of the table."""
        return list(self._table)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002  (as click calls it)
        cmd_name: str,
    ) -> click.Command | None:
        """Return a command, or `None` if there is none of this name."""
        if cmd_name not in self._table:
            return None
        module, _, variable = self._table[cmd_name][0].partition(":")
        command: click.Command = getattr(
            import_module(f".{module}", __package__), variable
        )
        return command

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002  (as click calls it)
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the names of the commands and what they do, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, does) for name, (_, does) in self._table.items()]
            )

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or name the nearest one in the error."""
        from difflib import get_close_matches

        name = args[0]
        if name not in self._table and not name.startswith("-"):
            near = get_close_matches(name, self._table, 1)
            hint = (
                f"did you mean {near[0]!r}?" if near else f"see {ctx.command_path} -h"
            )
            message = f"There is no command {name!r}; {hint}"
            raise click.UsageError(message, ctx)
        return super().resolve_command(ctx, args)


def table_of(name: str, help_text: str, table: Table) -> CommandTable:
    """Return a group of commands for a table like `COMMANDS`."""
    return CommandTable(name=name, help=help_text, table=table)
