# SPDX-License-Identifier: Apache-2.0
"""What the Redis store reads and writes on a real server, and what it lists."""

from __future__ import annotations

import enum
import json
from typing import TYPE_CHECKING, Any

import fakeredis
import pytest
import redis

from flipper import Condition, FeatureFlagClient, FlagDoesNotExistError
from flipper.contrib.redis import RedisFeatureFlagStore
from flipper.events import EventType
from flipper.exceptions import (
    InvalidArgumentError,
    StoreUnavailableError,
)
from servers import Proxy, RedisServer
from support.broken_documents import check_hostile_documents
from support.flags import names
from support.redis_servers import (
    Commands,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Connect = Callable[..., Any]

pytestmark = pytest.mark.redis


# Keys and values


def test_a_flag_is_one_string_of_json_under_base_key_and_name(
    store: RedisFeatureFlagStore, client: redis.Redis, base_key: str
) -> None:
    """The store keeps each flag as a JSON string under the base key and the name."""
    item = store.create("eu/x y", is_enabled=True, client_data={"ö": 1})
    assert client.keys(f"{base_key}*") == [f"{base_key}/eu/x y".encode()]
    stored = client.get(f"{base_key}/eu/x y")
    assert stored == item.serialize()
    assert json.loads(stored) == item.to_dict()
    assert client.ttl(f"{base_key}/eu/x y") == -1


def test_a_flag_that_others_wrote_is_read_and_rewritten_without_loss(
    store: RedisFeatureFlagStore, client: redis.Redis, base_key: str
) -> None:
    """A write keeps all fields of a document that another program has written."""
    document = '{"meta": {"created_date": 7,\n"client_data":{"a":"é"}},"is_enabled":'
    client.set(f"{base_key}/x", f'{document} false, "feature_name":"x"}}')
    store.set("x", True)
    assert json.loads(client.get(f"{base_key}/x")) == {
        "feature_name": "x",
        "is_enabled": True,
        "meta": {
            "client_data": {"a": "é"},
            "created_date": 7,
            "conditions": [],
            "bucketer": {"type": "NoOpBucketer"},
        },
    }


def test_an_empty_string_is_no_flag(
    store: RedisFeatureFlagStore, client: redis.Redis, base_key: str
) -> None:
    """An empty string is no flag, and a flag can be created in its place."""
    client.set(f"{base_key}/x", "")
    assert store.get("x") is None
    assert names(store) == []
    with pytest.raises(FlagDoesNotExistError):
        store.update("x", lambda item: item)
    store.set("x", True)
    assert sorted(names(store)) == ["x"]


def test_a_renamed_key_is_a_flag_of_that_name(
    client: redis.Redis, store: RedisFeatureFlagStore, base_key: str
) -> None:
    """A document under a renamed key is a flag of that name, and can be written."""
    features = FeatureFlagClient(store)
    features.create("old", client_data={"kept": True})
    client.rename(f"{base_key}/old", f"{base_key}/new")
    features.enable("new")
    assert features.is_enabled("new") is True
    assert features.get_client_data("new") == {"kept": True}
    assert sorted(names(store)) == ["new"]


class NameEnum(str, enum.Enum):
    """Names of flags as applications like to keep them."""

    NEW = "new/checkout"


@pytest.mark.parametrize(
    "name", ["x", "ä ☃ \U0001f600", "a*?[b]\\", "\x01\n\x7f", "n" * 1000, NameEnum.NEW]
)
def test_a_name_is_part_of_the_key_unchanged(
    store: RedisFeatureFlagStore, name: str
) -> None:
    """Every text that the client accepts is a name, and part of the key."""
    client = FeatureFlagClient(store)
    client.create(name)
    client.enable(name)
    client.add_condition(name, Condition(a=1))
    plain = str.__str__(name)
    assert sorted(names(store)) == [plain]
    assert client.is_enabled(plain, a=1) is True
    client.destroy(name)
    assert names(store) == []


def test_constructor_arguments_can_be_read() -> None:
    """The constructor's arguments are attributes of the same names."""
    store = RedisFeatureFlagStore(fakeredis.FakeRedis())
    assert (store.base_key, store.list_method_batch_size) == ("features", 100)
    store = RedisFeatureFlagStore(fakeredis.FakeRedis(), "flags", 7)
    assert (store.base_key, store.list_method_batch_size) == ("flags", 7)


@pytest.mark.parametrize("size", [0, -1])
def test_a_batch_size_below_one_is_refused(size: int) -> None:
    """The constructor refuses a batch size with which a list would read nothing."""
    with pytest.raises(InvalidArgumentError, match="list_method_batch_size"):
        RedisFeatureFlagStore(fakeredis.FakeRedis(), list_method_batch_size=size)


def test_each_call_takes_few_round_trips(
    redis_server: RedisServer, connect: Connect, base_key: str
) -> None:
    """Each call of the client takes exactly so many round trips to the server."""
    with Proxy(redis_server.host, redis_server.port) as proxy:
        redis_client = connect(redis_server, proxy)
        redis_client.ping()
        store = RedisFeatureFlagStore(redis_client, base_key)
        client = FeatureFlagClient(store)
        trips = {}

        def count(name: str, call: Callable[..., Any], *args: Any) -> None:
            before = proxy.requests
            call(*args)
            trips[name] = proxy.requests - before

        count("create", client.create, "x")
        count("is_enabled", client.is_enabled, "x")
        count("get_many", store.get_many, ["x", "y", "z"])
        count("store.set", store.set, "x", True)
        count("enable", client.enable, "x")
        count("add_condition", client.add_condition, "x", Condition(a=1))
        client.events.on(EventType.PRE_ENABLE, str)
        count("enable with a listener", client.enable, "x")
        count("set_client_data", client.set_client_data, "x", {"a": 1})
        count("store.delete", store.delete, "x")
        assert proxy.connections == 1
    # A conditional write takes two: WATCH and GET, then MULTI to EXEC. With a listener,
    # the client first checks whether the flag exists.
    assert trips == {
        "create": 1,
        "is_enabled": 1,
        "get_many": 1,
        "store.set": 2,
        "enable": 2,
        "enable with a listener": 3,
        "add_condition": 2,
        "set_client_data": 3,
        "store.delete": 1,
    }


def test_hostile_documents_are_never_on_and_hide_no_flag(
    store: RedisFeatureFlagStore, client: redis.Redis, base_key: str
) -> None:
    """A broken document is never on, hides no other flag, and can be written over."""

    def write(documents: dict[str, bytes]) -> None:
        with client.pipeline(transaction=False) as pipe:
            for name, document in documents.items():
                pipe.set(f"{base_key}/{name}", document)
            pipe.execute()

    check_hostile_documents(store, write)


# Lists


def test_ten_thousand_flags_are_listed_in_few_round_trips(
    redis_server: RedisServer, client: redis.Redis, connect: Connect, base_key: str
) -> None:
    """A list reads 100 flags in a round trip, and scans 1000 keys in another."""
    template = RedisFeatureFlagStore(fakeredis.FakeRedis()).create("NAME").serialize()
    pipe = client.pipeline(transaction=False)
    for number in range(10_000):
        document = template.replace(b"NAME", b"flag-%d" % number)
        pipe.set(f"{base_key}/flag-{number}", document)
    pipe.execute()
    with Proxy(redis_server.host, redis_server.port) as proxy:
        store = RedisFeatureFlagStore(connect(redis_server, proxy), base_key)
        store.get("flag-1")
        before = proxy.requests
        listed = sorted(names(store))
        keys = client.dbsize()
        assert listed == sorted(f"flag-{number}" for number in range(10_000))
        assert proxy.requests - before <= 100 + keys / 1000 + 2
    client.delete(*(f"{base_key}/flag-{number}" for number in range(10_000)))


def test_a_list_reads_no_more_flags_than_it_returns(
    redis_server: RedisServer, connect: Connect, base_key: str
) -> None:
    """A list reads when its first flag is wanted, and only the flags of its page."""
    store = RedisFeatureFlagStore(
        connect(redis_server), base_key, list_method_batch_size=4
    )
    for number in range(20):
        store.create(f"flag-{number:02}")
    assert sorted(names(store)) == [f"flag-{number:02}" for number in range(20)]
    with Commands(connect(redis_server), connect(redis_server)) as commands:
        listed = store.list(limit=6, offset=3)
        assert commands.seen() == []
        page = [item.feature_name for item in listed]
        assert len(set(page)) == 6
        reads = [words[1:] for words in commands.seen() if words[0] == "MGET"]
        assert [len(keys) for keys in reads] == [4, 2]
        assert [key for keys in reads for key in keys] == [
            f"{base_key}/{name}" for name in page
        ]
        assert list(store.list(limit=0)) == []
        assert commands.seen() == []
        next(store.list())
        assert [words[0] for words in commands.seen()].count("MGET") == 1


class PartlyAwayClient(fakeredis.FakeRedis):
    """A client behind a proxy before several servers, one of which is away."""

    values: Any

    def execute_command(self, *words: Any, **options: Any) -> Any:
        """Return `values` for MGET, and Redis's own answer for other commands."""
        if words[0] == "MGET":
            return self.values
        return super().execute_command(*words, **options)


@pytest.mark.parametrize(
    "values",
    [[redis.ResponseError("upstream failure"), None], [None], None],
    ids=["an error among them", "one too few", "none"],
)
def test_a_list_with_missing_values_raises(values: Any) -> None:
    """A list raises if the reply lacks values, rather than to leave flags out."""
    with PartlyAwayClient() as relay:
        relay.values = [None, None]
        store = RedisFeatureFlagStore(relay)
        store.create("a")
        store.create("b")
        assert names(store) == []
        relay.values = values
        with pytest.raises((redis.ResponseError, StoreUnavailableError)):
            names(store)


@pytest.mark.parametrize(
    "base", ["fe[at]ures", "app*", "wh?t", "back\\slash", "[^a]", "a]b", "plain"]
)
def test_a_base_key_is_not_a_pattern(
    client: redis.Redis, base_key: str, base: str
) -> None:
    """Wildcards in a base key match only themselves when flags are listed."""
    own = RedisFeatureFlagStore(client, f"{base_key}{base}")
    own.create("mine", is_enabled=True)
    for other in ("fea", "features", "app1", "what", "backslash", "back\\\\slash", "b"):
        RedisFeatureFlagStore(client, f"{base_key}{other}").create("other")
    assert sorted(names(own)) == ["mine"]


def test_a_list_leaves_out_what_is_no_flag_of_the_store(
    store: RedisFeatureFlagStore, client: redis.Redis, base_key: str
) -> None:
    """A list leaves out other keys and values that are no flags of the store."""
    store.create("mine")
    store.create("eu/mine")
    RedisFeatureFlagStore(client, f"{base_key}/eu").create("theirs")
    RedisFeatureFlagStore(client, f"{base_key}2").create("theirs")
    client.set(f"{base_key}/copy", store.create("mine").serialize())
    client.hset(f"{base_key}/hash", "a", 1)
    client.rpush(f"{base_key}/list", 1)
    client.set(f"{base_key}/text", "hello")
    client.set(f"{base_key}/empty", "")
    client.set(base_key, "no slash")
    client.set(base_key.encode() + b"/\xff\xfe", store.create("mine").serialize())
    assert sorted(names(store)) == ["eu/mine", "mine"]
    flags = FeatureFlagClient(store)
    for name in ("hash", "list", "text", "empty"):
        assert flags.is_enabled(name) is False
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        store.get("hash")
    assert flags.create("hash", is_enabled=True).is_enabled() is True


def test_a_key_that_scan_repeats_is_listed_once(
    redis_server: RedisServer, connect: Connect, base_key: str
) -> None:
    """Redis may repeat keys in a scan; a list has each flag once."""

    class RepeatingClient(redis.Redis):
        def scan_iter(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
            for key in super().scan_iter(*args, **kwargs):
                yield from (key, key)

    client = connect(redis_server, kind=RepeatingClient)
    store = RedisFeatureFlagStore(client, base_key, list_method_batch_size=3)
    for number in range(10):
        store.create(f"flag-{number}")
    assert sorted(names(store)) == [f"flag-{number}" for number in range(10)]
    assert len(names(store, limit=4)) == 4


def test_a_list_leaves_out_flags_that_were_deleted_meanwhile(
    client: redis.Redis, base_key: str
) -> None:
    """A list reads each flag when it gets there, and leaves out those that are gone."""
    store = RedisFeatureFlagStore(client, base_key, list_method_batch_size=1)
    for number in range(5):
        store.create(f"flag-{number}")
    listed = store.list()
    left = next(listed).feature_name
    for name in names(store):
        if name != left:
            store.delete(name)
    assert list(listed) == []
