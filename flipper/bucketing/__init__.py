# SPDX-License-Identifier: Apache-2.0
"""Bucketers: they decide for which share of the calls a flag is on.

`percentage_bucketer` decides at random, `consistent_hash_percentage_bucketer` by the
arguments, and `noop_bucketer` stands for no bucketer. `percentage` has the shares, and
`factory` makes bucketers from plain data. `base` is for custom bucketers.
"""

from typing import TYPE_CHECKING, Any

from .consistent_hash_percentage_bucketer import ConsistentHashPercentageBucketer
from .factory import BucketerFactory
from .noop_bucketer import NoOpBucketer
from .percentage import LinearRampPercentage, Percentage, PercentageFactory
from .percentage_bucketer import PercentageBucketer

if TYPE_CHECKING:
    from .percentage import Schedule

__all__ = [
    "BucketerFactory",
    "ConsistentHashPercentageBucketer",
    "LinearRampPercentage",
    "NoOpBucketer",
    "Percentage",
    "PercentageBucketer",
    "PercentageFactory",
    "Schedule",
]


def __getattr__(name: str) -> Any:
    if name != "Schedule":
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    # Few applications need it, so only its first use loads it.
    from .percentage.schedule import Schedule

    return Schedule
