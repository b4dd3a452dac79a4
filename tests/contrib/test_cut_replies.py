# SPDX-License-Identifier: Apache-2.0
"""A reply that was cut is never an answer, for every store and at any place.

The first tests cut HTTP replies that are written here, at every place. The others cut
replies of real servers in steps of some bytes.
"""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import threading
from itertools import count
from typing import TYPE_CHECKING, Any

import boto3
import consul
import pytest
import redis
from botocore.config import Config
from botocore.exceptions import ClientError
from psycopg_pool import ConnectionPool
from redis.backoff import NoBackoff
from redis.retry import Retry
from thrift.protocol.TCompactProtocol import TCompactProtocol, TCompactProtocolFactory
from thrift.transport.TTransport import TFramedTransport, TFramedTransportFactory

from flipper import (
    ConsulFeatureFlagStore,
    MemoryFeatureFlagStore,
    PostgreSQLFeatureFlagStore,
    RedisFeatureFlagStore,
    S3FeatureFlagStore,
    SyncedFeatureFlagStore,
)
from flipper.contrib.thrift.server import FeatureFlagStoreHandler
from flipper.exceptions import StoreUnavailableError
from flipper.testing.contract import eventually
from servers import Proxy
from support.thrift_service import Service, connected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Self

    from servers import ConsulServer, PostgresServer, RedisServer, S3Server

FLAGS = {"off": False, "on": True}
ONCE = Config(connect_timeout=5, read_timeout=5, retries={"total_max_attempts": 1})


def document(name: str) -> bytes:
    """Return what is stored of a flag."""
    meta = {"created_date": 7}
    fields = {"feature_name": name, "is_enabled": FLAGS[name], "meta": meta}
    return json.dumps(fields).encode()


# HTTP, at every place


