# SPDX-License-Identifier: Apache-2.0
"""What Redis tells of changes, on real servers: names, refusals, silence, forks."""

from __future__ import annotations

import contextlib
import gc
import os
import subprocess
import sys
import textwrap
import uuid
from typing import TYPE_CHECKING, Any

import fakeredis
import pytest
import redis
from redis.cluster import RedisCluster
from redis.sentinel import Sentinel
from test_redis import Replica, SentinelServer, address, cluster  # noqa: F401

from flipper.contracts.watch import WatchRefusedError
from flipper.contrib.redis import RedisFeatureFlagStore, tracking
from flipper.exceptions import StoreTimeoutError, StoreUnavailableError
from flipper.testing.contract import eventually
from servers import Proxy, RedisServer, start, start_redis

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from flipper.contracts.watch import Watch
    from flipper.contrib.redis.watch import RedisWatch

pytestmark = pytest.mark.redis


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """Give a client, to write behind a store's back."""
    with redis.Redis.from_url(redis_server.url) as client:
        yield client


@pytest.fixture
def base_key() -> str:
    """Give a base key that no other test has."""
    return f"flipper-ö-{uuid.uuid4().hex}"


@pytest.fixture
def store(client: redis.Redis, base_key: str) -> RedisFeatureFlagStore:
    """Give an empty store."""
    return RedisFeatureFlagStore(client, base_key)


@pytest.fixture
def watch(store: RedisFeatureFlagStore) -> Iterator[RedisWatch]:
    """Give a watch of the store."""
    watch = store.watch()
    yield watch
    watch.close()


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[Proxy]:
    """Give a proxy before the server."""
    with Proxy(redis_server.host, redis_server.port) as proxy:
        yield proxy


def through(proxy: Proxy, base_key: str) -> RedisFeatureFlagStore:
    """Make a store that reaches the server through a proxy."""
    client = redis.Redis(host=proxy.host, port=proxy.port)
    return RedisFeatureFlagStore(client, base_key)


def hear(watch: Watch, last: str) -> set[str]:
    """Give the names that are heard until the last one is, that included."""
    heard: set[str] = set()

    def has_heard_it() -> bool:
        names = watch.wait(0.5)
        assert names is not None
        heard.update(names)
        return last in heard

    eventually(has_heard_it)
    return heard


def listen(watch: Watch) -> Collection[str] | None:
    """Wait until something is heard, or the watch fails."""
    for _ in range(300):
        if (names := watch.wait(0.1)) or names is None:
            return names
    pytest.fail("nothing was heard, and nothing failed")


def listeners(client: redis.Redis) -> int:
    """Count the connections that are told of changes."""
    return int(client.info("clients")["tracking_clients"])


# Names


def test_whatever_happens_to_a_flag_is_reported(
    watch: Watch, client: redis.Redis, store: RedisFeatureFlagStore, base_key: str
) -> None:
    """Whoever does it: this store, another program, or time."""
    store.create("mine")
    assert hear(watch, "mine") == {"mine"}
    client.set(f"{base_key}/eu/x y", b"{}")
    assert hear(watch, "eu/x y") == {"eu/x y"}
    client.rename(f"{base_key}/eu/x y", f"{base_key}/旗")
    client.set(f"{base_key}/last", b"{}")
    assert hear(watch, "last") == {"eu/x y", "旗", "last"}
    store.delete("mine")
    assert hear(watch, "mine") == {"mine"}
    client.pexpire(f"{base_key}/旗", 1)
    assert hear(watch, "旗") == {"旗"}


def test_other_keys_are_not_reported(
    watch: Watch, client: redis.Redis, base_key: str
) -> None:
    """A key that begins with the same letters is not under the base key."""
    for key in (base_key, f"{base_key}2/x", f"x{base_key}/x"):
        client.set(key, b"{}")
    client.set(f"{base_key}/last", b"{}")
    assert hear(watch, "last") == {"last"}


def test_keys_that_are_no_text_are_left_out(
    watch: Watch, client: redis.Redis, base_key: str
) -> None:
    """No flag has such a name."""
    client.set(f"{base_key}/".encode() + b"\xff\xfe", b"{}")
    client.set(f"{base_key}/last", b"{}")
    assert hear(watch, "last") == {"last"}


def test_thousands_of_changes_at_once_are_all_reported(
    watch: Watch, client: redis.Redis, base_key: str
) -> None:
    """They come in many messages, of which some are cut in pieces on their way."""
    names = {f"flag-{number}" for number in range(5000)}
    with client.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.set(f"{base_key}/{name}", b"{}")
        pipe.execute()
    heard: set[str] = set()
    eventually(lambda: heard.update(watch.wait(0.5) or ()) or heard == names)


