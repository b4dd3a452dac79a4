# SPDX-License-Identifier: Apache-2.0
"""No short cut gives another answer, or goes round what somebody has replaced."""

from __future__ import annotations

import copy
import hashlib
import json
import pickle
import random
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock, PropertyMock, patch

import pytest

from flipper import CachedFeatureFlagStore, FeatureFlagClient, MemoryFeatureFlagStore
from flipper.bucketing import (
    ConsistentHashPercentageBucketer,
    Percentage,
    PercentageBucketer,
)
from flipper.conditions import Condition
from flipper.conditions.check import Check
from flipper.conditions.operators import Operator
from flipper.conditions.operators.operator import (
    EqualityOperator,
    GreaterThanOperator,
    SetMembershipOperator,
)
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.evaluation import Reason
from flipper.exceptions import InvalidFlagDataError

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.fixture
def store() -> MemoryFeatureFlagStore:
    """Give an empty store."""
    return MemoryFeatureFlagStore()


@pytest.fixture
def client(store: MemoryFeatureFlagStore) -> FeatureFlagClient:
    """Give a client whose flag `x` is on, and that was asked before."""
    client = FeatureFlagClient(store, on_error="raise")
    client.create("x", is_enabled=True)
    assert client.is_enabled("x") is True
    return client


def sticky(percentage: Any = 0.5) -> ConsistentHashPercentageBucketer:
    """Make a bucketer for users."""
    return ConsistentHashPercentageBucketer(
        key_whitelist=["user_id"], percentage=percentage
    )


def flag(*conditions: Any, bucketer: Any = None) -> FeatureFlagStoreItem:
    """Make a flag that is on."""
    meta = FeatureFlagStoreMeta(1, conditions=[*conditions], bucketer=bucketer)
    return FeatureFlagStoreItem("x", True, meta)


# Reading: the store's `get`


def test_get_may_be_replaced_in_the_store_at_any_time(
    client: FeatureFlagClient, store: MemoryFeatureFlagStore
) -> None:
    """It is called from then on, until it is put back."""
    other = FeatureFlagClient(store)
    store.get = get = MagicMock(return_value=None)  # type: ignore[method-assign]
    assert client.is_enabled("x") is False
    assert other.is_enabled("x") is False
    assert [call.args for call in get.call_args_list] == [("x",), ("x",)]
    assert FeatureFlagClient(store).is_enabled("x") is False
    del store.get  # type: ignore[method-assign]
    assert client.is_enabled("x") is True
    with patch.object(store, "get", return_value=None):
        assert client.is_enabled("x") is False
        assert client.explain("x").reason is Reason.MISSING
    assert client.is_enabled("x") is True


@pytest.mark.parametrize("stack", [lambda store: store, CachedFeatureFlagStore])
def test_get_may_be_replaced_in_the_class_at_any_time(
    store: MemoryFeatureFlagStore, stack: Any
) -> None:
    """The cache looks at it once, a client for every question."""
    store.create("x", is_enabled=True)
    client = FeatureFlagClient(stack(store))
    with patch.object(MemoryFeatureFlagStore, "get", return_value=None) as get:
        assert client.is_enabled("x") is False
        get.assert_called_once_with("x")
    fresh = FeatureFlagClient(stack(store))
    assert fresh.is_enabled("x") is True


def test_get_of_a_subclass_is_called() -> None:
    """With all that it calls."""

    class Loud(MemoryFeatureFlagStore):
        def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
            return super().get(feature_name.lower())

    class Silent(MemoryFeatureFlagStore):
        pass

    loud, silent = Loud(), Silent()
    for each in (loud, silent):
        each.create("x", is_enabled=True)
        client = FeatureFlagClient(each)
        assert client.is_enabled("x") is True
        assert client.is_enabled("X") is (each is loud)
    with patch.object(Silent, "get", return_value=None):
        assert client.is_enabled("x") is False
    assert client.is_enabled("x") is True


def test_a_store_that_is_copied_is_another_store(
    client: FeatureFlagClient, store: MemoryFeatureFlagStore
) -> None:
    """What one client reads is not what another writes."""
    other = copy.deepcopy(store)
    FeatureFlagClient(other).disable("x")
    assert client.is_enabled("x") is True
    assert FeatureFlagClient(other).is_enabled("x") is False


