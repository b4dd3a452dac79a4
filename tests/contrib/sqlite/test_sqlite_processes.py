# SPDX-License-Identifier: Apache-2.0
"""Many processes on one SQLite file: at work at once, killed, and forked."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest

from flipper import SQLiteFeatureFlagStore
from flipper.contrib.sqlite import forks
from servers import unmeasured
from support.programs import needs_fork

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# Newer Pythons warn of each fork beside threads, which is what some tests are about.
_WARNINGS = ("-W", "error", "-W", "ignore:This process:DeprecationWarning")
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give the path of a file that is not there yet."""
    return tmp_path / "flags.db"


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a program."""
    begin = (
        "import sys\nfrom flipper import FeatureFlagClient, SQLiteFeatureFlagStore\n"
    )
    text = begin + textwrap.dedent(code)
    return subprocess.Popen(
        [sys.executable, *_WARNINGS, "-c", text, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**unmeasured(), "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def check_integrity(path: Path) -> None:
    """See that SQLite finds nothing wrong with a file."""
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_four_processes_lose_none_of_2000_changes(path: Path) -> None:
    """None is refused, either, though all change one flag at once."""
    code = """
        def count(item):
            meta = item.raw_meta
            meta.client_data["n"] += 1
            return item.replace(meta=meta)
        store = SQLiteFeatureFlagStore(sys.argv[1])
        print("ready", flush=True)
        sys.stdin.readline()
        for _ in range(500):
            store.update("x", count)
    """
    with SQLiteFeatureFlagStore(path) as store:
        store.create("x", client_data={"n": 0})
        programs = [start(code, path) for _ in range(4)]
        for program in programs:
            assert program.stdout is not None
            assert program.stdout.readline() == "ready\n"
        said = [threading.Thread(target=end, args=(one,)) for one in programs]
        for thread in said:
            thread.start()
        for thread in said:
            thread.join()
        assert [program.returncode for program in programs] == [0] * 4
        assert store.get("x").meta["client_data"] == {"n": 2000}
    check_integrity(path)


def end(program: subprocess.Popen[str]) -> str:
    """Let a program go on, and return what it says until its end."""
    with program:
        return program.communicate("go\n", timeout=120)[0]


def test_processes_can_create_the_file_at_the_same_moment(path: Path) -> None:
    """All of them get the one file, with all that belongs to it."""
    code = """
        import time
        print("ready", flush=True)
        sys.stdin.readline()
        for number in range(20):
            with SQLiteFeatureFlagStore(f"{sys.argv[1]}-{number}") as store:
                store.create(sys.argv[2])
    """
    programs = [start(code, path, number) for number in range(4)]
    for program in programs:
        assert program.stdout is not None
        program.stdout.readline()
    for program in programs:
        assert program.stdin is not None
        program.stdin.write("go\n")
        program.stdin.flush()
    said = [program.communicate(timeout=120)[0] for program in programs]
    assert said == [""] * 4
    for number in range(20):
        with SQLiteFeatureFlagStore(f"{path}-{number}") as store:
            assert [item.feature_name for item in store.list()] == list("0123")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL here")
def test_a_process_that_is_killed_in_a_write_leaves_the_file_usable(
    path: Path,
) -> None:
    """Each write that has returned is there, and others can write at once."""
    code = """
        client = FeatureFlagClient(SQLiteFeatureFlagStore(sys.argv[1]))
        for number in range(1_000_000):
            client.create(f"{sys.argv[2]}-{number}", client_data={"a": "b" * 5000})
            print(number, flush=True)
    """
    with SQLiteFeatureFlagStore(path) as store:
        for attempt in range(5):
            program = start(code, path, attempt)
            assert program.stdout is not None
            program.stdout.readline()
            time.sleep(attempt * 0.003)  # at another moment each time
            program.kill()
            last = [*program.stdout.read().split(), "0"]
            program.wait()
            written = max(int(number) for number in last if number.isdigit())
            names = {item.feature_name for item in store.list()}
            assert {f"{attempt}-{number}" for number in range(written + 1)} <= names
            store.create("x", client_data={"attempt": attempt})
            program.stdin.close()  # type: ignore[union-attr]
            program.stdout.close()
    check_integrity(path)


def in_child(work: Callable[[], object], fork: Callable[[], int]) -> None:
    """Do something in a child process, and see that it does not fail."""
    child = fork()
    if not child:
        code = 1
        with suppress(BaseException):
            work()
            code = 0
        os._exit(code)
    assert os.waitpid(child, 0)[1] == 0


@needs_fork
def test_children_lock_the_file_themselves(path: Path) -> None:
    """A child that relied on locks of its parent would lose what it writes.

    When the parent is gone, and a third process closes the file as the last one that
    has locked it, that process removes the log with the child's writes.
    """
    code = """
        import os
        store = SQLiteFeatureFlagStore(sys.argv[1])
        store.create("x")
        if os.fork():
            os._exit(0)  # the parent ends, and its locks with it
        store.set("x", True)
        print("ready", flush=True)
        sys.stdin.readline()
        store.create("y", True)
        print(store.get("x").raw_is_enabled, store.get("z").raw_is_enabled)
        store.close()
    """
    program = start(code, path)
    assert program.stdout is not None
    assert program.stdout.readline() == "ready\n"
    with SQLiteFeatureFlagStore(path) as store:
        store.create("z", True)
    assert end(program) == "True True\n"
    with SQLiteFeatureFlagStore(path) as store:
        assert [item.raw_is_enabled for item in store.list()] == [True] * 3
    check_integrity(path)


@needs_fork
def test_a_fork_beside_busy_threads_waits_for_their_statements(path: Path) -> None:
    """Then the child inherits no connection, and its own work as those of others."""
    code = """
        import os, threading
        from flipper.contrib.sqlite import forks
        store = SQLiteFeatureFlagStore(sys.argv[1])
        client = FeatureFlagClient(store, on_error="raise")
        client.create("x", True)
        def use():
            while True:
                client.is_enabled("x")
                client.set_client_data("x", {"a": 1})
                list(client.list())
        for _ in range(4):
            threading.Thread(target=use, daemon=True).start()
        for number in range(40):
            child = os.fork()
            if not child:
                assert not forks._inherited
                assert client.is_enabled("x")
                client.set_client_data("x", {"b": number})
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        os._exit(0)
    """
    with start(code, path) as program:
        assert program.communicate(timeout=120)[0] == ""
    check_integrity(path)


def test_no_connection_is_opened_or_closed_during_a_fork(path: Path) -> None:
    """The child would inherit one that is half open, which nobody could notice."""
    store = SQLiteFeatureFlagStore(path)
    store.create("x")
    for work in (store.close, lambda: SQLiteFeatureFlagStore(path).close()):
        thread = threading.Thread(target=work)
        with forks.opening():  # as a fork holds it
            thread.start()
            thread.join(0.2)
            assert thread.is_alive()
        thread.join()


@needs_fork
def test_a_fork_waits_only_a_moment_for_a_writer_that_waits(path: Path) -> None:
    """The writer waits for another process in short steps, between which it forks."""
    with (
        SQLiteFeatureFlagStore(path, timeout=120) as store,
        closing(sqlite3.connect(path, isolation_level=None)) as file,
    ):
        file.execute("BEGIN IMMEDIATE")
        writer = threading.Thread(target=store.create, args=("x",))
        writer.start()
        in_child(lambda: store.get("x"), os.fork)
        assert not forks._inherited
        assert writer.is_alive()
        file.execute("COMMIT")
        writer.join()
        assert store.get("x") is not None


@needs_fork
def test_a_fork_of_which_python_is_not_told_is_refused(path: Path) -> None:
    """SQLite would work without locks in the child, and damage the file."""
    code = """
        import ctypes, logging, os
        logging.disable()
        from flipper.exceptions import StoreUnavailableError
        store = SQLiteFeatureFlagStore(sys.argv[1])
        client = FeatureFlagClient(store)
        client.create("x", True)
        assert client.is_enabled("x")
        child = ctypes.PyDLL(None).fork()
        if child:
            assert os.waitpid(child, 0)[1] == 0
            store.create("y")
            sys.exit()
        for call in (lambda: store.get("x"), lambda: store.create("z"), store.watch,
                     lambda: SQLiteFeatureFlagStore(sys.argv[1])):
            try:
                call()
            except StoreUnavailableError as error:
                assert "fork by os.fork" in str(error), error
            else:
                raise AssertionError
        assert client.is_enabled("x")  # as last known
        with SQLiteFeatureFlagStore(sys.argv[1] + "-other") as other:
            other.create("x")
    """
    with start(code, path) as program:
        assert program.communicate(timeout=120)[0] == ""
    with SQLiteFeatureFlagStore(path) as store:
        assert [item.feature_name for item in store.list()] == ["x", "y"]


@needs_fork
def test_a_store_that_is_closed_may_be_forked_in_any_way(path: Path) -> None:
    """It has no connection that a child could inherit."""
    code = """
        import ctypes, os
        with SQLiteFeatureFlagStore(sys.argv[1]) as store:
            store.create("x")
        child = ctypes.PyDLL(None).fork()
        if child:
            assert os.waitpid(child, 0)[1] == 0
            sys.exit()
        with SQLiteFeatureFlagStore(sys.argv[1]) as other:
            other.create("y")
    """
    with start(code, path) as program:
        assert program.communicate(timeout=120)[0] == ""
    with SQLiteFeatureFlagStore(path) as store:
        assert store.get("y") is not None


@needs_fork
def test_uwsgi_forks_no_connection(path: Path) -> None:
    """Before its workers are forked, each statement has a connection of its own."""
    code = """
        import ctypes, os
        from flipper.testing.contract import eventually
        uwsgi = sys.modules["uwsgi"] = type(sys)("uwsgi")
        uwsgi.worker_id = lambda: 0
        store = SQLiteFeatureFlagStore(sys.argv[1])
        client = FeatureFlagClient(store)
        client.create("x", is_enabled=True)
        assert client.is_enabled("x") is True
        assert store._connections._idle == []
        child = ctypes.PyDLL(None).fork()
        if not child:
            client.disable("x")
            sys.exit()
        assert os.waitpid(child, 0)[1] == 0
        assert client.is_enabled("x") is False
        uwsgi.worker_id = lambda: 1
        eventually(lambda: client.is_enabled("x") is False)
        assert len(store._connections._idle) == 1
    """
    with start(code, path) as program:
        assert program.communicate(timeout=120)[0] == ""
    check_integrity(path)
