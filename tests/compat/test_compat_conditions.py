# SPDX-License-Identifier: Apache-2.0
"""What conditions, checks and operators do, rule by rule."""

from __future__ import annotations

from typing import Any

import pytest

from flipper import Condition, FeatureFlagClient, MemoryFeatureFlagStore
from flipper.bucketing import (
    ConsistentHashPercentageBucketer,
    Percentage,
    PercentageBucketer,
)
from flipper.conditions.check import Check
from flipper.conditions.operators import Operator
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta


def check(variable: str, value: Any, operator: str | None) -> dict[str, Any]:
    """Return the stored form of a check."""
    return {"variable": variable, "value": value, "operator": operator}


# Keys


@pytest.mark.parametrize(
    ("key", "variable", "operator"),
    [
        ("a", "a", None),
        ("", "", None),
        ("a_b", "a_b", None),
        ("a__gt", "a", "gt"),
        ("__gt", "", "gt"),
        ("a__not_in", "a", "not_in"),
        ("user__age__gt", "user__age", "gt"),
        ("a__b__c__in", "a__b__c", "in"),
        ("____gt", "__", "gt"),
        ("a__gt__lt", "a__gt", "lt"),
        ("user__age__years", "user__age__years", None),
        ("a__b__", "a__b__", None),
        ("____", "____", None),
        ("a__b__GT", "a__b__GT", None),
    ],
)
def test_the_operator_is_the_suffix_of_the_key(
    key: str, variable: str, operator: str | None
) -> None:
    """The part after the last double underscore is the operator, if it is one."""
    expected = {variable: [check(variable, 5, operator)]}
    assert Condition(**{key: 5}).to_dict() == expected
    made = Check.factory(key, 5)
    assert (made.variable, made.value) == (variable, 5)
    assert operator == made.operator.SYMBOL


@pytest.mark.parametrize("key", ["a__foo", "a__", "__", "a___gt", "a__GT", "a__eq"])
def test_an_unknown_operator_after_one_delimiter_is_refused(key: str) -> None:
    """A key with one double underscore and an unknown operator is refused."""
    symbol = key.split("__")[1]
    with pytest.raises(Operator.InvalidSymbolError) as caught:
        Condition(**{key: 1})
    assert str(caught.value) == f"Operator not supported: {symbol}"


def test_check_keys_are_made_of_variable_and_symbol() -> None:
    """The key of a check is its variable and its symbol; equality has no symbol."""
    assert Check.make_check_key("a", None) == "a"
    assert Check.make_check_key("a", "gt") == "a__gt"


# Operators


@pytest.mark.parametrize(
    ("symbol", "yes", "no"),
    [
        (None, (1, True), (1, 2)),
        ("ne", (1, 2), (1, 1.0)),
        ("gt", (2, 1), (1, 1)),
        ("gte", (1, 1), (0, 1)),
        ("lt", (1, 2), (1, 1)),
        ("lte", (1, 1), (2, 1)),
        ("in", ("b", "abc"), (3, [1, 2])),
        ("not_in", (3, {1, 2}), ("b", ["a", "b"])),
    ],
)
def test_operators_compare_the_call_with_the_condition(
    symbol: str | None, yes: tuple[Any, Any], no: tuple[Any, Any]
) -> None:
    """The call's argument is on the left, the condition's value on the right."""
    operator = Operator.factory(symbol)
    assert operator.compare(*yes) is True
    assert operator.compare(*no) is False


@pytest.mark.parametrize(
    ("symbol", "given", "value"),
    [("gt", None, 5), ("lte", "a", 1), ("in", 1, None), ("not_in", 1, "abc")],
)
def test_operators_raise_what_python_raises(
    symbol: str, given: Any, value: Any
) -> None:
    """Values that Python cannot compare raise Python's error."""
    with pytest.raises(TypeError):
        Operator.factory(symbol).compare(given, value)


def test_an_unknown_symbol_raises() -> None:
    """An unknown symbol raises an error that names it."""
    with pytest.raises(Operator.InvalidSymbolError) as caught:
        Operator.factory("near")
    assert str(caught.value) == "Operator not supported: near"


# Checks


def test_a_check_is_read_only() -> None:
    """The parts of a check can be read, and cannot be changed."""
    operator = Operator.factory("gt")
    made = Check("a", 5, operator)
    assert (made.variable, made.value, made.operator) == ("a", 5, operator)
    for name in ("variable", "value", "operator"):
        with pytest.raises(AttributeError):
            setattr(made, name, None)


def test_a_check_goes_to_a_dict_and_back() -> None:
    """A check survives the way to a dict and back, with its fields in a fixed order."""
    stored = Check("a", [1], Operator.factory("in")).to_dict()
    assert list(stored.items()) == [
        ("variable", "a"),
        ("value", [1]),
        ("operator", "in"),
    ]
    back = Check.from_dict(stored)
    assert back.to_dict() == stored
    assert back.check(1) is True
    assert back.check(2) is False


