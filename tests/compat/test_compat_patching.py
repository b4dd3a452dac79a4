# SPDX-License-Identifier: Apache-2.0
"""What test suites written for flipper-client replace, mock and assert.

Each test here does what such a suite does. A name that moves, a call that is made in
other words or an object that is copied breaks suites of people who changed nothing.
"""

from __future__ import annotations

import threading
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock, patch

import boto3
import fakeredis
import pytest
from consul_kv import ConsulClient

from flipper import (
    CachedFeatureFlagStore,
    Condition,
    ConsulFeatureFlagStore,
    FeatureFlagClient,
    FlagDoesNotExistError,
    MemoryFeatureFlagStore,
    PostgreSQLFeatureFlagStore,
    RedisFeatureFlagStore,
    ReplicatedFeatureFlagStore,
    S3FeatureFlagStore,
    ThriftRPCFeatureFlagStore,
)
from flipper.bucketing import LinearRampPercentage, Percentage, PercentageBucketer
from flipper.conditions.check import Check
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.flag import FeatureFlag
from flipper_thrift.python.feature_flag_store import ttypes

if TYPE_CHECKING:
    from collections.abc import Iterator

RAMPS = "flipper.bucketing.percentage.linear_ramp_percentage"


# The clock of ramps


@pytest.fixture
def clock() -> Iterator[MagicMock]:
    """Replace `datetime` by a mock that knows only `now` and `fromtimestamp`."""
    with patch(f"{RAMPS}.datetime") as mock:
        mock.fromtimestamp = datetime.fromtimestamp
        yield mock


def at(timestamp: float) -> datetime:
    """Return the naive local time, as `datetime.now` does."""
    return datetime.fromtimestamp(timestamp)  # noqa: DTZ006 (naive is the rule)


@pytest.mark.parametrize("start", [1_600_000_000, 1_600_000_000.25, 0])
def test_ramp_values_are_exact_under_a_mocked_clock(
    clock: MagicMock, start: float
) -> None:
    """Values of ramps are exact under a mocked clock, so that `==` works."""
    ramp = LinearRampPercentage(0.2, 0.6, 60, start)
    clock.now.return_value = at(start)
    assert ramp.value == 0.2
    clock.now.return_value = at(start + 30)
    assert ramp.value == (0.6 - 0.2) * 0.5 + 0.2
    clock.now.return_value = at(start + 60)
    assert ramp.value == 0.6
    clock.now.return_value = at(start + 600)
    assert ramp.value == 0.6


def test_a_ramp_over_decades_is_exact(clock: MagicMock) -> None:
    """A ramp over half a century has no rounding error."""
    ramp = LinearRampPercentage(0.1, 1, 1601314960, 0)
    clock.now.return_value = at(1601314960)
    assert ramp.value == (1 - 0.1) * 1 + 0.1


def test_a_ramp_takes_its_beginning_from_the_mocked_clock(clock: MagicMock) -> None:
    """A ramp without a time takes it from the mocked clock."""
    clock.now.return_value = at(1_600_000_000)
    ramp = LinearRampPercentage(0.2, 0.6, 60)
    assert ramp.to_dict()["initial_time"] == 1_600_000_000
    clock.now.return_value = at(1_600_000_030)
    assert ramp.value == (0.6 - 0.2) * 0.5 + 0.2
    assert PercentageBucketer(ramp).percentage == (0.6 - 0.2) * 0.5 + 0.2


# The creation date


def redis_store(_: pytest.FixtureRequest) -> RedisFeatureFlagStore:
    """Make a store on a Redis in this process."""
    return RedisFeatureFlagStore(fakeredis.FakeRedis())


def s3_store(request: pytest.FixtureRequest) -> S3FeatureFlagStore:
    """Make a store on a bucket in this process."""
    aws = pytest.importorskip("moto").mock_aws()
    aws.start()
    request.addfinalizer(aws.stop)
    client = boto3.client(
        "s3",
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",  # noqa: S106 (nobody checks it)
    )
    client.create_bucket(Bucket="flags")
    return S3FeatureFlagStore(client, "flags")


