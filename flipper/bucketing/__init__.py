# SPDX-License-Identifier: Apache-2.0
"""Bucketers: which share of the calls a flag is on for."""

from .consistent_hash_percentage_bucketer import ConsistentHashPercentageBucketer
from .factory import BucketerFactory
from .noop_bucketer import NoOpBucketer
from .percentage import LinearRampPercentage, Percentage, PercentageFactory
from .percentage_bucketer import PercentageBucketer

__all__ = [
    "BucketerFactory",
    "ConsistentHashPercentageBucketer",
    "LinearRampPercentage",
    "NoOpBucketer",
    "Percentage",
    "PercentageBucketer",
    "PercentageFactory",
]
