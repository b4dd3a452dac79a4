# SPDX-License-Identifier: Apache-2.0
"""The Redis store with clients of every kind: decoding ones, clusters, sentinels."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import fakeredis
import pytest
import redis
from redis.cluster import RedisCluster

from flipper import Condition, FeatureFlagClient
from flipper.contrib.redis import RedisFeatureFlagStore
from flipper.exceptions import (
    InvalidFlagDataError,
)
from flipper.testing.contract import at_once, eventually
from support.flags import conditions, names
from support.redis_rivals import Rivalry
from support.redis_servers import (
    Replication,
    address,
    without_pauses,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from servers import RedisServer

    Connect = Callable[..., Any]

pytestmark = pytest.mark.redis


@pytest.mark.parametrize("where", ["server", "fake"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"decode_responses": True},
        {"decode_responses": True, "encoding": "latin-1"},
        {"decode_responses": True, "encoding_errors": "replace"},
    ],
    ids=lambda options: "-".join(map(str, options.values())) or "bytes",
)
def test_the_decoding_of_the_client_does_not_matter(
    where: str,
    options: dict[str, Any],
    base_key: str,
    connect: Connect,
    request: pytest.FixtureRequest,
) -> None:
    """The store works with every setting for decoding that its client may have."""
    if where == "fake":
        server = fakeredis.FakeServer()
        raw = fakeredis.FakeRedis(server=server)
        client = fakeredis.FakeRedis(server=server, **options)
    else:
        raw = connect(request.getfixturevalue("redis_server"))
        client = connect(request.getfixturevalue("redis_server"), **options)
    store = RedisFeatureFlagStore(client, base_key)
    flags = FeatureFlagClient(store)
    flags.create("é", client_data={"a": "ü"})
    flags.enable("é")
    flags.add_condition("é", Condition(a="☃"))
    flags.set_client_data("é", {"b": 2})
    meta = '{"created_date": 1, "client_data": {"a": "☃"}}'
    utf8 = f'{{"feature_name": "utf8", "is_enabled": 1, "meta": {meta}}}'
    raw.set(f"{base_key}/utf8", utf8)
    raw.set(f"{base_key}/broken".encode(), b'{"feature_name": "\xff"}')
    raw.set(base_key.encode() + b"/\xff\xfe", b"1")
    assert set(names(store)) == {"utf8", "é"}
    assert flags.is_enabled("é", a="☃") is True
    assert flags.get_client_data("é") == {"a": "ü", "b": 2}
    assert flags.is_enabled("broken") is False
    with pytest.raises(InvalidFlagDataError):
        flags.get_meta("broken")
    flags.set_client_data("utf8", {"b": 1})
    assert json.loads(raw.get(f"{base_key}/utf8"))["meta"]["client_data"] == {
        "a": "☃",
        "b": 1,
    }
    flags.destroy("utf8")
    assert raw.get(f"{base_key}/utf8") is None


@pytest.mark.parametrize("decode_responses", [False, True])
def test_a_cluster_keeps_flags_on_all_nodes(
    cluster: list[Any], base_key: str, decode_responses: bool
) -> None:
    """The store reads, lists and writes flags on all nodes of a cluster."""
    host, port = address(cluster[0])
    with RedisCluster(
        host=host, port=port, decode_responses=decode_responses
    ) as client:
        store = RedisFeatureFlagStore(client, base_key, list_method_batch_size=7)
        flags = FeatureFlagClient(store)
        expected = [f"flag-{number:02}" for number in range(40)]
        for name in expected:
            flags.create(name)
            flags.enable(name)
            flags.add_condition(name, Condition(a=1))
        assert all(node.keys(f"{base_key}/*") for node in cluster)
        assert len(names(store, limit=8)) == 8
        slot = client.keyslot(f"{base_key}/hash")
        cluster[slot // 8192].hset(f"{base_key}/hash", "a", 1)
        assert sorted(names(store)) == expected
        assert all(flags.is_enabled(name, a=1) for name in expected)
        flags.destroy(expected[0])
        assert sorted(names(store)) == expected[1:]
        add = Condition(b=1)
        at_once(*[lambda: [flags.add_condition("flag-01", add) for _ in range(10)]] * 4)
        assert len(conditions(store, "flag-01")) == 41
        assert isinstance(redis.exceptions.ClusterDownError(""), store.outage_errors)


def move_key(cluster: list[Any], key: str) -> None:
    """Move a key with its slot from one node to the other."""
    slot = cluster[0].cluster("keyslot", key)
    owns = {node: node.cluster("countkeysinslot", slot) for node in cluster}
    source, target = sorted(cluster, key=owns.__getitem__, reverse=True)
    ids = [node.cluster("myid") for node in (source, target)]
    target.cluster("setslot", slot, "importing", ids[0])
    source.cluster("setslot", slot, "migrating", ids[1])
    source.migrate(*address(target), key, 0, 5000)
    for node in (target, source):
        node.cluster("setslot", slot, "node", ids[1])


@pytest.mark.parametrize("command", [None, "WATCH", "MULTI"])
def test_a_flag_that_a_cluster_moves_is_found(
    cluster: list[Any],
    base_key: str,
    command: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A write finds a flag that was moved to another node, even in the middle of it."""
    host, port = address(cluster[0])
    with RedisCluster(host=host, port=port) as client:
        store = RedisFeatureFlagStore(client, base_key)
        store.create("x")
        key = f"{base_key}/x"
        if command is None:
            move_key(cluster, key)
        else:
            rivalry = Rivalry(monkeypatch, cluster[0], command, times=1)
            rivalry.rival = lambda: move_key(cluster, key)
        store.set("x", True)
        FeatureFlagClient(store).add_condition("x", Condition(a=1))
        assert client.exists(key)
        assert store.get("x").is_enabled() is True
        assert len(conditions(store)) == 1
        assert names(store) == ["x"]


def test_a_sentinel_leads_to_the_new_master(redis_server: RedisServer) -> None:
    """The store writes to the copy that a sentinel has promoted."""
    del redis_server  # without a Redis, this fixture has skipped the test
    with Replication() as servers:
        client = servers.client(retry=without_pauses(), socket_timeout=10)
        store = RedisFeatureFlagStore(client)
        flags = FeatureFlagClient(store)
        flags.create("x", is_enabled=True)
        assert client.wait(1, 10_000) == 1
        servers.wait_for_replica()
        servers.master.kill()
        assert flags.is_enabled("x") is True
        with pytest.raises(store.outage_errors):
            flags.disable("x")

        def disabled() -> bool:
            try:
                flags.disable("x")
            except (*store.outage_errors, redis.ReadOnlyError):
                return False
            return True

        eventually(disabled)
        eventually(lambda: not flags.is_enabled("x"))
        assert names(store) == ["x"]
