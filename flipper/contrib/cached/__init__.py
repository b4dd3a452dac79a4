# SPDX-License-Identifier: Apache-2.0
"""`CachedFeatureFlagStore` caches the flags of any store in this process's memory.

`entries` holds what is cached and until when, `lru` the table of bounded size, and
`invalidation` the background thread that drops the entries of changed flags.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakMethod, finalize

from ...contracts.circuit_breaker import (
    comes_from_open_circuit,
    current_reader,
    open_circuit,
)
from ...contracts.last_known import ERRORS_OF_ONE_FLAG
from ...contracts.transactions import is_uncommitted
from ...contracts.wrapper import FeatureFlagStoreWrapper
from ...exceptions import FlagDoesNotExistError
from ...runtime.closing import Closeable
from ...runtime.fork import detect_fork, renew_after_fork
from ...runtime.log_throttle import OutageLog
from ..interface import AbstractFeatureFlagStore as AbstractFeatureFlagStore
from ..storage import FeatureFlagStoreItem as FeatureFlagStoreItem  # noqa: TC001
from ..storage import FeatureFlagStoreMeta as FeatureFlagStoreMeta
from .entries import UNKNOWN, CacheEntries
from .invalidation import InvalidationListener
from .many import get_in_memory, get_many

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ...contracts.update import Change
    from .entries import ReadInProgress

T = TypeVar("T")

DEFAULT_SIZE = 5000
DEFAULT_TTL = None


class CachedFeatureFlagStore(Closeable, CacheEntries, FeatureFlagStoreWrapper):
    """Answers `get` from memory where it can. Safe for threads.

    The cache also remembers that a flag does not exist. If several threads miss the
    same flag at once, the inner store is read once for all of them. Writes go to the
    inner store and are visible at once in this process; other processes see them when
    their entry expires. `list` always asks the inner store.

    With `invalidate`, a daemon thread listens to the inner store until this store is
    closed. In a forked child it starts when a flag is asked for. While the inner store
    reports no changes, flags are kept for `ttl` seconds, or not at all if it is `None`.

    Args:
        store: the inner store, of any kind; with `invalidate`, of any kind but one that
            answers from a cache.
        size: how many flags are remembered. The least recently used are dropped first;
            with 0 none are remembered.
        ttl: seconds until an entry expires, fractions allowed. With 0 or less entries
            expire at once, with `None` never.
        stale_if_error: seconds beyond its expiry that an entry answers while the inner
            store fails. Each such entry answers for half a second before the store is
            asked for the flag again. A flag that was written here, or reported as
            changed, is not answered from its old entry. A flag whose document is broken
            does not count as a failure.
        jitter: the largest fraction of `ttl`, 0 to 1, by which an entry expires
            earlier. It is random for each entry, so that not all expire at once.
        invalidate: whether the change signal of the inner store (`SupportsWatch`) drops
            the entries of flags that have changed, whoever changed them.

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
        CacheEntries.__init__(
            self,
            *(size, ttl),
            stale_if_error=stale_if_error,
            jitter=jitter,
            is_invalidated=invalidate,
        )
        FeatureFlagStoreWrapper.__init__(self, store)
        self._outage = OutageLog(
            __name__,
            store,
            f"flags that have expired are answered as they were for "
            f"{self._stale_if_error:g} seconds",
        )
        self._has_failed = False
        self._listener: InvalidationListener | None = None
        if invalidate:
            self._listener = InvalidationListener(
                store, WeakMethod(self._invalidate), WeakMethod(self._set_listening)
            )
            finalize(self, self._listener.abandon).atexit = False
        renew_after_fork(self)
        if self._listener is not None:
            self._listener.start()

    def after_fork(self) -> None:
        """Forget reads and writes in progress: their threads are not in the child."""
        self._forget_reads_and_writes()
        if self._listener is not None:
            self._listener.after_fork()
            # No change is reported to the child until its own thread listens.
            self._forget_entries()

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag, or `None` if there is none."""
        try:
            entry = self._cache[feature_name]
        except KeyError:
            return self._read_and_cache(feature_name)
        if self._ttl is None:
            return entry  # type: ignore[no-any-return]
        item, since, expiry, _ = entry
        if since <= monotonic() < expiry:
            return item  # type: ignore[no-any-return]
        return self._read_and_cache(feature_name)

    get_in_memory = get_in_memory
    get_many = get_many

    def create(
        self,
        feature_name: str,
        is_enabled: bool = False,
        client_data: dict[str, Any] | None = None,
    ) -> FeatureFlagStoreItem:
        """Write a new flag, replacing any flag of that name, and return it."""
        create = partial(super().create, feature_name, is_enabled, client_data)
        return self._call_and_cache(feature_name, create, lambda _, item: item)  # type: ignore[no-any-return]  # of `partial`

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Change the state and keep the metadata; create the flag if it is missing."""
        set_state = partial(super().set, feature_name, is_enabled)
        self._call_and_cache(feature_name, set_state, self._reread)

    def set_meta(self, feature_name: str, meta: Any) -> None:
        """Replace the metadata and keep the state.

        Raises:
            FlagDoesNotExistError: there is no such flag.
        """
        set_meta = partial(super().set_meta, feature_name, meta)
        self._call_and_cache(feature_name, set_meta, self._reread)

    def update(self, feature_name: str, change: Change) -> FeatureFlagStoreItem:
        """Replace a flag by what `change` returns for it, and return that."""
        update = partial(super().update, feature_name, change)
        with self._invalidating_if_missing(feature_name):
            return self._call_and_cache(feature_name, update, self._reread)

    def delete(self, feature_name: str) -> None:
        """Remove the flag if it exists."""
        delete = partial(super().delete, feature_name)
        self._call_and_cache(feature_name, delete, lambda *_: UNKNOWN)

    def delete_existing(self, feature_name: str) -> None:
        """Remove the flag.

        Raises:
            FlagDoesNotExistError: the inner store reports that there is no such flag.
        """
        delete = partial(super().delete_existing, feature_name)
        with self._invalidating_if_missing(feature_name):
            self._call_and_cache(feature_name, delete, lambda *_: UNKNOWN)

    def get_uncached(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Read the flag from the inner store, cache it, and return it."""
        get = partial(super().get_uncached, feature_name)
        return self._call_and_cache(feature_name, get, lambda _, item: item)  # type: ignore[no-any-return]  # of `partial`

    def last_known(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag as last cached, even if it has expired, without I/O.

        If there is no entry, return what the inner store last knew of it.
        """
        try:
            entry = self._cache[feature_name]
        except KeyError:
            return super().last_known(feature_name)
        return entry if self._ttl is None else entry[0]  # type: ignore[no-any-return]

    def close(self) -> None:
        """Stop listening to changes of the inner store. Idempotent.

        The store goes on answering; flags are cached for `ttl` seconds from then on,
        or not at all if it is `None`. The caller has to close the inner store.
        """
        if self._listener is not None:
            self._listener.close()
            self._listener.join()
            self._set_listening(False)

    def _read_and_cache(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Read a flag from the inner store, once for all threads that ask for it."""
        detect_fork()
        if self._listener is not None:
            self._listener.start()  # a forked child has no such thread yet
        if is_uncommitted(self._store, feature_name):
            return self._reader.get(feature_name)  # what each thread sees differs
        read, is_new = self._begin_read(feature_name)
        if not is_new:
            return self._wait_for(read, feature_name)
        try:
            read.item = current_reader(self._reader).get(feature_name)
        except BaseException as error:
            has_stale_item = self._answer_with_stale(feature_name, read, error)
            self._cancel(feature_name, read)
            if not has_stale_item:
                read.error = error
                raise
        else:
            self._finish_read(feature_name, read)
            if self._has_failed:
                self._has_failed = False
                self._outage.ended()
        finally:
            read.done.set()
        return read.item

    def _wait_for(
        self, read: ReadInProgress, feature_name: str
    ) -> FeatureFlagStoreItem | None:
        """Return, or raise, the result of a read that another thread makes."""
        if read.thread == threading.get_ident():  # a signal handler interrupted it
            return self._reader.get(feature_name)
        read.done.wait()
        if read.error is None:
            return read.item
        if isinstance(read.error, Exception):
            raise read.error
        # The other thread was interrupted; the store has not failed.
        return self._read_and_cache(feature_name)

    def _answer_with_stale(
        self, feature_name: str, read: ReadInProgress, error: BaseException
    ) -> bool:
        """Give a failed read the flag of an expired entry; return whether it may."""
        if not self._stale_if_error:
            return False
        if not isinstance(error, Exception) or isinstance(error, ERRORS_OF_ONE_FLAG):
            return False
        is_outage = comes_from_open_circuit(error) or open_circuit(
            self._reader, feature_name, error, self._outage
        )
        item = self._use_stale(feature_name)
        if item is UNKNOWN:
            return False
        read.item = item
        if not is_outage:  # else the circuit breaker logs the outage
            self._has_failed = True
            self._outage.failed(error)
        return True

    def _call_and_cache(
        self,
        feature_name: str,
        call: Callable[[], T],
        find_item: Callable[[str, T], Any],
    ) -> T:
        """Call the inner store, cache the flag as it is then, and return the result.

        Args:
            feature_name: the flag.
            call: a write, or a read that is not shared with other threads.
            find_item: given the name and the result of `call`, returns the flag to be
                cached, `None` if it does not exist, or `UNKNOWN` to drop its entry.
        """
        detect_fork()
        token = self._begin_write(feature_name)
        try:
            result = call()
            # What is not committed may be rolled back, so nothing is cached.
            is_open = is_uncommitted(self._store, feature_name)
            item = UNKNOWN if is_open else find_item(feature_name, result)
        except Exception:
            self._cancel(feature_name, token)  # nothing was written
            raise
        except BaseException:
            self._finish_write(feature_name, token, UNKNOWN)  # interrupted half-way
            raise
        self._finish_write(feature_name, token, item)
        return result

    def _reread(self, feature_name: str, _: object) -> Any:
        """Read a flag that was written by a call that does not return it."""
        try:
            return self._reader.get(feature_name)
        except Exception:  # noqa: BLE001  (the write has succeeded, so nothing is raised)
            return UNKNOWN

    # Drop-in: not for `set_meta`, which leaves the cache as it was.
    @contextmanager
    def _invalidating_if_missing(self, feature_name: str) -> Iterator[None]:
        """Drop the entry of a flag if the inner store reports that it is missing."""
        try:
            yield
        except FlagDoesNotExistError:
            self._invalidate([feature_name])
            raise
