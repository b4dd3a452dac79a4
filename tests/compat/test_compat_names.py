# SPDX-License-Identifier: Apache-2.0
"""Every name of flipper-client is in its module."""

from __future__ import annotations

import importlib
import inspect
import logging
import pickle
from abc import ABCMeta
from types import ModuleType
from typing import Any

import pytest

import flipper
from flipper import FeatureFlagClient, MemoryFeatureFlagStore
from flipper.bucketing import (
    BucketerFactory,
    ConsistentHashPercentageBucketer,
    LinearRampPercentage,
    NoOpBucketer,
    Percentage,
    PercentageBucketer,
    PercentageFactory,
    Schedule,
)
from flipper.bucketing.base import AbstractBucketer
from flipper.bucketing.percentage import AbstractPercentage
from flipper.conditions import Condition
from flipper.conditions.check import Check
from flipper.conditions.operators import Operator
from flipper.conditions.operators.interface import AbstractOperator
from flipper.contrib.interface import AbstractFeatureFlagStore
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.events import (
    EventType,
    FlipperEventEmitter,
    FlipperEventSubscriber,
    IEventEmitter,
)
from flipper.events.emitter import BaseEventEmitter
from flipper.flag import FeatureFlag

STORES = {
    "CachedFeatureFlagStore",
    "ConsulFeatureFlagStore",
    "MemoryFeatureFlagStore",
    "PostgreSQLFeatureFlagStore",
    "RedisFeatureFlagStore",
    "ReplicatedFeatureFlagStore",
    "S3FeatureFlagStore",
    "ThriftRPCFeatureFlagStore",
}
IN_EVERY_STORE = "AbstractFeatureFlagStore FeatureFlagStoreItem FeatureFlagStoreMeta"
IN_WRITING_STORES = f"{IN_EVERY_STORE} FlagDoesNotExistError now"
SQL = [
    "CREATE_TABLE",
    "CREATE_ITEM",
    "DELETE_ITEM",
    "LIST_ITEMS",
    "SELECT_ITEM",
    "UPDATE_ITEM",
]
OPERATORS = {
    None: ("equality_operator", "EqualityOperator"),
    "ne": ("negation_operator", "NegationOperator"),
    "gt": ("greater_than_operator", "GreaterThanOperator"),
    "gte": ("greater_than_or_equal_to_operator", "GreaterThanOrEqualToOperator"),
    "lt": ("less_than_operator", "LessThanOperator"),
    "lte": ("less_than_or_equal_to_operator", "LessThanOrEqualToOperator"),
    "in": ("set_membership_operator", "SetMembershipOperator"),
    "not_in": ("negated_set_membership_operator", "NegatedSetMembershipOperator"),
}

