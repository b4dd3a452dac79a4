# SPDX-License-Identifier: Apache-2.0
"""Every way to ask about a flag with rules gives the answer of the naive evaluator.

`FLIPPER_TEST_EXAMPLES=10000 pytest tests/rules/test_rules_property.py` tries more,
and `--hypothesis-seed=N` repeats a run.
"""

from __future__ import annotations

import contextlib
import copy
import json
import logging
from datetime import datetime
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from hypothesis import example, given, note
from hypothesis import strategies as st

from flipper import FeatureFlagClient, MemoryFeatureFlagStore
from flipper.bucketing import LinearRampPercentage, Schedule
from flipper.bucketing.percentage import linear_ramp_percentage, schedule
from flipper.conditions import Condition
from flipper.conditions.expression import AllOf, AnyOf, Not
from flipper.conditions.operators import Operator
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.exceptions import InvalidArgumentError, PrerequisiteCycleError
from flipper.explanation import Reason
from flipper.rules import Rollout, Rule, Rules, Split
from support.answers import DEFAULT
from support.copies import pickled
from support.naive_evaluator import COMPARISONS
from support.naive_rules import CircleError, NaiveRules
from test_evaluation_property import (
    MADE_OPERATORS,
    NOW,
    PLAIN_OPERATORS,
    clock,
    condition_of,
    givens,
    is_same,
    outcome,
    replacements,
    try_flags,
    values,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module", autouse=True)
def _stopped_clock() -> Iterator[None]:
    """Stop the clock of percentages, and log nothing."""
    log = logging.getLogger("flipper.client")
    clock.now.return_value = datetime.fromtimestamp(NOW)  # noqa: DTZ006
    with (
        patch.object(linear_ramp_percentage, "datetime", clock),
        patch.object(schedule, "time", lambda: NOW),
        patch.object(log, "disabled", new=True),
    ):
        yield


# Arguments

FLAGS = ["x", "y", "z"]
NAMES = ["a", "b", "user_id", "user.id", "user.plan", "user.deep.a", ".", "self", "é"]
names = st.sampled_from(NAMES)
users: st.SearchStrategy[Any] = st.one_of(
    st.integers(-3, 300),
    st.integers(0, 300).map(lambda number: f"user-{number}"),
    st.sampled_from([None, True, "", 0.5, [1, "a"], {"b": 1, "a": 2}, {1}, "\ud800"]),
)
nested = st.fixed_dictionaries(
    {},
    optional={
        "id": users,
        "plan": givens,
        "deep": st.dictionaries(st.just("a"), givens, max_size=1) | givens,
    },
)
calls = st.fixed_dictionaries(
    {},
    optional={
        "a": givens,
        "b": givens,
        "user_id": users,
        "user": nested | givens,
        "user.plan": givens,
        "user.id": users,
        "self": givens,
        "é": givens,
    },
)

# Expressions

plain_checks = st.tuples(names, st.sampled_from(PLAIN_OPERATORS), values)
made_checks = st.sampled_from(list(MADE_OPERATORS)).flatmap(
    lambda symbol: st.tuples(names, st.just(symbol), MADE_OPERATORS[symbol])
)
VARIANTS = ["blue", "green", "red"]
variants = st.sampled_from(VARIANTS)
flag_checks = st.one_of(
    st.tuples(st.sampled_from([*FLAGS, "missing"]), st.just("enabled"), st.booleans()),
    st.tuples(
        st.sampled_from(FLAGS),
        st.just("variant"),
        variants | st.lists(variants, max_size=2),
    ),
)
easy_checks = st.tuples(
    st.sampled_from(["a", "b", "user.plan"]),
    st.sampled_from([None, "ne", "in", "not_in"]),
    st.sampled_from(["a", "b", "ab"]),
)
checks = st.one_of(easy_checks, plain_checks, made_checks, flag_checks)
conditions = st.lists(checks, max_size=3).map(condition_of)
by = st.sampled_from(["user_id", "user.id", ("a", "user_id"), ("user.id", "user_id")])
seeds = st.sampled_from([None, None, "", "seed", "x"])
hashes = st.sampled_from([None, None, "flipper-rb"])
fractions = st.integers(0, 1000).map(lambda number: number / 1000)
percentages = st.one_of(
    st.builds(
        LinearRampPercentage,
        fractions,
        fractions,
        st.sampled_from([0, 60, 3600]),
        st.integers(-4000, 4000).map(lambda seconds: int(NOW) + seconds),
    ),
    st.lists(st.tuples(st.integers(-3, 3), fractions), min_size=1, max_size=3).map(
        lambda made: Schedule(
            sorted({NOW + when * 60: share for when, share in made}.items())
        )
    ),
)


def ranges_of(bounds: list[float]) -> list[tuple[float, float]]:
    """Pair sorted bounds to ranges that do not overlap."""
    bounds = sorted(bounds)
    return list(zip(bounds[::2], bounds[1::2], strict=False))


bounds = st.lists(fractions, max_size=6, unique=True)
shares = st.one_of(fractions, fractions, percentages, bounds.map(ranges_of))
rollouts = st.builds(Rollout, shares, by, seeds, hashes)


def split_of(bounds: list[float], by_ranges: bool, *rest: Any) -> Split:
    """Make a split of up to three variants."""
    ranges = ranges_of(bounds)
    if by_ranges:
        return Split({name: ranges[n::3] for n, name in enumerate(VARIANTS)}, *rest)
    widths = [(end - start) for start, end in ranges] or [0.25]
    return Split(
        {name: round(width, 3) for name, width in zip(VARIANTS, widths, strict=False)},
        *rest,
    )


splits = st.builds(split_of, bounds, st.booleans(), by, seeds, hashes)
expressions: Any = st.recursive(
    conditions | rollouts,
    lambda parts: st.one_of(
        parts.map(Not),
        st.lists(parts, max_size=3).map(lambda some: AllOf(*some)),
        st.lists(parts, max_size=3).map(lambda some: AnyOf(*some)),
    ),
    max_leaves=5,
)

# Flags

serves = st.one_of(st.booleans(), variants, rollouts, splits)
rule_list = st.lists(
    st.builds(Rule, st.none() | expressions | expressions, serves), max_size=4
)
all_rules = st.builds(
    Rules,
    rule_list,
    serves,
    st.none() | st.just({"blue": 1, "green": {"c": [1]}, "red": None}),
    st.none() | variants,
)


def flag_of(state: bool, gate: list[Condition], rules: Rules | None) -> Any:
    """Return a function that makes a flag of this name."""

    def make(name: str) -> FeatureFlagStoreItem:
        meta = FeatureFlagStoreMeta(1, {"data": 1}, conditions=list(gate))
        meta.set_rules(rules)
        return FeatureFlagStoreItem(name, state, meta)

    return make


states = st.sampled_from([True, True, True, True, False])
gates = st.sampled_from([0, 0, 0, 1, 2]).flatmap(
    lambda count: st.lists(conditions, min_size=count, max_size=count)
)
flags = st.builds(flag_of, states, gates, all_rules)
others = st.builds(flag_of, states, gates, st.none() | all_rules)
worlds = st.tuples(flags, others, others).map(
    lambda makes: [make(name) for make, name in zip(makes, FLAGS, strict=True)]
)

# Answers


def store_of(items: list[FeatureFlagStoreItem]) -> MemoryFeatureFlagStore:
    """Return a store that has these flags, circles among them too."""
    store = MemoryFeatureFlagStore()
    for item in items:
        assert store.create_whole(item)
    return store


def plain_of(items: list[FeatureFlagStoreItem]) -> dict[str, Any]:
    """Return what the naive evaluator works on."""
    return {item.feature_name: item.to_dict() for item in items}


def check_answers(
    items: list[FeatureFlagStoreItem], call: dict[str, Any], naive: NaiveRules
) -> None:
    """Check that all ways to ask about a flag agree with the naive evaluator."""
    note(f"{naive.flags}, asked with {call}")
    client = FeatureFlagClient(store_of(items))
    raising = FeatureFlagClient(store_of(items), on_error="raise")
    everything = client.evaluate_all(**call)
    assert everything == client.evaluate_all(names=FLAGS, **call)
    assert json.loads(json.dumps(everything)) == everything
    for name in FLAGS:
        expected = outcome(naive.serve, name, call)
        is_error = isinstance(expected, tuple) and len(expected) == 2
        for _ in range(2):  # the first question compiles
            answer = client.is_enabled(name, DEFAULT, **call)
            told = client.explain(name, DEFAULT, **call)
            value = client.variant(name, DEFAULT, **call)
            assert is_same(told.enabled, answer)
            if is_error:
                assert answer is value is DEFAULT
                assert everything[name] is False
                assert told.reason is Reason.ERROR
                error = told.error
                if expected[0] is CircleError:
                    assert type(error) is PrerequisiteCycleError
                else:
                    assert (type(error), str(error)) == expected
                raised = outcome(raising.is_enabled, name, **call)
                assert raised == (type(error), str(error))
                continue
            assert answer is expected.is_on
            assert raising.is_enabled(name, **call) is expected.is_on
            is_plain_off = not expected.is_on and expected.variant is None
            assert value == (DEFAULT if is_plain_off else expected.value)
            assert is_same(everything[name], expected.value)
            assert told.reason is Reason(expected.reason)
            assert told.rule_number == expected.rule_number
            if told.reason in (Reason.RULE, Reason.NO_RULE_MATCHED):
                assert told.variant == expected.variant
                assert told.bucket == expected.bucket
            assert str(told)


@try_flags
@given(worlds, st.lists(calls, min_size=1, max_size=3))
def test_every_answer_is_that_of_the_naive_evaluator(
    items: list[FeatureFlagStoreItem], asked: list[dict[str, Any]]
) -> None:
    """`is_enabled`, `explain`, `variant` and `evaluate_all` give its answers."""
    for call in asked:
        check_answers(items, call, NaiveRules(plain_of(items), NOW))


@try_flags
@given(worlds, calls)
def test_a_stored_flag_answers_by_what_was_stored(
    items: list[FeatureFlagStoreItem], call: dict[str, Any]
) -> None:
    """Flags that were written and read, copied or pickled answer by their own data."""
    copies = [[copy.copy(item) for item in items], [pickled(item) for item in items]]
    # JSON cannot express some values.
    with contextlib.suppress(InvalidArgumentError):
        copies.append(
            [FeatureFlagStoreItem.deserialize(item.serialize()) for item in items]
        )
    for each in copies:
        check_answers(each, call, NaiveRules(plain_of(each), NOW))


def _is_deep(argument: Any, _: Any) -> bool:
    """Compare as no operator does."""
    return bool(argument == "deep")


_BY_PATH = Rules([Rule(Condition(**{"user.plan__exists": True}))])
EXISTS_BY_PATH = [flag_of(True, [], _BY_PATH)(name) for name in FLAGS]


@try_flags
@given(worlds, st.sampled_from(list(COMPARISONS)), replacements, st.booleans(), calls)
@example(EXISTS_BY_PATH, "exists", _is_deep, True, {"user": {"plan": "deep"}})
def test_a_replaced_comparison_is_called(
    items: list[FeatureFlagStoreItem],
    operator: str | None,
    replacement: Any,
    in_class: bool,
    call: dict[str, Any],
) -> None:
    """Rules call it from then on until it is put back, in a class and in an object."""
    plain = plain_of(items)
    check_answers(items, call, NaiveRules(plain, NOW))
    replaced = NaiveRules(plain, NOW, {**COMPARISONS, operator: replacement})
    kind = Operator.OPERATOR_MAP[operator]
    if in_class:
        with patch.object(kind, "compare", lambda _, *pair: replacement(*pair)):
            check_answers(items, call, replaced)
    check_answers(items, call, NaiveRules(plain, NOW))
