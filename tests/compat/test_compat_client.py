# SPDX-License-Identifier: Apache-2.0
"""What the client and its flag objects do, rule by rule."""

from __future__ import annotations

import logging
import threading
from types import GeneratorType
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

import fakeredis
import pytest
from own_stores import SubclassStore

import flipper
from flipper import (
    CachedFeatureFlagStore,
    Condition,
    FeatureFlagClient,
    FlagDoesNotExistError,
    MemoryFeatureFlagStore,
    RedisFeatureFlagStore,
)
from flipper.bucketing import (
    ConsistentHashPercentageBucketer,
    NoOpBucketer,
    Percentage,
    PercentageBucketer,
)
from flipper.contrib.storage import FeatureFlagStoreMeta
from flipper.events import EventType, FlipperEventEmitter
from flipper.exceptions import FlipperError, InvalidArgumentError, InvalidFlagDataError
from flipper.flag import FeatureFlag

if TYPE_CHECKING:
    from collections.abc import Callable

Recorded = list[tuple[Any, ...]]


@pytest.fixture
def store() -> MemoryFeatureFlagStore:
    """An empty store."""
    return MemoryFeatureFlagStore()


@pytest.fixture
def client(store: MemoryFeatureFlagStore) -> FeatureFlagClient:
    """A client of that store."""
    return FeatureFlagClient(store)


def record_events(client: FeatureFlagClient) -> Recorded:
    """Return a list that every event of the client is added to."""
    recorded: Recorded = []
    for event in EventType:

        def listener(*args: Any, _event: EventType = event, **kwargs: Any) -> None:
            recorded.append((_event.name, args, kwargs))

        client.events.on(event, f=listener)
    return recorded


def fail(*_: Any, **__: Any) -> None:
    """Raise for any arguments."""
    raise RuntimeError("on purpose")


# Asking


@pytest.mark.parametrize("default", [True, None, "text", 0, object()])
def test_a_missing_flag_returns_the_default_itself(
    client: FeatureFlagClient, default: Any
) -> None:
    """A missing flag returns the default object, whatever it is."""
    assert client.is_enabled("x", default) is default
    assert client.is_enabled("x", default=default, user_id=1) is default
    assert client.get("x").is_enabled(default) is default
    assert client.get("x").is_enabled(default=default, user_id=1) is default


def test_without_a_default_a_missing_flag_is_off(client: FeatureFlagClient) -> None:
    """A missing flag is off if there is no default."""
    assert client.is_enabled("x") is False
    assert client.get("x").is_enabled() is False


@pytest.mark.parametrize("state", [True, False])
def test_an_existing_flag_never_returns_the_default(
    client: FeatureFlagClient, state: bool
) -> None:
    """A flag that is off is off, whatever the default is."""
    client.create("x", is_enabled=state)
    assert client.is_enabled("x", default=not state) is state
    assert client.get("x").is_enabled(default=not state) is state


def test_the_answer_of_the_item_is_returned_unchanged(
    client: FeatureFlagClient, store: MemoryFeatureFlagStore
) -> None:
    """The client returns what the item's `is_enabled` returns."""
    store.get = MagicMock()
    store.get.return_value.is_enabled.return_value = "variant B"
    assert client.is_enabled("x", user_id=1) == "variant B"
    store.get.assert_called_once_with("x")
    store.get.return_value.is_enabled.assert_called_once_with(user_id=1)


def test_every_method_takes_the_name_by_keyword(client: FeatureFlagClient) -> None:
    """Every method accepts `feature_name` by keyword."""
    client.create(feature_name="x")
    client.enable(feature_name="x")
    assert client.is_enabled(feature_name="x") is True
    client.disable(feature_name="x")
    assert client.is_enabled(feature_name="x", default=True) is False
    client.set_client_data(feature_name="x", client_data={"a": 1})
    assert client.get_client_data(feature_name="x") == {"a": 1}
    client.add_condition(feature_name="x", condition=Condition(a=1))
    client.set_conditions(feature_name="x", conditions=[])
    client.set_bucketer(feature_name="x", bucketer=NoOpBucketer())
    assert client.get_meta(feature_name="x")["client_data"] == {"a": 1}
    assert client.get(feature_name="x").name == "x"
    client.destroy(feature_name="x")
    assert client.exists(feature_name="x") is False


@pytest.mark.parametrize("name", ["self", "feature_name", "item", "store", "client"])
def test_conditions_may_have_any_name(client: FeatureFlagClient, name: str) -> None:
    """A condition may have any name, also one that the library uses inside."""
    client.create("x", is_enabled=True)
    client.add_condition("x", Condition(**{name: 1}))
    flag = client.get("x")
    assert client.is_enabled("x", **{name: 1}) is True
    assert client.is_enabled("x", **{name: 2}) is False
    assert flag.is_enabled(**{name: 1}) is True
    assert flag.is_enabled(**{name: 2}) is False


