# SPDX-License-Identifier: Apache-2.0
"""The table of the cached store, which keeps a limited number of entries."""

from __future__ import annotations

import sys
from time import thread_time

import pytest

from flipper import CachedFeatureFlagStore
from flipper.contrib.cached.lru import PlainLRU, _find_lru_dict, make_lru
from support.cached_stores import OwnStore, entries_of, state_of


def test_lru_dict_is_used_if_it_is_installed(table: str) -> None:
    """`make_lru` uses lru-dict if it can, and `PlainLRU` otherwise and for size 0."""
    assert isinstance(make_lru(3), PlainLRU) is (table == "plain")
    assert isinstance(make_lru(0), PlainLRU)
    assert isinstance(make_lru(-1), PlainLRU)


def test_lru_dict_is_not_imported_without_the_gil(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its import would switch the GIL on for the whole program."""
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    monkeypatch.setitem(sys.modules, "lru", object())
    assert _find_lru_dict() is None


@pytest.mark.usefixtures("table")
def test_the_least_recently_used_flag_is_dropped_first(inner: OwnStore) -> None:
    """A read keeps a flag in the cache; the flag not read for longest is dropped."""
    store = CachedFeatureFlagStore(inner, size=2)
    for name in ("a", "b", "a", "c"):
        store.get(name)
    inner.reads.clear()
    for name in ("a", "c", "b"):
        store.get(name)
    assert inner.reads == ["b"]


@pytest.mark.usefixtures("table")
def test_a_write_counts_as_a_use(inner: OwnStore) -> None:
    """A flag that was just written is the most recently used one."""
    store = CachedFeatureFlagStore(inner, size=2)
    store.create("a")
    store.create("b")
    store.set("a", is_enabled=True)
    store.create("c")
    inner.reads.clear()
    assert [state_of(store.get(name)) for name in "acb"] == [True, False, False]
    assert inner.reads == ["b"]


@pytest.mark.usefixtures("table")
def test_a_cache_of_size_1_keeps_the_last_flag(inner: OwnStore) -> None:
    """With size 1 the cache keeps the last flag and no other."""
    store = CachedFeatureFlagStore(inner, size=1)
    for name in ("a", "a", "b", "b", "a"):
        store.get(name)
    assert inner.reads == ["a", "b", "a"]
    assert len(entries_of(store)) == 1


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize("size", [0, -1])
def test_a_cache_of_size_0_reads_the_inner_store_each_time(
    inner: OwnStore, size: int
) -> None:
    """With size 0 or less nothing is cached, and every method works."""
    store = CachedFeatureFlagStore(inner, size=size)
    store.create("x")
    assert state_of(store.get("x")) is False
    store.set("x", is_enabled=True)
    inner.reads.clear()
    assert [state_of(store.get("x")) for _ in range(3)] == [True] * 3
    assert inner.reads == ["x"] * 3
    store.delete("x")
    assert store.get("x") is None
    assert len(entries_of(store)) == 0


def test_the_plain_table_finds_and_removes_entries() -> None:
    """`PlainLRU` finds entries, removes them and gives defaults as lru-dict does."""
    table = PlainLRU(2)
    table["a"] = 1
    table["a"] = 2
    assert table["a"] == 2
    assert "a" in table
    assert "b" not in table
    assert table.pop("a") == 2
    assert table.pop("a") is None
    assert table.pop("a", 5) == 5
    with pytest.raises(KeyError):
        table["a"]


def test_a_large_plain_table_drops_entries_as_fast_as_a_small_one() -> None:
    """Removing the oldest entry does not take longer the more entries there are.

    A dict passes all the places that were emptied before it finds its first entry, so
    that it takes more than ten times as long in the large table.
    """

    def seconds_each(size: int) -> float:
        table = PlainLRU(size)
        begun = thread_time()
        for number in range(120_000):
            table[number] = number
        return (thread_time() - begun) / 120_000

    small, large = (min(seconds_each(size) for _ in range(3)) for size in (10, 60_000))
    assert large < 8 * small
