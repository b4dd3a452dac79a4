# SPDX-License-Identifier: Apache-2.0
"""What is special about the store of flags in an SQLite file."""

from __future__ import annotations

import gc
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import warnings
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flipper import FeatureFlagClient, SQLiteFeatureFlagStore
from flipper.contrib.sqlite import connections, forks
from flipper.contrib.sqlite.file import DatabaseFile
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.exceptions import (
    FlipperError,
    InvalidArgumentError,
    InvalidFlagDataError,
    StoreTimeoutError,
    StoreUnavailableError,
)
from flipper.testing.contract import at_once, eventually
from servers import unmeasured
from support.broken_documents import hostile_documents

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give the path of a file that is not there yet."""
    return tmp_path / "flags.db"


@pytest.fixture
def store(path: Path) -> Iterator[SQLiteFeatureFlagStore]:
    """Give an empty store."""
    with SQLiteFeatureFlagStore(path) as store:
        yield store


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a file as another program does."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as file:
        yield file


def open_files(folder: Path) -> list[str]:
    """Return which files of a folder this process has open."""
    links = Path("/proc/self/fd").iterdir()
    targets = [str(link.readlink()) for link in links if link.is_symlink()]
    return [target for target in targets if target.startswith(str(folder))]


needs_proc = pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="the open files are read from /proc"
)


# The path


@pytest.mark.parametrize("kind", [str, Path])
def test_a_path_is_text_or_a_path(kind: Any, path: Path) -> None:
    """Both name the same file."""
    with SQLiteFeatureFlagStore(kind(path)) as store:
        store.create("x")
        assert store.path == str(path)
    with SQLiteFeatureFlagStore(path) as store:
        assert store.get("x") is not None


def test_a_relative_path_stays_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that changes its folder keeps its flags, also on new connections."""
    monkeypatch.chdir(tmp_path)
    with SQLiteFeatureFlagStore("flags.db") as store:
        store.create("x")
        monkeypatch.chdir("/")
        with closing(store.watch()), SQLiteFeatureFlagStore(store.path) as other:
            assert other.get("x") is not None


@pytest.mark.parametrize("name", ["a b?c#d%20.db", "100%.db", "ö 旗.db", "file.db?x=1"])
def test_any_characters_may_be_in_a_path(name: str, tmp_path: Path) -> None:
    """The path is no URI, so no character has a meaning."""
    with SQLiteFeatureFlagStore(tmp_path / name) as store:
        store.create("x")
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("path", "remedy"),
    [
        (":memory:", "use a MemoryFeatureFlagStore"),
        ("", "use the path of a file"),
        ("a\0b", "use the path of a file"),
        ("file:flags.db", "use the path of the file alone"),
        ("sqlite:///flags.db", "use the path of the file alone"),
        (b"flags.db", "use a str or a pathlib.Path"),
        (None, "use a str or a pathlib.Path"),
        (7, "use a str or a pathlib.Path"),
    ],
)
def test_what_is_no_path_of_a_file_is_refused(path: Any, remedy: str) -> None:
    """Each connection would otherwise get a database of its own, or a strange file."""
    with pytest.raises(InvalidArgumentError, match=remedy):
        SQLiteFeatureFlagStore(path)


@pytest.mark.parametrize("timeout", [-1, float("nan"), "5", None])
def test_a_timeout_that_is_none_is_refused(timeout: Any, path: Path) -> None:
    """Before a file is created."""
    with pytest.raises(InvalidArgumentError, match="timeout"):
        SQLiteFeatureFlagStore(path, timeout=timeout)
    assert not path.exists()


# The file


def test_the_table_is_that_of_postgresql(
    store: SQLiteFeatureFlagStore, path: Path
) -> None:
    """Whoever knows the one knows the other, and can copy rows between them."""
    document = store.create("x", is_enabled=True).serialize()
    with opened(path) as file:
        assert file.execute("SELECT name, item FROM feature_flags").fetchall() == [
            ("x", document)
        ]
        assert file.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_other_tables_of_the_file_stay_as_they_are(path: Path) -> None:
    """An application may keep its own data in the same file."""
    with opened(path) as file:
        file.execute("CREATE TABLE own (a)")
        file.execute("INSERT INTO own VALUES (1)")
    with SQLiteFeatureFlagStore(path) as store:
        store.create("x")
    with opened(path) as file:
        assert file.execute("SELECT a FROM own").fetchall() == [(1,)]


