# SPDX-License-Identifier: Apache-2.0
"""What happens to the copy while the synced store reads all flags again."""

from __future__ import annotations

import random
import threading
from time import sleep
from typing import TYPE_CHECKING, Any

import pytest

from flipper import FeatureFlagClient
from flipper.testing.contract import eventually
from support.synced_stores import AwayError, InnerStore, synced

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flipper import SyncedFeatureFlagStore


class SlowStore(InnerStore):
    """An inner store whose later lists wait before a flag.

    Attributes:
        waits: whether lists wait.
        is_waiting: set while a list waits.
        goes_on: lets the waiting list go on.
        error: what the list raises then.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits = False
        self.is_waiting, self.goes_on = threading.Event(), threading.Event()
        self.error: Exception | None = None

    def list(self, limit: int | None = None, offset: int = 0) -> Iterator[Any]:
        """Return all flags; wait before the last one."""
        found = list(super().list(limit, offset))
        yield from found[:-1]
        if self.waits:
            self.waits = False
            self.is_waiting.set()
            self.goes_on.wait()
            if self.error is not None:
                raise self.error
        yield from found[-1:]


@pytest.fixture
def inner() -> SlowStore:
    """Give an inner store of three flags that are on."""
    inner = SlowStore()
    for name in ("a", "b", "z"):
        inner.create(name, is_enabled=True)
    return inner


@pytest.fixture
def store(inner: SlowStore) -> Iterator[SyncedFeatureFlagStore]:
    """Give a synced store that has begun to read "a" and "b" again, but not "z"."""
    with synced(inner, poll_interval=0.05) as store:
        inner.waits = True
        assert inner.is_waiting.wait(10)
        yield store
        inner.goes_on.set()


def finish(inner: SlowStore) -> None:
    """Let the reading end, and wait for the next ones."""
    inner.calls.clear()
    inner.goes_on.set()
    eventually(lambda: inner.calls.count("list") > 1)


def test_a_change_that_is_reported_while_all_flags_are_read_is_applied_at_once(
    inner: SlowStore, store: SyncedFeatureFlagStore
) -> None:
    """It does not wait for the reading, which then does not undo it."""
    client, seen = FeatureFlagClient(store), []
    store.on_change(lambda change: seen.append((change.feature_name, change.kind)))
    inner.set("a", False)
    eventually(lambda: not client.is_enabled("a"))
    inner.delete("b")
    eventually(lambda: store.get("b") is None)
    inner.create("new", is_enabled=True)
    eventually(lambda: client.is_enabled("new"))
    assert not inner.goes_on.is_set()
    finish(inner)
    assert seen == [("a", "changed"), ("b", "deleted"), ("new", "created")]
    assert client.evaluate_all() == {"a": False, "new": True, "z": True}


def test_a_reading_that_fails_changes_nothing(
    inner: SlowStore, store: SyncedFeatureFlagStore
) -> None:
    """Flags that were not reached are not taken for deleted."""
    inner.is_silent = True
    inner.set("a", False)
    inner.is_away = True
    inner.error = AwayError("the connection is lost")
    inner.goes_on.set()
    eventually(lambda: store.status().state == "stale")
    assert FeatureFlagClient(store).evaluate_all() == dict.fromkeys("abz", True)
    inner.is_away = False
    eventually(lambda: not FeatureFlagClient(store).is_enabled("a"))
    assert sorted(store.fast_path()) == ["a", "b", "z"]


@pytest.mark.parametrize("names", [(), [f"f{number}" for number in range(1000)]])
def test_if_too_much_changes_meanwhile_all_flags_are_read_once_more(
    names: list[str], inner: SlowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not known which flags have changed, or there are very many of them."""
    with synced(inner, poll_interval=0.05) as store:
        inner.waits = True
        assert inner.is_waiting.wait(10)
        inner.is_silent = True
        inner.set("a", False)
        # No later interval has a part in it.
        monkeypatch.setattr(store._follower, "_poll_interval", 1e6)
        (queue,) = inner.watches
        if not names:
            monkeypatch.setattr(queue, "wait", lambda _: None)
            eventually(lambda: store._follower._reader._must_read_again)
            monkeypatch.undo()
            monkeypatch.setattr(store._follower, "_poll_interval", 1e6)
        queue.report(*names)
        inner.goes_on.set()
        eventually(lambda: not FeatureFlagClient(store).is_enabled("a"))


def test_a_local_write_while_all_flags_are_read_is_kept(
    inner: SlowStore, store: SyncedFeatureFlagStore
) -> None:
    """A reported change of another flag at the same time makes no difference."""
    client, seen = FeatureFlagClient(store), []
    store.set("a", False)
    store.on_change(lambda change: seen.append(change.feature_name))
    inner.set("b", False)
    eventually(lambda: not client.is_enabled("b"))
    finish(inner)
    assert client.evaluate_all() == {"a": False, "b": False, "z": True}
    assert "a" not in seen


class SlicedStore(InnerStore):
    """An inner store whose lists read each flag at another time."""

    def list(self, limit: int | None = None, offset: int = 0) -> Iterator[Any]:
        """Read one flag after the other, with pauses."""
        for item in list(super().list(limit, offset)):
            found = self._items.get(item.feature_name)
            sleep(0.0002)
            if found is not None:
                yield found


@pytest.mark.parametrize("seed", range(3))
def test_the_copy_never_goes_back(seed: int) -> None:
    """While all flags are read again and again, each flag has ever newer versions."""
    inner, chosen = SlicedStore(), random.Random(seed)  # noqa: S311
    writer = FeatureFlagClient(inner)
    names = [f"f{number}" for number in range(20)]
    for name in names:
        writer.create(name, client_data={"version": 0})
    seen: dict[str, int] = dict.fromkeys(names, 0)
    steps_back: list[Any] = []

    def note(change: Any) -> None:
        version = -1 if change.new is None else version_of(change.new)
        if 0 <= version < seen[change.feature_name]:
            steps_back.append(change)
        seen[change.feature_name] = max(version, seen[change.feature_name])

    with synced(inner, poll_interval=0.001) as store:
        store.on_change(note)
        for version in range(1, 400):
            name = chosen.choice(names)
            if chosen.random() < 0.2:
                inner.delete(name)
            else:
                writer.create(name, client_data={"version": version})
            sleep(chosen.random() * 0.001)
        wanted = {item.feature_name: version_of(item) for item in inner.list()}
        eventually(
            lambda: {i.feature_name: version_of(i) for i in store.list()} == wanted
        )
    assert steps_back == []


def version_of(item: Any) -> int:
    """Return which version of a flag this is."""
    return item.meta["client_data"]["version"]  # type: ignore[no-any-return]
