# SPDX-License-Identifier: Apache-2.0
"""A flag is written and read by a URL of each kind, on real servers.

The servers of this file's own, for a socket file, Sentinel, a cluster and TLS, are
started once.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import time
import uuid
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
import redis

from flipper import FeatureFlagClient, MemoryFeatureFlagStore, store_from_url
from flipper.contrib.thrift.server import FeatureFlagStoreHandler
from flipper.testing.contract import eventually
from servers import Proxy, RedisServer
from servers.process import free_port
from support.redis_servers import ClusterNode
from support.thrift_service import Service
from support.writes import succeeds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers import ConsulServer, PostgresServer, S3Server

# Seconds: time limits of 2 + 2, and those of a slow machine.
FEW_SECONDS = 20
KEYS = "access_key=testing&secret_key=testing&region=us-east-1"


class OwnRedis(RedisServer):
    """A Redis with further arguments, whose last ones win."""

    variable = "FLIPPER_TEST_NO_SUCH_REDIS"

    def __init__(self, *arguments: str) -> None:
        super().__init__()
        self.arguments = arguments

    def command(self) -> list[str]:
        """Add the arguments."""
        arguments = [
            text.replace("FOLDER", str(self.folder)) for text in self.arguments
        ]
        return [*super().command(), *arguments]


class Sentinel(RedisServer):
    """A Redis Sentinel that knows one master."""

    variable = "FLIPPER_TEST_NO_SUCH_REDIS"

    def __init__(self, master: RedisServer) -> None:
        super().__init__()
        self.master = master

    def command(self) -> list[str]:
        """Write the configuration, which Sentinel changes itself."""
        path = self.folder / "sentinel.conf"
        path.write_text(
            f"bind {self.host}\nport {self.port}\ndir {self.folder}\n"
            f"sentinel monitor flags {self.master.host} {self.master.port} 1\n"
        )
        return [self._program, str(path), "--sentinel"]


def use(url: str, **options: Any) -> None:
    """Write a flag, read it with another client of the same URL, and remove it."""
    name = f"flag-{uuid.uuid4().hex}"
    with FeatureFlagClient.from_url(url, **options) as client:
        client.create(name, is_enabled=True)
        assert client.is_enabled(name) is True
    with FeatureFlagClient.from_url(url, **options) as client:
        assert client.exists(name) is True
        assert name in {flag.name for flag in client.list()}
        client.disable(name)
        assert client.is_enabled(name, default=True) is False
        client.destroy(name)
        assert client.exists(name) is False


@contextmanager
def few_seconds() -> Iterator[None]:
    """Fail if the block takes longer than time limits of 2 seconds allow."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < FEW_SECONDS


# Redis


@pytest.mark.redis
def test_redis_by_host_and_database(redis_server: RedisServer) -> None:
    """The flags are in the database of the path, below the base key."""
    address = f"{redis_server.host}:{redis_server.port}"
    use(f"redis://{address}")
    use(f"redis://{address}/?db=3")
    key = f"urls-{uuid.uuid4().hex}"
    url = f"redis://{address}/2?base_key={key}&list_method_batch_size=1&client_name=me"
    with FeatureFlagClient.from_url(url) as client:
        client.create("x")
        with redis.Redis(redis_server.host, redis_server.port, db=2) as other:
            assert other.delete(f"{key}/x") == 1


