# SPDX-License-Identifier: Apache-2.0
"""Commands that show, set, edit and clear the rules of a flag."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ..exceptions import FlagFileError
from ..flag_files import READABLE, format_of, parse_rules, write_rules
from ..prerequisites import expressions_of, refuse_cycle
from ..rules.rule import Rule
from ..rules.rules import Rules
from ..rules.split import Split
from .blast_radius import blast_radius
from .changes import Change
from .command_table import table_of
from .exit_codes import FAILED
from .flag_sources import read_content
from .options import command, existing_file, feature_name, yes
from .output import note, print_json, printable_data
from .report import report

if TYPE_CHECKING:
    from ..contrib.storage import FeatureFlagStoreItem
    from ..rules.plain import Served
    from .session import Session

rules = table_of(
    "rules",
    "Show and change the rules of a flag: the first one that holds decides.",
    {
        "show": ("rules:show", "Print the rules as TOML."),
        "set": ("rules:replace", "Replace the rules by those of a file."),
        "edit": ("rules:edit", "Change the rules in an editor."),
        "clear": ("rules:clear", "Remove the rules."),
    },
)
_TEMPLATE: Final = """\
# The rules of the flag: the first one whose `when` holds decides.
#
# otherwise = false
# variants = { blue = "#00f", green = "#0f0" }
#
# [[rules]]
# when = { country = "SE", age__gte = 18 }
# serve = "blue"
#
# [[rules]]
# serve = { rollout = 0.1, by = "user_id" }
"""


@command("show")
@feature_name
def show(session: Session, feature_name: str) -> int:
    """Print the rules of a flag as TOML, which `flipper rules set` reads.

    The exit code is 1 if the flag has no rules.
    """
    found = session.item(feature_name).rules
    if found is None:
        note(f"The flag {feature_name!r} has no rules.")
        return FAILED
    if session.as_json:
        print_json(found.to_dict())
    else:
        click.echo(printable_data(write_rules(found, "toml"), "toml"), nl=False)
    return 0


@command("set")
@feature_name
@existing_file
@click.option(
    "--format",
    "format_name",
    type=click.Choice(READABLE),
    help="The form of the text; by default, the suffix of the file says it, else TOML.",
)
@yes
def replace(
    session: Session, feature_name: str, file: str, format_name: str | None
) -> None:
    """Replace the rules of a flag by those of FILE (- is stdin).

    A bucketer of the flag is removed; its conditions go on limiting it. A split
    whose shares change keeps all users in their variants who need not move.
    """
    before = session.item(feature_name)
    where = "stdin" if file == "-" else file
    form = format_name or ("toml" if file == "-" else format_of(file))
    _write(session, before, parse_rules(read_content(file), form, where=where))


@command("clear")
@feature_name
@yes
def clear(session: Session, feature_name: str) -> None:
    """Remove the rules, so that the conditions alone decide."""
    before = session.item(feature_name)
    if before.rules is None:
        message = f"The flag {feature_name!r} has no rules; nothing was changed"
        raise click.ClickException(message)
    _write(session, before, None)


@command("edit")
@feature_name
@yes
def edit(session: Session, feature_name: str) -> None:
    """Change the rules of a flag in the editor of the environment variable EDITOR.

    Text with mistakes changes nothing, and is kept in a file.
    """
    before = session.item(feature_name)
    text = _TEMPLATE
    if before.rules is not None:
        text = write_rules(_in_shares(before.rules), "toml")
    descriptor, name = tempfile.mkstemp(prefix="flipper-rules-", suffix=".toml")
    os.close(descriptor)
    file = Path(name)
    file.write_text(text, encoding="utf-8")
    try:
        is_written = _edit(session, before, file, text)
    except BaseException:
        note(f"Your text is kept; write it by: flipper rules set {feature_name} {file}")
        raise
    file.unlink()
    if not is_written:
        note("Nothing was changed.")


def _in_shares(rules: Rules) -> Rules:
    """Return rules whose split has shares instead of ranges, which nobody can edit.

    The ranges are found again when they are written, unless there are several splits.
    """
    served = [*(rule.serve for rule in rules), rules.otherwise]
    if sum(isinstance(each, Split) for each in served) != 1:
        return rules
    made = [Rule(r.when, _shares_of(r.serve), r.name) for r in rules]
    return Rules(made, _shares_of(rules.otherwise), rules.variants, rules.off)


def _shares_of(served: Served) -> Served:
    if not isinstance(served, Split):
        return served
    return Split(
        dict(sorted(served.shares.items())), served.by, served.seed, served.hash
    )


def _edit(
    session: Session, before: FeatureFlagStoreItem, file: Path, text: str
) -> bool:
    """Edit a file until it has no mistakes, and write its rules if it was changed.

    Raises:
        FlagFileError: it has mistakes, and the user does not want to go on.
    """
    while True:
        click.edit(filename=str(file))
        content = file.read_bytes()
        if content == text.encode():
            return False
        try:
            new = parse_rules(content, "toml", where=str(file))
        except FlagFileError as error:
            if not sys.stdin.isatty():
                raise
            note(f"Error: {error}")
            if not click.confirm("Edit it again?", default=True, err=True):
                message = "Nothing was changed"
                raise click.ClickException(message) from None
        else:
            _write(session, before, new)
            return True


def _write(session: Session, before: FeatureFlagStoreItem, new: Rules | None) -> None:
    """Write the rules of a flag, and say for whom the answer changes.

    Raises:
        ConcurrentUpdateError: somebody else has changed the flag; nothing was written.
        InvalidArgumentError: the flag would depend on itself.
    """
    name = before.feature_name
    refuse_cycle(name, expressions_of(new), session.store.get)
    meta = before.raw_meta
    meta.set_rules(new)
    after = before.replace(meta=meta)
    change = Change(name, before, after)
    for sentence in blast_radius(change):
        note(f"    {sentence}")
    session.confirm_for_everybody(before, after)
    change.apply(session.client)
    report(session, name, "Changed")
