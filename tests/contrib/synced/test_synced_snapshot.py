# SPDX-License-Identifier: Apache-2.0
"""The snapshot of the synced store."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from flipper.testing.contract import eventually
from support.synced_stores import InnerStore, synced

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_the_snapshot_follows_the_flags(inner: InnerStore, tmp_path: Path) -> None:
    """The snapshot has every change, whoever made it, soon after."""
    file = tmp_path / "flags.json"
    with synced(inner, snapshot=file):
        eventually(file.exists)
        inner.create("new")
        eventually(lambda: "new" in file.read_text())
        inner.delete("new")
        eventually(lambda: "new" not in file.read_text())
    assert [path.name for path in tmp_path.iterdir()] == ["flags.json"]
    assert oct(file.stat().st_mode & 0o777) == "0o600"


def test_close_writes_the_last_changes_to_the_snapshot(
    inner: InnerStore, tmp_path: Path
) -> None:
    """`close` writes the snapshot without waiting for its next time."""
    file = tmp_path / "flags.json"
    with synced(inner, snapshot=file) as store:
        eventually(file.exists)
        store.create("last")
    assert "last" in file.read_text()


def test_the_snapshot_of_unchanged_flags_is_renewed(
    inner: InnerStore, tmp_path: Path
) -> None:
    """The date of the snapshot says when its flags were known last."""
    file = tmp_path / "flags.json"
    with synced(inner, snapshot=file, poll_interval=0.05):
        eventually(file.exists)
        os.utime(file, (0, 0))
        eventually(lambda: file.stat().st_mtime > 0)
        file.unlink()
        eventually(file.exists)


def test_a_flag_that_is_no_json_is_left_out_of_the_snapshot(
    inner: InnerStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The snapshot has the other flags, and a warning names the one left out."""
    file = tmp_path / "flags.json"
    with synced(inner, snapshot=file) as store:
        store.create("odd", client_data={"what": object()})
    assert len(json.loads(file.read_text())["flags"]) == 1
    assert "odd" in caplog.text


def test_a_snapshot_that_cannot_be_written_is_logged(
    inner: InnerStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The store goes on following its inner store."""
    with synced(inner, snapshot=tmp_path / "none" / "flags.json") as store:
        eventually(lambda: "snapshot was not written" in caplog.text)
        inner.set("on", False)
        eventually(lambda: store.get("on").raw_is_enabled is False)
