# SPDX-License-Identifier: Apache-2.0
"""The part of the JSON Schema that describes percentages."""

from __future__ import annotations

from typing import Any, Final

from ..bucketing.percentage.factory import PercentageFactory
from ..bucketing.percentage.linear_ramp_percentage import LinearRampPercentage
from ..bucketing.percentage.percentage import Percentage
from ..bucketing.percentage.schedule import EARLIEST, LATEST, Schedule
from .bucketers import LONGEST

FRACTION: Final = {"type": "number", "minimum": 0, "maximum": 1}


def definitions() -> dict[str, Any]:
    """Return the definition of a percentage, and those that it refers to, by name."""
    return {"percentage": _percentage(), "ramp": _ramp(), "schedule": _schedule()}


def _percentage() -> dict[str, Any]:
    known = PercentageFactory.PERCENTAGE_MAP.items()
    ramps = [name for name, kind in known if kind is LinearRampPercentage]
    return {
        "description": (
            "The share of calls, a number from 0 to 1, or a ramp, or a schedule."
        ),
        "if": {"type": "object"},
        "then": {
            "required": ["type"],
            "properties": {
                "type": {
                    "enum": sorted(n for n, kind in known if kind is not Percentage)
                }
            },
            "allOf": [
                {
                    "if": {"properties": {"type": {"enum": names}}},
                    "then": {"$ref": f"#/$defs/{definition}"},
                }
                for names, definition in ((ramps, "ramp"), (_schedules(), "schedule"))
            ],
        },
        "else": FRACTION,
    }


def _schedules() -> list[str]:
    known = PercentageFactory.PERCENTAGE_MAP.items()
    return [name for name, kind in known if kind is Schedule]


def _schedule() -> dict[str, Any]:
    when = {
        "type": "number",
        "minimum": EARLIEST,
        "maximum": LATEST,
        "description": "From when on the share counts, in seconds since 1970.",
    }
    share = {
        "$ref": "#/$defs/percentage",
        "not": {
            "type": "object",
            "required": ["type"],
            "properties": {"type": {"enum": _schedules()}},
        },
    }
    entries = {
        "type": "array",
        "minItems": 1,
        "items": {
            "type": "array",
            "prefixItems": [when, share],
            "minItems": 2,
            "maxItems": 2,
        },
        "description": (
            "Times and shares, in ascending order. Before the first, the share is 0."
        ),
    }
    return {
        "description": "A share that changes at given times.",
        "required": ["entries"],
        "additionalProperties": False,
        "properties": {"type": True, "entries": entries},
    }


def _ramp() -> dict[str, Any]:
    fields = {
        "initial_value": {**FRACTION, "description": "The share before the ramp."},
        "final_value": {**FRACTION, "description": "The share after the ramp."},
        "ramp_duration": {
            "type": "number",
            "minimum": 0,
            "maximum": LONGEST,
            "description": "How long the ramp takes, in seconds.",
        },
        "initial_time": {
            "type": "number",
            "minimum": EARLIEST,
            "maximum": LATEST,
            "description": "When the ramp begins, in seconds since 1970.",
        },
    }
    return {
        "description": "A share that changes evenly for some time.",
        "required": sorted(fields),
        "additionalProperties": False,
        "properties": {"type": True, **fields},
    }
