# SPDX-License-Identifier: Apache-2.0
"""The connection of a Thrift client: opened, locked for one call, renewed after a fork.

Thrift's clients are not safe for threads, and go on with half a message after an error.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from copy import copy
from io import BytesIO
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from ...runtime.fork import at_fork, detect_fork, renew_after_fork

with suppress(ImportError):  # the store raises an error of its own when it is made
    from thrift.transport.TTransport import TTransportBase

if TYPE_CHECKING:
    from collections.abc import Callable


class ThriftConnection:
    """The connection of a Thrift client to its server. Safe for threads.

    It makes one call at a time, and opens the transport before a call if it is not
    open. A client without a transport, such as a test double, is merely called.
    """

    def __init__(self, client: Any) -> None:
        self._lock = threading.RLock()
        protocols = _attributes([client], "_iprot", "_oprot")
        self._transports = [
            transport
            for transport in _attributes(protocols, "trans")
            if hasattr(transport, "isOpen") and hasattr(transport, "open")
        ]
        # A protocol may remember how far in a message it is: now, at its beginning.
        self._initial_positions = [
            (protocol, _position_in_message(protocol)) for protocol in protocols
        ]
        # A reference to it keeps any other object from getting its id.
        self._shared = self._transports[0] if self._transports else client
        renew_after_fork(self)

    @classmethod
    def for_client(cls, client: Any) -> ThriftConnection:
        """Return the connection of a client: one for all that share a transport."""
        detect_fork()
        made = cls(client)
        with _connections_lock:
            return _connections.setdefault(id(made._shared), made)

    @property
    def lock(self) -> Any:
        """The reentrant lock that a thread holds for one call, or for several."""
        detect_fork()
        return self._lock

    def call(
        self,
        method: Callable[..., Any],
        arguments: tuple[Any, ...],
        server_errors: tuple[type[Exception], ...],
    ) -> Any:
        """Call a method of the client.

        Args:
            method: the method.
            arguments: its arguments, by position.
            server_errors: errors that are a complete reply of the server. All others
                close the transport; the next call opens it again.

        Raises:
            Exception: what the method raises, and what opening the transport raises.
        """
        with self.lock:
            try:
                for transport in self._transports:
                    if not transport.isOpen():
                        transport.open()
                return method(*arguments)
            except server_errors:
                raise
            except BaseException:
                # After an interruption, too, half a message may be on its way.
                self._close()
                raise

    def after_fork(self) -> None:
        """Leave the connection to the parent process; the next call opens another."""
        self._lock = threading.RLock()
        self._close()

    def _close(self) -> None:
        """Close the transport, and forget what its buffers hold."""
        for transport in self._transports:
            with suppress(Exception):
                transport.close()
            _empty_buffers(transport)
        for protocol, position in self._initial_positions:
            for name, value in position.items():
                setattr(protocol, name, copy(value))


_connections: WeakValueDictionary[int, ThriftConnection] = WeakValueDictionary()
_connections_lock = threading.Lock()


def _renew_lock() -> None:
    # Race: a thread that held the lock while the process forked is not in the child.
    global _connections_lock  # noqa: PLW0603  (one for all)
    _connections_lock = threading.Lock()


at_fork(after_in_child=_renew_lock)


def _attributes(objects: list[Any], *names: str) -> list[Any]:
    """Return the values of these attributes, each object once, without `None`."""
    values = [getattr(each, name, None) for each in objects for name in names]
    return list({id(value): value for value in values if value is not None}.values())


def _empty_buffers(transport: Any) -> None:
    # Thrift has no method for it: `close` keeps the buffers, `flush` may send them.
    for name, value in list(getattr(transport, "__dict__", {}).items()):
        if isinstance(value, BytesIO):
            setattr(transport, name, BytesIO())
        elif isinstance(value, TTransportBase):
            _empty_buffers(value)


def _position_in_message(protocol: Any) -> dict[str, Any]:
    """Copy the attributes in which a protocol may remember where in a message it is."""
    return {
        name: copy(value)
        for name, value in getattr(protocol, "__dict__", {}).items()
        if value is None or type(value) in (int, list)
    }
