# SPDX-License-Identifier: Apache-2.0
"""One connection on which one Redis server reports changed keys, and says it is alive.

It uses client-side caching in broadcasting mode, https://redis.io/docs/latest/develop
/reference/client-side-caching, which needs no configuration and no scripts. Redis
reports every write, so that the programs that write need to do nothing.
"""

from __future__ import annotations

from contextlib import suppress
from inspect import signature
from typing import TYPE_CHECKING, Any, Final

from ...contracts.watch import WatchRefusedError
from ...exceptions import StoreTimeoutError
from ...runtime.clock import monotonic

if TYPE_CHECKING:
    from collections.abc import Sequence

_CHANNEL: Final = "__redis__:invalidate"

# All in seconds.
_CONNECT_TIMEOUT: Final = 2.0
_PING_AFTER: Final = 2.0  # without any message from the server
_ANSWER_WITHIN: Final = 2.5

# Settings of a pool's connections that a connection outside the pool must not share.
# `db` is left out because Redis reports the keys of all databases anyway.
_POOL_SETTINGS: Final = (
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


class TrackingConnection:
    """A connection on which a server reports changed keys. For one thread at a time.

    Args:
        pool: a connection pool of redis-py. The connection gets its settings.
        prefixes: the server reports the keys that begin with one of these.

    Raises:
        WatchRefusedError: the server cannot report changes, or its user has no
            permission for it.
        redis.RedisError: the server is down.
    """

    def __init__(self, pool: Any, prefixes: Sequence[bytes]) -> None:
        from redis import exceptions

        self._pinged_at: float | None = None  # `None` if no answer is expected
        try:
            self._connect(pool, prefixes)
        except exceptions.ConnectionError:
            # A proxy closes the connection at commands that it does not know. But a
            # server that restarts closes it, too.
            if not _answers_ping(pool):
                raise
            try:
                self._connect(pool, prefixes)
            except exceptions.ConnectionError as error:
                raise _refusal(error) from error
        self._received_at = monotonic()
        # A selector needs the socket, and redis-py has no public name for it.
        self.socket = self._connection._sock  # noqa: SLF001

    def read(self) -> list[list[bytes] | None]:
        """Return the keys of each message that has arrived, without waiting.

        `None` instead of keys means that any key may have changed.

        Raises:
            redis.RedisError: the connection is lost.
        """
        found = []
        while self._connection.can_read(timeout=0):
            message = self._receive()
            self._pinged_at = None
            self._received_at = monotonic()
            if message[0] == b"message":
                found.append(message[2])
        return found

    def check_alive(self) -> float:
        """Send a PING to a silent server. Return the seconds until the next check.

        Raises:
            StoreTimeoutError: the server has not answered the PING in time.
            redis.RedisError: the connection is lost.
        """
        now = monotonic()
        if self._pinged_at is None:
            if now < self._received_at + _PING_AFTER:
                return self._received_at + _PING_AFTER - now
            self._send(("PING",))
            self._pinged_at = now
        if now > self._pinged_at + _ANSWER_WITHIN:
            raise StoreTimeoutError(
                f"Redis has not answered for {now - self._received_at:.1f} seconds"
            )
        return self._pinged_at + _ANSWER_WITHIN - now

    def close(self) -> None:
        """Close the connection. It never raises an error."""
        with suppress(Exception):
            self._connection.disconnect()

    def _connect(self, pool: Any, prefixes: Sequence[bytes]) -> None:
        from redis import exceptions

        self._connection = _connection_like(pool)
        try:
            self._connection.connect()
            self._start_tracking(prefixes)
        except BaseException as error:
            self.close()
            if isinstance(error, exceptions.ResponseError):
                raise _refusal(error) from error
            raise

    def _start_tracking(self, prefixes: Sequence[bytes]) -> None:
        wanted = [part for prefix in prefixes for part in ("PREFIX", prefix)]
        self._send(("CLIENT", "ID"))
        # With REDIRECT the changed keys arrive as messages of a channel, which each
        # version of redis-py can read. A connection may redirect them to itself.
        client_id = self._receive()
        self._send(
            ("CLIENT", "TRACKING", "ON", "REDIRECT", client_id, "BCAST", *wanted),
            ("SUBSCRIBE", _CHANNEL),
        )
        self._receive()
        self._receive()

    def _send(self, *commands: tuple[Any, ...]) -> None:
        packed = self._connection.pack_commands(commands)
        self._connection.send_packed_command(packed, check_health=False)

    def _receive(self) -> Any:
        return self._connection.read_response(disable_decoding=True)


def _connection_like(pool: Any) -> Any:
    """Make a connection with the settings of a pool, but outside the pool."""
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    kind = pool.connection_class
    known = {
        name for base in kind.__mro__ for name in signature(base.__init__).parameters
    }
    settings = {
        name: value
        for name, value in pool.connection_kwargs.items()
        if name not in _POOL_SETTINGS
    }
    # To send the name and version of the driver would cost one more round trip.
    unsent = ("driver_info",) if "driver_info" in known else ("lib_name", "lib_version")
    settings.update((name, None) for name in unsent if name in known)
    if "protocol" in known:
        settings["protocol"] = 2
    return kind(
        **{
            **settings,
            "decode_responses": False,
            "health_check_interval": 0,
            "retry": Retry(NoBackoff(), 0),
            "socket_connect_timeout": _CONNECT_TIMEOUT,
            "socket_timeout": _ANSWER_WITHIN,
        }
    )


def _answers_ping(pool: Any) -> bool:
    """Return whether the server answers a PING, which every Redis does."""
    connection = _connection_like(pool)
    try:
        connection.connect()
        connection.send_command("PING", check_health=False)
        return bool(connection.read_response(disable_decoding=True) == b"PONG")
    except Exception:  # noqa: BLE001  (the caller raises the first error)
        return False
    finally:
        with suppress(Exception):
            connection.disconnect()


def _refusal(error: Exception) -> WatchRefusedError:
    return WatchRefusedError(
        f"This Redis does not report changes ({error}); use Redis 6.0 or newer, "
        f"connect without a proxy, and permit the commands (ACL SETUSER <user> "
        f"+client|id +client|tracking +subscribe +ping &{_CHANNEL})"
    )