def test_a_write_is_on_the_disk_when_it_returns(store: SQLiteFeatureFlagStore) -> None:
    """SQLite waits for the disk at each commit on every connection of the store."""
    assert store._connections.fetch("PRAGMA synchronous") == [(2,)]


def test_a_document_may_be_stored_as_text(
    store: SQLiteFeatureFlagStore, path: Path
) -> None:
    """The shell of SQLite writes text; it is read, and changed like any other."""
    document = store.create("other").serialize().decode().replace("other", "x")
    with opened(path) as file:
        file.execute("INSERT INTO feature_flags VALUES ('x', ?)", (document,))
    client = FeatureFlagClient(store, on_error="raise")
    assert client.is_enabled("x") is False
    client.enable("x")
    assert client.is_enabled("x") is True
    assert [flag.name for flag in client.list()] == ["other", "x"]


def test_names_that_are_no_text_are_left_out_of_the_list(
    store: SQLiteFeatureFlagStore, path: Path
) -> None:
    """Bytes as a name, or text that is no UTF-8, hide no flag before or behind them."""
    with opened(path) as file:
        rows = [(f"x{n:03}", b"{}") for n in range(200)]
        file.executemany("INSERT INTO feature_flags VALUES (?, ?)", rows)
        file.execute("INSERT INTO feature_flags VALUES (x'FF', '{}'), (x'78', '{}')")
        file.execute(
            "INSERT INTO feature_flags VALUES (CAST(x'7830393980' AS TEXT), '{}')"
        )
    store.create("a")
    store.create("z")
    assert [item.feature_name for item in store.list()] == ["a", "z"]
    listed = [name for name, _ in store._documents(0, None)]
    assert len(listed) == len(set(listed)) == 203


def test_broken_documents_are_never_on(
    store: SQLiteFeatureFlagStore, path: Path
) -> None:
    """Whatever stands in the table, a flag that cannot be read gives the default."""
    documents = hostile_documents()
    with opened(path) as file:
        file.execute("BEGIN")
        file.executemany("INSERT INTO feature_flags VALUES (?, ?)", documents.items())
        file.execute("COMMIT")
    client = FeatureFlagClient(store)
    store.create("good", is_enabled=True)
    assert not [name for name in documents if client.is_enabled(name, user_id=1)]
    for item in store.list():
        assert item.feature_name == "good" or not client.is_enabled(item.feature_name)
    with pytest.raises(InvalidFlagDataError):
        store.get("hostile-0")


def test_list_reads_any_number_of_flags_in_the_order_of_names(
    store: SQLiteFeatureFlagStore, path: Path
) -> None:
    """Page after page, each flag once."""
    names = [f"flag-{number:05}" for number in range(11_000)]
    meta = FeatureFlagStoreMeta(1)
    rows = [(n, FeatureFlagStoreItem(n, False, meta).serialize()) for n in names]
    with opened(path) as file:
        file.execute("BEGIN")
        file.executemany("INSERT INTO feature_flags VALUES (?, ?)", reversed(rows))
        file.execute("COMMIT")
    assert [item.feature_name for item in store.list()] == names
    page = store.list(limit=5300, offset=90)
    assert [item.feature_name for item in page] == names[90:5390]
    assert list(store.list(limit=2**70, offset=2**70)) == []


# Errors


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """It is not created, because a wrong path would go unnoticed."""
    with pytest.raises(StoreUnavailableError, match=r"no folder '.*/none'; create it"):
        SQLiteFeatureFlagStore(tmp_path / "none" / "flags.db")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """And the error says so."""
    with pytest.raises(StoreUnavailableError, match=r"is a folder; use the path"):
        SQLiteFeatureFlagStore(tmp_path)


