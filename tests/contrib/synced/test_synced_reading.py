# SPDX-License-Identifier: Apache-2.0
"""How the synced store reads all flags: undecoded at the start, rarely later."""

from __future__ import annotations

import gc
import json
import logging
import sqlite3
import sys
import threading
from contextlib import closing
from enum import Enum
from typing import TYPE_CHECKING, Any

import pytest

from flipper import (
    Condition,
    FeatureFlagClient,
    MemoryFeatureFlagStore,
    SQLiteFeatureFlagStore,
    SyncedFeatureFlagStore,
)
from flipper.contracts.watch import WatchQueue
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.contrib.synced import reading
from flipper.contrib.synced.copy import LocalCopy
from flipper.exceptions import InvalidFlagDataError
from flipper.explanation import Reason
from flipper.testing import override_flags
from flipper.testing.contract import eventually
from support.synced_stores import InnerStore, synced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Names(Enum):
    """Names of flags that are no texts."""

    NEW = "new"


@pytest.fixture
def inner(tmp_path: Path) -> Iterator[SQLiteFeatureFlagStore]:
    """Give an inner store of three flags, and of three documents that are none.

    "twin" and "plain-twin" hold the documents of other flags, which are on.
    """
    with SQLiteFeatureFlagStore(tmp_path / "flags.db") as inner:
        client = FeatureFlagClient(inner)
        client.create("on", is_enabled=True)
        client.create("off", is_enabled=False)
        client.create("pro", is_enabled=True)
        client.add_condition("pro", Condition(plan="pro"))
        with closing(sqlite3.connect(inner.path)) as raw:
            for name, source in (("twin", "pro"), ("plain-twin", "on")):
                raw.execute(
                    "INSERT INTO feature_flags SELECT ?, item FROM feature_flags "
                    "WHERE name = ?",
                    (name, source),
                )
            raw.execute("INSERT INTO feature_flags VALUES ('broken', '{}')")
            raw.commit()
        yield inner


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the background thread check no document."""
    monkeypatch.setattr(reading.FlagReader, "check_some", lambda _: 0.05)


def copied(store: SyncedFeatureFlagStore) -> dict[str, Any]:
    """Return all flags of a copy: their documents, or the flags themselves."""
    return store._copy.flags


@pytest.mark.usefixtures("unchecked")
def test_a_flag_is_decoded_when_it_is_first_asked_for(
    inner: SQLiteFeatureFlagStore,
) -> None:
    """A question decodes its flag once, and no other flag."""
    with synced(inner) as store:
        client = FeatureFlagClient(store)
        assert client.is_enabled("pro", plan="pro") is True
        assert client.is_enabled("pro", plan="basic") is False
        assert list(decoded := store._copy.decoded) == ["pro"]
        assert type(decoded["pro"]) is FeatureFlagStoreItem
        assert store.get("pro") is decoded["pro"]
        assert {type(item) for item in copied(store).values()} == {bytes}
        assert client.is_enabled("on") is True
        assert client.is_enabled("off", default=True) is False


def test_a_change_of_a_flag_decodes_it_only_if_it_was_asked_for(
    inner: SQLiteFeatureFlagStore,
) -> None:
    """Flags that are not asked for are kept as bytes, whatever happens to them."""
    with synced(inner) as store:
        client = FeatureFlagClient(store)
        assert client.is_enabled("on") is True
        inner.set("off", True)
        inner.set("on", False)
        store.create("mine", is_enabled=True)
        eventually(lambda: not client.is_enabled("on"))
        assert list(store._copy.decoded) == ["on"]
        assert client.is_enabled("off") is True
        assert client.is_enabled("mine") is True
        inner.delete("off")
        eventually(lambda: not client.exists("off"))
        assert sorted(store._copy.decoded) == ["mine", "on"]


@pytest.mark.parametrize("is_decoded", [False, True])
def test_only_the_document_of_a_flag_changed(
    inner: SQLiteFeatureFlagStore, *, is_decoded: bool
) -> None:
    """Listeners are not called for a flag that is as before."""
    changes: list[Any] = []
    with synced(inner) as store, closing(sqlite3.connect(inner.path)) as raw:
        store.on_change(changes.append)
        client = FeatureFlagClient(store)
        client.enable("on")  # which it is already
        assert not is_decoded or client.is_enabled("on")
        raw.execute("UPDATE feature_flags SET item = item || ' ' WHERE name = 'on'")
        raw.commit()
        eventually(lambda: str(copied(store)["on"]).endswith(" '"))
        assert client.is_enabled("on") is True
        client.disable("on")
        eventually(lambda: changes)
    found = [(each.old.raw_is_enabled, each.new.raw_is_enabled) for each in changes]
    assert found == [(True, False)]


def test_all_flags_come_in_the_order_of_the_copy(inner: SQLiteFeatureFlagStore) -> None:
    """It does not depend on which flag was asked for first."""
    with synced(inner) as store:
        eventually(lambda: store.status().flags == 3)
        client = FeatureFlagClient(store)
        for name in ("pro", "on", "off"):
            client.is_enabled(name)
        assert list(client.evaluate_all(plan="pro")) == ["off", "on", "pro"]


def test_a_memoized_flag_keeps_missing_in_the_block(
    inner: SQLiteFeatureFlagStore,
) -> None:
    """A flag that is created during the block is missing for all its questions."""
    with synced(inner) as store:
        client = FeatureFlagClient(store)
        with client.memoize():
            assert client.variant("new", "none") == "none"
            inner.create("new", is_enabled=True)
            eventually(lambda: store.get("new"))
            assert client.variant("new", "none") == "none"
            assert client.is_enabled("new") is False
            assert client.evaluate_all(names=["new"]) == {"new": False}
        assert client.variant("new", "none") is True


@pytest.mark.parametrize("name", [Names.NEW, 5, (1, 2)])
def test_a_name_need_not_be_a_text(name: Any) -> None:
    """The memory store takes any name, so its copy does."""
    inner = MemoryFeatureFlagStore()
    inner.create(name, is_enabled=True)
    with synced(inner) as store:
        client = FeatureFlagClient(store)
        assert client.is_enabled(name) is True
        assert FeatureFlagClient(store).variant(name) is True
        assert client.is_enabled([name], default="none") == "none"  # type: ignore[arg-type]


def test_an_overridden_get_is_called_once_for_a_question(
    inner: SQLiteFeatureFlagStore,
) -> None:
    """Also if it does not give a flag that the copy has."""
    asked = []

    class Hiding(SyncedFeatureFlagStore):
        def get(self, feature_name: str) -> None:
            asked.append(feature_name)

    with Hiding(inner) as store:
        client = FeatureFlagClient(store)
        assert client.is_enabled("on") is False
        assert client.variant("on", "none") == "none"
        assert asked == ["on", "on"]


@pytest.mark.skipif(
    sys.version_info >= (3, 14), reason="the collector walks through every dict there"
)
def test_the_garbage_collector_does_not_walk_through_all_flags(
    inner: SQLiteFeatureFlagStore,
) -> None:
    """With 100,000 flags, that takes longer than all other objects together."""
    with synced(inner) as store:
        client = FeatureFlagClient(store)
        assert client.is_enabled("on") is True
        inner.set("off", True)
        eventually(lambda: client.is_enabled("off"))
        assert not gc.is_tracked(copied(store))
        revision = store.status().revision
        assert store.get_uncached("pro") is not None
        assert store.status().revision == revision
        assert type(copied(store)["pro"]) is bytes
        client.create("mine")
        # What this process writes is a flag until it is read from the store.
        eventually(lambda: type(copied(store)["mine"]) is bytes)
        assert len(list(store.list())) == 4
        gc.collect()
        assert not gc.is_tracked(copied(store))


@pytest.mark.usefixtures("unchecked")
def test_a_document_that_is_not_its_flag_never_reads_as_on(
    inner: SQLiteFeatureFlagStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Before documents are checked, the default answers, and `list` leaves it out."""
    with synced(inner) as store:
        client = FeatureFlagClient(store)
        for name in ("broken", "twin", "plain-twin"):
            assert client.is_enabled(name, plan="pro") is False
            assert client.is_enabled(name, default="other", plan="pro") == "other"
            assert client.explain(name, plan="pro").reason is Reason.ERROR
            with pytest.raises(InvalidFlagDataError, match=name):
                store.get(name)
        assert [item.feature_name for item in store.list()] == ["off", "on", "pro"]
        # It can be replaced, as in any store.
        client.create("twin", is_enabled=True)
        assert client.is_enabled("twin") is True
    assert "could not be read" in caplog.text


