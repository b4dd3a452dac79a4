# SPDX-License-Identifier: Apache-2.0
"""Percentages: a share from 0 to 1, constant or changing with time.

`percentage` is the constant one, `linear_ramp_percentage` the changing one. `factory`
makes a percentage from plain data; `base` is the base class of custom percentages.
"""

from .base import AbstractPercentage
from .factory import PercentageFactory
from .linear_ramp_percentage import LinearRampPercentage
from .percentage import Percentage

__all__ = [
    "AbstractPercentage",
    "LinearRampPercentage",
    "Percentage",
    "PercentageFactory",
]
