# SPDX-License-Identifier: Apache-2.0
"""The Redis store on real servers: layout, round trips, races, failures, clusters."""

from __future__ import annotations

import contextlib
import enum
import json
import logging
import multiprocessing
import socket
import subprocess
import sys
import textwrap
import threading
import time
import uuid
import warnings
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import fakeredis
import pytest
import redis
from redis.backoff import ConstantBackoff, NoBackoff
from redis.cluster import RedisCluster
from redis.retry import Retry
from redis.sentinel import Sentinel

from flipper import Condition, FeatureFlagClient, FlagDoesNotExistError
from flipper.bucketing import ConsistentHashPercentageBucketer, Percentage
from flipper.contrib.redis import RedisFeatureFlagStore
from flipper.events import EventType
from flipper.exceptions import (
    InvalidArgumentError,
    InvalidFlagDataError,
    StoreUnavailableError,
)
from servers import Proxy, RedisServer, start, start_redis
from servers.process import free_port
from support.broken_documents import hostile_documents
from support.outage_rules import check_circuit_breaker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Self

    Connect = Callable[..., Any]

pytestmark = pytest.mark.redis


def quick(retries: int = 0) -> Any:
    """Make redis-py send so many times more, without the pauses it makes by default."""
    return Retry(NoBackoff(), retries)


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Give a function that makes clients of a server, or through a proxy before it."""
    with contextlib.ExitStack() as clients:

        def connect(server: RedisServer, proxy: Any = None, **options: Any) -> Any:
            kind = options.pop("kind", redis.Redis)
            options = {"retry": quick(), "socket_timeout": 10, **options}
            parts = urlsplit(server.url)
            if proxy is not None:
                login = parts.netloc.rpartition("@")[0]
                address = f"{login}{'@' * bool(login)}{proxy.host}:{proxy.port}"
                parts = parts._replace(netloc=address)
            client = kind.from_url(parts.geturl(), **options)
            clients.callback(client.connection_pool.disconnect)
            return client

        yield connect


@pytest.fixture
def client(redis_server: RedisServer, connect: Connect) -> redis.Redis:
    """Give a client that gets bytes."""
    return connect(redis_server)


@pytest.fixture
def base_key() -> str:
    """Give a base key that no other test has."""
    return f"flipper-{uuid.uuid4().hex}"


@pytest.fixture
def store(client: redis.Redis, base_key: str) -> RedisFeatureFlagStore:
    """Give an empty store."""
    return RedisFeatureFlagStore(client, base_key)


def names(store: RedisFeatureFlagStore, **page: Any) -> list[str]:
    """Name the flags of a store in order of name, repetitions included."""
    return sorted(item.feature_name for item in store.list(**page))


def conditions(store: RedisFeatureFlagStore, name: str = "x") -> list[Any]:
    """Read the conditions of a flag that is there."""
    item = store.get(name)
    assert item is not None
    return item.meta["conditions"]


# Keys and bytes


def test_a_flag_is_one_string_of_json_under_base_key_and_name(
    store: RedisFeatureFlagStore, client: redis.Redis, base_key: str
) -> None:
    """Other libraries and versions read the same keys."""
    item = store.create("eu/x y", is_enabled=True, client_data={"ö": 1})
    assert client.keys(f"{base_key}*") == [f"{base_key}/eu/x y".encode()]
    stored = client.get(f"{base_key}/eu/x y")
    assert stored == item.serialize()
    assert json.loads(stored) == item.to_dict()
    assert client.ttl(f"{base_key}/eu/x y") == -1


def test_a_flag_that_others_wrote_is_read_and_rewritten_without_loss(
    store: RedisFeatureFlagStore, client: redis.Redis, base_key: str
) -> None:
    """Spacing and escapes are the writer's own business."""
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


def test_an_empty_string_is_a_missing_flag(
    store: RedisFeatureFlagStore, client: redis.Redis, base_key: str
) -> None:
    """It holds nothing, and can be written like any missing flag."""
    client.set(f"{base_key}/x", "")
    assert store.get("x") is None
    assert names(store) == []
    with pytest.raises(FlagDoesNotExistError):
        store.update("x", lambda item: item)
    store.set("x", True)
    assert names(store) == ["x"]


class Names(str, enum.Enum):
    """Names of flags as applications like to keep them."""

    NEW = "new/checkout"


@pytest.mark.parametrize(
    "name", ["x", "ä ☃ \U0001f600", "a*?[b]\\", "\x01\n\x7f", "n" * 1000, Names.NEW]
)
def test_names_are_kept_as_they_are(store: RedisFeatureFlagStore, name: str) -> None:
    """Any text that the client lets through is a name."""
    client = FeatureFlagClient(store)
    client.create(name)
    client.enable(name)
    client.add_condition(name, Condition(a=1))
    plain = str.__str__(name)
    assert names(store) == [plain]
    assert client.is_enabled(plain, a=1) is True
    client.destroy(name)
    assert names(store) == []


