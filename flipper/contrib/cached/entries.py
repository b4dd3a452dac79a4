# SPDX-License-Identifier: Apache-2.0
"""The entries of the cached store: which flags it remembers, and until when."""

from __future__ import annotations

import threading
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from ...arguments import check_seconds, is_between
from ...exceptions import InvalidArgumentError
from ...runtime.jitter import uniform
from .lru import make_lru

if TYPE_CHECKING:
    from collections.abc import Collection

    from ..storage import FeatureFlagStoreItem

UNKNOWN: Final = object()
"""Stands for a flag that the cache knows nothing about, which `None` does not."""

_FOREVER: Final = float("inf")
_RETRY_AFTER: Final = 0.5  # seconds that an expired entry answers after a failed read


class ReadInProgress:
    """A read of the inner store, and its result for the threads that wait for it."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.done = threading.Event()
        self.item: FeatureFlagStoreItem | None = None
        self.error: BaseException | None = None


class CacheEntries:
    """The entries of a cache, and the reads and writes in progress. Safe for threads.

    `CachedFeatureFlagStore` derives from this class and does not hold an object of it,
    because its `get` has to read `_cache` and `_ttl` without a call.

    For each flag, `_in_progress` holds the read or write that began last. Only that one
    may put an entry into the cache when it ends. Whoever learns that the flag has
    changed removes it from there.

    Args:
        size: how many flags are remembered.
        ttl: seconds until an entry expires; `None` for never.
        stale_if_error: seconds beyond its expiry that an entry may still answer.
        jitter: the largest fraction of `ttl` by which an entry expires earlier.
        is_invalidated: whether a listener drops the entries of changed flags. The cache
            keeps nothing beyond `ttl` until the listener has a connection.

    Raises:
        InvalidArgumentError: an argument makes no sense.
    """

    def __init__(
        self,
        size: int,
        ttl: float | None,
        *,
        stale_if_error: float | None,
        jitter: float,
        is_invalidated: bool,
    ) -> None:
        _check(ttl, stale_if_error, jitter)
        self._size = size
        self._stale_if_error = stale_if_error or 0.0
        self._jitter = jitter
        self._has_ttl = ttl is not None
        if ttl is None and (is_invalidated or stale_if_error):
            ttl = 0.0 if is_invalidated else _FOREVER
        self._ttl = ttl  # `_set_listening` changes it
        # Drop-in: existing tests replace this table by one that has only
        # `__getitem__` and `__setitem__`; `get` and `set` use nothing else of it.
        # An entry is the item itself if none ever expires; else the item, the time when
        # it was put in, the time when it expires, and the time until which it may
        # answer while the inner store fails. An entry that was put in at a time in the
        # future has expired: a test had frozen the clock then.
        self._cache: Any = make_lru(size)
        self._forget_reads_and_writes()

    def _forget_reads_and_writes(self) -> None:
        """Make a new lock, and forget what other threads of the parent had begun."""
        self._lock = threading.Lock()
        self._in_progress: dict[str, object] = {}

    # -- reads and writes in progress --------------------------------------------------

    def _begin_read(self, feature_name: str) -> tuple[ReadInProgress, bool]:
        """Return the read of a flag that is in progress, and whether it begins now."""
        with self._lock:
            found = self._in_progress.get(feature_name)
            if isinstance(found, ReadInProgress):
                return found, False
            read = self._in_progress[feature_name] = ReadInProgress()
            return read, True

    def _finish_read(self, feature_name: str, read: ReadInProgress) -> None:
        with self._lock:
            # Race: a write that began after this read has replaced it, or the signal of
            # a write has removed it. The item may be older than that write, so it is
            # not cached.
            if self._in_progress.get(feature_name) is read:
                del self._in_progress[feature_name]
                self._put(feature_name, read.item)

    def _begin_write(self, feature_name: str) -> object:
        """Return a token that stands for this write."""
        token = object()
        with self._lock:
            self._in_progress[feature_name] = token
        return token

    def _finish_write(self, feature_name: str, token: object, item: Any) -> None:
        """Cache the flag as it was written; `UNKNOWN` drops its entry."""
        with self._lock:
            # Race: a read or write that began later has replaced `token`, and may have
            # reached the store before or after this write; or a signal, perhaps of
            # another write, has removed `token`. So the state of the flag is unknown,
            # and nothing is cached.
            is_last = self._in_progress.pop(feature_name, None) is token
            if is_last and item is not UNKNOWN:
                self._put(feature_name, item)
            else:
                self._cache.pop(feature_name, None)

    def _cancel(self, feature_name: str, read_or_token: object) -> None:
        """End a read or write that has failed. The entry of the flag stays."""
        with self._lock:
            if self._in_progress.get(feature_name) is read_or_token:
                del self._in_progress[feature_name]

    # -- entries -----------------------------------------------------------------------

    def _put(self, feature_name: str, item: FeatureFlagStoreItem | None) -> None:
        """Cache a flag; `None` caches that it does not exist. The caller locks."""
        ttl = self._ttl
        if ttl is None:
            self._cache[feature_name] = item
            return
        if self._jitter:
            ttl *= uniform(1.0 - self._jitter, 1.0)
        now = monotonic()
        expiry = now + ttl
        self._cache[feature_name] = item, now, expiry, expiry + self._stale_if_error

    def _cached_item(self, feature_name: str) -> Any:
        """Return the flag of an entry that has not expired, `None` if it did not exist.

        Returns:
            `UNKNOWN`, if there is no such entry.
        """
        try:
            entry = self._cache[feature_name]
        except KeyError:
            return UNKNOWN
        if self._ttl is None:
            return entry
        item, since, expiry, _ = entry
        return item if since <= monotonic() < expiry else UNKNOWN

    def _use_stale(self, feature_name: str) -> Any:
        """Let an expired entry answer for a moment, as the inner store has failed.

        Returns:
            The flag of the entry, `None` if it did not exist; `UNKNOWN` if there is no
            entry, or if it may answer no longer.
        """
        now = monotonic()
        with self._lock:
            try:
                # Race: only the entry of this moment counts. A write, or the signal of
                # a write, may have removed it since the read began.
                item, since, expiry, last = self._cache[feature_name]
            except KeyError:
                return UNKNOWN
            if not since <= now < last:
                return UNKNOWN
            if now >= expiry:
                retry = min(now + _RETRY_AFTER, last)
                self._cache[feature_name] = item, now, retry, last
        return item

    def _forget_entries(self) -> None:
        """Drop all entries of the parent process, as nobody listens in the child."""
        self._cache = make_lru(self._size)
        self._set_ttl(is_listening=False)

    # -- invalidation ------------------------------------------------------------------

    def _invalidate(self, feature_names: Collection[str] | None) -> None:
        """Drop the entries of flags that have changed; `None` drops all entries."""
        with self._lock:
            if feature_names is None:
                self._in_progress.clear()
                self._cache = make_lru(self._size)
                return
            for feature_name in feature_names:
                # Race: a read or write in progress may be older than the change.
                self._in_progress.pop(feature_name, None)
                self._cache.pop(feature_name, None)

    def _set_listening(self, is_listening: bool) -> None:
        """Expire all entries, because the listener has begun or has stopped to listen.

        Args:
            is_listening: whether every change is reported from now on.
        """
        with self._lock:
            # Race: a flag that is being read may have changed before the listener
            # began.
            self._in_progress.clear()
            self._set_ttl(is_listening=is_listening)
            now = monotonic()
            last_of_all = now + self._stale_if_error
            for feature_name in reversed(self._cache.keys()):  # keeps their order
                item, since, expiry, last = self._cache[feature_name]
                expired = item, since, min(expiry, now), min(last, last_of_all)
                self._cache[feature_name] = expired

    def _set_ttl(self, *, is_listening: bool) -> None:
        """Keep entries without a `ttl` forever, or not at all while nobody listens."""
        if not self._has_ttl:
            self._ttl = _FOREVER if is_listening else 0.0


def _check(ttl: object, stale_if_error: object, jitter: object) -> None:
    """Raise an `InvalidArgumentError` if an argument makes no sense."""
    # Drop-in: 0 or less is a ttl, with which nothing is found in the cache.
    if ttl is not None and not is_between(-_FOREVER, ttl, _FOREVER):
        raise InvalidArgumentError(
            f"ttl={ttl!r} is not a time; use seconds, or None for no expiry", value=ttl
        )
    check_seconds(
        *("stale_if_error", stale_if_error),
        none="to raise the error",
        largest=_FOREVER,
    )
    if not is_between(0, jitter, 1):
        raise InvalidArgumentError(
            f"jitter={jitter!r} is not a part of the ttl; use a fraction from 0 to 1",
            value=jitter,
        )
