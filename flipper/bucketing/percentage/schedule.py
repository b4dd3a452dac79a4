# SPDX-License-Identifier: Apache-2.0
"""The percentage that changes at given times."""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime
from itertools import pairwise
from numbers import Real
from time import time
from typing import TYPE_CHECKING, Any, Final

from ...arguments import shortened
from ...exceptions import InvalidArgumentError
from .base import AbstractPercentage
from .factory import PercentageFactory
from .percentage import Percentage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Entry = tuple[float, Any]

EARLIEST: Final = -62_000_000_000
"""The first time that can be given, in seconds since the epoch: a day of year 5."""
LATEST: Final = 253_000_000_000
"""The last time that can be given: a day of the year 9987."""

_EXAMPLE: Final = "Schedule([(datetime(2030, 1, 1, tzinfo=timezone.utc), 0.5)])"


class Schedule(AbstractPercentage):
    """A share that changes at given times; it is 0 before the first of them.

    `Schedule([(start, 1), (end, 0)])` is on from `start` until `end`. Immutable.

    Args:
        entries: pairs of a time and the share from that time on, in ascending order. A
            time is an aware `datetime`, or seconds since the epoch; a share is a number
            from 0 to 1, a `Percentage`, or a ramp.

    Raises:
        InvalidArgumentError: an entry is not such a pair, or not later than the one
            before it.
    """

    __slots__ = ("_entries", "_times")

    _entries: tuple[Entry, ...]
    _times: tuple[float, ...]

    def __init__(self, entries: Iterable[tuple[Any, Any]]) -> None:
        try:
            pairs = [(when, share) for when, share in entries]
        except (TypeError, ValueError):
            raise _refusal("value", entries, "is not a list of pairs") from None
        if not pairs:
            raise _refusal("value", entries, "has no entry, so it is always off")
        self._entries = tuple(
            (_seconds(when), _checked(share)) for when, share in pairs
        )
        self._times = tuple(when for when, _ in self._entries)
        for before, when in pairwise(self._times):
            if when <= before:
                raise _refusal("time", when, f"is not later than {before!r} before it")

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The times in seconds since the epoch, each with the share from then on."""
        return self._entries

    @property
    def value(self) -> Any:
        """The current fraction."""
        begun = bisect_right(self._times, time())
        if not begun:
            return 0
        share = self._entries[begun - 1][1]
        return share.value if isinstance(share, AbstractPercentage) else share

    def parts(self) -> dict[str, Any]:
        """Return every fraction of the entries, by its place."""
        found = {}
        for number, (_, share) in enumerate(self._entries):
            if isinstance(share, AbstractPercentage):
                for name, value in share.parts().items():
                    found[f"{name} of entry {number}"] = value
            else:
                found[f"share of entry {number}"] = share
        return found

    @classmethod
    def get_type(cls) -> str:
        """Return the name by which `PercentageFactory` finds this class."""
        return cls.__name__

    def to_dict(self) -> dict[str, Any]:
        """Return the schedule as plain data, with times in seconds since the epoch."""
        return {
            **super().to_dict(),
            "entries": [
                [
                    when,
                    share.to_dict() if isinstance(share, AbstractPercentage) else share,
                ]
                for when, share in self._entries
            ],
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Schedule:
        """Make a schedule from the result of `to_dict`.

        Raises:
            InvalidArgumentError: the fields are not those of a schedule.
        """
        entries = fields.get("entries")
        if not isinstance(entries, list) or fields.keys() - {"type", "entries"}:
            raise _refusal(
                "plain data", dict(fields), "has not exactly type and entries"
            )
        made = []
        for entry in entries:
            if not isinstance(entry, list) or len(entry) != 2:  # noqa: PLR2004  (pair)
                raise _refusal("entry", entry, "is not a list of time and share")
            when, share = entry
            if isinstance(share, dict):
                # Before it is made: a document nested without end must not be followed.
                if share.get("type") == cls.get_type():
                    raise _refusal("share", share, "is a schedule itself")
                share = PercentageFactory.create(share)
            made.append((when, share))
        return cls(made)

    def __repr__(self) -> str:
        """Return the code that makes the schedule."""
        entries = ", ".join(f"({w!r}, {code_of(share)})" for w, share in self._entries)
        return f"{type(self).__name__}([{entries}])"


# An application may have registered a class of its own of this name before.
PercentageFactory.PERCENTAGE_MAP.setdefault(Schedule.get_type(), Schedule)


def code_of(percentage: Any) -> str:
    """Return the code that makes a percentage or a number."""
    if isinstance(percentage, Schedule) or not isinstance(
        percentage, AbstractPercentage
    ):
        return repr(percentage)
    fields = percentage.to_dict()
    if fields.get("type") != "LinearRampPercentage":
        return f"PercentageFactory.create({fields!r})"
    _, *arguments = fields.values()
    return f"LinearRampPercentage({', '.join(map(repr, arguments))})"


def _seconds(when: Any) -> float:
    """Return a time in seconds since the epoch, as an integer if it is a whole one."""
    if isinstance(when, datetime):
        if when.utcoffset() is None:
            raise _refusal("time", when, "has no time zone")
        when = when.timestamp()
    if isinstance(when, bool) or not isinstance(when, Real):
        raise _refusal("time", when, "is neither a datetime nor seconds")
    number: Any = when
    if not EARLIEST <= number <= LATEST:  # NaN is not, either
        raise _refusal("time", when, "is no date in seconds since 1970")
    seconds = float(when)
    return int(seconds) if seconds.is_integer() else seconds


def _checked(share: Any) -> Any:
    """Return the share of an entry: a number, or a percentage that changes."""
    if isinstance(share, Schedule):
        raise _refusal("share", share, "is a schedule itself")
    if type(share) is Percentage:
        share = share.value
    parts = share.parts() if isinstance(share, AbstractPercentage) else {"share": share}
    for name, part in parts.items():
        number: Any = part
        is_number = isinstance(part, Real) and not isinstance(part, bool)
        if not (is_number and 0 <= number <= 1):
            raise _refusal(name, part, "is not a number from 0 to 1")
    if isinstance(share, (AbstractPercentage, int)):
        return share
    return float(share)


def _refusal(name: str, value: Any, problem: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"The {name} {shortened(value)} of the schedule {problem}; use {_EXAMPLE}",
        value=value,
    )
