# SPDX-License-Identifier: Apache-2.0
"""The operators, and the table that finds them by their symbol."""

from __future__ import annotations

import operator
from typing import Any
from unittest.mock import patch

import pytest

from flipper import Condition
from flipper.conditions.check import Check
from flipper.conditions.operators import Operator
from flipper.conditions.operators.operator import (
    EqualityOperator,
    GreaterThanOperator,
    is_shared,
    shared_operator,
    sign_of,
)

COMPARISONS: dict[str | None, Any] = {
    None: operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
    "in": lambda argument, value: argument in value,
    "not_in": lambda argument, value: argument not in value,
}
SIGNS = ["==", "!=", ">", ">=", "<", "<=", "in", "not in"]
PAIRS = [(1, 1), (1, 2), (2, 1), ("a", "ab"), ("ab", "a"), (1, [1]), (1, [2]), (1, "a")]


def test_there_is_one_operator_for_each_symbol() -> None:
    """`None` is the symbol of equality."""
    originals = list(Operator.OPERATOR_MAP)[: len(COMPARISONS)]
    assert originals == list(COMPARISONS)
    for symbol, kind in Operator.OPERATOR_MAP.items():
        assert symbol == kind.SYMBOL  # type: ignore[comparison-overlap]
        assert type(Operator.factory(symbol)) is kind


@pytest.mark.parametrize(("symbol", "sign"), list(zip(COMPARISONS, SIGNS, strict=True)))
@pytest.mark.parametrize(("argument", "value"), PAIRS)
def test_an_operator_compares_as_python_does(
    symbol: str | None, sign: str, argument: Any, value: Any
) -> None:
    """The argument of the call is on the left, and errors are Python's."""
    compare = Operator.factory(symbol).compare
    assert sign_of(Operator.factory(symbol)) == sign
    try:
        expected = COMPARISONS[symbol](argument, value)
    except TypeError:
        with pytest.raises(TypeError):
            compare(argument, value)
    else:
        assert compare(argument, value) is expected


@pytest.mark.parametrize("symbol", COMPARISONS)
def test_a_replaced_compare_of_any_operator_is_called(symbol: str | None) -> None:
    """It is called until it is put back, also by a condition that was asked before."""
    key = Check.make_check_key("a", symbol)
    condition = Condition(**{key: [1]})
    argument = 1 if symbol in ("in", "not_in") else [1]
    usual = condition.check(a=argument)
    kind = Operator.OPERATOR_MAP[symbol]
    with patch.object(kind, "compare", return_value=not usual) as compare:
        assert condition.check(a=argument) is not usual
        compare.assert_called_once_with(argument, [1])
    assert condition.check(a=argument) is usual


@pytest.mark.parametrize("symbol", ["", "GT", "==", "None", "not in", ["gt"], 1])
def test_an_unknown_symbol_is_an_error_that_shows_it(symbol: Any) -> None:
    """Symbols are case-sensitive."""
    with pytest.raises(Operator.InvalidSymbolError) as caught:
        Operator.factory(symbol)
    assert str(caught.value) == f"Operator not supported: {symbol}"


def test_an_operator_that_is_changed_has_no_sign() -> None:
    """So its `compare` is called; that of a subclass, too."""

    class Mine(GreaterThanOperator):
        pass

    assert sign_of(Mine()) is None
    changed = EqualityOperator()
    changed.compare = lambda *_: True  # type: ignore[method-assign]
    assert sign_of(changed) is None
    assert sign_of(EqualityOperator()) == "=="


def test_operators_of_one_class_are_shared() -> None:
    """An operator of an application is kept as it is."""

    class Mine(GreaterThanOperator):
        pass

    shared = shared_operator(GreaterThanOperator())
    assert type(shared) is GreaterThanOperator
    assert shared_operator(GreaterThanOperator()) is shared
    assert shared_operator(EqualityOperator()) is not shared
    mine = Mine()
    assert shared_operator(mine) is mine
    assert is_shared(shared)
    assert not is_shared(GreaterThanOperator())
    assert not is_shared(mine)
