# SPDX-License-Identifier: Apache-2.0
"""Classes that users have written for flipper-client still work.

Stores of six methods, subclasses of the built-in ones, items, bucketers, operators and
emitters of their own.
"""

from __future__ import annotations

import inspect
import threading
from typing import TYPE_CHECKING, Any

import pytest
from own_stores import DuckStore, SubclassStore

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
    Percentage,
    PercentageBucketer,
    PercentageFactory,
)
from flipper.bucketing.base import AbstractBucketer
from flipper.bucketing.percentage import AbstractPercentage
from flipper.conditions.operators import Operator
from flipper.conditions.operators.interface import AbstractOperator
from flipper.contrib.interface import AbstractFeatureFlagStore
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.events import EventType

if TYPE_CHECKING:
    from collections.abc import Callable


# Stores of six methods


class UpdatingStore(SubclassStore):
    """A store with an `update` of its own, which has nothing to do with flags."""

    def update(self) -> None:
        """Fetch a newer version of this program."""
        pytest.fail("the library has no business with this method")

    copy = pop = swap = watch = explain = update


class CachingDuckStore(DuckStore):
    """A store that returns the same item objects again."""

    _load = _swap = _remove = _scan = None


@pytest.fixture(params=[DuckStore, SubclassStore, UpdatingStore, CachingDuckStore])
def own(request: pytest.FixtureRequest) -> Any:
    """Each of the stores, empty."""
    return request.param()


def test_the_client_works_with_a_users_store(own: Any) -> None:
    """Every method of the client works with the six methods of a user's store."""
    client = FeatureFlagClient(own)
    flag = client.create("x", is_enabled=True, client_data={"a": 1})
    client.create("y")
    flag.add_condition(Condition(is_admin=True))
    flag.add_condition(Condition(age__gte=18))
    flag.set_client_data({"b": 2})
    assert flag.is_enabled(is_admin=True, age=18) is True
    assert flag.is_enabled(is_admin=True, age=17) is False
    assert flag.get_client_data() == {"a": 1, "b": 2}
    flag.set_conditions([])
    flag.set_bucketer(PercentageBucketer(Percentage(0)))
    assert flag.is_enabled() is False
    assert flag.get_meta() == {
        "client_data": {"a": 1, "b": 2},
        "created_date": 1500000000,
        "conditions": [],
        "bucketer": PercentageBucketer(Percentage(0)).to_dict(),
    }
    flag.disable()
    flag.enable()
    assert [each.name for each in client.list()] == ["x", "y"]
    assert [each.name for each in client.list(limit=1, offset=1)] == ["y"]
    flag.destroy()
    assert client.exists("x") is False
    with pytest.raises(FlagDoesNotExistError):
        flag.enable()


def test_each_write_is_one_call_of_the_store(own: Any) -> None:
    """Each write of the client is exactly one call of the store's writing methods."""
    client = FeatureFlagClient(own)
    client.create("x", client_data={"a": 1})
    client.enable("x")
    client.add_condition("x", Condition(b=1))
    client.destroy("x")
    assert [call[0] for call in own.calls] == ["create", "set", "set_meta", "delete"]
    assert own.calls[0] == (
        "create",
        "x",
        {"is_enabled": False, "client_data": {"a": 1}},
    )
    assert own.calls[1] == ("set", "x", True)
    assert own.calls[2][1] == "x"
    assert isinstance(own.calls[2][2], FeatureFlagStoreMeta)
    assert own.calls[3] == ("delete", "x")


@pytest.mark.parametrize(
    "stack",
    [
        CachedFeatureFlagStore,
        lambda store: ReplicatedFeatureFlagStore(store, MemoryFeatureFlagStore()),
        lambda store: CachedFeatureFlagStore(
            ReplicatedFeatureFlagStore(store, DuckStore())
        ),
    ],
)
def test_a_users_store_can_be_wrapped(own: Any, stack: Callable[[Any], Any]) -> None:
    """A user's store can be cached and replicated."""
    client = FeatureFlagClient(stack(own))
    client.create("x", client_data={"a": 1})
    client.enable("x")
    client.add_condition("x", Condition(b=1))
    client.set_client_data("x", {"c": 2})
    assert client.is_enabled("x", b=1) is True
    assert client.is_enabled("x", b=2) is False
    assert client.get_client_data("x") == {"a": 1, "c": 2}
    stored = FeatureFlagStoreItem.deserialize(own.rows["x"])
    assert stored.meta == client.get_meta("x")
    client.destroy("x")
    assert client.exists("x") is False
    assert own.rows == {}


