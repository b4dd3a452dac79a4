# SPDX-License-Identifier: Apache-2.0
"""What stored records and the in-process stores do, rule by rule."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest

from flipper import (
    CachedFeatureFlagStore,
    Condition,
    FeatureFlagClient,
    FlagDoesNotExistError,
    MemoryFeatureFlagStore,
    ReplicatedFeatureFlagStore,
)
from flipper.bucketing import (
    BucketerFactory,
    ConsistentHashPercentageBucketer,
    LinearRampPercentage,
    NoOpBucketer,
    Percentage,
    PercentageBucketer,
    PercentageFactory,
)
from flipper.bucketing.base import AbstractBucketer
from flipper.conditions.operators import Operator
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.contrib.util.date import now
from flipper.contrib.util.iter import batchify
from flipper.exceptions import InvalidFlagDataError

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLE = (
    '{"feature_name": "X", "is_enabled": true, "meta": {"client_data": {}, '
    '"created_date": 1500000000, "conditions": [{"a": [{"variable": "a", "value": 1, '
    '"operator": "gt"}]}], "bucketer": {"type": "NoOpBucketer"}}}'
)
PLAIN = {
    "client_data": {},
    "created_date": 5,
    "conditions": [],
    "bucketer": {"type": "NoOpBucketer"},
}


# Metadata


@pytest.mark.parametrize("nothing", [None, {}, [], 0, False])
def test_missing_metadata_is_empty(nothing: Any) -> None:
    """Every false value in metadata means that there is nothing."""
    meta = FeatureFlagStoreMeta(5, nothing, nothing, nothing)
    assert meta.client_data == {}
    assert meta.conditions == []
    assert isinstance(meta.bucketer, NoOpBucketer)
    assert meta.to_dict() == PLAIN
    assert FeatureFlagStoreMeta(5).to_dict() == PLAIN


def test_metadata_objects_do_not_share_their_defaults() -> None:
    """Metadata objects do not share default values."""
    one, other = FeatureFlagStoreMeta(1), FeatureFlagStoreMeta(1)
    one.update(client_data={"a": 1})
    one.conditions.append(Condition(a=1))
    assert other.to_dict() == {**PLAIN, "created_date": 1}
    assert FeatureFlagStoreMeta(5).to_dict() == PLAIN


def test_fields_of_metadata_can_be_assigned() -> None:
    """The fields of metadata are plain attributes."""
    meta = FeatureFlagStoreMeta(1)
    meta.created_date = 5
    meta.client_data = {"a": 1}
    meta.conditions = [Condition(b=1)]
    meta.bucketer = PercentageBucketer(Percentage(0.5))
    assert meta.to_dict() == {
        "client_data": {"a": 1},
        "created_date": 5,
        "conditions": [Condition(b=1).to_dict()],
        "bucketer": PercentageBucketer(Percentage(0.5)).to_dict(),
    }


def test_the_order_of_metadata_is_fixed() -> None:
    """The order of metadata is part of the stored bytes."""
    order = ["client_data", "created_date", "conditions", "bucketer"]
    assert list(FeatureFlagStoreMeta(1).to_dict()) == order
    read = FeatureFlagStoreMeta.from_dict(dict(reversed(PLAIN.items())))
    assert list(read.to_dict()) == order


def test_any_object_can_be_a_creation_date() -> None:
    """Metadata accept any object as creation date."""
    date = datetime(2020, 1, 1, tzinfo=timezone.utc)
    meta = FeatureFlagStoreMeta(date)
    assert meta.created_date is date
    assert meta.to_dict()["created_date"] == date


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"client_data": None},
        {"client_data": {}},
        {"conditions": []},
        {"bucketer": None},
        {"more": 1},
    ],
)
def test_incomplete_metadata_can_be_read(fields: dict[str, Any]) -> None:
    """Metadata of other programs may lack fields, or have more."""
    read = FeatureFlagStoreMeta.from_dict({"created_date": 5, **fields})
    assert read.to_dict() == PLAIN


def test_metadata_without_a_date_cannot_be_read() -> None:
    """Metadata without a date, or with null as conditions, raise."""
    with pytest.raises(KeyError):
        FeatureFlagStoreMeta.from_dict({"client_data": {}})
    with pytest.raises(TypeError):
        FeatureFlagStoreMeta.from_dict({"created_date": 5, "conditions": None})


def test_update_with_none_changes_nothing() -> None:
    """`update` does not change fields for which it gets `None`."""
    bucketer = PercentageBucketer(Percentage(0.5))
    meta = FeatureFlagStoreMeta(5, {"a": 1}, [Condition(b=1)], bucketer)
    before = meta.to_dict()
    meta.update()
    meta.update(None, None, None, None)
    assert meta.to_dict() == before


def test_update_merges_client_data_and_replaces_the_rest() -> None:
    """`update` merges client data at the top level, and replaces other fields."""
    meta = FeatureFlagStoreMeta(5, {"a": 1, "deep": {"b": 2}}, [Condition(c=1)])
    condition = Condition(d=1)
    bucketer = PercentageBucketer(Percentage(0.5))
    meta.update(
        created_date=0,
        client_data={"deep": {"e": 3}, "f": None},
        conditions=[condition],
        bucketer=bucketer,
    )
    assert meta.created_date == 0
    assert meta.client_data == {"a": 1, "deep": {"e": 3}, "f": None}
    assert meta.conditions == [condition]
    assert meta.bucketer.percentage == 0.5
    meta.update(conditions=[])
    assert meta.conditions == []


def test_update_does_not_write_into_the_callers_dict() -> None:
    """`update` does not change the dict that the caller gave at first."""
    data = {"a": 1}
    meta = FeatureFlagStoreMeta(5, data)
    meta.update(client_data={"b": 2})
    assert meta.client_data == {"a": 1, "b": 2}
    assert data == {"a": 1}


# Items


def test_the_parts_of_an_item_can_be_read() -> None:
    """Name, state and metadata of an item can be read."""
    meta = FeatureFlagStoreMeta(5)
    item = FeatureFlagStoreItem("x", 1, meta)
    assert item.feature_name == "x"
    assert item.raw_is_enabled == 1
    assert type(item.raw_is_enabled) is int
    assert item.meta == PLAIN
    assert item.is_enabled() is True
    assert list(item.to_dict().items()) == [
        ("feature_name", "x"),
        ("is_enabled", 1),
        ("meta", PLAIN),
    ]


def test_raw_meta_is_a_copy() -> None:
    """`raw_meta` is a copy, whose changes do not change the item."""
    bucketer = PercentageBucketer(Percentage(0.5))
    item = FeatureFlagStoreItem("x", True, FeatureFlagStoreMeta(5, {"a": 1}))
    item = FeatureFlagStoreItem("x", True, item.raw_meta)
    record = item.raw_meta
    assert isinstance(record, FeatureFlagStoreMeta)
    assert record.to_dict() == item.meta
    record.update(client_data={"b": 2}, conditions=[Condition(c=1)], bucketer=bucketer)
    assert item.meta == {**PLAIN, "client_data": {"a": 1}}


def test_a_serialized_item_is_the_same_to_the_byte() -> None:
    """A serialized item has the same bytes as in flipper-client."""
    meta = FeatureFlagStoreMeta(1500000000, conditions=[Condition(a__gt=1)])
    assert FeatureFlagStoreItem("X", True, meta).serialize() == EXAMPLE.encode()


def test_a_serialized_item_is_ascii() -> None:
    """A serialized item is ASCII, with numbers as Python writes them."""
    meta = FeatureFlagStoreMeta(1, {"é": float("nan"), "t": (1,), "n": {2: None}})
    text = FeatureFlagStoreItem("旗", False, meta).serialize().decode("ascii")
    assert r'"feature_name": "\u65d7"' in text
    assert r'"client_data": {"\u00e9": NaN, "t": [1], "n": {"2": null}}' in text


@pytest.mark.parametrize("value", [{1}, b"x", object(), {(1,): 2}])
def test_what_json_cannot_express_cannot_be_stored(value: Any) -> None:
    """An item with a value that JSON cannot express cannot be serialized."""
    for meta in (
        FeatureFlagStoreMeta(1, {"a": value}),
        FeatureFlagStoreMeta(1, conditions=[Condition(a=value)]),
        FeatureFlagStoreMeta(value),
    ):
        with pytest.raises(TypeError):
            FeatureFlagStoreItem("x", True, meta).serialize()


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("ensure_ascii", [True, False])
@pytest.mark.parametrize(
    "kind", [str.encode, str, lambda text: memoryview(text.encode())]
)
def test_any_spacing_and_escapes_can_be_read(
    indent: int | None, ensure_ascii: bool, kind: Callable[[str], Any]
) -> None:
    """Documents can have any spacing and escapes, and be bytes or text."""
    stored = json.loads(EXAMPLE)
    stored["feature_name"] = "旗"
    text = json.dumps(stored, indent=indent, ensure_ascii=ensure_ascii)
    item = FeatureFlagStoreItem.deserialize(kind(text))
    assert item.feature_name == "旗"
    assert item.to_dict() == stored
    assert item.is_enabled(a=2) is True
    assert item.is_enabled(a=1) is False


def test_a_flag_survives_any_number_of_rewritings() -> None:
    """A flag of every kind stays the same, however often it is rewritten."""
    conditions = [
        Condition(a=1, a__gt=2, b__in=[1], c__d__ne=None, **{"": 1, "é__lt": 0.5}),
        Condition(),
        Condition(x__y__z=True),
    ]
    ramp = LinearRampPercentage(0.1, 0.9, 60, 1500000000)
    for bucketer in (
        NoOpBucketer(),
        PercentageBucketer(Percentage(1)),
        ConsistentHashPercentageBucketer(key_whitelist=["b", "a"], percentage=ramp),
    ):
        meta = FeatureFlagStoreMeta(1500000000, {"a": [1.0]}, conditions, bucketer)
        stored = FeatureFlagStoreItem("x", True, meta).serialize()
        again = stored
        for _ in range(3):
            again = FeatureFlagStoreItem.deserialize(again).serialize()
        assert again == stored


@pytest.mark.parametrize(
    ("stored", "error"),
    [
        (b"", json.JSONDecodeError),
        (b"not json", json.JSONDecodeError),
        (b"{", ValueError),
        (b"null", TypeError),
        (b"{}", KeyError),
        (b'{"is_enabled": true, "meta": {"created_date": 1}}', KeyError),
        (b'{"feature_name": "x", "meta": {"created_date": 1}}', KeyError),
        (b'{"feature_name": "x", "is_enabled": true}', KeyError),
        (b'{"feature_name": "x", "is_enabled": true, "meta": {}}', KeyError),
    ],
)
def test_a_broken_document_is_refused(stored: bytes, error: type[Exception]) -> None:
    """A broken document raises the exception of flipper-client, which is also ours."""
    with pytest.raises(error) as caught:
        FeatureFlagStoreItem.deserialize(stored)
    assert isinstance(caught.value, InvalidFlagDataError)
    assert isinstance(caught.value, ValueError)
    assert str(caught.value)


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"bucketer": {"type": "Nope"}}, BucketerFactory.InvalidBucketerTypeError),
        (
            {
                "bucketer": {
                    "type": "PercentageBucketer",
                    "percentage": {"type": "Nope"},
                }
            },
            PercentageFactory.InvalidPercentageTypeError,
        ),
        (
            {
                "conditions": [
                    {"a": [{"variable": "a", "value": 1, "operator": "nope"}]}
                ]
            },
            Operator.InvalidSymbolError,
        ),
    ],
)
def test_unknown_types_are_refused(
    more: dict[str, Any], error: type[Exception]
) -> None:
    """A flag with an unknown bucketer or operator raises."""
    stored = {"feature_name": "x", "is_enabled": True, "meta": {**PLAIN, **more}}
    with pytest.raises(error) as caught:
        FeatureFlagStoreItem.deserialize(json.dumps(stored).encode())
    assert isinstance(caught.value, InvalidFlagDataError)


def test_items_are_equal_if_they_are_the_same_object() -> None:
    """Two items are equal only if they are the same object."""
    one, other = (
        FeatureFlagStoreItem("x", True, FeatureFlagStoreMeta(1)) for _ in range(2)
    )
    assert one == one  # noqa: PLR0124 (identity is the rule)
    assert {one: 1}[one] == 1
    assert other is not one


def test_values_change_on_the_way_through_json() -> None:
    """A tuple is a list after it was stored, and stays a tuple in memory."""
    meta = FeatureFlagStoreMeta(1, conditions=[Condition(x=(1, 2))])
    item = FeatureFlagStoreItem("x", True, meta)
    assert item.is_enabled(x=(1, 2)) is True
    stored = FeatureFlagStoreItem.deserialize(item.serialize())
    assert stored.is_enabled(x=(1, 2)) is False
    assert stored.is_enabled(x=[1, 2]) is True


class Tuesday(AbstractBucketer):
    """A user's bucketer."""

    def check(self, **_: Any) -> bool:
        """Return false."""
        return False

    @classmethod
    def get_type(cls) -> str:
        """Return a type of its own."""
        return "Tuesday"

    @classmethod
    def from_dict(cls, _: dict[str, Any]) -> Tuesday:
        """Make an object of the class."""
        return cls()

    def to_dict(self) -> dict[str, Any]:
        """Return the type."""
        return super().to_dict()