def test_documents_that_are_no_flags_are_left_out_soon(
    inner: SQLiteFeatureFlagStore, caplog: pytest.LogCaptureFixture
) -> None:
    """The thread takes them out of the copy, and logs a broken one once."""
    with synced(inner, poll_interval=0.05) as store:
        eventually(lambda: sorted(copied(store)) == ["off", "on", "pro"])
        assert store.status().flags == 3
        assert store.get("broken") is None
        assert FeatureFlagClient(store).explain("twin").reason is Reason.MISSING
        # Checking does not decode: most flags are never asked for.
        assert {type(item) for item in copied(store).values()} == {bytes}
    left_out = [r for r in caplog.records if "left out" in r.getMessage()]
    assert [r.levelno for r in left_out] == [logging.WARNING]


@pytest.mark.usefixtures("unchecked")
def test_a_snapshot_has_only_what_was_checked(
    inner: SQLiteFeatureFlagStore, tmp_path: Path
) -> None:
    """A store that is closed early checks its documents before it saves them."""
    file = tmp_path / "flags.json"
    with synced(inner, snapshot=file):
        pass
    eventually(file.exists)
    inner.close()
    with synced(inner, snapshot=file, start_timeout=0.1) as store:
        assert sorted(copied(store)) == ["off", "on", "pro"]
        client = FeatureFlagClient(store)
        assert client.is_enabled("pro", plan="pro") is True
        assert client.is_enabled("off") is False


