# SPDX-License-Identifier: Apache-2.0
"""The promise that a bucketer of one's own has to keep."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class AbstractBucketer(metaclass=ABCMeta):
    """Decides which calls a flag is on for, where no condition has decided.

    `BucketerFactory.register` makes a subclass readable from stores.
    """

    @abstractmethod
    def check(self, **kwargs: Any) -> Any:
        """Tell whether the flag is on for these arguments of `is_enabled`."""

    @classmethod
    @abstractmethod
    def get_type(cls) -> str:
        """Return the name under which `BucketerFactory` knows this class."""
        return cls.__name__

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return the bucketer as plain data; `super()` gives its `type`."""
        return {"type": self.get_type()}

    @classmethod
    @abstractmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> AbstractBucketer:
        """Make the bucketer that `to_dict` gave."""
