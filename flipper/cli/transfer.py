# SPDX-License-Identifier: Apache-2.0
"""Commands that move flags: into files, from files, and between stores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..client import FeatureFlagClient
from ..flag_files import READABLE, WRITABLE, format_of, write_flags
from ..importers import ORIGINS
from .changes import compare, flags_of, with_dates
from .exit_codes import DONE, FAILED
from .flag_sources import flags_at, flags_of_content, read_content
from .imported import imported_flags, items_of
from .options import command, existing_file, yes
from .output import note, print_json, printable_data
from .plans import apply_changes, make_changes, print_changes
from .written_files import write_file

if TYPE_CHECKING:
    from .session import Session

_format = click.option(
    "--format",
    "format_name",
    type=click.Choice(READABLE),
    help="The form of the text; by default, the suffix of the file says it.",
)


@command("export")
@click.argument("file", required=False, type=click.Path(dir_okay=False))
@click.option(
    "--format",
    "format_name",
    type=click.Choice(WRITABLE),
    help="By default, the suffix of FILE says it, else TOML.",
)
def export(session: Session, file: str | None, format_name: str | None) -> int:
    """Write all flags to FILE, or to stdout.

    The exit code is 1 if a stored document cannot be read, and so was left out.
    """
    form = format_name or ("json" if session.as_json else None)
    if form is None:
        form = format_of(file) if file else "toml"
    items = list(flags_of(session.store).values())
    if not items and file is not None and Path(file).exists():
        message = f"There are no flags; {file} was left as it is"
        raise click.ClickException(message)
    text = write_flags(items, form)
    if file is None:
        click.echo(printable_data(text, form), nl=False)
    else:
        write_file(file, text)
        note(f"Wrote {flag_count(len(items))} to {file}.")
    return FAILED if _is_incomplete(session, "written") else DONE


@command("import")
@existing_file
@_format
@click.option(
    "--from",
    "origin",
    type=click.Choice([*ORIGINS]),
    help="The other flag system that FILE is of; its users do not change sides.",
)
@click.option(
    "--replace", is_flag=True, help="Delete the flags that are not in the file."
)
@click.option("--dry-run", is_flag=True, help="Print what would change, only.")
@yes
def import_flags(  # noqa: PLR0913, PLR0917  (one for each option)
    session: Session,
    file: str,
    format_name: str | None,
    origin: str | None,
    replace: bool,
    dry_run: bool,
) -> int:
    """Create and change the flags that are in FILE (- is stdin); keep all others.

    With --from, the exit code is 1 if a flag could not be imported as it is.
    """
    content = read_content(file)
    result = DONE
    if origin is None:
        wanted = flags_of_content(content, file, format_name)
        session.makes_file = not dry_run
        current = flags_of(session.store)
    else:
        imported = imported_flags(origin, content, file, format_name)
        session.makes_file = not dry_run
        current = flags_of(session.store)
        wanted, is_complete = items_of(imported, current)
        result = DONE if is_complete else FAILED
    # Users of another system are where that system has them, also if it moves some.
    keeps_users = origin is None
    changes = compare(current, wanted, prune=replace, keeps_users=keeps_users)
    if dry_run:
        print_changes(session, changes)
    else:
        apply_changes(session, changes)
    return result


@command("diff", has_store=False)
@click.argument("first", metavar="URL1")
@click.argument("second", metavar="URL2")
def diff(session: Session, first: str, second: str) -> int:
    """Print how the flags of URL2 differ from those of URL1. Either may be a file.

    The exit code is 0 if they are the same, else 1.
    """
    before, after = flags_at(session, first), flags_at(session, second)
    before = {item.feature_name: item for item in with_dates(before.values(), after)}
    changes = compare(before, after.values(), prune=True)
    print_changes(session, changes)
    return FAILED if changes or _is_incomplete(session, "compared") else DONE


@command("copy", has_store=False)
@click.argument("source", metavar="URL1")
@click.argument("target", metavar="URL2")
@click.option(
    "--overwrite", is_flag=True, help="Replace flags that differ in the target."
)
def copy(session: Session, source: str, target: str, overwrite: bool) -> int:
    """Copy all flags of URL1 to URL2, and verify that they have arrived.

    Flags that are the same already are left alone, so a copy that was interrupted
    can be started again. Nothing is deleted.
    """
    wanted = flags_at(session, source)
    is_incomplete = _is_incomplete(session, "copied")
    session.makes_file = True
    store = session.open(target)
    changes = compare(flags_of(store), wanted.values())
    differing = [c.feature_name for c in changes if c.kind == "change"]
    if differing and not overwrite:
        message = (
            f"{flag_count(len(differing))} of {target_name(target)} differ, such as "
            f"{differing[0]!r}; nothing was copied. Look at them with `flipper diff`, "
            f"and add --overwrite to replace them"
        )
        raise click.ClickException(message)
    make_changes(FeatureFlagClient(store), changes, "Copying")
    # The changes that would still be needed.
    lost = [c.feature_name for c in compare(flags_of(store), wanted.values())]
    _report_copy(session, len(wanted), len(changes), lost)
    return FAILED if lost or is_incomplete else DONE


def _is_incomplete(session: Session, done: str) -> bool:
    """Say which flags were left out, and return whether there are any."""
    names = session.left_out
    if not names:
        return False
    shown = ", ".join(map(repr, names[:5])) + (", ..." if len(names) > 5 else "")  # noqa: PLR2004
    note(
        f"Not {done}, since they cannot be read as flags: {len(names):,} ({shown}). "
        f"`flipper doctor` says more."
    )
    return True


def _report_copy(session: Session, flags: int, copied: int, lost: list[str]) -> None:
    if session.as_json:
        names = {"different": lost, "left_out": session.left_out}
        print_json({"flags": flags, "copied": copied, **names})
    same = flags - copied
    note(
        f"Copied {flag_count(copied)}; {same:,} were the same already. "
        f"{flags - len(lost):,} of {flags:,} verified."
    )
    for name in lost:
        note(f"Different in the target: {name}. Somebody else may have changed it.")


def target_name(url: str) -> str:
    """Return the scheme of a URL, which alone is certain to hold no password."""
    return f"{url.partition('://')[0]}://..."


def flag_count(number: int) -> str:
    """Return a number of flags in words."""
    return "1 flag" if number == 1 else f"{number:,} flags"