# Module to the names it holds.
NAMES = {
    "flipper": " ".join(STORES) + " Condition decorators FeatureFlagClient"
    " FlagDoesNotExistError",
    "flipper.client": "FeatureFlagClient flag_must_exist",
    "flipper.flag": "FeatureFlag",
    "flipper.decorators": "is_enabled",
    "flipper.exceptions": "FlagDoesNotExistError",
    "flipper.events": "EventType FlipperEventEmitter FlipperEventSubscriber"
    " IEventEmitter",
    "flipper.events.emitter": "FlipperEventEmitter IEventEmitter BaseEventEmitter",
    "flipper.events.subscriber": "FlipperEventSubscriber",
    "flipper.events.types": "EventType",
    "flipper.conditions": "Condition",
    "flipper.conditions.condition": "Condition",
    "flipper.conditions.check": "Check OPERATOR_DELIMITER",
    "flipper.conditions.operators": "Operator",
    "flipper.conditions.operators.operator": "Operator",
    "flipper.conditions.operators.interface": "AbstractOperator",
    **{
        f"flipper.conditions.operators.{module}": name
        for module, name in OPERATORS.values()
    },
    "flipper.bucketing": "BucketerFactory ConsistentHashPercentageBucketer"
    " LinearRampPercentage NoOpBucketer Percentage PercentageBucketer"
    " PercentageFactory",
    "flipper.bucketing.base": "AbstractBucketer",
    "flipper.bucketing.factory": "BucketerFactory",
    "flipper.bucketing.noop_bucketer": "NoOpBucketer",
    "flipper.bucketing.percentage_bucketer": "PercentageBucketer",
    "flipper.bucketing.consistent_hash_percentage_bucketer": (
        "ConsistentHashPercentageBucketer"
    ),
    "flipper.bucketing.percentage": "AbstractPercentage LinearRampPercentage"
    " Percentage PercentageFactory",
    "flipper.bucketing.percentage.base": "AbstractPercentage",
    "flipper.bucketing.percentage.factory": "PercentageFactory",
    "flipper.bucketing.percentage.percentage": "Percentage",
    "flipper.bucketing.percentage.linear_ramp_percentage": (
        "LinearRampPercentage datetime"
    ),
    "flipper.contrib": " ".join(STORES),
    "flipper.contrib.interface": "AbstractFeatureFlagStore FlagDoesNotExistError",
    "flipper.contrib.store": "AbstractFeatureFlagStore",
    "flipper.contrib.memory": f"MemoryFeatureFlagStore {IN_WRITING_STORES}",
    "flipper.contrib.redis": "RedisFeatureFlagStore DEFAULT_LIST_METHOD_BATCH_SIZE "
    + IN_WRITING_STORES,
    "flipper.contrib.consul": f"ConsulFeatureFlagStore logger {IN_WRITING_STORES}",
    "flipper.contrib.s3": f"S3FeatureFlagStore {IN_WRITING_STORES}",
    "flipper.contrib.postgresql": "PostgreSQLFeatureFlagStore PostgresNotEnabled"
    " POSTGRES_ENABLED connect sql Connection "
    + " ".join(f"{name}_SQL" for name in SQL)
    + f" {IN_WRITING_STORES}",
    "flipper.contrib.cached": "CachedFeatureFlagStore DEFAULT_SIZE DEFAULT_TTL"
    f" {IN_EVERY_STORE}",
    "flipper.contrib.replicated": "ReplicatedFeatureFlagStore StoreType"
    f" {IN_EVERY_STORE}",
    "flipper.contrib.thrift": "ThriftRPCFeatureFlagStore ttypes FlagDoesNotExistError"
    f" {IN_EVERY_STORE}",
    "flipper.contrib.storage": "FeatureFlagStoreItem FeatureFlagStoreMeta",
    "flipper.contrib.storage.item": "FeatureFlagStoreItem",
    "flipper.contrib.storage.meta": "FeatureFlagStoreMeta",
    "flipper.contrib.util": "",
    "flipper.contrib.util.date": "now",
    "flipper.contrib.util.iter": "batchify",
    "flipper_thrift": "",
    "flipper_thrift.python": "",
    "flipper_thrift.python.feature_flag_store": "ttypes constants FeatureFlagStore",
    "flipper_thrift.python.feature_flag_store.ttypes": "ErrorCode FlipperException"
    " ConditionCheck ConditionOperator FeatureFlagStoreItem FeatureFlagStoreMeta",
    "flipper_thrift.python.feature_flag_store.constants": "ErrorCode FlipperException"
    " ConditionCheck ConditionOperator FeatureFlagStoreItem FeatureFlagStoreMeta",
    "flipper_thrift.python.feature_flag_store.FeatureFlagStore": "Iface Client"
    " Processor Create_args Create_result Get_args Get_result Set_args Set_result"
    " Delete_args Delete_result List_args List_result SetMeta_args SetMeta_result",
}

# Modules whose `__all__` held exactly their public names.
LISTED = [
    "flipper",
    "flipper.events",
    "flipper.conditions",
    "flipper.conditions.operators",
    "flipper.bucketing",
    "flipper.bucketing.percentage",
    "flipper.contrib",
    "flipper.contrib.storage",
    "flipper_thrift.python.feature_flag_store",
]


def find(address: str) -> Any:
    """Return what is at `module:name`, where the name may have dots."""
    module, _, path = address.partition(":")
    found = importlib.import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    return found


@pytest.mark.parametrize("module", NAMES)
def test_every_module_has_its_names(module: str) -> None:
    """Every module of flipper-client has its names."""
    found = importlib.import_module(module)
    for name in NAMES[module].split():
        namespace: dict[str, Any] = {}
        exec(f"from {module} import {name}", namespace)  # noqa: S102 (names of ours)
        assert namespace[name] is getattr(found, name)


