# SPDX-License-Identifier: Apache-2.0
"""A clock that tests put forward."""

from __future__ import annotations


class Clock:
    """Replaces `monotonic`; a test puts it forward by changing `now`, in seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now
