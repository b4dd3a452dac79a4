# SPDX-License-Identifier: Apache-2.0
"""`FreshFlags`: answers from the copy unless the copy is older than `max_staleness`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...exceptions import StaleFlagsError
from ...runtime.clock import monotonic

if TYPE_CHECKING:
    from .follower import Follower


class FreshFlags:
    """Returns flags of the copy while it is fresh enough. Safe for threads.

    Args:
        follower: the follower whose copy answers.
        max_staleness: the largest age of the copy, in seconds.
    """

    def __init__(self, follower: Follower, max_staleness: float) -> None:
        self._follower = follower
        self._get = follower.copy.get
        self._max_staleness = max_staleness

    def get(self, feature_name: str) -> Any:
        """Return the flag, or `None` if there is none.

        Raises:
            StaleFlagsError: the copy is too old.
        """
        age = monotonic() - self._follower.up_to_date_at
        if age > self._max_staleness:
            raise StaleFlagsError(
                f"Feature {feature_name!r} is not answered: the copy of the flags is "
                f"{age:.1f} seconds old, and {self._max_staleness:g} are allowed",
                feature_name=feature_name,
            )
        return self._get(feature_name)

    get_in_memory = get_in_memory_bypasses = get
