# SPDX-License-Identifier: Apache-2.0
"""A clock that tests put forward by hand."""

from __future__ import annotations


class Clock:
    """Stands in for the clock; somebody has to put it forward."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now
