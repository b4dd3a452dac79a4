# SPDX-License-Identifier: Apache-2.0
"""The promise that a percentage of one's own has to keep."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from numbers import Number
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class AbstractPercentage(metaclass=ABCMeta):
    """A share of the calls, as a fraction from 0 (none) to 1 (all).

    Percentages compare by their value at the moment, with numbers and with each other.
    """

    @property
    @abstractmethod
    def value(self) -> Any:
        """The fraction at this moment."""

    @classmethod
    @abstractmethod
    def get_type(cls) -> str:
        """Return the name under which `PercentageFactory` knows this class."""
        return cls.__name__

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return the percentage as plain data; `super()` gives its `type`."""
        return {"type": self.get_type()}

    @classmethod
    @abstractmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> AbstractPercentage:
        """Make the percentage that `to_dict` gave."""

    def parts(self) -> dict[str, Any]:
        """Return every fraction that the percentage is made of, by its name."""
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
            return bool(self.value == _plain(other))
        return NotImplemented

    # Drop-in: the value may change with time, so there is nothing to hash.
    __hash__ = None  # type: ignore[assignment]  # the way Python declares it

    def __repr__(self) -> str:
        """Show the plain data."""
        return f"<{self.get_type()} {self.parts()}>"


def _plain(other: object) -> Any:
    return other.value if isinstance(other, AbstractPercentage) else other


def _number(other: object) -> Any:
    if isinstance(other, Number):
        return other
    # Drop-in: flipper-client raises ValueError where Python would say TypeError.
    message = f"a percentage is ordered among numbers, not with {other!r}"
    raise ValueError(message)
