# SPDX-License-Identifier: Apache-2.0
"""A cache in the memory of this process, in front of any store."""

from __future__ import annotations

import threading
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeVar

from .interface import AbstractFeatureFlagStore as AbstractFeatureFlagStore
from .lru import make_lru
from .storage import FeatureFlagStoreItem as FeatureFlagStoreItem  # noqa: TC001
from .storage import FeatureFlagStoreMeta as FeatureFlagStoreMeta
from .util.fork import renew_after_fork
from .wrapper import FeatureFlagStoreWrapper

if TYPE_CHECKING:
    from collections.abc import Callable

    from .atomic import Change

T = TypeVar("T")

DEFAULT_SIZE = 5000
DEFAULT_TTL = None

_UNKNOWN: Final = object()  # what a flag is after a write: ask the inner store


def _itself(item: T) -> T:
    return item


class _Fill:
    """A read of the inner store that is under way, and those who wait for it."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
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
        create = partial(super().create, feature_name, is_enabled, client_data)
        item: FeatureFlagStoreItem = self._written(feature_name, create, _itself)
        return item

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Change the state and keep the metadata; create the flag if it is missing."""
        set_state = partial(super().set, feature_name, is_enabled)
        self._written(feature_name, set_state, lambda _: self._reread(feature_name))

    def set_meta(self, feature_name: str, meta: Any) -> None:
        """Replace the metadata and keep the state.

        Raises:
            FlagDoesNotExistError: there is no such flag.
        """
        set_meta = partial(super().set_meta, feature_name, meta)
        self._written(feature_name, set_meta, lambda _: self._reread(feature_name))

    def update(self, feature_name: str, change: Change) -> FeatureFlagStoreItem:
        """Replace a flag by what `change` makes of it, and return that."""
        update = partial(super().update, feature_name, change)
        return self._written(feature_name, update, lambda _: self._reread(feature_name))

    def delete(self, feature_name: str) -> None:
        """Remove the flag, if it is there."""
        self._written(
            feature_name, partial(super().delete, feature_name), lambda _: _UNKNOWN
        )

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
            if fill.thread == threading.get_ident():  # asked by a signal handler
                return self._reader.get(feature_name)
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
        self, feature_name: str, write: Callable[[], T], find: Callable[[T], Any]
    ) -> T:
        """Write, cache the flag that `find` gives, and return what `write` did."""
        token = object()
        with self._lock:
            self._under_way[feature_name] = token
        try:
            result = write()
            item = find(result)
        except Exception:
            self._give_up(feature_name, token)  # nothing was written
            raise
        except BaseException:
            self._settle(feature_name, token, _UNKNOWN)  # interrupted half-way
            raise
        self._settle(feature_name, token, item)
        return result

    def _settle(self, feature_name: str, token: object, item: Any) -> None:
        with self._lock:
            # Race: whoever began later has taken the place of `token`, and may have
            # read before or after this write; so nothing is known, and nothing kept.
            is_last = self._under_way.pop(feature_name, None) is token
            if is_last and item is not _UNKNOWN:
                self._put(feature_name, item)
            else:
                self._cache.pop(feature_name, None)

    def _reread(self, feature_name: str) -> Any:
        try:
            return self._reader.get(feature_name)
        except Exception:  # noqa: BLE001  (it was written: that call has not failed)
            return _UNKNOWN

    def _put(self, feature_name: str, item: FeatureFlagStoreItem | None) -> None:
        ttl = self._ttl
        self._cache[feature_name] = item if ttl is None else (item, monotonic() + ttl)

    def _give_up(self, feature_name: str, token: object) -> None:
        with self._lock:
            if self._under_way.get(feature_name) is token:
                del self._under_way[feature_name]
