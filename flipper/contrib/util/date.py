# SPDX-License-Identifier: Apache-2.0
"""The creation date of flags."""

from time import time

_last = 0


def now() -> int:
    """Return the current time in whole seconds since the epoch. Safe for threads."""
    global _last  # noqa: PLW0603  (one for the whole process)
    last, seconds = _last, int(time())
    if seconds != last:
        last = _last = seconds
    return last  # the same object for all flags of this second saves memory