def test_a_file_of_another_format_is_refused_and_kept(path: Path) -> None:
    """The file may be important to somebody."""
    text = b"[flags]\nx = true\n" * 100
    path.write_bytes(text)
    with pytest.raises(StoreUnavailableError, match=r"flags\.db' is no SQLite file"):
        SQLiteFeatureFlagStore(path)
    assert path.read_bytes() == text


def test_a_table_of_another_form_is_refused(path: Path) -> None:
    """It belongs to another program, and gets no triggers."""
    with opened(path) as file:
        file.execute("CREATE TABLE feature_flags (id INTEGER, state TEXT)")
        with pytest.raises(StoreUnavailableError, match="not of this library"):
            SQLiteFeatureFlagStore(path)
        names = file.execute("SELECT name FROM sqlite_master").fetchall()
        assert names == [("feature_flags",)]


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """Take the rights of root away, and give a folder that the user may enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    if os.geteuid() == 0:
        os.chown(folder, 65534, -1)
        os.seteuid(65534)
        yield folder
        os.seteuid(0)
    else:
        yield folder
    folder.chmod(0o777)
    shutil.rmtree(folder)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions of POSIX")
def test_a_user_without_permission_is_told(unprivileged: Path) -> None:
    """Whether it is the folder or the file that may not be used."""
    path = unprivileged / "flags.db"
    unprivileged.chmod(0o555)
    if os.access(unprivileged, os.W_OK, effective_ids=True):
        pytest.skip("this user may do everything")
    with pytest.raises(StoreUnavailableError, match=r"flags\.db' .* permissions"):
        SQLiteFeatureFlagStore(path)
    unprivileged.chmod(0o777)
    with SQLiteFeatureFlagStore(path) as store:
        store.create("x")
    path.chmod(0)
    with pytest.raises(StoreUnavailableError, match=r"flags\.db' .* permissions"):
        SQLiteFeatureFlagStore(path)
    path.chmod(0o666)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions of POSIX")
def test_a_file_that_may_only_be_read_is_read(unprivileged: Path) -> None:
    """Writes raise an error that names the remedy, and change nothing."""
    path = unprivileged / "flags.db"
    with SQLiteFeatureFlagStore(path) as writer:
        writer.create("x", is_enabled=True)
        path.chmod(stat.S_IRUSR)
        if os.access(path, os.W_OK, effective_ids=True):
            pytest.skip("this user may do everything")
        with SQLiteFeatureFlagStore(path) as store:
            assert FeatureFlagClient(store).is_enabled("x") is True
            with pytest.raises(StoreUnavailableError, match="file and its folder writ"):
                store.set("x", False)
            assert store.get("x").raw_is_enabled is True
        path.chmod(0o666)


def test_a_full_disk_is_told_and_changes_nothing(store: SQLiteFeatureFlagStore) -> None:
    """The flag stays as it was, and the store works once there is space again."""
    store.create("x", is_enabled=True)
    pages = store._connections.fetch("PRAGMA page_count")[0][0]
    store._connections.fetch(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreUnavailableError, match=r"cannot grow.*free some space"):
        store.create("x", client_data={"a": "b" * 100_000})
    assert store.get("x").raw_is_enabled is True
    store._connections.fetch("PRAGMA max_page_count = 1000000")
    store.create("x", client_data={"a": "b" * 100_000})
    assert store.get("x").raw_is_enabled is False


def test_a_damaged_file_is_an_error_and_no_answer(path: Path) -> None:
    """No flag of it is taken for missing or off."""
    with SQLiteFeatureFlagStore(path) as store:
        for number in range(60):
            store.create(f"x{number}", is_enabled=True)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (size - 4096))
    with pytest.raises(StoreUnavailableError, match=r"damaged; restore it"):
        list(SQLiteFeatureFlagStore(path).list())


def test_a_lock_that_is_not_released_is_a_timeout(path: Path) -> None:
    """Writers wait for the given time, and readers not at all."""
    with SQLiteFeatureFlagStore(path, timeout=0.2) as store, opened(path) as file:
        store.create("x", is_enabled=True)
        file.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreTimeoutError, match=r"flags\.db' was locked .* 0\.2 s"):
            store.set("x", False)
        assert store.get("x").raw_is_enabled is True
        file.execute("ROLLBACK")
        store.set("x", False)
        assert store.get("x").raw_is_enabled is False


def test_a_writer_waits_for_a_lock_that_is_released(path: Path) -> None:
    """Another program's transaction may be long."""
    with SQLiteFeatureFlagStore(path) as store, opened(path) as file:
        file.execute("BEGIN IMMEDIATE")
        writer = threading.Thread(target=store.create, args=("x",))
        writer.start()
        writer.join(0.3)
        assert writer.is_alive()
        file.execute("COMMIT")
        writer.join(30)
        assert store.get("x") is not None


