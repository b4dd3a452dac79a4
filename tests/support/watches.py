# SPDX-License-Identifier: Apache-2.0
"""Ways to wait for what a watch reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flipper.runtime.clock import monotonic
from flipper.testing.contract import eventually
from flipper.testing.waiting import PATIENCE

if TYPE_CHECKING:
    from flipper.contracts.watch import Watch


def next_report(watch: Watch) -> set[str] | None:
    """Wait for the next report; return its names, `None` if any flag may have changed.

    Raises:
        Exception: the watch has failed; this is its own error.
    """
    deadline = monotonic() + PATIENCE
    while monotonic() < deadline:
        names = watch.wait(0.2)
        if names is None:
            return None
        if names:
            return set(names)
    pytest.fail("nothing was reported")


def reports_until(watch: Watch, last: str) -> set[str]:
    """Wait until a name is reported; return all names that were reported until then."""
    reported: set[str] = set()

    def is_reported() -> bool:
        names = watch.wait(0.2)
        assert names is not None
        reported.update(names)
        return last in reported

    eventually(is_reported)
    return reported


def wait_for_failure(watch: Watch) -> None:
    """Wait until the watch fails, and raise its error."""
    deadline = monotonic() + PATIENCE
    while monotonic() < deadline:
        watch.wait(0.2)
    pytest.fail("the watch has not failed")
