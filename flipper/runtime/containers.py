# SPDX-License-Identifier: Apache-2.0
"""Copies plain data, so that callers share no list and no dict; frees large data."""

from __future__ import annotations

import copy
from time import sleep
from typing import Any, Final, TypeVar

from ..exceptions import InvalidArgumentError

T = TypeVar("T")

_FREED_PER_PAUSE: Final = 1000
_PAUSE: Final = 0.0005  # seconds
_LEAVES = frozenset({str, int, float, bool, bytes, type(None)})


def copy_containers(value: T) -> T:
    """Return a copy of `value` in which every list, dict, set and tuple is a new one.

    All other values are shared. Drop-in: existing tests put bound methods and mocks
    into client data, and `copy.deepcopy` would copy those, too.

    Raises:
        InvalidArgumentError: `value` contains itself, or is nested too deeply.
    """
    if type(value) in _LEAVES:  # as are most values of checks
        return value
    try:
        return _copied(value)  # type: ignore[no-any-return]  # of the same type
    except RecursionError:
        message = "A value contains itself, or is nested too deeply; use plain data"
        raise InvalidArgumentError(message, value=type(value)) from None


def _copied(value: Any) -> Any:
    kind = type(value)
    if kind in _LEAVES:
        return value
    if kind is dict:
        return {key: _copied(entry) for key, entry in value.items()}
    if kind is list or kind is tuple:
        return kind([_copied(entry) for entry in value])
    if isinstance(value, dict):
        made = copy.copy(value)
        for key, entry in value.items():
            made[key] = _copied(entry)
        return made
    if isinstance(value, (list, set)):
        return copy.copy(value)
    return value


def free(container: dict[Any, Any] | set[Any]) -> None:
    """Empty a large container that is not used any more, by and by.

    To free 100,000 objects at once takes some milliseconds, in which no other thread
    runs.
    """
    pop = container.popitem if isinstance(container, dict) else container.pop
    while len(container) > _FREED_PER_PAUSE:
        for _ in range(_FREED_PER_PAUSE):
            pop()
        sleep(_PAUSE)
