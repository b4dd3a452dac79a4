# SPDX-License-Identifier: Apache-2.0
"""A store that reads a file: what it answers, refuses, and says about mistakes."""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flipper import (
    Condition,
    FeatureFlagClient,
    FileFeatureFlagStore,
    MemoryFeatureFlagStore,
    SyncedFeatureFlagStore,
)
from flipper.bucketing import PercentageBucketer
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.exceptions import (
    FlagDoesNotExistError,
    FlagFileError,
    InvalidArgumentError,
    MissingDependencyError,
    ReadOnlyStoreError,
    StoreUnavailableError,
)
from flipper.flag_files import write_flags
from flipper.testing.contract import plain
from flipper.testing.samples import BUCKETERS, CLIENT_DATA, CONDITIONS, CONTEXTS, NAMES
from servers import unmeasured

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[3]
FLAGS = """\
version = 1

[flags.ON]
enabled = true

[flags.OFF]
enabled = false

[flags.SWEDEN]
enabled = true
conditions = [{ country = "SE" }]
client_data = { owner = "payments" }
"""


def put(path: Path, text: str, age: float = 10) -> Path:
    """Write a file whose date is some seconds ago, so that it counts as complete."""
    path.write_text(text, encoding="utf-8")
    date = path.stat().st_mtime - age
    os.utime(path, (date, date))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give a file with three flags."""
    return put(tmp_path / "flags.toml", FLAGS)


@pytest.fixture
def store(path: Path) -> FileFeatureFlagStore:
    """Give a store that looks at the file for every question."""
    return FileFeatureFlagStore(path, poll_interval=0)


def test_flags_are_answered_as_by_any_store(store: FileFeatureFlagStore) -> None:
    """Conditions, client data and names are those of the file."""
    client = FeatureFlagClient(store, on_error="raise")
    assert client.is_enabled("ON") is True
    assert client.is_enabled("OFF", default=True) is False
    assert client.is_enabled("SWEDEN", country="SE") is True
    assert client.is_enabled("SWEDEN", country="NO") is False
    assert client.is_enabled("MISSING", default="default") == "default"
    assert client.get_client_data("SWEDEN") == {"owner": "payments"}
    assert [flag.name for flag in client.list()] == ["OFF", "ON", "SWEDEN"]
    assert [flag.name for flag in client.list(limit=1, offset=1)] == ["ON"]
    assert list(client.list(offset=5)) == []
    assert not client.exists("MISSING")
    with pytest.raises(FlagDoesNotExistError):
        client.get_meta("MISSING")


def test_what_a_flag_holds_is_what_a_store_would_hold(tmp_path: Path) -> None:
    """Every sample that all stores are tested with, and its answers."""
    items = [
        *(
            FeatureFlagStoreItem(n, True, FeatureFlagStoreMeta(1))
            for n in NAMES.values()
        ),
        *(
            FeatureFlagStoreItem(
                f"{kind} {bucketing}",
                True,
                FeatureFlagStoreMeta(1, CLIENT_DATA, [condition], bucketer),
            )
            for kind, condition in CONDITIONS.items()
            for bucketing, bucketer in BUCKETERS.items()
            if "random" not in bucketing and "ramp" not in bucketing
        ),
    ]
    path = put(tmp_path / "flags.json", write_flags(items, "json"))
    store = FileFeatureFlagStore(path)
    for item in items:
        found = store.get(item.feature_name)
        assert plain(found) == plain(item)
        for context in CONTEXTS:
            assert _answer(found, context) == _answer(item, context)


def _answer(item: Any, context: dict[str, Any]) -> Any:
    try:
        return item.is_enabled(**context)
    except TypeError as error:
        return type(error)


WRITES: dict[str, Callable[[FeatureFlagClient], object]] = {
    "create": lambda c: c.create("ON"),
    "enable": lambda c: c.enable("ON"),
    "disable": lambda c: c.disable("ON"),
    "destroy": lambda c: c.destroy("ON"),
    "add_condition": lambda c: c.add_condition("ON", Condition(a=1)),
    "set_conditions": lambda c: c.set_conditions("ON", []),
    "set_bucketer": lambda c: c.set_bucketer("ON", PercentageBucketer(0)),
    "set_client_data": lambda c: c.set_client_data("ON", {"a": 1}),
    "set": lambda c: c._store.set("ON", is_enabled=False),
    "set_meta": lambda c: c._store.set_meta("ON", FeatureFlagStoreMeta(1)),
    "delete": lambda c: c._store.delete("ON"),
    "update": lambda c: c._store.update("ON", lambda item: item),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_every_write_is_refused_and_names_the_file(
    write: Callable[[FeatureFlagClient], object],
    store: FileFeatureFlagStore,
    path: Path,
) -> None:
    """Whoever tries to write learns where the flag can be changed."""
    before = path.read_bytes()
    with pytest.raises(ReadOnlyStoreError, match="'ON' was not written") as caught:
        write(FeatureFlagClient(store))
    assert str(path) in str(caught.value)
    assert caught.value.feature_name == "ON"
    assert path.read_bytes() == before
    assert store.get("ON").raw_is_enabled is True


def test_a_missing_file_is_an_error_at_the_start(tmp_path: Path) -> None:
    """A deployment without its flags fails, instead of answering defaults."""
    missing = tmp_path / "flags.toml"
    with pytest.raises(StoreUnavailableError, match="on_start_failure") as caught:
        FileFeatureFlagStore(missing)
    assert str(missing) in str(caught.value)
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_a_file_with_mistakes_is_an_error_at_the_start(path: Path) -> None:
    """The error names all of them with their lines."""
    put(path, FLAGS.replace("true", '"yes"'))
    with pytest.raises(
        FlagFileError, match=r"2 mistakes:\n  line 4.*\n  line 10"
    ) as caught:
        FileFeatureFlagStore(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("first", [None, "version = 2"])
def test_a_store_may_start_without_its_file(
    first: str | None, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Then every flag is missing, with a warning, until the file is right."""
    path.unlink()
    if first is not None:
        put(path, first)
    store = FileFeatureFlagStore(path, poll_interval=0, on_start_failure="empty")
    assert store.last_error is not None
    assert store.get("ON") is None
    assert list(store.list()) == []
    assert len(caplog.records) == 1
    assert caplog.records[0].levelno == logging.WARNING
    put(path, FLAGS)
    assert store.get("ON") is not None
    assert store.last_error is None


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """Reading a folder fails, and reading a pipe would wait for ever."""
    pipe = tmp_path / "pipe.toml"
    os.mkfifo(pipe)
    folder = tmp_path / "folder.toml"
    folder.mkdir()
    for path in (pipe, folder, Path("a\0b.toml")):
        with pytest.raises(StoreUnavailableError):
            FileFeatureFlagStore(path)


