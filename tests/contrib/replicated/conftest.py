# SPDX-License-Identifier: Apache-2.0
"""Fixtures for the tests of the replicated store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flipper import MemoryFeatureFlagStore, ReplicatedFeatureFlagStore
from flipper.contrib.replicated import replica as replica_module
from support.replicas import Backup

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def primary() -> MemoryFeatureFlagStore:
    """Give the primary store."""
    return MemoryFeatureFlagStore()


@pytest.fixture
def backup() -> Iterator[Backup]:
    """Give a replica, which goes on after the test so that no thread stays."""
    made = Backup()
    yield made
    made.recover()


@pytest.fixture
def store(
    primary: MemoryFeatureFlagStore, backup: Backup
) -> Iterator[ReplicatedFeatureFlagStore]:
    """Give a replicated store with one replica."""
    made = ReplicatedFeatureFlagStore(primary, backup)
    yield made
    backup.recover()
    made.close()


@pytest.fixture
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a failing replica be tried again at once."""
    monkeypatch.setattr(replica_module, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(replica_module, "_LONGEST_PAUSE", 0.01)
