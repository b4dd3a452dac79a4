# SPDX-License-Identifier: Apache-2.0
"""The proxy between tests and servers, in front of a real Redis."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from flipper.testing.contract import eventually
from servers import Proxy, RedisServer
from servers.process import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self

pytestmark = pytest.mark.redis

KEY = "proxy-test"


class Client:
    """A Redis client that never repeats anything by itself."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.close()

    def send(self, command: str) -> None:
        """Send a command."""
        self._socket.sendall(command.encode() + b"\r\n")

    def receive(self) -> bytes:
        """Return one reply, or nothing if the connection was closed."""
        try:
            return self._socket.recv(1000)
        except ConnectionResetError:
            return b""

    def ask(self, command: str) -> bytes:
        """Send a command, and return its reply."""
        self.send(command)
        return self.receive()

    def gets_nothing(self) -> bool:
        """Return whether there is neither a byte nor an end within a moment."""
        self._socket.settimeout(0.2)
        try:
            self._socket.recv(1)
        except TimeoutError:
            return True
        return False


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[Proxy]:
    """Give a proxy before Redis, with the key of these tests absent."""
    with Client(redis_server.port) as direct:
        direct.ask(f"DEL {KEY}")
    with Proxy(redis_server.host, redis_server.port) as proxy:
        yield proxy


def stored(server: RedisServer) -> bytes:
    """Return the value of the key, read without the proxy."""
    with Client(server.port) as direct:
        return direct.ask(f"GET {KEY}").splitlines()[-1]


def test_proxy_passes_and_counts_everything(
    proxy: Proxy, redis_server: RedisServer
) -> None:
    """By default the proxy passes everything, and counts it."""
    with Client(proxy.port) as one, Client(proxy.port) as two:
        assert one.ask(f"INCR {KEY}") == b":1\r\n"
        assert two.ask(f"INCR {KEY}") == b":2\r\n"
        assert one.ask("ECHO " + "x" * 500) == b"$500\r\n" + b"x" * 500 + b"\r\n"
    assert (proxy.connections, proxy.requests, proxy.replies) == (2, 3, 3)
    assert proxy.dropped == 0
    assert stored(redis_server) == b"2"


def test_cut_closes_connections_and_refuses_new_ones(proxy: Proxy) -> None:
    """`cut` closes all connections, and refuses new ones."""
    with Client(proxy.port) as client:
        assert client.ask("PING") == b"+PONG\r\n"
        proxy.cut()
        assert client.receive() == b""
        with pytest.raises(ConnectionRefusedError):
            Client(proxy.port)


def test_restore_listens_on_the_same_port(proxy: Proxy) -> None:
    """`restore` listens on the same port after each `cut`."""
    for _ in range(3):
        proxy.cut()
        proxy.restore()
        with Client(proxy.port) as client:
            assert client.ask("PING") == b"+PONG\r\n"


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_drop_reply_loses_exactly_the_kth_reply(
    proxy: Proxy, redis_server: RedisServer, k: int
) -> None:
    """The k-th request takes effect, and only its reply is lost."""
    proxy.drop_reply(k)
    with Client(proxy.port) as client:
        for n in range(1, k):
            assert client.ask(f"INCR {KEY}") == f":{n}\r\n".encode()
        assert client.ask(f"INCR {KEY}") == b""
    assert stored(redis_server) == str(k).encode()
    with Client(proxy.port) as client:
        for n in range(k + 1, k + 4):
            assert client.ask(f"INCR {KEY}") == f":{n}\r\n".encode()
    assert (proxy.dropped, proxy.replies) == (1, k + 3)


def test_drop_reply_may_pass_the_first_bytes(proxy: Proxy) -> None:
    """`drop_reply(after=n)` passes n bytes; a reply that is no longer arrives."""
    with Client(proxy.port) as client:
        proxy.drop_reply(after=7)
        assert client.ask("PING") == b"+PONG\r\n"
        assert client.ask("PING") == b"+PONG\r\n"
        proxy.drop_reply(after=6)
        assert client.ask("PING") == b"+PONG\r"
        assert client.receive() == b""
    assert (proxy.dropped, proxy.replies) == (1, 3)


def test_connections_that_clients_have_closed_do_not_count(proxy: Proxy) -> None:
    """`clients` counts only connections that clients have not closed."""
    with Client(proxy.port) as one:
        one.ask("PING")
        with Client(proxy.port) as two:
            two.ask("PING")
            assert proxy.clients() == 2
        eventually(lambda: proxy.clients() == 1)


def test_drop_reply_counts_from_now_and_over_all_connections(proxy: Proxy) -> None:
    """`drop_reply` counts replies of all connections from now on."""
    with Client(proxy.port) as one, Client(proxy.port) as two:
        assert one.ask(f"INCR {KEY}") == b":1\r\n"
        proxy.drop_reply(2)
        assert one.ask(f"INCR {KEY}") == b":2\r\n"
        assert two.ask(f"INCR {KEY}") == b""
        assert one.ask(f"INCR {KEY}") == b":4\r\n"


def test_blackhole_accepts_and_answers_nothing(
    proxy: Proxy, redis_server: RedisServer
) -> None:
    """`blackhole` accepts connections and bytes, and passes nothing."""
    with Client(proxy.port) as old:
        assert old.ask(f"INCR {KEY}") == b":1\r\n"
        proxy.blackhole()
        with Client(proxy.port) as new:
            for client in (old, new):
                client.send(f"INCR {KEY}")
                assert client.gets_nothing()
            assert stored(redis_server) == b"1"
            proxy.restore()
            assert old.receive() == new.receive() == b""
    with Client(proxy.port) as client:
        assert client.ask(f"INCR {KEY}") == b":2\r\n"


def test_delay_delays_replies_and_not_requests(
    proxy: Proxy, redis_server: RedisServer
) -> None:
    """`delay` delays replies and not requests, and `cut` does not wait for them."""
    proxy.delay(0.01)
    with Client(proxy.port) as client:
        assert client.ask(f"INCR {KEY}") == b":1\r\n"
        proxy.delay(3600)
        client.send(f"INCR {KEY}")
        assert client.gets_nothing()
        assert stored(redis_server) == b"2"
        proxy.cut()
        assert client.receive() == b""


def test_proxy_closes_connections_if_its_target_is_down() -> None:
    """The proxy closes the connections of clients while its target is down."""
    with Proxy("127.0.0.1", free_port()) as proxy, Client(proxy.port) as client:
        assert client.receive() == b""
