# SPDX-License-Identifier: Apache-2.0
"""The entries of the cached store: when they expire, and which arguments it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flipper import CachedFeatureFlagStore
from flipper.contrib.cached import entries
from flipper.exceptions import InvalidArgumentError
from support.cached_stores import OwnStore, state_of

if TYPE_CHECKING:
    from support.clock import Clock

# Expiry


def test_entries_without_a_ttl_never_expire(inner: OwnStore, clock: Clock) -> None:
    """With `ttl=None` an entry never expires."""
    store = CachedFeatureFlagStore(inner)
    store.create("x")
    clock.now += 1e9
    assert state_of(store.get("x")) is False
    assert inner.reads == []


@pytest.mark.parametrize("ttl", [0.25, 1, 900])
def test_an_entry_expires_exactly_after_its_ttl(
    inner: OwnStore, clock: Clock, ttl: float
) -> None:
    """An entry answers until its ttl is over; then the inner store is read once."""
    store = CachedFeatureFlagStore(inner, ttl=ttl)
    store.create("x")
    inner.flags.set("x", is_enabled=True)
    clock.now += ttl - 0.125
    assert state_of(store.get("x")) is False
    clock.now += 0.125
    assert state_of(store.get("x")) is True
    assert state_of(store.get("x")) is True
    assert inner.reads == ["x"]


def test_a_read_does_not_prolong_an_entry(inner: OwnStore, clock: Clock) -> None:
    """The ttl counts from when the entry was put in, not from its last read."""
    store = CachedFeatureFlagStore(inner, ttl=4)
    store.get("x")
    for _ in range(3):
        clock.now += 1
        store.get("x")
    clock.now += 1
    store.get("x")
    assert inner.reads == ["x", "x"]


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("ttl", [0, 0.0, -10])
def test_with_a_ttl_of_zero_or_less_nothing_is_cached(
    inner: OwnStore, ttl: float
) -> None:
    """A ttl of 0 or less is accepted, and every read asks the inner store."""
    store = CachedFeatureFlagStore(inner, ttl=ttl)
    store.create("x")
    assert [state_of(store.get("x")) for _ in range(3)] == [False] * 3
    assert inner.reads == ["x"] * 3


def test_the_entry_of_a_missing_flag_expires_too(inner: OwnStore, clock: Clock) -> None:
    """A flag that was created elsewhere is seen once its entry has expired."""
    store = CachedFeatureFlagStore(inner, ttl=5)
    assert store.get("x") is None
    inner.flags.create("x", is_enabled=True)
    assert store.get("x") is None
    clock.now += 5
    assert state_of(store.get("x")) is True


# Jitter


@pytest.mark.parametrize(
    ("jitter", "lasts"), [(0, 8.0), (0.25, 7.0), (0.5, 6.0), (1, 4.0), (1.0, 4.0)]
)
def test_an_entry_expires_earlier_by_a_random_part_of_the_jitter(
    inner: OwnStore,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    jitter: float,
    lasts: float,
) -> None:
    """An entry expires earlier by a random part of the jitter, which here is a half."""
    monkeypatch.setattr(entries, "uniform", lambda low, high: (low + high) / 2)
    store = CachedFeatureFlagStore(inner, ttl=8, jitter=jitter)
    store.get("x")
    clock.now += lasts - 0.125
    store.get("x")
    assert inner.reads == ["x"]
    clock.now += 0.125
    store.get("x")
    assert inner.reads == ["x", "x"]


def test_entries_put_in_together_expire_at_different_times(
    inner: OwnStore, clock: Clock
) -> None:
    """Each entry has its own random expiry within the jitter."""
    store = CachedFeatureFlagStore(inner, ttl=100, jitter=0.5)
    names = [f"flag-{number}" for number in range(100)]
    for name in names:
        store.get(name)
    left = [store._cache[name][2] - clock.now for name in names]
    assert 50 <= min(left) < 60
    assert 90 < max(left) <= 100
    assert len(set(left)) > 90


def test_jitter_does_not_make_entries_without_a_ttl_expire(
    inner: OwnStore, clock: Clock
) -> None:
    """With `ttl=None` an entry never expires, whatever the jitter is."""
    store = CachedFeatureFlagStore(inner, jitter=1.0, stale_if_error=1)
    store.get("x")
    clock.now += 1e9
    store.get("x")
    assert inner.reads == ["x"]


# Arguments


@pytest.mark.parametrize("value", [-1, -0.001, float("nan"), "60", [], 1j])
def test_an_invalid_stale_if_error_is_refused(inner: OwnStore, value: Any) -> None:
    """The error names `stale_if_error`, its value and the remedy."""
    with pytest.raises(InvalidArgumentError, match="use seconds") as caught:
        CachedFeatureFlagStore(inner, stale_if_error=value)
    assert f"stale_if_error={value!r}" in str(caught.value)
    assert caught.value.value is value


@pytest.mark.parametrize("value", [-0.1, 1.1, 20, float("nan"), None, "0.2"])
def test_an_invalid_jitter_is_refused(inner: OwnStore, value: Any) -> None:
    """The error names `jitter`, its value and the remedy."""
    with pytest.raises(InvalidArgumentError, match="a fraction from 0 to 1") as caught:
        CachedFeatureFlagStore(inner, ttl=1, jitter=value)
    assert f"jitter={value!r}" in str(caught.value)
    assert caught.value.value is value


# The table


class BareTable:
    """A table with few methods, like those that tests of applications put in."""

    def __init__(self) -> None:
        self.entries: dict[str, Any] = {}

    def __contains__(self, name: object) -> bool:
        """Fail, since the entry may be removed between this call and the next."""
        raise AssertionError(name)

    def __getitem__(self, name: str) -> Any:
        """Return an entry."""
        return self.entries[name]

    def __setitem__(self, name: str, entry: Any) -> None:
        """Put in an entry."""
        self.entries[name] = entry


@pytest.mark.parametrize("ttl", [None, 60, -10])
def test_the_table_can_be_replaced_by_a_bare_one(
    inner: OwnStore, ttl: float | None
) -> None:
    """`get` and `set` need only `__getitem__` and `__setitem__` of the table."""
    store = CachedFeatureFlagStore(inner, ttl=ttl)
    store._cache = BareTable()
    store.set("x", is_enabled=True)
    assert state_of(store.get("x")) is True
    assert store.get("y") is None
    assert set(store._cache.entries) == {"x", "y"}
