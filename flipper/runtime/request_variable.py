# SPDX-License-Identifier: Apache-2.0
"""A context variable that belongs to the present request of a framework."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class RequestVariable:
    """A context variable that has the value of the present request until it is set.

    Args:
        variable: is set by blocks; a `ContextVar` or another `RequestVariable`.
        find: is called with the key, and returns the object that has the values of the
            present request, `None` if there is no request.
        key: stands for whom the variable belongs to.
        attribute: which attribute of the object is the value.
    """

    __slots__ = ("_attribute", "_find", "_get", "_key", "_variable", "reset", "set")

    def __init__(
        self, variable: Any, find: Callable[[int], object], key: int, attribute: str
    ) -> None:
        self._variable = variable
        self._get = variable.get
        self._find = find
        self._key = key
        self._attribute = attribute
        self.set = variable.set
        self.reset = variable.reset

    def get(self) -> Any:
        """Return the value, `None` if there is none."""
        value = self._get()
        if value is None:
            return getattr(self._find(self._key), self._attribute, None)
        return value

    def uses(self, find: Callable[[int], object]) -> bool:
        """Return whether it finds requests by this function."""
        inner = self._variable
        if self._find is find:
            return True
        return isinstance(inner, RequestVariable) and inner.uses(find)
