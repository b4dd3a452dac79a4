# SPDX-License-Identifier: Apache-2.0
"""A clock that tests move forward by hand."""

from __future__ import annotations


class Clock:
    """Replaces a clock function; its time changes only when a test sets `now`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now