def test_default_is_never_a_condition(client: FeatureFlagClient) -> None:
    """The argument `default` is never a condition."""
    client.create("x", is_enabled=True)
    client.add_condition("x", Condition(default=1))
    assert client.is_enabled("x", default=2) is True
    assert client.get("x").is_enabled(default=2) is True


# Creating, finding, switching


def test_create_gives_a_flag_object(client: FeatureFlagClient) -> None:
    """`create` returns a flag object."""
    flag = client.create("x")
    assert type(flag) is FeatureFlag
    assert flag.name == "x"
    assert flag.exists() is True
    assert flag.is_enabled() is False
    assert client.create("y", True, {"a": 1}).is_enabled() is True
    assert client.get_client_data("y") == {"a": 1}


def test_create_on_an_existing_name_replaces_the_flag_whole(
    client: FeatureFlagClient, store: MemoryFeatureFlagStore
) -> None:
    """`create` replaces an existing flag with all its metadata."""
    client.create("x", is_enabled=True, client_data={"a": 1})
    store.set_meta("x", FeatureFlagStoreMeta(5, {"a": 1}, [Condition(b=1)]))
    client.set_bucketer("x", PercentageBucketer(Percentage(0.5)))
    client.create("x")
    meta = client.get_meta("x")
    assert client.is_enabled("x") is False
    assert meta["client_data"] == {}
    assert meta["conditions"] == []
    assert meta["bucketer"] == {"type": "NoOpBucketer"}
    assert meta["created_date"] > 5


def test_create_calls_the_store_with_these_arguments(client: FeatureFlagClient) -> None:
    """`create` calls the store with exactly these arguments, which mocks can assert."""
    store = MagicMock()
    FeatureFlagClient(store).create("x", is_enabled=True, client_data={"a": 1})
    store.create.assert_called_once_with("x", is_enabled=True, client_data={"a": 1})
    assert client.exists("x") is False


def test_exists_returns_a_boolean(client: FeatureFlagClient) -> None:
    """`exists` is true for any existing flag, also one that is off."""
    assert client.exists("x") is False
    client.create("x")
    assert client.exists("x") is True
    assert client.get("x").exists() is True


def test_get_makes_no_call_of_the_store() -> None:
    """`get` returns a flag object without a call of the store."""
    store = MagicMock()
    store.get.side_effect = RuntimeError
    flag = FeatureFlagClient(store).get("x")
    assert flag.name == "x"
    assert store.mock_calls == []


def test_enable_and_disable_set_the_state(client: FeatureFlagClient) -> None:
    """`is_enabled` returns the state that was set last."""
    client.create("x")
    assert client.enable("x") is None
    assert client.is_enabled("x") is True
    assert client.disable("x") is None
    assert client.is_enabled("x") is False


def test_enable_of_an_enabled_flag_writes_and_emits() -> None:
    """`enable` writes and emits events even if the flag is on already."""
    store = SubclassStore()
    client = FeatureFlagClient(store)
    client.create("x", is_enabled=True)
    recorded = record_events(client)
    client.enable("x")
    assert [name for name, *_ in recorded] == ["PRE_ENABLE", "POST_ENABLE"]
    assert store.calls[1:] == [("set", "x", True)]


def test_a_destroyed_flag_is_off(client: FeatureFlagClient) -> None:
    """A destroyed flag is off, and its flag object can still be used."""
    flag = client.create("x", is_enabled=True)
    assert flag.destroy() is None
    assert flag.exists() is False
    assert flag.is_enabled() is False
    client.create("x", is_enabled=True)
    assert flag.is_enabled() is True


MUST_EXIST: dict[str, Callable[[FeatureFlagClient], Any]] = {
    "enable": lambda client: client.enable("x"),
    "disable": lambda client: client.disable("x"),
    "destroy": lambda client: client.destroy("x"),
    "set_client_data": lambda client: client.set_client_data("x", {}),
    "get_client_data": lambda client: client.get_client_data("x"),
    "get_meta": lambda client: client.get_meta("x"),
    "add_condition": lambda client: client.add_condition("x", Condition()),
    "set_conditions": lambda client: client.set_conditions("x", []),
    "set_bucketer": lambda client: client.set_bucketer("x", NoOpBucketer()),
}


@pytest.mark.parametrize("method", MUST_EXIST)
def test_a_missing_flag_raises_before_events_and_writes(method: str) -> None:
    """A method that needs a flag raises for a missing one before any event or write."""
    store = SubclassStore()
    client = FeatureFlagClient(store)
    recorded = record_events(client)
    with pytest.raises(FlagDoesNotExistError) as caught:
        MUST_EXIST[method](client)
    assert str(caught.value) == "Feature x does not exist"
    assert isinstance(caught.value, FlipperError)
    assert recorded == []
    assert store.calls == []


