# SPDX-License-Identifier: Apache-2.0
"""Rules as values: what they accept, and how they are written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from test_rules_property import all_rules, expressions

from flipper.bucketing import LinearRampPercentage, Schedule
from flipper.conditions import Condition
from flipper.conditions.expression import AllOf, AnyOf, Not, depth_of
from flipper.exceptions import InvalidArgumentError
from flipper.rules import Rollout, Rule, Rules, Split
from flipper.rules.plain import (
    InvalidRulesError,
    expression_from_plain,
    expression_to_plain,
)
from support.copies import every_copy, pickled
from support.fuzz import PHASES

if TYPE_CHECKING:
    from collections.abc import Callable

A, B, C = Condition(a=1), Condition(b=2), Condition(c=3)
SHARE = Rollout(0.125, by="user_id")
SPLIT = Split({"blue": 0.5, "green": 0.25}, by="user_id")
NAMES = {
    "AllOf": AllOf,
    "Condition": Condition,
    "LinearRampPercentage": LinearRampPercentage,
    "Rollout": Rollout,
    "Rule": Rule,
    "Rules": Rules,
    "Schedule": Schedule,
    "Split": Split,
}
CODE = [
    "Rule(None, True)",
    "Rule(Condition(a=1), False, name='staff')",
    "Rule(Condition(a=1) & ~Condition(b=2) | Condition(c=3), 'blue')",
    "Rule(Condition(a=1) & (Condition(b=2) | Condition(c=3)), True)",
    "Rule(~(Condition(a=1) & Condition(b=2)), True)",
    "Rule(~~Condition(a=1), True)",
    "Rule(Condition(age__gte=18, age__lt=65), True)",
    "Rule(Condition(**{'user.plan__in': ['pro', \"it's\"]}), True)",
    "Rule(Rollout(0.1, by='user_id') & Condition(a=1), True)",
    "Rule(None, Rollout([(0.1, 0.2), (0.5, 1)], by=('a', 'b'), seed='s'))",
    "Rule(None, Split({'blue': 0.5, 'green': 0.25}, by='user_id'))",
    "Rules([])",
    "Rules([Rule(None, 'a')], otherwise='b', variants={'a': [1], 'b': 0}, off='b')",
]


@pytest.mark.parametrize("code", CODE)
def test_the_repr_is_the_code_that_makes_it(code: str) -> None:
    """What a log or a terminal shows can be copied into a program."""
    made = eval(code, NAMES)  # noqa: S307  (of this file)
    assert repr(made) == code


@settings(deadline=None, phases=PHASES, max_examples=50)
@given(expressions)
def test_expressions_survive_as_plain_data(expression: Any) -> None:
    """Their plain data makes an expression with the same plain data."""
    plain = expression_to_plain(expression)
    if depth_of(expression) <= 20:
        assert repr(expression_to_plain(expression_from_plain(plain))) == repr(plain)


def test_a_condition_is_plain_data_with_keywords() -> None:
    """It is a list of checks if a keyword would mean something else."""
    assert expression_to_plain(Condition(a=1, age__gt=5)) == {"a": 1, "age__gt": 5}
    for variable in ("any", "a__b"):
        checks = {
            "x": [{"variable": variable, "value": 1, "operator": None}],
            "age": [{"variable": "age", "value": 5, "operator": "gt"}],
        }
        assert expression_to_plain(Condition.from_dict(checks)) == [
            {"variable": variable, "value": 1},
            {"variable": "age", "operator": "gt", "value": 5},
        ]
    twice = [{"variable": "a", "value": value, "operator": None} for value in (1, 2)]
    assert expression_to_plain(Condition.from_dict({"a": twice})) == [
        {"variable": "a", "value": 1},
        {"variable": "a", "value": 2},
    ]


@settings(deadline=None, phases=PHASES, max_examples=50)
@given(all_rules)
def test_rules_survive_as_plain_data_and_as_code(rules: Rules) -> None:
    """Their plain data, their JSON, their code and their pickle make equal rules."""
    plain = rules.to_dict()
    made = Rules.from_dict(plain)
    assert repr(made.to_dict()) == repr(plain)
    assert repr(made) == repr(rules)
    assert repr(pickled(rules)) == repr(rules)
    try:
        text = json.dumps(plain, allow_nan=False)
    except (TypeError, ValueError):
        return  # a value of a check that no store can keep, or that equals nothing
    assert json.dumps(Rules.from_dict(json.loads(text)).to_dict()) == text


# Operators


def test_expressions_are_combined_by_operators() -> None:
    """`&` binds before `|`, and parts of the same kind become one expression."""
    combined = A & B | ~C
    assert type(combined) is AnyOf
    both, other = combined.parts
    assert type(both) is AllOf
    assert both.parts == (A, B)
    assert type(other) is Not
    assert other.part is C
    assert (A & B & C).parts == (A, B, C)  # type: ignore[attr-defined]
    assert (A | (B | C)).parts == (A, B, C)  # type: ignore[attr-defined]
    assert (SHARE & A).parts == (SHARE, A)  # type: ignore[attr-defined]
    assert repr(combined) == "<Condition a> & <Condition b> | ~<Condition c>"
    assert repr(~C) == "~<Condition c>"


@pytest.mark.parametrize(
    "combine",
    [
        lambda: A & True,
        lambda: A | {"b": 2},
        lambda: AllOf(A, None),
        lambda: Not("a"),
        lambda: A & SPLIT,
    ],
)
def test_only_expressions_can_be_combined(combine: Callable[[], object]) -> None:
    """The error says how expressions are made."""
    with pytest.raises(InvalidArgumentError, match=r"is not an expression; combine"):
        combine()


def _nested(depth: int) -> Any:
    expression: Any = A
    for _ in range(depth - 1):
        expression = ~expression
    return expression


def test_an_expression_is_at_most_twenty_levels_deep() -> None:
    """A deeper one could end the interpreter, so it is refused, in plain data too."""
    Rule(_nested(20))
    for depth in (21, 100_000):
        with pytest.raises(InvalidArgumentError, match="more than 20 levels deep"):
            Rule(_nested(depth))
    plain: Any = {"a": 1}
    for _ in range(19):
        plain = {"not": plain}
    assert Rule.from_dict({"when": plain, "serve": True}) == Rule(_nested(20))
    for _ in range(3):
        plain = {"not": plain}
        with pytest.raises(InvalidRulesError, match="more than 20 levels deep"):
            Rule.from_dict({"when": plain, "serve": True})


def test_the_depth_of_an_expression_is_that_of_its_deepest_part() -> None:
    """A condition alone has the depth 1, and a combination of nothing, too."""
    for expression, depth in [
        *((A, 1), (SHARE, 1), (AllOf(), 1), (~A, 2), (A & B & C, 2), (A | ~B, 3)),
        *((~(A & B), 3), (A & (B | C), 3), ((A | ~~B) & C, 5), (C & (~~B | A), 5)),
    ]:
        assert depth_of(expression) == depth


def test_a_flag_has_at_most_a_thousand_rules() -> None:
    """The error says what to do instead."""
    assert len(Rules([Rule(A)] * 1000)) == 1000
    with pytest.raises(InvalidArgumentError, match="1001 rules; use 1000 at most"):
        Rules([Rule(A)] * 1001)


# Mistakes

Loud = type("Loud", (Condition,), {})
MISTAKES: dict[str, tuple[Callable[[], object], Any, str]] = {
    "when-dict": (lambda: Rule({"a": 1}), {"a": 1}, "combine conditions"),  # type: ignore[arg-type]
    "when-true": (lambda: Rule(True), True, "is not an expression"),  # type: ignore[arg-type]
    "when-split": (lambda: Rule(SPLIT), SPLIT, "is not an expression"),  # type: ignore[arg-type]
    "serve-1": (lambda: Rule(A, 1), 1, "use True, False, the name of a variant"),
    "serve-none": (lambda: Rule(A, None), None, "cannot serve None"),  # type: ignore[arg-type]
    "serve-empty": (lambda: Rule(A, ""), "", "is empty; give it a name"),
    "serve-condition": (lambda: Rule(A, B), B, "cannot serve"),  # type: ignore[arg-type]
    "name": (lambda: Rule(A, True, 1), 1, "is not text"),  # type: ignore[arg-type]
    "one-rule": (lambda: Rules(Rule(A)), Rule(A), "is not a list of rules"),  # type: ignore[arg-type]
    "no-rule": (lambda: Rules([A]), A, "is not a rule; use Rule("),  # type: ignore[list-item]
    "otherwise": (lambda: Rules([], None), None, "cannot serve None"),  # type: ignore[arg-type]
    "variants-list": (lambda: Rules([], variants=["a"]), ["a"], "a dict of names"),  # type: ignore[arg-type]
    "variants-value": (
        lambda: Rules([], variants={"a": {1}}),
        {"a": {1}},
        "that JSON can express",
    ),
    "variants-name": (lambda: Rules([], variants={1: 2}), 1, "is not text"),  # type: ignore[dict-item]
    "variants-empty": (lambda: Rules([], variants={"": 2}), "", "is empty"),
    "off-true": (lambda: Rules([], off=True), True, "off=True is not the name"),  # type: ignore[arg-type]
    "off-empty": (lambda: Rules([], off=""), "", "is not the name of a variant"),
    "unknown": (
        lambda: Rules([Rule(A, "bleu")], variants={"blue": 1}),
        "bleu",
        "did you mean 'blue'",
    ),
    "unknown-off": (
        lambda: Rules([], off="x", variants={"blue": 1}),
        "x",
        "there are 'blue'",
    ),
    "unknown-split": (
        lambda: Rules([], SPLIT, variants={"blue": 1}),
        "green",
        "'green' is not among the variants",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_named_with_its_value_and_the_remedy(case: str) -> None:
    """At the place where it is made, and not when a flag is asked for."""
    make, value, text = MISTAKES[case]
    with pytest.raises(InvalidArgumentError) as raised:
        make()
    assert text in str(raised.value)
    assert raised.value.value == value or raised.value.value is value


def test_a_condition_of_a_subclass_is_refused() -> None:
    """A store would keep its checks, but not what the class does."""
    with pytest.raises(InvalidArgumentError, match="rules cannot store; use Condition"):
        Rule(A & Loud(b=1))


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ([], "the rules: [] cannot be used; write a table with rules, otherwise"),
        ({"rule": []}, "the rules: 'rule' is unknown; did you mean 'rules'?"),
        ({"rules": [{}]}, "rules[0]: 'serve' is missing; add it"),
        (
            {
                "rules": [
                    {"serve": True},
                    {"when": {"any": [{"a__near": 1}]}, "serve": 1},
                ]
            },
            "rules[1].when.any[0]: ",
        ),
        (
            {"rules": [{"when": {"a__b__near": 1}, "serve": True}]},
            "rules[0].when: 'a__b__near' has no operator that is known",
        ),
        ({"rules": [{"serve": 0.5}]}, "rules[0].serve: 0.5 cannot be used; write true"),
        (
            {"rules": [{"serve": {"rollout": 50, "by": "a"}}]},
            "rules[0].serve: The share",
        ),
        (
            {"rules": [], "otherwise": "red", "variants": {"blue": 1}},
            "the rules: The var",
        ),
        ({"rules": [], "variants": []}, "variants: [] cannot be used; write a table"),
        (
            {"rules": [{"when": [{"variable": "a", "op": 1}], "serve": True}]},
            "rules[0].when[0]: 'op' is unknown; use variable, operator, value",
        ),
    ],
)
def test_a_mistake_in_plain_data_is_named_with_its_place(
    plain: Any, message: str
) -> None:
    """As keys and indexes, from the outside to the inside."""
    with pytest.raises(InvalidRulesError) as raised:
        Rules.from_dict(plain)
    assert str(raised.value).startswith(message)


# Values


def test_rules_are_equal_if_they_say_the_same() -> None:
    """Their order counts, and so does every part of them."""
    rules = Rules([Rule(A, "blue"), Rule(B)], SPLIT, {"blue": 1, "green": 2}, "green")
    assert rules == Rules(
        [Rule(A, "blue"), Rule(B)], SPLIT, {"blue": 1, "green": 2}, "green"
    )
    assert rules != Rules(list(rules)[::-1], SPLIT, {"blue": 1, "green": 2}, "green")
    assert rules != Rules(list(rules), False, {"blue": 1, "green": 2}, "green")
    assert Rule(A) != Rule(B)
    assert Rule(A) != "Rule"
    assert Rules() != []
    assert rules[1] == Rule(B)
    assert len(rules) == 2
    assert bool(Rules()) is True


def test_the_values_of_variants_are_copies() -> None:
    """Nobody can change the rules through what they were made of or give."""
    given_values = {"blue": {"sizes": [1]}}
    rules = Rules([Rule(None, "blue")], variants=given_values)
    given_values["blue"]["sizes"].append(2)
    assert rules.variants is not None
    rules.variants["blue"]["sizes"].append(3)
    rules.value_of("blue")["sizes"].append(4)
    rules.to_dict()["variants"]["blue"]["sizes"].append(5)
    assert rules.value_of("blue") == {"sizes": [1]}
    assert Rules().value_of("any name") == "any name"


@pytest.mark.parametrize("name", ["when", "serve", "name", "new"])
def test_a_rule_cannot_be_changed(name: str) -> None:
    """Flags share it, and threads do."""
    rule = Rule(A, "blue", "first")
    with pytest.raises(AttributeError, match="class Rule cannot be changed; make a"):
        setattr(rule, name, None)
    with pytest.raises(AttributeError, match="class Rule cannot be changed"):
        delattr(rule, name)
    assert rule == Rule(A, "blue", "first")


@pytest.mark.parametrize("name", ["otherwise", "off", "variants", "_rules", "new"])
def test_rules_cannot_be_changed(name: str) -> None:
    """A flag would answer by its old rules, which are compiled, and show the new."""
    rules = Rules([Rule(A, "blue")], variants={"blue": 1})
    with pytest.raises(AttributeError, match="class Rules cannot be changed; make a"):
        setattr(rules, name, None)
    with pytest.raises(AttributeError, match="class Rules cannot be changed"):
        delattr(rules, name)
    assert rules == Rules([Rule(A, "blue")], variants={"blue": 1})


@every_copy
def test_rules_can_be_copied(duplicate: Callable[[Any], Any]) -> None:
    """As part of an item they travel between processes."""
    rules = Rules([Rule(A & ~SHARE | B, SPLIT, "x")], variants={"blue": 1, "green": 2})
    assert duplicate(rules) == rules
    assert repr(duplicate(rules)) == repr(rules)
