# SPDX-License-Identifier: Apache-2.0
"""How flags become Thrift's structs, and structs become flags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest

from flipper import (
    Condition,
    FeatureFlagClient,
    MemoryFeatureFlagStore,
    ThriftRPCFeatureFlagStore,
)
from flipper.bucketing.base import AbstractBucketer
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.contrib.thrift.structs import item_to_struct
from flipper.exceptions import (
    InvalidArgumentError,
    InvalidFlagDataError,
)
from flipper_thrift.python.feature_flag_store import ttypes
from support.thrift_structs import (
    BROKEN,
    METAS,
    check,
    store_answering,
    struct,
)

if TYPE_CHECKING:
    from support.thrift_service import Service

pytestmark = pytest.mark.thrift


# From flags to structs


def test_a_state_that_is_no_boolean_is_refused() -> None:
    """A state such as "off", which Thrift would send as true, is refused."""
    client = Mock()
    store = ThriftRPCFeatureFlagStore(client)
    with pytest.raises(InvalidArgumentError, match="'off' of feature 'f'"):
        store.create("f", is_enabled="off")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="'off' of feature 'f'"):
        store.set("f", "off")  # type: ignore[arg-type]
    item = FeatureFlagStoreItem("f", "off", FeatureFlagStoreMeta(1))
    with pytest.raises(InvalidArgumentError, match="'off' of feature 'f'"):
        item_to_struct(item, ttypes)
    assert not client.mock_calls


class UnregisteredBucketer(AbstractBucketer):
    """A bucketer that nobody has registered."""

    def check(self, **_: Any) -> bool:
        """Return true."""
        return True

    @classmethod
    def get_type(cls) -> str:
        """Return the name."""
        return super().get_type()

    def to_dict(self) -> dict[str, Any]:
        """Return the type."""
        return super().to_dict()

    @classmethod
    def from_dict(cls, fields: Any) -> UnregisteredBucketer:
        """Make a bucketer."""
        return cls(**fields)


@pytest.mark.parametrize(
    "meta",
    [
        FeatureFlagStoreMeta("today"),
        FeatureFlagStoreMeta(1.5),
        FeatureFlagStoreMeta(2**63),
        FeatureFlagStoreMeta(5, client_data={"a": {1, 2}}),
        FeatureFlagStoreMeta(5, conditions=[Condition(a=object())]),
        FeatureFlagStoreMeta(5, conditions=[Condition(**{"\ud800": 1})]),
        FeatureFlagStoreMeta(5, bucketer=UnregisteredBucketer()),
    ],
)
def test_metadata_that_cannot_be_sent_is_refused(
    store: ThriftRPCFeatureFlagStore, service: Service, meta: FeatureFlagStoreMeta
) -> None:
    """Metadata that Thrift cannot express raises, and leaves the connection usable."""
    store.create("f", is_enabled=True)
    with pytest.raises(InvalidArgumentError) as raised:
        store.set_meta("f", meta)
    assert raised.value.feature_name == "f"
    assert store.get("f").raw_is_enabled is True  # type: ignore[union-attr]
    assert service.connections == 1


@pytest.mark.parametrize("name", [None, 5, b"f", "\ud800"])
def test_a_name_that_cannot_be_sent_is_refused(
    store: ThriftRPCFeatureFlagStore, service: Service, name: Any
) -> None:
    """A name that Thrift cannot express raises, and leaves the connection usable."""
    store.create("f")
    meta = FeatureFlagStoreMeta(5)
    for call in (
        lambda: store.create(name),
        lambda: store.get(name),
        lambda: store.set(name, True),
        lambda: store.delete(name),
        lambda: store.set_meta(name, meta),
    ):
        with pytest.raises(InvalidArgumentError):
            call()
    assert store.get("f") is not None
    assert service.connections == 1


@pytest.mark.parametrize("name", ["f", "Größe/🐎 %s\n", "n" * 1000])
def test_flags_survive_the_way_to_the_server_and_back(
    store: ThriftRPCFeatureFlagStore, memory: MemoryFeatureFlagStore, name: str
) -> None:
    """Every kind of metadata reaches the server, and comes back, unchanged."""
    store.create(name, is_enabled=True, client_data={"ä": [1]})
    for meta in METAS:
        store.set_meta(name, meta)
        for reader in (store, memory):
            item = reader.get(name)
            assert item is not None
            assert item.feature_name == name
            assert item.raw_is_enabled is True
            assert item.meta == meta.to_dict()
    assert [item.feature_name for item in store.list()] == [name]


# From structs to flags


@pytest.mark.parametrize("state", ["false", "no", 2, [False], float("nan")])
def test_an_answer_whose_state_is_no_boolean_is_refused(state: Any) -> None:
    """An answer of a test double whose state is no boolean is no flag."""
    answer = struct()
    answer.is_enabled = state
    store = ThriftRPCFeatureFlagStore(Mock(**{"Get.return_value": answer}))
    with pytest.raises(InvalidFlagDataError, match="its state is"):
        store.get("f")
    assert FeatureFlagClient(store).is_enabled("f") is False


def test_every_check_becomes_a_condition_of_its_own() -> None:
    """Each check of a struct becomes a condition, as in flipper-client."""
    conditions = [
        {"a": [check("a", "1"), check("a", "2", "ne")], "b": [check("b", "[3]", "in")]},
        {"c": [check("c", '"x"', None)]},
        {"d": []},
    ]
    item = store_answering(struct(conditions=conditions)).get("f")
    assert item is not None
    assert item.meta["conditions"] == [
        {"a": [{"variable": "a", "value": 1, "operator": None}]},
        {"a": [{"variable": "a", "value": 2, "operator": "ne"}]},
        {"b": [{"variable": "b", "value": [3], "operator": "in"}]},
        {"c": [{"variable": "c", "value": "x", "operator": None}]},
    ]


@pytest.mark.parametrize(
    "absent",
    [
        struct(created_date=None),
        struct(client_data=""),
        struct(client_data="null", conditions=[], bucketer="null"),
        struct(bucketer=""),
        ttypes.FeatureFlagStoreItem("f", True),
        ttypes.FeatureFlagStoreItem(None, True, ttypes.FeatureFlagStoreMeta()),
    ],
)
def test_an_absent_or_empty_field_has_a_default(absent: Any) -> None:
    """A field that a server leaves out, or sends empty, has its default."""
    item = store_answering(absent).get("f")
    assert item is not None
    assert item.feature_name == "f"
    assert item.is_enabled() is True
    assert item.meta["client_data"] == {}
    assert item.meta["conditions"] == []
    assert item.meta["bucketer"] == {"type": "NoOpBucketer"}


def test_a_check_without_operator_compares_for_equality() -> None:
    """A check without operator and variable compares the key of its list."""
    bare = ttypes.ConditionCheck(None, "1", None)
    item = store_answering(struct(conditions=[{"a": [bare]}])).get("f")
    assert item is not None
    assert (item.is_enabled(a=1), item.is_enabled(a=2)) == (True, False)


def test_a_flag_without_a_state_is_off() -> None:
    """A struct without a state is a flag that is off."""
    item = store_answering(ttypes.FeatureFlagStoreItem("f")).get("f")
    assert item is not None
    assert item.raw_is_enabled is False
    assert item.is_enabled() is False


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_answer_is_never_on(broken: Any) -> None:
    """A broken answer gives the caller's default, and raises elsewhere."""
    store = store_answering(broken)
    client = FeatureFlagClient(store)
    assert client.is_enabled("f") is False
    assert client.is_enabled("f", default="mine") == "mine"
    with pytest.raises(InvalidFlagDataError) as raised:
        client.get_meta("f")
    assert raised.value.feature_name == "f"
