# SPDX-License-Identifier: Apache-2.0
"""The operators that compare numbers, also those that are given as text, as "18"."""

from __future__ import annotations

import math
import operator
from numbers import Integral, Number
from typing import Any, ClassVar, Final

from .typed import OrderedOperator, TypedOperator

_LONGEST: Final = 400  # characters; Python refuses to read very long numbers


class _NumberOperator(OrderedOperator):
    SCHEMA: ClassVar[dict[str, Any]] = {
        "type": ["number", "string"],
        "maxLength": _LONGEST,
    }
    PROBLEM = "is not a finite number; use a number as 18, or its text"

    @staticmethod
    def meaning(given: Any) -> int | float | None:
        """Return the number, `None` if this is no finite one."""
        try:
            if isinstance(given, str):
                return _read_number(given)
            if isinstance(given, bool) or not isinstance(given, Number):
                return None
            if isinstance(given, Integral):
                return int(given)
            number = float(given)  # type: ignore[arg-type]  # a complex one raises
        except Exception:  # noqa: BLE001  (such as a Fraction that is too large)
            return None
        return number if math.isfinite(number) else None


class NumberEqualOperator(_NumberOperator):
    """The two numbers are equal."""

    SYMBOL = "num_eq"
    holds = staticmethod(operator.eq)


class NumberGreaterThanOperator(_NumberOperator):
    """The argument is greater."""

    SYMBOL = "num_gt"
    holds = staticmethod(operator.gt)


class NumberGreaterThanOrEqualToOperator(_NumberOperator):
    """The argument is greater or equal."""

    SYMBOL = "num_gte"
    holds = staticmethod(operator.ge)


class NumberLessThanOperator(_NumberOperator):
    """The argument is less."""

    SYMBOL = "num_lt"
    holds = staticmethod(operator.lt)


class NumberLessThanOrEqualToOperator(_NumberOperator):
    """The argument is less or equal."""

    SYMBOL = "num_lte"
    holds = staticmethod(operator.le)


def _read_number(text: str) -> int | float | None:
    if len(text) > _LONGEST or not text.isascii() or "_" in text:
        return None
    try:
        return int(text)
    except ValueError:
        number = float(text)
        return number if math.isfinite(number) else None


NUMBER_OPERATORS: tuple[type[TypedOperator], ...] = (
    NumberEqualOperator,
    NumberGreaterThanOperator,
    NumberGreaterThanOrEqualToOperator,
    NumberLessThanOperator,
    NumberLessThanOrEqualToOperator,
)