def test_what_is_written_after_the_beginning_is_reported(
    client: redis.Redis, store: RedisFeatureFlagStore, base_key: str
) -> None:
    """Be it at the very next moment."""
    for number in range(50):
        watch = store.watch()
        client.set(f"{base_key}/x", str(number))
        assert hear(watch, "x") == {"x"}
        watch.close()


def test_an_emptied_server_may_have_lost_any_flag() -> None:
    """Redis names no keys then."""
    with start(RedisServer) as server:
        client = redis.Redis(host=server.host, port=server.port)
        watch = RedisFeatureFlagStore(client).watch()
        client.set("features/x", b"{}")
        client.flushall()
        while (names := listen(watch)) is not None:
            assert names == {"x"}
        client.set("features/y", b"{}")
        assert hear(watch, "y") == {"y"}
        watch.close()


@pytest.mark.parametrize(
    "options",
    [
        {"decode_responses": True},
        {"encoding": "latin-1"},
        {"db": 3},
        {"health_check_interval": 1, "socket_timeout": 0.01},
        {"client_name": "flags"},
    ],
    ids=str,
)
def test_any_settings_of_a_client_will_do(
    redis_server: RedisServer, base_key: str, options: dict[str, Any]
) -> None:
    """The connection is made like those of the client, as far as that makes sense."""
    client = redis.Redis(host=redis_server.host, port=redis_server.port, **options)
    other = redis.Redis(host=redis_server.host, port=redis_server.port)
    watch = RedisFeatureFlagStore(client, base_key).watch()
    for encoding in ("utf-8", options.get("encoding", "utf-8")):
        other.set(f"{base_key}/ö".encode(encoding), b"{}")
        assert hear(watch, "ö") == {"ö"}
    watch.close()


def test_all_nodes_of_a_cluster_are_listened_to(
    cluster: list[Any],  # noqa: F811  (the fixture, of two nodes)
    base_key: str,
) -> None:
    """The flags are on all of them."""
    host, port = address(cluster[0])
    with RedisCluster(host=host, port=port) as client:
        store = RedisFeatureFlagStore(client, base_key)
        watch = store.watch()
        names = {f"flag-{number}" for number in range(20)}
        for name in names:
            store.create(name)
        assert all(node.keys(f"{base_key}/*") for node in cluster)
        heard: set[str] = set()
        eventually(lambda: heard.update(watch.wait(0.5) or ()) or heard == names)
        watch.close()
        assert sum(map(listeners, cluster)) == 0


def test_a_sentinel_leads_to_the_new_master() -> None:
    """The watch of the old one ends with it."""
    with contextlib.ExitStack() as stack:
        master = stack.enter_context(start_redis())
        with redis.Redis(host=master.host, port=master.port) as client:
            client.config_set("repl-diskless-sync-delay", 0)
        Replica.master = SentinelServer.master = master
        replica = stack.enter_context(start(Replica))
        watcher = stack.enter_context(start(SentinelServer))
        sentinel = Sentinel([(watcher.host, watcher.port)])
        store = RedisFeatureFlagStore(sentinel.master_for("flags"))
        eventually(lambda: bool(sentinel.discover_slaves("flags")))
        watch = store.watch()
        master.kill()
        with pytest.raises(redis.ConnectionError):
            listen(watch)
        found: list[RedisWatch] = []

        def begins() -> bool:
            try:
                found.append(store.watch())
                store.create("x")
            except redis.RedisError:
                return False
            return True

        eventually(begins)
        assert hear(found[-1], "x") == {"x"}
        with redis.Redis(host=replica.host, port=replica.port) as client:
            assert client.exists("features/x")


# Refusals


class WithoutClient(RedisServer):
    """A Redis that knows no CLIENT, as those of some providers do not."""

    def command(self) -> list[str]:
        """Take the command away."""
        return [*super().command(), "--rename-command", "CLIENT", ""]


class HangsUp(Proxy):
    """A proxy that knows no CLIENT, and tells by ending the connection."""

    def _pass_requests(self, connection: Any) -> None:
        receive = connection.client.recv
        while data := receive(65536):
            if b"CLIENT" in data:
                connection.end()
                return
            connection.server.sendall(data)


def test_a_server_that_cannot_is_refused() -> None:
    """The flags are read now and then, instead."""
    with start(WithoutClient) as server:
        client = redis.Redis(host=server.host, port=server.port)
        with pytest.raises(WatchRefusedError, match=r"Redis 6\.0 or newer"):
            RedisFeatureFlagStore(client).watch()
        client.close()
    with pytest.raises(WatchRefusedError):
        RedisFeatureFlagStore(fakeredis.FakeRedis()).watch()


