# SPDX-License-Identifier: Apache-2.0
"""Commands that print and change the client data of a flag."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .command_table import table_of
from .options import command, feature_name
from .output import note, print_json, print_text
from .report import report
from .values import format_value, parse_pairs, utf8_text

if TYPE_CHECKING:
    from .session import Session

meta = table_of(
    "meta",
    "Print and change the client data of a flag: the application's own notes on it.",
    {
        "get": ("client_data:get", "Print client data."),
        "set": ("client_data:merge", "Change client data."),
    },
)


@command("get")
@feature_name
@click.argument("key", required=False)
def get(session: Session, feature_name: str, key: str | None) -> None:
    """Print the client data of a flag, or the value of one KEY."""
    data = session.client.get_client_data(feature_name)
    if key is not None:
        if key not in data:
            known = ", ".join(sorted(data)) or "none"
            message = f"The flag {feature_name!r} has no {key!r}; its keys: {known}"
            raise click.ClickException(message)
        if session.as_json:
            print_json(data[key])
        else:
            print_text(format_value(data[key]))
    elif session.as_json:
        print_json(data)
    elif data:
        for name, value in data.items():
            print_text(f"{name}={format_value(value)}")
    else:
        note(f"The flag {feature_name!r} has no client data.")


@command("set")
@feature_name
@click.argument(
    "pairs", nargs=-1, required=True, metavar="KEY=VALUE...", type=utf8_text
)
def merge(session: Session, feature_name: str, pairs: tuple[str, ...]) -> None:
    """Set values of the client data. Keys that are not named stay as they are."""
    session.client.set_client_data(feature_name, parse_pairs(pairs))
    report(session, feature_name, "Changed")
