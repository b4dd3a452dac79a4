# SPDX-License-Identifier: Apache-2.0
"""The program that serves a store by Thrift, started as a user starts it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest
from thrift.transport.TTransport import (
    TTransportException,
)

from flipper import (
    Condition,
    FeatureFlagClient,
)
from flipper.contrib.thrift.server import main
from servers import Proxy, RedisServer
from servers.process import Server
from support.lost_replies import WRITES, lose_each_reply
from support.thrift_service import connected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.thrift


ROOT = Path(__file__).parents[3]


MODULE = "flipper.contrib.thrift.server"


class ThriftServer(Server):
    """The module, started as a user starts it."""

    variable = "FLIPPER_TEST_THRIFT"
    arguments: ClassVar[list[str]] = []

    def find_programs(self) -> None:
        """Nothing to find: it is this library."""

    def command(self) -> list[str]:
        """Return what a user types."""
        port = str(self.port)
        return [sys.executable, "-m", MODULE, "--port", port, *self.arguments]

    def answers(self) -> bool:
        """Connect."""
        socket.create_connection((self.host, self.port), timeout=5).close()
        return True


@pytest.fixture
def server() -> Iterator[ThriftServer]:
    """Give a server for a memory store, which loses its flags when it is restarted."""
    with ThriftServer() as running:
        yield running


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_the_program_prints_its_address_and_ends_on_a_signal(ending: int) -> None:
    """The program prints where it listens, and ends with 0 on SIGINT and SIGTERM."""
    with subprocess.Popen(
        [sys.executable, "-m", MODULE, "--port", "0"],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            line = process.stdout.readline()
            found = re.fullmatch(r"Serving .* on 127\.0\.0\.1:(\d+)\n", line)
            assert found, line
            with connected(int(found[1])) as store:
                store.create("f")  # the connection stays open
                process.send_signal(ending)
                assert process.wait(10) == 0
            assert process.stderr.read() == ""
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--store", "tape"], "'tape' is unknown"),
        (["--store", "redis://host:port"], "port"),
        (["--port", "http"], "invalid int value"),
        (["--host", "192.0.2.1"], "cannot listen on 192.0.2.1"),
    ],
)
def test_a_wrong_command_line_ends_with_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong command line is named in the error, and ends the program with 2."""
    handlers = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def redis_url(request: pytest.FixtureRequest) -> str:
    """Return the URL of the tests' Redis."""
    server: RedisServer = request.getfixturevalue("redis_server")
    return server.url


def postgres_url(request: pytest.FixtureRequest) -> str:
    """Return the connection string of an empty database."""
    conninfo: str = request.getfixturevalue("postgres_conninfo")
    return conninfo


def consul_url(request: pytest.FixtureRequest) -> str:
    """Return the URL of a base key of the tests' Consul."""
    server = request.getfixturevalue("consul_server")
    return f"consul://{server.host}:{server.port}/behind-thrift"


def s3_url(request: pytest.FixtureRequest) -> str:
    """Return the URL of an empty bucket."""
    s3 = request.getfixturevalue("s3_server")
    monkeypatch = request.getfixturevalue("monkeypatch")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "us-east-1")
    return f"s3://{request.getfixturevalue('s3_bucket')}"


@pytest.mark.parametrize(
    "named",
    [
        pytest.param(redis_url, marks=pytest.mark.redis),
        pytest.param(postgres_url, marks=pytest.mark.postgres),
        pytest.param(consul_url, marks=pytest.mark.consul),
        pytest.param(s3_url, marks=pytest.mark.s3),
    ],
)
def test_the_program_serves_the_store_of_its_argument(
    named: Callable[[pytest.FixtureRequest], str], request: pytest.FixtureRequest
) -> None:
    """Flags that one server has written are there for the next one."""
    server = ThriftServer()
    server.arguments = ["--store", named(request)]
    with server:
        with connected(server.port) as store:
            client = FeatureFlagClient(store)
            client.create("behind-thrift", is_enabled=True)
            client.add_condition("behind-thrift", Condition(a__in=["ß"]))
        server.restart()
        with connected(server.port) as store:
            client = FeatureFlagClient(store)
            assert client.is_enabled("behind-thrift", a="ß") is True
            assert client.is_enabled("behind-thrift", a="s") is False
            client.destroy("behind-thrift")
            assert not client.exists("behind-thrift")