@pytest.mark.parametrize("module", LISTED)
def test_a_star_import_imports_all_names(module: str) -> None:
    """`from module import *` imports all names that it did in flipper-client."""
    assert set(importlib.import_module(module).__all__) >= set(NAMES[module].split())
    namespace: dict[str, Any] = {}
    exec(f"from {module} import *", namespace)  # noqa: S102 (names of ours)
    assert namespace.keys() >= set(NAMES[module].split())


def test_the_package_exports_exactly_twelve_names() -> None:
    """`flipper.__all__` has exactly the twelve names of flipper-client."""
    assert sorted(flipper.__all__) == sorted(NAMES["flipper"].split())
    assert len(flipper.__all__) == 12


def test_an_unknown_name_raises_attribute_error() -> None:
    """An unknown name raises `AttributeError`, although names are loaded lazily."""
    with pytest.raises(AttributeError):
        flipper.RedisFeatureFlagStor  # noqa: B018 (asking is the test)
    with pytest.raises(ImportError):
        exec("from flipper import Redis")  # noqa: S102 (a name of ours)


@pytest.mark.parametrize("name", sorted(STORES))
def test_a_store_is_one_class_at_all_its_addresses(name: str) -> None:
    """Each store is the same class in all modules that export it."""
    cls = getattr(flipper, name)
    assert getattr(importlib.import_module("flipper.contrib"), name) is cls
    assert getattr(importlib.import_module(cls.__module__), name) is cls
    assert cls.__module__.startswith("flipper.contrib.")
    assert cls.__name__ == name


def test_decorators_is_the_module() -> None:
    """`flipper.decorators` is the module."""
    assert isinstance(flipper.decorators, ModuleType)
    assert flipper.decorators is importlib.import_module("flipper.decorators")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("flipper:Condition", "flipper.conditions.condition:Condition"),
        ("flipper:FeatureFlagClient", "flipper.client:FeatureFlagClient"),
        ("flipper.events:EventType", "flipper.events.types:EventType"),
        (
            "flipper.contrib.store:AbstractFeatureFlagStore",
            "flipper.contrib.interface:AbstractFeatureFlagStore",
        ),
        (
            "flipper.contrib.replicated:StoreType",
            "flipper.contrib.interface:AbstractFeatureFlagStore",
        ),
        (
            "flipper.contrib.storage:FeatureFlagStoreItem",
            "flipper.contrib.memory:FeatureFlagStoreItem",
        ),
        (
            "flipper.contrib.thrift:ttypes.FlipperException",
            "flipper_thrift.python.feature_flag_store.ttypes:FlipperException",
        ),
    ],
)
def test_two_names_of_one_thing_are_the_same_object(one: str, other: str) -> None:
    """Two names of one thing are the same object."""
    assert find(one) is find(other)


@pytest.mark.parametrize(
    "module",
    [
        "client",
        "exceptions",
        "contrib.interface",
        "contrib.memory",
        "contrib.redis",
        "contrib.consul",
        "contrib.s3",
        "contrib.postgresql",
        "contrib.thrift",
    ],
)
def test_there_is_one_error_for_a_flag_that_does_not_exist(module: str) -> None:
    """`flipper.FlagDoesNotExistError` is the class that every store raises."""
    found = importlib.import_module(f"flipper.{module}").FlagDoesNotExistError
    assert found is flipper.FlagDoesNotExistError


def test_constants_have_their_values() -> None:
    """Constants of flipper-client have the same values."""
    assert find("flipper.contrib.cached:DEFAULT_SIZE") == 5000
    assert find("flipper.contrib.cached:DEFAULT_TTL") is None
    assert find("flipper.contrib.redis:DEFAULT_LIST_METHOD_BATCH_SIZE") == 100
    assert find("flipper.conditions.check:OPERATOR_DELIMITER") == "__"
    assert find("flipper.contrib.postgresql:POSTGRES_ENABLED") is True
    for name in SQL:
        assert isinstance(find(f"flipper.contrib.postgresql:{name}_SQL"), str)


def test_the_consul_logger_has_the_name_of_its_module() -> None:
    """The logger of the Consul store is called like its module."""
    logger = find("flipper.contrib.consul:logger")
    assert logger is logging.getLogger("flipper.contrib.consul")