def reply(status: str, body: bytes, *headers: str, is_chunked: bool = False) -> bytes:
    """Return an HTTP reply."""
    length = f"Content-Length: {len(body)}"
    if is_chunked:
        length = "Transfer-Encoding: chunked"
        halves = body[: len(body) // 2], body[len(body) // 2 :], b""
        body = b"".join(b"%x\r\n%s\r\n" % (len(half), half) for half in halves)
    # The server closes after each reply; a client must not send another request then.
    closing = "Connection: close"
    lines = [f"HTTP/1.1 {status}", closing, *headers, length, "Server: test"]
    return "\r\n".join([*lines, "", ""]).encode() + body


class PreparedServer:
    """An HTTP server that sends one prepared reply, which may be cut, for each path.

    Attributes:
        replies: by a part of the request's first line; the first match counts.
    """

    def __init__(self) -> None:
        self.replies: dict[str, bytes] = {}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        """Return the server, which listens already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the server."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with client, contextlib.suppress(OSError):
                    self._answer(client)

    def _answer(self, client: socket.socket) -> None:
        client.settimeout(30)
        request = b""
        while b"\r\n\r\n" not in request:
            received = client.recv(65536)
            if not received:
                return
            request += received
        line = request.split(b"\r\n")[0].decode()
        client.sendall(
            next(self.replies[part] for part in self.replies if part in line)
        )


@pytest.fixture
def replying() -> Iterator[PreparedServer]:
    """Give an HTTP server."""
    with PreparedServer() as replying:
        yield replying


def s3_list(*names: str, extra: str = "") -> bytes:
    """Return a page of a list as S3 writes it."""
    entries = "".join(
        f"<Contents><Key>{name}</Key><LastModified>2024-05-01T10:00:00.000Z"
        f"</LastModified><ETag>&quot;{name}&quot;</ETag><Size>{len(document(name))}"
        f"</Size><StorageClass>STANDARD</StorageClass></Contents>"
        for name in names
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns='
        f'"http://s3.amazonaws.com/doc/2006-03-01/"><Name>flags</Name><Prefix></Prefix>'
        f"<KeyCount>{len(names)}</KeyCount><MaxKeys>1000</MaxKeys>"
        f"<IsTruncated>false</IsTruncated>{extra}{entries}</ListBucketResult>"
    ).encode()


NO_SUCH_KEY = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code><Message>'
    b"The specified key does not exist.</Message><Key>x</Key></Error>"
)
PAGE = b"<html><head><title>Sign in</title></head><body>Sign in first</body></html>"
XML = "Content-Type: application/xml"


@pytest.fixture
def new_s3_store(replying: PreparedServer) -> Iterator[Callable[[], Any]]:
    """Give a function that makes a store of that server, which has listed nothing."""
    client = boto3.client(
        "s3",
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",  # noqa: S106  (opens nothing)
        endpoint_url=f"http://127.0.0.1:{replying.port}",
        config=ONCE,
    )
    for name in FLAGS:
        etag = f'ETag: "{name}"'
        replying.replies[f"/flags/{name} "] = reply("200 OK", document(name), etag)
    yield lambda: S3FeatureFlagStore(client, "flags")
    client.close()


def states(store: Any) -> dict[str, Any]:
    """Read all flags."""
    return {item.feature_name: item.raw_is_enabled for item in store.list()}


def state(store: Any, name: str) -> Any:
    """Read one flag, `None` if there is none."""
    item = store.get(name)
    return None if item is None else item.raw_is_enabled


def places(whole: bytes) -> list[int]:
    """Return where to cut a reply: everywhere in the headers, then in steps."""
    headers = whole.index(b"\r\n\r\n") + 8
    beyond = range(headers, len(whole) - 8, 9)
    return [*range(headers), *beyond, *range(max(headers, len(whole) - 8), len(whole))]


def answered(read: Callable[[], Any], *errors: type[Exception]) -> list[Any]:
    """Return the answer as the only element, nothing if reading has raised."""
    try:
        return [read()]
    except errors:
        return []


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("what", ["list", "empty list", "object", "no object"])
def test_a_cut_reply_of_s3_is_no_answer(
    replying: PreparedServer,
    new_s3_store: Callable[[], Any],
    what: str,
    is_chunked: bool,
) -> None:
    """A cut reply raises, even where botocore takes it for an empty one."""
    etag = 'ETag: "on"'
    path, whole, read, expected = {
        "list": (
            "list-type=2",
            reply("200 OK", s3_list(*FLAGS), XML, is_chunked=is_chunked),
            lambda: states(new_s3_store()),
            FLAGS,
        ),
        "empty list": (
            "list-type=2",
            reply("200 OK", s3_list(), XML, is_chunked=is_chunked),
            lambda: states(new_s3_store()),
            {},
        ),
        "object": (
            "/flags/on ",
            reply("200 OK", document("on"), etag, is_chunked=is_chunked),
            lambda: state(new_s3_store(), "on"),
            True,
        ),
        "no object": (
            "/flags/x ",
            reply("404 Not Found", NO_SUCH_KEY, XML, is_chunked=is_chunked),
            lambda: state(new_s3_store(), "x"),
            None,
        ),
    }[what]
    replying.replies[path] = whole
    assert read() == expected
    is_refusal = whole.startswith(b"HTTP/1.1 404")
    # botocore raises a server error for a reply that is no XML.
    errors = (*new_s3_store().outage_errors, ClientError)
    for length in places(whole):
        replying.replies[path] = whole[:length]
        for answer in answered(read, *errors):
            assert answer == expected, whole[:length]
            # An answer needs part of the body, and not only the headers.
            assert is_refusal or length >= len(whole) - len(b"0\r\n\r\n"), length


@pytest.mark.parametrize(
    "page",
    [
        reply("200 OK", PAGE, "Content-Type: text/html"),
        reply("200 OK", b"", "Content-Type: text/html"),
        reply("200 OK", b"<br>", "Content-Type: text/html"),
        reply("200 OK", b"{}", "Content-Type: application/json"),
        reply("204 No Content", b""),
    ],
)
def test_a_page_of_a_proxy_is_no_answer_of_s3(
    replying: PreparedServer, new_s3_store: Callable[[], Any], page: bytes
) -> None:
    """A page that a proxy sends with status 200 raises."""
    replying.replies = {"/": page}
    errors = (*new_s3_store().outage_errors, ClientError)
    assert answered(lambda: states(new_s3_store()), *errors) == []
    assert answered(lambda: state(new_s3_store(), "on"), *errors) == []


@pytest.mark.parametrize(
    "body",
    [
        s3_list("on").replace(b"<KeyCount>1", b"<KeyCount>2"),
        s3_list("on").replace(b"<IsTruncated>false", b"<IsTruncated>true"),
    ],
    ids=["a name less than announced", "no way to go on"],
)
def test_an_incomplete_list_of_s3_is_no_answer(
    replying: PreparedServer, new_s3_store: Callable[[], Any], body: bytes
) -> None:
    """A list that lacks names, or its continuation, raises."""
    replying.replies["list-type=2"] = reply("200 OK", body, XML)
    with pytest.raises(StoreUnavailableError, match="not complete"):
        states(new_s3_store())


def consul_rows(*names: str) -> bytes:
    """Return what Consul has under a key."""
    return json.dumps(
        [
            {
                "LockIndex": 0,
                "Key": f"features/{name}",
                "Flags": 0,
                "Value": base64.b64encode(document(name)).decode(),
                "CreateIndex": 11,
                "ModifyIndex": 12,
            }
            for name in names
        ]
    ).encode()


INDEX = "X-Consul-Index: 1234"


def followed(replying: PreparedServer) -> list[Any]:
    """Return a new store's flags as the only element, nothing without an answer."""
    client = consul.Consul("127.0.0.1", replying.port)
    with ConsulFeatureFlagStore(client) as store:
        try:
            store.watch().close()
        except StoreUnavailableError:
            return []
        return [states(store)]


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("names", [tuple(FLAGS), ()])
def test_a_cut_reply_of_consul_is_no_answer(
    replying: PreparedServer, names: tuple[str, ...], is_chunked: bool
) -> None:
    """A cut reply is no answer, with flags and without any."""
    status = "200 OK" if names else "404 Not Found"
    body = consul_rows(*names) if names else b""
    whole = reply(status, body, INDEX, is_chunked=is_chunked)
    expected = {name: FLAGS[name] for name in names}
    # The store's second request gets no answer.
    replying.replies = {"index=": b"", "/": whole}
    assert followed(replying) == [expected]
    for length in places(whole):
        replying.replies["/"] = whole[:length]
        for answer in followed(replying):
            assert answer == expected, whole[:length]
            assert not names or length >= len(whole) - len(b"0\r\n\r\n"), length


@pytest.mark.parametrize(
    "page",
    [
        reply("200 OK", PAGE),
        reply("200 OK", PAGE, INDEX),
        reply("404 Not Found", PAGE),
        reply("200 OK", b"[]"),
        reply("200 OK", b"null", INDEX),
        reply("200 OK", b"{}", INDEX),
        reply("200 OK", b"[null]", INDEX),
        reply("200 OK", b'[{"Key": "features/x"}]', INDEX),
        reply("200 OK", b'[{"Key": "features/x", "Value": "eA=="}]', INDEX),
        reply("200 OK", consul_rows("on"), "X-Consul-Index: "),
        reply("200 OK", consul_rows("on"), "X-Consul-Index: soon"),
        reply("204 No Content", b"", INDEX),
    ],
)
def test_a_page_of_a_proxy_is_no_answer_of_consul(
    replying: PreparedServer, page: bytes
) -> None:
    """A page that a proxy sends is no answer, even if it is JSON."""
    replying.replies = {"/": page}
    assert followed(replying) == []


# Real servers, through a proxy


def cut_replies(
    proxy: Proxy,
    read: Callable[[], Any],
    errors: tuple[type[Exception], ...],
    step: int,
    wait_for_connection: Callable[[], object] = bool,
) -> int:
    """Cut each reply of a reading in steps of some bytes, and count the cut ones.

    What connects in the background has to be waited for, lest its replies be cut.
    """
    expected = read()
    cut = 0
    for number in count(1):
        before = cut
        for length in range(0, 10_000, step):
            wait_for_connection()
            dropped = proxy.dropped
            proxy.drop_reply(number, after=length)
            for answer in answered(read, *errors):
                assert answer == expected, (number, length)
            proxy.restore()
            if proxy.dropped == dropped:
                break
            cut += 1
        if cut == before:
            return cut
    raise AssertionError


@contextlib.contextmanager
def before(server: Any) -> Iterator[Proxy]:
    """Give a proxy before a server."""
    with Proxy(server.host, server.port) as proxy:
        yield proxy


@pytest.mark.s3
def test_cut_replies_of_a_real_s3_server_are_no_answers(
    s3_server: S3Server, s3_client: Any, s3_bucket: str
) -> None:
    """Cut replies with a list, and with an object, are no answers."""
    direct = S3FeatureFlagStore(s3_client, s3_bucket)
    direct.create("on", is_enabled=True)
    errors = (*direct.outage_errors, ClientError)
    with before(s3_server) as proxy:
        client = s3_server.client(f"http://{proxy.host}:{proxy.port}", config=ONCE)

        def read() -> Any:
            # A new store each time, which fetches unchanged objects again.
            return states(S3FeatureFlagStore(client, s3_bucket))

        def read_one() -> Any:
            return state(S3FeatureFlagStore(client, s3_bucket), "on")

        assert cut_replies(proxy, read, errors, 37) > 20
        assert cut_replies(proxy, read_one, errors, 17) > 20
        client.close()


@pytest.mark.redis
@pytest.mark.parametrize("protocol", [2, 3])
def test_cut_replies_of_a_real_redis_server_are_no_answers(
    redis_server: RedisServer, protocol: int
) -> None:
    """Cut replies in both protocols of Redis are no answers."""
    with (
        before(redis_server) as proxy,
        redis.Redis(
            host=proxy.host,
            port=proxy.port,
            protocol=protocol,
            retry=Retry(NoBackoff(), 0),
        ) as client,
    ):
        store = RedisFeatureFlagStore(client, "cut")
        for name, is_enabled in FLAGS.items():
            store.create(name, is_enabled=is_enabled)

        def read() -> Any:
            return states(store), state(store, "on"), state(store, "missing")

        assert read() == (FLAGS, True, None)
        assert cut_replies(proxy, read, store.outage_errors, 3) > 100
        for name in FLAGS:
            store.delete(name)


@pytest.mark.postgres
def test_cut_replies_of_a_real_postgresql_server_are_no_answers(
    postgres_server: PostgresServer, postgres_conninfo: str
) -> None:
    """Cut replies of PostgreSQL are no answers, although a reading is repeated once."""
    with before(postgres_server) as proxy:
        conninfo = f"{postgres_conninfo} host={proxy.host} port={proxy.port}"
        settings = {"autocommit": True}
        with (
            ConnectionPool(conninfo, kwargs=settings, min_size=1, open=True) as pool,
            PostgreSQLFeatureFlagStore(pool) as store,
        ):
            for name, is_enabled in FLAGS.items():
                store.create(name, is_enabled=is_enabled)

            def read() -> Any:
                return states(store), state(store, "on"), state(store, "missing")

            def wait() -> None:
                eventually(lambda: pool.get_stats()["pool_available"] == 1)

            assert read() == (FLAGS, True, None)
            # Small steps, since a kept connection has no greeting that could be cut.
            assert cut_replies(proxy, read, store.outage_errors, 7, wait) > 30


@pytest.mark.consul
def test_cut_replies_of_a_real_consul_agent_are_no_answers(
    consul_server: ConsulServer,
) -> None:
    """A cut first reply of a Consul agent is no answer."""
    direct = consul.Consul(consul_server.host, consul_server.port)
    for name in FLAGS:
        direct.kv.put(f"cut/{name}", document(name))
    with before(consul_server) as proxy:

        def read() -> Any:
            client = consul.Consul(proxy.host, proxy.port)
            with ConsulFeatureFlagStore(client, "cut") as store:
                store.watch().close()
                return states(store)

        cut = 0
        for length in count(0, 7):
            dropped = proxy.dropped
            proxy.drop_reply(after=length)
            answers = answered(read, StoreUnavailableError)
            proxy.restore()
            assert all(answer == FLAGS for answer in answers), length
            if proxy.dropped == dropped:
                break
            assert not answers, length
            cut += 1
        assert cut > 30
    direct.kv.delete("cut/", recurse=True)


@pytest.mark.thrift
@pytest.mark.parametrize("is_framed", [False, True])
def test_cut_replies_of_a_real_thrift_server_are_no_answers(is_framed: bool) -> None:
    """Cut replies are no answers in any protocol of Thrift."""
    memory = MemoryFeatureFlagStore()
    for name, is_enabled in FLAGS.items():
        memory.create(name, is_enabled=is_enabled)
    server_side = (
        (TFramedTransportFactory(), TCompactProtocolFactory()) if is_framed else ()
    )
    client_side = (TFramedTransport, TCompactProtocol) if is_framed else ()
    with Service(FeatureFlagStoreHandler(memory), *server_side) as service:
        proxy = Proxy("127.0.0.1", service.port)
        with proxy, connected(proxy.port, *client_side) as store:

            def read() -> Any:
                return states(store), state(store, "on"), state(store, "missing")

            assert read() == (FLAGS, True, None)
            assert cut_replies(proxy, read, store.outage_errors, 1) > 200


# The copy


@pytest.mark.s3
def test_a_synced_store_keeps_its_copy_after_cut_replies(
    s3_server: S3Server, s3_client: Any, s3_bucket: str
) -> None:
    """A synced store keeps its flags, and reports no change, after cut replies."""
    direct = S3FeatureFlagStore(s3_client, s3_bucket)
    direct.create("on", is_enabled=True)
    told: list[Any] = []
    with before(s3_server) as proxy:
        client = s3_server.client(f"http://{proxy.host}:{proxy.port}", config=ONCE)
        inner = S3FeatureFlagStore(client, s3_bucket)
        with SyncedFeatureFlagStore(inner, poll_interval=0.01) as store:
            store.on_change(told.append)
            for length in range(10, 400, 60):
                dropped = proxy.dropped
                proxy.drop_reply(after=length)
                eventually(lambda dropped=dropped: proxy.dropped > dropped)
                eventually(lambda: store.status().state == "polling")
            assert state(store, "on") is True
        client.close()
    assert told == []
