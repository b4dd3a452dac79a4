# SPDX-License-Identifier: Apache-2.0
"""Real edits, renames and links: what the store answers while a file changes."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flipper import FeatureFlagClient, FileFeatureFlagStore
from flipper.contrib.file import flag_file
from flipper.testing.contract import at_once, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[3]


def flags(**states: bool) -> str:
    """Return the text of a file."""
    tables = [f"[flags.{n}]\nenabled = {str(s).lower()}\n" for n, s in states.items()]
    return "version = 1\n" + "".join(tables)


def put(path: Path, text: str) -> None:
    """Write a file in place, with a date long ago, so that it counts as complete."""
    path.write_text(text, encoding="utf-8")
    date = path.stat().st_mtime - 10
    os.utime(path, (date, date))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give a file with a flag that is on."""
    path = tmp_path / "flags.toml"
    put(path, flags(A=True))
    return path


@pytest.fixture
def store(path: Path) -> FileFeatureFlagStore:
    """Give a store that looks at the file for every question."""
    return FileFeatureFlagStore(path, poll_interval=0)


class Clock:
    """A clock that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """Replace the clock by which the store decides whether to look at the file."""
    clock = Clock()
    monkeypatch.setattr(flag_file, "monotonic", clock)
    return clock


def edit_in_place(path: Path, text: str) -> None:
    """Write into the same file, as `echo > file` does."""
    put(path, text)


def rename_over(path: Path, text: str) -> None:
    """Write another file and rename it, as most editors and tools do."""
    other = path.with_suffix(".new")
    put(other, text)
    other.replace(path)


def remove_and_create(path: Path, text: str) -> None:
    """Write a new file under the same name, as git does."""
    path.unlink()
    put(path, text)


@pytest.mark.parametrize("edit", [edit_in_place, rename_over, remove_and_create])
def test_every_way_of_changing_a_file_is_noticed(
    edit: Callable[[Path, str], None], path: Path, store: FileFeatureFlagStore
) -> None:
    """The next question after the change is answered by the new file."""
    client = FeatureFlagClient(store)
    assert client.is_enabled("A") is True
    edit(path, flags(A=False, B=True))
    assert client.is_enabled("A", default=True) is False
    assert client.is_enabled("B") is True
    edit(path, flags(B=False))
    assert not client.exists("A")
    assert client.is_enabled("B", default=True) is False


def test_a_config_map_of_kubernetes_is_followed(tmp_path: Path) -> None:
    """The file is a link to a link to a folder, and the inner link is exchanged."""
    for version, state in (("1", True), ("2", False)):
        (tmp_path / version).mkdir()
        put(tmp_path / version / "flags.toml", flags(A=state))
    (tmp_path / "..data").symlink_to("1")
    (tmp_path / "flags.toml").symlink_to("..data/flags.toml")
    store = FileFeatureFlagStore(tmp_path / "flags.toml", poll_interval=0)
    assert store.get("A").raw_is_enabled is True
    (tmp_path / "..data_tmp").symlink_to("2")
    (tmp_path / "..data_tmp").replace(tmp_path / "..data")
    assert store.get("A").raw_is_enabled is False


def test_a_change_of_the_same_size_and_date_is_noticed(
    path: Path, store: FileFeatureFlagStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two edits within one tick of the file system's clock look the same."""
    assert store.get("A").raw_is_enabled is True
    same = path.stat()
    monkeypatch.setattr(Path, "stat", lambda *_, **__: same)
    path.write_text(flags(A=True).replace("true", "0   "), encoding="utf-8")
    assert store.get("A").raw_is_enabled == 0