def consul_store(request: pytest.FixtureRequest) -> ConsulFeatureFlagStore:
    """Make a store on a Consul in this process."""
    consul = ConsulClient()
    store = ConsulFeatureFlagStore(consul)
    if hasattr(store, "close"):
        request.addfinalizer(store.close)
    request.addfinalizer(consul.kv.close)
    return store


def postgresql_store(request: pytest.FixtureRequest) -> PostgreSQLFeatureFlagStore:
    """Make a store on a table of its own in a real server."""
    conninfo = request.getfixturevalue("postgres_conninfo")
    store = PostgreSQLFeatureFlagStore(conninfo, table_name="patched")
    if hasattr(store, "close"):
        request.addfinalizer(store.close)
    return store


STORES = {
    "memory": lambda _: MemoryFeatureFlagStore(),
    "redis": redis_store,
    "s3": s3_store,
    "consul": consul_store,
    "postgresql": postgresql_store,
}
MARKED_STORES = [
    "memory",
    pytest.param("redis", marks=pytest.mark.redis),
    pytest.param("s3", marks=pytest.mark.s3),
    pytest.param("consul", marks=pytest.mark.consul),
    pytest.param("postgresql", marks=pytest.mark.postgres),
]


@pytest.mark.parametrize("module", MARKED_STORES)
def test_now_is_replaced_in_the_module_of_the_store(
    module: str, request: pytest.FixtureRequest
) -> None:
    """A patch of `now` in the module of a store sets its creation dates."""
    store = STORES[module](request)
    with patch(f"flipper.contrib.{module}.now", return_value=5):
        assert store.create("x").meta["created_date"] == 5
        store.set("y", True)
    assert store.get("x").meta["created_date"] == 5
    assert store.get("y").meta["created_date"] == 5
    assert store.create("z").meta["created_date"] > 5


@pytest.mark.parametrize("module", MARKED_STORES)
def test_set_meta_with_a_plain_dict_on_a_missing_flag(
    module: str, request: pytest.FixtureRequest
) -> None:
    """`set_meta` of a missing flag raises, whatever the metadata is."""
    store = STORES[module](request)
    with pytest.raises(FlagDoesNotExistError) as caught:
        store.set_meta("missing", {"client_data": {"a": 1}})
    assert str(caught.value) == "Feature missing does not exist"


# The cache


class ExpiringCache:
    """A cache with three methods, in which every entry expires after a lookup."""

    def __init__(self) -> None:
        self.entries: dict[str, Any] = {}

    def __contains__(self, name: str) -> bool:
        found = name in self.entries
        self.entries.pop(name, None)
        return found

    def __getitem__(self, name: str) -> Any:
        return self.entries[name]

    def __setitem__(self, name: str, item: Any) -> None:
        self.entries[name] = item


def test_the_cache_can_be_replaced_by_one_with_three_methods() -> None:
    """A replaced cache whose entry expires between two steps hides no flag."""
    inner = MemoryFeatureFlagStore()
    store = CachedFeatureFlagStore(inner)
    store._cache = cache = ExpiringCache()
    store.set("x", True)
    assert "x" in cache.entries
    item = store.get("x")
    assert item is not None
    assert item.is_enabled() is True
    assert "x" in cache.entries, "reading must not test with `in` first"
    cache.entries.clear()
    assert store.get("x") is not None
    assert "x" in cache.entries


def test_a_cached_item_equals_the_item_of_the_store() -> None:
    """The cached store returns the same item object as the inner store."""
    inner = MemoryFeatureFlagStore()
    store = CachedFeatureFlagStore(inner)
    created = store.create("x")
    assert store.get("x") == inner.get("x")
    assert created == inner.get("x")
    fresh = CachedFeatureFlagStore(inner)
    assert fresh.get("x") == inner.get("x")


