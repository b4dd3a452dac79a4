# SPDX-License-Identifier: Apache-2.0
"""Puts the flags of a case into a store, for questions."""

from __future__ import annotations

from typing import Any

from flipper import FeatureFlagClient, MemoryFeatureFlagStore
from flipper.importers import flags_from


def client_of(origin: str, data: Any) -> FeatureFlagClient:
    """Return a client of a memory store that has all flags of a file."""
    client = FeatureFlagClient(MemoryFeatureFlagStore())
    for flag in flags_from(origin, data):
        client.create(flag.feature_name, is_enabled=flag.is_enabled)
        client.set_rules(flag.feature_name, flag.rules)
    return client