def test_constructor_arguments_can_be_read() -> None:
    """Suites build keys with them."""
    store = RedisFeatureFlagStore(fakeredis.FakeRedis())
    assert (store.base_key, store.list_method_batch_size) == ("features", 100)
    store = RedisFeatureFlagStore(fakeredis.FakeRedis(), "flags", 7)
    assert (store.base_key, store.list_method_batch_size) == ("flags", 7)


@pytest.mark.parametrize("size", [0, -1])
def test_a_batch_has_at_least_one_flag(size: int) -> None:
    """A list that reads nothing would look like a server without flags."""
    with pytest.raises(InvalidArgumentError, match="list_method_batch_size"):
        RedisFeatureFlagStore(fakeredis.FakeRedis(), list_method_batch_size=size)


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
def test_it_does_not_matter_whether_the_client_decodes(
    where: str,
    options: dict[str, Any],
    base_key: str,
    connect: Connect,
    request: pytest.FixtureRequest,
) -> None:
    """The client is the application's own, set up for its other needs."""
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


# Round trips


def test_how_many_round_trips_each_call_takes(
    redis_server: RedisServer, connect: Connect, base_key: str
) -> None:
    """Flags are asked for in the middle of page views, which wait for each of them."""
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
        count("store.set", store.set, "x", True)
        count("enable", client.enable, "x")
        count("add_condition", client.add_condition, "x", Condition(a=1))
        client.events.on(EventType.PRE_ENABLE, str)
        count("enable, heard", client.enable, "x")
        count("set_client_data", client.set_client_data, "x", {"a": 1})
        count("store.delete", store.delete, "x")
        assert proxy.connections == 1
    # A write that must not undo others: WATCH and GET, then MULTI to EXEC. Before it,
    # the client looks whether there is such a flag, where somebody is to be told.
    assert trips == {
        "create": 1,
        "is_enabled": 1,
        "store.set": 2,
        "enable": 2,
        "enable, heard": 3,
        "add_condition": 2,
        "set_client_data": 3,
        "store.delete": 1,
    }


def test_ten_thousand_flags_are_listed_in_few_round_trips(
    redis_server: RedisServer, client: redis.Redis, connect: Connect, base_key: str
) -> None:
    """Each flag once, 100 of them for a round trip, 1000 keys for a look."""
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
        listed = names(store)
        keys = client.dbsize()
        assert listed == sorted(f"flag-{number}" for number in range(10_000))
        assert proxy.requests - before <= 100 + keys / 1000 + 2
    client.delete(*(f"{base_key}/flag-{number}" for number in range(10_000)))


class Commands:
    """What a server was asked, from one call of `seen` to the next."""

    def __init__(self, server: RedisServer, connect: Connect) -> None:
        self._ask = connect(server)
        self._monitor = connect(server).monitor()

    def __enter__(self) -> Self:
        """Begin to listen."""
        self._monitor.__enter__()
        self.seen()
        return self

    def __exit__(self, *error: object) -> None:
        """Listen no more."""
        self._monitor.__exit__(*error)

    def seen(self) -> list[list[str]]:
        """Give the commands since the last call, each as a list of words."""
        end = uuid.uuid4().hex
        self._ask.echo(end)
        commands = []
        for command in self._monitor.listen():
            words = command["command"].split(" ")
            if words[-1] == end:
                return commands
            if words[0] not in {"HELLO", "CLIENT"}:
                commands.append(words)
        raise AssertionError("the server listens no more")  # pragma: no cover


def test_list_asks_when_it_is_asked_and_for_no_more_than_it_needs(
    redis_server: RedisServer, connect: Connect, base_key: str
) -> None:
    """A page of an administration site must not read all flags."""
    store = RedisFeatureFlagStore(
        connect(redis_server), base_key, list_method_batch_size=4
    )
    for number in range(20):
        store.create(f"flag-{number:02}")
    assert names(store) == [f"flag-{number:02}" for number in range(20)]
    with Commands(redis_server, connect) as commands:
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


class Relay(fakeredis.FakeRedis):
    """A client behind a proxy before several servers, one of which is away.

    Attributes:
        values: what reading many values gives.
    """

    values: Any

    def execute_command(self, *words: Any, **options: Any) -> Any:
        """Answer, or as told."""
        if words[0] == "MGET":
            return self.values
        return super().execute_command(*words, **options)