@pytest.mark.parametrize("method", MUST_EXIST)
def test_flag_objects_raise_the_errors_of_the_client(
    client: FeatureFlagClient, method: str
) -> None:
    """The flag object of a missing flag raises what the client raises."""
    flag = client.get("x")
    arguments = {
        "set_client_data": [{}],
        "add_condition": [Condition()],
        "set_conditions": [[]],
        "set_bucketer": [NoOpBucketer()],
    }
    with pytest.raises(FlagDoesNotExistError, match=r"^Feature x does not exist$"):
        getattr(flag, method)(*arguments.get(method, []))


def test_flag_does_not_exist_error_accepts_a_text() -> None:
    """`FlagDoesNotExistError` can be made of a text, as users' stores do."""
    error = FlagDoesNotExistError("Feature x does not exist")
    assert str(error) == "Feature x does not exist"
    assert str(FlagDoesNotExistError()) == ""


# Listing


def test_list_returns_flag_objects(client: FeatureFlagClient) -> None:
    """`list` returns flag objects, in the order of the store."""
    for name in "bca":
        client.create(name, is_enabled=name == "b")
    flags = list(client.list())
    assert all(type(flag) is FeatureFlag for flag in flags)
    found = [(flag.name, flag.is_enabled()) for flag in flags]
    assert found == [("a", False), ("b", True), ("c", False)]
    assert [flag.name for flag in client.list(limit=2)] == ["a", "b"]
    assert [flag.name for flag in client.list(limit=1, offset=1)] == ["b"]
    assert [flag.name for flag in client.list(2, 2)] == ["c"]
    assert list(client.list(limit=0)) == []
    assert list(client.list(offset=3)) == []


def test_list_calls_the_store_when_its_first_flag_is_read() -> None:
    """`list` calls the store, with keywords, when its first flag is read."""
    store = MagicMock()
    store.list.return_value = iter([])
    listing = FeatureFlagClient(store).list(limit=10, offset=25)
    assert isinstance(listing, GeneratorType)
    store.list.assert_not_called()
    assert list(listing) == []
    store.list.assert_called_once_with(limit=10, offset=25)


def test_list_makes_its_flags_with_get(client: FeatureFlagClient) -> None:
    """`list` makes each flag with `get`, which a subclass can override."""
    client.create("x")

    class MyClient(FeatureFlagClient):
        def get(self, feature_name: str) -> Any:
            return f"my {feature_name}"

    assert list(MyClient(client._store).list()) == ["my x"]


def test_list_leaves_out_flags_that_were_deleted_meanwhile(
    client: FeatureFlagClient,
) -> None:
    """`list` leaves out a flag that is deleted while the list is read."""
    for name in "abc":
        client.create(name)
    listing = client.list()
    assert next(listing).name == "a"
    client.destroy("b")
    assert [flag.name for flag in listing] == ["c"]


# Client data and metadata


def test_set_client_data_merges_one_level_deep(client: FeatureFlagClient) -> None:
    """`set_client_data` adds and replaces values at the top level only."""
    client.create("x", client_data={"a": 1, "deep": {"b": 2}})
    assert client.set_client_data("x", {"deep": {"c": 3}, "d": None}) is None
    expected = {"a": 1, "deep": {"c": 3}, "d": None}
    assert client.get_client_data("x") == expected
    assert client.get("x").get_client_data() == expected
    assert client.get_meta("x")["client_data"] == expected


def test_set_client_data_of_none_changes_nothing_but_writes() -> None:
    """`set_client_data(None)` writes and emits events, and changes nothing."""
    store = SubclassStore()
    client = FeatureFlagClient(store)
    client.create("x", client_data={"a": 1})
    recorded = record_events(client)
    client.set_client_data("x", None)
    assert client.get_client_data("x") == {"a": 1}
    events = [name for name, *_ in recorded]
    assert events == ["PRE_SET_CLIENT_DATA", "POST_SET_CLIENT_DATA"]
    assert [call[0] for call in store.calls] == ["create", "set_meta"]


def test_get_meta_is_plain_data_in_a_fixed_order(client: FeatureFlagClient) -> None:
    """`get_meta` returns plain data, whose order is fixed."""
    client.create("x", client_data={"a": 1})
    client.add_condition("x", Condition(b__gt=2))
    client.set_bucketer("x", PercentageBucketer(Percentage(0.5)))
    meta = client.get_meta("x")
    assert list(meta) == ["client_data", "created_date", "conditions", "bucketer"]
    assert type(meta["created_date"]) is int
    assert meta["client_data"] == {"a": 1}
    assert meta["conditions"] == [
        {"b": [{"variable": "b", "value": 2, "operator": "gt"}]}
    ]
    assert meta["bucketer"] == {
        "type": "PercentageBucketer",
        "percentage": {"type": "Percentage", "value": 0.5},
    }
    assert client.get("x").get_meta() == meta


