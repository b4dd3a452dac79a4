# SPDX-License-Identifier: Apache-2.0
"""A cache in the memory of this process, in front of any store."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeVar
from weakref import WeakMethod, finalize

from ...arguments import check_seconds, is_between
from ...contracts.circuit_breaker import has_opened_circuit, open_circuit, reader_of
from ...contracts.last_known import ANSWERS
from ...contracts.wrapper import FeatureFlagStoreWrapper
from ...exceptions import FlagDoesNotExistError, InvalidArgumentError
from ...runtime.closing import ClosesAtExit
from ...runtime.fork import detect_fork, renew_after_fork
from ...runtime.jitter import uniform
from ...runtime.log_throttle import OutageLog
from ..interface import AbstractFeatureFlagStore as AbstractFeatureFlagStore
from ..storage import FeatureFlagStoreItem as FeatureFlagStoreItem  # noqa: TC001
from ..storage import FeatureFlagStoreMeta as FeatureFlagStoreMeta
from .invalidation import Invalidation
from .lru import make_lru

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from ...contracts.atomic import Change

T = TypeVar("T")

DEFAULT_SIZE = 5000
DEFAULT_TTL = None

_UNKNOWN: Final = object()  # what a flag is after a write: ask the inner store
_FOR_EVER: Final = float("inf")
_PAUSE: Final = 0.5  # seconds that a flag is not asked for again after a failure


def _itself(item: T) -> T:
    return item


class _Fill:
    """A read of the inner store that is under way, and those who wait for it."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.done = threading.Event()
        self.item: FeatureFlagStoreItem | None = None
        self.error: BaseException | None = None


