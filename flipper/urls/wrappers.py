# SPDX-License-Identifier: Apache-2.0
"""The wrappers that options of a URL put around its store.

From the inside: the store, a cache or a synchronised copy, the refusal of writes.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ..exceptions import InvalidArgumentError
from .ownership import make_owner

if TYPE_CHECKING:
    from collections.abc import Callable

    from .options import Options

_SYNC_NUMBERS: Final = (
    *("poll_interval", "start_timeout", "max_staleness", "write_timeout"),
)
_ON_START_FAILURE: Final = ("raise", "empty", "snapshot")
_CACHE_NUMBERS: Final = ("ttl", "stale_if_error", "jitter")


def read_wrappers(options: Options) -> list[Callable[[Any], Any]]:
    """Read the options of all wrappers.

    Returns:
        Functions that wrap a store, to be called one after the other.

    Raises:
        InvalidArgumentError: an option is wrong, or two of them contradict each other.
    """
    sync, is_synced = _sync_options(options), options.switch("sync")
    cache = _cache_options(options)
    if sync and not is_synced:
        raise InvalidArgumentError(
            f"{options.subject} has {_names(sync)} without sync=1; add that, or leave "
            f"it out"
        )
    if cache and is_synced:
        raise InvalidArgumentError(
            f"{options.subject} has sync=1 and {_names(cache)}: a synchronised copy "
            f"has all flags in memory, and needs no cache; leave out one of the two"
        )
    if cache and "ttl" not in cache and not cache.get("invalidate"):
        raise InvalidArgumentError(
            f"{options.subject} has {_names(cache)}, and nothing that ends the life of "
            f"a cached flag; add ttl=30, in seconds, or invalidate=1"
        )
    found: list[Callable[[Any], Any]] = []
    if is_synced:
        found.append(partial(_synced, options=sync))
    if cache:
        found.append(partial(_cached, options=cache))
    if options.switch("read_only"):
        found.append(_read_only)
    return found


def _sync_options(options: Options) -> dict[str, Any]:
    found = {name: options.number(name) for name in _SYNC_NUMBERS if name in options}
    if "on_start_failure" in options:
        found["on_start_failure"] = options.choice(
            "on_start_failure", *_ON_START_FAILURE
        )
    if "snapshot" in options:
        found["snapshot"] = options.path("snapshot")
    return found


def _cache_options(options: Options) -> dict[str, Any]:
    found = {name: options.number(name) for name in _CACHE_NUMBERS if name in options}
    if "size" in options:
        found["size"] = options.integer("size")
    if "invalidate" in options:
        found["invalidate"] = options.switch("invalidate")
    return found


def _names(options: dict[str, Any]) -> str:
    return " and ".join(options)


def _synced(store: Any, options: dict[str, Any]) -> Any:
    from ..contrib.synced import SyncedFeatureFlagStore

    return _wrap(SyncedFeatureFlagStore, store, options)


def _cached(store: Any, options: dict[str, Any]) -> Any:
    from ..contrib.cached import CachedFeatureFlagStore

    return _wrap(CachedFeatureFlagStore, store, options)


def _read_only(store: Any) -> Any:
    from ..contrib.read_only import ReadOnlyFeatureFlagStore

    return _wrap(ReadOnlyFeatureFlagStore, store, {})


def _wrap(kind: type, store: Any, options: dict[str, Any]) -> Any:
    def close_inner() -> None:
        close = getattr(store, "close", None)  # a third party's may have none
        if close is not None:
            close()

    return make_owner(kind, store, release=close_inner, **options)
