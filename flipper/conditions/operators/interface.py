# SPDX-License-Identifier: Apache-2.0
"""The abstract base class of operators."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from typing import Any


class AbstractOperator(metaclass=ABCMeta):
    """Compares an argument of a call with the value of a check.

    Add a subclass to `Operator.OPERATOR_MAP` under its `SYMBOL` to use it.
    """

    @property
    @abstractmethod
    def SYMBOL(self) -> str | None:  # noqa: N802  (Drop-in: the original's name)
        """The suffix in a check's key, `None` for equality."""

    @abstractmethod
    def compare(self, expected: Any, actual: Any) -> bool:
        """Return whether the comparison holds; only the truth of the result matters.

        Args:
            expected: the argument of `is_enabled`. Drop-in: the two names of
                flipper-client are the wrong way round.
            actual: the value of the check.
        """
