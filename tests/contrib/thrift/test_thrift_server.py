# SPDX-License-Identifier: Apache-2.0
"""The Thrift server: any store behind it, and the program that a user starts."""

from __future__ import annotations

import json
import logging
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.Thrift import TApplicationException
from thrift.transport.TSocket import TSocket
from thrift.transport.TTransport import (
    TBufferedTransport,
    TMemoryBuffer,
    TTransportException,
)

from flipper import (
    CachedFeatureFlagStore,
    Condition,
    FeatureFlagClient,
    FlagDoesNotExistError,
    MemoryFeatureFlagStore,
    RedisFeatureFlagStore,
    ReplicatedFeatureFlagStore,
    ThriftRPCFeatureFlagStore,
)
from flipper.bucketing import Percentage, PercentageBucketer
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.contrib.thrift.server import FeatureFlagStoreHandler, main
from flipper_thrift.python.feature_flag_store import FeatureFlagStore, ttypes
from servers import Proxy, RedisServer
from servers.process import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.thrift

ROOT = Path(__file__).parents[3]
MODULE = "flipper.contrib.thrift.server"


class Loop:
    """A transport whose other end is a processor, without a network between."""

    def __init__(self, handler: Any) -> None:
        self._processor = FeatureFlagStore.Processor(handler)
        self._request, self._reply = b"", TMemoryBuffer(b"")

    def write(self, data: bytes) -> None:
        """Add to the request."""
        self._request += data

    def flush(self) -> None:
        """Have the request processed."""
        request, reply = TMemoryBuffer(self._request), TMemoryBuffer()
        self._request = b""
        self._processor.process(TBinaryProtocol(request), TBinaryProtocol(reply))
        self._reply = TMemoryBuffer(reply.getvalue())

    def readAll(self, size: int) -> bytes:  # noqa: N802  (Thrift's own name)
        """Read from the reply."""
        data: bytes = self._reply.readAll(size)
        return data


def client_of(store: Any) -> Any:
    """Give a Thrift client of a store behind the handler."""
    loop = Loop(FeatureFlagStoreHandler(store))
    return FeatureFlagStore.Client(TBinaryProtocol(loop))


class OldStyleStore:
    """A store of a user's own: six methods, documents in a dict, nothing derived."""

    def __init__(self) -> None:
        self.rows: dict[str, bytes] = {}

    def create(
        self, feature_name: str, is_enabled: bool = False, client_data: Any = None
    ) -> FeatureFlagStoreItem:
        """Write a new flag."""
        meta = FeatureFlagStoreMeta(1500000000, client_data)
        item = FeatureFlagStoreItem(feature_name, is_enabled, meta)
        self.rows[feature_name] = item.serialize()
        return item

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Read a flag."""
        row = self.rows.get(feature_name)
        return None if row is None else FeatureFlagStoreItem.deserialize(row)

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Write the state."""
        item = self.get(feature_name) or self.create(feature_name)
        self.rows[feature_name] = item.replace(is_enabled=is_enabled).serialize()

    def delete(self, feature_name: str) -> None:
        """Remove a flag."""
        self.rows.pop(feature_name, None)

    def list(
        self, limit: int | None = None, offset: int = 0
    ) -> Iterator[FeatureFlagStoreItem | None]:
        """List the flags, and one that is gone by now."""
        end = None if limit is None else offset + limit
        yield from [*map(self.get, sorted(self.rows)), None][offset:end]

    def set_meta(self, feature_name: str, meta: FeatureFlagStoreMeta) -> None:
        """Write the metadata."""
        item = self.get(feature_name)
        assert item is not None
        self.rows[feature_name] = item.replace(meta=meta).serialize()


def fake_redis() -> RedisFeatureFlagStore:
    """Make a Redis store without a server."""
    return RedisFeatureFlagStore(pytest.importorskip("fakeredis").FakeRedis())


STORES: dict[str, Callable[[], Any]] = {
    "memory": MemoryFeatureFlagStore,
    "old-style": OldStyleStore,
    "redis": fake_redis,
    "cached": lambda: CachedFeatureFlagStore(OldStyleStore()),  # type: ignore[arg-type]
    "replicated": lambda: ReplicatedFeatureFlagStore(
        MemoryFeatureFlagStore(), MemoryFeatureFlagStore()
    ),
    "thrift": lambda: ThriftRPCFeatureFlagStore(client_of(MemoryFeatureFlagStore())),
}


