# SPDX-License-Identifier: Apache-2.0
"""The two stores of one's own: the six methods, and the four hooks."""

from __future__ import annotations

import json
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from own_atomic_store import SqliteFeatureFlagStore
from own_store import JsonFileFeatureFlagStore
from run_example import run_example

from flipper import (
    CachedFeatureFlagStore,
    Condition,
    FeatureFlagClient,
    FlagDoesNotExistError,
    MemoryFeatureFlagStore,
    ReplicatedFeatureFlagStore,
)
from flipper.bucketing import Percentage, PercentageBucketer
from flipper.contrib.atomic import ABSENT, ANY, updates_atomically
from flipper.contrib.storage import FeatureFlagStoreMeta

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Open = Callable[[], Any]


@pytest.fixture(params=[JsonFileFeatureFlagStore, SqliteFeatureFlagStore])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Open a store on one and the same file, as another process would."""
    return lambda: request.param(tmp_path / "flags.db")


@pytest.fixture
def store(open_store: Open) -> Any:
    """Open the store once."""
    return open_store()


@pytest.mark.parametrize("name", ["own_store", "own_atomic_store"])
def test_it_runs_by_itself(name: str) -> None:
    """The last lines are an explanation each, of a flag that a condition limits."""
    *_, on, off = run_example(f"examples/{name}.py").stdout.splitlines()
    assert on.startswith("Feature 'NEW_SEARCH' is on: its conditions look at")
    assert off.startswith("Feature 'NEW_SEARCH' is off: the check ")


def test_the_example_loses_no_condition() -> None:
    """Eight threads wrote one flag."""
    first, *_ = run_example("examples/own_atomic_store.py").stdout.splitlines()
    assert first == "40 of 40 conditions are there."


def test_a_flag_is_there_for_whoever_opens_the_file(open_store: Open) -> None:
    """State, client data, conditions and bucketer come back, the date included."""
    flag = FeatureFlagClient(open_store()).create("x", client_data={"a": [1]})
    flag.enable()
    flag.add_condition(Condition(n__gt=1))
    flag.set_bucketer(PercentageBucketer(Percentage(0.25)))
    again = FeatureFlagClient(open_store()).get("x")
    assert again.get_meta() == flag.get_meta()
    assert again.get_client_data() == {"a": [1]}
    assert again.get_meta()["created_date"] > 1_500_000_000
    assert again.is_enabled(n=2) is True
    assert again.is_enabled(n=1) is False


def test_the_six_methods_keep_their_promises(store: Any) -> None:
    """Each is what the interface says; the client's tests build on no more."""
    assert store.get("x") is None
    assert store.delete("x") is None
    with pytest.raises(FlagDoesNotExistError, match="Feature x does not exist"):
        store.set_meta("x", FeatureFlagStoreMeta(0))
    assert store.set("x", True) is None
    assert store.get("x").raw_is_enabled is True
    made = store.create("x", client_data={"a": 1})
    assert made.to_dict() == store.get("x").to_dict()
    assert made.raw_is_enabled is False
    assert store.set_meta("x", FeatureFlagStoreMeta(7)) is None
    assert store.get("x").meta["created_date"] == 7
    assert store.set("x", True) is None
    assert store.get("x").meta["created_date"] == 7
    store.delete("x")
    assert store.get("x") is None


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ({}, "abcd"),
        ({"limit": 2}, "ab"),
        ({"limit": 2, "offset": 3}, "d"),
        ({"offset": 1}, "bcd"),
        ({"limit": 0}, ""),
    ],
)
def test_pages_are_cut_by_offset_and_limit(
    store: Any, page: dict[str, int], names: str
) -> None:
    """`offset` flags are skipped, then at most `limit` given."""
    for name in "abcd":
        store.create(name)
    assert "".join(item.feature_name for item in store.list(**page)) == names


def test_threads_undo_none_of_each_others_writes(store: Any) -> None:
    """Eight threads write one flag and one of their own, with and without metadata."""
    client = FeatureFlagClient(store)
    client.create("x")
    barrier = threading.Barrier(8)

    def write(number: int) -> None:
        barrier.wait()
        for count in range(5):
            client.add_condition("x", Condition(**{f"a{number}": count}))
            client.set_client_data("x", {f"{number}.{count}": count})
            client.create(f"{number}.{count}", is_enabled=True)
            (client.disable if count % 2 else client.enable)("x")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    meta = client.get_meta("x")
    assert len(meta["conditions"]) == 40
    assert len(meta["client_data"]) == 40
    assert len(list(client.list())) == 41


def test_it_stands_behind_a_cache_and_beside_replicas(store: Any) -> None:
    """A store of one's own is as good as any other in a stack."""
    replica = MemoryFeatureFlagStore()
    stack = CachedFeatureFlagStore(ReplicatedFeatureFlagStore(store, replica))
    flag = FeatureFlagClient(stack).create("x", is_enabled=True)
    flag.add_condition(Condition(a=1))
    stack_says = [flag.is_enabled(a=1), flag.is_enabled(a=2)]
    assert stack_says == [True, False]
    assert store.get("x").is_enabled(a=2) is False


def test_who_writes_atomically(store: Any) -> None:
    """Four hooks make a compare-and-swap; six methods have none to offer."""
    assert updates_atomically(store) is isinstance(store, SqliteFeatureFlagStore)


def test_a_swap_asks_what_is_there(tmp_path: Path) -> None:
    """It writes over what it expects, and over nothing else."""
    store = SqliteFeatureFlagStore(tmp_path / "flags.db")
    item = MemoryFeatureFlagStore().create("x")
    assert store._swap(item, ABSENT) is True
    assert store._swap(item, ABSENT) is False
    loaded = store._load("x")
    assert loaded is not None
    _, token = loaded
    changed = item.replace(is_enabled=True)
    assert store._swap(changed, token) is True
    assert store._swap(item, token) is False
    assert store.get("x").raw_is_enabled is True  # type: ignore[union-attr]
    assert store._swap(item, ANY) is True
    assert store._load("y") is None


def test_what_is_no_flag_is_left_out_of_the_list(tmp_path: Path) -> None:
    """One bad row hides none of the good ones."""
    path = tmp_path / "flags.db"
    store = SqliteFeatureFlagStore(path)
    store.create("good")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO flags VALUES ('bad', '{')")
    assert [item.feature_name for item in store.list()] == ["good"]
    assert FeatureFlagClient(store).is_enabled("bad") is False


def test_the_file_is_json_of_json(tmp_path: Path) -> None:
    """Documents are what every store keeps; other tools can read them."""
    path = tmp_path / "flags.json"
    JsonFileFeatureFlagStore(path).create("x", True, {"a": 1})
    document = json.loads(json.loads(path.read_text())["x"])
    assert document["feature_name"] == "x"
    assert document["is_enabled"] is True
    assert document["meta"]["client_data"] == {"a": 1}
