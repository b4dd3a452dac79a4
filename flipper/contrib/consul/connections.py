# SPDX-License-Identifier: Apache-2.0
"""HTTP connections: those of a store's threads, and a client's own after a fork."""

from __future__ import annotations

import copy
import os
import socket
from collections import OrderedDict
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any, Final
from weakref import ref

from ...exceptions import StoreUnavailableError

_CONNECT_TIMEOUT: Final = 5.0  # in seconds

# Adapters with connections of the parent process. They are kept, because the garbage
# collector would close the connections, which the parent still uses.
_adapters_of_parent: list[Any] = []


def renew_connections(consul: Any) -> None:
    """Make a client open new connections, in place of those that its session keeps.

    On a connection that the parent process uses too, a child would get replies that are
    meant for the parent.
    """
    adapters = _adapters_of(consul)
    if adapters is None:
        return
    for address, adapter in list(adapters.items()):
        _adapters_of_parent.append(adapter)
        adapters[address] = _without_connections(adapter)


class ConsulConnections:
    """The connections of one store's background threads.

    They are not those of the application's client: closing them interrupts no request
    of anybody else.

    Safe for threads, and after a fork as soon as `after_fork` was called. `close` takes
    no lock, because the garbage collector may call it in any thread at any time.
    """

    def __init__(self) -> None:
        self._is_closed = False
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        # Weak references. Adding, removing and copying are single steps.
        self._sockets: set[Any] = set()
        self._adapters: dict[int, tuple[Any, Any]] = {}

    def after_fork(self) -> None:
        """Leave the connections to the parent process, and use others in this one."""
        _adapters_of_parent.append(self._adapters)
        self._begin()

    def client(self, consul: Any) -> Any:
        """Return a copy of `consul`, with its present settings, for these connections.

        An object that keeps its connections in another way than python-consul and
        py-consul do, such as a test double, is returned as it is. Its requests cannot
        be interrupted.
        """
        adapters = _adapters_of(consul)
        if adapters is None:
            return consul
        agent: Any = getattr(getattr(consul, "kv", None), "agent", None)
        if agent is not consul:
            return consul
        client = _copied(agent)
        client.http, client.kv = _copied(agent.http), _copied(agent.kv)
        client.kv.agent = client
        client.http.session = _copied(agent.http.session)
        client.http.session.adapters = OrderedDict(
            (address, self._own_adapter(adapter))
            for address, adapter in adapters.items()
        )
        return client

    def interrupt(self) -> None:
        """Make the requests that are under way fail; new ones are possible."""
        if os.getpid() != self._process:
            return  # in a forked child, this would end requests of the parent
        for reference in self._sockets.copy():
            connected = reference()
            if connected is not None:
                # `close` would not wake up a thread that reads.
                with suppress(OSError):
                    connected.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Interrupt the requests that are under way, and refuse new ones."""
        # Race: first refuse, then interrupt. A connection that is made meanwhile is
        # added to the sockets before it checks whether this is closed.
        self._is_closed = True
        self.interrupt()

    def release(self) -> None:
        """Close the idle connections."""
        for _, adapter in list(self._adapters.values()):
            adapter.close()

    def _own_adapter(self, adapter: Any) -> Any:
        known = self._adapters.get(id(adapter))
        if known is None:
            # The original is kept, so that no other object gets its id.
            known = adapter, self._track_connections(_without_connections(adapter))
            known = self._adapters.setdefault(id(adapter), known)
        return known[1]

    def _track_connections(self, adapter: Any) -> Any:
        """Make an adapter of requests call `track` for each connection it opens."""

        def tracking(find: Any) -> Any:
            def find_and_track(*arguments: Any, **options: Any) -> Any:
                pool = find(*arguments, **options)
                kind = getattr(pool, "ConnectionCls", None)
                if isinstance(kind, type) and not issubclass(kind, _TrackedConnection):
                    bases = (_TrackedConnection, kind)
                    members = {"connections": self}
                    pool.ConnectionCls = type(kind.__name__, bases, members)
                return pool

            return find_and_track

        # The methods by which requests finds a pool, from version 2.32 on and before. A
        # method that was replaced on the adapter is left alone: it may find pools of
        # the original adapter.
        for name in ("get_connection_with_tls_context", "get_connection"):
            if hasattr(adapter, name) and name not in vars(adapter):
                setattr(adapter, name, tracking(getattr(adapter, name)))
        return adapter

    def track(self, connection: Any) -> None:
        """Remember the socket of an open connection, so that it can be interrupted.

        Raises:
            StoreUnavailableError: the store is closed; so is the connection then.
        """
        connected = getattr(connection, "sock", None)
        # pyOpenSSL, unlike Python's ssl, keeps the socket in an attribute.
        connected = getattr(connected, "socket", connected)
        if connected is not None:
            self._sockets.add(ref(connected, self._sockets.discard))
        if self._is_closed:
            connection.close()
            raise StoreUnavailableError(
                "This Consul store is closed; create another one"
            )


class _TrackedConnection:
    """A connection of urllib3 that calls `ConsulConnections.track` when it is open."""

    connections: ConsulConnections
    timeout: Any

    def connect(self, *arguments: Any, **options: Any) -> Any:
        """Connect, within 5 seconds if the client has no timeout."""
        # Connecting cannot be interrupted. urllib3 sets the timeout for reading after
        # this.
        if self.timeout is None:
            self.timeout = _CONNECT_TIMEOUT
        result = super().connect(*arguments, **options)  # type: ignore[misc]
        self.connections.track(self)
        return result


def _adapters_of(consul: Any) -> MutableMapping[Any, Any] | None:
    """Return the HTTP adapters of a client's session, `None` if it has none."""
    adapters: Any = consul
    for name in ("http", "session", "adapters"):
        adapters = getattr(adapters, name, None)
    return adapters if isinstance(adapters, MutableMapping) else None


def _without_connections(adapter: Any) -> Any:
    """Copy an adapter with all its settings, but with a new connection pool."""
    if not hasattr(adapter, "init_poolmanager"):
        return _copied(adapter)
    made = object.__new__(type(adapter))
    made.__dict__.update(vars(adapter))
    made.proxy_manager = {}
    # `copy.copy` would call `init_poolmanager` before a subclass has its own
    # attributes, such as a TLS setting, which it may need there.
    made.init_poolmanager(
        made._pool_connections, made._pool_maxsize, block=made._pool_block
    )
    return made


def _copied(original: Any) -> Any:
    """Copy an object with all attributes, also those that its `copy` leaves out."""
    made = copy.copy(original)
    made.__dict__.update(vars(original))
    return made