@pytest.mark.redis
def test_redis_with_a_copy_a_cache_and_no_writes(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    """The wrappers work on stores with a server."""
    key = f"urls-{uuid.uuid4().hex}"
    base = f"redis://{redis_server.host}:{redis_server.port}/0?base_key={key}"
    snapshot = tmp_path / "flags.json"
    use(f"{base}&sync=1&snapshot={snapshot}")
    use(f"{base}&ttl=30&size=5&invalidate=1")
    use(base, sync=True, snapshot=snapshot)
    with FeatureFlagClient.from_url(base) as client:
        client.create("x", is_enabled=True)
    with FeatureFlagClient.from_url(f"{base}&sync=1&read_only=1") as client:
        assert client.is_enabled("x") is True


@pytest.fixture(scope="module")
def own_redis() -> Iterator[OwnRedis]:
    """Give a Redis with a password and a socket file."""
    arguments = ("--requirepass", "p@ss/w:rd", "--unixsocket", "FOLDER/redis.sock")
    with OwnRedis(*arguments) as server:
        yield server


@pytest.mark.redis
def test_redis_with_a_password_and_by_a_socket_file(own_redis: OwnRedis) -> None:
    """The password is before the host, in the query, or in the call."""
    word = quote("p@ss/w:rd", safe="")
    address = f"{own_redis.host}:{own_redis.port}"
    use(f"redis://:{word}@{address}")
    use(f"redis://default:{word}@{address}/1")
    use(f"redis://{address}?password={word}")
    use(f"redis://{address}", password="p@ss/w:rd")  # noqa: S106  (of this test)
    use(f"unix://{own_redis.folder}/redis.sock?db=1&password={word}")
    use(f"unix://:{word}@{own_redis.folder}/redis.sock")


@pytest.mark.redis
def test_redis_by_sentinel() -> None:
    """Sentinel says where the master is, also if the first Sentinel is away."""
    with OwnRedis() as master, Sentinel(master) as sentinel:
        here = f"{sentinel.host}:{sentinel.port}"
        use(f"redis+sentinel://{here}/flags?db=1")
        use(f"redis+sentinel://127.0.0.1:{free_port()},{here}/flags")
        master.stop()
        url = f"redis+sentinel://{here}/flags"
        with few_seconds(), FeatureFlagClient.from_url(url) as client:
            assert client.is_enabled("x", default=True) is True


@pytest.mark.redis
def test_redis_by_a_cluster() -> None:
    """One node with all slots is a cluster."""
    with (
        ClusterNode() as server,
        redis.Redis(server.host, server.port) as node,
    ):
        node.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
        deadline = time.monotonic() + 20
        while node.execute_command("CLUSTER INFO")["cluster_state"] != "ok":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        before = len(node.client_list())
        use(f"redis+cluster://127.0.0.1:{free_port()},{server.host}:{server.port}")
        assert_connections(node, before)


def assert_connections(node: Any, count: int) -> None:
    """Wait until a Redis has so many connections."""
    deadline = time.monotonic() + 20
    while (found := len(node.client_list())) != count:
        assert time.monotonic() < deadline, found
        time.sleep(0.02)


@pytest.mark.redis
@pytest.mark.parametrize("query", ["", "&sync=1&read_only=1", "&invalidate=1"])
def test_close_closes_the_connections_to_redis(own_redis: OwnRedis, query: str) -> None:
    """Those of the store, and of the threads that listen to changes."""
    url = f"redis://{own_redis.host}:{own_redis.port}?password=p%40ss/w:rd{query}"
    with redis.Redis(own_redis.host, own_redis.port, password="p@ss/w:rd") as node:  # noqa: S106  (of this test)
        before = len(node.client_list())
        client = FeatureFlagClient.from_url(url)
        client.exists("x")
        assert len(node.client_list()) > before
        client.close()
        assert_connections(node, before)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a certificate for 127.0.0.1, signed by its own key, in one file with it."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "flags")])
    today = dt.datetime.now(dt.timezone.utc)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(today - dt.timedelta(days=1))
        .not_valid_after(today + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("certificate") / "server.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@pytest.mark.redis
def test_redis_by_tls(certificate: Path) -> None:
    """The certificate of the server is checked."""
    port = free_port()
    tls = ("--tls-port", str(port), "--tls-auth-clients", "no")
    files = ("--tls-cert-file", str(certificate), "--tls-key-file", str(certificate))
    with OwnRedis(*tls, *files):
        use(f"rediss://127.0.0.1:{port}?ssl_ca_certs={certificate}")
        with FeatureFlagClient.from_url(f"rediss://127.0.0.1:{port}") as client:
            with pytest.raises(redis.ConnectionError, match="CERTIFICATE_VERIFY"):
                client.exists("x")
            assert client.is_enabled("x", default=True) is True


# The other stores


@pytest.mark.postgres
def test_postgresql(postgres_conninfo: str, postgres_server: PostgresServer) -> None:
    """The parameters of libpq are options."""
    database = postgres_conninfo.rpartition("=")[2]
    address = f"{postgres_server.host}:{postgres_server.port}"
    base = f"postgresql://postgres@{address}/{database}"
    use(base)
    use(f"{base}?table_name=a.b&name_column=key&item_column=value&sslmode=disable")
    use(f"postgres://{address}?dbname={database}&user=postgres&application_name=me")
    use(f"postgresql://127.0.0.1:{free_port()},{address}/{database}?user=postgres")
    use(f"{base}?sync=1")


@pytest.mark.postgres
def test_close_closes_the_connections_to_postgresql(
    postgres_conninfo: str, postgres_server: PostgresServer
) -> None:
    """Those of the store, and of the thread that listens to changes."""
    import psycopg

    database = postgres_conninfo.rpartition("=")[2]
    address = f"{postgres_server.host}:{postgres_server.port}"
    url = f"postgresql://postgres@{address}/{database}?application_name=urls&sync=1"
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'urls'"
    with psycopg.connect(postgres_conninfo, autocommit=True) as connection:
        client = FeatureFlagClient.from_url(url)
        assert connection.execute(query).fetchone() != (0,)
        client.close()
        deadline = time.monotonic() + 20
        while connection.execute(query).fetchone() != (0,):
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.mark.consul
def test_consul(consul_server: ConsulServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The URL counts, and not the variables that python-consul prefers."""
    monkeypatch.setenv("CONSUL_HTTP_ADDR", "127.0.0.1:1")
    monkeypatch.setenv("CONSUL_HTTP_SSL", "true")
    address = f"{consul_server.host}:{consul_server.port}"
    key = f"urls/{uuid.uuid4().hex}"
    use(f"consul://{address}/{key}/")
    use(f"consul://{address}?base_key={key}&consistency=consistent&dc=dc1")
    use(f"consul+http://:token@{address}/{key}?sync=1&timeout=1")


@pytest.mark.s3
def test_s3(s3_server: S3Server, s3_bucket: str) -> None:
    """The keys are before the bucket, or among the options."""
    query = f"endpoint_url={s3_server.endpoint}"
    use(f"s3://{s3_bucket}?{query}&{KEYS}")
    use(f"s3://testing:testing@{s3_bucket}/a/b/?{query}&region=us-east-1&page_size=1")
    use(f"s3://{s3_bucket}/c?{query}&{KEYS}&addressing_style=path&session_token=x")


@pytest.mark.thrift
@pytest.mark.parametrize("query", ["", "?transport=buffered&protocol=binary&sync=1"])
def test_thrift(query: str) -> None:
    """Without options the connection is the one of flipper's own server."""
    with Service(FeatureFlagStoreHandler(MemoryFeatureFlagStore())) as service:
        use(f"thrift://127.0.0.1:{service.port}{query}")
        # The service ends when its clients have closed: `close` has done that.


@pytest.mark.thrift
def test_thrift_with_another_transport_and_protocol() -> None:
    """As servers of others may have them."""
    from thrift.protocol.TCompactProtocol import TCompactProtocolFactory
    from thrift.transport.TTransport import TFramedTransportFactory

    handler = FeatureFlagStoreHandler(MemoryFeatureFlagStore())
    with Service(
        handler, TFramedTransportFactory(), TCompactProtocolFactory()
    ) as service:
        use(f"thrift://127.0.0.1:{service.port}?transport=framed&protocol=compact")


# Servers that accept connections and never answer


def silent_urls(port: int) -> dict[str, str]:
    """Return a URL of each kind for a server that never answers."""
    here = f"127.0.0.1:{port}"
    return {
        "redis": f"redis://{here}",
        "sentinel": f"redis+sentinel://{here},{here},{here}/flags",
        "postgresql": f"postgresql://postgres@{here}/flags",
        "consul": f"consul://{here}",
        "s3": f"s3://flags?endpoint_url=http://{here}&{KEYS}",
        "thrift": f"thrift://{here}",
    }


def limited(url: str) -> str:
    """Return a URL with short time limits, so that a test takes less time."""
    limits = "timeout=0.5" + ("" if "thrift" in url else "&connect_timeout=0.5")
    return f"{url}{'&' if '?' in url else '?'}{limits}"


@pytest.mark.parametrize("kind", [*silent_urls(0)])
@pytest.mark.parametrize(
    "query", ["", "timeout=0.5&sync=1&on_start_failure=empty&start_timeout=0.5"]
)
def test_a_server_that_never_answers_delays_a_question_for_few_seconds(
    kind: str, query: str
) -> None:
    """Then the default answers, and the next questions do not wait."""
    with Proxy("127.0.0.1", 1) as proxy:
        proxy.blackhole()
        url = silent_urls(proxy.port)[kind]
        if query:
            url += f"{'&' if '?' in url else '?'}{query}"
        with few_seconds():
            client = FeatureFlagClient.from_url(url)
        with few_seconds():
            assert client.is_enabled("x", default=True) is True
        began = time.monotonic()
        for _ in range(100):
            assert client.is_enabled("x", default=True) is True
        assert time.monotonic() - began < FEW_SECONDS
        with few_seconds():
            client.close()


@pytest.mark.parametrize("kind", [*silent_urls(0)])
def test_a_write_to_a_server_that_never_answers_fails_within_few_seconds(
    kind: str,
) -> None:
    """A write is never believed to have taken effect without an answer."""
    with Proxy("127.0.0.1", 1) as proxy:
        proxy.blackhole()
        client = FeatureFlagClient.from_url(limited(silent_urls(proxy.port)[kind]))
        with few_seconds(), pytest.raises(Exception) as failed:  # noqa: PT011  (of each driver)
            client.create("x")
        assert not isinstance(failed.value, AssertionError)
        client.close()


@contextmanager
def working(kind: str, request: pytest.FixtureRequest) -> Iterator[tuple[Proxy, str]]:
    """Give a proxy before a server of this kind, and the URL of the proxy."""
    with ExitStack() as stack:
        if kind == "thrift":
            handler = FeatureFlagStoreHandler(MemoryFeatureFlagStore())
            service = stack.enter_context(Service(handler))
            proxy = stack.enter_context(Proxy("127.0.0.1", service.port))
            yield proxy, f"thrift://127.0.0.1:{proxy.port}"
            return
        server = request.getfixturevalue(f"{kind}_server")
        proxy = stack.enter_context(Proxy(server.host, server.port))
        here = f"127.0.0.1:{proxy.port}"
        if kind == "postgres":
            database = request.getfixturevalue("postgres_conninfo").rpartition("=")[2]
            yield proxy, f"postgresql://postgres@{here}/{database}"
        elif kind == "s3":
            bucket = request.getfixturevalue("s3_bucket")
            yield proxy, f"s3://{bucket}?endpoint_url=http://{here}&{KEYS}"
        else:
            path = f"?base_key=urls-{uuid.uuid4().hex}"
            yield proxy, f"{kind}://{here}{path}"


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=getattr(pytest.mark, kind))
        for kind in ("redis", "postgres", "consul", "s3", "thrift")
    ],
)
def test_a_server_that_stops_answering_delays_a_question_for_few_seconds(
    kind: str, request: pytest.FixtureRequest
) -> None:
    """Then flags answer as last known; a write raises; afterwards all is well again."""
    with working(kind, request) as (proxy, url):
        with FeatureFlagClient.from_url(url) as unlimited:
            unlimited.create("x", is_enabled=True)
        client = FeatureFlagClient.from_url(limited(url))
        # A slow machine may take longer than the limits for its first answers.
        eventually(lambda: client.is_enabled("x"))
        proxy.blackhole()
        with few_seconds():
            assert client.is_enabled("x") is True
        with few_seconds(), pytest.raises(Exception) as failed:  # noqa: PT011  (of each driver)
            client.disable("x")
        assert not isinstance(failed.value, AssertionError)
        proxy.restore()
        eventually(lambda: succeeds(lambda: client.enable("x")))
        eventually(lambda: client.is_enabled("x"))
        client.close()


