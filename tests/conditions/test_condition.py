# SPDX-License-Identifier: Apache-2.0
"""A condition: a group of checks on the arguments of `is_enabled`."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest

from flipper import Condition
from support.copies import every_copy


def test_plain_data_makes_an_equal_condition() -> None:
    """Variables are in the order of first mention, checks in that of definition."""
    condition = Condition(b__gt=1, a=[1], b__lt=5)
    fields = condition.to_dict()
    assert fields == {
        "b": [
            {"variable": "b", "value": 1, "operator": "gt"},
            {"variable": "b", "value": 5, "operator": "lt"},
        ],
        "a": [{"variable": "a", "value": [1], "operator": None}],
    }
    assert list(fields) == ["b", "a"]
    again = Condition.from_dict(fields)
    assert again.to_dict() == fields
    assert list(again.to_dict()) == ["b", "a"]
    assert [check.key for check in again.own_checks] == ["b__gt", "b__lt", "a"]


def test_the_variables_are_those_of_the_checks() -> None:
    """The outer keys are ignored, and so are those without checks."""
    check = {"variable": "a", "value": 1, "operator": None}
    condition = Condition.from_dict({"z": [], "y": [check], "x": (check,)})
    assert condition.to_dict() == {"a": [check, check]}


@pytest.mark.parametrize("checks", [None, 1, "text", {"a": 1}])
def test_checks_that_are_no_list_are_refused(checks: Any) -> None:
    """The error shows them."""
    with pytest.raises(TypeError) as caught:
        Condition.from_dict({"a": checks})
    assert repr(checks) in str(caught.value)


def test_the_checks_that_are_handed_out_are_a_copy() -> None:
    """To change them changes no condition."""
    condition = Condition(a=[1], a__ne=2, b=3)
    checks = condition.checks
    assert {name: [each.key for each in of] for name, of in checks.items()} == {
        "a": ["a", "a__ne"],
        "b": ["b"],
    }
    checks["a"][0].value.append(2)
    checks.clear()
    assert condition.to_dict() == Condition(a=[1], a__ne=2, b=3).to_dict()
    assert condition.check(a=[1], b=3) is True


def test_every_check_on_a_given_argument_has_to_hold() -> None:
    """Arguments without checks, and checks without arguments, do not matter."""
    condition = Condition(a__gt=1, a__lt=5, b=1)
    for _ in range(2):
        assert condition.check() is True
        assert condition.check(a=2) is True
        assert condition.check(a=2, b=1, c=0) is True
        assert condition.check(a=1) is False
        assert condition.check(a=5, b=1) is False
        assert condition.check(a=2, b=2) is False
        assert condition.check(b=1) is True
    assert Condition().check(a=1) is True


def test_a_condition_is_compiled_once() -> None:
    """By the first question."""
    condition = Condition(a=1)
    with patch.object(Condition, "compile", autospec=True) as compiled:
        compiled.return_value = bool
        assert [condition.check(a=1), condition.check()] == [True, False]
        compiled.assert_called_once_with(condition)


def test_a_condition_is_shown_without_values() -> None:
    """They may be personal data."""
    assert repr(Condition(a__gt=1, b="secret")) == "<Condition a__gt, b>"
    assert repr(Condition()) == "<Condition without checks>"


class Described(Condition):
    """A condition of an application, whose objects have a dict."""


@every_copy
@pytest.mark.parametrize("is_asked", [True, False])
def test_a_copy_has_all_attributes(duplicate: Any, is_asked: bool) -> None:
    """Also those that an application has given a subclass."""
    condition: Any = Described(a=1)
    condition.description = "why"
    if is_asked:
        assert condition.check(a=1) is True
    again = duplicate(condition)
    assert again.description == "why"
    assert again.check(a=1) is True
    assert again.check(a=2) is False
    assert again.to_dict() == condition.to_dict()


@every_copy
def test_a_condition_without_a_dict_is_copied(duplicate: Any) -> None:
    """Its attributes are in slots."""
    again = duplicate(Condition(a=1))
    assert not hasattr(again, "__dict__")
    assert again.check(a=1) is True
    assert again.check(a=2) is False


def test_plain_data_makes_a_condition_of_the_class_that_was_asked() -> None:
    """A subclass is made by its own constructor."""

    class Counted(Condition):
        def __init__(self) -> None:
            super().__init__()
            self.count = 0

    condition = Counted.from_dict(Condition(a=1).to_dict())
    assert type(condition) is Counted
    assert condition.count == 0
    assert condition.check(a=2) is False
    assert type(Condition.from_dict({})) is Condition


def test_only_some_checks_need_the_context() -> None:
    """A condition needs it if one of its checks does."""
    assert Condition(a=1, b__exists=True).needs_context is True
    assert Condition(a=1, b__gt=2).needs_context is False
    assert Condition().needs_context is False
