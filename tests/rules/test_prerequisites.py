# SPDX-License-Identifier: Apache-2.0
"""Flags that depend on other flags, in rules and in conditions."""

from __future__ import annotations

from typing import Any

import pytest

from flipper import FeatureFlagClient, MemoryFeatureFlagStore
from flipper.bucketing import NoOpBucketer
from flipper.conditions import Condition
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.exceptions import (
    InvalidArgumentError,
    InvalidFlagDataError,
    PrerequisiteCycleError,
)
from flipper.explanation import Reason
from flipper.rules import Rollout, Rule, Rules, Split
from support.custom_stores import CustomStore, FailingMemoryStore


@pytest.fixture(params=[MemoryFeatureFlagStore, CustomStore])
def client(request: pytest.FixtureRequest) -> FeatureFlagClient:
    """Give a client with the flags `a` to `d`, which are on."""
    client = FeatureFlagClient(request.param())
    for name in "abcd":
        client.create(name, is_enabled=True)
    return client


def needs(name: str, is_enabled: bool = True) -> Condition:
    """Return the condition that another flag is on."""
    return Condition(**{f"{name}__enabled": is_enabled})


def serves(name: str, variant: Any) -> Condition:
    """Return the condition that another flag serves a variant."""
    return Condition(**{f"{name}__variant": variant})


def answers(client: FeatureFlagClient, name: str, **call: Any) -> Any:
    """Return the answer of a flag; all ways to ask have to agree on it."""
    answer = client.is_enabled(name, "default", **call)
    assert client.explain(name, "default", **call).enabled == answer
    assert client.variant(name, "default", **call) == (answer or "default")
    everything = client.evaluate_all(**call)
    assert everything[name] == (answer is True)
    return answer


def test_a_rule_can_ask_whether_another_flag_is_on(client: FeatureFlagClient) -> None:
    """For the same arguments, through any number of flags."""
    client.set_rules("c", [Rule(Condition(plan="pro"))])
    client.set_rules("b", [Rule(needs("c") & Condition(age__gte=18))])
    client.set_rules("a", [Rule(needs("b")), Rule(needs("d", is_enabled=False))])
    assert answers(client, "a", plan="pro", age=20) is True
    assert answers(client, "a", plan="pro", age=17) is False
    assert answers(client, "a", age=20) is False
    client.disable("c")
    assert answers(client, "a", plan="pro", age=20) is False
    client.disable("d")
    assert answers(client, "a") is True


def test_a_rule_can_ask_which_variant_another_flag_serves(
    client: FeatureFlagClient,
) -> None:
    """One of several counts, and the variant that is off, too."""
    rules = [Rule(Condition(n=1), "blue"), Rule(Condition(n=2), "green")]
    client.set_rules("b", Rules(rules, off="grey"))
    client.set_rules("a", [Rule(serves("b", ["blue", "grey"]))])
    client.set_rules("c", [Rule(serves("b", "green"))])
    assert [answers(client, "a", n=n) for n in (1, 2, 3)] == [True, False, True]
    assert [answers(client, "c", n=n) for n in (1, 2, 3)] == [False, True, False]
    client.disable("b")
    assert [answers(client, "a", n=n) for n in (1, 2, 3)] == [True, True, True]


def test_a_missing_flag_is_neither_on_nor_off(client: FeatureFlagClient) -> None:
    """A check on it does not hold; `~` of the check does."""
    client.set_rules("a", [Rule(needs("gone")), Rule(serves("gone", []), "x")])
    client.set_rules("b", [Rule(needs("gone", is_enabled=False))])
    client.set_rules("c", [Rule(~needs("gone"))])
    assert [answers(client, name) for name in "abc"] == [False, False, True]


def test_a_condition_can_ask_about_another_flag(client: FeatureFlagClient) -> None:
    """A flag without rules is on only if the other one is, whatever is given."""
    client.add_condition("a", needs("b"))
    client.add_condition("a", Condition(plan="pro"))
    client.set_rules("b", [Rule(Condition(age__gte=18))])
    assert answers(client, "a") is False
    assert answers(client, "a", age=20) is True
    assert answers(client, "a", age=20, plan="free") is False
    told = client.explain("a")
    assert told.reason is Reason.CONDITION_NOT_MATCHED
    assert told.check is not None
    assert told.check.key == "b__enabled"  # type: ignore[union-attr]