NOTHING = inspect.Parameter.empty


def parameters(cls: Any) -> list[inspect.Parameter]:
    """Return the parameters of a constructor."""
    return list(inspect.signature(cls).parameters.values())


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("flipper:FeatureFlagClient", {"store": NOTHING}),
        ("flipper.flag:FeatureFlag", {"feature_name": NOTHING, "client": NOTHING}),
        (
            "flipper.conditions.check:Check",
            {"variable": NOTHING, "value": NOTHING, "operator": NOTHING},
        ),
        ("flipper.bucketing:PercentageBucketer", {"percentage": None}),
        ("flipper.bucketing:NoOpBucketer", {}),
        ("flipper.bucketing:Percentage", {"value": 1.0}),
        (
            "flipper.bucketing:LinearRampPercentage",
            {
                "initial_value": 0.0,
                "final_value": 1.0,
                "ramp_duration": 3600,
                "initial_time": None,
            },
        ),
        (
            "flipper.contrib.storage:FeatureFlagStoreItem",
            {"feature_name": NOTHING, "is_enabled": NOTHING, "meta": NOTHING},
        ),
        (
            "flipper.contrib.storage:FeatureFlagStoreMeta",
            {
                "created_date": NOTHING,
                "client_data": None,
                "conditions": None,
                "bucketer": None,
            },
        ),
        ("flipper:MemoryFeatureFlagStore", {}),
        (
            "flipper:RedisFeatureFlagStore",
            {"redis": NOTHING, "base_key": "features", "list_method_batch_size": 100},
        ),
        ("flipper:ConsulFeatureFlagStore", {"consul": NOTHING, "base_key": "features"}),
        (
            "flipper:S3FeatureFlagStore",
            {"client": NOTHING, "bucket_name": NOTHING, "page_size": 1000},
        ),
        (
            "flipper:PostgreSQLFeatureFlagStore",
            {
                "conninfo": NOTHING,
                "table_name": "feature_flags",
                "name_column": "name",
                "item_column": "item",
                "run_migrations": True,
            },
        ),
        (
            "flipper:CachedFeatureFlagStore",
            {"store": NOTHING, "size": 5000, "ttl": None},
        ),
        ("flipper.events:FlipperEventEmitter", {}),
        ("flipper.events:FlipperEventSubscriber", {}),
        ("flipper.contrib.postgresql:PostgresNotEnabled", {}),
    ],
)
def test_constructors_have_their_parameters(
    address: str, expected: dict[str, Any]
) -> None:
    """Constructors have the parameters of flipper-client; further ones are optional."""
    found = parameters(find(address))
    first, rest = found[: len(expected)], found[len(expected) :]
    assert {each.name: each.default for each in first} == expected
    assert all(each.kind is each.POSITIONAL_OR_KEYWORD for each in first)
    for each in rest:
        optional = each.default is not NOTHING
        assert optional or each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD)


def test_the_thrift_store_takes_other_generated_types() -> None:
    """The second parameter of the Thrift store is `ttypes`, with a default."""
    ttypes = find("flipper.contrib.thrift:ttypes")
    client, types = parameters(flipper.ThriftRPCFeatureFlagStore)[:2]
    assert (client.name, client.default) == ("client", NOTHING)
    assert types.name == "ttypes"
    store = flipper.ThriftRPCFeatureFlagStore(object(), ttypes)
    assert isinstance(store, AbstractFeatureFlagStore)
    assert flipper.ThriftRPCFeatureFlagStore(client=object(), ttypes=ttypes)


def test_the_replicated_store_takes_any_number_of_replicas() -> None:
    """Replicas are positional; the timeout is a keyword, by default 1 second."""
    found = {each.name: each for each in parameters(flipper.ReplicatedFeatureFlagStore)}
    assert list(found)[:2] == ["primary", "replicas"]
    assert found["replicas"].kind is inspect.Parameter.VAR_POSITIONAL
    assert found["replication_timeout"].kind is inspect.Parameter.KEYWORD_ONLY
    assert found["replication_timeout"].default == 1
    alone = flipper.ReplicatedFeatureFlagStore(MemoryFeatureFlagStore())
    assert alone.create("x").feature_name == "x"