def test_a_missing_flag_is_cached() -> None:
    """The cached store reads a missing flag once."""
    inner = MagicMock()
    inner.get.return_value = None
    store = CachedFeatureFlagStore(inner)
    for _ in range(5):
        assert store.get("x") is None
    inner.get.assert_called_once_with("x")


def test_create_is_cached_without_a_read() -> None:
    """The cached store keeps the item that `create` has returned."""
    inner = MagicMock()
    store = CachedFeatureFlagStore(inner)
    assert store.create("x", True, {"a": 1}) is inner.create.return_value
    assert store.get("x") is inner.create.return_value
    inner.create.assert_called_once_with("x", is_enabled=True, client_data={"a": 1})
    inner.get.assert_not_called()


def test_the_cached_store_calls_the_inner_store_with_these_arguments() -> None:
    """Writes call the inner store with exactly these arguments."""
    inner = MagicMock()
    store = CachedFeatureFlagStore(inner)
    meta = FeatureFlagStoreMeta(1)
    store.set("x", True)
    inner.set.assert_called_once_with("x", True)
    inner.get.assert_called_once_with("x")
    store.set_meta("x", meta)
    inner.set_meta.assert_called_once_with("x", meta)
    assert inner.get.call_count == 2
    assert store.get("x") is inner.get.return_value
    assert inner.get.call_count == 2
    store.delete("x")
    inner.delete.assert_called_once_with("x")
    store.get("x")
    assert inner.get.call_count == 3


def test_list_does_not_use_the_cache() -> None:
    """`list` neither reads the cache nor adds to it."""
    inner = MagicMock()
    store = CachedFeatureFlagStore(inner)
    inner.list.return_value = iter([])
    assert list(store.list(limit=10, offset=25)) == []
    inner.list.assert_called_once_with(limit=10, offset=25)


@pytest.mark.parametrize("ttl", [-10, 0, -0.5])
def test_a_cache_without_a_lifetime_keeps_nothing(ttl: float) -> None:
    """A cache whose `ttl` is zero or negative keeps nothing."""
    inner = MagicMock()
    store = CachedFeatureFlagStore(inner, ttl=ttl)
    store.get("x")
    store.get("x")
    assert inner.get.call_count == 2


def test_a_failed_write_does_not_change_the_cache() -> None:
    """A write that raises does not change the cache."""
    inner = MemoryFeatureFlagStore()
    store = CachedFeatureFlagStore(inner)
    created = store.create("x", client_data={"a": 1})
    for method in ("create", "set", "set_meta", "delete"):
        setattr(inner, method, MagicMock(side_effect=RuntimeError))
    for call in (
        lambda: store.create("x", is_enabled=True),
        lambda: store.set("x", True),
        lambda: store.set_meta("x", FeatureFlagStoreMeta(1)),
        lambda: store.delete("x"),
    ):
        with pytest.raises(RuntimeError):
            call()
        assert store.get("x") is created
        assert store.get("x").is_enabled() is False


def test_client_data_may_hold_a_bound_method() -> None:
    """A cached store may copy containers of client data, but not their content."""

    class Case:
        lock = threading.Lock()

        def method(self) -> None:
            """Be bound."""

    case = Case()
    data = {"method": case.method, "deep": [case.method], "lock": case.lock}
    inner = MemoryFeatureFlagStore()
    store = CachedFeatureFlagStore(inner)
    client = FeatureFlagClient(store)
    assert store.create("x", client_data=data).meta["client_data"] == data
    assert store.get("x").meta["client_data"] == data
    client.set_client_data("x", {"more": case.method})
    client.enable("x")
    assert client.get_client_data("x") == {**data, "more": case.method}
    assert inner.get("x").meta["client_data"] == {**data, "more": case.method}