def test_client_data_is_not_shared_with_the_caller(client: FeatureFlagClient) -> None:
    """A later change of the caller's dict does not change the flag."""
    data: dict[str, Any] = {"a": 1, "deep": {"b": [2]}}
    client.create("A", client_data=data)
    client.create("B", client_data=data)
    data["a"] = 10
    data["deep"]["b"].append(3)
    client.set_client_data("A", {"new": 1})
    assert data == {"a": 10, "deep": {"b": [2, 3]}}
    assert client.get_client_data("A") == {"a": 1, "deep": {"b": [2]}, "new": 1}
    assert client.get_client_data("B") == {"a": 1, "deep": {"b": [2]}}
    more = {"list": [1]}
    client.set_client_data("B", more)
    more["list"].append(2)
    assert client.get_client_data("B")["list"] == [1]


def test_read_metadata_is_not_shared_with_the_flag(client: FeatureFlagClient) -> None:
    """A change of what was read does not change the flag."""
    client.create("x", client_data={"a": {"b": 1}})
    client.add_condition("x", Condition(c=[1]))
    for got in (client.get_meta("x"), client.get("x").get_meta()):
        got["client_data"]["a"]["b"] = 2
        got["conditions"][0]["c"][0]["value"].append(2)
        got["conditions"].append("more")
        got["bucketer"]["type"] = "other"
    client.get_client_data("x")["a"]["b"] = 2
    meta = client.get_meta("x")
    assert meta["client_data"] == {"a": {"b": 1}}
    assert meta["conditions"] == [
        {"c": [{"variable": "c", "value": [1], "operator": None}]}
    ]
    assert meta["bucketer"] == {"type": "NoOpBucketer"}


def test_client_data_survives_a_listener_that_changes_it(
    client: FeatureFlagClient,
) -> None:
    """A listener that changes its arguments does not change what is written."""
    client.create("x", client_data={"a": 1})

    def meddle(_: str, data: dict[str, Any]) -> None:
        data["meddled"] = True

    client.events.on(EventType.POST_SET_CLIENT_DATA, f=meddle)
    client.set_client_data("x", {"b": 2})
    assert client.get_client_data("x") == {"a": 1, "b": 2}


# Conditions and bucketers


def test_equal_conditions_are_not_merged(client: FeatureFlagClient) -> None:
    """`add_condition` always appends, even an equal condition."""
    client.create("x", is_enabled=True)
    assert client.add_condition("x", Condition(a=1)) is None
    client.get("x").add_condition(Condition(a=1))
    checks = {"a": [{"variable": "a", "value": 1, "operator": None}]}
    assert client.get_meta("x")["conditions"] == [checks, checks]


@pytest.mark.parametrize("kind", [list, tuple, iter])
def test_set_conditions_replaces_all_by_any_iterable(
    client: FeatureFlagClient, kind: Callable[[Any], Any]
) -> None:
    """`set_conditions` replaces all conditions, and accepts any iterable."""
    client.create("x", is_enabled=True)
    client.add_condition("x", Condition(old=1))
    conditions = [Condition(a=1), Condition(b=2)]
    assert client.set_conditions("x", kind(conditions)) is None
    expected = [condition.to_dict() for condition in conditions]
    assert client.get_meta("x")["conditions"] == expected
    client.get("x").set_conditions([])
    assert client.get_meta("x")["conditions"] == []


def test_a_list_of_conditions_is_not_shared(client: FeatureFlagClient) -> None:
    """A later change of the caller's list does not change the flag."""
    client.create("x", is_enabled=True)
    conditions = [Condition(a=1)]
    client.set_conditions("x", conditions)
    conditions.append(Condition(b=2))
    assert len(client.get_meta("x")["conditions"]) == 1
    assert client.is_enabled("x", b=3) is True


def test_a_bucketer_is_replaced_and_removed_by_a_noop(
    client: FeatureFlagClient,
) -> None:
    """`set_bucketer` replaces the bucketer; a NoOpBucketer removes it."""
    client.create("x", is_enabled=True)
    assert client.set_bucketer("x", PercentageBucketer(Percentage(0))) is None
    assert client.is_enabled("x") is False
    client.get("x").set_bucketer(NoOpBucketer())
    assert client.is_enabled("x") is True


def test_set_bucketer_of_none_keeps_the_bucketer() -> None:
    """`set_bucketer(None)` writes and emits events, and changes nothing."""
    store = SubclassStore()
    client = FeatureFlagClient(store)
    client.create("x", is_enabled=True)
    client.set_bucketer("x", PercentageBucketer(Percentage(0)))
    recorded = record_events(client)
    client.set_bucketer("x", None)
    assert client.is_enabled("x") is False
    assert recorded == [
        ("PRE_SET_BUCKETER", ("x", None), {}),
        ("POST_SET_BUCKETER", ("x", None), {}),
    ]
    assert [call[0] for call in store.calls].count("set_meta") == 2


def test_the_combined_example_of_the_readme(client: FeatureFlagClient) -> None:
    """A condition and a bucketer work together as the README says."""
    flag = client.create("x", is_enabled=True)
    flag.add_condition(Condition(is_admin=True))
    flag.set_bucketer(
        ConsistentHashPercentageBucketer(
            key_whitelist=["user_id"], percentage=Percentage(0.5)
        )
    )
    assert flag.is_enabled(user_id=2) is False
    assert flag.is_enabled(user_id=2, is_admin=True) is True
    assert flag.is_enabled(user_id=1) is True
    assert flag.is_enabled(user_id=1, is_admin=False) is False
    assert flag.is_enabled() is True