def test_a_condition_takes_keywords_only() -> None:
    """A condition accepts only keyword arguments."""
    with pytest.raises(TypeError):
        Condition({"a": 1})
    assert Condition().to_dict() == {}


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((["user_id"],), {}),
        ((["user_id"], Percentage(0.5)), {}),
        ((), {"whitelist": ["user_id"]}),
    ],
)
def test_the_consistent_bucketer_takes_its_two_keywords_only(
    args: Any, kwargs: Any
) -> None:
    """The consistent hash bucketer accepts only its two keyword arguments."""
    with pytest.raises(TypeError):
        ConsistentHashPercentageBucketer(*args, **kwargs)


def test_the_cache_refuses_unknown_options() -> None:
    """The cached store refuses options that it does not know."""
    with pytest.raises(TypeError):
        flipper.CachedFeatureFlagStore(MemoryFeatureFlagStore(), expiration=30)


@pytest.mark.parametrize(
    ("cls", "members"),
    [
        (AbstractFeatureFlagStore, "create get set delete list set_meta"),
        (AbstractBucketer, "check get_type to_dict from_dict"),
        (AbstractPercentage, "value get_type to_dict from_dict"),
        (AbstractOperator, "SYMBOL compare"),
        (IEventEmitter, "emit on remove_listener remove_subscriber"),
    ],
)
def test_abstract_classes_have_their_abstract_members(cls: type, members: str) -> None:
    """Each abstract class has exactly the abstract members of flipper-client."""
    assert type(cls) is ABCMeta
    assert cls.__abstractmethods__ == frozenset(members.split())
    with pytest.raises(TypeError):
        cls()


def test_the_store_interface_adds_no_public_method() -> None:
    """The interface adds no public method that a user's store may have itself."""
    public = {name for name in vars(AbstractFeatureFlagStore) if name[0] != "_"}
    assert public == {"create", "get", "set", "delete", "list", "set_meta"}


def test_the_base_to_dict_returns_the_type() -> None:
    """`to_dict` of the abstract classes returns the type, for `super()` calls."""

    class Mine(AbstractBucketer):
        @classmethod
        def get_type(cls) -> str:
            return "Mine"

        def check(self, **_: Any) -> bool:
            return True

        def to_dict(self) -> dict[str, Any]:
            return {**super().to_dict(), "more": 1}

        @classmethod
        def from_dict(cls, _: dict[str, Any]) -> Mine:
            return cls()

    class MyPercentage(AbstractPercentage):
        @property
        def value(self) -> float:
            return 0.5

        @classmethod
        def get_type(cls) -> str:
            return "MyPercentage"

        def to_dict(self) -> dict[str, Any]:
            return {**super().to_dict(), "more": 1}

        @classmethod
        def from_dict(cls, _: dict[str, Any]) -> MyPercentage:
            return cls()

    assert Mine().to_dict() == {"type": "Mine", "more": 1}
    assert MyPercentage().to_dict() == {"type": "MyPercentage", "more": 1}


@pytest.mark.parametrize(
    ("cls", "base"),
    [
        (ConsistentHashPercentageBucketer, PercentageBucketer),
        (PercentageBucketer, AbstractBucketer),
        (NoOpBucketer, AbstractBucketer),
        (Percentage, AbstractPercentage),
        (LinearRampPercentage, AbstractPercentage),
        (FlipperEventEmitter, BaseEventEmitter),
        (FlipperEventEmitter, IEventEmitter),
        *(
            (getattr(flipper, name), AbstractFeatureFlagStore)
            for name in sorted(STORES)
        ),
    ],
)
def test_subclasses_stay_subclasses(cls: type, base: type) -> None:
    """Each class is a subclass of the same classes as in flipper-client."""
    assert issubclass(cls, base)


def test_the_emitter_is_not_the_one_that_needs_an_event_loop() -> None:
    """The emitter calls its listeners without an event loop."""
    assert BaseEventEmitter.__module__.partition(".")[0] == "pyee"
    emitter = FlipperEventEmitter()
    recorded: list[Any] = []
    emitter.on("anything", recorded.append)
    assert emitter.emit("anything", 1) is True
    assert recorded == [1]


