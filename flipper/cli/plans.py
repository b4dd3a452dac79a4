# SPDX-License-Identifier: Apache-2.0
"""Plans: what would change in a store, and whether it still may be changed so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import click

from ..arguments import check_feature_name
from ..contracts.whole_flags import is_same_flag
from ..contrib.storage import FeatureFlagStoreItem
from .blast_radius import blast_radius
from .changes import Change, compare, flags_of
from .describe import plain_item, reaches_everybody
from .flag_sources import flags_of_content, read_content
from .options import command, existing_file, yes
from .output import note, print_json, print_text, printable, some_of
from .progress import with_progress
from .values import format_value
from .written_files import write_file

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..client import FeatureFlagClient
    from .session import Session

_PLAN_VERSION: Final = 1
_SIGNS: Final = {"create": "+", "change": "~", "delete": "-"}
_TO_DO: Final = {"create": "to create", "change": "to change", "delete": "to delete"}
_DONE: Final = {"create": "created", "change": "changed", "delete": "deleted"}
_COLOURS: Final = {"create": "green", "change": "yellow", "delete": "red"}

_prune = click.option(
    "--prune", is_flag=True, help="Delete the flags that are not in the file."
)


@command("plan")
@existing_file
@_prune
@click.option(
    "--out", type=click.Path(dir_okay=False), help="Keep the plan, for apply."
)
def plan(session: Session, file: str, prune: bool, out: str | None) -> None:
    """Print what `flipper apply FILE` would change, and for whom."""
    wanted = flags_of_content(read_content(file), file)
    changes, unknown = _compute(session, wanted, prune=prune)
    print_changes(session, changes)
    _note_unknown(unknown, prune=prune)
    if out is not None:
        _write_plan(out, changes)
        note(f"Kept the plan in {out}; apply it with: flipper apply {out}")


@command("apply")
@existing_file
@_prune
@yes
def apply(session: Session, file: str, prune: bool) -> None:
    """Make the flags of the store like those of FILE, or do what a kept plan says.

    A plan is refused if a flag has changed since, and then nothing is written.
    """
    content = read_content(file)  # once, because it may be a pipe
    changes = _read_plan(content, file)
    session.makes_file = True
    if changes is None:
        wanted = flags_of_content(content, file)
        changes, unknown = _compute(session, wanted, prune=prune)
        _note_unknown(unknown, prune=prune)
    elif prune:
        message = "--prune belongs to `flipper plan`; the plan says what is deleted"
        raise click.UsageError(message)
    else:
        _refuse_if_outdated(session, changes)
    apply_changes(session, changes)


def _compute(
    session: Session, wanted: list[FeatureFlagStoreItem], *, prune: bool
) -> tuple[list[Change], list[str]]:
    """Return what has to change, and the flags of the store that the file lacks."""
    current = flags_of(session.store)
    names = {item.feature_name for item in wanted}
    unknown = sorted(name for name in current if name not in names)
    return compare(current, wanted, prune=prune, keeps_users=True), unknown


def _note_unknown(unknown: list[str], *, prune: bool) -> None:
    if unknown and not prune:
        shown = ", ".join(unknown[:5]) + (", ..." if len(unknown) > 5 else "")  # noqa: PLR2004
        note(
            f"Not in the file, and left alone: {len(unknown):,} ({shown}). "
            f"--prune deletes them."
        )


# -- what is printed -------------------------------------------------------------------


def print_changes(session: Session, changes: Iterable[Change]) -> None:
    """Print changes, and for whom they change the answer."""
    changes = list(changes)
    if session.as_json:
        print_json([plain_change(change) for change in changes])
        return
    if not changes:
        print_text("No changes.")
        return
    for change in changes:
        print_change(change)
    click.echo(_summary(changes))


def print_change(change: Change) -> None:
    """Print one change, and for whom it changes the answer."""
    sign = click.style(_SIGNS[change.kind], fg=_COLOURS[change.kind], bold=True)
    click.echo(f"{sign} {printable(change.feature_name)}")
    for sentence in blast_radius(change) or ["the answer stays the same"]:
        click.echo(f"    {printable(sentence)}")
    for line in _data_lines(change):
        click.echo(f"    {printable(line)}")


def plain_change(change: Change) -> dict[str, Any]:
    """Return a change as plain data."""
    before, after = change.before, change.after
    return {
        "feature_name": change.feature_name,
        "change": change.kind,
        "blast_radius": blast_radius(change),
        "before": None if before is None else plain_item(before),
        "after": None if after is None else plain_item(after),
    }


def _data_lines(change: Change) -> list[str]:
    """Return what changes in the client data."""
    if change.before is None or change.after is None:
        return []
    old, new = change.before.raw_meta.client_data, change.after.raw_meta.client_data
    lines = []
    for key in sorted({*old, *new}, key=str):
        had, has = key in old, key in new
        if had and has and format_value(old[key]) == format_value(new[key]):
            continue
        first = format_value(old[key]) if had else "not set"
        last = format_value(new[key]) if has else "not set"
        lines.append(f"client data {key}: {first} -> {last}")
    return lines


def _summary(changes: list[Change], *, are_made: bool = False) -> str:
    """Return how many flags are to be created, changed and deleted, or have been."""
    counts = dict.fromkeys(_SIGNS, 0)
    for change in changes:
        counts[change.kind] += 1
    words = _DONE if are_made else _TO_DO
    return ", ".join(f"{counts[kind]:,} {words[kind]}" for kind in _SIGNS) + "."


# -- what is done ----------------------------------------------------------------------


def apply_changes(session: Session, changes: list[Change]) -> None:
    """Make changes one by one, after a confirmation where they reach everybody.

    Raises:
        click.Abort: the answer to the confirmation is no; nothing was written.
        ConcurrentUpdateError: a flag was changed by somebody else meanwhile; this flag
            was not written, those before it were.
    """
    if not changes:
        note("No changes.")
    else:
        _confirm(session, changes)
    make_changes(session.client, changes, "Changing")
    if session.as_json:
        print_json([plain_change(change) for change in changes])
    elif changes:
        note(_summary(changes, are_made=True))


def make_changes(client: FeatureFlagClient, changes: list[Change], doing: str) -> None:
    """Make changes one by one, and say how many were made if one fails.

    Raises:
        Exception: of the change that failed.
    """
    made = 0
    try:
        for change in with_progress(changes, doing):
            change.apply(client)
            made += 1
    except BaseException:
        if made:
            note(f"{made:,} of {len(changes):,} flags were written before this:")
        raise


def _confirm(session: Session, changes: list[Change]) -> None:
    deleted = [c.feature_name for c in changes if c.kind == "delete"]
    opened = [
        c.feature_name
        for c in changes
        if reaches_everybody(c.after) and not reaches_everybody(c.before)
    ]
    questions = []
    if opened:
        questions.append(f"{some_of(map(repr, opened))} will be on for everybody.")
    if deleted:
        questions.append(f"{some_of(map(repr, deleted))} will be deleted.")
    if questions:
        session.confirm(" ".join(questions))


# -- kept plans ------------------------------------------------------------------------


def _write_plan(path: str, changes: list[Change]) -> None:
    kept = {"flipper_plan": _PLAN_VERSION, "changes": [*map(_kept, changes)]}
    # In ASCII, which expresses also halves of characters, that a JSON file may have.
    write_file(path, f"{json.dumps(kept, indent=2)}\n")


def _kept(change: Change) -> dict[str, Any]:
    """Return a change with the flags as documents."""
    before, after = change.before, change.after
    return {
        **plain_change(change),
        "before": None if before is None else before.to_dict(),
        "after": None if after is None else after.to_dict(),
    }


def _read_plan(content: bytes, path: str) -> list[Change] | None:
    """Return the changes of a kept plan, or `None` if the file is no plan.

    Raises:
        click.UsageError: the plan is damaged, or of another version.
    """
    try:
        kept = json.loads(content.decode())
        version = kept["flipper_plan"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None  # a file of flags, whose reader says what is wrong with it
    if version != _PLAN_VERSION:
        message = (
            f"{path} is a plan of version {version!r}; plan again with this flipper"
        )
        raise click.UsageError(message)
    try:
        return [_change(fields) for fields in kept["changes"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        problem = str(error) or type(error).__name__
        message = f"{path} is a damaged plan ({problem}); plan again"
        raise click.UsageError(message) from None


def _change(fields: dict[str, Any]) -> Change:
    """Return a change of a kept plan.

    Raises:
        ValueError: it is not one that a plan can have.
    """
    name, before, after = fields["feature_name"], fields["before"], fields["after"]
    check_feature_name(name)
    items = [
        each if each is None else FeatureFlagStoreItem.deserialize(json.dumps(each))
        for each in (before, after)
    ]
    names = {item.feature_name for item in items if item is not None}
    if names != {name}:
        message = f"the change of {name!r} is not of this flag"
        raise ValueError(message)
    return Change(name, *items)


def _refuse_if_outdated(session: Session, changes: list[Change]) -> None:
    """Refuse a plan if a flag is not what it was when the plan was made."""
    changed = []
    for change in changes:
        found = session.store.get(change.feature_name)
        before = change.before
        is_same = (found is None) == (before is None) and (
            found is None
            or before is None
            or is_same_flag(FeatureFlagStoreItem.from_item(found), before)
        )
        if not is_same:
            changed.append(change.feature_name)
    if changed:
        message = (
            f"{some_of(map(repr, changed))} changed since the plan was made; nothing "
            f"was written. "
            f"Plan again"
        )
        raise click.ClickException(message)