# What the store is asked, and in which order


META_WRITES: dict[str, Callable[[FeatureFlagClient], Any]] = {
    "set_client_data": lambda client: client.set_client_data("x", {"a": 1}),
    "add_condition": lambda client: client.add_condition("x", Condition(a=1)),
    "set_conditions": lambda client: client.set_conditions("x", [Condition(a=1)]),
    "set_bucketer": lambda client: client.set_bucketer("x", NoOpBucketer()),
}
WRITES: dict[str, Callable[[FeatureFlagClient], Any]] = {
    "create": lambda client: client.create("x", True, {"a": 1}),
    "enable": lambda client: client.enable("x"),
    "disable": lambda client: client.disable("x"),
    "destroy": lambda client: client.destroy("x"),
    **META_WRITES,
}
STORE_METHOD = {"create": "create", "destroy": "delete"}
STORE_METHOD |= dict.fromkeys(["enable", "disable"], "set")
STORE_METHOD |= dict.fromkeys(META_WRITES, "set_meta")


@pytest.mark.parametrize("method", META_WRITES)
def test_metadata_is_written_by_one_set_meta(method: str) -> None:
    """Metadata is written by one call of `set_meta`, with a name and a record."""
    store = SubclassStore()
    client = FeatureFlagClient(store)
    store.create("x")
    before = len(store.calls)
    META_WRITES[method](client)
    (call,) = store.calls[before:]
    assert call[:2] == ("set_meta", "x")
    assert isinstance(call[2], FeatureFlagStoreMeta)


@pytest.mark.parametrize("method", META_WRITES)
def test_one_write_needs_few_reads(method: str) -> None:
    """A write of metadata reads the flag so many times and not more."""
    store = SubclassStore()
    client = FeatureFlagClient(store)
    store.create("x")
    META_WRITES[method](client)
    of_set_meta = 1
    assert store.reads <= 2 + of_set_meta


@pytest.mark.parametrize("method", ["get_meta", "get_client_data"])
def test_reading_metadata_reads_once(method: str) -> None:
    """A method that reads metadata reads the flag once."""
    store = SubclassStore()
    store.create("x")
    getattr(FeatureFlagClient(store), method)("x")
    assert store.reads == 1


@pytest.mark.parametrize("method", META_WRITES)
def test_a_flag_that_vanishes_is_a_flag_that_does_not_exist(method: str) -> None:
    """A flag that vanishes between two steps raises `FlagDoesNotExistError`."""
    store = SubclassStore()
    store.create("x")
    look = store.get

    def look_once(feature_name: str) -> Any:
        item = look(feature_name)
        store.rows.clear()
        return item

    store.get = look_once
    with pytest.raises(FlagDoesNotExistError):
        META_WRITES[method](FeatureFlagClient(store))


@pytest.mark.parametrize("method", WRITES)
def test_events_come_before_and_after_the_one_write(method: str) -> None:
    """The PRE event comes before the write, and the POST event after it."""
    store = SubclassStore()
    client = FeatureFlagClient(store)
    if method != "create":
        store.create("x")
        store.calls.clear()
    order: list[str] = []
    for time in ("PRE", "POST"):
        event = EventType[f"{time}_{method.upper()}"]
        client.events.on(
            event,
            f=lambda *_, time=time, **__: order.append(f"{time} {len(store.calls)}"),
        )
    WRITES[method](client)
    assert order == ["PRE 0", "POST 1"]
    assert store.calls[0][0] == STORE_METHOD[method]


@pytest.mark.parametrize("method", WRITES)
def test_a_pre_listener_that_raises_prevents_the_write(method: str) -> None:
    """An exception of a PRE listener is raised, and nothing is written."""
    store = SubclassStore()
    client = FeatureFlagClient(store)
    if method != "create":
        store.create("x")
    before = dict(store.rows)
    store.calls.clear()
    client.events.on(EventType[f"PRE_{method.upper()}"], f=fail)
    with pytest.raises(RuntimeError, match="on purpose"):
        WRITES[method](client)
    assert store.calls == []
    assert store.rows == before


@pytest.mark.parametrize("stack", [lambda store: store, CachedFeatureFlagStore])
@pytest.mark.parametrize("method", WRITES)
def test_a_pre_listener_that_raises_leaves_a_memory_store_alone(
    method: str, stack: Callable[[Any], Any]
) -> None:
    """After an exception of a PRE listener the memory store is unchanged."""
    client = FeatureFlagClient(stack(MemoryFeatureFlagStore()))
    client.create("x", client_data={"first": 1})
    before = client.get_meta("x"), client.is_enabled("x")
    client.events.on(EventType[f"PRE_{method.upper()}"], f=fail)
    with pytest.raises(RuntimeError, match="on purpose"):
        WRITES[method](client)
    assert (client.get_meta("x"), client.is_enabled("x")) == before


