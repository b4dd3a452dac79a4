# SPDX-License-Identifier: Apache-2.0
"""Shares of all buckets, as fractions from 0 to 1, and ranges of buckets."""

from __future__ import annotations

from functools import lru_cache
from math import fsum
from numbers import Real
from typing import TYPE_CHECKING, Any, Final

from ..arguments import shortened
from ..exceptions import InvalidArgumentError
from .hashing import find_hash

if TYPE_CHECKING:
    from collections.abc import Mapping

    Ranges = tuple[tuple[float, float], ...]

_DIGITS: Final = 15  # after the point; further digits of a sum of floats are noise
_PERCENT: Final = 100


def checked_fraction(value: Any, what: str, example: str) -> float:
    """Return a number from 0 to 1; refuse any other value.

    Args:
        value: the number.
        what: what it is, as in "share of the Rollout".
        example: code that shows the remedy, with `{}` for the right number.
    """
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if is_number and 0 <= value <= 1:
        # One number has one form: 0 and 1 are integers, all others floats.
        return int(value) if value in {0, 1} else float(value)
    likely = 0.5
    if is_number and 1 < value <= _PERCENT:
        likely = float(value) / _PERCENT
    raise InvalidArgumentError(
        f"The {what} is {shortened(value)}; use a number from 0 to 1, as "
        f"{example.format(f'{likely:g}')}",
        value=value,
    )


def checked_ranges(ranges: Any, what: str, example: str) -> Ranges:
    """Return ranges in ascending order, without empty ones, those that touch as one."""
    found: list[tuple[float, float]] = []
    try:
        # Text and dicts can be iterated, too.
        pairs = (
            [(s, e) for s, e in ranges] if isinstance(ranges, (list, tuple)) else None
        )
    except (TypeError, ValueError):
        pairs = None
    if pairs is None:
        raise InvalidArgumentError(
            f"The {what} is {shortened(ranges)}; use a number from 0 to 1, or a list "
            f"of ranges, as {example.format('[(0, 0.25), (0.5, 0.75)]')}",
            value=ranges,
        )
    for pair in pairs:
        start, end = (
            checked_fraction(each, f"{what} in {shortened(pair)}", example)
            for each in pair
        )
        if start > end:
            raise InvalidArgumentError(
                f"The {what} has the range {pair!r}, which ends before it starts; use "
                f"{(end, start)!r}",
                value=pair,
            )
        if start < end:
            found.append((start, end))
    merged: list[tuple[float, float]] = []
    for start, end in sorted(found):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return tuple(merged)


def width_of(ranges: Ranges) -> float:
    """Return the share of all buckets that is in ranges."""
    return round(fsum(part for start, end in ranges for part in (end, -start)), _DIGITS)


def rest_of(shares: Mapping[str, float]) -> float:
    """Return the share of all buckets that no name has."""
    return max(0, round(1 - fsum(shares.values()), _DIGITS))


def consecutive(shares: Mapping[str, float]) -> dict[str, Ranges]:
    """Return ranges of these shares, one after another from bucket 0 on, by name."""
    ranges: dict[str, Ranges] = {}
    before: list[float] = []
    start: float = 0
    for name, share in shares.items():
        before.append(share)
        total = round(fsum(before), _DIGITS)
        end = min(1, total) or 0  # as in `checked_fraction`, not 0.0
        ranges[name] = ((start, end),) if start < end else ()
        start = end
    return ranges


# Many flags have the same shares. If they have one object for them, more flags stay in
# the cache of the processor.
@lru_cache(maxsize=128)
def layout_of(
    ranges_by_name: tuple[tuple[str, Ranges], ...], hash_name: str | None
) -> tuple[tuple[int, ...], tuple[str | None, ...]]:
    """Return where the name of the buckets changes, and the names.

    There is one more name than there are ends: for the buckets after the last one.

    Args:
        ranges_by_name: the ranges of buckets of each name, in fractions from 0 to 1.
        hash_name: the hash that numbers the buckets; see `find_hash`.
    """
    count_up_to = find_hash(hash_name).count_up_to
    ends: list[int] = []
    names: list[str | None] = []
    last = 0
    parts = [(s, e, name) for name, ranges in ranges_by_name for s, e in ranges]
    for start, end, name in sorted(parts):
        first, after = max(count_up_to(start), last), count_up_to(end)
        if first >= after:
            continue
        if first > last:
            ends.append(first)
            names.append(None)
        ends.append(after)
        names.append(name)
        last = after
    return tuple(ends), (*names, None)
