# SPDX-License-Identifier: Apache-2.0
"""A TCP proxy that cuts, delays and swallows what passes, as networks do."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

from .process import LOOPBACK, free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self


class Proxy:
    """Listens on a loopback port, and passes bytes to a server and back.

    It knows no protocol. A request begins when bytes come from the client, a reply when
    bytes come from the server after some from the client. That counts right for clients
    that wait for a whole reply before they send again on the same connection.
    Thread-safe.

    Attributes:
        host, port: where clients connect; the same for the proxy's whole life.
        connections: how many connections clients have opened.
        requests: how many requests have begun, swallowed ones not counted.
        replies: how many replies have begun, the lost one included.
        dropped: how many replies `drop_reply` has lost.
        bytes: how many bytes have come from clients and servers.
    """

    def __init__(
        self, target_host: str, target_port: int, *, port: int | None = None
    ) -> None:
        """Listen at once; the target need not answer yet.

        Args:
            target_host: where the server is, which is connected once for each client.
            target_port: its port.
            port: where to listen, if it matters.
        """
        self.target = (target_host, target_port)
        self.host = LOOPBACK
        self.port = free_port() if port is None else port
        self.connections = self.requests = self.replies = self.dropped = 0
        self.bytes = 0
        self._lock = threading.RLock()
        self._open: set[_Connection] = set()
        self._listener: socket.socket | None = None
        self._swallows = False
        self._delay = 0.0
        self._drop_at: int | None = None
        self._drop_after = 0
        self.restore()

    def cut(self) -> None:
        """Close every connection and refuse new ones."""
        with self._lock:
            listener, self._listener = self._listener, None
        if listener is not None:
            # Shut down, not only close: a forked child may hold the same socket open,
            # and closing does not wake up who waits in accept.
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            # Where a listener cannot be shut down, a visitor wakes up who waits.
            with contextlib.suppress(OSError):
                socket.create_connection((self.host, self.port), timeout=5).close()
            self._acceptor.join()
            listener.close()
        self._close_connections()

    def restore(self) -> None:
        """Pass everything at once again, and listen if it was cut.

        Connections that swallowed bytes are closed: what is lost cannot come any more.
        """
        with self._lock:
            swallowed, self._swallows = self._swallows, False
            self._delay = 0.0
            self._drop_at = None
        if swallowed:
            self._close_connections()
        with self._lock:
            if self._listener is None:
                address = (self.host, self.port)
                self._listener = socket.create_server(address, backlog=128)
                self._acceptor = self._start(self._accept, self._listener)

    def blackhole(self) -> None:
        """Accept connections and bytes, pass nothing on, answer nothing."""
        with self._lock:
            self._swallows = True

    def delay(self, seconds: float) -> None:
        """Delay each reply, from the next one on, by so many seconds."""
        with self._lock:
            self._delay = seconds

    def drop_reply(self, k: int = 1, *, after: int = 0) -> None:
        """Lose the k-th reply from now on (1 is the next), once.

        Its request reaches the server. The client gets the first `after` bytes of the
        reply; when more come, the connection is closed on both sides. A reply that is
        not longer than that is not lost.
        """
        with self._lock:
            self._drop_at = self.replies + k
            self._drop_after = after

    def clients(self) -> int:
        """Count the connections that clients have not closed.

        The server may keep its side of others, as long as it has not answered.
        """
        with self._lock:
            return sum(not connection.is_left for connection in self._open)

    def close(self) -> None:
        """Close everything, as `cut` does."""
        self.cut()

    def __enter__(self) -> Self:
        """Return the proxy, which listens already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close everything."""
        self.close()

    def _start(self, run: Callable[..., None], *args: object) -> threading.Thread:
        name = f"proxy-{self.port}"
        thread = threading.Thread(target=run, args=args, name=name, daemon=True)
        thread.start()
        return thread

    def _close_connections(self) -> None:
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            connection.end()
        for connection in connections:
            connection.thread.join()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                if listener is not self._listener:
                    client.close()
                    return
                self.connections += 1
                connection = _Connection(client)
                self._open.add(connection)
                connection.thread = self._start(self._serve, connection)

    def _serve(self, connection: _Connection) -> None:
        with connection.client, contextlib.suppress(OSError):
            if self._swallows:
                while connection.client.recv(65536):
                    pass
                return
            server = socket.create_connection(self.target, timeout=5)
            with server:
                server.settimeout(None)
                for side in (connection.client, server):
                    side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.server = server
                if connection.ended.is_set():
                    return
                replies = self._start(self._pass_replies, connection)
                self._pass_requests(connection)
                replies.join()
        with self._lock:
            self._open.discard(connection)

    def _pass_requests(self, connection: _Connection) -> None:
        try:
            while data := connection.client.recv(65536):
                if self._swallows:
                    continue
                # Race: counted before it is sent, the reply cannot overtake it.
                with self._lock:
                    self.bytes += len(data)
                    self.requests += not connection.awaits_reply
                    connection.awaits_reply = True
                connection.server.sendall(data)
            connection.is_left = True
            if self._swallows:
                connection.end()
            connection.server.shutdown(socket.SHUT_WR)
        except OSError:
            connection.end()

    def _pass_replies(self, connection: _Connection) -> None:
        try:
            while data := connection.server.recv(65536):
                if self._swallows:
                    continue
                if not self._lets_through(connection, len(data)):
                    connection.client.sendall(data[: connection.left])
                    connection.end()
                    return
                connection.client.sendall(data)
            if self._swallows:
                connection.ended.wait()
            connection.client.shutdown(socket.SHUT_WR)
        except OSError:
            connection.end()

    def _lets_through(self, connection: _Connection, length: int) -> bool:
        """Count a reply if one begins; delay or lose it if that is due."""
        delay = 0.0
        with self._lock:
            self.bytes += length
            if connection.awaits_reply:
                connection.awaits_reply = False
                connection.left = None
                self.replies += 1
                delay = self._delay
                if self.replies == self._drop_at:
                    self._drop_at = None
                    connection.left = self._drop_after
            if connection.left is not None:
                if length > connection.left:
                    self.dropped += 1
                    return False
                connection.left -= length
        if delay and connection.ended.wait(delay):
            connection.left = 0
            return False
        return True


class _Connection:
    """A client's connection and the one to the server that is opened for it."""

    thread: threading.Thread
    server: socket.socket

    def __init__(self, client: socket.socket) -> None:
        self.client = client
        self.awaits_reply = False
        self.is_left = False
        self.left: int | None = None  # bytes until the reply is cut
        self.ended = threading.Event()

    def end(self) -> None:
        """Shut both sides down, which wakes up threads that read or write there."""
        # Race: first the event, then the look for a server; `_serve` has the opposite
        # order, so that one of the two sees what the other did.
        self.ended.set()
        for side in (self.client, getattr(self, "server", None)):
            if side is not None:
                with contextlib.suppress(OSError):
                    side.shutdown(socket.SHUT_RDWR)