@pytest.mark.parametrize("method", WRITES)
def test_no_post_event_if_the_store_raises(method: str) -> None:
    """An exception of the store is raised, and there is no POST event."""
    store = SubclassStore()
    client = FeatureFlagClient(store)
    store.create("x", client_data={"first": 1})
    before = dict(store.rows)
    recorded = record_events(client)
    setattr(store, STORE_METHOD[method], fail)
    with pytest.raises(RuntimeError, match="on purpose"):
        WRITES[method](client)
    assert [name for name, *_ in recorded] == [f"PRE_{method.upper()}"]
    assert store.rows == before


@pytest.mark.parametrize("method", WRITES)
def test_a_post_listener_that_raises_comes_after_the_write(method: str) -> None:
    """An exception of a POST listener is raised, and the write stays."""
    store = SubclassStore()
    client = FeatureFlagClient(store)
    if method != "create":
        store.create("x")
    store.calls.clear()
    client.events.on(EventType[f"POST_{method.upper()}"], f=fail)
    with pytest.raises(RuntimeError, match="on purpose"):
        WRITES[method](client)
    assert [call[0] for call in store.calls] == [STORE_METHOD[method]]


def test_threads_adding_conditions_lose_none(client: FeatureFlagClient) -> None:
    """Conditions that threads add with one client are all kept."""
    client.create("x", is_enabled=True)
    start = threading.Barrier(8)

    def add(number: int) -> None:
        start.wait()
        for step in range(10):
            client.add_condition("x", Condition(**{f"v{number}_{step}": 1}))

    threads = [threading.Thread(target=add, args=(each,)) for each in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(client.get_meta("x")["conditions"]) == 80


# The emitter


def test_events_can_be_read_and_assigned(client: FeatureFlagClient) -> None:
    """The property `events` and its two methods are the same thing."""
    assert type(client.events) is FlipperEventEmitter
    assert client.get_events() is client.events
    first, second = FlipperEventEmitter(), FlipperEventEmitter()
    client.events = first
    assert client.get_events() is first
    client.set_events(second)
    assert client.events is second


def test_existing_flag_objects_use_a_new_emitter(
    client: FeatureFlagClient,
) -> None:
    """Flag objects use the emitter that their client has at the moment."""
    flag = client.create("x")
    client.events = FlipperEventEmitter()
    recorded = record_events(client)
    flag.enable()
    assert [name for name, *_ in recorded] == ["PRE_ENABLE", "POST_ENABLE"]


def test_clients_do_not_share_an_emitter(store: MemoryFeatureFlagStore) -> None:
    """A listener gets events of its own client only."""
    one, other = FeatureFlagClient(store), FeatureFlagClient(store)
    recorded = record_events(one)
    other.create("x")
    assert recorded == []


# Asking never raises


def unanswerable(client: FeatureFlagClient) -> None:
    """Create a flag that cannot be evaluated for `n=None`."""
    client.create("x", is_enabled=True)
    client.add_condition("x", Condition(n__gt=5))


def test_a_failing_comparison_returns_the_default(client: FeatureFlagClient) -> None:
    """A comparison that raises returns the default."""
    unanswerable(client)
    other = object()
    assert client.is_enabled("x", n=None) is False
    assert client.is_enabled("x", n=None, default=other) is other
    assert client.get("x").is_enabled(n=None) is False
    assert client.get("x").is_enabled(n=None, default=True) is True
    assert client.is_enabled("x", n=6) is True


def test_a_failing_bucketer_returns_the_default(client: FeatureFlagClient) -> None:
    """A bucketer that raises returns the default."""
    client.create("x", is_enabled=True)
    half = ConsistentHashPercentageBucketer(percentage=Percentage(0.5))
    client.set_bucketer("x", half)
    assert client.is_enabled("x", user=object()) is False
    assert client.is_enabled("x", user=object(), default=True) is True


def test_on_error_raise_raises(store: MemoryFeatureFlagStore) -> None:
    """With `on_error="raise"` the exceptions are raised, as in flipper-client."""
    client = FeatureFlagClient(store, on_error="raise")
    unanswerable(client)
    with pytest.raises(TypeError):
        client.is_enabled("x", n=None)
    with pytest.raises(TypeError):
        client.get("x").is_enabled(n=None)
    store.get = fail
    with pytest.raises(RuntimeError, match="on purpose"):
        client.is_enabled("x")


def test_any_other_on_error_is_refused(store: MemoryFeatureFlagStore) -> None:
    """The constructor refuses any other value of `on_error`."""
    assert FeatureFlagClient(store, on_error="default").is_enabled("x") is False
    with pytest.raises((TypeError, ValueError)):
        FeatureFlagClient(store, on_error="rise")
    with pytest.raises(TypeError):
        FeatureFlagClient(store, "raise")


def test_items_conditions_and_checks_raise(
    client: FeatureFlagClient, store: MemoryFeatureFlagStore
) -> None:
    """Items, conditions and checks raise what the comparison has raised."""
    unanswerable(client)
    item = store.get("x")
    assert item is not None
    with pytest.raises(TypeError):
        item.is_enabled(n=None)
    with pytest.raises(TypeError):
        Condition(n__gt=5).check(n=None)
    with pytest.raises(TypeError):
        Condition(n__gt=5).checks["n"][0].check(None)


def test_a_store_that_raises_returns_the_default() -> None:
    """A flag that was never read returns the default while the store raises."""
    store = MagicMock()
    store.get.side_effect = ConnectionError
    client = FeatureFlagClient(store)
    assert client.is_enabled("x") is False
    assert client.is_enabled("x", default="unknown") == "unknown"


def test_flags_answer_as_last_known_if_the_store_raises() -> None:
    """A flag that was read before answers as last known while the store raises."""
    store = SubclassStore()
    client = FeatureFlagClient(store)
    client.create("on", is_enabled=True)
    client.add_condition("on", Condition(a=1))
    client.create("off")
    assert client.is_enabled("on", a=1) is True
    assert client.is_enabled("off") is False

    def away(_: str) -> None:
        raise ConnectionError

    store.get = away
    assert client.is_enabled("on", a=1) is True
    assert client.is_enabled("on", a=2, default=True) is False
    assert client.is_enabled("off", default=True) is False
    assert client.is_enabled("never seen", default=True) is True


def test_a_failing_flag_is_logged_once_in_a_while(
    client: FeatureFlagClient, caplog: pytest.LogCaptureFixture
) -> None:
    """A flag that fails a thousand times is logged once."""
    unanswerable(client)
    with caplog.at_level(logging.DEBUG):
        for _ in range(20):
            client.is_enabled("x", n=None)
    warnings = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert warnings[0].name.startswith("flipper.")


@pytest.mark.parametrize("method", ["exists", "list", *MUST_EXIST])
def test_every_other_method_raises_what_the_store_raises(method: str) -> None:
    """All methods but `is_enabled` raise what the store raises."""
    store = MagicMock()
    store.get.side_effect = ConnectionError
    store.list.side_effect = ConnectionError
    client = FeatureFlagClient(store)
    calls = {
        **MUST_EXIST,
        "exists": lambda client: client.exists("x"),
        "list": lambda client: list(client.list()),
    }
    with pytest.raises(ConnectionError):
        calls[method](client)


META = '"created_date": 1500000000'
BROKEN_DOCUMENTS = {
    "not JSON": b"not json",
    "cut off": b'{"feature_name": "x", "is_enabled": true, "meta": {"created_da',
    "null": b"null",
    "a list": b"[]",
    "a number": b"1",
    "a text": b'"x"',
    "not UTF-8": b'{"feature_name": "\xff", "is_enabled": true, "meta": {%s}}'
    % META.encode(),
    "nothing in it": b"{}",
    "no state": b'{"feature_name": "x", "meta": {%s}}' % META.encode(),
    "no meta": b'{"feature_name": "x", "is_enabled": true}',
    "meta is null": b'{"feature_name": "x", "is_enabled": true, "meta": null}',
    "no date": b'{"feature_name": "x", "is_enabled": true, "meta": {}}',
    **{
        f"the state {state}": (
            '{"feature_name": "x", "is_enabled": %s, "meta": {%s}}' % (state, META)  # noqa: UP031 (braces)
        ).encode()
        for state in ('"false"', '"no"', '"off"', '"0"', '""', "[false]", "[]", "NaN")
    },
    **{
        name: (
            '{"feature_name": "x", "is_enabled": true, "meta": {%s, %s}}' % (META, more)  # noqa: UP031 (braces)
        ).encode()
        for name, more in {
            "conditions are null": '"conditions": null',
            "conditions are a text": '"conditions": "x"',
            "a condition is a number": '"conditions": [1]',
            "checks are a number": '"conditions": [{"a": 1}]',
            "a check lacks fields": '"conditions": [{"a": [{"variable": "a"}]}]',
            "an unknown operator": '"conditions": [{"a": [{"variable": "a", "value":'
            ' 1, "operator": "nope"}]}]',
            "an unknown bucketer": '"bucketer": {"type": "Nope"}',
            "a bucketer without a type": '"bucketer": {"percentage": {}}',
            "a bucketer that is a list": '"bucketer": [1]',
            "an unknown percentage": '"bucketer": {"type": "PercentageBucketer",'
            ' "percentage": {"type": "Nope"}}',
            "client data is a list": '"client_data": [1]',
        }.items()
    },
}


@pytest.mark.parametrize("name", BROKEN_DOCUMENTS)
def test_a_broken_document_returns_the_default(name: str) -> None:
    """A broken document returns the default, and is never on."""
    store = SubclassStore()
    store.rows["x"] = BROKEN_DOCUMENTS[name]
    client = FeatureFlagClient(store)
    assert client.is_enabled("x") is False
    assert client.is_enabled("x", a=1) is False
    assert client.get("x").is_enabled(a=1) is False
    assert client.is_enabled("x", default=True) is True


@pytest.mark.parametrize("name", BROKEN_DOCUMENTS)
@pytest.mark.parametrize("method", sorted(set(MUST_EXIST) - {"destroy"}))
def test_a_broken_document_raises_in_other_methods(name: str, method: str) -> None:
    """Methods that read or change metadata raise for a broken document."""
    store = SubclassStore()
    store.rows["x"] = BROKEN_DOCUMENTS[name]
    client = FeatureFlagClient(store)
    with pytest.raises(InvalidFlagDataError) as caught:
        MUST_EXIST[method](client)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, FlipperError)
    assert store.rows["x"] == BROKEN_DOCUMENTS[name]


