# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: PLR2004, S101  (these are tests)
"""Rules about `list`: all flags, pages of them, and what others write meanwhile."""

from __future__ import annotations

import threading
from typing import Any

from ..items import fill, names, plain
from ..samples import for_each
from ..waiting import at_once
from .base import ContractBase


class ListRules(ContractBase):
    """What `list` promises."""

    def test_an_empty_store_lists_nothing(self, store: Any) -> None:
        """Listing the flags of a new, empty store is not an error."""
        assert list(store.list()) == []
        assert list(store.list(limit=3, offset=2)) == []

    def test_list_gives_every_flag_once_and_whole(self, store: Any) -> None:
        """The list holds every flag, on or off, with all its metadata."""
        many = self._create_many(store, 12)
        fill(store, "f")
        listed = {item.feature_name: plain(item) for item in store.list()}
        assert sorted(names(store.list())) == sorted([*many, "f"])
        assert listed == {name: plain(store.get(name)) for name in [*many, "f"]}

    def test_list_is_an_iterator(self, store: Any) -> None:
        """Callers may take the first flag with `next`, since the list may be long."""
        self._create_many(store, 3)
        flags = store.list()
        assert iter(flags) is flags
        assert next(flags).feature_name in {"f0", "f1", "f2"}

    def test_list_gives_at_most_limit_flags(self, store: Any) -> None:
        """`limit` is the largest size of a page, and 0 is a valid size."""
        every = self._create_many(store, 7)
        assert list(store.list(limit=0)) == []
        assert len(list(store.list(limit=1))) == 1
        assert len(list(store.list(limit=5))) == 5
        assert sorted(names(store.list(limit=7))) == every
        assert sorted(names(store.list(limit=1000))) == every
        assert sorted(names(store.list(limit=None))) == every

    def test_list_leaves_out_offset_flags(self, store: Any) -> None:
        """An offset beyond the last flag gives an empty list and no error."""
        every = self._create_many(store, 7)
        assert sorted(names(store.list(offset=0))) == every
        assert len(list(store.list(offset=5))) == 2
        assert list(store.list(offset=7)) == []
        assert list(store.list(offset=1000)) == []
        assert list(store.list(limit=0, offset=2)) == []

    def test_list_takes_limit_and_offset_by_position(self, store: Any) -> None:
        """The order of the two parameters is part of the promise."""
        self._create_many(store, 7)
        assert names(store.list(2, 4)) == names(store.list(limit=2, offset=4))
        assert len(list(store.list(2, 6))) == 1

    def test_pages_cover_every_flag_exactly_once(self, store: Any) -> None:
        """Reading page after page gives each flag exactly once."""
        every = self._create_many(store, 10)

        def walk(_: str, size: int) -> None:
            paged = []
            for offset in range(0, 10, size):
                paged += names(store.list(limit=size, offset=offset))
            assert sorted(paged) == every

        for_each({f"pages of {size}": size for size in (1, 3, 5, 10)}, walk)

    def test_list_leaves_out_what_is_deleted_meanwhile(self, store: Any) -> None:
        """A flag that is deleted while the list is read is left out, without error."""
        every = self._create_many(store, 9)
        flags = store.list()
        listed = [next(flags).feature_name]
        gone = [name for name in every if name not in listed][::2]
        for name in gone:
            store.delete(name)
        listed += [item.feature_name for item in flags]
        assert sorted(set(listed)) == sorted(listed)
        assert set(every) - set(gone) <= set(listed) <= set(every)

    def test_flags_that_stay_are_listed_whatever_others_do(self, store: Any) -> None:
        """A list is complete although other flags are created and deleted meanwhile."""
        every = self._create_many(store, 5)
        done = threading.Event()

        def come_and_go() -> None:
            number = 0
            while not done.is_set():
                number += 1
                store.create(f"passing-{number % 7}")
                store.set(every[number % 5], number % 2 == 0)
                store.delete(f"passing-{(number + 3) % 7}")

        def read() -> None:
            try:
                for _ in range(max(self.repetitions // 5, 3)):
                    listed = names(store.list())
                    assert set(every) <= set(listed)
                    assert len(set(listed)) == len(listed)
            finally:
                done.set()

        at_once(come_and_go, read)
