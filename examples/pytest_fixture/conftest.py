# SPDX-License-Identifier: Apache-2.0
"""The fixture: a client on a store in memory, in place of the application's own."""

import checkout
import pytest

from flipper import FeatureFlagClient, MemoryFeatureFlagStore


@pytest.fixture
def features(monkeypatch: pytest.MonkeyPatch) -> FeatureFlagClient:
    """Give the client that the application asks during one test, without any flag."""
    client = FeatureFlagClient(MemoryFeatureFlagStore())
    monkeypatch.setattr(checkout, "features", client)
    return client
