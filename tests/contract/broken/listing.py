# SPDX-License-Identifier: Apache-2.0
"""Stores that break a rule of `list`."""

from __future__ import annotations

from itertools import islice
from time import sleep
from typing import TYPE_CHECKING, Any

from stores import Subclass

from broken import breaks
from flipper.contrib.storage import FeatureFlagStoreItem

if TYPE_CHECKING:
    from collections.abc import Iterator


@breaks("test_an_empty_store_lists_nothing")
class ListNeedsFlags(Subclass):
    """`list` raises if there are no flags."""

    def list(self, limit: int | None = None, offset: int = 0) -> Iterator[Any]:
        """List the flags."""
        next(iter(self.rows))
        return super().list(limit, offset)


@breaks("test_list_gives_every_flag_once_and_whole")
class ListsTwice(Subclass):
    """`list` gives the first flag twice."""

    def list(self, limit: int | None = None, offset: int = 0) -> Iterator[Any]:
        """List every flag and then the first again."""
        every = [*super().list()]
        stop = None if limit is None else offset + limit
        return iter((every + every[:1])[offset:stop])


@breaks("test_list_gives_every_flag_once_and_whole")
class ListsWhatIsOn(Subclass):
    """`list` leaves out flags that are off."""

    def list(self, limit: int | None = None, offset: int = 0) -> Iterator[Any]:
        """List the flags that are on."""
        stop = None if limit is None else offset + limit
        on = (item for item in super().list() if item.raw_is_enabled)
        # Pages are cut afterwards, so that no other rule notices.
        return islice(on, offset, stop)


@breaks("test_list_is_an_iterator")
class ListsAList(Subclass):
    """`list` returns a list instead of an iterator."""

    def list(self, limit: int | None = None, offset: int = 0) -> Any:
        """List the flags in a list."""
        return [*super().list(limit, offset)]


@breaks("test_list_gives_at_most_limit_flags")
class TakesZeroForNoLimit(Subclass):
    """`list` takes a limit of 0 for no limit."""

    def list(self, limit: int | None = None, offset: int = 0) -> Iterator[Any]:
        """List the flags."""
        return super().list(limit or None, offset)


@breaks("test_list_leaves_out_offset_flags", "test_pages_cover_every_flag_exactly_once")
class IgnoresTheOffset(Subclass):
    """`list` ignores the offset."""

    def list(self, limit: int | None = None, offset: int = 0) -> Iterator[Any]:
        """List the flags."""
        return super().list(limit)


@breaks("test_list_takes_limit_and_offset_by_position")
class ExchangesLimitAndOffset(Subclass):
    """The parameters of `list` are in another order."""

    def list(self, offset: int = 0, limit: int | None = None) -> Iterator[Any]:
        """List the flags."""
        return super().list(limit, offset)


@breaks("test_pages_cover_every_flag_exactly_once")
class ListsInNoOrder(Subclass):
    """Each call of `list` gives the flags in another order."""

    calls = 0

    def list(self, limit: int | None = None, offset: int = 0) -> Iterator[Any]:
        """List the flags, beginning with another one each time."""
        self.calls += 1
        every = [*super().list()]
        rotated = every[self.calls :] + every[: self.calls]
        stop = None if limit is None else offset + limit
        return iter(rotated[offset:stop])


@breaks("test_list_leaves_out_what_is_deleted_meanwhile")
class ListsNone(Subclass):
    """`list` gives `None` for a flag that was deleted meanwhile."""

    def list(self, limit: int | None = None, offset: int = 0) -> Iterator[Any]:
        """List by names that were read first."""
        stop = None if limit is None else offset + limit
        return (self.get(name) for name in sorted(self.rows)[offset:stop])


@breaks("test_flags_that_stay_are_listed_whatever_others_do")
class ListsRowsThatChange(Subclass):
    """`list` iterates over rows that others change meanwhile."""

    def list(self, limit: int | None = None, offset: int = 0) -> Iterator[Any]:
        """List the rows as they are."""
        stop = None if limit is None else offset + limit
        return islice(self._read_rows(), offset, stop)

    def _read_rows(self) -> Iterator[Any]:
        for row in self.rows.values():
            sleep(0.001)
            yield FeatureFlagStoreItem.deserialize(row)
