# SPDX-License-Identifier: Apache-2.0
"""`Binding`: the client that answers for a `FlagRegistry`."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from ..runtime.fork import at_fork

if TYPE_CHECKING:
    from collections.abc import Callable


class Binding:
    """A client, or how it is made. Safe for threads and forks.

    Args:
        client: the client.
        make: makes it when it is first needed; `None` if it is given.
    """

    def __init__(self, client: Any, make: Callable[[], Any] | None) -> None:
        self._client = client
        self._make = make

    def client(self) -> Any:
        """Return the client.

        Raises:
            Exception: whatever the function that makes it raises.
        """
        if self._make is not None:
            with _lock:
                # Race: another thread may have made it meanwhile.
                if self._make is not None:
                    self._client = self._make()
                    self._make = None
        return self._client


def _renew_lock() -> None:
    global _lock  # noqa: PLW0603  (one for all registries)
    # Reentrant: who makes a client may ask about a flag of another registry.
    _lock = threading.RLock()


_lock: Any
_renew_lock()
at_fork(after_in_child=_renew_lock)