def test_a_users_store_can_be_a_replica(own: Any) -> None:
    """A user's store can be a replica."""
    store = ReplicatedFeatureFlagStore(
        MemoryFeatureFlagStore(), own, replication_timeout=30
    )
    store.create("x", client_data={"a": 1}, asynch=False)
    store.set("x", True, asynch=False)
    store.set_meta("x", FeatureFlagStoreMeta(5, {"b": 2}), asynch=False)
    stored = FeatureFlagStoreItem.deserialize(own.rows["x"])
    assert stored.is_enabled() is True
    assert stored.meta["client_data"] == {"b": 2}
    store.delete("x", asynch=False)
    assert own.rows == {}


def test_concurrent_writes_to_a_users_store_are_all_kept(own: Any) -> None:
    """Conditions that threads add with one client to a user's store are all kept."""
    client = FeatureFlagClient(own)
    client.create("x", is_enabled=True)
    start = threading.Barrier(4)

    def add(number: int) -> None:
        start.wait()
        for step in range(10):
            client.add_condition("x", Condition(**{f"v{number}_{step}": 1}))

    threads = [threading.Thread(target=add, args=(each,)) for each in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(client.get_meta("x")["conditions"]) == 40


def test_the_six_methods_are_enough() -> None:
    """A subclass of the interface needs exactly the six methods."""
    methods = ["create", "get", "set", "delete", "list", "set_meta"]
    whole = {name: vars(DuckStore)[name] for name in methods}
    assert type("Whole", (AbstractFeatureFlagStore,), whole)()
    for name in methods:
        part = {each: whole[each] for each in methods if each != name}
        with pytest.raises(TypeError):
            type("Part", (AbstractFeatureFlagStore,), part)()


def test_a_subclass_may_call_the_constructor_of_the_interface() -> None:
    """A subclass may call `super().__init__()`, and need not."""

    class Mine(SubclassStore):
        def __init__(self) -> None:
            AbstractFeatureFlagStore.__init__(self)
            super().__init__()

    assert FeatureFlagClient(Mine()).create("x").exists() is True


# Subclasses of the built-in stores


class RecordingStore(MemoryFeatureFlagStore):
    """Records the calls of the methods that it overrides."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[Any] = []

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Record the call, and read."""
        self.noted.append("get")
        return super().get(feature_name)

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Record the call, and write."""
        self.noted.append(("set", feature_name, is_enabled))
        super().set(feature_name, is_enabled)

    def set_meta(self, feature_name: str, meta: FeatureFlagStoreMeta) -> None:
        """Record the call, and write."""
        self.noted.append(("set_meta", feature_name, type(meta)))
        super().set_meta(feature_name, meta)

    def create(self, *args: Any, **kwargs: Any) -> FeatureFlagStoreItem:
        """Record the call, and write."""
        self.noted.append(("create", args, kwargs))
        return super().create(*args, **kwargs)

    def delete(self, feature_name: str) -> None:
        """Record the call, and write."""
        self.noted.append(("delete", feature_name))
        super().delete(feature_name)


@pytest.mark.parametrize("stack", [lambda store: store, CachedFeatureFlagStore])
def test_overrides_of_a_built_in_store_are_called(stack: Callable[[Any], Any]) -> None:
    """The client calls methods that a subclass overrides, also behind a cache."""
    store = RecordingStore()
    client = FeatureFlagClient(stack(store))
    client.create("x")
    client.enable("x")
    client.add_condition("x", Condition(a=1))
    client.set_conditions("x", [Condition(a=1)])
    client.set_client_data("x", {"a": 1})
    client.set_bucketer("x", PercentageBucketer(Percentage(1)))
    client.disable("x")
    client.destroy("x")
    writes = [each for each in store.noted if each != "get"]
    assert writes == [
        ("create", ("x",), {"is_enabled": False, "client_data": None}),
        ("set", "x", True),
        *[("set_meta", "x", FeatureFlagStoreMeta)] * 4,
        ("set", "x", False),
        ("delete", "x"),
    ]


def test_an_overridden_get_decides_which_flags_exist() -> None:
    """A subclass whose `get` hides a flag hides it from writes, too."""

    class Hiding(MemoryFeatureFlagStore):
        hidden: str | None = None

        def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
            return None if feature_name == self.hidden else super().get(feature_name)

    store = Hiding()
    client = FeatureFlagClient(store)
    client.create("x", is_enabled=True)
    store.hidden = "x"
    assert client.is_enabled("x") is False
    assert client.exists("x") is False
    with pytest.raises(FlagDoesNotExistError):
        client.add_condition("x", Condition(a=1))


def test_an_overridden_set_meta_decides_what_is_written() -> None:
    """A subclass whose `set_meta` adds to the metadata does so for every write."""

    class Stamping(MemoryFeatureFlagStore):
        def set_meta(self, feature_name: str, meta: FeatureFlagStoreMeta) -> None:
            meta.update(client_data={"stamped": True})
            super().set_meta(feature_name, meta)

    client = FeatureFlagClient(Stamping())
    client.create("x")
    client.add_condition("x", Condition(a=1))
    assert client.get_client_data("x") == {"stamped": True}
    assert client.get_meta("x")["conditions"] == [Condition(a=1).to_dict()]


# Items, bucketers, percentages, operators


class InvertedItem(FeatureFlagStoreItem):
    """An item with an answer of its own."""

    def is_enabled(self, **kwargs: Any) -> Any:
        """Return the opposite, and the arguments."""
        return not self.raw_is_enabled, kwargs


def test_the_client_calls_is_enabled_of_a_users_item() -> None:
    """The client returns what `is_enabled` of a user's item returns."""

    class Store(SubclassStore):
        def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
            item = super().get(feature_name)
            if item is None:
                return None
            meta = FeatureFlagStoreMeta.from_dict(item.meta)
            return InvertedItem(item.feature_name, item.raw_is_enabled, meta)

    for store in (Store(), CachedFeatureFlagStore(Store())):
        client = FeatureFlagClient(store)
        client.create("x")
        store.get("x")
        answer = FeatureFlagClient(store).is_enabled("x", a=1)
        if isinstance(store, Store):
            assert answer == (True, {"a": 1})
        client.enable("x")
        assert client.is_enabled("x", a=1) == (False, {"a": 1})
        assert client.get("x").is_enabled() == (False, {})


class Weekday(AbstractBucketer):
    """A user's bucketer, with a state."""

    def __init__(self, days: list[int]) -> None:
        self.days = days

    def check(self, **kwargs: Any) -> bool:
        """Return whether the day is one of them."""
        return kwargs.get("day") in self.days

    @classmethod
    def get_type(cls) -> str:
        """Return the name of the class."""
        return cls.__name__

    def to_dict(self) -> dict[str, Any]:
        """Add the days."""
        return {**super().to_dict(), "days": self.days}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Weekday:
        """Read the days."""
        return cls(fields["days"])


def test_an_unregistered_bucketer_works_in_memory() -> None:
    """A user's bucketer works in the memory store without being registered."""
    client = FeatureFlagClient(MemoryFeatureFlagStore())
    client.create("x")
    client.set_bucketer("x", Weekday([1, 2]))
    client.enable("x")
    client.set_client_data("x", {"a": 1})
    client.add_condition("x", Condition(is_admin=True))
    assert client.is_enabled("x", day=1) is True
    assert client.is_enabled("x", day=3) is False
    assert client.is_enabled("x", day=3, is_admin=True) is True
    assert client.get_meta("x")["bucketer"] == {
        "type": "Weekday",
        "days": [1, 2],
    }


def test_a_registered_bucketer_survives_serialization(
    own: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registered bucketer can be stored as a document."""
    monkeypatch.setitem(BucketerFactory.BUCKETER_MAP, "Weekday", Weekday)
    client = FeatureFlagClient(own)
    client.create("x", is_enabled=True)
    client.set_bucketer("x", Weekday([1, 2]))
    client.set_client_data("x", {"a": 1})
    assert client.is_enabled("x", day=1) is True
    assert client.is_enabled("x", day=3) is False
    stored = FeatureFlagStoreItem.deserialize(own.rows["x"])
    assert stored.meta["bucketer"] == {"type": "Weekday", "days": [1, 2]}


def test_a_bucketer_need_not_be_a_subclass() -> None:
    """The memory store accepts every object with the three methods as bucketer."""

    class Duck:
        def check(self, **kwargs: Any) -> Any:
            return kwargs

        def get_type(self) -> str:
            return "Duck"

        def to_dict(self) -> dict[str, Any]:
            return {"type": "Duck"}

    client = FeatureFlagClient(MemoryFeatureFlagStore())
    client.create("x", is_enabled=True)
    client.set_bucketer("x", Duck())
    assert client.is_enabled("x", a=1) == {"a": 1}
    assert client.get_meta("x")["bucketer"] == {"type": "Duck"}


class Tenth(AbstractPercentage):
    """A user's percentage."""

    @property
    def value(self) -> float:
        """Return a tenth."""
        return 0.1

    @classmethod
    def get_type(cls) -> str:
        """Return the name of the class."""
        return cls.__name__

    def to_dict(self) -> dict[str, Any]:
        """Return the type."""
        return super().to_dict()

    @classmethod
    def from_dict(cls, _: dict[str, Any]) -> Tenth:
        """Make an object of the class."""
        return cls()


def test_a_users_percentage_can_be_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's percentage compares like the built-in ones, and can be stored."""
    assert Tenth() < 0.2
    assert Tenth() >= 0.1
    assert Tenth() == 0.1
    assert Percentage(0.1) == Tenth()
    bucketer = PercentageBucketer(Tenth())
    assert bucketer.percentage == 0.1
    assert bucketer.check(randomizer=lambda: 0.1) is True
    assert bucketer.check(randomizer=lambda: 0.2) is False
    monkeypatch.setitem(PercentageFactory.PERCENTAGE_MAP, "Tenth", Tenth)
    client = FeatureFlagClient(SubclassStore())
    client.create("x", is_enabled=True)
    client.set_bucketer("x", bucketer)
    assert client.get_meta("x")["bucketer"] == bucketer.to_dict()


class StartsWithOperator(AbstractOperator):
    """A user's operator."""

    SYMBOL = "starts"

    def compare(self, expected: Any, actual: Any) -> bool:
        """Compare the argument with the value of the condition."""
        return expected.startswith(actual)


def test_a_users_operator_can_be_registered(
    own: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator that is added to the map works in conditions, and can be stored."""
    with pytest.raises(Operator.InvalidSymbolError):
        Condition(name__starts="A")
    monkeypatch.setitem(Operator.OPERATOR_MAP, "starts", StartsWithOperator)
    condition = Condition(name__starts="A", first__name__starts="B")
    assert condition.check(name="Anna") is True
    assert condition.check(name="Bert") is False
    assert condition.check(first__name="Bert") is True
    client = FeatureFlagClient(own)
    client.create("x", is_enabled=True)
    client.add_condition("x", condition)
    assert client.is_enabled("x", name="Anna") is True
    assert client.is_enabled("x", name="Bert") is False
    assert client.get_meta("x")["conditions"] == [condition.to_dict()]


def test_an_operator_may_be_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator in the map is used, also for built-in symbols."""

    class Never(AbstractOperator):
        SYMBOL = "gt"

        def compare(self, expected: Any, actual: Any) -> bool:
            assert (expected, actual) == (2, 1)
            return False

    assert Condition(a__gt=1).check(a=2) is True
    monkeypatch.setitem(Operator.OPERATOR_MAP, "gt", Never)
    assert Condition(a__gt=1).check(a=2) is False


# Emitters, clients, flags


def test_an_emitter_with_nothing_but_emit(own: Any) -> None:
    """An emitter that has only `emit` gets all events, before and after the write."""

    class Mine:
        def __init__(self, store: Any) -> None:
            self.store = store
            self.recorded: list[Any] = []

        def emit(self, event: EventType, *args: Any, **kwargs: Any) -> None:
            self.recorded.append((event.name, len(self.store.calls), args, kwargs))

    client = FeatureFlagClient(own)
    client.events = Mine(own)
    client.create("x")
    client.get("x").enable()
    assert client.events.recorded == [
        ("PRE_CREATE", 0, ("x",), {"is_enabled": False, "client_data": None}),
        ("POST_CREATE", 1, ("x",), {"is_enabled": False, "client_data": None}),
        ("PRE_ENABLE", 1, ("x",), {}),
        ("POST_ENABLE", 2, ("x",), {}),
    ]


def test_flag_objects_call_methods_of_a_subclassed_client() -> None:
    """Flag objects call the methods that a subclass of the client overrides."""

    class Loud(FeatureFlagClient):
        def enable(self, feature_name: str) -> None:
            super().enable(feature_name.upper())

    client = Loud(MemoryFeatureFlagStore())
    client.create("X")
    client.get("x").enable()
    assert client.is_enabled("X") is True


def test_a_client_may_have_a_constructor_of_its_own() -> None:
    """A subclass of the client may have a constructor with other parameters."""

    class Mine(FeatureFlagClient):
        def __init__(self, store: Any, prefix: str) -> None:
            super().__init__(store)
            self.prefix = prefix

    client = Mine(MemoryFeatureFlagStore(), "p")
    assert client.create("x").exists() is True
    assert client.events.emit(EventType.PRE_CREATE) is False
    assert list(inspect.signature(Mine).parameters) == ["store", "prefix"]
