# SPDX-License-Identifier: Apache-2.0
"""The abstract base class of percentages."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from numbers import Number
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class AbstractPercentage(metaclass=ABCMeta):
    """A share of the calls, as a fraction from 0 (none) to 1 (all).

    Percentages are compared with numbers and with each other by their current value.
    """

    @property
    @abstractmethod
    def value(self) -> Any:
        """The current fraction."""

    @classmethod
    @abstractmethod
    def get_type(cls) -> str:
        """Return the name by which `PercentageFactory` finds this class."""
        return cls.__name__

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return the percentage as plain data; the base class adds its `type`."""
        return {"type": self.get_type()}

    @classmethod
    @abstractmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> AbstractPercentage:
        """Make a percentage from the result of `to_dict`."""

    def parts(self) -> dict[str, Any]:
        """Return every fraction that defines the percentage, by its name."""
        return {"value": self.value}

    def __lt__(self, other: object) -> bool:
        return bool(self.value < _number(other))

    def __le__(self, other: object) -> bool:
        return bool(self.value <= _number(other))

    def __gt__(self, other: object) -> bool:
        return bool(self.value > _number(other))

    def __ge__(self, other: object) -> bool:
        return bool(self.value >= _number(other))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, (AbstractPercentage, Number)):
            return bool(self.value == _value_of(other))
        return NotImplemented

    # Drop-in: the value may change with time, so it cannot be hashed.
    __hash__ = None  # type: ignore[assignment]  # the way Python declares it

    def __repr__(self) -> str:
        """Show the plain data."""
        return f"<{self.get_type()} {self.parts()}>"


def _value_of(other: object) -> Any:
    return other.value if isinstance(other, AbstractPercentage) else other


def _number(other: object) -> Any:
    if isinstance(other, Number):
        return other
    # Drop-in: flipper-client raises ValueError where Python would raise TypeError.
    message = f"a percentage is ordered among numbers, not with {other!r}"
    raise ValueError(message)