@pytest.mark.parametrize("name", BROKEN_DOCUMENTS)
def test_create_repairs_a_broken_document(name: str) -> None:
    """`create` replaces a broken document."""
    store = SubclassStore()
    store.rows["x"] = BROKEN_DOCUMENTS[name]
    client = FeatureFlagClient(store)
    client.create("x", is_enabled=True)
    assert client.is_enabled("x") is True


@pytest.mark.redis
def test_broken_documents_do_not_hide_the_other_flags() -> None:
    """`list` leaves out a broken document, and has the other flags."""
    redis = fakeredis.FakeRedis()
    client = FeatureFlagClient(RedisFeatureFlagStore(redis))
    client.create("good", is_enabled=True)
    for number, document in enumerate(BROKEN_DOCUMENTS.values()):
        redis.set(f"features/broken{number}", document)
        assert client.is_enabled(f"broken{number}") is False
        with pytest.raises(InvalidFlagDataError):
            client.get_meta(f"broken{number}")
    assert [flag.name for flag in client.list()] == ["good"]


# Bad input


@pytest.mark.parametrize("name", ["", None, 5, b"x", ["x"]])
def test_a_name_has_to_be_a_text(client: FeatureFlagClient, name: Any) -> None:
    """Every method refuses a name that is no text."""
    recorded = record_events(client)
    with pytest.raises(InvalidArgumentError) as caught:
        client.create(name)
    assert isinstance(caught.value, (FlipperError, TypeError, ValueError))
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, ValueError)
    assert recorded == []
    assert list(client.list()) == []
    assert client.is_enabled(name) is False


