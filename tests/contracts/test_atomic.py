# SPDX-License-Identifier: Apache-2.0
"""The compare-and-swap loop of `AtomicFeatureFlagStore`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flipper import (
    FlagDoesNotExistError,
    MemoryFeatureFlagStore,
)
from flipper.contracts import atomic
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.exceptions import ConcurrentUpdateError

if TYPE_CHECKING:
    from collections.abc import Callable


def on(item: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
    """Switch a flag on."""
    return item.replace(is_enabled=True)


def with_data(**data: Any) -> Callable[[FeatureFlagStoreItem], FeatureFlagStoreItem]:
    """Give the change that merges client data."""

    def change(item: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
        meta = item.raw_meta
        meta.update(client_data=data)
        return item.replace(meta=meta)

    return change


def stored(store: Any, feature_name: str = "x") -> FeatureFlagStoreItem:
    """Return a flag that has to be there."""
    item: FeatureFlagStoreItem | None = store.get(feature_name)
    assert item is not None
    return item


class Rivalled(MemoryFeatureFlagStore):
    """A memory store in which a rival writes between each read and its write."""

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
    """Give the waits between tries, each as long as it could be, and wait for none."""
    pauses: list[float] = []
    monkeypatch.setattr(atomic, "sleep", pauses.append)
    monkeypatch.setattr(atomic, "uniform", lambda _, longest: longest)
    return pauses


def test_a_write_begins_again_when_a_rival_was_faster(pauses: list[float]) -> None:
    """What the rival wrote stays, and the change is made to that."""
    store = Rivalled()
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
    """The error names flag and attempts, nothing is written, and no time is lost."""
    monkeypatch.setattr(Rivalled, "max_attempts", attempts)
    store = Rivalled()
    store.create("x")
    store.rival = lambda: store.create("x", client_data={"by": "a rival"})
    with pytest.raises(ConcurrentUpdateError, match="'x' was not written") as caught:
        WRITES[write](store)
    assert caught.value.feature_name == "x"
    assert caught.value.attempts == attempts
    assert stored(store).meta["client_data"] == {"by": "a rival"}
    assert len(pauses) == attempts - 1


def test_pauses_grow_up_to_the_longest(
    monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    """They double from a millisecond on, and stay at `longest_pause`."""
    monkeypatch.setattr(Rivalled, "max_attempts", 8)
    store = Rivalled()
    store.create("x")
    store.rival = lambda: store.create("x")
    with pytest.raises(ConcurrentUpdateError):
        store.set("x", is_enabled=True)
    assert pauses == [0.001, 0.002, 0.004, 0.008, 0.016, 0.02, 0.02]


def test_a_store_may_try_very_often(
    monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    """There is no limit to `max_attempts`."""
    monkeypatch.setattr(Rivalled, "max_attempts", 3000)
    monkeypatch.setattr(Rivalled, "longest_pause", 0.5)
    store = Rivalled()
    store.create("x")
    store.rival = lambda: store.create("x")
    with pytest.raises(ConcurrentUpdateError) as caught:
        store.set("x", is_enabled=True)
    assert caught.value.attempts == 3000
    assert max(pauses) == pauses[-1] == 0.5


@pytest.mark.usefixtures("pauses")
@pytest.mark.parametrize("write", ["set_meta", "update"])
def test_a_rival_that_deletes_ends_a_write(write: str) -> None:
    """A flag that is gone is not brought back: it does not exist."""
    store = Rivalled()
    store.create("x")
    store.rival = lambda: store.delete("x")
    with pytest.raises(FlagDoesNotExistError):
        WRITES[write](store)
    assert store.get("x") is None


@pytest.mark.usefixtures("pauses")
def test_a_rival_that_deletes_lets_set_create() -> None:
    """`set` makes a flag that is gone, without what the deleted one carried."""
    store = Rivalled()
    store.create("x", client_data={"a": 1})
    store.rounds = 1
    store.rival = lambda: store.delete("x")
    store.set("x", is_enabled=True)
    assert stored(store).raw_is_enabled is True
    assert stored(store).meta["client_data"] == {}


@pytest.mark.usefixtures("pauses")
def test_a_rival_that_creates_lets_set_change() -> None:
    """`set` of a missing flag keeps what a rival made of it meanwhile."""
    store = Rivalled()
    store.rounds = 1
    store.rival = lambda: store.create("x", client_data={"a": 1})
    store.set("x", is_enabled=True)
    assert stored(store).raw_is_enabled is True
    assert stored(store).meta["client_data"] == {"a": 1}


@pytest.mark.usefixtures("pauses")
def test_a_flag_that_was_replaced_by_its_like_is_another() -> None:
    """Deleted and made again with the same content, it is read again all the same."""
    store = Rivalled()
    store.create("x")
    seen: list[FeatureFlagStoreItem] = []
    store.rounds = 1

    def rival() -> None:
        store.delete("x")
        store.create("x")

    def change(item: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
        seen.append(item)
        return on(item)

    store.rival = rival
    store.update("x", change)
    assert len(seen) == 2
    assert seen[0] is not seen[1]