@pytest.mark.parametrize("missing", ["variable", "value", "operator"])
def test_a_stored_check_needs_its_fields(missing: str) -> None:
    """A stored check that lacks a field raises."""
    stored = check("a", 1, None)
    del stored[missing]
    with pytest.raises(KeyError):
        Check.from_dict(stored)


# Conditions


def test_all_checks_of_given_arguments_must_be_met() -> None:
    """Only checks of arguments that are given count, and all of them must be met."""
    condition = Condition(horses__gt=9000, city__ne="Paris")
    assert condition.check() is True
    assert condition.check(horses=9001) is True
    assert condition.check(horses=8000) is False
    assert condition.check(horses=9001, city="Paris") is False
    assert condition.check(nobody_asked=1) is True
    assert Condition().check(a=1) is True


def test_checks_are_made_in_the_order_of_the_call() -> None:
    """Checks follow the order of the arguments, and end with the first failure."""
    condition = Condition(a=1, n__gt=5)
    assert condition.check(a=2, n=None) is False
    with pytest.raises(TypeError):
        condition.check(n=None, a=2)


def test_checks_on_one_variable_are_made_in_the_order_of_definition() -> None:
    """Checks of one variable follow the order of their definition."""
    assert Condition(n__ne=None, n__gt=5).check(n=None) is False
    with pytest.raises(TypeError):
        Condition(n__gt=5, n__ne=None).check(n=None)


def test_a_check_of_unknown_arguments_adds_nothing() -> None:
    """Unknown arguments leave the condition unchanged."""
    condition = Condition(a=1)
    assert condition.check(zzz=1) is True
    expected = {"a": [check("a", 1, None)]}
    assert condition.to_dict() == expected
    assert condition.checks.keys() == expected.keys()


def test_is_enabled_changes_no_stored_flag() -> None:
    """`is_enabled` leaves the stored flag unchanged."""
    client = FeatureFlagClient(MemoryFeatureFlagStore())
    client.create("x", is_enabled=True)
    client.add_condition("x", Condition(a=1))
    before = client.get_meta("x")
    client.is_enabled("x", zzz=1)
    client.get("x").is_enabled(yyy=1)
    assert client.get_meta("x") == before


def test_empty_variables_of_old_documents_are_dropped() -> None:
    """A variable without checks, as flipper-client has stored it, is dropped."""
    stored = {"a": [], "b": [check("b", 1, None)]}
    condition = Condition.from_dict(stored)
    assert condition.to_dict() == {"b": [check("b", 1, None)]}
    assert condition.check(a=1, b=2) is False


class FalseResult:
    """The result of a NumPy comparison that is false."""

    def __bool__(self) -> bool:
        return False


class Number:
    """A value whose comparisons give such results."""

    def __gt__(self, other: Any) -> FalseResult:
        return FalseResult()

    def __eq__(self, other: object) -> FalseResult:  # type: ignore[override]
        return FalseResult()

    __hash__ = None  # type: ignore[assignment]


def test_the_truth_of_a_comparison_counts() -> None:
    """A comparison counts as met if its result is true, whatever its type is."""
    assert Condition(n__gt=9000).check(n=Number()) is False
    assert Condition(n=1).check(n=Number()) is False
    meta = FeatureFlagStoreMeta(1, conditions=[Condition(n__gt=9000)])
    assert FeatureFlagStoreItem("x", True, meta).is_enabled(n=Number()) is False


def test_names_of_the_library_are_free_for_conditions() -> None:
    """A condition may have any name, even `self`."""
    condition = Condition(self=1, cls=2, checks=3)
    assert condition.check(self=1, cls=2, checks=3) is True
    assert condition.check(self=2) is False


def test_checks_are_given_as_a_copy() -> None:
    """A change of the returned checks does not change the condition."""
    condition = Condition(a=[1], b__gt=2)
    copy = condition.checks
    assert [each.value for each in copy["a"]] == [[1]]
    assert copy["b"][0].operator.SYMBOL == "gt"
    copy["a"][0].value.append(2)
    copy["a"].clear()
    del copy["b"]
    assert condition.to_dict() == {
        "a": [check("a", [1], None)],
        "b": [check("b", 2, "gt")],
    }


def test_the_order_of_a_condition_is_kept() -> None:
    """A condition keeps its order, which is part of the stored bytes."""
    stored = Condition(b__lt=9, a=1, b__gt=2).to_dict()
    assert list(stored) == ["b", "a"]
    assert stored["b"] == [check("b", 9, "lt"), check("b", 2, "gt")]


def test_a_stored_condition_is_not_parsed_again() -> None:
    """A stored condition is made of the fields of its checks, and not of its keys."""
    stored = {
        "whatever": [
            check("a__b", 1, "gt"),
            check("a__b", 2, "gt"),
            check("c__d", 3, None),
            check("user__age__gt", 4, None),
        ]
    }
    condition = Condition.from_dict(stored)
    assert condition.to_dict() == {
        "a__b": [check("a__b", 1, "gt"), check("a__b", 2, "gt")],
        "c__d": [check("c__d", 3, None)],
        "user__age__gt": [check("user__age__gt", 4, None)],
    }
    assert condition.check(a__b=3) is True
    assert condition.check(a__b=2) is False
    assert condition.check(c__d=3) is True
    assert condition.check(c__d=4) is False
    assert condition.check(user__age__gt=5) is False
    assert condition.check(user__age=0) is True


