# SPDX-License-Identifier: Apache-2.0
"""Reads flags from what people name: a file, stdin, or the URL of a store."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..flag_files import format_of, parse_flags, read_flags
from .changes import flags_of

if TYPE_CHECKING:
    from ..contrib.storage import FeatureFlagStoreItem
    from .session import Session


def read_content(file: str) -> bytes:
    """Return what is in a file, or in stdin for `-`."""
    return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()


def flags_of_content(
    content: bytes, file: str, format_name: str | None = None
) -> list[FeatureFlagStoreItem]:
    """Return the flags of what is in a file, or in stdin for `-`."""
    if file == "-":
        return parse_flags(content, format_name or "toml", where="stdin")
    return parse_flags(content, format_name or format_of(file), where=file)


def flags_at(session: Session, place: str) -> dict[str, FeatureFlagStoreItem]:
    """Return the flags of a store by its URL, or of a file by its path.

    Raises:
        click.UsageError: the place is neither.
    """
    if "://" in place:
        return flags_of(session.open(place))
    if not Path(place).is_file():
        message = f"{place!r} is neither the URL of a store nor a file"
        raise click.UsageError(message)
    return {item.feature_name: item for item in read_flags(place)}
