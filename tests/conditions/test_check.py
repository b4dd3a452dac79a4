# SPDX-License-Identifier: Apache-2.0
"""A check: one comparison of a condition."""

from __future__ import annotations

from typing import Any
from unittest.mock import MagicMock

import pytest

from flipper import Condition
from flipper.conditions.check import Check
from flipper.conditions.operators import Operator
from flipper.conditions.operators.interface import AbstractOperator
from flipper.conditions.operators.operator import EqualityOperator, GreaterThanOperator


@pytest.mark.parametrize(
    ("key", "variable", "symbol"),
    [
        *(("a", "a", None), ("", "", None), ("a_b", "a_b", None), ("gt", "gt", None)),
        *(("a__gt", "a", "gt"), ("__gt", "", "gt"), ("a__not_in", "a", "not_in")),
        *(("user__age__gt", "user__age", "gt"), ("a__b__c__in", "a__b__c", "in")),
        *(("a__b__c", "a__b__c", None), ("a__gt__", "a__gt__", None)),
    ],
)
def test_a_key_is_a_variable_and_an_operator(
    key: str, variable: str, symbol: str | None
) -> None:
    """The operator is after the last `__`, and the check writes the same key again."""
    check = Check.factory(key, 1)
    assert (check.variable, check.value, check.operator.SYMBOL) == (variable, 1, symbol)
    assert check.key == key
    assert Check.make_check_key(variable, symbol) == key
    assert repr(check) == f"<Check {key}>"


@pytest.mark.parametrize("key", ["a__", "a__b", "a___gt", "a__GT", "a__None"])
def test_what_follows_the_only_delimiter_has_to_be_an_operator(key: str) -> None:
    """Otherwise a typing error would be part of the name."""
    with pytest.raises(Operator.InvalidSymbolError) as caught:
        Check.factory(key, 1)
    assert str(caught.value) == f"Operator not supported: {key[3:]}"


def test_plain_data_makes_an_equal_check() -> None:
    """The variable may look like a key."""
    for operator in (None, "gt"):
        fields = {"variable": "a__b__gt", "value": [1], "operator": operator}
        check = Check.from_dict(fields)
        assert check.to_dict() == fields
        assert check.value is not fields["value"]
        assert check.to_dict()["value"] is not check.value


@pytest.mark.parametrize("field", ["variable", "value", "operator"])
def test_a_missing_field_is_an_error_that_names_it(field: str) -> None:
    """No field has a default."""
    fields = {"variable": "a", "value": 1, "operator": None}
    del fields[field]
    with pytest.raises(KeyError, match=field):
        Check.from_dict(fields)


@pytest.mark.parametrize("variable", [1, None, b"a", ["a"]])
def test_a_variable_that_is_no_text_is_refused(variable: Any) -> None:
    """The error shows it."""
    fields = {"variable": variable, "value": 1, "operator": None}
    with pytest.raises(TypeError) as caught:
        Check.from_dict(fields)
    assert repr(variable) in str(caught.value)


def test_a_check_compares_the_argument_with_its_value() -> None:
    """In this order; the result is returned as it is."""
    operator = MagicMock()
    check = Check("a", 1, operator)
    assert check.check(2) is operator.compare.return_value
    operator.compare.assert_called_once_with(2, 1)
    assert check.operator is operator
    assert Check.factory("a__gt", 1).check(2) is True
    assert Check.factory("a__gt", 2).check(1) is False


def test_each_check_has_its_own_operator() -> None:
    """The caller may change it, although unchanged operators are shared."""
    one, other = (Check.factory("a__gt", 1) for _ in range(2))
    assert type(one.operator) is GreaterThanOperator
    assert one.operator is one.operator
    assert one.operator is not other.operator
    given = EqualityOperator()
    assert Check("a", 1, given).operator is given


def test_an_operator_of_an_application_is_the_one_that_was_given() -> None:
    """It may have been made with arguments, which nobody else knows."""

    class Within(AbstractOperator):
        SYMBOL = "within"

        def __init__(self, distance: int) -> None:
            self.distance = distance

        def compare(self, expected: Any, actual: Any) -> bool:
            return bool(abs(expected - actual) <= self.distance)

    operator = Within(5)
    check = Check("a", 10, operator)
    assert check.operator is operator
    assert check.check(15) is True
    assert check.check(16) is False
    assert check.to_dict()["operator"] == "within"


def test_only_an_unchanged_check_is_compared_by_pythons_sign() -> None:
    """A subclass may override `check`, and an operator may be replaced."""

    class Mine(Check):
        pass

    assert Check.factory("a__gt", 1).sign == ">"
    assert Mine.factory("a__gt", 1).sign is None
    assert Check("a", 1, MagicMock()).sign is None
    changed = Check.factory("a__gt", 1)
    changed.operator.compare = lambda *_: False  # type: ignore[method-assign]
    assert changed.sign is None
    assert changed.check(2) is False


def test_an_operator_may_be_any_object() -> None:
    """It needs `compare` and `SYMBOL`; without its argument the check is left out."""

    class Same:
        SYMBOL = "same"

        def compare(self, expected: Any, actual: Any) -> bool:
            return expected is actual

    check = Check("a", None, Same())  # type: ignore[arg-type]
    assert check.needs_context is False
    assert check.check(None) is True
    condition = Condition()
    condition._set_checks([check])
    for call, answer in [({}, True), ({"a": None}, True), ({"a": 0}, False)]:
        assert condition.check(**call) is answer


def test_variables_of_any_type_are_kept() -> None:
    """Equal names are one object; what is no plain text stays what it is."""

    class Name(str):
        __slots__ = ()

    one, other = (f"variable {number}"[:8] for number in range(2))
    assert one is not other
    assert Check.factory(one, 1).variable is Check.factory(other, 1).variable
    for name in (Name("a"), 1):
        assert Check(name, 1, EqualityOperator()).variable is name  # type: ignore[arg-type]