def test_a_proxy_that_hangs_up_is_refused(redis_server: RedisServer) -> None:
    """It is there, as it answers everything else; trying again would not help."""
    with HangsUp(redis_server.host, redis_server.port) as proxy:
        with pytest.raises(WatchRefusedError, match="without a proxy"):
            through(proxy, "features").watch()
        proxy.cut()
        with pytest.raises(redis.ConnectionError):
            through(proxy, "features").watch()


@pytest.mark.parametrize("rule", ["-client", "-subscribe", "resetchannels"])
def test_a_user_who_may_not_is_told_what_it_takes(
    client: redis.Redis, redis_server: RedisServer, base_key: str, rule: str
) -> None:
    """What the message asks for is enough."""
    user = f"user-{base_key}"

    def log_in() -> RedisFeatureFlagStore:
        mine = redis.Redis(
            host=redis_server.host,
            port=redis_server.port,
            username=user,
            password="p",  # noqa: S106  (made below)
        )
        return RedisFeatureFlagStore(mine, base_key)

    set_user = ("ACL", "SETUSER", user, "reset", "on", ">p", "~*")
    client.execute_command(*set_user, "+@all", "allchannels", rule)
    before = listeners(client)
    with pytest.raises(WatchRefusedError) as caught:
        log_in().watch()
    remedy = str(caught.value).partition("<user> ")[2].rstrip(")").split()
    client.execute_command(*set_user, *remedy)
    watch = log_in().watch()
    client.set(f"{base_key}/x", b"{}")
    assert hear(watch, "x") == {"x"}
    watch.close()
    eventually(lambda: listeners(client) == before)
    client.execute_command("ACL", "DELUSER", user)


# Silence, loss, and the end


def test_a_server_without_news_is_asked_whether_it_is_there(
    proxy: Proxy, base_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And goes on being listened to."""
    monkeypatch.setattr(tracking, "_PING_AFTER", 0.02)
    store = through(proxy, base_key)
    watch = store.watch()
    before = proxy.requests
    for _ in range(20):
        assert not watch.wait(0.05)
    assert proxy.requests - before > 5
    store.create("x")
    assert hear(watch, "x") == {"x"}
    watch.close()


def test_a_server_that_is_silent_is_given_up(proxy: Proxy, base_key: str) -> None:
    """A link may be dead without a sign, and a reply may never come."""
    store = through(proxy, base_key)
    watch = store.watch()
    proxy.blackhole()
    with pytest.raises(StoreTimeoutError, match="not answered for"):
        listen(watch)
    with pytest.raises(redis.TimeoutError):
        store.watch()
    proxy.restore()
    assert not store.watch().wait(0)


def test_a_lost_connection_raises_and_is_not_made_anew(
    proxy: Proxy, base_key: str
) -> None:
    """What has changed meanwhile could not be told."""
    store = through(proxy, base_key)
    watch = store.watch()
    proxy.cut()
    with pytest.raises(redis.ConnectionError):
        listen(watch)
    with pytest.raises(redis.ConnectionError):
        store.watch()
    proxy.restore()
    with pytest.raises(StoreUnavailableError):
        watch.wait(0)
    assert not proxy._open


def test_a_closed_or_forgotten_watch_leaves_no_connection(
    client: redis.Redis, store: RedisFeatureFlagStore
) -> None:
    """As a beginning that took too long is forgotten."""
    before = listeners(client)
    watch = store.watch()
    forgotten = store.watch()
    assert listeners(client) == before + 2
    watch.close()
    watch.close()
    del forgotten
    gc.collect()
    eventually(lambda: listeners(client) == before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_leaves_the_connection_alone(
    redis_server: RedisServer, base_key: str
) -> None:
    """Neither its end nor its garbage collector says anything to the server."""
    code = """
        import gc, os, sys
        import redis
        from flipper.contrib.redis import RedisFeatureFlagStore

        client = redis.Redis.from_url(sys.argv[1])
        watch = RedisFeatureFlagStore(client, sys.argv[2]).watch()
        for leaves in (lambda: sys.exit(0), lambda: os._exit(0)):
            child = os.fork()
            if not child:
                del watch
                gc.collect()
                leaves()
            assert os.waitpid(child, 0)[1] == 0
        assert watch.wait(0) == set()
        client.set(sys.argv[2] + "/x", "{}")
        assert watch.wait(30) == {"x"}
    """
    arguments = [redis_server.url, base_key]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        env={k: v for k, v in os.environ.items() if not k.startswith("COV")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
