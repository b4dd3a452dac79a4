# SPDX-License-Identifier: Apache-2.0
"""The abstract base class of bucketers."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class AbstractBucketer(metaclass=ABCMeta):
    """Decides for which calls a flag is on, if no condition applies to the call.

    Register a subclass by `BucketerFactory.register`, so that stores can read it.
    """

    @abstractmethod
    def check(self, **kwargs: Any) -> Any:
        """Return whether the flag is on for these arguments of `is_enabled`."""

    @classmethod
    @abstractmethod
    def get_type(cls) -> str:
        """Return the name by which `BucketerFactory` finds this class."""
        return cls.__name__

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return the bucketer as plain data; the base class adds its `type`."""
        return {"type": self.get_type()}

    @classmethod
    @abstractmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> AbstractBucketer:
        """Make a bucketer from the result of `to_dict`."""
