# SPDX-License-Identifier: Apache-2.0
"""The start of the synced store, with and without its inner store."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from flipper import Condition, FeatureFlagClient, SyncedFeatureFlagStore
from flipper.exceptions import InvalidArgumentError, StoreUnavailableError
from flipper.testing.contract import eventually
from support.synced_stores import AwayError, InnerStore, synced, wait_for_state

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_the_start_waits_for_a_store_that_is_away(inner: InnerStore) -> None:
    """The constructor waits `start_timeout` seconds for the inner store."""
    inner.is_away = True
    threading.Timer(0.3, setattr, (inner, "is_away", False)).start()
    with synced(inner, start_timeout=30) as store:
        assert store.get("on").raw_is_enabled is True


def test_a_start_without_the_inner_store_raises(
    inner: InnerStore, own_threads: Callable[[], set[threading.Thread]]
) -> None:
    """The error names its cause and the remedy, and no thread is left."""
    inner.is_away = True
    with pytest.raises(StoreUnavailableError, match="on_start_failure") as caught:
        SyncedFeatureFlagStore(inner, start_timeout=0.1)
    assert "AwayError: watch" in str(caught.value)
    assert isinstance(caught.value.__cause__, AwayError)
    eventually(lambda: not own_threads())


def test_a_start_without_flags_can_be_allowed(inner: InnerStore) -> None:
    """With `on_start_failure="empty"` all flags are missing until the store answers."""
    inner.is_away = True
    with synced(inner, start_timeout=0.1, on_start_failure="empty") as store:
        client = FeatureFlagClient(store)
        assert client.is_enabled("on") is False
        assert client.is_enabled("on", default=True) is True
        assert store.status().age == float("inf")
        inner.is_away = False
        eventually(lambda: client.is_enabled("on"))


def test_a_start_without_the_inner_store_reads_the_snapshot(
    inner: InnerStore, tmp_path: Path
) -> None:
    """Without the inner store, the flags are those of the snapshot."""
    file = tmp_path / "flags.json"
    with synced(inner, snapshot=file) as store:
        client = FeatureFlagClient(store)
        client.create("rule", is_enabled=True).add_condition(Condition(plan="pro"))
    eventually(lambda: "rule" in file.read_text())
    inner.is_away = True
    with synced(inner, snapshot=file, start_timeout=0.1) as store:
        client = FeatureFlagClient(store)
        assert client.is_enabled("on") is True
        assert client.is_enabled("rule", plan="free") is False
        assert client.is_enabled("rule", plan="pro") is True
        status = store.status()
        assert (status.state, status.flags) == ("stale", 2)
        assert 0 < status.age < 60
        inner.is_away = False
        inner.delete("rule")
        wait_for_state(store, "live")
        assert not client.exists("rule")


@pytest.mark.parametrize(
    "content",
    [None, "", "[]", "no JSON", '{"format": 2, "flags": []}', '{"format": 1}'],
)
def test_a_start_without_the_inner_store_and_a_valid_snapshot_raises(
    inner: InnerStore, tmp_path: Path, content: str | None
) -> None:
    """A snapshot that is missing or broken is not used."""
    file = tmp_path / "flags.json"
    if content is not None:
        file.write_text(content)
    inner.is_away = True
    with pytest.raises(StoreUnavailableError, match="nor from the snapshot"):
        SyncedFeatureFlagStore(inner, snapshot=file, start_timeout=0.05)


@pytest.mark.parametrize(
    "options",
    [
        {"on_start_failure": "ignore"},
        {"on_start_failure": "snapshot"},
        {"poll_interval": 0},
        {"poll_interval": float("nan")},
    ],
    ids=str,
)
def test_invalid_arguments_are_refused(inner: InnerStore, options: Any) -> None:
    """Invalid arguments raise before the inner store is asked."""
    with pytest.raises(InvalidArgumentError):
        SyncedFeatureFlagStore(inner, **options)
    assert inner.calls == []
