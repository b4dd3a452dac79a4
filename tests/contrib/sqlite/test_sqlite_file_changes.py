# SPDX-License-Identifier: Apache-2.0
"""How the system reports writes to the file, and what happens if it does not."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from flipper import FeatureFlagClient, SQLiteFeatureFlagStore, SyncedFeatureFlagStore
from flipper.contrib.sqlite import file_changes, watch
from flipper.contrib.sqlite.file_changes import FileChanges
from flipper.runtime.readable import is_readable
from flipper.testing.contract import eventually
from support.synced_rules import is_live

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="this is for Linux")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give the path of a file that is not there yet."""
    return tmp_path / "file"


@pytest.fixture
def changes(path: Path) -> Iterator[FileChanges]:
    """Listen to this file, and to another one that never exists."""
    changes = FileChanges([f"{path}-missing", str(path)])
    yield changes
    changes.close()


def refuse() -> None:
    """Refuse to listen, as a system does where too many programs listen already."""
    raise OSError


@on_linux
def test_a_write_is_reported_once(path: Path, changes: FileChanges) -> None:
    """What was written since the last call ends a wait, but not the one after it."""
    path.write_text("a")
    assert not changes.wait(0)  # it listens from now on
    path.write_text("b")
    path.write_text("c")
    assert changes.wait(60)
    assert not changes.wait(0)


@on_linux
def test_a_file_that_was_replaced_is_found_again(
    path: Path, changes: FileChanges
) -> None:
    """Each wait begins with the files that have these names then."""
    path.write_text("a")
    changes.wait(0)
    path.unlink()
    path.write_text("b")
    changes.wait(0)
    path.write_text("c")
    assert changes.wait(60)


@on_linux
@pytest.mark.parametrize("is_closed", [False, True])
def test_the_descriptor_is_closed(
    monkeypatch: pytest.MonkeyPatch, *, is_closed: bool
) -> None:
    """It is closed by `close`, and by the end of the object."""
    # Not counted: threads of other tests open and close descriptors meanwhile.
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb"):
        monkeypatch.setattr(file_changes, "_open_inotify", lambda: (None, writer))
        changes = FileChanges([])
        assert not is_readable(reader, 0)
        if is_closed:
            changes.close()
            changes.close()
            assert not changes.wait(0)
        else:
            del changes
        assert is_readable(reader, 60)
        assert os.read(reader, 1) == b""


def test_a_system_that_reports_nothing_makes_no_difference(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is asked several times a second then."""
    monkeypatch.setattr(file_changes, "_open_inotify", refuse)
    changes = FileChanges([str(path)])
    path.write_text("a")
    assert not changes.wait(-1)
    changes.close()
    assert_followed(path.with_name("flags.db"))


@on_linux
@pytest.mark.parametrize("is_link", [False, True])
def test_a_report_alone_is_enough(
    path: Path, monkeypatch: pytest.MonkeyPatch, *, is_link: bool
) -> None:
    """A change is seen although the file would be asked only once a year."""
    monkeypatch.setattr(watch, "_INTERVAL_WITH_REPORTS", 1e7)
    monkeypatch.setattr("flipper.contrib.synced.follower.CHECK_INTERVAL", 1e7)
    if is_link:
        folder = path.with_name("folder")
        folder.mkdir()
        path.symlink_to(folder / "flags.db")
    assert_followed(path)


def assert_followed(path: Path) -> None:
    """Check that a synchronised store sees the changes of another store."""
    with (
        SQLiteFeatureFlagStore(path) as inner,
        SQLiteFeatureFlagStore(path) as other,
        SyncedFeatureFlagStore(inner, poll_interval=1e7) as store,
    ):
        eventually(lambda: is_live(store))
        client, writer = FeatureFlagClient(store), FeatureFlagClient(other)
        writer.create("x")
        for is_enabled in (True, False, True):
            (writer.enable if is_enabled else writer.disable)("x")
            eventually(lambda wanted=is_enabled: client.is_enabled("x") is wanted)