@pytest.mark.usefixtures("unchecked")
def test_undecoded_flags_leave_the_store_decoded(
    inner: SQLiteFeatureFlagStore,
) -> None:
    """What `get`, `list` and listeners give are plain items, with their metadata."""
    changes: list[Any] = []
    with synced(inner) as store:
        assert type(store.get("pro")) is FeatureFlagStoreItem
        assert {type(item) for item in store.list()} == {FeatureFlagStoreItem}
        assert FeatureFlagClient(store).explain("pro", plan="a").reason is not None
    with synced(inner) as store:
        store.on_change(changes.append)
        inner.set("on", False)
        eventually(lambda: changes)
        assert type(changes[0].old) is FeatureFlagStoreItem
        assert changes[0].old.raw_is_enabled is True


@pytest.mark.usefixtures("unchecked")
def test_an_undecoded_flag_is_explained_like_any_flag(
    inner: SQLiteFeatureFlagStore,
) -> None:
    """The first question may be `explain`."""
    with synced(inner) as store:
        client = FeatureFlagClient(store)
        assert (
            client.explain("pro", plan="basic").reason is Reason.CONDITION_NOT_MATCHED
        )
        assert client.explain("on").enabled is True


@pytest.mark.usefixtures("unchecked")
def test_each_kind_of_question_may_be_the_first(
    inner: SQLiteFeatureFlagStore,
) -> None:
    """Each gives the answer that it gives for a decoded flag."""
    FeatureFlagClient(inner).create("child", is_enabled=True)
    FeatureFlagClient(inner).add_condition("child", Condition(pro__enabled=True))
    asks: list[Callable[[FeatureFlagClient], Any]] = [
        lambda client: client.variant("pro", plan="pro"),
        lambda client: client.is_enabled("child", plan="pro"),
        lambda client: client.evaluate_all(plan="pro")["pro"],
        lambda client: client.evaluate_all(names=["pro"], plan="pro")["pro"],
        lambda client: client.get("pro").explain(plan="pro").enabled,
        in_a_context,
        in_a_block,
        with_a_hook,
        with_an_override,
    ]
    for ask in asks:
        with synced(inner) as store:
            assert ask(FeatureFlagClient(store)) is True
        with synced(inner) as store:
            store.get("pro")
            assert ask(FeatureFlagClient(store)) is True


