# SPDX-License-Identifier: Apache-2.0
"""Reads flags only if that takes no I/O, so that an event loop may do it.

A class that can answer its `get` from memory defines `get_in_memory`, which raises a
`NotInMemoryError` where `get` would send a request, read a file or wait for a thread.
"""

from __future__ import annotations

from typing import Any


class NotInMemoryError(BaseException):
    """The answer needs I/O, or has to wait for another thread.

    It is no failure, so it is not an `Exception`: whoever handles errors of a store
    must not take it for one.
    """


def get_in_memory(reader: Any, feature_name: Any) -> Any:
    """Return what `reader.get` returns, if that takes neither I/O nor a wait.

    Args:
        reader: a store, or what a client reads instead of it. If its `get` is not the
            one that its `get_in_memory` stands for, because somebody has overridden or
            replaced it, nothing is known about it.
        feature_name: the flag.

    Raises:
        NotInMemoryError: it does, or it is not known whether it does.
        Exception: any error of `get`.
    """
    kind: Any = type(reader)
    if kind is dict:
        return reader.get(feature_name)
    bypassed = getattr(kind, "get_in_memory_bypasses", None)
    if bypassed is None or bypassed is not kind.get or "get" in vars(reader):
        raise NotInMemoryError
    return reader.get_in_memory(feature_name)
