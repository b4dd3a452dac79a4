# SPDX-License-Identifier: Apache-2.0
"""The clock of everything that has to go on while a test suite freezes time.

Background threads, their pauses and time limits, and the age of a copy are about the
real world: a server is silent or not, whatever date a test pretends. freezegun replaces
`time.monotonic` in every module that has it, by a clock that stands still and is
decades ahead, in some threads and not in others. What an application may want to expire
by such a clock, the `ttl` of a cache, takes `time.monotonic` instead.
"""

from __future__ import annotations

import time
from functools import partial
from types import BuiltinFunctionType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

# While this is imported time may be frozen already. Not all systems have another clock.
_is_frozen = not isinstance(time.monotonic, BuiltinFunctionType)

monotonic: Final[Callable[[], float]] = (
    partial(time.clock_gettime, time.CLOCK_MONOTONIC)
    if _is_frozen and hasattr(time, "CLOCK_MONOTONIC")
    # freezegun looks for the function itself, and does not find it in here.
    else partial(time.monotonic)
)
"""Return seconds since some moment, as `time.monotonic` does; cannot be frozen."""