def test_a_bucketer_that_is_not_registered_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The error names the type of an unregistered bucketer; registering it helps."""
    fields = {**PLAIN, "bucketer": {"type": "Tuesday"}}
    stored = json.dumps({"feature_name": "x", "is_enabled": True, "meta": fields})
    with pytest.raises(BucketerFactory.InvalidBucketerTypeError, match="Tuesday"):
        FeatureFlagStoreItem.deserialize(stored.encode())
    monkeypatch.setitem(BucketerFactory.BUCKETER_MAP, "Tuesday", Tuesday)
    item = FeatureFlagStoreItem.deserialize(stored.encode())
    assert item.is_enabled() is False
    assert item.serialize() == stored.encode()


# Stores in this process


def cached() -> CachedFeatureFlagStore:
    """Make a cache over a memory store."""
    return CachedFeatureFlagStore(MemoryFeatureFlagStore())


def replicated() -> ReplicatedFeatureFlagStore:
    """Make a primary with a replica."""
    return ReplicatedFeatureFlagStore(
        MemoryFeatureFlagStore(), MemoryFeatureFlagStore()
    )


def stacked() -> CachedFeatureFlagStore:
    """Make a cache over a primary with a replica."""
    return CachedFeatureFlagStore(replicated())


@pytest.fixture(params=[MemoryFeatureFlagStore, cached, replicated, stacked])
def store(request: pytest.FixtureRequest) -> Any:
    """Each of the stores that need no server, alone and stacked."""
    return request.param()


def test_create_returns_the_new_item(store: Any) -> None:
    """`create` returns the new item, whatever was there before."""
    before = int(time.time())
    item = store.create("x", is_enabled=True, client_data={"a": 1})
    assert item.feature_name == "x"
    assert item.raw_is_enabled is True
    assert item.meta["client_data"] == {"a": 1}
    assert type(item.meta["created_date"]) is int
    assert before <= item.meta["created_date"] <= time.time()
    store.set_meta("x", FeatureFlagStoreMeta(5, conditions=[Condition(a=1)]))
    again = store.create("x")
    assert again.raw_is_enabled is False
    assert again.meta["conditions"] == []
    assert again.meta["client_data"] == {}
    assert store.get("x").meta["created_date"] >= before


def test_get_returns_the_item_or_none(store: Any) -> None:
    """`get` returns the item, or `None` for a missing flag."""
    assert store.get("x") is None
    store.create("x", True)
    assert store.get("x").feature_name == "x"
    assert store.get("x").is_enabled() is True


def test_set_keeps_the_metadata(store: Any) -> None:
    """`set` changes the state and keeps the metadata."""
    store.create("x", client_data={"a": 1})
    store.set_meta("x", FeatureFlagStoreMeta(5, {"a": 1}, [Condition(b=1)]))
    assert store.set("x", True) is None
    item = store.get("x")
    assert item.raw_is_enabled is True
    assert item.meta["created_date"] == 5
    assert item.meta["client_data"] == {"a": 1}
    assert item.meta["conditions"] == [Condition(b=1).to_dict()]


def test_set_creates_a_missing_flag(store: Any) -> None:
    """`set` creates a missing flag, as `create` does."""
    assert store.set("x", True) is None
    assert store.get("x").raw_is_enabled is True
    assert store.get("x").meta["client_data"] == {}


def test_delete_removes_the_flag_and_may_be_repeated(store: Any) -> None:
    """`delete` removes a flag, and accepts a missing one."""
    store.create("x")
    assert store.delete("x") is None
    assert store.get("x") is None
    assert store.delete("x") is None


def test_set_meta_keeps_the_state(store: Any) -> None:
    """`set_meta` keeps the state and replaces all metadata."""
    store.create("x", is_enabled=True, client_data={"a": 1})
    meta = FeatureFlagStoreMeta(5, {"b": 2}, [Condition(c=1)], PercentageBucketer())
    assert store.set_meta("x", meta) is None
    item = store.get("x")
    assert item.raw_is_enabled is True
    assert item.meta == meta.to_dict()


def test_set_meta_checks_the_flag_before_the_metadata(store: Any) -> None:
    """`set_meta` of a missing flag raises, whatever the metadata is."""
    with pytest.raises(FlagDoesNotExistError) as caught:
        store.set_meta("x", {"client_data": {}})
    assert str(caught.value) == "Feature x does not exist"
    assert store.get("x") is None


def test_list_is_lazy_and_in_name_order(store: Any) -> None:
    """`list` is lazy, and in the order of code points."""
    for name in ("b", "a", "Z", "é", "team/c"):
        store.create(name)
    listing = store.list()
    assert isinstance(listing, Iterator)
    names = ["Z", "a", "b", "team/c", "é"]
    assert [item.feature_name for item in listing] == names
    assert [item.feature_name for item in store.list(limit=2)] == names[:2]
    assert [item.feature_name for item in store.list(offset=3)] == names[3:]
    assert [item.feature_name for item in store.list(limit=2, offset=1)] == names[1:3]
    assert [item.feature_name for item in store.list(2, 4)] == names[4:]
    assert list(store.list(limit=0)) == []
    assert list(store.list(offset=5)) == []
    assert len(list(store.list(limit=100))) == 5


def test_list_leaves_out_flags_that_were_deleted_meanwhile(store: Any) -> None:
    """`list` leaves out a flag that is deleted while the list is read."""
    for name in "abc":
        store.create(name)
    listing = store.list()
    next(listing)
    store.delete("b")
    assert [item.feature_name for item in listing] == ["c"]


def test_stores_do_not_share_containers_with_callers(store: Any) -> None:
    """Containers that a caller gives or gets are copies."""
    data: dict[str, Any] = {"a": [1]}
    meta = FeatureFlagStoreMeta(5, {"b": [1]}, [Condition(c=1)])
    store.create("x", client_data=data)
    store.create("y")
    store.set_meta("y", meta)
    store.create("z")
    store.set_meta("z", meta)
    data["a"].append(2)
    meta.client_data["b"].append(2)
    meta.conditions.append(Condition(d=1))
    meta.update(client_data={"e": 1})
    assert store.get("x").meta["client_data"] == {"a": [1]}
    for name in "yz":
        read = store.get(name).meta
        assert read["client_data"] == {"b": [1]}
        assert len(read["conditions"]) == 1
        read["client_data"]["b"].append(2)
        read["conditions"].clear()
    assert store.get("y").meta["client_data"] == {"b": [1]}
    assert len(store.get("z").meta["conditions"]) == 1


def test_the_memory_store_keeps_the_object() -> None:
    """The memory store returns the same item for an unchanged flag."""
    store = MemoryFeatureFlagStore()
    created = store.create("x")
    assert store.get("x") is created
    assert store.get("x") is store.get("x")


def test_stores_in_memory_keep_values_that_json_cannot() -> None:
    """Stores in memory keep any value, date and bucketer."""
    store = MemoryFeatureFlagStore()
    client = FeatureFlagClient(store)
    leaf = object()
    client.create("x", is_enabled=True, client_data={"a": [leaf]})
    assert client.get_client_data("x")["a"][0] is leaf
    date = datetime(2020, 1, 1, tzinfo=timezone.utc)
    store.set_meta("x", FeatureFlagStoreMeta(date, {"a": leaf}))
    assert client.get_meta("x")["created_date"] == date
    client.set_bucketer("x", Tuesday())
    assert client.is_enabled("x") is False
    client.disable("x")
    client.enable("x")
    assert client.is_enabled("x") is False
    assert client.get_meta("x")["bucketer"] == {"type": "Tuesday"}


def test_create_of_the_replicated_store_returns_the_item_of_the_primary() -> None:
    """`create` of the replicated store returns the primary's item."""
    primary = MemoryFeatureFlagStore()
    store = ReplicatedFeatureFlagStore(primary, MemoryFeatureFlagStore())
    item = store.create("x", is_enabled=True)
    assert item is not None
    assert item is primary.get("x")
    client = FeatureFlagClient(
        CachedFeatureFlagStore(
            ReplicatedFeatureFlagStore(
                MemoryFeatureFlagStore(), MemoryFeatureFlagStore()
            )
        )
    )
    client.create("x", is_enabled=True)
    assert client.is_enabled("x") is True
    client.enable("x")


