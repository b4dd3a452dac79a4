# SPDX-License-Identifier: Apache-2.0
"""An emitter for the tests of events."""

from __future__ import annotations

import pytest

from flipper.events import FlipperEventEmitter


@pytest.fixture
def emitter() -> FlipperEventEmitter:
    """Return an emitter without listeners."""
    return FlipperEventEmitter()