def test_a_flag_that_cannot_be_decided_gives_the_default(
    client: FeatureFlagClient,
) -> None:
    """What cannot be known must not open another flag."""
    client.set_rules("b", [Rule(Condition(age__gt=18))])
    client.set_rules("a", [Rule(~needs("b"))])
    assert client.is_enabled("a", age="text") is False
    assert client.is_enabled("a", "default", age="text") == "default"
    assert client.variant("a", "default", age="text") == "default"
    told = client.explain("a", age="text")
    assert (told.reason, type(told.error)) == (Reason.ERROR, TypeError)
    assert client.evaluate_all(age="text")["a"] is False


@pytest.mark.parametrize(
    ("name", "rules", "circle"),
    [
        ("a", [Rule(needs("a"))], "'a' -> 'a'"),
        ("a", [Rule(~serves("a", "x"))], "'a' -> 'a'"),
        (
            "c",
            [Rule(None, False), Rule(needs("d") | needs("a"))],
            "'c' -> 'a' -> 'b' -> 'c'",
        ),
        ("d", [Rule(needs("a") & Rollout(0.1, "user"))], "'d' -> 'a' -> 'b' -> 'd'"),
    ],
)
def test_a_circle_is_refused_when_it_is_written(
    client: FeatureFlagClient, name: str, rules: list[Rule], circle: str
) -> None:
    """The error shows the circle, and nothing changes."""
    client.add_condition("b", needs("d"))
    client.set_rules("b", [Rule(needs("c"))])
    client.set_rules("a", [Rule(needs("b"))])
    with pytest.raises(InvalidArgumentError) as raised:
        client.set_rules(name, rules)
    assert f"Feature {name!r} would depend on itself: {circle};" in str(raised.value)
    assert raised.value.feature_name == name
    assert client.get_rules(name) != Rules(rules)


@pytest.mark.parametrize("method", ["add_condition", "set_conditions"])
def test_a_circle_of_conditions_is_refused_when_it_is_written(
    client: FeatureFlagClient, method: str
) -> None:
    """With conditions, as with rules, and nothing changes."""
    client.add_condition("b", needs("c"))
    client.set_rules("a", [Rule(needs("b"))])
    given: Any = needs("a") if method == "add_condition" else [needs("a")]
    for name in "abc":
        with pytest.raises(InvalidArgumentError, match="would depend on itself"):
            getattr(client, method)(name, given)
    assert client.get_meta("c")["conditions"] == []


def test_many_flags_that_depend_on_each_other_can_be_written() -> None:
    """Each flag is looked at once, however many ways lead to it, and however long."""
    client = FeatureFlagClient(MemoryFeatureFlagStore())
    for number in range(60):
        client.create(f"{number}", is_enabled=True)
        client.create(f"{number}'", is_enabled=True)
    for number in range(59):
        both = needs(f"{number + 1}") & needs(f"{number + 1}'")
        client.set_rules(f"{number}", [Rule(both)])
        client.set_rules(f"{number}'", [Rule(both)])
    with pytest.raises(InvalidArgumentError, match=r"'59' -> '0.* -> '59'"):
        client.set_rules("59", [Rule(needs("0"))])
    assert client.is_enabled("0") is True


def test_a_circle_that_is_stored_gives_the_default() -> None:
    """Two processes may write one at the same moment."""
    store = MemoryFeatureFlagStore()
    for name, other in ("ab", "bc", "cb"):
        meta = FeatureFlagStoreMeta(1)
        meta.set_rules(Rules([Rule(Condition(skip=1)), Rule(~needs(other))]))
        assert store.create_whole(FeatureFlagStoreItem(name, True, meta))
    client = FeatureFlagClient(store)
    for name in "abc":
        assert client.is_enabled(name) is False
        assert client.is_enabled(name, "default") == "default"
        assert client.variant(name, "default") == "default"
        assert type(client.explain(name).error) is PrerequisiteCycleError
        assert client.is_enabled(name, skip=1) is True
    assert client.evaluate_all() == {"a": False, "b": False, "c": False}
    raising = FeatureFlagClient(store, on_error="raise")
    with pytest.raises(PrerequisiteCycleError, match="'b' -> 'c' -> 'b'"):
        raising.is_enabled("a")