def test_an_unchanged_file_is_not_read(
    path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look costs one call of the system, and not more often than is asked for."""
    store = FileFeatureFlagStore(path, poll_interval=0.25)
    counted = {"stat": 0, "open": 0}
    for owner, name in ((Path, "stat"), (os, "open")):

        def count(
            *arguments: object,
            original: object = getattr(owner, name),
            name: str = name,
        ) -> object:
            counted[name] += 1
            return original(*arguments)  # type: ignore[operator]

        monkeypatch.setattr(owner, name, count)
    for _ in range(100):
        store.get("A")
    assert counted == {"stat": 0, "open": 0}
    clock.now += 3  # beyond the coarsest clock of a file system
    store.get("A")
    assert counted == {"stat": 1, "open": 1}
    for _ in range(5):
        clock.now += 1
        store.get("A")
        store.get("A")
    assert counted == {"stat": 6, "open": 1}


def test_a_rarely_asked_store_answers_by_the_present_file(
    path: Path, clock: Clock
) -> None:
    """The first question after an hour is not answered by the file of an hour ago."""
    store = FileFeatureFlagStore(path)
    clock.now += 3600
    put(path, flags(A=False))
    assert store.get("A").raw_is_enabled is False


def test_a_file_that_is_being_written_is_not_used(path: Path, clock: Clock) -> None:
    """The beginning of a file may be valid, and mean something else than the whole."""
    store = FileFeatureFlagStore(path, poll_interval=0.25)
    clock.now += 1
    whole = flags(A=True, B=True) + 'conditions = [{ country = "SE" }]\n'
    with path.open("w", encoding="utf-8") as file:
        for part in (flags(A=True), "[flags.B]\nenabled = true\n"):
            file.write(part)
            file.flush()
            assert store.get("B") is None
            clock.now += 1
            assert store.get("B") is None
        file.write(whole.removeprefix(flags(A=True, B=True)))
    clock.now += 1
    assert store.get("B") is None
    clock.now += 1
    assert store.get("B").is_enabled(country="NO") is False


def test_a_file_that_is_being_written_at_the_start_is_waited_for(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program and its file may be deployed at the same moment."""
    path.write_text("version = 1\n[flags.A]\nenabled = true\n", encoding="utf-8")
    soon = time.time() + 60  # however slow the machine is, the file is new
    os.utime(path, (soon, soon))
    rest = ['conditions = [{ country = "SE" }]\n']

    def write_the_rest(_: float) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.writelines(rest)
        rest.clear()

    monkeypatch.setattr(flag_file, "sleep", write_the_rest)
    store = FileFeatureFlagStore(path, poll_interval=0)
    assert not rest
    assert store.get("A").is_enabled(country="NO") is False


def test_a_file_with_mistakes_changes_nothing(
    path: Path, store: FileFeatureFlagStore, caplog: pytest.LogCaptureFixture
) -> None:
    """The flags stay, and each broken version is logged once, with line and remedy."""
    caplog.set_level(logging.INFO)
    client = FeatureFlagClient(store)
    before = store.get("A")
    put(path, flags(A=False, B=True).replace("= true", '= "yes"'))
    for _ in range(5):
        assert client.is_enabled("A") is True
        assert not client.exists("B")
    assert store.get("A") is before
    assert len(caplog.records) == 1
    assert caplog.records[0].levelno == logging.WARNING
    message = caplog.records[0].getMessage()
    assert f"{path}: line 5, column 11: feature 'B': enabled" in message
    assert "write true or false" in message
    put(path, "version = 2\n")
    assert client.is_enabled("A") is True
    assert len(caplog.records) == 2
    assert "version 1" in str(store.last_error)
    put(path, flags(A=False))
    assert client.is_enabled("A", default=True) is False
    assert store.last_error is None
    assert caplog.messages[2:] == [f"The file {path} has no mistakes any more"]


def test_a_file_that_is_gone_for_a_while_changes_nothing(
    path: Path, store: FileFeatureFlagStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Deleting the file switches no flag; the log says that it is gone, and is back."""
    caplog.set_level(logging.INFO)
    before = store.get("A")
    path.unlink()
    for _ in range(5):
        assert store.get("A") is before
    assert isinstance(store.last_error, FileNotFoundError)
    put(path, flags(A=True))
    assert store.get("A") is before  # also its compiled conditions are kept
    assert store.last_error is None
    levels = [record.levelno for record in caplog.records]
    assert levels == [logging.WARNING, logging.INFO]
    put(path, flags(A=False))
    assert store.get("A").raw_is_enabled is False


def test_a_flag_that_stays_as_it_is_stays_compiled(
    path: Path, store: FileFeatureFlagStore
) -> None:
    """A change of one flag does not slow down the next questions about the others."""
    before = store.get("A")
    put(path, flags(A=True, B=False))
    assert store.get("B") is not None
    assert store.get("A") is before


def test_a_list_is_of_one_version(path: Path, store: FileFeatureFlagStore) -> None:
    """A file that changes during a list does not mix with what was listed before."""
    put(path, flags(A=True, B=True))
    listed = store.list()
    assert next(listed).feature_name == "A"
    put(path, flags(A=False, B=False))
    assert store.get("B").raw_is_enabled is False
    assert next(listed).raw_is_enabled is True


def test_another_process_edits_the_file(path: Path) -> None:
    """A change is seen within moments, by a process that is never told of it."""
    store = FileFeatureFlagStore(path)
    code = (
        "import pathlib, sys; path = pathlib.Path(sys.argv[1])\n"
        "path.write_text(path.read_text().replace('true', 'false'))"
    )
    subprocess.run([sys.executable, "-c", code, path], check=True)
    eventually(lambda: store.get("A").raw_is_enabled is False)


def test_threads_see_one_version_after_the_other(
    path: Path, store: FileFeatureFlagStore
) -> None:
    """While the file is exchanged all the time, no answer mixes two versions."""
    done = threading.Event()

    def exchange() -> None:
        try:
            for number in range(100):
                rename_over(path, flags(A=number % 2 == 0, B=number % 2 == 0))
        finally:
            done.set()

    def ask() -> None:
        while not done.is_set():
            listed = {item.feature_name: item.raw_is_enabled for item in store.list()}
            assert listed in (
                {"A": True},
                {"A": True, "B": True},
                {"A": False, "B": False},
            )
            assert store.get("A") is not None

    at_once(exchange, ask, ask, ask)
    eventually(lambda: store.get("B").raw_is_enabled is False)
    assert store.last_error is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_follows_the_file(
    path: Path, store: FileFeatureFlagStore
) -> None:
    """Also if a thread of its parent was reading the file during the fork."""
    code = f"""
import os, sys
from pathlib import Path
sys.path[:0] = {[str(Path(__file__).parent), str(ROOT)]!r}
from test_file_changes import flags, put
from flipper import FileFeatureFlagStore
path = Path({str(path)!r})
store = FileFeatureFlagStore(path, poll_interval=0)
assert store.get("A").raw_is_enabled is True
store._file._lock.acquire()  # as a thread that is reading
child = os.fork()
if not child:
    put(path, flags(A=False))
    os._exit(0 if store.get("A").raw_is_enabled is False else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def test_a_watch_reports_the_flags_that_change(
    path: Path, store: FileFeatureFlagStore
) -> None:
    """Created, changed and deleted ones, by their names, and nothing else."""
    watch = store.watch()
    put(path, flags(A=True, B=True, C=True))
    assert watch.wait(60) == {"B", "C"}
    put(path, flags(B=False, C=True))
    assert watch.wait(60) == {"A", "B"}
    put(path, "version = 2")
    assert not watch.wait(0)
    path.unlink()
    assert not watch.wait(0)
    put(path, flags(B=False, C=True))
    assert not watch.wait(0)
    watch.close()
    watch.close()
    assert not watch.wait(60)


def test_a_flag_that_changes_and_changes_back_is_reported(
    path: Path, store: FileFeatureFlagStore
) -> None:
    """Whoever copies the flags may have read it in between."""
    watch = store.watch()
    for state in (False, True):
        put(path, flags(A=state))
        assert store.get("A").raw_is_enabled is state
    assert watch.wait(60) == {"A"}
