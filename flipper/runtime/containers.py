# SPDX-License-Identifier: Apache-2.0
"""Copying of data that callers hand over or get, so that no two share it."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

from ..exceptions import InvalidArgumentError

T = TypeVar("T")

_LEAVES = frozenset({str, int, float, bool, bytes, type(None)})


def copy_containers(value: T) -> T:
    """Return `value` with every list, dict, set and tuple in it made anew.

    Leaves are shared, not copied. Drop-in: existing tests put bound methods and mocks
    into client data, which `copy.deepcopy` would copy.

    Raises:
        InvalidArgumentError: `value` contains itself.
    """
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
