# SPDX-License-Identifier: Apache-2.0
"""Compare and set one key by WATCH, MULTI and EXEC, on one connection of redis-py.

A pipeline of redis-py is not used. It takes separate round trips for WATCH and GET,
which doubles the time, and it raises the same error for a lost connection and for a key
that another client has changed.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def pooled_connection(pool: Any) -> Iterator[Any]:
    """Take a connection from a client's pool for the time of a `with` statement."""
    try:
        connection = pool.get_connection()
    except TypeError:  # redis-py before 5.3 requires the name of a command
        connection = pool.get_connection("WATCH")
    try:
        yield connection
    except BaseException:
        # The next user of this connection must not read our replies, and must not fail
        # because of a key that we watch.
        connection.disconnect()
        raise
    finally:
        pool.release(connection)


def watch_and_read(connection: Any, key: str) -> bytes | None:
    """Watch a key, then read it. Repeat this as often as the client's settings allow.

    Raises:
        redis.RedisError: the server is down, or it refuses the commands.
    """
    replies = connection.retry.call_with_retry(
        lambda: _send_and_receive(connection, ("WATCH", key), ("GET", key)),
        lambda _: connection.disconnect(),
    )
    found: bytes | None = replies[1]
    return found


def unwatch(connection: Any) -> None:
    """Stop watching keys.

    Raises:
        redis.RedisError: the server is down.
    """
    _send_and_receive(connection, ("UNWATCH",))


def write_unless_changed(connection: Any, key: str, document: bytes) -> bool:
    """Write a watched key, and return whether it was written.

    It is not written if any client has changed it since `watch_and_read`.

    Raises:
        redis.ConnectionError, redis.TimeoutError: the reply is lost; the key may have
            been written.
        redis.ResponseError: the server refuses the write.
    """
    # Race: a check of the connection's health could reconnect, and a new connection
    # watches no key.
    transaction = ("MULTI",), ("SET", key, document), ("EXEC",)
    outcome = _send_and_receive(connection, *transaction, check_health=False)[2]
    if outcome is None:
        return False
    for reply in outcome:
        if isinstance(reply, Exception):
            raise reply
    return True


def _send_and_receive(
    connection: Any, *commands: tuple[Any, ...], check_health: bool = True
) -> list[Any]:
    """Send all commands in one packet, and return their replies in bytes."""
    packed = connection.pack_commands(commands)
    connection.send_packed_command(packed, check_health=check_health)
    return [connection.read_response(disable_decoding=True) for _ in commands]
