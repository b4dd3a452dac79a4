# SPDX-License-Identifier: Apache-2.0
"""Shows on a terminal how far long work has come."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

T = TypeVar("T")

_FEW = 50  # work on fewer things is done before anybody could read


def with_progress(things: Sequence[T], doing: str) -> Iterator[T]:
    """Yield the things; show a bar on stderr if that is a terminal, else nothing."""
    if len(things) < _FEW or not sys.stderr.isatty():
        yield from things
        return
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    yield from track(things, doing, console=console, transient=True)