def test_a_file_system_without_shared_memory_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many network file systems are; SQLite's locks by files behave like them."""
    uri = DatabaseFile.uri
    monkeypatch.setattr(
        DatabaseFile, "uri", lambda file: uri(file) + "&vfs=unix-dotfile"
    )
    with pytest.raises(StoreUnavailableError, match=r"write-ahead log.*local disk"):
        SQLiteFeatureFlagStore(path)


@pytest.mark.parametrize(
    ("problem", "remedy"),
    [
        ("locking protocol", "move it to a local disk"),
        ("disk I/O error", "move it to a local disk"),
        ("something new", "cannot be used: something new"),
    ],
)
def test_every_other_problem_of_the_file_names_it(
    problem: str, remedy: str, store: SQLiteFeatureFlagStore
) -> None:
    """Errors of locks and disks cannot be made here, so the driver's are raised."""

    class Failing:
        def execute(self, *_: Any) -> None:
            raise sqlite3.OperationalError(problem)

    store._connections._idle.append(Failing())  # type: ignore[arg-type]
    with pytest.raises(StoreUnavailableError, match=remedy) as caught:
        store.get("x")
    assert store.path in str(caught.value)
    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
    assert store._connections._idle.pop().__class__ is Failing


def test_an_argument_that_cannot_be_stored_is_no_outage(
    store: SQLiteFeatureFlagStore,
) -> None:
    """The driver's error is about the name, so the file is not given up."""
    with pytest.raises((sqlite3.ProgrammingError, sqlite3.InterfaceError)):
        store.get(["x"])  # type: ignore[arg-type]


# A file that is deleted or replaced


def test_a_deleted_file_is_an_error(store: SQLiteFeatureFlagStore, path: Path) -> None:
    """A write would be lost, and a new empty file would turn flags off."""
    store.create("x", is_enabled=True)
    path.unlink()
    with pytest.raises(StoreUnavailableError, match=r"was deleted .* put it back"):
        store.create("y")
    with pytest.raises(StoreUnavailableError, match="was deleted"):
        eventually(lambda: store.get("x") is None)
    with pytest.raises(StoreUnavailableError, match="was deleted"):
        store.watch()
    assert not path.exists()


def test_a_file_that_was_moved_away_can_be_put_back(
    store: SQLiteFeatureFlagStore, path: Path
) -> None:
    """The same file is used again, with all flags."""
    store.create("x", is_enabled=True)
    path.rename(path.with_name("away"))
    with pytest.raises(StoreUnavailableError):
        store.set("x", False)
    path.with_name("away").rename(path)
    store.set("x", False)
    assert store.get("x").raw_is_enabled is False


def test_a_replaced_file_is_an_error(
    store: SQLiteFeatureFlagStore, path: Path, tmp_path: Path
) -> None:
    """SQLite would mix the log of the old file into the new one."""
    store.create("x", is_enabled=True)
    with SQLiteFeatureFlagStore(tmp_path / "new.db") as other:
        other.create("x")
    (tmp_path / "new.db").replace(path)
    with pytest.raises(StoreUnavailableError, match=r"was replaced .* restart"):
        store.create("y")
    with pytest.raises(StoreUnavailableError, match="was replaced"):
        eventually(lambda: not store.get("x").raw_is_enabled)


