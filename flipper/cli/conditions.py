# SPDX-License-Identifier: Apache-2.0
"""Commands that add, set and clear the conditions of a flag."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .command_table import table_of
from .condition_text import parse_condition
from .options import command, feature_name, yes
from .report import report
from .values import utf8_text

if TYPE_CHECKING:
    from .session import Session

condition = table_of(
    "condition",
    "Change the conditions of a flag. The flag is on if all its conditions hold.",
    {
        "add": ("conditions:add", "Add a condition."),
        "set": ("conditions:replace", "Replace all conditions by one."),
        "clear": ("conditions:clear", "Remove all conditions."),
    },
)

_checks = click.argument(
    "checks", nargs=-1, required=True, metavar="CHECK...", type=utf8_text
)


@command("add")
@feature_name
@_checks
def add(session: Session, feature_name: str, checks: tuple[str, ...]) -> None:
    """Add one condition, made of all the CHECKs: the flag needs all of them.

    Write a check as in 'age >= 18', 'country in SE,NO', 'plan != free', or as
    the library does: age__gte=18.
    """
    added = parse_condition(checks)
    session.client.add_condition(feature_name, added)
    report(session, feature_name, "Changed")


@command("set")
@feature_name
@_checks
def replace(session: Session, feature_name: str, checks: tuple[str, ...]) -> None:
    """Replace all conditions by one condition, made of all the CHECKs."""
    new = parse_condition(checks)
    session.client.set_conditions(feature_name, [new])
    report(session, feature_name, "Changed")


@command("clear")
@feature_name
@yes
def clear(session: Session, feature_name: str) -> None:
    """Remove all conditions, so that the bucketer alone decides."""
    before = session.item(feature_name)
    meta = before.raw_meta
    meta.conditions = []
    session.confirm_for_everybody(before, before.replace(meta=meta))
    session.client.set_conditions(feature_name, [])
    report(session, feature_name, "Changed")
