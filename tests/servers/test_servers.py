# SPDX-License-Identifier: Apache-2.0
"""The servers of the tests: they start, keep their data, and leave nothing behind."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from servers import (
    ConsulServer,
    RedisServer,
    ServerFailedError,
    process,
    shared,
    start_consul,
    start_postgres,
    start_redis,
    start_s3,
)

if TYPE_CHECKING:
    from servers import PostgresServer, S3Server
    from servers.process import Server


def ask_redis(server: Server, command: str) -> bytes:
    """Send one command to Redis on a connection of its own."""
    address = (server.host, server.port)
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(command.encode() + b"\r\n")
        return connection.recv(1000)


def ask_consul(server: Server, method: str, path: str, body: str = "") -> bytes:
    """Send one request to Consul on a connection of its own."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
    try:
        connection.request(method, path, body)
        return connection.getresponse().read()
    finally:
        connection.close()


def refuses(server: Server) -> bool:
    """Return whether nothing listens at the server's port."""
    try:
        socket.create_connection((server.host, server.port), timeout=10).close()
    except ConnectionRefusedError:
        return True
    return False


def wait_until_gone(pid: int, folder: Path) -> bool:
    """Wait, for a bounded time, for the end of a process and of its folder."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            if not folder.exists():
                return True
        time.sleep(0.02)
    return False


@pytest.mark.redis
def test_shared_redis_answers(redis_server: RedisServer) -> None:
    """The shared Redis answers commands."""
    assert ask_redis(redis_server, "PING") == b"+PONG\r\n"
    assert redis_server.url.startswith("redis://")


@pytest.mark.redis
def test_redis_keeps_port_and_data_over_restart_and_crash() -> None:
    """A Redis has the same port and data after a restart and after a crash."""
    with start_redis() as server:
        assert ask_redis(server, "SET x 1") == b"+OK\r\n"
        server.restart()
        assert ask_redis(server, "GET x") == b"$1\r\n1\r\n"
        assert ask_redis(server, "SET x 22") == b"+OK\r\n"
        server.kill()
        assert refuses(server)
        server.start()
        assert ask_redis(server, "GET x") == b"$2\r\n22\r\n"
    assert refuses(server)
    assert not server.folder.exists()


@pytest.mark.postgres
def test_scratch_database_is_empty(postgres_conninfo: str) -> None:
    """Each test gets a new database without tables."""
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(postgres_conninfo) as connection:
        found = connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        )
        assert found.fetchone() == (0,)
        connection.execute("CREATE TABLE t (x text)")


@pytest.mark.postgres
def test_scratch_database_is_dropped_despite_open_connections(
    postgres_server: PostgresServer,
) -> None:
    """An open connection does not prevent that the database is dropped."""
    psycopg = pytest.importorskip("psycopg")
    with postgres_server.scratch_database() as conninfo:
        left_open = psycopg.connect(conninfo)
    with left_open, pytest.raises(psycopg.OperationalError):
        left_open.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(conninfo)


@pytest.mark.postgres
def test_postgres_keeps_port_and_data_over_restart_and_crash() -> None:
    """A PostgreSQL has the same port and data after a restart and after a crash."""
    psycopg = pytest.importorskip("psycopg")
    with start_postgres() as server:
        with psycopg.connect(server.conninfo()) as connection:
            connection.execute("CREATE TABLE t (x text)")
        server.restart()
        with psycopg.connect(server.conninfo()) as connection:
            connection.execute("INSERT INTO t VALUES ('kept')")
        server.kill()
        assert refuses(server)
        server.start()
        with psycopg.connect(server.conninfo()) as connection:
            assert connection.execute("SELECT x FROM t").fetchall() == [("kept",)]
    assert refuses(server)
    assert not server.folder.exists()


@pytest.mark.consul
def test_shared_consul_answers(consul_server: ConsulServer) -> None:
    """The shared Consul reads and writes keys."""
    assert ask_consul(consul_server, "PUT", "/v1/kv/servers/x", "1") == b"true"
    assert ask_consul(consul_server, "GET", "/v1/kv/servers/x?raw") == b"1"
    assert consul_server.url.startswith("http://")


@pytest.mark.consul
def test_consul_keeps_port_and_data_over_restart_and_crash() -> None:
    """A Consul has the same port and data after a restart and after a crash."""
    with start_consul() as server:
        ask_consul(server, "PUT", "/v1/kv/x", "first")
        server.restart()
        assert ask_consul(server, "GET", "/v1/kv/x?raw") == b"first"
        ask_consul(server, "PUT", "/v1/kv/x", "second")
        server.kill()
        assert refuses(server)
        server.start()
        assert ask_consul(server, "GET", "/v1/kv/x?raw") == b"second"
    assert refuses(server)
    assert not server.folder.exists()


@pytest.mark.s3
def test_shared_s3_answers(s3_client: Any, s3_bucket: str) -> None:
    """The shared S3 server has a bucket that takes objects."""
    s3_client.put_object(Bucket=s3_bucket, Key="x", Body=b"1")
    assert s3_client.get_object(Bucket=s3_bucket, Key="x")["Body"].read() == b"1"


@pytest.mark.s3
def test_s3_keeps_port_and_data_over_restart() -> None:
    """An S3 server has the same port and data after a restart."""
    with start_s3() as server:
        client = server.client()
        client.create_bucket(Bucket="bucket")
        client.put_object(Bucket="bucket", Key="x", Body=b"kept")
        server.stop()
        assert refuses(server)
        server.start()
        assert client.get_object(Bucket="bucket", Key="x")["Body"].read() == b"kept"
        client.close()
    assert refuses(server)
    assert not server.folder.exists()


@pytest.mark.s3
def test_s3_accepts_one_of_many_conditional_writes(
    s3_server: S3Server, s3_bucket: str
) -> None:
    """Of several conditional writes at the same time, S3 accepts exactly one."""
    clients = [s3_server.client() for _ in range(8)]

    def put(client: Any, key: str, **condition: str) -> bool:
        try:
            client.put_object(Bucket=s3_bucket, Key=key, Body=b"1", **condition)
        except client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] != "PreconditionFailed":
                raise
            return False
        return True

    with ThreadPoolExecutor(len(clients)) as threads:
        for n in range(20):
            won = threads.map(lambda c: put(c, str(n), IfNoneMatch="*"), clients)  # noqa: B023
            assert list(won).count(True) == 1
    for client in clients:
        client.close()


@pytest.mark.s3
def test_s3_serves_one_request_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two requests at the same time are served one after the other."""
    pytest.importorskip("moto.server")
    from werkzeug.test import EnvironBuilder  # comes with moto

    from servers.s3_process import SerialApplication  # needs moto

    application = SerialApplication()
    together = threading.Barrier(2)
    bodies = []

    def meet(environ: dict[str, Any], start_response: object) -> list[bytes]:
        del start_response
        bodies.append(environ["wsgi.input"].read())
        with contextlib.suppress(threading.BrokenBarrierError):
            together.wait(timeout=0.2)
        return [b"met" if not together.broken else b"alone"]

    monkeypatch.setattr(application, "_moto", meet)

    def request(body: str) -> list[bytes]:
        environ = EnvironBuilder(method="PUT", data=body).get_environ()
        return list(application(environ, lambda *_: lambda _: None))

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(request, ["1", "2"])) == [[b"alone"], [b"alone"]]
    assert sorted(bodies) == [b"1", b"2"]


