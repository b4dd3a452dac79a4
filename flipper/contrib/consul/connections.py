# SPDX-License-Identifier: Apache-2.0
"""Connections to Consul: those of a store, and those of a client after a fork."""

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

# Sockets of the parent: to close them, or to let them go, is up to the parent.
_parents: list[Any] = []


def renew_connections(consul: Any) -> None:
    """Let a client that keeps connections, as it does by a session, make new ones.

    A request on a connection that the parent uses too would get the parent's answers.
    """
    adapters = _adapters_of(consul)
    if adapters is None:
        return
    for address, adapter in list(adapters.items()):
        _parents.append(adapter)
        adapters[address] = _without_connections(adapter)


class ConsulConnections:
    """The connections of one store's background threads, which `close` interrupts.

    They are apart from those of the client that the application has given: ending them
    ends no request of anybody else.

    Safe for threads, and for forks after `after_fork`. `close` takes no lock: the
    garbage collector may call it in any thread, at any place.
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
        """Leave the connections to the parent, and make others in this process."""
        _parents.append(self._adapters)
        self._begin()

    def client(self, consul: Any) -> Any:
        """Return a client like `consul`, with its present settings, that uses these.

        Whatever keeps its connections in another way than python-consul and py-consul
        do, such as a test double, is returned as it is: it cannot be interrupted.
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
            (address, self._own(adapter)) for address, adapter in adapters.items()
        )
        return client

    def interrupt(self) -> None:
        """Let the requests that are under way fail; new ones may follow."""
        if os.getpid() != self._process:
            return  # a forked child: shutting down would end the parent's requests
        for reference in self._sockets.copy():
            connected = reference()
            if connected is not None:
                # Not only closed, which would wake up no thread that reads.
                with suppress(OSError):
                    connected.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Interrupt the requests that are under way, and refuse new ones."""
        # Race: first refuse, then interrupt. A connection that is made meanwhile is
        # known before it looks whether it is refused.
        self._is_closed = True
        self.interrupt()

    def release(self) -> None:
        """Close the connections that wait for a request."""
        for _, adapter in list(self._adapters.values()):
            adapter.close()

    def _own(self, adapter: Any) -> Any:
        known = self._adapters.get(id(adapter))
        if known is None:
            # With the original, so that no other object gets its id.
            known = adapter, self._tracking(_without_connections(adapter))
            known = self._adapters.setdefault(id(adapter), known)
        return known[1]

    def _tracking(self, adapter: Any) -> Any:
        """Let an adapter of requests tell this of the connections that it makes."""

        def tracking(find: Any) -> Any:
            def find_and_track(*arguments: Any, **options: Any) -> Any:
                pool = find(*arguments, **options)
                kind = getattr(pool, "ConnectionCls", None)
                if isinstance(kind, type) and not issubclass(kind, _Tracked):
                    bases = (_Tracked, kind)
                    members = {"connections": self}
                    pool.ConnectionCls = type(kind.__name__, bases, members)
                return pool

            return find_and_track

        # The one by which requests 2.32 and later find a pool, and the earlier one. Not
        # what somebody has put in their place: it may find pools of the original.
        for name in ("get_connection_with_tls_context", "get_connection"):
            if hasattr(adapter, name) and name not in vars(adapter):
                setattr(adapter, name, tracking(getattr(adapter, name)))
        return adapter

    def _take_in(self, connection: Any) -> None:
        connected = getattr(connection, "sock", None)
        # Encryption by other means than Python's ssl wraps a socket.
        connected = getattr(connected, "socket", connected)
        if connected is not None:
            self._sockets.add(ref(connected, self._sockets.discard))
        if self._is_closed:
            connection.close()
            raise StoreUnavailableError("This Consul store is closed; make another one")


class _Tracked:
    """A connection of urllib3 that tells the `ConsulConnections` when it is made."""

    connections: ConsulConnections
    timeout: Any

    def connect(self, *arguments: Any, **options: Any) -> Any:
        """Connect; without a time limit of the client's there is one for this."""
        # What does not come about within that cannot be interrupted. urllib3 sets the
        # limit for reading afterwards.
        if self.timeout is None:
            self.timeout = _CONNECT_TIMEOUT
        result = super().connect(*arguments, **options)  # type: ignore[misc]
        self.connections._take_in(self)  # noqa: SLF001  (its other half)
        return result


def _adapters_of(consul: Any) -> MutableMapping[Any, Any] | None:
    """Return what a client's session has for connections, `None` if it has nothing."""
    adapters: Any = consul
    for name in ("http", "session", "adapters"):
        adapters = getattr(adapters, name, None)
    return adapters if isinstance(adapters, MutableMapping) else None


def _without_connections(adapter: Any) -> Any:
    """Make an adapter with all the settings of another and a pool of its own."""
    if not hasattr(adapter, "init_poolmanager"):
        return _copied(adapter)
    made = object.__new__(type(adapter))
    made.__dict__.update(vars(adapter))
    made.proxy_manager = {}
    # Not by copying: then a subclass that looks at attributes of its own here, such as
    # a TLS setting, would not have them yet.
    made.init_poolmanager(
        made._pool_connections, made._pool_maxsize, block=made._pool_block
    )
    return made


def _copied(original: Any) -> Any:
    """Copy an object with all of its attributes, those too that it would leave out."""
    made = copy.copy(original)
    made.__dict__.update(vars(original))
    return made
