# SPDX-License-Identifier: Apache-2.0
"""The change signal of Redis: it names the flags whose keys have changed."""

from __future__ import annotations

import selectors
from typing import TYPE_CHECKING, Any

from ...contracts.watch import Watch
from ...exceptions import StoreUnavailableError
from ...runtime.clock import monotonic
from .clients import decode_key, key_encodings
from .tracking import TrackingConnection

if TYPE_CHECKING:
    from collections.abc import Collection

# The selectors that come after poll, such as epoll, have a file descriptor of their
# own. A forked child would share it with its parent.
_Selector: Any = getattr(selectors, "PollSelector", selectors.SelectSelector)


class RedisWatch(Watch):
    """Listens on one connection to a server, or on one to each primary of a cluster.

    When the client learns of another primary in the cluster, `wait` raises an error,
    and a new watch listens to that primary, too. For one thread at a time.

    Args:
        redis: a client of redis-py. The connections get its settings.
        prefix: the prefix of the keys of flags. The rest of a key is the feature name.

    Raises:
        WatchRefusedError: the server cannot report changes, or its user has no
            permission for it.
        redis.RedisError: the server is down.
    """

    def __init__(self, redis: Any, prefix: str) -> None:
        self._redis = redis
        self._encodings = key_encodings(redis)
        self._prefixes = list({prefix.encode(e, "replace") for e in self._encodings})
        self._connections: list[TrackingConnection] = []
        self._selector = _Selector()
        self._primaries = self._known_primaries()
        try:
            for pool in self._pools():
                connection = TrackingConnection(pool, self._prefixes)
                self._connections.append(connection)
                self._selector.register(connection.socket, selectors.EVENT_READ)
        except BaseException:
            self.close()
            raise

    def wait(self, timeout: float) -> Collection[str] | None:
        """Wait until flags change, at most `timeout` seconds, and return their names.

        Raises:
            StoreUnavailableError: the watch is closed, or the primaries of the cluster
                have changed.
            StoreTimeoutError: the server does not answer.
            redis.RedisError: the connection is lost.
        """
        end = monotonic() + timeout
        try:
            while True:
                names = self._changed_names()
                left = end - monotonic()
                if names is None or names or left <= 0:
                    return names
                pauses = [connection.check_alive() for connection in self._connections]
                self._selector.select(min(left, *pauses))
        except BaseException:
            self.close()
            raise

    def revision(self) -> object:
        """Return always the same: Redis reports each change, or the connection breaks.

        So all flags need to be read again only in case that this is another server
        than the one that the store writes to, such as a primary that was replaced.
        """
        return True

    def close(self) -> None:
        """Stop listening, and close the connections. Idempotent."""
        connections, self._connections = self._connections, []
        for connection in connections:
            connection.close()
        self._selector.close()

    def _changed_names(self) -> set[str] | None:
        """Return the names reported so far, or `None` if any flag may have changed."""
        if not self._connections or self._primaries != self._known_primaries():
            raise StoreUnavailableError(
                "This watch is closed, or the cluster has other primaries now; call "
                "watch() again"
            )
        names: set[str] = set()
        is_emptied = False
        for connection in self._connections:
            for keys in connection.read():
                if keys is None:
                    is_emptied = True
                else:
                    found = map(self._name, keys)
                    names.update(name for name in found if name is not None)
        return None if is_emptied else names

    def _name(self, key: bytes) -> str | None:
        """Return the feature name in a key, or `None` if the key is not of a flag."""
        for prefix in self._prefixes:
            if key.startswith(prefix):
                name = decode_key(key[len(prefix) :], self._encodings)
                if name is not None:
                    return name
        return None

    def _pools(self) -> list[Any]:
        """Return the connection pools of the servers to listen to."""
        if self._primaries is None:
            return [self._redis.connection_pool]
        nodes = self._redis.get_primaries()
        return [self._redis.get_redis_connection(n).connection_pool for n in nodes]

    def _known_primaries(self) -> set[str] | None:
        """Return the primaries that the client of a cluster knows, else `None`."""
        from redis.cluster import RedisCluster

        if not issubclass(type(self._redis), RedisCluster):
            return None
        return {node.name for node in self._redis.get_primaries()}