def test_a_file_that_becomes_a_pipe_is_not_waited_for(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe that replaces the file after the look at it is refused."""
    store = FileFeatureFlagStore(path, poll_interval=0)
    found = put(path, FLAGS + "\n").stat()
    path.unlink()
    os.mkfifo(path)
    monkeypatch.setattr(type(path), "stat", lambda _: found)
    asking = threading.Thread(target=store.get, args=("ON",), daemon=True)
    asking.start()
    asking.join(20)
    assert not asking.is_alive()
    assert store.get("ON") is not None
    assert "no regular file" in str(store.last_error)


def test_arguments_are_checked(path: Path) -> None:
    """A mistake in them is an error that names what there is."""
    with pytest.raises(InvalidArgumentError, match=r"\*\.toml"):
        FileFeatureFlagStore(path.with_suffix(".txt"))
    with pytest.raises(InvalidArgumentError, match="toml, json, yaml"):
        FileFeatureFlagStore(path, format="xml")
    with pytest.raises(InvalidArgumentError, match="'raise' or 'empty'"):
        FileFeatureFlagStore(path, on_start_failure="ignore")
    with pytest.raises(InvalidArgumentError, match="poll_interval"):
        FileFeatureFlagStore(path, poll_interval=-1)
    assert FileFeatureFlagStore(put(path.with_suffix(".txt"), FLAGS), format="toml")


def test_a_synced_store_follows_the_file(path: Path) -> None:
    """Its thread reads the file, and questions cost as little as in memory."""
    inner = FileFeatureFlagStore(path, poll_interval=0.01)
    changed = threading.Event()
    with SyncedFeatureFlagStore(inner) as store:
        changes: list[Any] = []
        store.on_change(lambda change: (changes.append(change), changed.set()))
        assert store.status().state == "live"
        put(path, FLAGS.replace("[flags.OFF]\nenabled = false\n", ""))
        assert changed.wait(60)
        assert [(c.feature_name, c.kind) for c in changes] == [("OFF", "deleted")]
        assert store.get("OFF") is None
        with pytest.raises(ReadOnlyStoreError):
            store.set("ON", False)


def test_a_question_calls_little_more_than_the_memory_store(
    store: FileFeatureFlagStore, path: Path
) -> None:
    """A question that is not due calls the clock and looks into a dict."""

    def calls(of: Any) -> int:
        client = FeatureFlagClient(of)
        client.is_enabled("ON")
        made: list[str] = []
        sys.setprofile(
            lambda _, event, __: made.append(event) if "call" in event else None
        )
        try:
            client.is_enabled("ON")
        finally:
            sys.setprofile(None)
        return len(made)

    memory = MemoryFeatureFlagStore()
    memory.create("ON", is_enabled=True)
    seldom = FileFeatureFlagStore(path, poll_interval=3600)
    assert calls(seldom) <= calls(memory) + 3


def test_nothing_else_is_loaded() -> None:
    """A process without files of flags pays nothing for them, JSON needs no package."""
    code = (
        "import sys; import flipper; from flipper import FeatureFlagClient\n"
        "assert 'flipper.flag_files' not in sys.modules\n"
        "assert not {'tomllib', 'tomli', 'tomli_w', 'yaml'} & sys.modules.keys()\n"
        "from flipper.flag_files import parse_flags, schema\n"
        "parse_flags('{\"version\": 1, \"flags\": {}}', 'json'); schema()\n"
        "assert not {'tomllib', 'tomli', 'tomli_w', 'yaml'} & sys.modules.keys()\n"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        # Coverage would import some of them, too.
        env={**unmeasured(), "PYTHONPATH": str(ROOT)},
        check=True,
    )


def test_a_missing_package_is_named_with_its_extra(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says what to install, when the format is used and not before."""
    for module in ("yaml", "tomli_w"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=r"flipper-client\[yaml\]"):
        FileFeatureFlagStore(
            put(path.with_suffix(".yaml"), "version: 1"), on_start_failure="empty"
        )
    with pytest.raises(MissingDependencyError, match=r"flipper-client\[files\]"):
        write_flags([], "toml")
    assert write_flags([], "json")


def test_an_error_can_be_handed_to_another_process(path: Path) -> None:
    """Workers send their errors to the process that started them."""
    put(path, "version = 2")
    with pytest.raises(FlagFileError) as caught:
        FileFeatureFlagStore(path)
    copied = pickle.loads(pickle.dumps(caught.value))  # noqa: S301  (made here)
    assert str(copied) == str(caught.value)
    assert copied.problems == caught.value.problems