@pytest.mark.parametrize("aware", [True, False])
def test_the_creation_date_may_be_a_datetime(aware: bool) -> None:
    """Metadata accept a `datetime` as creation date."""
    date = datetime.now(timezone.utc if aware else None)
    for store in (
        MemoryFeatureFlagStore(),
        CachedFeatureFlagStore(MemoryFeatureFlagStore()),
    ):
        store.create("x")
        store.set_meta("x", FeatureFlagStoreMeta(date))
        store.set("x", True)
        assert store.get("x").meta["created_date"] == date
        FeatureFlagClient(store).set_client_data("x", {"a": 1})
        assert FeatureFlagClient(store).get_meta("x")["created_date"] == date


# Methods of stores, and whole stores


def test_methods_of_store_instances_can_be_replaced() -> None:
    """The client calls the method that the store instance has at that moment."""
    store = MemoryFeatureFlagStore()
    client = FeatureFlagClient(store)
    store.list = MagicMock(return_value=iter([]))
    assert list(client.list(limit=10, offset=25)) == []
    store.list.assert_called_once_with(limit=10, offset=25)
    store.get = MagicMock(return_value=None)
    assert client.is_enabled("x") is False
    store.get.assert_called_once_with("x")


@pytest.mark.parametrize("stack", [lambda store: store, CachedFeatureFlagStore])
def test_a_replaced_set_meta_is_called_exactly_once(stack: Any) -> None:
    """A replaced `set_meta` is called once, with the name and a record by position."""
    inner = MemoryFeatureFlagStore()
    store = stack(inner)
    client = FeatureFlagClient(store)
    client.create("x")
    calls = [
        lambda: client.add_condition("x", Condition(a=1)),
        lambda: client.set_conditions("x", [Condition(a=1)]),
        lambda: client.set_client_data("x", {"a": 1}),
        lambda: client.set_bucketer("x", PercentageBucketer()),
    ]
    for call in calls:
        store.set_meta = MagicMock()
        call()
        store.set_meta.assert_called_once()
        args, kwargs = store.set_meta.call_args
        assert (args[0], kwargs) == ("x", {})
        assert isinstance(args[1], FeatureFlagStoreMeta)
        assert len(args) == 2
    del store.set_meta
    client.add_condition("x", Condition(b=1))
    assert client.get_meta("x")["conditions"] == [Condition(b=1).to_dict()]


def test_a_replaced_set_is_called() -> None:
    """`enable` and `disable` call a replaced `set`."""
    store = MemoryFeatureFlagStore()
    client = FeatureFlagClient(store)
    client.create("x")
    store.set = MagicMock()
    client.enable("x")
    client.disable("x")
    assert [call.args for call in store.set.call_args_list] == [
        ("x", True),
        ("x", False),
    ]
    assert client.is_enabled("x") is False


def test_a_whole_store_can_be_a_mock() -> None:
    """A mock, which has every attribute, counts as an ordinary store."""
    store = MagicMock()
    client = FeatureFlagClient(store)
    item = FeatureFlagStoreItem("x", True, FeatureFlagStoreMeta(1, {"a": 1}))
    store.get.return_value = item
    assert client.is_enabled("x") is True
    client.add_condition("x", Condition(b=1))
    store.set_meta.assert_called_once()
    name, meta = store.set_meta.call_args.args
    assert name == "x"
    assert [each.to_dict() for each in meta.conditions] == [Condition(b=1).to_dict()]
    client.enable("x")
    store.set.assert_called_once_with("x", True)
    client.destroy("x")
    store.delete.assert_called_once_with("x")


def test_a_whole_client_can_be_a_mock() -> None:
    """A flag object calls a mocked client with the name by position."""
    client = MagicMock()
    flag = FeatureFlag("x", client)
    condition, bucketer = Condition(), PercentageBucketer()
    flag.enable()
    flag.disable()
    flag.destroy()
    flag.exists()
    flag.add_condition(condition)
    flag.set_conditions([condition])
    flag.set_client_data({"a": 1})
    flag.set_bucketer(bucketer)
    flag.is_enabled(True, user_id=1)
    client.enable.assert_called_once_with("x")
    client.disable.assert_called_once_with("x")
    client.destroy.assert_called_once_with("x")
    client.exists.assert_called_once_with("x")
    client.add_condition.assert_called_once_with("x", condition)
    client.set_conditions.assert_called_once_with("x", [condition])
    client.set_client_data.assert_called_once_with("x", {"a": 1})
    client.set_bucketer.assert_called_once_with("x", bucketer)
    client.is_enabled.assert_called_once_with("x", default=True, user_id=1)
    assert flag.is_enabled() is client.is_enabled.return_value


