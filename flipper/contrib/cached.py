# SPDX-License-Identifier: Apache-2.0
"""A cache in the memory of this process, in front of any store."""

from __future__ import annotations

import threading
from time import monotonic
from typing import TYPE_CHECKING, Any

from .atomic import update
from .interface import AbstractFeatureFlagStore as AbstractFeatureFlagStore
from .lru import make_lru
from .util.fork import renew_after_fork
from .wrapper import FeatureFlagStoreWrapper

if TYPE_CHECKING:
    from collections.abc import Callable

    from .atomic import Change
    from .storage import FeatureFlagStoreItem

DEFAULT_SIZE = 5000
DEFAULT_TTL = None


class _Fill:
    """A read of the inner store that is under way, and those who wait for it."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.item: FeatureFlagStoreItem | None = None
        self.error: BaseException | None = None


class CachedFeatureFlagStore(FeatureFlagStoreWrapper):
    """Answers `get` from memory where it can. Safe for threads.

    That a flag does not exist is remembered like any other answer. Several threads that
    miss the same flag at once make one read of the inner store. Writes go through, and
    are seen at once in this process; other processes see them when their entry expires.
    `list` always asks the inner store.

    Args:
        store: the inner store, of any kind.
        size: how many flags are remembered; the least recently used go first, and with
            0 none are.
        ttl: seconds until an entry expires, fractions allowed; 0 or less at once, and
            `None` never.
    """

    def __init__(
        self,
        store: Any,
        size: int = DEFAULT_SIZE,
        ttl: float | None = DEFAULT_TTL,
    ) -> None:
        super().__init__(store)
        self._ttl = ttl
        # Drop-in: existing tests replace this table by one that has only
        # `__getitem__` and `__setitem__`; `get` and `set` use nothing else of it.
        self._cache: Any = make_lru(size)
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Forget the reads under way: their threads are not in this process."""
        self._lock = threading.Lock()
        self._under_way: dict[str, object] = {}

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag, or `None` if there is none."""
        try:
            entry = self._cache[feature_name]
        except KeyError:
            return self._fill(feature_name)
        if self._ttl is None:
            return entry  # type: ignore[no-any-return]
        item, expiry = entry
        if monotonic() < expiry:
            return item  # type: ignore[no-any-return]
        return self._fill(feature_name)

    def create(
        self,
        feature_name: str,
        is_enabled: bool = False,
        client_data: dict[str, Any] | None = None,
    ) -> FeatureFlagStoreItem:
        """Write a new flag over whatever was there, and return it."""

        def create() -> FeatureFlagStoreItem:
            return self._store.create(  # type: ignore[no-any-return]
                feature_name, is_enabled=is_enabled, client_data=client_data
            )

        return self._written(feature_name, create)  # type: ignore[return-value]

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Change the state and keep the metadata; create the flag if it is missing."""

        def set_and_read() -> FeatureFlagStoreItem | None:
            self._store.set(feature_name, is_enabled)
            return self._reread(feature_name)

        self._written(feature_name, set_and_read)

    def set_meta(self, feature_name: str, meta: Any) -> None:
        """Replace the metadata and keep the state.

        Raises:
            FlagDoesNotExistError: there is no such flag.
        """

        def set_meta_and_read() -> FeatureFlagStoreItem | None:
            self._store.set_meta(feature_name, meta)
            return self._reread(feature_name)

        self._written(feature_name, set_meta_and_read)

    def update(self, feature_name: str, change: Change) -> FeatureFlagStoreItem:
        """Replace a flag by what `change` makes of it, and return that."""
        after: list[FeatureFlagStoreItem] = []

        def update_and_read() -> FeatureFlagStoreItem | None:
            after.append(update(self._store, feature_name, change))
            return self._reread(feature_name)

        self._written(feature_name, update_and_read)
        return after[0]

    def delete(self, feature_name: str) -> None:
        """Remove the flag, if it is there."""

        def delete() -> None:
            self._store.delete(feature_name)
            self._drop(feature_name)

        self._written(feature_name, delete)

    def last_known(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag as it was cached last, expired or not, or as known inside."""
        try:
            entry = self._cache[feature_name]
        except KeyError:
            return super().last_known(feature_name)
        return entry if self._ttl is None else entry[0]  # type: ignore[no-any-return]

    def _fill(self, feature_name: str) -> FeatureFlagStoreItem | None:
        with self._lock:
            found = self._under_way.get(feature_name)
            fill = found if isinstance(found, _Fill) else _Fill()
            self._under_way[feature_name] = fill
        if fill is found:
            fill.done.wait()
            return self._shared(feature_name, fill)
        try:
            fill.item = self._reader.get(feature_name)
        except BaseException as error:
            fill.error = error
            self._give_up(feature_name, fill)
            raise
        else:
            with self._lock:
                # Race: a write that began after this read has taken the place of
                # `fill`; what was read may be older, and is not kept.
                if self._under_way.get(feature_name) is fill:
                    del self._under_way[feature_name]
                    self._put(feature_name, fill.item)
        finally:
            fill.done.set()
        return fill.item

    def _shared(self, feature_name: str, fill: _Fill) -> FeatureFlagStoreItem | None:
        if fill.error is None:
            return fill.item
        if isinstance(fill.error, Exception):
            raise fill.error
        return self._fill(feature_name)  # the other thread was interrupted, not failed

    def _written(
        self, feature_name: str, write: Callable[[], FeatureFlagStoreItem | None]
    ) -> FeatureFlagStoreItem | None:
        """Write, and cache what the write returns unless others were at it too."""
        token = object()
        with self._lock:
            self._under_way[feature_name] = token
        try:
            item = write()
        except BaseException:
            self._give_up(feature_name, token)
            raise
        with self._lock:
            # Race: whoever began later has taken the place of `token`, and may have
            # read before or after this write; so nothing is known, and nothing kept.
            if self._under_way.pop(feature_name, None) is token:
                self._put(feature_name, item)
            else:
                self._cache.pop(feature_name, None)
        return item

    def _reread(self, feature_name: str) -> FeatureFlagStoreItem | None:
        try:
            return self._reader.get(feature_name)
        except BaseException:
            self._drop(feature_name)  # it was written, so the entry is out of date
            raise

    def _put(self, feature_name: str, item: FeatureFlagStoreItem | None) -> None:
        ttl = self._ttl
        self._cache[feature_name] = item if ttl is None else (item, monotonic() + ttl)

    def _drop(self, feature_name: str) -> None:
        with self._lock:
            self._under_way.pop(feature_name, None)
            self._cache.pop(feature_name, None)

    def _give_up(self, feature_name: str, token: object) -> None:
        with self._lock:
            if self._under_way.get(feature_name) is token:
                del self._under_way[feature_name]
