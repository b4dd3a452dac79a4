# SPDX-License-Identifier: Apache-2.0
"""Compiled rules give the same answers as the methods that they bypass.

That holds also while somebody has replaced such a method.
"""

from __future__ import annotations

import hashlib
import json
import random
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock, PropertyMock, patch

import pytest

from flipper import FeatureFlagClient, MemoryFeatureFlagStore
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
from support.flag_builders import consistent, make_item

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.fixture
def store() -> MemoryFeatureFlagStore:
    """Return an empty store."""
    return MemoryFeatureFlagStore()


@pytest.fixture
def client(store: MemoryFeatureFlagStore) -> FeatureFlagClient:
    """Return a client whose flag `x` is on, and was read before."""
    client = FeatureFlagClient(store, on_error="raise")
    client.create("x", is_enabled=True)
    assert client.is_enabled("x") is True
    return client


# Operators


@pytest.mark.parametrize(
    ("operator", "condition", "context"),
    [
        (EqualityOperator, Condition(a=1), {"a": 1}),
        (GreaterThanOperator, Condition(a__gt=1), {"a": 2}),
        (SetMembershipOperator, Condition(a__in=[*"abcdef"]), {"a": "f"}),
    ],
)
def test_a_replaced_compare_is_called_until_it_is_put_back(
    client: FeatureFlagClient, operator: Any, condition: Condition, context: Any
) -> None:
    """A compiled rule calls it, even if it was compiled before the replacement."""
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


def test_a_rule_compiled_during_a_replacement_is_right_afterwards(
    client: FeatureFlagClient,
) -> None:
    """A rule that is first used during a replacement does not keep it."""
    client.add_condition("x", Condition(a=1))
    with patch.object(EqualityOperator, "compare", return_value=False):
        assert client.is_enabled("x", a=1) is False
    assert client.is_enabled("x", a=1) is True
    with patch.object(EqualityOperator, "compare", return_value=False):
        assert client.is_enabled("x", a=1) is False


def test_each_check_has_an_operator_of_its_own() -> None:
    """A replaced method of one operator object concerns one check only."""
    one, other = (Check.factory("a__gt", 1) for _ in range(2))
    assert one.operator is one.operator
    assert one.operator is not other.operator
    one.operator.compare = lambda *_: False  # type: ignore[method-assign]
    assert one.check(2) is False
    assert other.check(2) is True
    assert Check.factory("a__gt", 1).check(2) is True


