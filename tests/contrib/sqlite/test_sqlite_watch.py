# SPDX-License-Identifier: Apache-2.0
"""What an SQLite file tells of its changes, and how a synchronised store follows."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import textwrap
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from flipper import Condition, FeatureFlagClient, SQLiteFeatureFlagStore
from flipper import SyncedFeatureFlagStore as Synced
from flipper.contrib.sqlite import schema
from flipper.exceptions import StoreUnavailableError
from flipper.testing.contract import eventually
from servers import unmeasured
from support.synced_rules import is_live

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flipper.contrib.sqlite.watch import SQLiteWatch


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give the path of a file that is not there yet."""
    return tmp_path / "flags.db"


@pytest.fixture
def store(path: Path) -> Iterator[SQLiteFeatureFlagStore]:
    """Give a store with a flag."""
    with SQLiteFeatureFlagStore(path) as store:
        store.create("x", is_enabled=True)
        yield store


@pytest.fixture
def watching(store: SQLiteFeatureFlagStore) -> Iterator[SQLiteWatch]:
    """Give a watch of the store."""
    with closing(store.watch()) as watching:
        yield watching


@pytest.fixture
def raw(store: SQLiteFeatureFlagStore) -> Iterator[sqlite3.Connection]:
    """Give a connection as another program has it."""
    with closing(sqlite3.connect(store.path, isolation_level=None)) as raw:
        yield raw


# The watch


@pytest.mark.parametrize(
    ("statement", "names"),
    [
        ("INSERT INTO feature_flags VALUES ('y', '{}')", {"y"}),
        ("INSERT OR REPLACE INTO feature_flags VALUES ('x', '{}')", {"x"}),
        ("UPDATE feature_flags SET item = '{}'", {"x"}),
        ("UPDATE feature_flags SET name = 'y'", {"x", "y"}),
        ("DELETE FROM feature_flags", {"x"}),
        ("CREATE TABLE other (a)", ()),
    ],
)
def test_whatever_program_writes_the_names_are_told(
    statement: str, names: Any, watching: SQLiteWatch, raw: sqlite3.Connection
) -> None:
    """And nothing that has not changed."""
    raw.execute(statement)
    changed = watching.wait(5 if names else 0.3)
    assert changed is not None
    assert set(changed) == set(names)


def test_what_is_rolled_back_is_not_told(
    watching: SQLiteWatch, raw: sqlite3.Connection
) -> None:
    """It has not happened."""
    raw.execute("BEGIN")
    raw.execute("DELETE FROM feature_flags")
    raw.execute("ROLLBACK")
    raw.execute("INSERT INTO feature_flags VALUES ('y', '{}')")
    assert watching.wait(5) == {"y"}


def test_a_wait_without_a_change_takes_its_time(watching: SQLiteWatch) -> None:
    """And returns no names."""
    began = time.monotonic()
    assert watching.wait(0.25) == ()
    assert time.monotonic() - began >= 0.25


def test_very_many_changes_at_once_may_be_of_any_flag(
    watching: SQLiteWatch, raw: sqlite3.Connection
) -> None:
    """Old changes are removed, so the file does not grow with each write."""
    raw.execute("BEGIN")
    rows = [(f"y{number}", "{}") for number in range(5 * schema.KEPT_CHANGES)]
    raw.executemany("INSERT INTO feature_flags VALUES (?, ?)", rows)
    raw.execute("COMMIT")
    assert watching.wait(5) is None
    count = raw.execute("SELECT count(*) FROM feature_flag_changes").fetchone()[0]
    assert schema.KEPT_CHANGES <= count <= 2 * schema.KEPT_CHANGES
    raw.execute("DELETE FROM feature_flags WHERE name = 'y7'")
    assert watching.wait(5) == {"y7"}


@pytest.mark.parametrize("later_writes", [0, 3])
def test_a_backup_that_is_restored_may_change_any_flag(
    later_writes: int, store: SQLiteFeatureFlagStore, path: Path
) -> None:
    """Though its changes have the same numbers as those that are lost."""
    with (
        closing(sqlite3.connect(path)) as file,
        closing(sqlite3.connect(path.with_name("backup.db"))) as backup,
    ):
        file.backup(backup)
        for _ in range(later_writes):
            store.set("x", False)
        with closing(store.watch()) as watching:
            store.set("x", False)
            assert watching.wait(5) == {"x"}
            with SQLiteFeatureFlagStore(backup_path := path.with_name("backup.db")):
                pass
            with SQLiteFeatureFlagStore(backup_path) as other:
                for number in range(later_writes + 1):
                    other.create(f"y{number}")
            backup.backup(file)
            assert watching.wait(5) is None
            store.create("z")
            assert watching.wait(5) == {"z"}


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TRIGGER feature_flag_deleted",
        "DROP TABLE feature_flags",
        "DELETE FROM feature_flag_changes",
    ],
)
def test_without_its_means_the_watch_tells_of_any_change(
    statement: str, watching: SQLiteWatch, raw: sqlite3.Connection
) -> None:
    """A change that the triggers do not tell must not stay unseen."""
    raw.execute(statement)
    assert watching.wait(5) is None


