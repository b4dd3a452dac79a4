# SPDX-License-Identifier: Apache-2.0
"""How the cached store answers for many flags at once, and without I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...contracts.circuit_breaker import current_reader
from ...contracts.in_memory import NotInMemoryError
from ...contracts.transactions import is_uncommitted
from ...contracts.update import get_many as get_many_of
from ...runtime.fork import detect_fork
from .entries import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..storage import FeatureFlagStoreItem
    from .entries import ReadInProgress


class _NotSharedError(BaseException):
    """Makes a thread that waits for a read begin a read of its own."""


def get_many(
    self: Any, feature_names: Sequence[str]
) -> dict[str, FeatureFlagStoreItem | None]:
    """Return flags by name, `None` for those that are missing.

    All flags that are not cached are read from the inner store at once. A flag whose
    document is broken is left out, since `get` has its error.
    """
    detect_fork()
    if self._listener is not None:
        self._listener.start()  # a forked child has no such thread yet
    found: dict[str, FeatureFlagStoreItem | None] = {}
    reads: dict[str, ReadInProgress] = {}
    for feature_name in feature_names:
        item = self._cached_item(feature_name)
        if item is not UNKNOWN:
            found[feature_name] = item
            continue
        if is_uncommitted(self._store, feature_name):
            continue  # it is read, and not cached
        read, is_new = self._begin_read(feature_name)
        # Another thread may be reading this flag; to read it again waits for nobody.
        if is_new:
            reads[feature_name] = read
    wanted = [name for name in feature_names if name not in found]
    return found | _read_and_cache(self, wanted, reads)


def get_in_memory(self: Any, feature_name: str) -> FeatureFlagStoreItem | None:
    """Return the flag if it is cached.

    Raises:
        NotInMemoryError: it is not cached, or its entry has expired.
    """
    item = self._cached_item(feature_name)
    if item is UNKNOWN:
        raise NotInMemoryError
    return item  # type: ignore[no-any-return]


def _read_and_cache(
    store: Any, feature_names: Sequence[str], reads: dict[str, ReadInProgress]
) -> dict[str, FeatureFlagStoreItem | None]:
    """Read flags of the inner store; cache those whose `reads` began here."""
    if not feature_names:
        return {}
    found: dict[str, FeatureFlagStoreItem | None] = {}
    try:
        found = get_many_of(current_reader(store._reader), feature_names)  # noqa: SLF001
    except Exception:
        if not store._stale_if_error:  # noqa: SLF001
            raise
    finally:
        for feature_name, read in reads.items():
            if feature_name in found:
                read.item = found[feature_name]
                store._finish_read(feature_name, read)  # noqa: SLF001
            else:
                read.error = _NotSharedError()
                store._cancel(feature_name, read)  # noqa: SLF001
            read.done.set()
    if found:
        return found
    # Each flag may have an expired entry that answers while the inner store fails.
    return get_many_of(_OneByOne(store), feature_names)


class _OneByOne:
    """Calls the `get` of a store, whatever else it has."""

    def __init__(self, store: Any) -> None:
        self.get = store.get
