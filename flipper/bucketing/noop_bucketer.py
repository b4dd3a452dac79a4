# SPDX-License-Identifier: Apache-2.0
"""The bucketer for which a flag is always on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .base import AbstractBucketer

if TYPE_CHECKING:
    from collections.abc import Mapping


class NoOpBucketer(AbstractBucketer):
    """Always returns True, as without a bucketer. Set it to remove a bucketer."""

    marks_rules: bool = False
    """Whether it was read from a flag with rules; see `rules_bucketer`."""

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
    def from_dict(cls, fields: Mapping[str, Any]) -> NoOpBucketer:
        """Return the bucketer, always the same object; no field is needed."""
        if "rules" in fields:
            return _MARKED
        return _SHARED if cls is NoOpBucketer else cls()


class _MarkedNoOpBucketer(NoOpBucketer):
    """What is read from a flag with rules, until its rules are read, too."""

    marks_rules = True

    @classmethod
    def get_type(cls) -> str:
        """Return the type of `NoOpBucketer`."""
        return NoOpBucketer.__name__

    def to_dict(self) -> dict[str, Any]:
        """Return the plain data with the mark."""
        return {**super().to_dict(), "rules": 1}


_SHARED = NoOpBucketer()
_MARKED = _MarkedNoOpBucketer()
