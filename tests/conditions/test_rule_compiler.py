# SPDX-License-Identifier: Apache-2.0
"""The functions that decide flags answer as a loop over the checks would."""

from __future__ import annotations

from typing import Any

import pytest

from flipper import Condition
from flipper.conditions import rule_compiler
from support.flag_builders import make_item


@pytest.mark.parametrize(
    ("call", "failed"),
    [
        *(({"a": 0, "b": 0}, "a"), ({"b": 0, "a": 0}, "b")),
        *(({"c": 0, "b": 0, "a": 0}, "c"), ({"z": 0, "c": 0, "a": 0}, "c")),
        *(({"a": 1, "c": 0, "b": 0}, "c"), ({"b": 1, "a": 1, "c": 0}, "c")),
        *(({"a": 1, "b": 9, "c": 0}, "b__lt"), ({"c": 0, "b": 9}, "c")),
        *(({"b": 0, "c": 0}, "b"), ({"a": 1, "b": 1, "c": 1}, None)),
    ],
)
def test_the_first_argument_of_the_call_that_fails_is_blamed(
    call: dict[str, int], failed: str | None
) -> None:
    """The order of the checks only counts among those on one argument."""
    condition = Condition(a=1, b__ne=0, b__lt=5, c=1)
    told = make_item(condition).decide(call)
    keys = {"b": "b__ne"}
    assert told[0] is (failed is None)
    assert failed is None or told[1].key == keys.get(failed, failed)
    assert condition.check(**call) is (failed is None)


@pytest.mark.parametrize(
    ("call", "outcome"),
    [
        *(({"a": "text", "b": 0}, TypeError), ({"b": 0, "a": "text"}, False)),
        *(({"b": "text", "a": 0}, TypeError), ({"a": 0, "b": "text"}, False)),
        *(({"b": 9, "a": "text"}, TypeError), ({"a": 9, "b": "text"}, TypeError)),
    ],
)
def test_an_error_comes_out_if_no_earlier_argument_fails(
    call: dict[str, Any], outcome: Any
) -> None:
    """A comparison after one that fails is not made."""
    condition = Condition(a__gt=1, b__gt=1)
    for ask in (condition.check, make_item(condition).is_enabled):
        if outcome is TypeError:
            with pytest.raises(TypeError, match="'>' not supported"):
                ask(**call)
        else:
            assert ask(**call) is outcome


def test_a_variable_is_no_part_of_the_program() -> None:
    """Whatever characters it has."""
    for name in ("it's", '"', "\\", "\n", "{a}", "context", "bound", "patched", "é"):
        condition = Condition(**{name: 1})
        assert condition.check(**{name: 1}) is True
        assert condition.check(**{name: 2}) is False
        assert condition.check(**{name + "x": 2}) is True


@pytest.mark.parametrize("length", range(8))
@pytest.mark.parametrize("kind", [str, int])
def test_lists_of_any_length_contain_what_they_contain(length: int, kind: Any) -> None:
    """A long list of one type is looked up as a set, with the same answers."""
    members = [kind(number) for number in range(length)]
    for value in ("0", "4", "9", 0, 4, 9, 4.0, True, None, [4]):
        contains = value in members
        assert Condition(a__in=members).check(a=value) is contains
        assert Condition(a__not_in=members).check(a=value) is not contains
        assert Condition(a__in=tuple(members)).check(a=value) is contains


@pytest.mark.parametrize("suffix", ["gt", "gte", "lt", "lte"])
def test_a_long_list_is_only_looked_up_as_a_set_for_membership(suffix: str) -> None:
    """Any other comparison is with the list itself, and its error says so."""
    condition = Condition(**{f"a__{suffix}": ["a", "b", "c", "d", "e"]})
    with pytest.raises(TypeError, match="'str' and 'list'"):
        condition.check(a="a")


def test_rules_of_one_shape_share_a_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each flag has its own values, and no more functions than allowed are kept."""
    functions: dict[str, Any] = {}
    monkeypatch.setattr(rule_compiler, "_functions", functions)
    monkeypatch.setattr(rule_compiler, "_SHAPES_KEPT", 3)
    one, other = Condition(a=1), Condition(a=2)
    assert one.check(a=1) is True
    (function,) = functions.values()
    assert callable(function)
    assert other.check(a=1) is False
    assert list(functions.values()) == [function]
    sizes = []
    for name in "bcde":
        assert Condition(**{name: 1}).check(**{name: 2}) is False
        sizes.append(len(functions))
    assert sizes == [2, 3, 1, 2]
    assert one.check(a=1) is True
