# SPDX-License-Identifier: Apache-2.0
"""Division of an iterable into batches."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

T = TypeVar("T")


def batchify(iterable: Iterable[T], chunk_size: int) -> Iterator[list[T]]:
    """Yield lists of at most `chunk_size` consecutive elements, and no empty list."""
    iterator = iter(iterable)
    while chunk := list(islice(iterator, chunk_size)):
        yield chunk
