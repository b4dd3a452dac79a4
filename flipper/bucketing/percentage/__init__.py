# SPDX-License-Identifier: Apache-2.0
"""Percentages: a share between 0 and 1, constant or changing with time."""

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