SAMPLE = """
from flipper import FeatureFlagClient, ThriftRPCFeatureFlagStore
from flipper_thrift.python.feature_flag_store import (
    FeatureFlagStore as TFeatureFlagStore
)
from thrift import Thrift
from thrift.transport import TSocket
from thrift.transport import TTransport
from thrift.protocol import TBinaryProtocol


transport = TSocket.TSocket('localhost', 9090)
transport = TTransport.TBufferedTransport(transport)
protocol = TBinaryProtocol.TBinaryProtocol(transport)

thrift_client = TFeatureFlagStore.Client(protocol)

transport.open()

store = ThriftRPCFeatureFlagStore(thrift_client)
client = FeatureFlagClient(store)
"""


def test_the_published_example_works_in_the_checkout(
    server: ThriftServer,
) -> None:
    """The published example works even beside the folder called `thrift`."""
    code = SAMPLE.replace("9090", str(server.port)) + (
        "client.create('f')\nclient.enable('f')\nprint(client.is_enabled('f'))\n"
        "transport.close()\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "True\n", "")


def test_two_stores_of_one_server_share_their_flags(server: ThriftServer) -> None:
    """A flag that one client creates exists for another client."""
    with connected(server.port) as one, connected(server.port) as other:
        one.create("f", is_enabled=True)
        item = other.get("f")
        assert item is not None
        assert item.is_enabled() is True
        other.delete("f")
        assert one.get("f") is None


def test_a_client_without_thrift_is_disconnected(server: ThriftServer) -> None:
    """A connection that sends no Thrift is closed, and disturbs no other."""
    with connected(server.port) as store:
        store.create("f")
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as visitor:
            visitor.sendall(b"GET / HTTP/1.1\r\nHost: flags\r\n\r\n")
            try:
                answer = visitor.recv(100)
            except ConnectionResetError:
                answer = b""
            assert answer == b""
        assert store.get("f") is not None


def test_flags_answer_as_last_known_during_an_outage(
    server: ThriftServer,
) -> None:
    """During an outage flags answer as last known, and all other calls raise."""
    with connected(server.port) as store:
        client = FeatureFlagClient(store)
        for name in ("on", "off"):
            client.create(name, is_enabled=True)
        client.disable("off")
        server.kill()
        for _ in range(1000):
            assert client.is_enabled("on") is True
            assert client.is_enabled("off", default="mine") is False
        condition = Condition(a=1)
        for call in (
            lambda: client.exists("on"),
            lambda: client.create("on"),
            lambda: client.enable("off"),
            lambda: client.destroy("on"),
            lambda: client.add_condition("on", condition),
            lambda: client.get_meta("on"),
            lambda: list(client.list()),
        ):
            with pytest.raises(TTransportException):
                call()
        server.start()
        assert client.exists("on") is False  # it keeps flags in memory
        client.create("on")
        server.restart()
        with suppress(TTransportException):
            client.exists(
                "on"
            )  # old versions of Thrift notice the lost connection here
        client.create("on", is_enabled=True)
        assert client.is_enabled("on") is True


@pytest.mark.parametrize("write", WRITES)
def test_a_write_whose_reply_is_lost_raises_or_has_taken_effect(
    server: ThriftServer, write: str
) -> None:
    """Nothing is sent twice; a write raises if one of its replies is lost."""
    with (
        connected(server.port) as direct,
        Proxy("127.0.0.1", server.port) as proxy,
        connected(proxy.port) as store,
    ):
        flags = FeatureFlagClient(store)
        losses = lose_each_reply(
            write, proxy, lambda: flags, direct, TTransportException
        )
    assert losses.errors == losses.replies
    expected = {"create": 1, "create another": 1, "enable": 2, "destroy": 2}
    assert losses.replies == expected.get(write, losses.replies)