def test_a_condition_survives_many_rewritings() -> None:
    """A condition that is read and written a thousand times stays the same."""
    condition = Condition(a=1, b__in=[1, 2], c__d__ne=None, **{"": 0, "__gt": 1})
    stored = condition.to_dict()
    for _ in range(3):
        assert Condition.from_dict(stored).to_dict() == stored
        stored = Condition.from_dict(stored).to_dict()


def test_conditions_have_no_equality_of_their_own() -> None:
    """Two conditions are equal only if they are the same object."""
    one, other = Condition(a=1), Condition(a=1)
    assert one == one  # noqa: PLR0124 (identity is the rule)
    assert one != other
    assert len({one, other}) == 2


# Whole flags


def flag(is_enabled: Any, *conditions: Condition, bucketer: Any = None) -> Any:
    """Make a stored flag."""
    meta = FeatureFlagStoreMeta(1, conditions=list(conditions), bucketer=bucketer)
    return FeatureFlagStoreItem("x", is_enabled, meta)


@pytest.mark.parametrize("state", [False, None, 0, "", [], 0.0])
def test_any_false_state_is_off(state: Any) -> None:
    """Every false state is off."""
    item = flag(state, Condition(a=1))
    assert item.is_enabled() is False
    assert item.is_enabled(a=1) is False
    assert item.raw_is_enabled == state


@pytest.mark.parametrize("state", [True, 1, "yes"])
def test_any_true_state_is_on(state: Any) -> None:
    """Every true state, such as 1, is on."""
    assert flag(state).is_enabled() is True
    assert flag(state).raw_is_enabled == state


def test_a_false_state_is_off_through_the_client() -> None:
    """A false state that is no boolean is kept, and is off."""
    client = FeatureFlagClient(MemoryFeatureFlagStore())
    client.create("x", is_enabled=0)
    client.create("y", is_enabled=None)
    assert client.is_enabled("x") is False
    assert client.is_enabled("y") is False


def test_all_conditions_must_be_met() -> None:
    """All conditions of a flag must be met, each by its own arguments."""
    item = flag(True, Condition(a=1), Condition(b__gt=2))
    assert item.is_enabled() is True
    assert item.is_enabled(a=1) is True
    assert item.is_enabled(a=1, b=3) is True
    assert item.is_enabled(a=1, b=2) is False
    assert item.is_enabled(a=2, b=3) is False
    assert item.is_enabled(c=1) is True


def test_conditions_are_checked_in_order() -> None:
    """Conditions are checked in order, and end with the first that is not met."""
    one, other = Condition(a=1), Condition(n__gt=5)
    assert flag(True, one, other).is_enabled(n=None, a=2) is False
    with pytest.raises(TypeError):
        flag(True, other, one).is_enabled(n=None, a=2)


HALF = ConsistentHashPercentageBucketer(
    key_whitelist=["user_id"], percentage=Percentage(0.5)
)


def test_conditions_decide_before_the_bucketer() -> None:
    """A condition that has a check of a given argument decides, and no bucketer."""
    item = flag(True, Condition(is_admin=True), bucketer=HALF)
    assert item.is_enabled(user_id=2, is_admin=True) is True
    assert item.is_enabled(user_id=1, is_admin=False) is False
    everybody = PercentageBucketer(Percentage(1))
    assert flag(True, Condition(a=1), bucketer=everybody).is_enabled(a=2) is False


def test_without_a_given_check_the_bucketer_decides() -> None:
    """The bucketer decides if no condition has a check of a given argument."""
    item = flag(True, Condition(is_admin=True), bucketer=HALF)
    assert item.is_enabled(user_id=1) is True
    assert item.is_enabled(user_id=2) is False
    assert item.is_enabled() is True
    nobody = PercentageBucketer(Percentage(0))
    assert flag(True, Condition(a=1), bucketer=nobody).is_enabled(b=1) is False
    assert flag(True, Condition(a=1), bucketer=nobody).is_enabled() is False


def test_a_condition_without_checks_is_ignored() -> None:
    """A condition without checks leaves the decision to the bucketer."""
    nobody = PercentageBucketer(Percentage(0))
    assert flag(True, Condition(), bucketer=nobody).is_enabled(a=1) is False
    assert flag(True, Condition()).is_enabled(a=1) is True


def test_an_item_accepts_arguments_of_any_name() -> None:
    """`is_enabled` of an item accepts arguments of any name, even `self`."""
    item = flag(True, Condition(self=1), bucketer=HALF)
    assert item.is_enabled(self=1) is True
    assert item.is_enabled(self=2) is False