def test_flags_may_be_replaced_as_a_whole(
    client: FeatureFlagClient, store: MemoryFeatureFlagStore
) -> None:
    """A test that empties a store in its own way is believed."""
    store._items = {}
    assert client.is_enabled("x") is False
    client.create("x", is_enabled=True)
    assert client.is_enabled("x") is True


def test_a_client_that_cannot_be_hashed(store: MemoryFeatureFlagStore) -> None:
    """Clients are told apart by what they are, not by what they equal."""

    class Equal(FeatureFlagClient):
        def __eq__(self, other: object) -> bool:
            return isinstance(other, Equal)

        __hash__ = None  # type: ignore[assignment]

    clients = [Equal(store), Equal(store)]
    store.create("x", is_enabled=True)
    with patch.object(store, "get", return_value=None):
        assert [each.is_enabled("x") for each in clients] == [False, False]
    assert [each.is_enabled("x") for each in clients] == [True, True]


# Operators


@pytest.mark.parametrize(
    ("operator", "condition", "context"),
    [
        (EqualityOperator, Condition(a=1), {"a": 1}),
        (GreaterThanOperator, Condition(a__gt=1), {"a": 2}),
        (SetMembershipOperator, Condition(a__in=[*"abcdef"]), {"a": "f"}),
    ],
)
def test_compare_may_be_replaced_at_any_time(
    client: FeatureFlagClient, operator: Any, condition: Condition, context: Any
) -> None:
    """Also after the flag has been asked for, and until it is put back."""
    client.add_condition("x", condition)
    assert client.is_enabled("x", **context) is True
    assert condition.check(**context) is True
    with patch.object(operator, "compare", return_value=False) as compare:
        assert client.is_enabled("x", **context) is False
        assert condition.check(**context) is False
        assert client.explain("x", **context).check is not None
        assert compare.call_count == 3
    assert client.is_enabled("x", **context) is True
    assert condition.check(**context) is True
    assert compare.call_count == 3


def test_a_flag_first_asked_for_while_something_is_replaced(
    client: FeatureFlagClient,
) -> None:
    """What was found out meanwhile does not stay."""
    client.add_condition("x", Condition(a=1))
    with patch.object(EqualityOperator, "compare", return_value=False):
        assert client.is_enabled("x", a=1) is False
    assert client.is_enabled("x", a=1) is True
    with patch.object(EqualityOperator, "compare", return_value=False):
        assert client.is_enabled("x", a=1) is False


def test_operators_of_two_checks_are_two_objects() -> None:
    """What is replaced in one of them concerns one check alone."""
    one, other = (Check.factory("a__gt", 1) for _ in range(2))
    assert one.operator is one.operator
    assert one.operator is not other.operator
    one.operator.compare = lambda *_: False  # type: ignore[method-assign]
    assert one.check(2) is False
    assert other.check(2) is True
    assert Check.factory("a__gt", 1).check(2) is True


def test_an_operator_of_ones_own_takes_the_place_of_flippers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The map decides, not the symbol."""

    class Never(GreaterThanOperator):
        def compare(self, expected: Any, actual: Any) -> bool:
            del expected, actual
            return False

    monkeypatch.setitem(Operator.OPERATOR_MAP, "gt", Never)
    assert flag(Condition(a__gt=1)).is_enabled(a=2) is False


class Folded(str):
    """Text that is the same in capitals."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and self.lower() == other.lower()

    def __hash__(self) -> int:
        return hash(self.lower())


@pytest.mark.parametrize("negated", [False, True])
@pytest.mark.parametrize(
    "members",
    [
        [*"abcdef"],
        ("a", "b", "c", "d", "e"),
        [0, 1, 2, 3, 4, 10**30],
        [0, 1, 2, 3, "a"],
        [0.0, 1.0, 2.0, 3.0, float("nan")],
        [True, False, True, False, True],
        [[0], [1], [2], [3], [4]],
        "abcdef",
        {"a": 1, "b": 2},
        [Folded("A"), "b", "c", "d", "e"],
        [],
    ],
    ids=repr,
)
def test_membership_is_pythons_own(members: Any, negated: bool) -> None:
    """Whatever the value: also one that has no hash, or another equality."""
    condition = Condition(**{"a__not_in" if negated else "a__in": members})
    values: list[Any] = ["a", "A", "ab", "", Folded("A"), 0, 1, True, 1.0, -0.0, 4, 5]
    values += [10**30, None, [0], {}, float("nan"), b"a", (1,)]
    for value in values:
        try:
            expected: Any = (value not in members) if negated else (value in members)
        except TypeError:
            with pytest.raises(TypeError):
                condition.check(a=value)
        else:
            assert condition.check(a=value) is expected, value


