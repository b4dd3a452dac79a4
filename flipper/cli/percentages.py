# SPDX-License-Identifier: Apache-2.0
"""Percentages and durations as people write them: `25%`, `0.25`, `90s`, `2h`."""

from __future__ import annotations

import math
import re
from datetime import datetime, timezone
from typing import Any, Final

import click

from ..bucketing import LinearRampPercentage, Schedule
from .values import shortened

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_LONGEST: Final = 1000 * 365 * 86400  # seconds
_PERCENTAGE: Final = re.compile(
    r"([0-9]+\.?[0-9]*|\.[0-9]+)(e-?[0-9]+)?(\s*%)?", re.ASCII
)
_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhdw])", re.ASCII)


def parse_share(value: str) -> float:
    """Return a share of all calls: a percentage with its sign, or a fraction.

    Raises:
        click.BadParameter: the text is neither.
    """
    text = value.strip()
    has_sign = text.endswith("%")
    is_number = _PERCENTAGE.fullmatch(text) is not None
    number = float(text.removesuffix("%")) if is_number else math.nan
    if has_sign:
        number /= 100
    elif number == 1:
        message = "1 could mean 1% or 100%; write the percent sign"
        raise click.BadParameter(message)
    if not 0 <= number <= 1:
        remedy = "write 0% to 100%, or a fraction from 0 to 1"
        if 1 < number <= 100 and not has_sign:  # noqa: PLR2004  (forgotten sign)
            remedy = f"do you mean {text}%?"
        message = f"{shortened(value)} is not a percentage; {remedy}"
        raise click.BadParameter(message)
    return number


def parse_duration(value: str) -> float:
    """Return the seconds of a duration, as in `90s`, `30m`, `2h`, `7d` or `1h30m`.

    Raises:
        click.BadParameter: the text is not a duration, or one that is not allowed.
    """
    text = value.strip()
    parts = _DURATION.findall(text)
    if not parts or "".join(n + unit for n, unit in parts) != text:
        remedy = "write it as in 90s, 30m, 2h, 7d or 1h30m"
        message = f"{shortened(value)} is not a duration; {remedy}"
        raise click.BadParameter(message)
    seconds = float(sum(float(number) * _SECONDS[unit] for number, unit in parts))
    if not 0 < seconds < _LONGEST:
        remedy = "a duration is longer than 0 seconds, and shorter than 1000 years"
        message = f"{shortened(value)} cannot be used; {remedy}"
        raise click.BadParameter(message)
    return seconds


def format_share(share: Any) -> str:
    """Return a fraction as a percentage, with at most four digits after the point."""
    try:
        return f"{float(share) * 100:.4f}".rstrip("0").rstrip(".") + "%"
    except (TypeError, ValueError):
        return repr(share)


def format_duration(seconds: Any) -> str:
    """Return a duration in the largest units that express it."""
    try:
        left = float(seconds)
    except (TypeError, ValueError):
        return repr(seconds)
    if not (0 < left < 1e12) or left != int(left):  # noqa: PLR2004  (30,000 years)
        return f"{left:g}s"
    left, shown = int(left), ""
    for unit in "dhms":
        count, left = divmod(left, _SECONDS[unit])
        shown += f"{count}{unit}" if count else ""
    return shown


def describe_percentage(percentage: Any) -> str:
    """Return a percentage with its share now, and how it changes."""
    if isinstance(percentage, Schedule):
        steps = [
            f"{_describe_share(share)} from {format_time(when)}"
            for when, share in percentage.entries
        ]
        return f"{format_share(percentage.value)} now ({', '.join(steps)})"
    if not isinstance(percentage, LinearRampPercentage):
        return format_share(percentage.value)
    first, last = percentage.initial_value, percentage.final_value
    return (
        f"{format_share(percentage.value)} now ({format_share(first)} to "
        f"{format_share(last)} in {format_duration(percentage.ramp_duration)} from "
        f"{format_time(percentage.initial_time)})"
    )


def _describe_share(share: Any) -> str:
    """Return the share of an entry of a schedule."""
    is_number = isinstance(share, (int, float))
    return format_share(share) if is_number else describe_percentage(share)


def format_time(seconds: Any) -> str:
    """Return a time since the epoch as a date in UTC."""
    try:
        moment = datetime.fromtimestamp(seconds, timezone.utc)
    except (TypeError, ValueError, OverflowError, OSError):
        return repr(seconds)
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")