@pytest.mark.parametrize(
    ("query", "limits"), [("", (2, 2)), ("?connect_timeout=3&timeout=0.5", (3, 0.5))]
)
def test_time_limits_are_two_seconds_unless_the_url_has_others(
    query: str, limits: tuple[float, float]
) -> None:
    """Those of the drivers are longer, or there are none."""
    port = free_port()
    with store_from_url(f"redis://127.0.0.1:{port}{query}") as store:
        found = store._redis.connection_pool.connection_kwargs
        assert (found["socket_connect_timeout"], found["socket_timeout"]) == limits
        assert found["retry"].get_retries() == 1
    s3_query = query.replace("?", "&")
    with store_from_url(f"s3://flags?region=us-east-1{s3_query}") as store:
        config = store._client.meta.config
        assert (config.connect_timeout, config.read_timeout) == limits
        assert config.retries["total_max_attempts"] == 1
    with store_from_url(f"consul://127.0.0.1:{port}{query}") as store:
        adapter = store._consul.http.session.get_adapter("http://x")
        assert (adapter.connect_timeout, adapter.timeout) == limits
    with store_from_url(f"postgresql://127.0.0.1:{port}{query}") as store:
        assert store._connections._timeout == limits[0]
        assert store._connections._kind.answer_within == limits[1]
    with store_from_url(f"thrift://127.0.0.1:{port}", timeout=limits[1]) as store:
        assert (
            store._client._iprot.trans._TBufferedTransport__trans._timeout
            == (limits[1])
        )


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("consul://", "http://localhost:8500"),
        ("consul+http://flags:1", "http://flags:1"),
        ("consul+https://[::1]:7/key?ca_file=~/ca.pem", "https://[::1]:7"),
    ],
)
def test_requests_to_consul_have_the_scheme_and_host_of_the_url(
    url: str, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address of IPv6 needs its brackets there."""
    monkeypatch.setenv("HOME", "/home/me")
    with store_from_url(url) as store:
        http = store._consul.http
        assert http.base_uri == base
        assert http.verify == ("/home/me/ca.pem" if "ca_file" in url else True)
