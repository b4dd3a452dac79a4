# SPDX-License-Identifier: Apache-2.0
"""The operators, and the table that finds them by their symbol."""

from __future__ import annotations

import operator
import subprocess
import sys
from typing import Any
from unittest.mock import patch

import pytest

from flipper import Condition
from flipper.conditions.check import Check
from flipper.conditions.operators import Operator
from flipper.conditions.operators import operator as module
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


def run_in_new_process(program: str) -> str:
    """Return what a program prints in which nobody has used an operator yet."""
    command = [sys.executable, "-c", program]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=60
    ).stdout.strip()


def test_operators_with_values_of_a_form_are_loaded_when_they_are_used() -> None:
    """The comparisons of Python do without them, and imports take less time."""
    program = (
        "import sys\n"
        "from flipper import Condition\n"
        "def loaded(): return 'flipper.conditions.operators.dates' in sys.modules\n"
        "print(Condition(plan='pro', seats__gt=10).check(plan='pro', seats=11))\n"
        "print(loaded())\n"
        "print(Condition(born__before='2000-01-01').check(born='1999-01-01'))\n"
        "print(loaded())\n"
    )
    assert run_in_new_process(program).split() == ["True", "False", "True", "True"]


@pytest.mark.parametrize(
    "change",
    [
        "Operator.OPERATOR_MAP['gt'] = Never",
        "Operator.OPERATOR_MAP = {**Operator.OPERATOR_MAP, 'gt': Never}",
        "Operator.OPERATOR_MAP = {'gt': Never}",
        "Operator = type('Own', (Operator,), {'OPERATOR_MAP': {'gt': Never}})",
        "mock.patch.dict(Operator.OPERATOR_MAP, gt=Never).start()",
        "mock.patch.object(Operator, 'OPERATOR_MAP', {'gt': Never}).start()",
    ],
)
def test_a_table_that_is_changed_before_its_first_use_is_used(change: str) -> None:
    """The table is an attribute like any other, although it is made late."""
    program = (
        "from unittest import mock\n"
        "from flipper.conditions.operators import Operator\n"
        "from flipper.conditions.operators.interface import AbstractOperator\n"
        "class Never(AbstractOperator):\n"
        "    SYMBOL = 'gt'\n"
        "    def compare(self, expected, actual): return False\n"
        f"{change}\n"
        "print(type(Operator.factory('gt')).__name__)\n"
    )
    assert run_in_new_process(program) == "Never"


def test_the_table_is_made_when_it_is_first_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has all operators, and all checks share an instance of each."""
    table = Operator.OPERATOR_MAP
    monkeypatch.delattr(Operator, "OPERATOR_MAP")
    monkeypatch.setattr(module, "_all_operators", dict(module._BY_SIGN))
    monkeypatch.setattr(module, "_SHARED", {kind: kind() for kind in module._SIGNS})
    assert type(Operator.factory("gt")) is GreaterThanOperator
    assert "OPERATOR_MAP" not in vars(Operator)
    assert type(Operator.factory("before")) is table["before"]
    assert "OPERATOR_MAP" in vars(Operator)
    assert table == Operator.OPERATOR_MAP
    for kind in table.values():
        shared = shared_operator(kind())
        assert type(shared) is kind
        assert is_shared(shared)
    # Threads that read it at the same time get the same operators.
    monkeypatch.delattr(Operator, "OPERATOR_MAP")
    assert table == Operator.OPERATOR_MAP
    assert shared_operator(kind()) is shared
    program = (
        "from unittest import mock\n"
        "from flipper import Condition\n"
        "from flipper.conditions.operators import Operator\n"
        "condition = Condition(a__startswith='b')\n"
        "condition.check(a='b')\n"
        "kind = Operator.OPERATOR_MAP['startswith']\n"
        "with mock.patch.object(kind, 'compare', return_value='mine'):\n"
        "    print(condition.check(a='c'))\n"
    )
    assert run_in_new_process(program) == "True"


def test_an_unknown_attribute_of_the_class_is_an_error() -> None:
    """Only the table is made when it is first read."""
    with pytest.raises(AttributeError, match="'Operator' has no attribute 'MAP'"):
        Operator.MAP  # type: ignore[attr-defined]  # noqa: B018


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