@pytest.mark.parametrize(
    ("cls", "outer"),
    [
        (Operator.InvalidSymbolError, Operator),
        (BucketerFactory.InvalidBucketerTypeError, BucketerFactory),
        (PercentageFactory.InvalidPercentageTypeError, PercentageFactory),
    ],
)
def test_nested_errors_are_in_their_outer_class(cls: type, outer: type) -> None:
    """Nested errors are attributes of their outer class, and plain exceptions."""
    assert issubclass(cls, Exception)
    assert not issubclass(cls, (ValueError, KeyError, TypeError))
    assert getattr(outer, cls.__name__) is cls


@pytest.mark.parametrize("symbol", OPERATORS)
def test_each_operator_has_its_class_and_module(symbol: str | None) -> None:
    """Each symbol has its class, in its own module and in the map."""
    module, name = OPERATORS[symbol]
    cls = find(f"flipper.conditions.operators.{module}:{name}")
    assert issubclass(cls, AbstractOperator)
    assert cls.__name__ == name
    assert symbol == cls.SYMBOL
    assert Operator.OPERATOR_MAP[symbol] is cls
    assert isinstance(Operator.factory(symbol), cls)
    assert symbol == cls().SYMBOL


def test_maps_hold_the_built_in_classes() -> None:
    """The maps of the factories have all built-in types."""
    assert Operator.OPERATOR_MAP.keys() >= OPERATORS.keys()
    assert {
        "NoOpBucketer": NoOpBucketer,
        "PercentageBucketer": PercentageBucketer,
        "ConsistentHashPercentageBucketer": ConsistentHashPercentageBucketer,
    } == BucketerFactory.BUCKETER_MAP
    # A schedule, which is new, is in the map as soon as something has loaded it.
    percentages = {**PercentageFactory.PERCENTAGE_MAP, "Schedule": Schedule}
    assert percentages == {
        "Percentage": Percentage,
        "LinearRampPercentage": LinearRampPercentage,
        "Schedule": Schedule,
    }


CLIENT_METHODS: dict[str, dict[str, Any]] = {
    "create": {"feature_name": NOTHING, "is_enabled": False, "client_data": None},
    "exists": {"feature_name": NOTHING},
    "get": {"feature_name": NOTHING},
    "enable": {"feature_name": NOTHING},
    "disable": {"feature_name": NOTHING},
    "destroy": {"feature_name": NOTHING},
    "list": {"limit": None, "offset": 0},
    "set_client_data": {"feature_name": NOTHING, "client_data": NOTHING},
    "get_client_data": {"feature_name": NOTHING},
    "get_meta": {"feature_name": NOTHING},
    "add_condition": {"feature_name": NOTHING, "condition": NOTHING},
    "set_conditions": {"feature_name": NOTHING, "conditions": NOTHING},
    "set_bucketer": {"feature_name": NOTHING, "bucketer": NOTHING},
    "get_events": {},
    "set_events": {"event_emitter": NOTHING},
}
FLAG_METHODS: dict[str, dict[str, Any]] = {
    "exists": {},
    "enable": {},
    "disable": {},
    "destroy": {},
    "add_condition": {"condition": NOTHING},
    "set_conditions": {"conditions": NOTHING},
    "set_client_data": {"client_data": NOTHING},
    "get_client_data": {},
    "get_meta": {},
    "set_bucketer": {"bucketer": NOTHING},
}
STORE_METHODS: dict[str, dict[str, Any]] = {
    "create": {"feature_name": NOTHING, "is_enabled": False, "client_data": None},
    "get": {"feature_name": NOTHING},
    "set": {"feature_name": NOTHING, "is_enabled": NOTHING},
    "delete": {"feature_name": NOTHING},
    "list": {"limit": None, "offset": 0},
    "set_meta": {"feature_name": NOTHING, "meta": NOTHING},
}