def test_an_application_keeps_answering_without_its_file(
    store: SQLiteFeatureFlagStore, path: Path
) -> None:
    """By the last known state, and by the file once it is there again."""
    client = FeatureFlagClient(store)
    client.create("x", is_enabled=True)
    client.is_enabled("x")
    path.rename(path.with_name("away"))
    with pytest.raises(FlipperError):
        client.disable("x")
    for _ in range(100):
        assert client.is_enabled("x") is True
    path.with_name("away").rename(path)
    client.disable("x")
    eventually(lambda: not client.is_enabled("x"))


# Connections


@needs_proc
def test_close_closes_all_connections(path: Path, tmp_path: Path) -> None:
    """Of all threads, also a second time; then the store refuses to work."""
    store = SQLiteFeatureFlagStore(path)
    at_once(*(lambda n=n: store.create(f"x{n}") for n in range(8)))
    assert open_files(tmp_path)
    store.close()
    store.close()
    assert open_files(tmp_path) == []
    assert [entry.name for entry in tmp_path.iterdir()] == ["flags.db"]
    for call in (store.get, store.create, lambda _: store.watch()):
        with pytest.raises(StoreUnavailableError, match="is closed"):
            call("x")
    assert store.outage_errors == ()


@needs_proc
def test_connections_that_are_given_back_after_close_are_closed(
    path: Path, tmp_path: Path
) -> None:
    """Threads may be at work while another one closes the store."""
    for _ in range(20):
        store = SQLiteFeatureFlagStore(path)

        def work(store: SQLiteFeatureFlagStore = store) -> None:
            with suppress(StoreUnavailableError):
                while True:
                    store.get("x")

        at_once(work, work, work, store.close)
        assert open_files(tmp_path) == []


@needs_proc
def test_dropped_stores_leave_nothing_open(path: Path, tmp_path: Path) -> None:
    """Without a call of close, and without a warning of newer Pythons."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store = SQLiteFeatureFlagStore(path)
        store.create("x")
        watch = store.watch()
        watch.wait(0)
        del store, watch
        gc.collect()
    assert open_files(tmp_path) == []


def test_few_connections_are_kept(
    store: SQLiteFeatureFlagStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many threads have read at once."""
    monkeypatch.setattr(connections, "_MOST_IDLE", 3)
    store.create("x")
    at_once(*(lambda: [store.get("x") for _ in range(50)] for _ in range(16)))
    assert len(store._connections._idle) <= 3
    kept = [one for one in store._connections._all if connections._is_open(one)]
    assert 1 <= len(kept) <= 3


def test_two_stores_of_one_process_share_a_file(
    store: SQLiteFeatureFlagStore, path: Path
) -> None:
    """Each sees the writes of the other at once, and closing one leaves the other."""
    with SQLiteFeatureFlagStore(path) as other:
        store.create("x")
        assert other.get("x") is not None
        other.set("x", True)
        assert store.get("x").raw_is_enabled is True
    store.set("x", False)
    assert store.get("x").raw_is_enabled is False


def test_sqlite_is_imported_only_for_its_store() -> None:
    """A program that uses other stores pays nothing."""
    code = (
        "import sys, flipper, flipper.contrib\n"
        "flipper.MemoryFeatureFlagStore\n"
        "assert 'sqlite3' not in sys.modules\n"
        "flipper.SQLiteFeatureFlagStore\n"
        "assert 'sqlite3' in sys.modules\n"
        "assert 'ctypes' not in sys.modules\n"
    )
    # Coverage would import it, too.
    subprocess.run([sys.executable, "-c", code], env=unmeasured(), check=True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_connections_are_closed_while_the_process_forks(
    store: SQLiteFeatureFlagStore, tmp_path: Path
) -> None:
    """The child inherits none, and the parent opens a new one afterwards."""
    store.create("x")
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.write(writer, str(len(open_files(tmp_path))).encode())
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert os.read(reader, 10) == b"0"
    os.close(reader)
    os.close(writer)
    assert store.get("x") is not None
    assert not forks._inherited