class CachedFeatureFlagStore(ClosesAtExit, FeatureFlagStoreWrapper):
    """Answers `get` from memory where it can. Safe for threads.

    That a flag does not exist is remembered like any other answer. Several threads that
    miss the same flag at once make one read of the inner store. Writes go through, and
    are seen at once in this process; other processes see them when their entry expires.
    `list` always asks the inner store.

    With `invalidate` a daemon thread listens to the inner store; a store that is not
    held any more, or closed, ends it within a moment, and in a forked child, whose
    cache is empty at first, it starts when a flag is asked for. While nothing is told
    of changes, because the server is away or has no such signal, the cache keeps no
    flag longer than `ttl`, and none if that is `None`: each question goes to the inner
    store then. When the signal is lost, and when it is back, all entries expire.

    Args:
        store: the inner store, of any kind; with `invalidate`, of any kind but one that
            answers from a cache.
        size: how many flags are remembered; the least recently used go first, and with
            0 none are.
        ttl: seconds until an entry expires, fractions allowed; 0 or less at once, and
            `None` never.
        stale_if_error: seconds beyond its expiry that an entry answers while the inner
            store fails, and is not asked again for half a second. A flag that was
            written here, or reported as changed, is not answered by what it was. A flag
            whose document is broken is no failure.
        jitter: the fraction of `ttl`, 0 to 1, by which entries expire earlier, each at
            random: so that not all are asked for at once.
        invalidate: whether the change signal of the inner store (`SupportsWatch`) drops
            the entries of flags that have changed, by whomever.

    Raises:
        InvalidArgumentError: an argument makes no sense.
    """

    def __init__(  # noqa: PLR0913  (each a choice of its own, and all have defaults)
        self,
        store: Any,
        size: int = DEFAULT_SIZE,
        ttl: float | None = DEFAULT_TTL,
        *,
        stale_if_error: float | None = None,
        jitter: float = 0.0,
        invalidate: bool = False,
    ) -> None:
        _check(ttl, stale_if_error, jitter)
        super().__init__(store)
        self._size = size
        self._stale_if_error = stale_if_error or 0.0
        self._jitter = jitter
        self._outage = OutageLog(
            __name__,
            store,
            f"flags that have expired are answered as they were for "
            f"{self._stale_if_error:g} seconds",
        )
        self._has_failed = False
        self._has_ttl = ttl is not None
        if ttl is None and (invalidate or stale_if_error):
            ttl = 0.0 if invalidate else _FOR_EVER
        self._ttl = ttl  # as of now: see `_trust`
        # Drop-in: existing tests replace this table by one that has only
        # `__getitem__` and `__setitem__`; `get` and `set` use nothing else of it.
        # An entry is the item itself if none ever expires; else the item, since when it
        # is there, when it expires, and until when it may answer while the inner store
        # fails. What seems to come from the future was put in while a test had frozen
        # the clock, and has expired.
        self._cache: Any = make_lru(size)
        self._invalidation: Invalidation | None = None
        self.after_fork()
        if invalidate:
            self._invalidation = Invalidation(
                store, WeakMethod(self._drop), WeakMethod(self._trust)
            )
            finalize(self, self._invalidation.abandon).atexit = False
        renew_after_fork(self)
        if self._invalidation is not None:
            self._invalidation.start()

    def after_fork(self) -> None:
        """Forget the reads under way: their threads are not in this process."""
        self._lock = threading.Lock()
        self._under_way: dict[str, object] = {}
        if self._invalidation is not None:
            self._invalidation.after_fork()
            # Nobody tells this process what changes, until its thread listens.
            self._cache = make_lru(self._size)
            self._set_ttl(is_told=False)

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag, or `None` if there is none."""
        try:
            entry = self._cache[feature_name]
        except KeyError:
            return self._fill(feature_name)
        if self._ttl is None:
            return entry  # type: ignore[no-any-return]
        item, since, expiry, _ = entry
        if since <= monotonic() < expiry:
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
        with self._dropping_if_missing(feature_name):
            return self._written(
                feature_name, update, lambda _: self._reread(feature_name)
            )

    def delete(self, feature_name: str) -> None:
        """Remove the flag, if it is there."""
        self._written(
            feature_name, partial(super().delete, feature_name), lambda _: _UNKNOWN
        )

    def delete_existing(self, feature_name: str) -> None:
        """Remove the flag, or raise if the inner store tells that there is none."""
        delete = partial(super().delete_existing, feature_name)
        with self._dropping_if_missing(feature_name):
            self._written(feature_name, delete, lambda _: _UNKNOWN)

    def get_uncached(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Ask the inner store, and remember what it gives."""
        get = partial(super().get_uncached, feature_name)
        item: FeatureFlagStoreItem | None = self._written(feature_name, get, _itself)
        return item

    def last_known(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag as it was cached last, expired or not, or as known inside."""
        try:
            entry = self._cache[feature_name]
        except KeyError:
            return super().last_known(feature_name)
        return entry if self._ttl is None else entry[0]  # type: ignore[no-any-return]

    def close(self) -> None:
        """Listen no more to changes in the inner store. Idempotent.

        Flags are kept for `ttl` seconds from then on, and not at all if that is `None`.
        The inner store remains the caller's to close. Without `invalidate` there is
        nothing to close.
        """
        if self._invalidation is not None:
            self._invalidation.close()
            self._invalidation.join()
            self._trust(False)

    # -- reading -----------------------------------------------------------------------

    def _fill(self, feature_name: str) -> FeatureFlagStoreItem | None:
        detect_fork()
        if self._invalidation is not None:
            self._invalidation.start()  # it has stayed behind when this was forked
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
            fill.item = reader_of(self._reader).get(feature_name)
        except BaseException as error:
            is_bridged = self._bridge(feature_name, fill, error)
            self._give_up(feature_name, fill)
            if not is_bridged:
                fill.error = error
                raise
        else:
            with self._lock:
                # Race: a write that began after this read has taken the place of
                # `fill`, or the signal of one has removed it; what was read may be
                # older, and is not kept.
                if self._under_way.get(feature_name) is fill:
                    del self._under_way[feature_name]
                    self._put(feature_name, fill.item)
            if self._has_failed:
                self._has_failed = False
                self._outage.ended()
        finally:
            fill.done.set()
        return fill.item

    def _shared(self, feature_name: str, fill: _Fill) -> FeatureFlagStoreItem | None:
        if fill.error is None:
            return fill.item
        if isinstance(fill.error, Exception):
            raise fill.error
        return self._fill(feature_name)  # the other thread was interrupted, not failed

    def _bridge(self, feature_name: str, fill: _Fill, error: BaseException) -> bool:
        """Let an expired entry answer instead of a failed read, if it may."""
        if not self._stale_if_error:
            return False
        if not isinstance(error, Exception) or isinstance(error, ANSWERS):
            return False
        is_away = has_opened_circuit(error) or open_circuit(
            self._reader, feature_name, error, self._outage
        )
        now = monotonic()
        with self._lock:
            try:
                # Race: it is what it is now that counts: a write or the signal of one
                # may have removed it since the read began.
                item, since, expiry, last = self._cache[feature_name]
            except KeyError:
                return False
            if not since <= now < last:
                return False
            if now >= expiry:
                self._cache[feature_name] = item, now, min(now + _PAUSE, last), last
        fill.item = item
        if not is_away:
            self._has_failed = True
            self._outage.failed(error)
        return True

    # -- writing -----------------------------------------------------------------------

    def _written(
        self, feature_name: str, write: Callable[[], T], find: Callable[[T], Any]
    ) -> T:
        """Write, or ask; cache the flag that `find` gives; return what `write` did."""
        detect_fork()
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
            # read before or after this write; or a signal has removed it, which may
            # have been of another one. So nothing is known, and nothing kept.
            is_last = self._under_way.pop(feature_name, None) is token
            if is_last and item is not _UNKNOWN:
                self._put(feature_name, item)
            else:
                self._cache.pop(feature_name, None)

    # Drop-in: not for `set_meta`, which leaves the cache as it was.
    @contextmanager
    def _dropping_if_missing(self, feature_name: str) -> Iterator[None]:
        """Forget what is cached of a flag that turns out to be missing."""
        try:
            yield
        except FlagDoesNotExistError:
            self._drop([feature_name])
            raise

    def _reread(self, feature_name: str) -> Any:
        try:
            return self._reader.get(feature_name)
        except Exception:  # noqa: BLE001  (it was written: that call has not failed)
            return _UNKNOWN

    def _put(self, feature_name: str, item: FeatureFlagStoreItem | None) -> None:
        ttl = self._ttl
        if ttl is None:
            self._cache[feature_name] = item
            return
        if self._jitter:
            ttl *= uniform(1.0 - self._jitter, 1.0)
        now = monotonic()
        expiry = now + ttl
        self._cache[feature_name] = item, now, expiry, expiry + self._stale_if_error

    def _give_up(self, feature_name: str, token: object) -> None:
        with self._lock:
            if self._under_way.get(feature_name) is token:
                del self._under_way[feature_name]

    # -- hearing of changes ------------------------------------------------------------

    def _drop(self, feature_names: Collection[str] | None) -> None:
        """Forget flags that have changed, `None` for all."""
        with self._lock:
            if feature_names is None:
                self._under_way.clear()
                self._cache = make_lru(self._size)
                return
            for feature_name in feature_names:
                # Race: what is being read or written may be older than the change.
                self._under_way.pop(feature_name, None)
                self._cache.pop(feature_name, None)

    def _trust(self, is_told: bool) -> None:
        """Let all entries expire, now that every change will be told, or none."""
        with self._lock:
            # Race: what is being read may have changed before changes were told.
            self._under_way.clear()
            self._set_ttl(is_told=is_told)
            now = monotonic()
            last_of_all = now + self._stale_if_error
            for feature_name in reversed(self._cache.keys()):  # stay in their order
                item, since, expiry, last = self._cache[feature_name]
                expired = item, since, min(expiry, now), min(last, last_of_all)
                self._cache[feature_name] = expired

    def _set_ttl(self, *, is_told: bool) -> None:
        if not self._has_ttl:
            self._ttl = _FOR_EVER if is_told else 0.0


def _check(ttl: object, stale_if_error: object, jitter: object) -> None:
    # Drop-in: 0 or less is a ttl, with which nothing is found in the cache.
    if ttl is not None and not is_between(-_FOR_EVER, ttl, _FOR_EVER):
        raise InvalidArgumentError(
            f"ttl={ttl!r} is no time; use seconds, or None for no expiry", value=ttl
        )
    check_seconds(
        *("stale_if_error", stale_if_error),
        none="to raise the error",
        largest=_FOR_EVER,
    )
    if not is_between(0, jitter, 1):
        raise InvalidArgumentError(
            f"jitter={jitter!r} is no part of the ttl; use a fraction from 0 to 1",
            value=jitter,
        )
