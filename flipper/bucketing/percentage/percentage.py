# SPDX-License-Identifier: Apache-2.0
"""The constant percentage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...runtime.patching import Patchable
from .base import AbstractPercentage

if TYPE_CHECKING:
    from collections.abc import Mapping


class Percentage(AbstractPercentage, metaclass=Patchable):
    """A constant share.

    Args:
        value: the fraction, 0 for nobody, 1 for everybody. `FeatureFlagClient` refuses
            to store anything else; here it is taken as it is.
    """

    def __init__(self, value: Any = 1.0) -> None:
        self._value = value

    @property
    def value(self) -> Any:
        """The fraction, as it was given."""
        return self._value

    @classmethod
    def get_type(cls) -> str:
        """Return the name under which `PercentageFactory` knows this class."""
        return cls.__name__

    def to_dict(self) -> dict[str, Any]:
        """Return the percentage as plain data."""
        return {**super().to_dict(), "value": self._value}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Percentage:
        """Make the percentage that `to_dict` gave; without a value it is 1."""
        return cls(fields.get("value", 1.0))