def test_very_many_flags_that_depend_on_each_other_never_raise() -> None:
    """A chain that is too long for Python's stack gives the default."""
    store = MemoryFeatureFlagStore()
    for number in range(5000):
        meta = FeatureFlagStoreMeta(1)
        meta.set_rules(Rules([Rule(needs(str(number + 1)))]))
        store.create_whole(FeatureFlagStoreItem(str(number), True, meta))
    client = FeatureFlagClient(store)
    client.create("5000", is_enabled=True)
    assert client.is_enabled("4990") is True
    assert client.is_enabled("0") is False
    assert client.variant("0", "default") == "default"
    assert client.explain("0").reason is Reason.ERROR


def test_another_flag_is_decided_once_for_a_question() -> None:
    """A check on it may be in many rules, and its store is asked once."""
    store = FailingMemoryStore()
    client = FeatureFlagClient(store)
    client.create("a", is_enabled=True)
    client.create("b")
    client.set_rules("a", [Rule(needs("b"))] * 50 + [Rule(~needs("b"))])
    reads = store.reads
    assert client.is_enabled("a") is True
    assert store.reads - reads <= 3


def test_a_flag_that_cannot_be_read_has_its_last_known_state() -> None:
    """As if it were asked for itself; a flag that was never read gives the default."""
    store = FailingMemoryStore()
    client = FeatureFlagClient(store)
    for name in "ab":
        client.create(name, is_enabled=True)
    client.set_rules("a", [Rule(needs("b"))])
    assert client.is_enabled("a") is True
    store.failure = ConnectionError("down")
    assert client.is_enabled("a") is True


def test_a_broken_document_of_another_flag_gives_the_default() -> None:
    """It is neither on nor off."""
    store = CustomStore()
    client = FeatureFlagClient(store)
    client.create("a", is_enabled=True)
    client.create("b", is_enabled=True)
    for when in (needs("b"), needs("b", is_enabled=False), ~needs("b")):
        client.set_rules("a", [Rule(when)])
        good, store.documents["b"] = store.documents["b"], b"{"
        assert client.is_enabled("a") is False
        assert client.is_enabled("a", "default") == "default"
        assert isinstance(client.explain("a").error, InvalidFlagDataError)
        store.documents["b"] = good


def test_a_flag_with_rules_does_not_need_a_client_to_be_off() -> None:
    """An item alone cannot ask about other flags; it raises and is never on."""
    store = MemoryFeatureFlagStore()
    client = FeatureFlagClient(store)
    client.create("a", is_enabled=True)
    client.set_rules("a", [Rule(~needs("b"))])
    item: Any = store.get("a")
    with pytest.raises(Exception, match="b"):
        item.is_enabled()


def test_a_split_does_not_depend_on_the_rollout_before_it(
    client: FeatureFlagClient,
) -> None:
    """Of the users that a rollout of the same flag lets in, each variant has its share.

    Otherwise all of them would have the first variant.
    """
    halves = Split({"blue": 0.5, "green": 0.5}, by="user")
    client.set_rules("a", [Rule(Rollout(0.1, by="user"), halves)])
    served = [client.variant("a", user=user) for user in range(5000)]
    blue, green = served.count("blue"), served.count("green")
    assert blue + green == sum(value is not None for value in served)
    assert abs(blue - green) < 6 * (blue + green) ** 0.5
    assert abs(blue + green - 500) < 6 * 500**0.5


def test_rules_that_ask_can_be_removed(client: FeatureFlagClient) -> None:
    """After that, the circle may be closed the other way round."""
    client.set_rules("a", [Rule(needs("b"))])
    client.set_rules("a", None)
    client.set_rules("b", [Rule(needs("a"))])
    client.set_bucketer("a", NoOpBucketer())
    assert answers(client, "b") is True
