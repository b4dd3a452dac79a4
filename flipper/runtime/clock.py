# SPDX-License-Identifier: Apache-2.0
"""`monotonic`: a clock that goes on while a test suite freezes time.

Background threads, timeouts and the age of a copy depend on real time, even when a test
pretends another date. freezegun replaces `time.monotonic` in every module that has
imported it. Its replacement stands still, decades in the future, and only in some of
the threads. The `ttl` of a cache uses `time.monotonic` instead of this clock, so that a
test can make entries expire.
"""

from __future__ import annotations

import time
from functools import partial
from types import BuiltinFunctionType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

# Time may be frozen already at this import. Not all systems have another clock.
_is_frozen = not isinstance(time.monotonic, BuiltinFunctionType)

monotonic: Final[Callable[[], float]] = (
    partial(time.clock_gettime, time.CLOCK_MONOTONIC)
    if _is_frozen and hasattr(time, "CLOCK_MONOTONIC")
    # freezegun looks for the function itself, and does not find it in a partial.
    else partial(time.monotonic)
)
"""Return seconds, as `time.monotonic` does; cannot be frozen. Safe for threads."""
