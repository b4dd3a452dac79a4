# SPDX-License-Identifier: Apache-2.0
"""The bucketer that draws a random number for every call."""

from __future__ import annotations

from numbers import Number
from random import random
from typing import TYPE_CHECKING, Any

from ..runtime.patching import Patchable
from .base import AbstractBucketer
from .percentage.base import AbstractPercentage
from .percentage.factory import PercentageFactory
from .percentage.percentage import Percentage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self


class PercentageBucketer(AbstractBucketer, metaclass=Patchable):
    """Turns a flag on for a share of the calls, at random for each call.

    Args:
        percentage: the share, a `Percentage`, a ramp, or a number from 0 to 1; `None`
            is 1.
    """

    def __init__(self, percentage: Any = None) -> None:
        if percentage is None:
            percentage = Percentage()
        elif not isinstance(percentage, AbstractPercentage) and _is_number(percentage):
            percentage = Percentage(percentage)
        self._percentage: AbstractPercentage = percentage

    @property
    def percentage(self) -> Any:
        """The share at this moment, a fraction."""
        return self._percentage.value

    @property
    def own_percentage(self) -> AbstractPercentage:
        """The share as it was given, a `Percentage` or a ramp."""
        return self._percentage

    def invalid_percentage(self) -> tuple[str, Any] | None:
        """Return name and value of a part that is not from 0 to 1, or `None`."""
        percentage = self._percentage
        if not isinstance(percentage, AbstractPercentage):
            # An object of another class, such as a test double, is fine with a `value`.
            return None if hasattr(percentage, "value") else ("percentage", percentage)
        for name, value in percentage.parts().items():
            if not (_is_number(value) and 0 <= value <= 1):  # NaN is neither
                return name, value
        return None

    def check(self, /, randomizer: Any = random, **kwargs: Any) -> bool:  # noqa: ARG002
        """Draw a number, and return whether it is at most the percentage.

        Args:
            randomizer: returns the number, a fraction from 0 to 1, when it is called
                without arguments; ignored if it cannot be called.
            **kwargs: the arguments of `is_enabled`; they do not matter.
        """
        return self._draw(randomizer)[0]

    def decide(
        self, context: Mapping[str, Any]
    ) -> tuple[bool, Self, float | None, Any]:
        """Decide as `check` does; return the answer, itself, number and percentage.

        The number is `None` if the percentage is 0, because none was drawn then.
        """
        return self._draw(context.get("randomizer"))

    def _draw(self, randomizer: Any) -> tuple[bool, Self, float | None, Any]:
        percentage = self._percentage.value
        if percentage == 0:
            return False, self, None, percentage
        draw = randomizer() if callable(randomizer) else random()  # noqa: S311
        return draw <= percentage, self, draw, percentage

    @classmethod
    def get_type(cls) -> str:
        """Return the name by which `BucketerFactory` finds this class."""
        return cls.__name__

    def to_dict(self) -> dict[str, Any]:
        """Return the bucketer as plain data."""
        return {**super().to_dict(), "percentage": self._percentage.to_dict()}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> PercentageBucketer:
        """Make a bucketer from the result of `to_dict`; a missing percentage is 1."""
        return cls(percentage=cls._percentage_from(fields))

    @staticmethod
    def _percentage_from(fields: Mapping[str, Any]) -> AbstractPercentage | None:
        percentage = fields.get("percentage")
        return None if percentage is None else PercentageFactory.create(percentage)


def _is_number(value: object) -> bool:
    return isinstance(value, Number) and not isinstance(value, complex)
