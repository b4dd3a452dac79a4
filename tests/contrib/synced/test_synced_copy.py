# SPDX-License-Identifier: Apache-2.0
"""The listeners of the synced store's copy."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from flipper import FeatureFlagClient
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.contrib.synced.copy import LocalCopy
from flipper.testing.contract import at_once, eventually
from support.synced_stores import InnerStore, synced

if TYPE_CHECKING:
    from flipper.contrib.synced.copy import FlagChange


def test_listeners_get_every_change(inner: InnerStore) -> None:
    """A listener gets each change with the old and the new item, whoever made it."""
    with synced(inner) as store:
        changes: list[FlagChange] = []
        assert store.on_change(changes.append) == changes.append
        store.create("f")
        store.set("f", True)
        store.set("f", True)  # no change
        inner.delete("f")
        eventually(lambda: len(changes) == 3)
    assert [change.kind for change in changes] == ["created", "changed", "deleted"]
    assert [change.feature_name for change in changes] == ["f"] * 3
    created, changed, deleted = changes
    assert (created.old, created.new.raw_is_enabled) == (None, False)
    assert changed.old is created.new
    assert changed.new.raw_is_enabled is True
    assert (deleted.old, deleted.new) == (changed.new, None)


def test_a_listener_may_write_and_fail(
    inner: InnerStore, caplog: pytest.LogCaptureFixture
) -> None:
    """A listener gets its own write after the change that it was called for."""
    with synced(inner) as store:
        changes: list[str] = []

        @store.on_change
        def answer(change: FlagChange) -> None:
            changes.append(change.feature_name)
            if change.feature_name == "first":
                store.create("second")
            raise ValueError(change.feature_name)

        store.create("first")
        eventually(lambda: changes == ["first", "second"])
        store.remove_listener(answer)
        store.create("third")
        assert changes == ["first", "second"]
    assert "A listener failed" in caplog.text


def test_listeners_get_changes_in_order(inner: InnerStore) -> None:
    """Each change begins with the item that the one before it ended with."""
    with synced(inner) as store:
        changes: list[FlagChange] = []
        store.on_change(changes.append)
        client = FeatureFlagClient(store)

        def write(writer: int) -> None:
            for number in range(50):
                client.set_client_data("on", {f"{writer}": number})

        at_once(*(lambda writer=w: write(writer) for w in range(4)))
        eventually(lambda: changes and changes[-1].new is store.get("on"))
    for before, after in pairwise(changes):
        assert after.old is before.new


def test_a_copy_can_be_followed_by_another_copy(inner: InnerStore) -> None:
    """A copy reports its own changes, not those that the inner store has already."""
    with synced(inner) as store, synced(store) as second:
        inner.set("on", False)
        eventually(lambda: second.get("on").raw_is_enabled is False)


def test_a_flag_that_is_read_again_with_the_same_document_is_kept() -> None:
    """It is no change, and a flag with another document is one."""
    copy, seen = LocalCopy(), []
    copy.add_listener(seen.append)

    def read(is_enabled: bool) -> FeatureFlagStoreItem:
        written = FeatureFlagStoreItem("x", is_enabled, FeatureFlagStoreMeta(1))
        document = written.serialize()
        item = FeatureFlagStoreItem.deserialize(document)
        item.document = document
        copy.apply({"x": item}, complete=True)
        return item

    first = read(is_enabled=False)
    decoded = copy.get("x")
    assert read(is_enabled=False) is not first
    assert copy.get("x") is decoded is first
    copy.apply({"x": first.document}, complete=False)
    assert copy.get("x") is first
    assert copy.flags["x"] is first.document
    changed = read(is_enabled=True)
    assert copy.get("x") is changed
    copy.apply({"x": first.document}, complete=False)
    assert copy.get("x").raw_is_enabled is False
    assert [(change.old, change.new) for change in seen] == [
        (None, first),
        (first, changed),
        (changed, copy.get("x")),
    ]


class InterruptedDict(dict):
    """A dict whose changes are broken off before they are made."""

    def __setitem__(self, *_: object) -> None:
        """Raise as a signal does."""
        raise KeyboardInterrupt

    def pop(self, *_: object) -> None:
        """Raise as a signal does."""
        raise KeyboardInterrupt


@pytest.mark.parametrize("new", [None, True])
def test_a_change_that_was_broken_off_is_made_by_the_next_reading(
    new: bool | None,
) -> None:
    """A signal, or a fork by another thread, leaves no outdated flag in the copy."""
    copy = LocalCopy()
    meta = FeatureFlagStoreMeta(1)
    found = new and FeatureFlagStoreItem("x", new, meta).serialize()
    copy.apply({"x": FeatureFlagStoreItem("x", False, meta).serialize()}, complete=True)
    assert copy.get("x").raw_is_enabled is False
    flags, copy.flags = copy.flags, InterruptedDict(copy.flags)
    with pytest.raises(KeyboardInterrupt):
        copy.apply({"x": found}, complete=False)
    copy.flags = flags
    assert copy.get("x").raw_is_enabled is False
    copy.apply({"x": found}, complete=False)
    item = copy.get("x")
    assert item is None if new is None else item.raw_is_enabled is new
