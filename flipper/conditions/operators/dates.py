# SPDX-License-Identifier: Apache-2.0
"""The operators that compare instants: `before` and `after`.

An instant is an aware datetime, a date (midnight UTC), an ISO text with a time zone, an
ISO date, or a number of seconds since 1970. Stores keep a datetime as an ISO text.
"""

from __future__ import annotations

import math
import operator
import re
from datetime import date, datetime, timedelta, timezone
from typing import Any, ClassVar, Final

from .typed import OrderedOperator, TypedOperator

# Own syntax, because `fromisoformat` accepts other texts in every version of Python.
_ISO: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?"
    r"(?:[Zz]|([+-])(\d\d)(?::?([0-5]\d))?))?",
    re.ASCII,
)


class _DateOperator(OrderedOperator):
    SCHEMA: ClassVar[dict[str, Any]] = {"type": ["string", "number"]}
    PROBLEM = (
        "is not a date with a time zone; use an aware datetime, a date, an ISO text "
        "as '2026-01-31' or '2026-01-31T12:00:00Z', or seconds since 1970"
    )

    @staticmethod
    def meaning(given: Any) -> float | None:
        """Return the seconds since 1970, `None` if the instant is not known."""
        try:
            if isinstance(given, str):
                given = _read_iso(given)
            if isinstance(given, datetime):
                return given.timestamp() if given.utcoffset() is not None else None
            if isinstance(given, date):
                year, month, day = given.year, given.month, given.day
                return datetime(year, month, day, tzinfo=timezone.utc).timestamp()
            if isinstance(given, (int, float)) and not isinstance(given, bool):
                return given if math.isfinite(given) else None
        except Exception:  # noqa: BLE001  (such as a day 32, or an odd time zone)
            return None
        return None

    @classmethod
    def stored_value(cls, value: Any) -> Any:
        """Return an ISO text for a datetime, in UTC, and for a date."""
        if isinstance(value, datetime):
            if value.utcoffset() is None:
                message = (
                    "has no time zone; use an aware datetime, as datetime(2026, 1, 31, "
                    "tzinfo=timezone.utc)"
                )
                raise ValueError(message)
            try:
                return value.astimezone(timezone.utc).isoformat()
            except OverflowError:
                raise ValueError(cls.PROBLEM) from None
        if isinstance(value, date):
            return value.isoformat()
        return super().stored_value(value)


class BeforeOperator(_DateOperator):
    """The argument is an instant before that of the value."""

    SYMBOL = "before"
    holds = staticmethod(operator.lt)


class AfterOperator(_DateOperator):
    """The argument is an instant after that of the value."""

    SYMBOL = "after"
    holds = staticmethod(operator.gt)


def _read_iso(text: str) -> datetime | None:
    found = _ISO.fullmatch(text)
    if found is None:
        return None
    *clock, fraction, sign, hours, minutes = found.groups(default="0")
    zone = timezone.utc
    if sign != "0":  # most texts are in UTC
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        zone = timezone(-offset if sign == "-" else offset)
    micros = int(f"{fraction}00000"[:6])
    year, month, day, hour, minute, second = map(int, clock)
    return datetime(year, month, day, hour, minute, second, micros, tzinfo=zone)


DATE_OPERATORS: tuple[type[TypedOperator], ...] = (BeforeOperator, AfterOperator)
