# SPDX-License-Identifier: Apache-2.0
"""The bucketer that lets everybody in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .base import AbstractBucketer

if TYPE_CHECKING:
    from collections.abc import Mapping


class NoOpBucketer(AbstractBucketer):
    """Says yes to every call, as if there were no bucketer. Set it to remove one."""

    def check(self, /, **kwargs: Any) -> bool:  # noqa: ARG002
        """Return True."""
        return True

    @classmethod
    def get_type(cls) -> str:
        """Return the name under which `BucketerFactory` knows this class."""
        return cls.__name__

    def to_dict(self) -> dict[str, Any]:
        """Return the bucketer as plain data."""
        return super().to_dict()

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> NoOpBucketer:  # noqa: ARG003
        """Return the bucketer; no field is needed, and of one there is no second."""
        return _EVERYBODY if cls is NoOpBucketer else cls()


_EVERYBODY = NoOpBucketer()
