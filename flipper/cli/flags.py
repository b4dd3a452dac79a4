# SPDX-License-Identifier: Apache-2.0
"""Commands that list, show, create, enable, disable and delete flags."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ..exceptions import InvalidFlagDataError
from .changes import flags_of
from .condition_text import format_condition
from .describe import (
    describe_audience,
    describe_bucketer,
    plain_flag,
    state_word,
)
from .options import command, feature_name, yes
from .output import note, print_fields, print_json, print_table
from .percentages import format_time
from .report import report
from .rules_text import numbered_lines
from .values import format_value, parse_pairs, utf8_text

if TYPE_CHECKING:
    from ..rules.rules import Rules
    from .session import Session


@command("list")
@click.option("--enabled", is_flag=True, help="Only flags that are enabled.")
@click.argument("pattern", required=False)
def list_flags(session: Session, pattern: str | None, enabled: bool) -> None:
    """List the flags, or those whose name matches PATTERN, such as 'shop-*'."""
    from fnmatch import fnmatchcase

    found = flags_of(session.store)
    items = [
        item
        for name, item in sorted(found.items())
        if (pattern is None or fnmatchcase(name, pattern))
        and (item.raw_is_enabled or not enabled)
    ]
    if session.as_json:
        print_json([plain_flag(item) for item in items])
        return
    if not items:
        note("No flags." if pattern is None else f"No flag matches {pattern!r}.")
        return
    rows = [(i.feature_name, state_word(i), describe_audience(i)) for i in items]
    print_table(("Name", "State", "For"), rows)


@command("show")
@feature_name
def show(session: Session, feature_name: str) -> None:
    """Show the state, the conditions, the bucketer or the rules, and the data."""
    item = session.item(feature_name)
    if session.as_json:
        print_json(plain_flag(item))
        return
    meta = item.raw_meta
    fields = [("Name", item.feature_name), ("State", state_word(item))]
    conditions = "\n".join(map(format_condition, meta.conditions))
    fields.append(("Conditions", conditions or "none"))
    if meta.rules is None:
        fields.append(("Bucketer", describe_bucketer(meta.bucketer)))
    else:
        fields += _rules_fields(meta.rules)
    data = [f"{key} = {format_value(v)}" for key, v in meta.client_data.items()]
    fields.append(("Client data", "\n".join(data) or "none"))
    fields.append(("Created", format_time(meta.created_date)))
    print_fields(fields)


def _rules_fields(rules: Rules) -> list[tuple[str, str]]:
    fields = [("Rules", "\n".join(numbered_lines(rules)))]
    if rules.variants is not None:
        values = [f"{name} = {format_value(v)}" for name, v in rules.variants.items()]
        fields.append(("Variants", "\n".join(values) or "none"))
    if rules.off is not None:
        fields.append(("Off variant", rules.off))
    return fields


@command("create")
@feature_name
@click.option("--enabled", is_flag=True, help="Switch it on for everybody.")
@click.option(
    *("--data", "-d"),
    metavar="KEY=VALUE",
    type=utf8_text,
    multiple=True,
    help="Client data; may be given several times.",
)
@yes
def create(
    session: Session, feature_name: str, enabled: bool, data: tuple[str, ...]
) -> None:
    """Create a flag that is off. An existing flag is never replaced."""
    client_data = parse_pairs(data)
    session.makes_file = True
    if session.client.exists(feature_name):  # raises if it cannot be read
        message = f"The flag {feature_name!r} exists already; nothing was changed"
        raise click.ClickException(message)
    if enabled:
        session.confirm(f"The flag {feature_name!r} will be on for everybody.")
    session.client.create(
        feature_name, is_enabled=enabled, client_data=client_data or None
    )
    report(session, feature_name, "Created")


@command("enable")
@feature_name
@yes
def enable(session: Session, feature_name: str) -> None:
    """Switch a flag on for those that its conditions, bucketer or rules let in."""
    before = session.item(feature_name)
    session.confirm_for_everybody(before, before.replace(is_enabled=True))
    session.client.enable(feature_name)
    report(session, feature_name, "Enabled")


@command("disable")
@feature_name
def disable(session: Session, feature_name: str) -> None:
    """Switch a flag off for everybody. All else of it stays."""
    session.client.disable(feature_name)
    report(session, feature_name, "Disabled")


@command("delete")
@feature_name
@yes
def delete(session: Session, feature_name: str) -> None:
    """Delete a flag with all that belongs to it."""
    try:
        session.item(feature_name)
    except InvalidFlagDataError:
        session.confirm(f"{feature_name!r}, which is not a flag, will be deleted.")
        session.store.delete(feature_name)  # the client refuses what it cannot read
    else:
        session.confirm(f"The flag {feature_name!r} will be deleted.")
        session.client.destroy(feature_name)
    if session.as_json:
        print_json({"feature_name": feature_name, "deleted": True})
    else:
        note(f"Deleted {feature_name}.")
