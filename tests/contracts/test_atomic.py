# SPDX-License-Identifier: Apache-2.0
"""The compare-and-swap loop of `AtomicFeatureFlagStore`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flipper import FlagDoesNotExistError, MemoryFeatureFlagStore
from flipper.contracts import atomic
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.exceptions import ConcurrentUpdateError
from support.changes import stored, switch_on, with_data

if TYPE_CHECKING:
    from collections.abc import Callable


class ContestedStore(MemoryFeatureFlagStore):
    """A store in memory in which another writer comes between each read and write.

    Attributes:
        rival: called between the read and the write.
        rounds: how often it is still called.
    """

    def __init__(self, rival: Callable[[], object] = lambda: None) -> None:
        super().__init__()
        self.rival = rival
        self.rounds = 1_000_000
        self._is_rival = False

    def _swap(self, item: FeatureFlagStoreItem, expected: Any) -> bool:
        if not self._is_rival and self.rounds > 0:
            self.rounds -= 1
            self._is_rival = True
            self.rival()
            self._is_rival = False
        return super()._swap(item, expected)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the longest pauses between attempts, and do not wait for them."""
    pauses: list[float] = []
    monkeypatch.setattr(atomic, "sleep", pauses.append)
    monkeypatch.setattr(atomic, "uniform", lambda _, longest: longest)
    return pauses


def test_a_write_that_lost_a_race_starts_again(pauses: list[float]) -> None:
    """The change is applied to what the other writer has stored."""
    store = ContestedStore()
    store.create("x", client_data={"a": 1})
    store.rounds = 3
    rivals = iter(range(3))
    store.rival = lambda: store.update("x", with_data(**{f"rival {next(rivals)}": 1}))
    after = store.update("x", with_data(b=2))
    assert after is store.get("x")
    assert after.meta["client_data"] == {
        "a": 1,
        "b": 2,
        **{f"rival {number}": 1 for number in range(3)},
    }
    assert len(pauses) == 3


WRITES: dict[str, Callable[[Any], object]] = {
    "set": lambda store: store.set("x", True),
    "set_meta": lambda store: store.set_meta("x", FeatureFlagStoreMeta(1)),
    "update": lambda store: store.update("x", with_data(a=1)),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("attempts", [1, 5])
def test_a_write_that_always_loses_gives_up(
    monkeypatch: pytest.MonkeyPatch, pauses: list[float], write: str, attempts: int
) -> None:
    """After `max_attempts` the error names the flag, and nothing is written."""
    monkeypatch.setattr(ContestedStore, "max_attempts", attempts)
    store = ContestedStore()
    store.create("x")
    store.rival = lambda: store.create("x", client_data={"by": "a rival"})
    with pytest.raises(ConcurrentUpdateError, match="'x' was not written") as caught:
        WRITES[write](store)
    assert caught.value.feature_name == "x"
    assert caught.value.attempts == attempts
    assert stored(store).meta["client_data"] == {"by": "a rival"}
    assert len(pauses) == attempts - 1


def test_pauses_double_up_to_the_longest(
    monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    """They double from a millisecond on, and stay at `longest_pause`."""
    monkeypatch.setattr(ContestedStore, "max_attempts", 8)
    store = ContestedStore()
    store.create("x")
    store.rival = lambda: store.create("x")
    with pytest.raises(ConcurrentUpdateError):
        store.set("x", is_enabled=True)
    assert pauses == [0.001, 0.002, 0.004, 0.008, 0.016, 0.02, 0.02]


def test_max_attempts_has_no_limit(
    monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    """A store may set `max_attempts` to any number."""
    monkeypatch.setattr(ContestedStore, "max_attempts", 3000)
    monkeypatch.setattr(ContestedStore, "longest_pause", 0.5)
    store = ContestedStore()
    store.create("x")
    store.rival = lambda: store.create("x")
    with pytest.raises(ConcurrentUpdateError) as caught:
        store.set("x", is_enabled=True)
    assert caught.value.attempts == 3000
    assert max(pauses) == pauses[-1] == 0.5


@pytest.mark.usefixtures("pauses")
@pytest.mark.parametrize("write", ["set_meta", "update"])
def test_a_flag_deleted_during_a_write_is_not_created_again(write: str) -> None:
    """The write raises `FlagDoesNotExistError`."""
    store = ContestedStore()
    store.create("x")
    store.rival = lambda: store.delete("x")
    with pytest.raises(FlagDoesNotExistError):
        WRITES[write](store)
    assert store.get("x") is None


@pytest.mark.usefixtures("pauses")
def test_set_creates_a_flag_that_was_deleted_meanwhile() -> None:
    """The new flag has nothing of the deleted one."""
    store = ContestedStore()
    store.create("x", client_data={"a": 1})
    store.rounds = 1
    store.rival = lambda: store.delete("x")
    store.set("x", is_enabled=True)
    assert stored(store).raw_is_enabled is True
    assert stored(store).meta["client_data"] == {}


@pytest.mark.usefixtures("pauses")
def test_set_keeps_a_flag_that_was_created_meanwhile() -> None:
    """`set` of a missing flag keeps what another writer has stored meanwhile."""
    store = ContestedStore()
    store.rounds = 1
    store.rival = lambda: store.create("x", client_data={"a": 1})
    store.set("x", is_enabled=True)
    assert stored(store).raw_is_enabled is True
    assert stored(store).meta["client_data"] == {"a": 1}


@pytest.mark.usefixtures("pauses")
def test_a_flag_that_was_replaced_by_an_equal_one_is_read_again() -> None:
    """A flag that was deleted and created again is another version, even if equal."""
    store = ContestedStore()
    store.create("x")
    seen: list[FeatureFlagStoreItem] = []
    store.rounds = 1

    def rival() -> None:
        store.delete("x")
        store.create("x")

    def change(item: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
        seen.append(item)
        return switch_on(item)

    store.rival = rival
    store.update("x", change)
    assert len(seen) == 2
    assert seen[0] is not seen[1]
