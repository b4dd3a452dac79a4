# SPDX-License-Identifier: Apache-2.0
"""flipper-client on a Redis server, and the bare operations beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contenders.flipper_client import document
from redis import Redis

from flipper import FeatureFlagClient, RedisFeatureFlagStore

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workloads import Flag

_BATCH = 1000


class Contender:
    """Flags in one database of a Redis server, which is emptied before."""

    exact = True

    def __init__(self, flags: Iterable[Flag], address: str) -> None:
        self._redis = Redis.from_url(address)
        self._redis.flushdb()
        documents = {f"features/{flag.name}": document(flag) for flag in flags}
        self._redis.mset(documents)
        self._document = next(iter(documents.values()))
        # A connection of its own, as the bare operations have theirs.
        self._stored = Redis.from_url(address)
        self._features = self._new()

    def on_off(self, calls: list[Any]) -> list[Any]:
        is_enabled = self._features.is_enabled
        return [is_enabled(name) for name in calls]

    def bare_on_off(self, calls: list[Any]) -> list[Any]:
        get = self._redis.get
        return [get(f"features/{name}") for name in calls]

    def toggle(self, calls: list[Any]) -> list[Any]:
        enable, disable = self._features.enable, self._features.disable
        return [enable(name) if on else disable(name) for name, on in calls]

    def bare_toggle(self, calls: list[Any]) -> list[Any]:
        write, document = self._redis.set, self._document
        return [write(f"bare/{name}", document) for name, _ in calls]

    def list_all(self, calls: list[Any]) -> list[Any]:
        features = self._features
        return [list(features.list()) for _ in calls]

    def list_first(self, calls: list[Any]) -> list[Any]:
        new = self._new
        return [list(new().list()) for _ in calls]

    def bare_list_all(self, calls: list[Any]) -> list[Any]:
        return [self._read_all() for _ in calls]

    bare_list_first = bare_list_all

    def _new(self) -> FeatureFlagClient:
        return FeatureFlagClient(RedisFeatureFlagStore(self._stored))

    def _read_all(self) -> list[Any]:
        keys = list(self._redis.scan_iter("features/*", count=_BATCH))
        read = []
        for i in range(0, len(keys), _BATCH):
            read += self._redis.mget(keys[i : i + _BATCH])
        return read