def in_a_context(client: FeatureFlagClient) -> Any:
    """Ask while the argument is added."""
    with client.context(plan="pro"):
        return client.is_enabled("pro")


def in_a_block(client: FeatureFlagClient) -> Any:
    """Ask in a `memoize` block that has read the flag."""
    with client.memoize(preload=["pro"]):
        return client.is_enabled("pro", plan="pro")


def with_a_hook(client: FeatureFlagClient) -> Any:
    """Ask while a hook is called for each question."""
    client.add_hook(lambda *_: None)
    return client.is_enabled("pro", plan="pro")


def with_an_override(client: FeatureFlagClient) -> Any:
    """Ask while another flag is overridden."""
    with override_flags(client, other=True):
        return client.is_enabled("pro", plan="pro")


@pytest.mark.usefixtures("unchecked")
def test_many_threads_may_ask_for_one_undecoded_flag(
    inner: SQLiteFeatureFlagStore,
) -> None:
    """All of them get the right answers from their first question on."""
    client = FeatureFlagClient(inner)
    for number in range(200):
        client.create(f"f{number}", is_enabled=True)
        client.add_condition(f"f{number}", Condition(plan="pro"))
    with synced(inner) as store:
        asking, wrong = FeatureFlagClient(store), []
        barrier = threading.Barrier(8)

        def ask() -> None:
            barrier.wait()
            for number in range(200):
                name = f"f{number}"
                if asking.is_enabled(name, plan="basic") or not asking.is_enabled(
                    name, plan="pro"
                ):
                    wrong.append(name)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []


def test_unchanged_documents_are_not_decoded_again(
    inner: SQLiteFeatureFlagStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later reading compares bytes, and decodes only what has changed."""
    decoded: list[bytes] = []
    decode = FeatureFlagStoreItem.deserialize
    monkeypatch.setattr(
        FeatureFlagStoreItem,
        "deserialize",
        lambda document: decoded.append(document) or decode(document),
    )
    with synced(inner, poll_interval=0.05) as store:
        eventually(lambda: store.status().flags == 3)
        with closing(sqlite3.connect(inner.path)) as raw:
            raw.execute("DELETE FROM feature_flags WHERE item = '{}'")
            raw.execute("DELETE FROM feature_flags WHERE name LIKE '%twin'")
            raw.commit()
            decoded.clear()
            write_without_a_signal(raw, "off")
        eventually(lambda: FeatureFlagClient(store).is_enabled("off"))
        assert {json.loads(each)["feature_name"] for each in decoded} == {"off"}


def test_what_is_read_again_holds_bytes_only(
    inner: SQLiteFeatureFlagStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The garbage collector walks through no large dict, whatever flags are decoded."""
    held: list[set[type]] = []
    apply = reading.FlagReader.apply

    def note(reader: Any, found: dict[str, Any], changed: Any) -> None:
        held.append({type(value) for value in found.values()})
        apply(reader, found, changed)

    monkeypatch.setattr(reading.FlagReader, "apply", note)
    with synced(inner, poll_interval=0.05) as store:
        client = FeatureFlagClient(store)
        assert client.is_enabled("on") is True
        with closing(sqlite3.connect(inner.path)) as raw:
            write_without_a_signal(raw, "off")
        eventually(lambda: client.is_enabled("off"))
    assert len(held) > 1
    assert set().union(*held) == {bytes}


def test_many_changes_at_once_are_all_applied(
    inner: SQLiteFeatureFlagStore,
) -> None:
    """Flags that were created, changed and deleted together are as in the store."""
    on = FeatureFlagStoreItem("f", True, FeatureFlagStoreMeta(1)).serialize().decode()
    numbers = range(1200)
    with closing(sqlite3.connect(inner.path)) as raw, raw:
        raw.executemany(
            "INSERT INTO feature_flags VALUES (?, ?)",
            [(f"f{i}", on.replace('"f"', f'"f{i}"')) for i in numbers[:1000]],
        )
    with synced(inner) as store:
        client = FeatureFlagClient(store)
        # A decoded flag is kept unless another thread changes the copy meanwhile.
        eventually(lambda: store.get("f999") is store.get("f999"))
        before = store.get("f999")
        with closing(sqlite3.connect(inner.path)) as raw, raw:
            raw.execute("DELETE FROM feature_flags WHERE name LIKE 'f1%'")
            raw.execute(
                "UPDATE feature_flags SET item = replace(item, 'true', 'false') "
                "WHERE name LIKE 'f2%' OR name LIKE 'f3%'"
            )
            raw.execute("UPDATE feature_flags SET item = '[]' WHERE name LIKE 'f4%'")
            raw.executemany(
                "INSERT INTO feature_flags VALUES (?, ?)",
                [(f"f{i}", on.replace('"f"', f'"f{i}"')) for i in numbers[1000:]],
            )
        wanted = [i for i in numbers if str(i)[0] not in "1234" or i >= 1000]
        eventually(lambda: [i for i in numbers if client.is_enabled(f"f{i}")] == wanted)
        eventually(lambda: "f1" not in copied(store))
        assert store.get("f200") is not None
        assert [store.get("f1"), store.get("f4")] == [None, None]
        assert store.get("f999") is before


def write_without_a_signal(raw: sqlite3.Connection, feature_name: str) -> None:
    """Turn a flag on while the triggers that report it do not exist."""
    triggers = raw.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name NOT LIKE "
        "'%trimmed'"
    ).fetchall()
    for name, _ in triggers:
        raw.execute(f"DROP TRIGGER {name}")
    raw.execute(
        "UPDATE feature_flags SET item = replace(CAST(item AS TEXT), 'false', 'true') "
        "WHERE name = ?",
        (feature_name,),
    )
    for _, statement in triggers:
        raw.execute(statement)
    raw.commit()


