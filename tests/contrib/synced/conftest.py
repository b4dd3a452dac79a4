# SPDX-License-Identifier: Apache-2.0
"""Fixtures for the tests of the synced store over a store in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.synced_stores import InnerStore, synced

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flipper import SyncedFeatureFlagStore


@pytest.fixture
def inner() -> InnerStore:
    """Give an inner store with a flag "on" that is on."""
    inner = InnerStore()
    inner.create("on", is_enabled=True)
    inner.calls.clear()
    return inner


@pytest.fixture
def store(inner: InnerStore) -> Iterator[SyncedFeatureFlagStore]:
    """Give a copy of the inner store's flags."""
    with synced(inner) as store:
        yield store
