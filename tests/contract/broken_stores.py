# SPDX-License-Identifier: Apache-2.0
"""The contract, to be run on stores that break it by `test_contract_catches.py`.

The stores are in the folder `broken`.
"""

from __future__ import annotations

import pytest
from broken import (
    TESTS,
    caches,
    change_signal,
    concurrent_writes,
    documents,
    listing,
    methods,
    rules,
    settings_without_shrinking,
    values,
)
from stores import Documents

from flipper.testing import StoreContract, stateful, waiting

# Each module adds its stores to `TESTS`.
__all__ = [
    "caches",
    "change_signal",
    "concurrent_writes",
    "documents",
    "listing",
    "methods",
    "rules",
    "values",
]

globals().update(TESTS)


@pytest.fixture(autouse=True)
def _short_patience(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Do not wait long for what a broken store never does."""
    if request.cls is not TestCorrectStore:
        monkeypatch.setattr(waiting, "TIMEOUT", 2.0)


@pytest.fixture(autouse=True)
def _no_shrinking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let random operations fail without a search for the shortest that fail."""
    monkeypatch.setattr(stateful, "settings", settings_without_shrinking)


class TestCorrectStore(Documents, StoreContract):
    """The store from which most broken stores derive keeps every rule."""

    repetitions = 10
    seed = 1