# How often all flags are read again


class RevisedQueue(WatchQueue):
    """A watch that knows whether it may have missed a change."""

    current: object = 1

    def revision(self) -> object:
        """Return the attribute `current`."""
        return self.current


class RevisedStore(InnerStore):
    """An inner store with such a watch."""

    def watch(self) -> WatchQueue:
        """Listen to changes."""
        queue = RevisedQueue(lambda: self.watches.remove(queue))
        self.watches.append(queue)
        return queue


def test_all_flags_are_read_again_only_if_a_change_may_be_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While the revision stays the same, many intervals pass without a reading."""
    asked: list[object] = []
    monkeypatch.setattr(
        RevisedQueue,
        "revision",
        lambda self: asked.append(self) or RevisedQueue.current,
    )
    monkeypatch.setattr(reading, "_MOST_INTERVALS", 1e9)
    inner = RevisedStore()
    inner.create("x")
    with synced(inner, poll_interval=0.02) as store:
        eventually(lambda: len(asked) > 20)
        assert inner.calls.count("list") == 1
        inner.is_silent = True
        inner.set("x", True)
        monkeypatch.setattr(RevisedQueue, "current", 2)
        eventually(lambda: FeatureFlagClient(store).is_enabled("x"))
        assert store.status().state == "live"


def test_very_many_flags_are_read_again_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On the average, an interval reads a fixed number of flags at most."""
    monkeypatch.setattr(reading, "uniform", lambda low, high: (low + high) / 2)
    inner = RevisedStore()
    intervals = []
    for flags in (10, 40):
        monkeypatch.setattr(reading, "_FLAGS_PER_INTERVAL", 1)
        for number in range(flags):
            inner.create(f"f{number}")
        reader = reading.FlagReader(inner, LocalCopy())
        watch = inner.watch()
        reader.read(watch, follows=False)
        intervals.append(next(n for n in range(1, 100) if reader.is_due(watch)))
    assert intervals == [20, 40]


def test_all_flags_are_read_again_after_twenty_intervals_at_the_latest() -> None:
    """A lost message heals even if the watch believes that it has missed nothing."""
    inner = RevisedStore()
    inner.create("x")
    with synced(inner, poll_interval=0.02) as store:
        inner.is_silent = True
        inner.set("x", True)
        eventually(lambda: FeatureFlagClient(store).is_enabled("x"))
        assert store.status().state == "live"