@pytest.mark.parametrize(
    "values",
    [[redis.ResponseError("upstream failure"), None], [None], None],
    ids=["an error among them", "one too few", "none"],
)
def test_values_that_are_missing_in_a_reply_are_no_missing_flags(values: Any) -> None:
    """A list without them would turn them off."""
    with Relay() as relay:
        relay.values = [None, None]
        store = RedisFeatureFlagStore(relay)
        store.create("a")
        store.create("b")
        assert names(store) == []
        relay.values = values
        with pytest.raises((redis.ResponseError, StoreUnavailableError)):
            names(store)


# What is not this store's


@pytest.mark.parametrize(
    "base", ["fe[at]ures", "app*", "wh?t", "back\\slash", "[^a]", "a]b", "plain"]
)
def test_a_base_key_is_no_pattern(
    client: redis.Redis, base_key: str, base: str
) -> None:
    """Flags of others must not be listed, nor one's own be missed."""
    own = RedisFeatureFlagStore(client, f"{base_key}{base}")
    own.create("mine", is_enabled=True)
    for other in ("fea", "features", "app1", "what", "backslash", "back\\\\slash", "b"):
        RedisFeatureFlagStore(client, f"{base_key}{other}").create("other")
    assert names(own) == ["mine"]


def test_list_leaves_out_what_is_no_flag_of_this_store(
    store: RedisFeatureFlagStore, client: redis.Redis, base_key: str
) -> None:
    """People keep other things in the same database."""
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
    assert names(store) == ["eu/mine", "mine"]
    flags = FeatureFlagClient(store)
    for name in ("hash", "list", "text", "empty"):
        assert flags.is_enabled(name) is False
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        store.get("hash")
    assert flags.create("hash", is_enabled=True).is_enabled() is True


