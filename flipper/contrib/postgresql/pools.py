# SPDX-License-Identifier: Apache-2.0
"""Create pools of connections, and connections with the settings of a given pool."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any, Final

from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import ConnectionPool

from ...contracts.watch import WatchRefusedError

if TYPE_CHECKING:
    from psycopg import Connection

    from .time_limits import TimeLimitedConnection

_LARGEST_POOL: Final = 10  # connections
_KEEPALIVE: Final = 20  # seconds


def connection_settings(conninfo: str, timeout: float) -> dict[str, Any]:
    """Return settings to connect with, without those that the connection string has.

    Args:
        conninfo: the connection string.
        timeout: how many seconds connecting may take, and how long the system waits
            until the server confirms the data sent.
    """
    defaults = {
        "connect_timeout": ceil(timeout),
        # A server that loses its power does not close its connections, and the system
        # sends data again for a quarter of an hour.
        "tcp_user_timeout": int(timeout * 1000),
        "keepalives_idle": _KEEPALIVE,
        "keepalives_interval": _KEEPALIVE,
        "client_encoding": "utf8",
    }
    given = conninfo_to_dict(conninfo)
    return {
        "autocommit": True,
        **{name: value for name, value in defaults.items() if name not in given},
    }


def pool_for(
    conninfo: str,
    settings: dict[str, Any],
    timeout: float,
    kind: type[TimeLimitedConnection],
) -> Any:
    """Create a pool that is not open yet.

    Args:
        conninfo: the connection string.
        settings: what `connection_settings` returns.
        timeout: how many seconds to wait for a connection.
        kind: the class of the connections.
    """
    return ConnectionPool(
        conninfo,
        kwargs=settings,
        connection_class=kind,
        min_size=1,
        max_size=_LARGEST_POOL,
        open=False,
        name="flipper",
        timeout=timeout,
        # The pool must not try again in the background. A caller connects directly, and
        # so learns at once whether the server answers.
        reconnect_timeout=0,
        num_workers=1,
    )


def copy_pool(given: Any) -> Any:
    """Create a pool with the settings of another one, as far as they can be read.

    The new pool is not open yet.
    """
    return type(given)(
        given.conninfo,
        kwargs=given.kwargs,
        connection_class=given.connection_class,
        min_size=given.min_size,
        max_size=given.max_size,
        open=False,
        configure=getattr(given, "_configure", None),
        reset=getattr(given, "_reset", None),
        timeout=given.timeout,
        max_waiting=given.max_waiting,
        max_lifetime=given.max_lifetime,
        max_idle=given.max_idle,
        reconnect_timeout=given.reconnect_timeout,
        num_workers=given.num_workers,
    )


def connect_like(given: Any, timeout: int) -> Connection[Any]:
    """Create a connection with the settings of a pool, but outside the pool.

    Args:
        given: the pool.
        timeout: how many seconds connecting may take.

    Raises:
        WatchRefusedError: this kind of pool does not show its settings.
        psycopg.OperationalError: the server is down.
    """
    if not isinstance(given, ConnectionPool):
        raise WatchRefusedError(f"{given!r} does not show its settings")
    conninfo, kwargs = _value_of(given.conninfo), _value_of(given.kwargs)
    settings = {**(kwargs or {}), "autocommit": True, "connect_timeout": timeout}
    connection: Connection[Any]
    connection = given.connection_class.connect(conninfo, **settings)
    configure: Any = getattr(given, "_configure", None)
    if configure is not None:
        configure(connection)
    return connection


def _value_of(setting: Any) -> Any:
    """Return a setting of a pool. It may be a function that returns the value."""
    return setting() if callable(setting) else setting
