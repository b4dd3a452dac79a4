# SPDX-License-Identifier: Apache-2.0
"""A Thrift server in a thread of the test, and a store that is connected to it."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from thrift.protocol.TBinaryProtocol import TBinaryProtocol, TBinaryProtocolFactory
from thrift.server.TServer import TThreadedServer
from thrift.transport.TSocket import TServerSocket, TSocket
from thrift.transport.TTransport import TBufferedTransport, TBufferedTransportFactory

from flipper import ThriftRPCFeatureFlagStore
from flipper_thrift.python.feature_flag_store import FeatureFlagStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self


class Service:
    """A server in a thread of this process, for any handler.

    Attributes:
        port: where it listens.
        connections: how many connections it has accepted.
    """

    def __init__(
        self, handler: Any, transports: Any = None, protocols: Any = None
    ) -> None:
        self._listener = TServerSocket("127.0.0.1", 0)
        self._listener.listen()
        self.port: int = self._listener.handle.getsockname()[1]
        self._server = TThreadedServer(
            FeatureFlagStore.Processor(handler),
            self._listener,
            transports or TBufferedTransportFactory(),
            protocols or TBinaryProtocolFactory(),
        )
        self.connections = 0
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        serving = []
        while True:
            try:
                connection = self._listener.accept()
            except OSError:
                break
            self.connections += 1
            thread = threading.Thread(target=self._server.handle, args=[connection])
            thread.start()
            serving.append(thread)
        for thread in serving:
            thread.join()

    def __enter__(self) -> Self:
        """Return the service, which listens already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening, and wait until the clients have closed."""
        self._listener.handle.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()


@contextmanager
def connected(
    port: int,
    transport: Any = TBufferedTransport,
    protocol: Any = TBinaryProtocol,
    timeout: float | None = 10,
) -> Iterator[ThriftRPCFeatureFlagStore]:
    """Give a store that is connected to a port.

    Its attributes `client` and `transport` are the client and the client's transport.
    """
    tsocket = TSocket("127.0.0.1", port)
    tsocket.setTimeout(timeout and timeout * 1000)
    outer = transport(tsocket)
    client = FeatureFlagStore.Client(protocol(outer))
    store = ThriftRPCFeatureFlagStore(client)
    store.client = client  # type: ignore[attr-defined]
    store.transport = outer  # type: ignore[attr-defined]
    try:
        yield store
    finally:
        outer.close()