@pytest.mark.parametrize("kind", STORES)
def test_any_store_can_be_served(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """What a store promises holds for it behind the service."""
    inner = STORES[kind]()
    store = ThriftRPCFeatureFlagStore(client_of(inner))
    created = store.create("a", is_enabled=True, client_data={"k": "ß"})
    assert created.meta["client_data"] == {"k": "ß"}
    assert store.create("b").raw_is_enabled is False
    store.set("c", True)
    meta = FeatureFlagStoreMeta(
        1234,
        client_data={"k": [None]},
        conditions=[Condition(a=1), Condition(b__in=["x"])],
        bucketer=PercentageBucketer(Percentage(0.5)),
    )
    store.set_meta("a", meta)
    for reader in (store, inner):
        item = reader.get("a")
        assert item.raw_is_enabled is True
        assert item.meta == meta.to_dict()
    assert sorted(item.feature_name for item in store.list()) == ["a", "b", "c"]
    assert len(list(store.list(limit=1))) == 1
    assert len(list(store.list(limit=2, offset=1))) == 2
    assert not list(store.list(limit=0))
    assert not list(store.list(limit=2**63 - 1, offset=3))
    store.delete("a")
    store.delete("a")
    assert store.get("a") is None
    with pytest.raises(FlagDoesNotExistError):
        store.set_meta("a", meta)
    assert inner.get("a") is None
    assert not [record for record in caplog.records if record.name == MODULE]


class SlowStore(OldStyleStore):
    """A store in which others can write between a read and the write after it."""

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Read a flag, and give others the time."""
        item = super().get(feature_name)
        time.sleep(0.002)
        return item


def test_callers_that_write_at_once_lose_nothing() -> None:
    """The handler is where writers meet: a store that cannot compare needs it."""
    handler = FeatureFlagStoreHandler(SlowStore())  # type: ignore[arg-type]
    meta = ttypes.FeatureFlagStoreMeta(client_data='{"k": 1}')
    writes: list[Any] = [(handler.Set, "f", True), (handler.SetMeta, "f", meta)]
    with ThreadPoolExecutor(2) as threads:
        for number in range(20):
            handler.Create("f", False, None)
            first = threads.submit(*writes[number % 2])
            time.sleep(number * 0.0003)  # so that the other comes at every point of it
            threads.submit(*writes[1 - number % 2]).result()
            first.result()
            item = handler.Get("f")
            assert (item.is_enabled, item.meta.client_data) == (True, '{"k": 1}')


def test_metadata_without_a_date_leaves_the_date() -> None:
    """A client that sets a bucketer need not know when the flag was made."""
    store = MemoryFeatureFlagStore()
    client = client_of(store)
    client.Create("f", True, "")
    client.SetMeta("f", ttypes.FeatureFlagStoreMeta(created_date=77))
    client.SetMeta("f", ttypes.FeatureFlagStoreMeta(client_data='{"a": 1}'))
    item = store.get("f")
    assert item is not None
    assert item.meta["created_date"] == 77
    assert item.meta["client_data"] == {"a": 1}


def test_a_limit_that_is_absent_is_none() -> None:
    """So is an offset; and both count what the store counts."""
    client = client_of(MemoryFeatureFlagStore())
    for name in "abc":
        client.Create(name, False, None)
    names = [item.feature_name for item in client.List(None, None)]
    assert names == ["a", "b", "c"]
    assert [item.feature_name for item in client.List(1, 1)] == ["b"]
    with pytest.raises(ttypes.FlipperException, match="-1"):
        client.List(-1, 0)
    with pytest.raises(ttypes.FlipperException, match="-1"):
        client.List(None, -1)


def checked(variable: Any, value: Any, symbol: Any = None) -> Any:
    """Make metadata with a check."""
    operator = ttypes.ConditionOperator(symbol)
    check = ttypes.ConditionCheck(variable, value, operator)
    return ttypes.FeatureFlagStoreMeta(5, conditions=[{"a": [check]}])


@pytest.mark.parametrize(
    ("method", "arguments", "said"),
    [
        ("Create", ("", True, "{}"), "is empty"),
        ("Create", (None, True, "{}"), "is not text"),
        ("Create", ("n" * 1001, True, "{}"), "1001 bytes"),
        ("Create", ("f", True, "{"), "JSONDecodeError"),
        ("Create", ("f", True, "[1]"), "not a dict"),
        ("Create", ("f", True, "[" * 100_000), "RecursionError"),
        ("SetMeta", ("f", None), "absent"),
        ("SetMeta", ("f", ttypes.FeatureFlagStoreMeta(5, "{")), "JSONDecodeError"),
        ("SetMeta", ("f", ttypes.FeatureFlagStoreMeta(5, "5")), "not an object"),
        (
            "SetMeta",
            ("f", ttypes.FeatureFlagStoreMeta(5, bucketer='{"type": "X"}')),
            "Bucketer type not supported: X",
        ),
        ("SetMeta", ("f", checked("a", "1", "like")), "Operator not supported: like"),
        ("SetMeta", ("f", checked("a", "one")), "JSONDecodeError"),
    ],
)
def test_what_a_caller_did_wrong_is_told(
    method: str, arguments: Any, said: str
) -> None:
    """An internal error would blame the server, and say nothing."""
    store = MemoryFeatureFlagStore()
    client = client_of(store)
    client.Create("f", True, '{"a": 1}')
    before = store.get("f")
    with pytest.raises(ttypes.FlipperException, match=said) as raised:
        getattr(client, method)(*arguments)
    assert raised.value.code is None
    assert store.get("f") is before
    assert [item.feature_name for item in client.List(None, 0)] == ["f"]


@pytest.mark.parametrize(
    ("method", "more"),
    [("Get", ()), ("Set", (True,)), ("Delete", ()), ("SetMeta", (checked("a", "1"),))],
)
def test_no_flag_has_no_name(method: str, more: Any) -> None:
    """Not even the flag that some store would keep under the text None."""
    store = MemoryFeatureFlagStore()
    store.create("None", is_enabled=True)
    for name in (None, ""):
        with pytest.raises(ttypes.FlipperException) as raised:
            getattr(client_of(store), method)(name, *more)
        assert raised.value.code == ttypes.ErrorCode.NOT_FOUND
    assert len(list(store.list())) == 1


def test_what_cannot_be_sent_is_told_and_left_out_of_the_list(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A memory store holds any object; the connection must survive it."""
    store = MemoryFeatureFlagStore()
    store.create("object", client_data={"a": object()})
    store.create("good")
    store.create("undated")
    store.set_meta("undated", FeatureFlagStoreMeta("today"))
    store.create("unnameable")
    unnameable = FeatureFlagStoreMeta(5, conditions=[Condition(**{"\udc00": 1})])
    store.set_meta("unnameable", unnameable)
    client = client_of(store)
    for name in ("object", "undated", "unnameable"):
        with pytest.raises(ttypes.FlipperException, match=name):
            client.Get(name)
    assert [item.feature_name for item in client.List(None, 0)] == ["good"]
    assert len([r for r in caplog.records if r.name == MODULE]) == 3


def test_errors_of_a_driver_are_internal_ones(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """They are the server's affair, and their text may be nobody else's."""

    class Failing(MemoryFeatureFlagStore):
        def get(self, _: str) -> Any:
            raise RuntimeError("password wrong")

    client = client_of(Failing())
    with pytest.raises(TApplicationException, match="Internal error"):
        client.Get("f")
    assert "password wrong" in caplog.text
    assert client.Create("g", True, None).feature_name == "g"


def hostile_documents() -> Iterator[bytes]:
    """Give 500 documents that are no flags, from random ones to nearly right ones."""
    rng = random.Random(20)  # noqa: S311  (the same ones every time)
    good = FeatureFlagStoreItem(
        "x",
        True,
        FeatureFlagStoreMeta(5, {"a": 1}, [Condition(a__gt=1)], PercentageBucketer()),
    ).serialize()
    fields = json.loads(good)
    wrong = (None, 5, "x", [], [1], {"a": 1}, {"type": "X"}, 1e400)
    for key in fields:
        yield json.dumps({k: v for k, v in fields.items() if k != key}).encode()
    for value in wrong[1:]:
        meta = {**fields["meta"], "conditions": value, "bucketer": value}
        yield json.dumps({**fields, "meta": meta}).encode()
    for _ in range(500 - len(fields) - len(wrong[1:])):
        document = bytearray(good)
        start = rng.randrange(1, len(document))
        document[start:] = bytes(rng.randrange(256) for _ in range(rng.randrange(20)))
        yield bytes(document)


def test_hostile_documents_behind_the_server_hurt_nobody() -> None:
    """None is on, none hides another flag, none ends the connection."""
    fakeredis = pytest.importorskip("fakeredis")
    redis = fakeredis.FakeRedis()
    store = ThriftRPCFeatureFlagStore(client_of(RedisFeatureFlagStore(redis)))
    client = FeatureFlagClient(store)
    client.create("good", is_enabled=True)
    names = []
    for number, document in enumerate(hostile_documents()):
        names.append(f"bad-{number}")
        redis.set(f"features/bad-{number}", document)
    assert len(names) == 500
    logging.disable()
    try:
        assert not [name for name in names if client.is_enabled(name)]
        assert [flag.name for flag in client.list()] == ["good"]
    finally:
        logging.disable(logging.NOTSET)
    with pytest.raises(ttypes.FlipperException, match="bad-0"):
        client.get_meta("bad-0")
    assert client.is_enabled("good") is True


# -- the program -----------------------------------------------------------------------


class ThriftServer(Server):
    """The module, started as a user starts it."""

    variable = "FLIPPER_TEST_THRIFT"
    arguments: ClassVar[list[str]] = []

    def find_programs(self) -> None:
        """Nothing to find: it is this library."""

    def command(self) -> list[str]:
        """Give what a user types."""
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


@contextmanager
def connected(port: int, timeout: float = 5) -> Iterator[ThriftRPCFeatureFlagStore]:
    """Give a store that speaks to a port."""
    tsocket = TSocket("127.0.0.1", port)
    tsocket.setTimeout(timeout * 1000)
    transport = TBufferedTransport(tsocket)
    try:
        client = FeatureFlagStore.Client(TBinaryProtocol(transport))
        yield ThriftRPCFeatureFlagStore(client)
    finally:
        transport.close()


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_the_program_says_where_it_listens_and_ends_in_order(ending: int) -> None:
    """Who starts it by a script waits for the line, and looks at the exit code."""
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
def test_the_program_says_what_it_does_not_understand(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong command line is exit code 2, as usual."""
    handlers = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def redis_store(request: pytest.FixtureRequest) -> str:
    """Name the tests' Redis."""
    server: RedisServer = request.getfixturevalue("redis_server")
    return server.url


def postgres_store(request: pytest.FixtureRequest) -> str:
    """Name an empty database."""
    conninfo: str = request.getfixturevalue("postgres_conninfo")
    return conninfo


def consul_store(request: pytest.FixtureRequest) -> str:
    """Name a base key of the tests' Consul."""
    server = request.getfixturevalue("consul_server")
    return f"consul://{server.host}:{server.port}/behind-thrift"


def s3_store(request: pytest.FixtureRequest) -> str:
    """Name an empty bucket."""
    s3 = request.getfixturevalue("s3_server")
    monkeypatch = request.getfixturevalue("monkeypatch")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "us-east-1")
    return f"s3://{request.getfixturevalue('s3_bucket')}"


@pytest.mark.parametrize(
    "named",
    [
        pytest.param(redis_store, marks=pytest.mark.redis),
        pytest.param(postgres_store, marks=pytest.mark.postgres),
        pytest.param(consul_store, marks=pytest.mark.consul),
        pytest.param(s3_store, marks=pytest.mark.s3),
    ],
)
def test_the_program_serves_the_store_that_is_named(
    named: Callable[[pytest.FixtureRequest], str], request: pytest.FixtureRequest
) -> None:
    """What is written by one server is there for the next."""
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


def test_the_published_sample_of_a_client_works_in_the_checkout(
    server: ThriftServer,
) -> None:
    """Also where the folder of the IDL is called as the package that it needs."""
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


def test_two_stores_on_one_server_see_the_same_flags(server: ThriftServer) -> None:
    """That is what a service is for."""
    with connected(server.port) as one, connected(server.port) as other:
        one.create("f", is_enabled=True)
        item = other.get("f")
        assert item is not None
        assert item.is_enabled() is True
        other.delete("f")
        assert one.get("f") is None


def test_a_visitor_who_speaks_no_thrift_is_sent_away(server: ThriftServer) -> None:
    """A browser, or a health check, gets no answer and holds up nobody."""
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


def test_while_the_server_is_away_the_last_known_state_counts(
    server: ThriftServer,
) -> None:
    """And when it is back, it is used again without anybody doing anything."""
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
            client.exists("on")  # old Thrift only notices now that it has to connect
        client.create("on", is_enabled=True)
        assert client.is_enabled("on") is True


WRITES: dict[str, Callable[[FeatureFlagClient], object]] = {
    "create": lambda client: client.create("new", client_data={"a": 1}),
    "enable": lambda client: client.enable("f"),
    "add_condition": lambda client: client.add_condition("f", Condition(a=1)),
    "set_client_data": lambda client: client.set_client_data("f", {"a": 1}),
    "destroy": lambda client: client.destroy("f"),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_write_whose_reply_is_lost_raises_or_took_effect_once(
    server: ThriftServer, write: str
) -> None:
    """Nothing is sent twice: a condition would be there twice."""
    with (
        connected(server.port) as direct,
        Proxy("127.0.0.1", server.port) as proxy,
        connected(proxy.port) as store,
    ):
        client = FeatureFlagClient(store)
        lost = 0
        while True:
            for item in list(direct.list()):
                direct.delete(item.feature_name)
            direct.create("f")
            before = [item.to_dict() for item in direct.list()]
            dropped = proxy.dropped
            proxy.drop_reply(lost + 1)
            try:
                WRITES[write](client)
            except TTransportException:
                acknowledged = False
            else:
                acknowledged = True
            proxy.restore()
            changed = [item.to_dict() for item in direct.list()] != before
            assert changed or not acknowledged
            conditions = [c for i in direct.list() for c in i.meta["conditions"]]
            assert len(conditions) <= 1
            if proxy.dropped == dropped:
                break
            assert not acknowledged
            lost += 1
        assert lost == {"create": 1, "enable": 2, "destroy": 2}.get(write, lost)
        assert lost >= 1