@pytest.mark.redis
def test_servers_end_when_pytest_is_killed(tmp_path: Path) -> None:
    """A pytest that is killed leaves neither processes nor folders behind."""
    script = tmp_path / "killed.py"
    script.write_text(
        textwrap.dedent("""
            from servers import start_redis
            with start_redis() as server:
                print(server._process.pid, server.folder, flush=True)
                input()
        """)
    )
    with (
        start_redis(),  # as a whole: skips where there is no Redis
        subprocess.Popen(
            [sys.executable, script],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as killed,
    ):
        assert killed.stdout is not None
        pid, folder = killed.stdout.readline().split()
        assert Path(folder).is_dir()
        killed.kill()
        assert wait_until_gone(int(pid), Path(folder))


def test_missing_server_skips_tests_and_fails_them_in_ci(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without an installed server a test is skipped; with CI=true it fails."""
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("FLIPPER_TEST_REDIS_URL", raising=False)
    with pytest.raises(pytest.skip.Exception, match="make servers"), start_redis():
        pass
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="make servers"), start_redis():
        pass
    monkeypatch.setenv("FLIPPER_TEST_REDIS_URL", "redis://elsewhere")
    with pytest.raises(pytest.skip.Exception, match="cannot be stopped"), start_redis():
        pass


@pytest.mark.redis
def test_server_named_by_the_environment_is_used_and_left_running(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server that the environment names is used, and cannot be stopped by tests."""
    with start_redis() as running:
        monkeypatch.setenv("FLIPPER_TEST_REDIS_URL", running.url)
        with shared(RedisServer) as named:
            assert (named.host, named.port) == (running.host, running.port)
            with pytest.raises(pytest.skip.Exception, match="FLIPPER_TEST_REDIS_URL"):
                named.restart()
        assert ask_redis(running, "PING") == b"+PONG\r\n"


def test_server_named_by_the_environment_has_to_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server that the environment names, and that does not answer, is a failure."""
    monkeypatch.setattr(process, "START_SECONDS", 0.0)
    address = f"http://127.0.0.1:{process.free_port()}"
    monkeypatch.setenv("FLIPPER_TEST_CONSUL_URL", address)
    with pytest.raises(ServerFailedError, match=address), shared(ConsulServer):
        pass


@pytest.mark.redis
def test_server_that_cannot_start_raises_with_its_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server that cannot start raises, with the end of its log."""
    with start_redis() as server:
        server.stop()
        command = [*server.command(), "--nonsense"]
        monkeypatch.setattr(server, "command", lambda: command)
        with pytest.raises(ServerFailedError, match=r"ended with 1(?s:.*)nonsense"):
            server.start()


@pytest.mark.redis
def test_server_does_not_start_on_a_port_in_use() -> None:
    """A server whose port is in use raises, and does not use the other server."""
    with start_redis() as first, start_redis() as second:
        second.stop()
        second.port = first.port
        with pytest.raises(ServerFailedError, match="something else listens"):
            second.start()