@pytest.mark.parametrize("percentage", [50, -0.1, 1.01, float("nan"), "0.5", None])
def test_a_percentage_above_one_is_refused(
    client: FeatureFlagClient, percentage: Any
) -> None:
    """`set_bucketer` refuses a percentage such as 50, which is no fraction."""
    client.create("x", is_enabled=True)
    recorded = record_events(client)
    with pytest.raises((TypeError, ValueError)):
        client.set_bucketer("x", PercentageBucketer(Percentage(percentage)))
    assert recorded == []
    assert client.get_meta("x")["bucketer"] == {"type": "NoOpBucketer"}


@pytest.mark.parametrize("percentage", [0, 1, 0.0, 1.0, 0.5, True])
def test_a_fraction_is_accepted(client: FeatureFlagClient, percentage: Any) -> None:
    """`set_bucketer` accepts every percentage from 0 to 1."""
    client.create("x", is_enabled=True)
    bucketer = PercentageBucketer(Percentage(percentage))
    client.set_bucketer("x", bucketer)
    assert client.get_meta("x")["bucketer"] == bucketer.to_dict()


@pytest.mark.parametrize("page", [{"limit": -1}, {"offset": -1}])
def test_a_negative_limit_or_offset_is_refused(
    client: FeatureFlagClient, page: dict[str, int]
) -> None:
    """`list` refuses a negative limit or offset."""
    client.create("x")
    with pytest.raises(InvalidArgumentError):
        list(client.list(**page))


@pytest.mark.redis
def test_values_that_cannot_be_stored_are_refused_before_the_write() -> None:
    """A value that cannot be stored raises, and there is no write and no event."""
    redis = fakeredis.FakeRedis()
    client = FeatureFlagClient(RedisFeatureFlagStore(redis))
    client.create("x", client_data={"a": 1})
    before = redis.get("features/x")
    with pytest.raises(TypeError):
        client.set_client_data("x", {"b": {1, 2}})
    with pytest.raises(TypeError):
        client.add_condition("x", Condition(a__in={1, 2}))
    with pytest.raises(TypeError):
        client.create("y", client_data={"b": object()})
    assert redis.get("features/x") == before
    assert redis.get("features/y") is None


def test_every_refusal_is_a_flipper_error() -> None:
    """`except FlipperError` catches every error of the library."""
    assert issubclass(InvalidArgumentError, (FlipperError, TypeError, ValueError))
    assert issubclass(InvalidFlagDataError, FlipperError)
    assert issubclass(InvalidFlagDataError, ValueError)
    assert issubclass(flipper.FlagDoesNotExistError, FlipperError)