def test_a_flag_takes_its_client_data_from_get_meta() -> None:
    """`get_client_data` calls `get_meta`, which suites mock."""
    client = MagicMock()
    client.get_meta.return_value = {"client_data": {"a": 1}}
    flag = FeatureFlag("x", client)
    assert flag.get_client_data() == {"a": 1}
    client.get_meta.assert_called_once_with("x")
    assert flag.get_meta() == {"client_data": {"a": 1}}


# Rules that are mocks


def test_a_mocked_bucketer_in_the_metadata_is_called() -> None:
    """A mocked bucketer gets exactly the arguments of the call."""
    bucketer = MagicMock()
    item = FeatureFlagStoreItem("x", True, FeatureFlagStoreMeta(1, bucketer=bucketer))
    assert item.is_enabled(foo=True) is bucketer.check.return_value
    bucketer.check.assert_called_once_with(foo=True)


def test_a_mocked_bucketer_set_by_the_client_is_called() -> None:
    """The memory store keeps a mocked bucketer, which is called."""
    bucketer = MagicMock()
    client = FeatureFlagClient(MemoryFeatureFlagStore())
    client.create("x", is_enabled=True)
    client.set_bucketer("x", bucketer)
    client.is_enabled("x", foo=True)
    bucketer.check.assert_called_once_with(foo=True)


def test_a_mocked_bucketer_is_not_called_if_conditions_decide() -> None:
    """A condition that decides comes before a mocked bucketer."""
    bucketer = MagicMock()
    meta = FeatureFlagStoreMeta(1, conditions=[Condition(foo=True)], bucketer=bucketer)
    assert FeatureFlagStoreItem("x", True, meta).is_enabled(foo=True) is True
    assert FeatureFlagStoreItem("x", False, meta).is_enabled(foo=True) is False
    bucketer.check.assert_not_called()


def test_a_mocked_operator_is_called() -> None:
    """A mocked operator gets the argument and the value of the check by position."""
    operator = MagicMock()
    check = Check("foo", 99, operator)
    assert check.check(1) is operator.compare.return_value
    operator.compare.assert_called_once_with(1, 99)


def test_metadata_holds_the_given_objects() -> None:
    """The attributes of metadata are the objects that were given."""
    meta = FeatureFlagStoreMeta(1)
    conditions = [Condition(a=1), Condition(b=2)]
    meta.update(
        created_date=2,
        client_data={"a": 1},
        conditions=conditions,
        bucketer=PercentageBucketer(Percentage(0.5)),
    )
    assert meta.conditions == conditions
    assert meta.bucketer.percentage == 0.5
    assert meta.client_data == {"a": 1}
    assert meta.created_date == 2


# Replication


def test_replicas_are_called_when_the_call_returns() -> None:
    """Replicas have been called when a write returns, by default."""
    for _ in range(10):
        primary, *replicas = [MagicMock() for _ in range(4)]
        store = ReplicatedFeatureFlagStore(primary, *replicas)
        meta = FeatureFlagStoreMeta(1)
        store.create("x", is_enabled=True, client_data={"a": 1})
        for each in (primary, *replicas):
            each.create.assert_called_once_with(
                "x", is_enabled=True, client_data={"a": 1}
            )
        store.set("x", True)
        for each in (primary, *replicas):
            each.set.assert_called_once_with("x", True)
        store.set_meta("x", meta)
        for each in (primary, *replicas):
            each.set_meta.assert_called_once_with("x", meta)
        store.delete("x")
        for each in (primary, *replicas):
            each.delete.assert_called_once_with("x")


