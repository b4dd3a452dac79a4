# SPDX-License-Identifier: Apache-2.0
"""The state of the thread that polls Consul, and its pauses between requests.

All times are in seconds.
"""

from __future__ import annotations

from typing import Final

from ...runtime.jitter import uniform

_FIRST_PAUSE: Final = 0.1  # doubled each time
_LONGEST_PAUSE_AFTER_ERROR: Final = 2.0
_LONGEST_PAUSE_WITHOUT_CHANGE: Final = 10.0
# The thread pauses for so many times the processor time that a reply took.
_PAUSE_PER_PROCESSOR_TIME: Final = 4


class PollingState:
    """The state of one thread that sends blocking queries. For that thread only.

    Attributes:
        index: the index that the next request waits for Consul to exceed; 0 is answered
            at once.
        failures: how many requests in a row have failed.
        is_in_doubt: whether the last reply had none of the known flags, and the next
            one is to confirm that.
    """

    def __init__(self) -> None:
        self.index = 0
        self.failures = 0
        self.is_in_doubt = False
        self._unchanged = 0

    def after_error(self) -> float:
        """Count a failure, and return how long to pause."""
        self.failures += 1
        self.index, self.is_in_doubt = 0, False
        return uniform(0.5, 1) * _growing(self.failures, _LONGEST_PAUSE_AFTER_ERROR)

    def after_reply(
        self, index: int, seconds: float, processor_time: float, *, has_changed: bool
    ) -> float:
        """Note a reply, and return how long to pause; 0 or less is not at all.

        Args:
            index: the index of the reply.
            seconds: how long the request and its processing took.
            processor_time: the processor time of that, in seconds.
            has_changed: whether the reply has changed the copy.
        """
        # Nothing is new, and Consul has not waited for that: a server, or a test
        # double, that cannot wait.
        is_unchanged = index == self.index and seconds < 1
        self._unchanged = self._unchanged + 1 if is_unchanged else 0
        # Consul resets its index after some restores and restarts: begin with 0.
        self.index = index if index >= self.index else 0
        if has_changed:
            # The next change may come at once; but with very many flags, only a part of
            # the time is for reading all of them again.
            return _PAUSE_PER_PROCESSOR_TIME * processor_time
        return _growing(self._unchanged, _LONGEST_PAUSE_WITHOUT_CHANGE) - seconds


def _growing(times: int, longest: float) -> float:
    """Return a pause that doubles from the second time on."""
    return min(longest, _FIRST_PAUSE * 2.0 ** max(0, min(times - 1, 10)))