def test_a_store_restores_its_triggers(
    store: SQLiteFeatureFlagStore, raw: sqlite3.Connection
) -> None:
    """The next watch has them again."""
    raw.execute("DROP TRIGGER feature_flag_deleted")
    with closing(store.watch()) as watching:
        store.delete("x")
        assert watching.wait(5) == {"x"}


def test_a_file_that_is_gone_ends_the_watch(
    watching: SQLiteWatch, store: SQLiteFeatureFlagStore, path: Path
) -> None:
    """It would wait for changes of a file that nobody can open any more."""
    path.unlink()
    with pytest.raises(StoreUnavailableError, match="was deleted"):
        eventually(lambda: watching.wait(0.1))


# The synchronised store


def test_a_synchronised_store_follows_other_processes(
    store: SQLiteFeatureFlagStore,
) -> None:
    """Every change, by its signal, within moments, and in their order."""
    code = """
        import sys
        from flipper import FeatureFlagClient, SQLiteFeatureFlagStore
        client = FeatureFlagClient(SQLiteFeatureFlagStore(sys.argv[1]))
        for line in sys.stdin:
            (client.enable if line == "True\\n" else client.disable)("x")
    """
    with (
        Synced(store, poll_interval=3600) as synced,
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), store.path],
            stdin=subprocess.PIPE,
            text=True,
            env={**unmeasured(), "PYTHONPATH": os.pathsep.join(sys.path)},
        ) as process,
    ):
        eventually(lambda: is_live(synced))
        client = FeatureFlagClient(synced)
        assert process.stdin is not None
        for number in range(20):
            process.stdin.write(f"{number % 2 == 1}\n")
            process.stdin.flush()
            eventually(lambda n=number: client.is_enabled("x") is (n % 2 == 1))


def test_a_synchronised_store_follows_its_own_process(
    store: SQLiteFeatureFlagStore, path: Path
) -> None:
    """Another store of the process may have the same file."""
    with Synced(store, poll_interval=3600) as synced:
        eventually(lambda: is_live(synced))
        with SQLiteFeatureFlagStore(path) as other:
            client = FeatureFlagClient(other)
            client.create("eu/ö 旗", is_enabled=True)
            eventually(lambda: synced.get("eu/ö 旗"))
            client.add_condition("eu/ö 旗", Condition(user=1))
            eventually(lambda: synced.get("eu/ö 旗").meta["conditions"])
            client.destroy("eu/ö 旗")
            eventually(lambda: synced.get("eu/ö 旗") is None)


def test_a_change_costs_one_reading_of_its_flag(store: SQLiteFeatureFlagStore) -> None:
    """However many flags there are."""
    asked: list[str] = []
    inner: Any = store
    get, list_all = inner.get, inner.list
    inner.get = lambda name: asked.append(name) or get(name)
    inner.list = lambda: asked.append("all") or list_all()
    with Synced(inner, poll_interval=3600) as synced:
        eventually(lambda: is_live(synced))
        assert asked == ["all"]
        with SQLiteFeatureFlagStore(store.path) as other:
            other.create("y")
            eventually(lambda: synced.get("y"))
            other.set("x", False)
            eventually(lambda: not synced.get("x").raw_is_enabled)
        assert asked == ["all", "y", "x"]


def test_the_copy_answers_while_the_file_is_gone(
    store: SQLiteFeatureFlagStore, path: Path
) -> None:
    """Writes fail meanwhile, and the copy follows again afterwards."""
    with Synced(store) as synced:
        eventually(lambda: is_live(synced))
        path.rename(path.with_name("away"))
        eventually(lambda: synced.status().state == "stale")
        client = FeatureFlagClient(synced)
        assert client.is_enabled("x") is True
        with pytest.raises(StoreUnavailableError, match="moved away"):
            client.disable("x")
        path.with_name("away").rename(path)
        eventually(lambda: is_live(synced))
        client.disable("x")
        assert client.is_enabled("x") is False
