# SPDX-License-Identifier: Apache-2.0
"""The change signal of Redis: it tells by itself which keys of a prefix have changed.

Client-side caching in broadcasting mode, https://redis.io/docs/latest/develop/reference
/client-side-caching: no configuration, no scripts, and whoever writes need not know.
"""

from __future__ import annotations

import selectors
from contextlib import suppress
from inspect import signature
from typing import TYPE_CHECKING, Any, Final

from ...contracts.watch import Watch, WatchRefusedError
from ...exceptions import StoreTimeoutError, StoreUnavailableError
from ...runtime.clock import monotonic

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

_CHANNEL: Final = "__redis__:invalidate"

# All in seconds.
_CONNECTING: Final = 2.0
_SILENCE: Final = 2.0  # after which the server is asked whether it is there
_PATIENCE: Final = 2.5  # with its answer

# What a connection has of its pool and must not have alone. And what it does without:
# the keys of all databases are told of.
_OF_THE_POOL: Final = (
    "cache",
    "cache_config",
    "db",
    "driver_info",
    "event_dispatcher",
    "himport_registry",
    "lib_name",
    "lib_version",
    "maint_notifications_config",
    "maint_notifications_pool_handler",
    "oss_cluster_maint_notifications_handler",
)

# Not of poll's better successors: these are files that a forked child would share.
_Selector: Any = getattr(selectors, "PollSelector", selectors.SelectSelector)