def test_replicas_share_no_record_with_the_primary() -> None:
    """Primary and replica have metadata objects of their own."""
    stores = [MemoryFeatureFlagStore() for _ in range(3)]
    store = ReplicatedFeatureFlagStore(*stores, replication_timeout=30)
    store.create("x", asynch=False)
    store.set_meta("x", FeatureFlagStoreMeta(5, {"a": [1]}), asynch=False)
    FeatureFlagClient(stores[0]).set_client_data("x", {"b": 2})
    stores[0].get("x").meta["client_data"]["a"].append(2)
    assert stores[0].get("x").meta["client_data"] == {"a": [1], "b": 2}
    for replica in stores[1:]:
        assert replica.get("x").meta["client_data"] == {"a": [1]}


# Utilities


def test_now_is_a_whole_number_of_seconds() -> None:
    """`now` returns the Unix time in whole seconds."""
    before = int(time.time())
    assert type(now()) is int
    assert before <= now() <= time.time()


@pytest.mark.parametrize(
    ("elements", "size", "batches"),
    [
        ([], 3, []),
        ([1, 2], 3, [[1, 2]]),
        ([1, 2, 3], 3, [[1, 2, 3]]),
        ([1, 2, 3, 4], 3, [[1, 2, 3], [4]]),
        ("abc", 1, [["a"], ["b"], ["c"]]),
    ],
)
def test_batchify_returns_lists_of_the_given_size(
    elements: Any, size: int, batches: list[list[Any]]
) -> None:
    """`batchify` returns lists of consecutive elements; the last may be shorter."""
    assert list(batchify(elements, size)) == batches
    assert list(batchify(iter(elements), chunk_size=size)) == batches


def test_batchify_reads_one_batch_at_a_time() -> None:
    """`batchify` reads no more elements than it has returned."""
    source = iter(range(100))
    assert next(iter(batchify(source, 3))) == [0, 1, 2]
    assert next(source) <= 4
