# SPDX-License-Identifier: Apache-2.0
"""Per-flag locks: the threads of one process write a flag one after the other."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from ..runtime.fork import at_fork, detect_fork

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

_LONGEST_WAIT: Final = 1.0  # seconds

# The key is the id of the owner and the feature name. A lock exists while it is in use.
# A lock is reentrant and never shared by two flags or two stores: a store may be made
# of other stores, and with shared locks two threads could wait for each other for ever.
_locks: MutableMapping[tuple[int, str], Any] = WeakValueDictionary()
_locks_guard = threading.RLock()


def reentrant_flag_lock(owner: Any, feature_name: str) -> Any:
    """Return the reentrant lock of one flag. It is valid in this process only.

    Args:
        owner: the store, or an object that several stores share, such as a client.
        feature_name: the flag.
    """
    detect_fork()
    with _locks_guard:
        return _locks.setdefault((id(owner), feature_name), threading.RLock())


@contextmanager
def per_flag_lock(store: Any, feature_name: str) -> Iterator[None]:
    """Hold the per-flag lock in a `with` statement; wait for it at most 1 second.

    For stores that compare and swap: their writes are safe without the lock. The lock
    only avoids that most attempts fail when many threads write the same flag.
    """
    lock = reentrant_flag_lock(store, feature_name)
    is_acquired = lock.acquire(timeout=_LONGEST_WAIT)
    try:
        yield
    finally:
        if is_acquired:
            lock.release()


def _renew_locks() -> None:
    # Race: a thread that held a lock while the process forked is not in the child.
    global _locks, _locks_guard
    _locks, _locks_guard = WeakValueDictionary(), threading.RLock()


at_fork(after_in_child=_renew_locks)
