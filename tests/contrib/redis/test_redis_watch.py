# SPDX-License-Identifier: Apache-2.0
"""What the watch of a Redis store reports, and what it refuses, on real servers."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import fakeredis
import pytest
import redis
from redis.cluster import RedisCluster

from flipper.contracts.watch import WatchRefusedError
from flipper.contrib.redis import RedisFeatureFlagStore
from flipper.testing.contract import eventually
from servers import Proxy, RedisServer, start
from support.redis_servers import (
    Replication,
    address,
    tracking_connections,
)
from support.watches import next_report, reports_until, wait_for_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flipper.contracts.watch import Watch
    from flipper.contrib.redis.watch import RedisWatch

pytestmark = pytest.mark.redis


@pytest.fixture
def base_key() -> str:
    """Give a base key that no other test has."""
    return f"flipper-ö-{uuid.uuid4().hex}"


@pytest.fixture
def watch(store: RedisFeatureFlagStore) -> Iterator[RedisWatch]:
    """Give a watch of the store."""
    watch = store.watch()
    yield watch
    watch.close()


# Names


def test_every_change_below_the_base_key_is_reported(
    watch: Watch, client: redis.Redis, store: RedisFeatureFlagStore, base_key: str
) -> None:
    """The watch reports what the store, other programs and expiry change."""
    store.create("mine")
    assert reports_until(watch, "mine") == {"mine"}
    client.set(f"{base_key}/eu/x y", b"{}")
    assert reports_until(watch, "eu/x y") == {"eu/x y"}
    client.rename(f"{base_key}/eu/x y", f"{base_key}/旗")
    client.set(f"{base_key}/last", b"{}")
    assert reports_until(watch, "last") == {"eu/x y", "旗", "last"}
    store.delete("mine")
    assert reports_until(watch, "mine") == {"mine"}
    client.pexpire(f"{base_key}/旗", 1)
    assert reports_until(watch, "旗") == {"旗"}


def test_changes_of_other_keys_are_not_reported(
    watch: Watch, client: redis.Redis, base_key: str
) -> None:
    """A key with the same prefix is not below the base key."""
    for key in (base_key, f"{base_key}2/x", f"x{base_key}/x"):
        client.set(key, b"{}")
    client.set(f"{base_key}/last", b"{}")
    assert reports_until(watch, "last") == {"last"}


def test_keys_that_are_no_text_are_not_reported(
    watch: Watch, client: redis.Redis, base_key: str
) -> None:
    """A key that is not UTF-8 is the name of no flag."""
    client.set(f"{base_key}/".encode() + b"\xff\xfe", b"{}")
    client.set(f"{base_key}/last", b"{}")
    assert reports_until(watch, "last") == {"last"}


def test_thousands_of_changes_at_once_are_all_reported(
    watch: Watch, client: redis.Redis, base_key: str
) -> None:
    """All changes are reported, although some messages arrive in pieces."""
    names = {f"flag-{number}" for number in range(5000)}
    with client.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.set(f"{base_key}/{name}", b"{}")
        pipe.execute()
    reported: set[str] = set()
    eventually(lambda: reported.update(watch.wait(0.5) or ()) or reported == names)


def test_a_watch_reports_from_its_first_moment(
    client: redis.Redis, store: RedisFeatureFlagStore, base_key: str
) -> None:
    """A change immediately after `watch()` is reported."""
    for number in range(50):
        watch = store.watch()
        client.set(f"{base_key}/x", str(number))
        assert reports_until(watch, "x") == {"x"}
        watch.close()


def test_flushall_reports_that_any_flag_may_have_changed() -> None:
    """After FLUSHALL the watch reports that any flag may have changed, and goes on."""
    with start(RedisServer) as server:
        client = redis.Redis(host=server.host, port=server.port)
        watch = RedisFeatureFlagStore(client).watch()
        client.set("features/x", b"{}")
        client.flushall()
        while (names := next_report(watch)) is not None:
            assert names == {"x"}
        client.set("features/y", b"{}")
        assert reports_until(watch, "y") == {"y"}
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
def test_a_watch_works_with_any_settings_of_the_client(
    redis_server: RedisServer, base_key: str, options: dict[str, Any]
) -> None:
    """The watch connects with those settings of the client that make sense for it."""
    client = redis.Redis(host=redis_server.host, port=redis_server.port, **options)
    other = redis.Redis(host=redis_server.host, port=redis_server.port)
    watch = RedisFeatureFlagStore(client, base_key).watch()
    for encoding in ("utf-8", options.get("encoding", "utf-8")):
        other.set(f"{base_key}/ö".encode(encoding), b"{}")
        assert reports_until(watch, "ö") == {"ö"}
    watch.close()


def test_a_watch_listens_to_all_nodes_of_a_cluster(
    cluster: list[Any], base_key: str
) -> None:
    """Changes on every node are reported, and closing leaves no connection."""
    host, port = address(cluster[0])
    with RedisCluster(host=host, port=port) as client:
        store = RedisFeatureFlagStore(client, base_key)
        watch = store.watch()
        names = {f"flag-{number}" for number in range(20)}
        for name in names:
            store.create(name)
        assert all(node.keys(f"{base_key}/*") for node in cluster)
        reported: set[str] = set()
        eventually(lambda: reported.update(watch.wait(0.5) or ()) or reported == names)
        watch.close()
        assert sum(map(tracking_connections, cluster)) == 0


def test_a_sentinel_leads_to_the_new_master() -> None:
    """The watch of the old master ends, and the next one is of the new master."""
    with Replication() as servers:
        store = RedisFeatureFlagStore(servers.client())
        servers.wait_for_replica()
        watch = store.watch()
        servers.master.kill()
        with pytest.raises(redis.ConnectionError):
            wait_for_failure(watch)
        found: list[RedisWatch] = []

        def begins() -> bool:
            try:
                found.append(store.watch())
                store.create("x")
            except redis.RedisError:
                return False
            return True

        eventually(begins)
        assert reports_until(found[-1], "x") == {"x"}
        replica = servers.replica
        with redis.Redis(host=replica.host, port=replica.port) as client:
            assert client.exists("features/x")


# Refusals


class ServerWithoutClientCommand(RedisServer):
    """A Redis without the command CLIENT, as some providers have it."""

    def command(self) -> list[str]:
        """Return the command that runs a server without CLIENT."""
        return [*super().command(), "--rename-command", "CLIENT", ""]


class ProxyWithoutClientCommand(Proxy):
    """A proxy that closes the connection when it gets the command CLIENT."""

    def _pass_requests(self, connection: Any) -> None:
        receive = connection.client.recv
        while data := receive(65536):
            if b"CLIENT" in data:
                connection.end()
                return
            connection.server.sendall(data)


def test_a_server_without_tracking_is_refused() -> None:
    """`watch` raises if the server cannot report changes."""
    with start(ServerWithoutClientCommand) as server:
        client = redis.Redis(host=server.host, port=server.port)
        with pytest.raises(WatchRefusedError, match=r"Redis 6\.0 or newer"):
            RedisFeatureFlagStore(client).watch()
        client.close()
    with pytest.raises(WatchRefusedError):
        RedisFeatureFlagStore(fakeredis.FakeRedis()).watch()


def test_a_proxy_without_tracking_is_refused(
    redis_server: RedisServer, connect: Callable[..., Any]
) -> None:
    """`watch` raises another error if the proxy refuses it than if nothing answers."""
    with ProxyWithoutClientCommand(redis_server.host, redis_server.port) as proxy:
        client = connect(redis_server, proxy)
        with pytest.raises(WatchRefusedError, match="without a proxy"):
            RedisFeatureFlagStore(client).watch()
        proxy.cut()
        with pytest.raises(redis.ConnectionError):
            RedisFeatureFlagStore(client).watch()


@pytest.mark.parametrize("rule", ["-client", "-subscribe", "resetchannels"])
def test_the_error_for_a_user_names_the_missing_permissions(
    client: redis.Redis, redis_server: RedisServer, base_key: str, rule: str
) -> None:
    """The permissions that the error of `watch` asks for are enough."""
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
    before = tracking_connections(client)
    with pytest.raises(WatchRefusedError) as caught:
        log_in().watch()
    remedy = str(caught.value).partition("<user> ")[2].rstrip(")").split()
    client.execute_command(*set_user, *remedy)
    watch = log_in().watch()
    client.set(f"{base_key}/x", b"{}")
    assert reports_until(watch, "x") == {"x"}
    watch.close()
    eventually(lambda: tracking_connections(client) == before)
    client.execute_command("ACL", "DELUSER", user)