class RedisWatch(Watch):
    """Listens on connections of its own: one, or one to each primary of a cluster.

    A node that joins a cluster is listened to when the client knows it.

    Args:
        redis: a client of redis-py, whose settings the connections get.
        prefix: what the keys begin with; the rest are the names.

    Raises:
        WatchRefusedError: the server does not do this, or not for this user.
        redis.RedisError: it is away.
    """

    def __init__(self, redis: Any, prefix: str) -> None:
        self._redis = redis
        # The driver's C extension writes keys in UTF-8, even for a client that has
        # another encoding.
        self._encodings = dict.fromkeys(("utf-8", redis.get_encoder().encoding))
        self._prefixes = list({prefix.encode(e, "replace") for e in self._encodings})
        self._links: list[_Link] = []
        self._selector = _Selector()
        self._nodes = self._known_nodes()
        try:
            for pool in self._pools():
                link = _Link(pool, self._prefixes)
                self._links.append(link)
                self._selector.register(link.socket, selectors.EVENT_READ)
        except BaseException:
            self.close()
            raise

    def wait(self, timeout: float) -> Collection[str] | None:
        """Wait until flags change, `timeout` seconds at most, and name them.

        Raises:
            StoreUnavailableError: the watch has ended, or the cluster has other nodes.
            StoreTimeoutError: the server is silent.
            redis.RedisError: the connection is lost.
        """
        until = monotonic() + timeout
        try:
            while True:
                names = self._heard()
                left = until - monotonic()
                if names is None or names or left <= 0:
                    return names
                pauses = [link.tend() for link in self._links]
                self._selector.select(min(left, *pauses))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop listening, and close the connections. Idempotent."""
        links, self._links = self._links, []
        for link in links:
            link.close()
        self._selector.close()

    def _heard(self) -> set[str] | None:
        """Return the names that have come by now, `None` if it may be any."""
        if not self._links or self._nodes != self._known_nodes():
            raise StoreUnavailableError("What this watch listened to has gone")
        names: set[str] = set()
        is_emptied = False
        for link in self._links:
            for keys in link.read():
                if keys is None:
                    is_emptied = True
                else:
                    found = map(self._name, keys)
                    names.update(name for name in found if name is not None)
        return None if is_emptied else names

    def _name(self, key: bytes) -> str | None:
        for prefix in self._prefixes:
            if key.startswith(prefix):
                for encoding in self._encodings:
                    with suppress(UnicodeDecodeError):
                        return key[len(prefix) :].decode(encoding)
        return None

    def _pools(self) -> list[Any]:
        if self._nodes is None:
            return [self._redis.connection_pool]
        nodes = self._redis.get_primaries()
        return [self._redis.get_redis_connection(n).connection_pool for n in nodes]

    def _known_nodes(self) -> set[str] | None:
        """Name the primaries of a cluster as far as the client knows them."""
        from redis.cluster import RedisCluster

        if not issubclass(type(self._redis), RedisCluster):
            return None
        return {node.name for node in self._redis.get_primaries()}


class _Link:
    """A connection on which a server tells of changes."""

    def __init__(self, pool: Any, prefixes: Sequence[bytes]) -> None:
        from redis import exceptions

        self._asked: float | None = None  # when, unless it has been answered
        try:
            self._begin(pool, prefixes)
        except exceptions.ConnectionError:
            # Proxies hang up at commands they do not know. But servers restart, too.
            if not _answers(pool):
                raise
            try:
                self._begin(pool, prefixes)
            except exceptions.ConnectionError as error:
                raise _refused(error) from error
        self._heard = monotonic()
        self.socket = self._connection._sock  # noqa: SLF001  (one cannot wait otherwise)

    def _begin(self, pool: Any, prefixes: Sequence[bytes]) -> None:
        from redis import exceptions

        self._connection = _connection_of(pool)
        try:
            self._connection.connect()
            self._listen(prefixes)
        except BaseException as error:
            self.close()
            if isinstance(error, exceptions.ResponseError):
                raise _refused(error) from error
            raise

    def _listen(self, prefixes: Sequence[bytes]) -> None:
        wanted = [part for prefix in prefixes for part in ("PREFIX", prefix)]
        self._send(("CLIENT", "ID"))
        # What is redirected to a connection comes as messages of a channel, which each
        # version of the driver can read. It may be redirected to itself.
        number = self._receive()
        self._send(
            ("CLIENT", "TRACKING", "ON", "REDIRECT", number, "BCAST", *wanted),
            ("SUBSCRIBE", _CHANNEL),
        )
        self._receive()
        self._receive()

    def read(self) -> list[list[bytes] | None]:
        """Return the keys of each message that has come by now."""
        found = []
        while self._connection.can_read(timeout=0):
            message = self._receive()
            self._asked = None
            self._heard = monotonic()
            if message[0] == b"message":
                found.append(message[2])
        return found

    def tend(self) -> float:
        """Ask a silent server whether it is there; return when to come again.

        Raises:
            StoreTimeoutError: it has not answered.
        """
        now = monotonic()
        if self._asked is None:
            if now < self._heard + _SILENCE:
                return self._heard + _SILENCE - now
            self._send(("PING",))
            self._asked = now
        if now > self._asked + _PATIENCE:
            raise StoreTimeoutError(
                f"Redis has not answered for {now - self._heard:.1f} seconds"
            )
        return self._asked + _PATIENCE - now

    def close(self) -> None:
        """Close the connection."""
        with suppress(Exception):
            self._connection.disconnect()

    def _send(self, *commands: tuple[Any, ...]) -> None:
        packed = self._connection.pack_commands(commands)
        self._connection.send_packed_command(packed, check_health=False)

    def _receive(self) -> Any:
        return self._connection.read_response(disable_decoding=True)


def _connection_of(pool: Any) -> Any:
    """Make a connection with the settings of a pool, but not in it."""
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    kind = pool.connection_class
    known = {
        name for base in kind.__mro__ for name in signature(base.__init__).parameters
    }
    settings = {
        name: value
        for name, value in pool.connection_kwargs.items()
        if name not in _OF_THE_POOL
    }
    # What makes itself known to the server takes a round trip more.
    unsaid = ("driver_info",) if "driver_info" in known else ("lib_name", "lib_version")
    settings.update((name, None) for name in unsaid if name in known)
    if "protocol" in known:
        settings["protocol"] = 2
    return kind(
        **{
            **settings,
            "decode_responses": False,
            "health_check_interval": 0,
            "retry": Retry(NoBackoff(), 0),
            "socket_connect_timeout": _CONNECTING,
            "socket_timeout": _PATIENCE,
        }
    )


def _answers(pool: Any) -> bool:
    """Tell whether the server answers what every Redis does."""
    connection = _connection_of(pool)
    try:
        connection.connect()
        connection.send_command("PING", check_health=False)
        return bool(connection.read_response(disable_decoding=True) == b"PONG")
    except Exception:  # noqa: BLE001  (the first error is told)
        return False
    finally:
        with suppress(Exception):
            connection.disconnect()


def _refused(error: Exception) -> WatchRefusedError:
    return WatchRefusedError(
        f"This Redis does not tell of changes ({error}); that takes Redis 6.0 or newer "
        f"without a proxy before it, and a user who may (ACL SETUSER <user> "
        f"+client|id +client|tracking +subscribe +ping &{_CHANNEL})"
    )
