# SPDX-License-Identifier: Apache-2.0
"""Reads the pages about sites, which tests follow.

The first line of each Python or HTML block names the file that the block is, or the
file to whose end it is added. A line with `$` in a console block is a command, and what
follows it is its output.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import pytest
from document_examples import fences

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE = re.compile(r"(?:# |\{# )([\w./-]+)(, at the end)?(?: #\})?")


class File(NamedTuple):
    """A file of the page, or lines to add to one."""

    path: str
    is_addition: bool
    text: str


class Command(NamedTuple):
    """A command of the page, and its output."""

    text: str
    output: str


def steps(page: Path) -> Iterator[File | Command]:
    """Yield all that the page says to do, in its order."""
    for block in fences(page):
        if block.language == "console":
            for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
                text, _, output = part.partition("\n")
                yield Command(text, output)
        elif named := FILE.fullmatch(block.text.partition("\n")[0]):
            yield File(named[1], bool(named[2]), block.text)
        else:
            pytest.fail(f"{block.where}: the first line names no file")
