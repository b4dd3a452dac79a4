# SPDX-License-Identifier: Apache-2.0
"""Percentages: a share from 0 to 1, constant or changing with time.

`percentage` is the constant one. `linear_ramp_percentage` changes evenly, `schedule` at
given times. `factory` makes a percentage from plain data; `base` is the base class of
custom percentages.
"""

from typing import TYPE_CHECKING, Any

from .base import AbstractPercentage
from .factory import PercentageFactory
from .linear_ramp_percentage import LinearRampPercentage
from .percentage import Percentage

if TYPE_CHECKING:
    from .schedule import Schedule

__all__ = [
    "AbstractPercentage",
    "LinearRampPercentage",
    "Percentage",
    "PercentageFactory",
    "Schedule",
]


def __getattr__(name: str) -> Any:
    if name != "Schedule":
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    # Few applications need it, so only its first use loads it.
    from .schedule import Schedule

    return Schedule