# The order of the call


class Raises:
    """A value that cannot be compared."""

    def __eq__(self, other: object) -> bool:
        raise ArithmeticError(str(other))

    __hash__ = None  # type: ignore[assignment]


def in_the_order_of_the_call(
    condition: Condition, context: Mapping[str, Any]
) -> Check | None:
    """Return the check that says no first, by the plainest loop."""
    for name, value in context.items():
        for check in condition.own_checks:
            if check.variable == name and not check.check(value):
                return check
    return None


def outcome(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Return what comes out, or the error."""
    try:
        return function(*args, **kwargs)
    except Exception as error:  # noqa: BLE001
        return type(error), str(error)


@pytest.mark.parametrize("seed", range(40))
def test_the_order_of_the_call_decides(seed: int) -> None:
    """Which check is blamed, and whether an error comes out or an answer."""
    chance = random.Random(seed)  # noqa: S311
    suffixes = ["", "__ne", "__gt", "__lte", "__in"]
    for _ in range(50):
        checks = {
            chance.choice("abcd") + chance.choice(suffixes): chance.choice([1, 2, [1]])
            for _ in range(chance.randint(1, 5))
        }
        condition = Condition(**checks)
        names = chance.sample("abcdz", chance.randint(0, 5))
        context = {name: chance.choice([1, 2, None, Raises()]) for name in names}
        expected = outcome(in_the_order_of_the_call, condition, context)
        found = outcome(condition.check, **context)
        item = flag(condition)
        told = outcome(item.decide, context)
        if isinstance(expected, tuple):
            assert found == told == expected
            assert outcome(item.is_enabled, **context) == expected
        else:
            assert found is (expected is None)
            assert item.is_enabled(**context) is found
            assert told[0] is found
            assert found or told[1] is expected


# Bucketing


class Numbered(IntEnum):
    """Numbers with names."""

    ONE = 1


class Named(str, Enum):
    """Texts with names."""

    A = "a"


USERS = [
    *("a", "A", "", "é", "\ud800", '"\\\n', "1", "𝄞", Folded("A"), Folded("a")),
    *(0, 1, -1, 10**40, True, False, 1.0, 0.0, -0.0, 2.5, None, float("nan")),
    *(float("inf"), [1], (1,), {"b": 1, "a": 2}, Numbered.ONE, Named.A, "True"),
]


def by_the_book(value: Any) -> float:
    """Return the bucket of a user as it is documented."""
    text = json.dumps([("user_id", value)])
    digest = hashlib.sha1(text.encode()).hexdigest()  # noqa: S324  (no secret)
    return int(digest, 16) % 100 / 100


@pytest.mark.parametrize("seed", range(5))
def test_users_that_are_equal_may_have_different_buckets(seed: int) -> None:
    """1, 1.0 and True are one key of a dict, and three users; asked in any order."""
    users = [*USERS, *USERS]
    random.Random(seed).shuffle(users)  # noqa: S311
    item = flag(bucketer=sticky())
    for user in users:
        bucket = by_the_book(user)
        assert item.is_enabled(user_id=user) is (bucket <= 0.5), user
        assert item.decide({"user_id": user})[2] == bucket
        assert sticky().check(user_id=user) is (bucket <= 0.5)


@pytest.mark.parametrize(
    "percentage", [0, 0.0, 1, 0.28, 0.57, 0.58, True, False, -1, 2, float("nan")]
)
def test_every_bucket_is_compared_with_the_percentage_itself(percentage: Any) -> None:
    """Where 0 is nobody, although there is a bucket 0."""
    item = flag(bucketer=sticky(Percentage(percentage)))
    for number in range(300):
        expected = percentage != 0 and by_the_book(number) <= percentage
        assert item.is_enabled(user_id=number) is expected
    assert item.is_enabled() is (percentage != 0 and bool(percentage >= 0.32))


def test_what_cannot_be_hashed_raises(client: FeatureFlagClient) -> None:
    """It is no user whom the bucketer has seen."""
    client.set_bucketer("x", sticky())
    with pytest.raises(TypeError):
        client.is_enabled("x", user_id={1})
    client.set_bucketer("x", sticky(0))
    assert client.is_enabled("x", user_id={1}) is False


@pytest.mark.parametrize("bucketer", [sticky(), PercentageBucketer(1)])
def test_check_of_a_bucketer_may_be_replaced_at_any_time(
    client: FeatureFlagClient, bucketer: Any
) -> None:
    """In the object as in its class."""
    client.set_bucketer("x", bucketer)
    usual = client.is_enabled("x", user_id=1)
    for owner in (bucketer, type(bucketer)):
        with patch.object(owner, "check", return_value="mine") as check:
            assert client.is_enabled("x", user_id=1) == "mine"
            assert client.explain("x", user_id=1).enabled == "mine"
            assert check.call_args.kwargs == {"user_id": 1}
        assert client.is_enabled("x", user_id=1) is usual


def test_a_percentage_may_be_replaced_at_any_time(client: FeatureFlagClient) -> None:
    """Its value is a property, which a test can put another into."""
    client.set_bucketer("x", sticky(1))
    assert client.is_enabled("x", user_id=2) is True
    with patch.object(Percentage, "value", new_callable=PropertyMock) as value:
        value.return_value = 0
        assert client.is_enabled("x", user_id=2) is False
    assert client.is_enabled("x", user_id=2) is True


def test_classes_derived_from_flippers_decide_themselves() -> None:
    """A percentage, a bucketer, a condition, and an item."""

    class Nobody(Percentage):
        @property
        def value(self) -> Any:
            return 0

    class Everybody(ConsistentHashPercentageBucketer):
        def check(self, /, randomizer: Any = None, **kwargs: Any) -> bool:
            del randomizer, kwargs
            return True

    class Never(Condition):
        def check(self, /, **kwargs: Any) -> bool:
            del kwargs
            return False

    class Off(FeatureFlagStoreItem):
        def is_enabled(self, /, **kwargs: Any) -> bool:
            del kwargs
            return False

    assert flag(bucketer=sticky(Nobody())).is_enabled(user_id=1) is False
    everybody = Everybody(key_whitelist=["user_id"], percentage=0)
    assert flag(bucketer=everybody).is_enabled(user_id=1) is True
    assert flag(Never(a=1)).is_enabled(a=1) is False
    assert flag(Condition(a=1), Never()).is_enabled(a=1) is False
    store = MagicMock()
    store.get.return_value = Off("x", True, FeatureFlagStoreMeta(1))
    assert FeatureFlagClient(store).is_enabled("x") is False


# Items


def pickled(value: Any) -> Any:
    """Send a value through a pickle."""
    return pickle.loads(pickle.dumps(value))  # noqa: S301  (our own)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickled])
def test_what_was_asked_can_be_copied_and_pickled(copied: Any) -> None:
    """The function that decides is made anew."""
    condition = Condition(a=1, b__gt=2)
    item = flag(condition, bucketer=sticky())
    asked = [({"a": 1}, True), ({"a": 1, "b": 2}, False), ({"user_id": 2}, False)]
    for context, answer in asked:
        assert item.is_enabled(**context) is answer
    condition.check(a=1)
    again, other = copied(item), copied(condition)
    for context, answer in asked:
        assert again.is_enabled(**context) is answer
    assert other.check(a=1) is True
    assert other.check(a=2) is False
    assert (again.to_dict(), other.to_dict()) == (item.to_dict(), condition.to_dict())


class Noted(Condition):
    """A condition with an attribute in a slot of its own."""

    __slots__ = ("__note",)

    def __init__(self, note: str, **checks: Any) -> None:
        super().__init__(**checks)
        self.__note = note

    def note(self) -> str:
        """Return what was noted."""
        return self.__note


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickled])
def test_a_condition_of_ones_own_is_copied_with_all_it_has(copied: Any) -> None:
    """What a subclass keeps is its own affair."""
    again = copied(Noted("why", a=1))
    assert again.note() == "why"
    assert again.check(a=2) is False


def test_metadata_may_be_a_double() -> None:
    """It has the attributes of metadata, and nothing of it that decides."""
    meta = MagicMock(spec=FeatureFlagStoreMeta)
    meta.conditions = [Condition(a=1)]
    meta.bucketer = sticky(0)
    double = FeatureFlagStoreItem.__new__(FeatureFlagStoreItem)
    double._set_fields("x", True, meta)
    assert double.is_enabled(a=1) is True
    assert double.is_enabled(a=2) is False
    assert double.is_enabled() is False


def test_a_flag_that_is_switched_decides_as_before(client: FeatureFlagClient) -> None:
    """Its rules are the same, and off is off."""
    client.add_condition("x", Condition(a=1))
    for _ in range(2):
        assert client.is_enabled("x", a=1) is True
        assert client.is_enabled("x", a=2) is False
        client.disable("x")
        assert client.is_enabled("x", a=1) is False
        assert client.explain("x", a=1).reason is Reason.DISABLED
        client.enable("x")
    client.add_condition("x", Condition(b=1))
    assert client.is_enabled("x", a=1, b=2) is False


DATES = [0, 1, 1795395905, 10**15, 10**16, -1, 1.5, None, "today"]
NAMES = ["x", "", "feature one", "a.b/c:d", 'quo"te', "back\\slash", "tab\t", "é", "😀"]


@pytest.mark.parametrize("is_enabled", [True, False, None, 1])
@pytest.mark.parametrize("date", DATES)
@pytest.mark.parametrize("name", NAMES)
def test_bytes_and_text_give_the_same_flag(
    name: str, date: Any, is_enabled: Any
) -> None:
    """Bytes of a flag that is just on or off are read without parsing, text is not."""
    document = FeatureFlagStoreItem(
        name, is_enabled, FeatureFlagStoreMeta(date)
    ).serialize()
    raw = json.dumps(json.loads(document), ensure_ascii=False).encode()
    for variant in (document, raw, bytearray(document), memoryview(document)):
        item = FeatureFlagStoreItem.deserialize(variant)
        parsed = FeatureFlagStoreItem.deserialize(bytes(variant).decode())
        assert item.to_dict() == parsed.to_dict()
        assert (item.feature_name, item.raw_is_enabled) == (name, is_enabled)
        assert item.raw_meta.created_date == date
        assert type(item.raw_is_enabled) is type(parsed.raw_is_enabled)
        assert item.is_enabled(user_id=1) is parsed.is_enabled(user_id=1)
        assert item.with_state(True).is_enabled() is True


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"true", b"True"),
        (b"true", b"nul"),
        (b"17", b"017"),
        (b"17", b"1_7"),
        (b"17", b""),
        (b"NoOpBucketer", b"NoOpBucketers"),
        (b'"x"', b'"\xff"'),
        (b'"x"', b'"\n"'),
        (b'"x"', b'"\\q"'),
        (b"}}}", b"}}}x"),
        (b"}}}", b"}}"),
    ],
)
def test_bytes_are_no_flag_where_text_is_none(old: bytes, new: bytes) -> None:
    """What is nearly such a flag is parsed, and refused as ever."""
    document = FeatureFlagStoreItem("x", True, FeatureFlagStoreMeta(17)).serialize()
    assert old in document
    for broken in (document.replace(old, new), document.replace(old, new, 1)):
        with pytest.raises(InvalidFlagDataError):
            FeatureFlagStoreItem.deserialize(broken)


def test_containers_are_made_when_somebody_asks_for_them() -> None:
    """What is put into them stays, and is no other flag's."""
    meta, other = FeatureFlagStoreMeta(1), FeatureFlagStoreMeta(1)
    meta.client_data["a"] = 1
    meta.conditions.append(Condition(a=1))
    assert meta.client_data == {"a": 1}
    assert len(meta.copy().conditions) == 1
    assert (other.client_data, other.conditions) == ({}, [])
    for copied in (
        copy.copy(meta),
        copy.deepcopy(meta),
        pickle.loads(pickle.dumps(meta)),  # noqa: S301
    ):
        assert copied.to_dict() == meta.to_dict()
