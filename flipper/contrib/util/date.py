# SPDX-License-Identifier: Apache-2.0
"""The clock that dates flags."""

from time import time


def now() -> int:
    """Return the current time in whole seconds since the epoch."""
    return int(time())
