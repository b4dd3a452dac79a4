# SPDX-License-Identifier: Apache-2.0
"""The base class of what flags and threads share, so that nobody may change it."""

from __future__ import annotations

from typing import Any, NoReturn


class Immutable:
    """Refuses every assignment. A constructor sets attributes by `_set`.

    A subclass needs a `__reduce__` that calls its constructor, because the default way
    to copy and to unpickle an object assigns attributes.
    """

    __slots__ = ()

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        kind = type(self).__name__
        message = f"an object of the class {kind} cannot be changed; make a new one"
        raise AttributeError(message)

    def __delattr__(self, name: str) -> NoReturn:
        self.__setattr__(name, None)
