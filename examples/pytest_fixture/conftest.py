# SPDX-License-Identifier: Apache-2.0
"""A fixture that replaces the application's client by one with a store in memory."""

import checkout
import pytest

from flipper import FeatureFlagClient, MemoryFeatureFlagStore


@pytest.fixture
def features(monkeypatch: pytest.MonkeyPatch) -> FeatureFlagClient:
    """Return the client that the application uses during one test; it has no flags."""
    client = FeatureFlagClient(MemoryFeatureFlagStore())
    monkeypatch.setattr(checkout, "features", client)
    return client
