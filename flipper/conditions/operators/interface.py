# SPDX-License-Identifier: Apache-2.0
"""The promise that an operator of one's own has to keep."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from typing import Any


class AbstractOperator(metaclass=ABCMeta):
    """Compares what a call gives with what a condition holds.

    Add a subclass to `Operator.OPERATOR_MAP` under its `SYMBOL` to use it.
    """

    @property
    @abstractmethod
    def SYMBOL(self) -> str | None:  # noqa: N802  (Drop-in: the original's name)
        """The suffix in a check's key, `None` for equality."""

    @abstractmethod
    def compare(self, expected: Any, actual: Any) -> bool:
        """Tell whether the comparison holds; the truth of the result counts.

        Args:
            expected: the value given in the call of `is_enabled`.
            actual: the value of the condition.
        """
