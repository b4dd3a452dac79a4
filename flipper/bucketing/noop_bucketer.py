# SPDX-License-Identifier: Apache-2.0
"""The bucketer for which a flag is always on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .base import AbstractBucketer

if TYPE_CHECKING:
    from collections.abc import Mapping


class NoOpBucketer(AbstractBucketer):
    """Always returns True, as without a bucketer. Set it to remove a bucketer."""

    def check(self, /, **kwargs: Any) -> bool:  # noqa: ARG002
        """Return True."""
        return True

    @classmethod
    def get_type(cls) -> str:
        """Return the name by which `BucketerFactory` finds this class."""
        return cls.__name__

    def to_dict(self) -> dict[str, Any]:
        """Return the bucketer as plain data."""
        return super().to_dict()

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> NoOpBucketer:  # noqa: ARG003
        """Return the bucketer, always the same object; no field is needed."""
        return _SHARED if cls is NoOpBucketer else cls()


_SHARED = NoOpBucketer()