@pytest.mark.parametrize(
    ("cls", "method", "expected"),
    [
        *((FeatureFlagClient, *each) for each in CLIENT_METHODS.items()),
        *((FeatureFlag, *each) for each in FLAG_METHODS.items()),
        *((MemoryFeatureFlagStore, *each) for each in STORE_METHODS.items()),
        *((AbstractFeatureFlagStore, *each) for each in STORE_METHODS.items()),
    ],
)
def test_methods_keep_their_name_signature_and_docstring(
    cls: type, method: str, expected: dict[str, Any]
) -> None:
    """Each method has its name, signature and docstring, for `help()` and autospecs."""
    found = getattr(cls, method)
    assert found.__name__ == method
    assert found.__qualname__.endswith(f".{method}")
    assert inspect.getdoc(found)
    _, *after_self = inspect.signature(found).parameters.values()
    first, rest = after_self[: len(expected)], after_self[len(expected) :]
    assert {each.name: each.default for each in first} == expected
    assert all(each.default is not NOTHING for each in rest)


@pytest.mark.parametrize("cls", [FeatureFlagClient, FeatureFlag])
def test_is_enabled_takes_a_default_and_any_names(cls: type) -> None:
    """`is_enabled` accepts a default by position, and any keywords."""
    found = inspect.signature(cls.is_enabled).parameters
    assert found["default"].default is False
    assert any(each.kind is each.VAR_KEYWORD for each in found.values())
    assert cls.is_enabled.__name__ == "is_enabled"
    assert inspect.getdoc(cls.is_enabled)


def test_flag_must_exist_keeps_what_it_decorates() -> None:
    """`flag_must_exist` keeps the metadata of the function, and can be imported."""
    flag_must_exist = find("flipper.client:flag_must_exist")

    class MyClient(FeatureFlagClient):
        @flag_must_exist
        def touch(self, feature_name: str, times: int = 1) -> str:
            """Touch a flag."""
            return feature_name * times

    client = MyClient(MemoryFeatureFlagStore())
    with pytest.raises(flipper.FlagDoesNotExistError):
        client.touch("x")
    client.create("x")
    assert client.touch("x", times=2) == "xx"
    assert client.touch(feature_name="x") == "x"
    assert MyClient.touch.__name__ == "touch"
    assert MyClient.touch.__doc__ == "Touch a flag."


def test_the_constructor_of_the_postgres_error_says_what_to_install() -> None:
    """`PostgresNotEnabled()` has a complete text that names the extra."""
    error = find("flipper.contrib.postgresql:PostgresNotEnabled")()
    expected = "Postgres is not enabled, please install extra dependency [postgres]"
    assert str(error).startswith(expected)
    assert isinstance(error, Exception)


def test_event_types_have_their_members_and_values() -> None:
    """Sixteen event types are pairs, with their names in lower case as values."""
    actions = "CREATE ENABLE DISABLE DESTROY ADD_CONDITION SET_CONDITIONS"
    actions += " SET_CLIENT_DATA SET_BUCKETER"
    names = [f"{time}_{action}" for action in actions.split() for time in TIMES]
    assert [event.name for event in EventType] == names
    assert [event.value for event in EventType] == [name.lower() for name in names]


TIMES = ("PRE", "POST")


def test_the_subscriber_has_a_method_for_every_event() -> None:
    """The base subscriber has a method for every event, which does nothing."""
    subscriber = FlipperEventSubscriber()
    more = {"create": 2, "add_condition": 1, "set_conditions": 1}
    more |= {"set_client_data": 1, "set_bucketer": 1}
    for event in EventType:
        method = getattr(subscriber, f"on_{event.value}")
        action = event.value.partition("_")[2]
        assert method("flag", *[None] * more.get(action, 0)) is None


def test_records_can_be_made_by_keyword() -> None:
    """Items and metadata can be made with keyword arguments."""
    meta = FeatureFlagStoreMeta(
        created_date=1, client_data={}, conditions=[], bucketer=NoOpBucketer()
    )
    item = FeatureFlagStoreItem(feature_name="x", is_enabled=True, meta=meta)
    assert item.is_enabled() is True
    check = Check(variable="a", value=1, operator=Operator.factory("gt"))
    assert check.check(2) is True


def test_exceptions_can_be_pickled() -> None:
    """Every exception can be pickled, with its text and attributes."""
    client = FeatureFlagClient(MemoryFeatureFlagStore())
    with pytest.raises(flipper.FlagDoesNotExistError) as caught:
        client.enable("x")
    copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 (our own bytes)
    assert type(copy) is flipper.FlagDoesNotExistError
    assert str(copy) == "Feature x does not exist"
