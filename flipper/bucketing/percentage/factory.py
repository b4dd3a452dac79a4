# SPDX-License-Identifier: Apache-2.0
"""Makes percentages from plain data."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from .linear_ramp_percentage import LinearRampPercentage
from .percentage import Percentage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .base import AbstractPercentage

P = TypeVar("P", bound="type[AbstractPercentage]")

# They register their class when they are imported, which is when a flag needs it.
_MODULES = {"Schedule": ".schedule"}


class PercentageFactory:
    """Finds the class of a percentage by its type."""

    PERCENTAGE_MAP: dict[str, type[AbstractPercentage]] = {  # noqa: RUF012  (public, writable)
        Percentage.get_type(): Percentage,
        LinearRampPercentage.get_type(): LinearRampPercentage,
    }

    class InvalidPercentageTypeError(Exception):
        """No percentage class has this type; `register` adds one."""

    @classmethod
    def register(cls, percentage: P) -> P:
        """Register a percentage class, so that stores can read it; a decorator, too."""
        cls.PERCENTAGE_MAP[percentage.get_type()] = percentage
        return percentage

    @classmethod
    def create(cls, fields: Mapping[str, Any]) -> AbstractPercentage:
        """Make a percentage from the result of its `to_dict`.

        Raises:
            PercentageFactory.InvalidPercentageTypeError: the type is unknown.
        """
        kind = fields.get("type")
        try:
            if kind in _MODULES and kind not in cls.PERCENTAGE_MAP:
                import_module(_MODULES[kind], __package__)
            percentage = cls.PERCENTAGE_MAP[kind]  # type: ignore[index]  # None is no key
        except (KeyError, TypeError):
            message = f"Percentage type not supported: {kind}"
            raise cls.InvalidPercentageTypeError(message) from None
        return percentage.from_dict(fields)