@pytest.mark.parametrize("asynch", [True, False, None])
def test_asynch_is_not_passed_on(asynch: bool | None) -> None:
    """Replicas do not get the argument `asynch`."""
    primary, replica = MagicMock(), MagicMock()
    store = ReplicatedFeatureFlagStore(primary, replica, replication_timeout=None)
    store.set("x", True, asynch=asynch)
    for each in (primary, replica):
        each.set.assert_called_once_with("x", True)


def test_reads_call_the_primary_only() -> None:
    """`get` and `list` call the primary only, with all arguments."""
    primary, replica = MagicMock(), MagicMock()
    store = ReplicatedFeatureFlagStore(primary, replica)
    assert store.get("x") is primary.get.return_value
    primary.get.assert_called_once_with("x")
    primary.list.return_value = iter(["first", "second"])
    assert list(store.list(limit=10, offset=25)) == ["first", "second"]
    primary.list.assert_called_once_with(limit=10, offset=25)
    assert replica.mock_calls == []


def test_an_exception_of_the_primary_is_raised_and_not_replicated() -> None:
    """A write that raises on the primary is not replicated."""
    primary, replica = MagicMock(), MagicMock()
    primary.set.side_effect = RuntimeError
    store = ReplicatedFeatureFlagStore(primary, replica)
    with pytest.raises(RuntimeError):
        store.set("x", True, asynch=False)
    assert replica.mock_calls == []


# Backends of suites


@pytest.mark.redis
def test_the_base_key_of_the_redis_store_can_be_read() -> None:
    """`base_key` of the Redis store can be read."""
    redis = fakeredis.FakeRedis()
    store = RedisFeatureFlagStore(redis, base_key="features", list_method_batch_size=7)
    assert store.list_method_batch_size == 7
    store.create("x", is_enabled=True)
    stored = redis.get(f"{store.base_key}/x")
    assert FeatureFlagStoreItem.deserialize(stored).is_enabled() is True


@pytest.mark.thrift
def test_a_thrift_client_can_be_a_mock() -> None:
    """A mocked Thrift client gets structs that are equal by their fields."""
    client = MagicMock()
    store = ThriftRPCFeatureFlagStore(client)
    client.Create.return_value = ttypes.FeatureFlagStoreItem(
        feature_name="x",
        is_enabled=True,
        meta=ttypes.FeatureFlagStoreMeta(created_date=1, client_data='{"a": 1}'),
    )
    item = store.create("x", is_enabled=True, client_data={"a": 1})
    client.Create.assert_called_once_with("x", True, '{"a": 1}')
    assert item.is_enabled() is True
    assert item.meta["client_data"] == {"a": 1}
    client.Get.side_effect = ttypes.FlipperException(code=ttypes.ErrorCode.NOT_FOUND)
    assert store.get("x") is None
    client.Get.assert_called_once_with("x")
    store.set("x", False)
    client.Set.assert_called_once_with("x", False)
    store.delete("x")
    client.Delete.assert_called_once_with("x")
    client.List.return_value = []
    assert list(store.list(limit=10, offset=25)) == []
    client.List.assert_called_once_with(10, 25)
    meta = FeatureFlagStoreMeta(1, {"a": 1}, [Condition(b__gt=2, c=3)])
    store.set_meta("x", meta)

    def check(variable: str, value: str, symbol: str | None) -> ttypes.ConditionCheck:
        return ttypes.ConditionCheck(
            variable=variable,
            value=value,
            operator=ttypes.ConditionOperator(symbol=symbol),
        )

    client.SetMeta.assert_called_once_with(
        "x",
        ttypes.FeatureFlagStoreMeta(
            created_date=1,
            client_data='{"a": 1}',
            conditions=[{"b": [check("b", "2", "gt")], "c": [check("c", "3", None)]}],
            bucketer='{"type": "NoOpBucketer"}',
        ),
    )
