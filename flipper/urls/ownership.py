# SPDX-License-Identifier: Apache-2.0
"""Stores that close, beside themselves, what was made for them."""

from __future__ import annotations

import types
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from ..runtime.closing import Closeable

if TYPE_CHECKING:
    from collections.abc import Callable


def make_owner(
    kind: type, *arguments: Any, release: Callable[[], object], **options: Any
) -> Any:
    """Make a store whose `close` also releases what was made for it.

    If the store cannot be made, that is released at once.

    Args:
        kind: the class of the store.
        *arguments: for its constructor.
        release: closes what was made for the store; called once, after its own `close`.
        **options: for its constructor.
    """
    try:
        store = _owner_of(kind)(*arguments, **options)
    except BaseException:
        release()
        raise
    store.release = release
    return store


class _Owner(Closeable):
    """The part of such a store that closes."""

    close_store: ClassVar[Any] = None
    release: Callable[[], object] | None = None

    def close(self) -> None:
        """Close the store and the connections that were made for it. Idempotent."""
        release, self.release = self.release, None
        try:
            if self.close_store is not None:
                self.close_store()
        finally:
            if release is not None:
                release()


@cache
def _owner_of(kind: type) -> Any:
    """Derive a class from that of a store; it has the same name."""

    def fill(namespace: dict[str, Any]) -> None:
        namespace["__doc__"] = kind.__doc__
        namespace["__module__"] = kind.__module__
        namespace["close_store"] = getattr(kind, "close", None)

    return types.new_class(kind.__name__, (_Owner, kind), exec_body=fill)
