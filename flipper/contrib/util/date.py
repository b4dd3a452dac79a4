# SPDX-License-Identifier: Apache-2.0
"""The clock that dates flags."""

from time import time

_last = 0


def now() -> int:
    """Return the current time in whole seconds since the epoch."""
    global _last  # noqa: PLW0603  (one number for all)
    last, seconds = _last, int(time())
    if seconds != last:
        last = _last = seconds
    return last  # one object for all flags of this second
