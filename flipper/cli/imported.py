# SPDX-License-Identifier: Apache-2.0
"""Reads the flags of a file of another flag system, for `flipper import --from`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ..arguments import check_feature_name
from ..contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from ..exceptions import InvalidArgumentError
from ..flag_files import format_of, parse_data
from ..importers import flags_from
from .output import note, some_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..importers import ImportedFlag


def imported_flags(
    origin: str, content: bytes, file: str, format_name: str | None
) -> list[ImportedFlag]:
    """Return the flags of a file.

    Args:
        origin: the system that the file is of.
        content: what is in the file.
        file: its name, `-` for stdin.
        format_name: "json" or "yaml"; by default, the suffix says it, else it is JSON.

    Raises:
        FlagFileError: the content cannot be parsed.
        InvalidArgumentError: the file is one of something else.
    """
    form = format_name or _format_of(file)
    if form == "toml":
        message = f"{origin} has no files of TOML; use --format json, or yaml"
        raise click.UsageError(message)
    where = "stdin" if file == "-" else file
    return list(flags_from(origin, parse_data(content, form, where=where)))


def items_of(
    flags: Iterable[ImportedFlag], current: Mapping[str, FeatureFlagStoreItem]
) -> tuple[list[FeatureFlagStoreItem], bool]:
    """Return the flags to store, and whether all could be imported as they are.

    What rules cannot say is reported flag by flag. Such a flag is switched off; but if
    the store has it already, it is left as it is, since somebody may have completed it.
    Flags of the store keep their client data.

    Args:
        flags: the flags of the file.
        current: the flags of the store, by name.
    """
    wanted: list[FeatureFlagStoreItem] = []
    incomplete: list[str] = []
    for flag in flags:
        before = current.get(flag.feature_name)
        item, problems = _item_of(flag, before)
        for text in flag.notes:
            note(f"Feature {flag.feature_name!r}: {text}")
        if problems:
            incomplete.append(repr(flag.feature_name))
            _report(flag.feature_name, problems, item, before)
        wanted += [] if item is None else [item]
    if incomplete:
        note(
            f"Could not be imported as they are: {len(incomplete):,} "
            f"({some_of(incomplete)}). Give them rules by hand, and enable them."
        )
    return wanted, not incomplete


def _format_of(file: str) -> str:
    try:
        return format_of(file)
    except InvalidArgumentError:
        return "json"


def _item_of(
    flag: ImportedFlag, before: FeatureFlagStoreItem | None
) -> tuple[FeatureFlagStoreItem | None, tuple[str, ...]]:
    """Return the flag to store, `None` for none, and what rules cannot say of it."""
    name, problems = flag.feature_name, flag.problems
    if problems and before is not None:
        return before, problems
    try:
        check_feature_name(name)
        meta = FeatureFlagStoreMeta(None)
        if before is not None:
            meta.client_data = before.raw_meta.client_data
        meta.set_rules(flag.rules)
        if flag.bucketer is not None:
            meta.bucketer = flag.bucketer
        item = FeatureFlagStoreItem(name, flag.is_enabled, meta)
        item.serialize()
    except InvalidArgumentError as error:
        return before, (*problems, str(error))
    return item, problems


def _report(
    feature_name: Any,
    problems: tuple[str, ...],
    item: FeatureFlagStoreItem | None,
    before: FeatureFlagStoreItem | None,
) -> None:
    if item is None:
        what = "is not imported"
    elif item is before:
        what = "is left as it is"
    else:
        what = "is imported switched off"
    note(f"Feature {feature_name!r} {what}:")
    for problem in problems:
        note(f"    {problem}")