def test_an_operator_in_the_operator_map_replaces_the_original(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A class that a test puts into `OPERATOR_MAP` is used."""

    class Never(GreaterThanOperator):
        def compare(self, expected: Any, actual: Any) -> bool:
            del expected, actual
            return False

    monkeypatch.setitem(Operator.OPERATOR_MAP, "gt", Never)
    assert make_item(Condition(a__gt=1)).is_enabled(a=2) is False


class CaseInsensitive(str):
    """Text that is equal in upper and lower case."""

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
        [CaseInsensitive("A"), "b", "c", "d", "e"],
        [],
    ],
    ids=repr,
)
def test_membership_is_the_same_as_in_python(members: Any, negated: bool) -> None:
    """It is so for values of any kind, with or without a hash."""
    condition = Condition(**{"a__not_in" if negated else "a__in": members})
    values: list[Any] = [
        "a",
        "A",
        "ab",
        "",
        CaseInsensitive("A"),
        0,
        1,
        True,
        1.0,
        -0.0,
        4,
        5,
    ]
    values += [10**30, None, [0], {}, float("nan"), b"a", (1,)]
    for value in values:
        try:
            expected: Any = (value not in members) if negated else (value in members)
        except TypeError:
            with pytest.raises(TypeError):
                condition.check(a=value)
        else:
            assert condition.check(a=value) is expected, value


# The order of checks


class Raises:
    """A value whose comparison raises an error."""

    def __eq__(self, other: object) -> bool:
        raise ArithmeticError(str(other))

    __hash__ = None  # type: ignore[assignment]


def first_failing_check(
    condition: Condition, context: Mapping[str, Any]
) -> Check | None:
    """Return the first check that fails, in the order of the arguments."""
    for name, value in context.items():
        for check in condition.own_checks:
            if check.variable == name and not check.check(value):
                return check
    return None


def outcome(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Return the result, or the error."""
    try:
        return function(*args, **kwargs)
    except Exception as error:  # noqa: BLE001
        return type(error), str(error)


@pytest.mark.parametrize("seed", range(40))
def test_checks_run_in_the_order_of_the_arguments(seed: int) -> None:
    """The order decides which check is named, and whether an error is raised."""
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
        expected = outcome(first_failing_check, condition, context)
        found = outcome(condition.check, **context)
        item = make_item(condition)
        decision = outcome(item.decide, context)
        if isinstance(expected, tuple):
            assert found == decision == expected
            assert outcome(item.is_enabled, **context) == expected
        else:
            assert found is (expected is None)
            assert item.is_enabled(**context) is found
            assert decision[0] is found
            assert found or decision[1] is expected


# Bucketers and subclasses


class NumberEnum(IntEnum):
    """Numbers with names."""

    ONE = 1


class TextEnum(str, Enum):
    """Texts with names."""

    A = "a"


USERS = [
    *(
        "a",
        "A",
        "",
        "é",
        "\ud800",
        '"\\\n',
        "1",
        "𝄞",
        CaseInsensitive("A"),
        CaseInsensitive("a"),
    ),
    *(0, 1, -1, 10**40, True, False, 1.0, 0.0, -0.0, 2.5, None, float("nan")),
    *(float("inf"), [1], (1,), {"b": 1, "a": 2}, NumberEnum.ONE, TextEnum.A, "True"),
]


def documented_bucket(value: Any) -> float:
    """Return the bucket of a user, computed as the documentation says."""
    text = json.dumps([("user_id", value)])
    digest = hashlib.sha1(text.encode()).hexdigest()  # noqa: S324  (no secret)
    return int(digest, 16) % 100 / 100


@pytest.mark.parametrize("seed", range(5))
def test_equal_users_of_different_types_have_their_own_buckets(seed: int) -> None:
    """1, 1.0 and True are one key of a dict, but three users, in any order of calls."""
    users = [*USERS, *USERS]
    random.Random(seed).shuffle(users)  # noqa: S311
    item = make_item(bucketer=consistent())
    for user in users:
        bucket = documented_bucket(user)
        assert item.is_enabled(user_id=user) is (bucket <= 0.5), user
        assert item.decide({"user_id": user})[2] == bucket
        assert consistent().check(user_id=user) is (bucket <= 0.5)


@pytest.mark.parametrize(
    "percentage", [0, 0.0, 1, 0.28, 0.57, 0.58, True, False, -1, 2, float("nan")]
)
def test_each_bucket_is_compared_with_the_percentage(percentage: Any) -> None:
    """A percentage of 0 excludes everybody, also those in the bucket 0."""
    item = make_item(bucketer=consistent(Percentage(percentage)))
    for number in range(300):
        expected = percentage != 0 and documented_bucket(number) <= percentage
        assert item.is_enabled(user_id=number) is expected
    assert item.is_enabled() is (percentage != 0 and bool(percentage >= 0.32))


def test_an_argument_that_json_cannot_express_raises(client: FeatureFlagClient) -> None:
    """It has no bucket, unless the percentage of 0 makes the bucket irrelevant."""
    client.set_bucketer("x", consistent())
    with pytest.raises(TypeError):
        client.is_enabled("x", user_id={1})
    client.set_bucketer("x", consistent(0))
    assert client.is_enabled("x", user_id={1}) is False


@pytest.mark.parametrize("bucketer", [consistent(), PercentageBucketer(1)])
def test_a_replaced_check_of_a_bucketer_is_called(
    client: FeatureFlagClient, bucketer: Any
) -> None:
    """It is called if it is replaced in the object, or in the class."""
    client.set_bucketer("x", bucketer)
    usual = client.is_enabled("x", user_id=1)
    for owner in (bucketer, type(bucketer)):
        with patch.object(owner, "check", return_value="mine") as check:
            assert client.is_enabled("x", user_id=1) == "mine"
            assert client.explain("x", user_id=1).enabled == "mine"
            assert check.call_args.kwargs == {"user_id": 1}
        assert client.is_enabled("x", user_id=1) is usual


def test_a_replaced_value_of_a_percentage_is_read(client: FeatureFlagClient) -> None:
    """A test may replace the property `value` of the class."""
    client.set_bucketer("x", consistent(1))
    assert client.is_enabled("x", user_id=2) is True
    with patch.object(Percentage, "value", new_callable=PropertyMock) as value:
        value.return_value = 0
        assert client.is_enabled("x", user_id=2) is False
    assert client.is_enabled("x", user_id=2) is True


def test_overridden_methods_of_subclasses_are_called() -> None:
    """That holds for percentages, bucketers, conditions and items."""

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

    assert make_item(bucketer=consistent(Nobody())).is_enabled(user_id=1) is False
    everybody = Everybody(key_whitelist=["user_id"], percentage=0)
    assert make_item(bucketer=everybody).is_enabled(user_id=1) is True
    assert make_item(Never(a=1)).is_enabled(a=1) is False
    assert make_item(Condition(a=1), Never()).is_enabled(a=1) is False
    store = MagicMock()
    store.get.return_value = Off("x", True, FeatureFlagStoreMeta(1))
    assert FeatureFlagClient(store).is_enabled("x") is False