def test_a_key_that_scan_gives_twice_is_one_flag(
    redis_server: RedisServer, connect: Connect, base_key: str
) -> None:
    """Redis may repeat keys while it moves them about."""

    class Stutter(redis.Redis):
        def scan_iter(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
            for key in super().scan_iter(*args, **kwargs):
                yield from (key, key)

    client = connect(redis_server, kind=Stutter)
    store = RedisFeatureFlagStore(client, base_key, list_method_batch_size=3)
    for number in range(10):
        store.create(f"flag-{number}")
    assert names(store) == [f"flag-{number}" for number in range(10)]
    assert len(names(store, limit=4)) == 4


def test_flags_deleted_meanwhile_are_left_out(
    client: redis.Redis, base_key: str
) -> None:
    """The keys are read first, the flags later."""
    store = RedisFeatureFlagStore(client, base_key, list_method_batch_size=1)
    for number in range(5):
        store.create(f"flag-{number}")
    listed = store.list()
    left = next(listed).feature_name
    for name in names(store):
        if name != left:
            store.delete(name)
    assert list(listed) == []


def test_hostile_documents_are_never_on_and_hide_nothing(
    store: RedisFeatureFlagStore,
    client: redis.Redis,
    base_key: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Neither an accident nor an attack gives features away, or takes them."""
    caplog.set_level(logging.CRITICAL, "flipper")  # 500 tracebacks take seconds
    flags = FeatureFlagClient(store)
    for number in range(20):
        flags.create(f"good-{number:02}", is_enabled=True)
    documents = hostile_documents()
    pipe = client.pipeline(transaction=False)
    for name, document in documents.items():
        pipe.set(f"{base_key}/{name}", document)
    pipe.execute()
    good = [f"good-{number:02}" for number in range(20)]
    for name in documents:
        assert flags.is_enabled(name) is False
        assert flags.is_enabled(name, user_id=1) is False
    listed = names(store)
    assert [name for name in listed if name.startswith("good")] == good
    assert len(set(listed)) == len(listed)
    assert all(flags.is_enabled(name) for name in good)
    for name in documents:
        flags.create(name, is_enabled=True)
        assert flags.is_enabled(name) is True


# Races


def write(url: str, base_key: str, times: int, threads: int) -> None:
    """Add conditions to the flag x, all alike, from so many threads of this process."""
    with redis.Redis.from_url(url) as client:
        flags = FeatureFlagClient(RedisFeatureFlagStore(client, base_key))

        def add() -> None:
            for _ in range(times):
                flags.add_condition("x", Condition(is_admin=True))

        run([add] * threads)


def run(calls: list[Callable[[], None]]) -> None:
    """Call these at once, each in a thread, and raise what one of them raises."""
    errors = []

    def guarded(call: Callable[[], None]) -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 # raised below
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_no_condition_is_lost_among_eight_threads(
    store: RedisFeatureFlagStore, redis_server: RedisServer, base_key: str
) -> None:
    """Not even one like the others, which nobody can tell from a repetition."""
    store.create("x")
    write(redis_server.url, base_key, times=50, threads=8)
    assert len(conditions(store)) == 400


def test_no_condition_is_lost_among_four_processes(
    store: RedisFeatureFlagStore, redis_server: RedisServer, base_key: str
) -> None:
    """No lock of one process would help here."""
    store.create("x")
    context = multiprocessing.get_context("spawn")
    arguments = (redis_server.url, base_key, 50, 1)
    processes = [context.Process(target=write, args=arguments) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert len(conditions(store)) == 200


def test_switching_a_flag_never_undoes_its_metadata(
    redis_server: RedisServer, connect: Connect, base_key: str
) -> None:
    """Nor does metadata undo the state: each write keeps what it does not mean."""
    flags = [
        FeatureFlagClient(RedisFeatureFlagStore(connect(redis_server), base_key))
        for _ in range(4)
    ]
    flags[0].create("x")

    def switch() -> None:
        for _ in range(40):
            flags[0].disable("x")
            flags[0].enable("x")

    def describe(number: int) -> None:
        for time_ in range(25):
            flags[number].set_client_data("x", {f"{number}-{time_}": time_})

    def limit() -> None:
        for number in range(25):
            flags[3].add_condition("x", Condition(a__ne=number))

    run([switch, lambda: describe(1), lambda: describe(2), limit])
    assert len(flags[0].get_client_data("x")) == 50
    assert len(flags[0].get_meta("x")["conditions"]) == 25
    assert flags[0].is_enabled("x") is True


def before(
    monkeypatch: pytest.MonkeyPatch,
    client: Any,
    command: str,
    call: Callable[[Any], object],
) -> None:
    """Call this just before connections like the client's send a command.

    It is given the connection.
    """
    kind = client.connection_pool.connection_class
    pack = kind.pack_commands

    def interrupted(connection: Any, commands: Any) -> Any:
        commands = list(commands)
        if commands[0][0] == command:
            call(connection)
        return pack(connection, commands)

    monkeypatch.setattr(kind, "pack_commands", interrupted)


class Rivalry:
    """Lets a rival write in the middle of another write, so many times."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, client: Any, command: str, times: int
    ) -> None:
        self.left = times
        self.rival: Callable[[], object] = lambda: None

        def interrupt(_: Any) -> None:
            # The rival's own write is not interrupted.
            if self.left > 0:
                self.left, left = 0, self.left
                self.rival()
                self.left = left - 1

        before(monkeypatch, client, command, interrupt)


@pytest.fixture(params=["server", "fake"])
def any_client(request: pytest.FixtureRequest) -> redis.Redis:
    """Give a client of a server, and one of a Redis in this process."""
    if request.param == "fake":
        return fakeredis.FakeRedis()
    return request.getfixturevalue("client")


@pytest.mark.parametrize("command", ["WATCH", "MULTI"])
@pytest.mark.parametrize("times", [1, 5])
def test_a_rival_in_between_is_not_undone(
    any_client: redis.Redis,
    command: str,
    times: int,
    base_key: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Wherever the rival comes, before the watch or after the comparison."""
    ours = FeatureFlagClient(RedisFeatureFlagStore(any_client, base_key))
    theirs = FeatureFlagClient(RedisFeatureFlagStore(any_client, base_key))
    ours.create("x")
    rivalry = Rivalry(monkeypatch, any_client, command, times)
    rivalry.rival = lambda: theirs.add_condition("x", Condition(a=1))
    ours.add_condition("x", Condition(a=1))
    assert len(ours.get_meta("x")["conditions"]) == times + 1
    rivalry.left = times
    ours.enable("x")
    assert len(ours.get_meta("x")["conditions"]) == 2 * times + 1
    assert ours.is_enabled("x", a=1) is True


def test_a_flag_that_a_rival_deletes_is_not_brought_back(
    client: redis.Redis, base_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only `set` makes flags that are missing, and it makes new ones."""
    store = RedisFeatureFlagStore(client, base_key)
    rival = RedisFeatureFlagStore(client, base_key)
    rivalry = Rivalry(monkeypatch, client, "MULTI", times=1)
    rivalry.rival = lambda: rival.delete("x")
    store.create("x", client_data={"a": 1})
    with pytest.raises(FlagDoesNotExistError):
        store.update("x", lambda item: item.replace(is_enabled=True))
    assert store.get("x") is None
    store.create("x", client_data={"a": 1})
    rivalry.left = 1
    store.set("x", True)
    assert store.get("x").meta["client_data"] == {}


def test_a_rival_that_creates_a_missing_flag_is_not_undone(
    client: redis.Redis, base_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`set` finds nothing, and then something."""
    store = RedisFeatureFlagStore(client, base_key)
    rival = RedisFeatureFlagStore(client, base_key)
    rivalry = Rivalry(monkeypatch, client, "MULTI", times=1)
    rivalry.rival = lambda: rival.create("x", client_data={"a": 1})
    store.set("x", True)
    assert store.get("x").meta["client_data"] == {"a": 1}
    assert store.get("x").is_enabled() is True


def test_a_race_is_no_lost_connection_while_one_is_handled(
    client: redis.Redis, base_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Applications write flags where they handle errors, of Redis too."""
    flags = FeatureFlagClient(RedisFeatureFlagStore(client, base_key))
    flags.create("x")
    rivalry = Rivalry(monkeypatch, client, "MULTI", times=1)
    rivalry.rival = lambda: flags.add_condition("x", Condition(b=1))
    try:
        redis.Redis(port=free_port(), retry=quick()).ping()
    except redis.ConnectionError:
        flags.add_condition("x", Condition(a=1))
    assert len(flags.get_meta("x")["conditions"]) == 2


def test_what_was_watched_is_watched_no_more(
    redis_server: RedisServer,
    connect: Connect,
    base_key: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The connection is the application's, whose transactions must not fail by it."""
    rival = RedisFeatureFlagStore(connect(redis_server), base_key)
    rival.create("x")
    client = connect(redis_server, max_connections=1)
    store = RedisFeatureFlagStore(client, base_key)
    store.get("x")
    rivalry = Rivalry(monkeypatch, client, "WATCH", times=1)
    rivalry.rival = lambda: rival.set("x", True)
    item = store.get("x")
    assert store._swap(item, item.serialize()) is False
    rival.set("x", False)
    with client.pipeline() as pipe:
        pipe.delete(f"{base_key}/x")
        assert pipe.execute() == [1]


def test_a_pool_may_ask_what_a_connection_is_for(
    redis_server: RedisServer, store: RedisFeatureFlagStore, base_key: str
) -> None:
    """That of redis-py before 5.3 does, and later ones warn of an answer."""

    class Asking(redis.ConnectionPool):
        def get_connection(self, command_name: str, *keys: Any, **options: Any) -> Any:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                return super().get_connection(command_name, *keys, **options)

    store.create("x")
    item = store.get("x")
    pool = Asking.from_url(redis_server.url)
    asking = RedisFeatureFlagStore(redis.Redis(connection_pool=pool), base_key)
    assert asking._swap(item.replace(is_enabled=True), item.serialize()) is True
    assert store.get("x").is_enabled() is True
    pool.disconnect()


def test_an_error_leaves_no_reply_to_the_next(connect: Connect) -> None:
    """A full server refuses the write in the middle of a transaction."""
    with start_redis() as server:
        client = connect(server, max_connections=1)
        store = RedisFeatureFlagStore(client)
        store.create("x")
        client.config_set("maxmemory", 1)
        with pytest.raises(redis.ResponseError, match=r"OOM|memory"):
            store.set("x", True)
        assert store.get("x").is_enabled() is False
        client.config_set("maxmemory", 0)
        store.set("x", True)
        assert store.get("x").is_enabled() is True


def test_an_error_at_the_end_of_a_transaction_is_raised(
    store: RedisFeatureFlagStore,
    client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A write is not acknowledged if the server has not written."""
    store.create("x")
    kind = client.connection_pool.connection_class
    read = kind.read_response

    def fail(connection: Any, *args: Any, **kwargs: Any) -> Any:
        reply = read(connection, *args, **kwargs)
        return [redis.ResponseError("misconfigured")] if reply == [b"OK"] else reply

    monkeypatch.setattr(kind, "read_response", fail)
    with pytest.raises(redis.ResponseError, match="misconfigured"):
        store.set("x", True)


def test_a_connection_made_anew_does_not_write_what_was_watched_on_another(
    redis_server: RedisServer,
    store: RedisFeatureFlagStore,
    connect: Connect,
    base_key: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Redis-py connects again in silence where it checks a connection's health."""
    with Proxy(redis_server.host, redis_server.port) as proxy:
        options = {"health_check_interval": 60, "retry": quick(3)}
        client = connect(redis_server, proxy, **options)
        flags = FeatureFlagClient(RedisFeatureFlagStore(client, base_key))
        flags.create("x")

        def break_off(connection: Any) -> None:
            monkeypatch.undo()
            proxy.cut()
            proxy.restore()
            store.set("x", True)
            connection.next_health_check = 0

        before(monkeypatch, client, "MULTI", break_off)
        with pytest.raises(redis.ConnectionError):
            flags.add_condition("x", Condition(a=1))
        assert store.get("x").raw_is_enabled is True


def test_a_store_goes_on_after_a_fork(
    redis_server: RedisServer, store: RedisFeatureFlagStore, base_key: str
) -> None:
    """Web servers load the application, then fork."""
    program = """
        import os, sys
        import redis
        from flipper import Condition, FeatureFlagClient
        from flipper.contrib.redis import RedisFeatureFlagStore

        client = redis.Redis.from_url(sys.argv[1])
        flags = FeatureFlagClient(RedisFeatureFlagStore(client, sys.argv[2]))
        flags.create("x", is_enabled=True)
        child = os.fork()
        for number in range(20):
            flags.add_condition("x", Condition(a__ne=number))
            assert flags.is_enabled("x") is True
        if child:
            assert os.waitpid(child, 0)[1] == 0
    """
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(program)]
    subprocess.run(
        [*command, redis_server.url, base_key],
        check=True,
        timeout=60,
        env={"PYTHONPATH": ":".join(filter(None, sys.path))},
    )
    assert len(conditions(store)) == 40


# Lost replies


LOSSES: dict[str, Callable[[FeatureFlagClient], object]] = {
    "create": lambda flags: flags.create("x", is_enabled=True),
    "enable": lambda flags: flags.enable("x"),
    "add_condition": lambda flags: flags.add_condition("x", Condition(a=1)),
    "destroy": lambda flags: flags.destroy("x"),
}
APPLIED = {"create": 1, "enable": 1, "add_condition": 1, "destroy": -1}


def times_applied(store: RedisFeatureFlagStore) -> int:
    """Count how often one of `LOSSES` was applied to a new flag, -1 if it is gone."""
    item = store.get("x")
    if item is None:
        return -1
    return len(item.meta["conditions"]) + item.raw_is_enabled


@pytest.mark.parametrize("retries", [0, 3])
@pytest.mark.parametrize("call", LOSSES)
def test_a_write_whose_reply_is_lost_raises_or_took_effect(
    redis_server: RedisServer,
    connect: Connect,
    base_key: str,
    call: str,
    retries: int,
) -> None:
    """Never twice, and never acknowledged without effect; whichever reply is lost."""
    store = RedisFeatureFlagStore(connect(redis_server), base_key)
    with Proxy(redis_server.host, redis_server.port) as proxy:
        for lost in range(1, 20):
            # One connection, free again before the store looks what came of it.
            options = {"retry": quick(retries), "max_connections": 1}
            if retries:
                options["retry_on_error"] = [redis.ConnectionError]
            client = connect(redis_server, proxy, **options)
            flags = FeatureFlagClient(RedisFeatureFlagStore(client, base_key))
            client.ping()
            store.create("x")
            dropped = proxy.dropped
            proxy.drop_reply(lost)
            try:
                LOSSES[call](flags)
            except redis.ConnectionError:
                assert times_applied(store) in {0, APPLIED[call]}
            else:
                assert times_applied(store) == APPLIED[call]
            if proxy.dropped == dropped:
                break
    assert 1 < lost < 19  # the last one was of a reply more than there are


def test_a_lost_reply_is_not_taken_for_a_lost_race(
    redis_server: RedisServer,
    store: RedisFeatureFlagStore,
    connect: Connect,
    base_key: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Redis-py has the same error for both; who wrote since hides what took effect."""
    with Proxy(redis_server.host, redis_server.port) as proxy:
        client = connect(redis_server, proxy, retry=quick(3))
        flags = FeatureFlagClient(RedisFeatureFlagStore(client, base_key))
        flags.create("x")
        get = client.get

        def go_on_and_get(key: str) -> Any:
            if proxy.dropped:
                FeatureFlagClient(store).add_condition("x", Condition(b=1))
            return get(key)

        def lose(_: Any) -> None:
            monkeypatch.undo()
            monkeypatch.setattr(client, "get", go_on_and_get)
            proxy.drop_reply()

        before(monkeypatch, client, "MULTI", lose)
        with pytest.raises(redis.ConnectionError):
            flags.add_condition("x", Condition(a=1))
        assert [list(condition) for condition in conditions(store)] == [["a"], ["b"]]


@pytest.mark.parametrize("retries", [0, 3])
def test_a_write_that_never_arrived_is_not_acknowledged(
    redis_server: RedisServer,
    connect: Connect,
    base_key: str,
    retries: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The connection is gone just before the last step."""
    with Proxy(redis_server.host, redis_server.port) as proxy:
        client = connect(redis_server, proxy, retry=quick(retries))
        store = RedisFeatureFlagStore(client, base_key)
        store.create("x")

        def cut(_: Any) -> None:
            monkeypatch.undo()
            proxy.cut()
            proxy.restore()

        before(monkeypatch, client, "MULTI", cut)
        with pytest.raises(redis.ConnectionError):
            store.set("x", True)
        assert store.get("x").is_enabled() is False


# Away and back


def test_a_killed_server_leaves_the_last_known_state_and_comes_back(
    connect: Connect,
) -> None:
    """Asking goes on, all else fails as redis-py fails, and nothing has to be done."""
    with start_redis() as server:
        client = connect(server)
        store = RedisFeatureFlagStore(client)
        flags = FeatureFlagClient(store)
        flags.create("on", is_enabled=True)
        flags.create("off")
        flags.create("half", is_enabled=True)
        bucketer = ConsistentHashPercentageBucketer(percentage=Percentage(0.5))
        flags.set_bucketer("half", bucketer)
        before = [flags.is_enabled("half", user_id=user) for user in range(100)]
        assert flags.is_enabled("on") is True
        assert flags.is_enabled("off") is False
        server.kill()
        assert [flags.is_enabled("on") for _ in range(2000)] == [True] * 2000
        assert flags.is_enabled("off", default=True) is False
        assert flags.is_enabled("never heard of", default=True) is True
        after = [flags.is_enabled("half", user_id=user) for user in range(100)]
        assert after == before
        for call in (
            lambda: store.get("on"),
            lambda: flags.exists("on"),
            lambda: flags.create("new"),
            lambda: flags.enable("off"),
            lambda: flags.destroy("on"),
            lambda: store.set("off", True),
            lambda: flags.set_client_data("on", {"a": 1}),
            lambda: list(flags.list()),
        ):
            with pytest.raises(redis.ConnectionError):
                call()
        server.start()
        assert store.get("on").is_enabled() is True
        flags.disable("on")
        deadline = time.monotonic() + 10
        while flags.is_enabled("on") and time.monotonic() < deadline:
            time.sleep(0.02)
        assert flags.is_enabled("on") is False
        assert names(store) == ["half", "off", "on"]


def test_one_question_notices_that_the_server_is_away(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """redis-py tries again by itself, for long: no other question waits for that."""
    with start_redis() as server:
        client = connect(server, retry=Retry(ConstantBackoff(0.05), 5))
        check_circuit_breaker(RedisFeatureFlagStore(client), server, caplog)


def test_a_restarted_server_is_used_at_once(connect: Connect) -> None:
    """Connections of before the restart are not used again."""
    with start_redis() as server:
        flags = FeatureFlagClient(RedisFeatureFlagStore(connect(server)))
        flags.create("x")
        server.restart()
        flags.enable("x")
        server.restart()
        assert flags.is_enabled("x") is True


def test_a_server_that_does_not_answer_is_away(
    redis_server: RedisServer, connect: Connect, base_key: str
) -> None:
    """The client's own timeout ends the waiting."""
    with Proxy(redis_server.host, redis_server.port) as proxy:
        client = connect(redis_server, proxy, socket_timeout=0.2)
        store = RedisFeatureFlagStore(client, base_key)
        flags = FeatureFlagClient(store)
        flags.create("x", is_enabled=True)
        proxy.blackhole()
        assert flags.is_enabled("x") is True
        with pytest.raises(redis.TimeoutError) as caught:
            flags.disable("x")
        assert isinstance(caught.value, store.outage_errors)
        proxy.restore()
        flags.disable("x")


# Clusters and sentinels


class ClusterNode(RedisServer):
    """A Redis in cluster mode, that knows no other yet."""

    variable = "FLIPPER_TEST_REDIS_CLUSTER"

    def prepare(self) -> None:
        """Find two ports, the second for the other nodes, where they look for it."""
        while True:
            with socket.socket() as probe, contextlib.suppress(OSError):
                probe.bind((self.host, self.port + 10_000))
                return
            self.port = free_port()

    def command(self) -> list[str]:
        """Run it in cluster mode."""
        return [*super().command(), "--cluster-enabled", "yes"]


@pytest.fixture(scope="module")
def cluster(redis_server: RedisServer) -> Iterator[list[Any]]:
    """Give clients of the two nodes of a cluster, which have half of the slots each."""
    del redis_server  # where there is none, it has said why
    with contextlib.ExitStack() as stack:
        nodes = [stack.enter_context(start(ClusterNode)) for _ in range(2)]
        clients = [
            stack.enter_context(redis.Redis(host=node.host, port=node.port))
            for node in nodes
        ]
        for first, client in zip((0, 8192), clients, strict=True):
            client.cluster("addslots", *range(first, first + 8192))
        clients[0].cluster("meet", nodes[1].host, nodes[1].port)
        wait_until(
            lambda: all(
                client.cluster("info")["cluster_state"] == "ok"
                and client.cluster("info")["cluster_known_nodes"] == "2"
                for client in clients
            )
        )
        yield clients


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait, but not for ever."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def address(client: Any) -> tuple[str, int]:
    """Say where a client connects to."""
    options = client.connection_pool.connection_kwargs
    return options["host"], options["port"]


@pytest.mark.parametrize("decode_responses", [False, True])
def test_a_cluster_keeps_flags_on_all_its_nodes(
    cluster: list[Any], base_key: str, decode_responses: bool
) -> None:
    """Neither WATCH nor MGET go to several nodes at once."""
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
        assert names(store) == expected
        assert all(flags.is_enabled(name, a=1) for name in expected)
        flags.destroy(expected[0])
        assert names(store) == expected[1:]
        add = Condition(b=1)
        run([lambda: [flags.add_condition("flag-01", add) for _ in range(10)]] * 4)
        assert len(conditions(store, "flag-01")) == 41
        assert isinstance(redis.exceptions.ClusterDownError(""), store.outage_errors)


def move(cluster: list[Any], key: str) -> None:
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
def test_flags_are_found_where_a_cluster_has_moved_them(
    cluster: list[Any],
    base_key: str,
    command: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The client learns of it by the errors of the node that had them."""
    host, port = address(cluster[0])
    with RedisCluster(host=host, port=port) as client:
        store = RedisFeatureFlagStore(client, base_key)
        store.create("x")
        key = f"{base_key}/x"
        if command is None:
            move(cluster, key)
        else:
            rivalry = Rivalry(monkeypatch, cluster[0], command, times=1)
            rivalry.rival = lambda: move(cluster, key)
        store.set("x", True)
        FeatureFlagClient(store).add_condition("x", Condition(a=1))
        assert client.exists(key)
        assert store.get("x").is_enabled() is True
        assert len(conditions(store)) == 1
        assert names(store) == ["x"]


class Replica(RedisServer):
    """A Redis that copies another."""

    variable = "FLIPPER_TEST_REDIS_REPLICA"
    master: RedisServer

    def command(self) -> list[str]:
        """Run it as a copy."""
        replication = ["--replicaof", self.master.host, str(self.master.port)]
        return [*super().command(), *replication]


class SentinelServer(RedisServer):
    """Watches a Redis, and promotes its copy when it is gone."""

    variable = "FLIPPER_TEST_REDIS_SENTINEL"
    master: RedisServer

    def prepare(self) -> None:
        """Write the configuration, which the sentinel rewrites."""
        watched = f"flags {self.master.host} {self.master.port} 1"
        (self.folder / "sentinel.conf").write_text(
            f"bind {self.host}\nport {self.port}\ndir {self.folder}\n"
            f"sentinel monitor {watched}\n"
            "sentinel down-after-milliseconds flags 200\n"
            "sentinel failover-timeout flags 2000\n"
        )

    def command(self) -> list[str]:
        """Run it as a sentinel."""
        return [self._program, "sentinel.conf", "--sentinel"]


def test_a_sentinel_leads_to_the_new_master(redis_server: RedisServer) -> None:
    """Flags go on where the copy was promoted."""
    del redis_server  # where there is none, it has said why
    with contextlib.ExitStack() as stack:
        master = stack.enter_context(start_redis())
        with redis.Redis(host=master.host, port=master.port) as client:
            client.config_set("repl-diskless-sync-delay", 0)
        Replica.master = SentinelServer.master = master
        stack.enter_context(start(Replica))
        watcher = stack.enter_context(start(SentinelServer))
        sentinel = Sentinel([(watcher.host, watcher.port)])
        for client in sentinel.sentinels:
            stack.callback(client.connection_pool.disconnect)
        client = sentinel.master_for("flags", retry=quick(), socket_timeout=10)
        stack.callback(client.connection_pool.disconnect)
        store = RedisFeatureFlagStore(client)
        flags = FeatureFlagClient(store)
        flags.create("x", is_enabled=True)
        assert client.wait(1, 10_000) == 1
        wait_until(lambda: bool(sentinel.discover_slaves("flags")))
        master.kill()
        assert flags.is_enabled("x") is True
        with pytest.raises(store.outage_errors):
            flags.disable("x")

        def disabled() -> bool:
            try:
                flags.disable("x")
            except (*store.outage_errors, redis.ReadOnlyError):
                return False
            return True

        wait_until(disabled)
        wait_until(lambda: not flags.is_enabled("x"))
        assert names(store) == ["x"]


def test_a_document_copied_to_another_key_is_written_under_that_key(
    client: redis.Redis, store: RedisFeatureFlagStore, base_key: str
) -> None:
    """Whoever copies a key in the database gets a flag that can be written."""
    features = FeatureFlagClient(store)
    features.create("old", client_data={"kept": True})
    client.rename(f"{base_key}/old", f"{base_key}/new")
    features.enable("new")
    assert features.is_enabled("new") is True
    assert features.get_client_data("new") == {"kept": True}
    assert names(store) == ["new"]
