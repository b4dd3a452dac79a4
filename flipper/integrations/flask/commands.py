# SPDX-License-Identifier: Apache-2.0
"""`flask flipper`: the command line, with the client of the app."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from flask.cli import with_appcontext

from .. import require

if TYPE_CHECKING:
    from flask import Flask

    from ...client import FeatureFlagClient


def add_command(app: Flask, name: str, client: FeatureFlagClient) -> None:
    """Add the command to those of an app. It is imported when it is used."""

    @click.command(
        name,
        help="Show and change feature flags.",
        add_help_option=False,
        context_settings={
            "ignore_unknown_options": True,
            "allow_interspersed_args": False,
        },
    )
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    @with_appcontext
    def command(arguments: tuple[str, ...]) -> None:
        try:
            require("rich", "cli")
        except ImportError as error:
            raise click.ClickException(str(error)) from error
        from ...cli.program import run

        raise SystemExit(run(arguments, client=client, prog_name=f"flask {name}"))

    app.cli.add_command(command)
