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
        value: the fraction, from 0 (no calls) to 1 (all calls). It is not checked here;
            `FeatureFlagClient` refuses to store any other value.
    """

    def __init__(self, value: Any = 1.0) -> None:
        self._value = value

    @property
    def value(self) -> Any:
        """The fraction, as it was given."""
        return self._value

    @classmethod
    def get_type(cls) -> str:
        """Return the name by which `PercentageFactory` finds this class."""
        return cls.__name__

    def to_dict(self) -> dict[str, Any]:
        """Return the percentage as plain data."""
        return {**super().to_dict(), "value": self._value}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Percentage:
        """Make a percentage from the result of `to_dict`; a missing value is 1."""
        return cls(fields.get("value", 1.0))
