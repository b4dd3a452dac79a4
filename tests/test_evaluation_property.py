# SPDX-License-Identifier: Apache-2.0
"""Every way to ask about a flag gives the answer of the naive evaluator.

`FLIPPER_TEST_EXAMPLES=20000 pytest tests/test_evaluation_property.py` tries more flags,
and `--hypothesis-seed=N` repeats a run.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import math
import os
import random
from datetime import date, datetime, timezone
from decimal import Decimal
from fractions import Fraction
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock, patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flipper import FeatureFlagClient, MemoryFeatureFlagStore
from flipper.bucketing import (
    ConsistentHashPercentageBucketer,
    LinearRampPercentage,
    NoOpBucketer,
    Percentage,
    PercentageBucketer,
)
from flipper.conditions import Condition
from flipper.conditions.check import Check
from flipper.conditions.operators import Operator
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.exceptions import InvalidArgumentError
from flipper.explanation import Reason
from support.answers import DEFAULT
from support.copies import pickled
from support.fuzz import PHASES
from support.naive_evaluator import COMPARISONS, Answer, NaiveEvaluator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EXAMPLES = int(os.environ.get("FLIPPER_TEST_EXAMPLES", "100"))
NOW = 1_700_000_000.25  # binary fractions, so that differences of times are exact

pytestmark = pytest.mark.usefixtures("_clock")
try_flags = settings(
    max_examples=EXAMPLES,
    phases=PHASES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


clock = MagicMock(fromtimestamp=datetime.fromtimestamp)


@pytest.fixture(scope="module")
def _clock() -> Iterator[None]:
    """Stop the clock of ramps, as suites for flipper-client do, and log nothing."""
    clock.now.return_value = datetime.fromtimestamp(NOW)  # noqa: DTZ006
    module = "flipper.bucketing.percentage.linear_ramp_percentage"
    log = logging.getLogger("flipper.client")
    with patch(f"{module}.datetime", clock), patch.object(log, "disabled", new=True):
        yield


# Values


class Raises:
    """A value whose comparisons fail."""

    def __repr__(self) -> str:
        return "Raises()"

    def __eq__(self, other: object) -> bool:
        raise ArithmeticError("==")

    def __gt__(self, other: object) -> bool:
        raise ArithmeticError(">")

    __hash__ = None  # type: ignore[assignment]


class Vague:
    """A value whose comparisons give no `bool`, as those of NumPy do."""

    def __init__(self, results: Any) -> None:
        self.results = results

    def __repr__(self) -> str:
        return f"Vague({self.results!r})"

    def __eq__(self, other: object) -> Any:
        return self.results

    __ne__ = __lt__ = __le__ = __eq__
    __hash__ = None  # type: ignore[assignment]


class Folded(str):
    """A text that equals itself in capitals."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and self.lower() == other.lower()

    def __hash__(self) -> int:
        return hash(self.lower())


NAMES = [
    "a",
    "b",
    "user_id",
    "user__age",
    "self",
    "feature_name",
    "context",
    "randomizer",
]
NAMES += ["", "é", 'it\'s "x"\\\n{a}']
SCALARS = [
    0,
    1,
    2,
    3,
    4,
    5,
    -1,
    10**30,
    True,
    False,
    None,
    0.0,
    -0.0,
    0.5,
    1.0,
    math.nan,
]
SCALARS += [math.inf, "", "a", "A", "b", "ab", "1", "é", "\ud800", '"\\\n']
ODD = [b"a", Raises(), Vague([]), Vague("yes"), Vague(Raises()), Folded("A"), {1, 2}]
ODD += [Fraction(1, 2), Decimal("0.5"), Decimal("NaN"), 1j]
# What the operators for texts, dates, versions, numbers, addresses and lists look for.
FORMED: list[Any] = [
    *("1.0.0", "v1.0.0-a.2", "2.10.0", "1.0", "01.0.0", "1.0.0-a..b", "Ab", "aB1", "ß"),
    *("1970-01-01", "1970-01-01T00:00:01Z", "1970-01-01T00:00:01", "1970-02-30"),
    *("10.1.2.3", "::ffff:10.0.0.1", "2001:db8::1", "10.1.2", "010.1.2.3", " 2", "1_0"),
    *("0.5", "+1", "nan", "inf", "1e400", "1e1", "٣", date(1970, 1, 1), ip_address(1)),
    *(datetime(1970, 1, 1), datetime(1970, 1, 2, tzinfo=timezone.utc)),  # noqa: DTZ001
    *(["a", "b"], ("b",), {"a"}, frozenset("bc"), ["a", 1], [["a"]], [Raises()]),
]

names = st.sampled_from(NAMES)
scalars = st.sampled_from(SCALARS)
plain = st.one_of(
    scalars,
    st.lists(scalars, max_size=8),
    st.lists(st.sampled_from([0, 1, 2, 3, 4, 10**30]), min_size=4, max_size=7),
    st.lists(st.sampled_from(["a", "b", "c", "ab", ""]), min_size=4, max_size=7),
    st.lists(scalars, max_size=6).map(tuple),
    st.dictionaries(st.sampled_from(["a", "b"]), scalars, max_size=2),
)
values = st.one_of(plain, plain, plain, st.sampled_from(ODD))
givens = st.one_of(values, st.sampled_from(FORMED))
arguments = st.dictionaries(names, givens, max_size=5).flatmap(
    # In any order, and with a source of random numbers in some calls.
    lambda made: st.permutations(list(made.items())).map(dict)
)
times = st.sampled_from([-3600, -60, 0, 0.5, 60, 3600]).map(lambda later: NOW + later)
draws = st.sampled_from([0.0, 0.01, 0.32, 0.5, 0.94, 0.999])


def with_randomizer(made: dict[str, Any], number: float | None) -> dict[str, Any]:
    """Give a call the function that a random bucketer draws its number from."""
    return made if number is None else {**made, "randomizer": lambda: number}


calls = st.builds(with_randomizer, arguments, st.none() | draws)


# Flags


def condition_of(checks: list[tuple[str, str | None, Any]]) -> Condition:
    """Make a condition with checks on any names."""
    made: dict[str, list[dict[str, Any]]] = {}
    for variable, operator, value in checks:
        fields = {"variable": variable, "operator": operator, "value": value}
        made.setdefault(variable, []).append(fields)
    return Condition.from_dict(made)


operators = st.sampled_from(list(COMPARISONS))
# The operators that take any value, and values for those that do not.
PLAIN_OPERATORS = [None, "ne", "gt", "gte", "lt", "lte", "in", "not_in"]
PARTS = ["", "a", "A", "b", "ab", "1", "é", "É", "ss", "\ud800"]
VERSIONS = ["1.0.0", "1.0.0-a.1", "1.0.0-a.10", "v1.0.0+b", "2.10.0", "2.9.0"]
INSTANTS: list[Any] = [0, 0.5, "1970-01-01", "1970-01-01T00:00:01Z", 10**30]
INSTANTS += ["1970-01-01T01:00:00+01:00"]
NUMBERS: list[Any] = [0, 1, "1", 0.5, "0.5", "-1", 10**30, " 2 ", "1e1"]
NETWORKS = ["10.0.0.0/8", "10.1.2.3", "::/0", "2001:db8::/32", "::ffff:0:0/96"]
MADE_OPERATORS: dict[str, Any] = {
    **dict.fromkeys(
        ["startswith", "endswith", "contains", "istartswith", "iendswith", "icontains"],
        st.sampled_from(PARTS) | st.lists(st.sampled_from(PARTS), max_size=3),
    ),
    "matches": st.sampled_from(["a", "^a", "(a|b)+1?", "^$", "(?i)^[^a]", r"\d"]),
    **dict.fromkeys(["before", "after"], st.sampled_from(INSTANTS)),
    **dict.fromkeys(
        [f"semver_{sign}" for sign in ("eq", "gt", "gte", "lt", "lte")],
        st.sampled_from(VERSIONS),
    ),
    **dict.fromkeys(
        [f"num_{sign}" for sign in ("eq", "gt", "gte", "lt", "lte")],
        st.sampled_from(NUMBERS),
    ),
    "in_cidr": st.sampled_from(NETWORKS)
    | st.lists(st.sampled_from(NETWORKS), max_size=3),
    **dict.fromkeys(
        ["any_of", "all_of", "none_of", "iany_of", "iall_of"],
        st.lists(scalars, max_size=4) | st.lists(st.sampled_from("abA"), max_size=4),
    ),
    "has_size": st.integers(0, 3) | st.sampled_from([[0, 1], [1, None], [2, 1]]),
    "json_type": st.sampled_from(["string", "number", "boolean", "array", "object"]),
    "exists": st.booleans(),
}
assert {*PLAIN_OPERATORS, *MADE_OPERATORS} == set(COMPARISONS)
made_checks = st.sampled_from(list(MADE_OPERATORS)).flatmap(
    lambda symbol: st.tuples(names, st.just(symbol), MADE_OPERATORS[symbol])
)
plain_checks = st.tuples(names, st.sampled_from(PLAIN_OPERATORS), values)
checks = st.lists(plain_checks | made_checks, max_size=5)
conditions = checks.map(condition_of)
fractions = st.sampled_from(
    [0, 1, 0.0, 1.0, 0.01, 0.28, 0.32, 0.48, 0.5, 0.57, 0.94, 0.99, True, False]
)
odd_fractions = st.sampled_from([-1, 2, math.nan, None, "0.5", Fraction(1, 3)])
ramps = st.builds(
    LinearRampPercentage,
    fractions,
    fractions,
    st.sampled_from([-1, 0, 1, 60, 3600, 86400 * 3]),
    st.integers(-4000, 4000).map(lambda seconds: int(NOW) + seconds),
)
percentages = st.one_of(fractions, fractions, odd_fractions).map(Percentage) | ramps
bucketers = st.one_of(
    st.none(),
    st.builds(NoOpBucketer),
    st.builds(PercentageBucketer, percentages),
    st.builds(
        ConsistentHashPercentageBucketer,
        key_whitelist=st.lists(names, max_size=2) | st.just(["user_id"]),
        percentage=percentages,
    ),
)


def flag_of(state: Any, conditions: list[Condition], bucketer: Any) -> Any:
    """Make a flag."""
    meta = FeatureFlagStoreMeta(1, conditions=conditions, bucketer=bucketer)
    return FeatureFlagStoreItem("x", state, meta)


states = st.sampled_from([True, True, True, True, 1, "yes", False, None, 0])
flags = st.builds(flag_of, states, st.lists(conditions, max_size=3), bucketers)


# Answers


class OneFlag(MemoryFeatureFlagStore):
    """A store that gives a certain item, which it would refuse to store."""

    def __init__(self, item: FeatureFlagStoreItem) -> None:
        super().__init__()
        self.item = item

    def get(self, feature_name: str) -> FeatureFlagStoreItem:
        """Give the item."""
        return self.item


def outcome(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Return the result or the error, with the same random numbers each time."""
    random.seed(7)
    try:
        return function(*args, **kwargs)
    except Exception as error:  # noqa: BLE001  (any error is an outcome)
        return type(error), str(error)


def is_same(found: Any, expected: Any) -> bool:
    """Return whether two results are the same, also if they are NaN."""
    return type(found) is type(expected) and repr(found) == repr(expected)


def is_same_fraction(found: Any, expected: Any) -> bool:
    """Return whether two fractions are equal; one may be 1 and the other 1.0."""
    return bool(found == expected) or repr(found) == repr(expected)


def check_explanation(told: Any, expected: Answer) -> None:
    """Check every field of an `Evaluation`."""
    assert is_same(told.enabled, expected.enabled)
    assert told.reason is Reason(expected.reason)
    assert is_same(told.check and told.check.to_dict(), expected.check)
    assert is_same_fraction(told.bucket, expected.bucket)
    assert is_same_fraction(told.percentage, expected.percentage)
    assert (told.bucketer is not None) is (told.reason is Reason.BUCKETER)


def check_answers(
    item: FeatureFlagStoreItem,
    call: dict[str, Any],
    naive: NaiveEvaluator,
    *,
    knows_bucket: bool = True,
) -> None:
    """Check that all ways to ask about a flag agree with the naive evaluator."""
    clock.now.return_value = datetime.fromtimestamp(naive.now)  # noqa: DTZ006
    expected = outcome(naive.evaluate, item.to_dict(), call)
    if isinstance(expected, Answer) and not knows_bucket:
        expected = expected._replace(bucket=None, percentage=None)
    raising = FeatureFlagClient(OneFlag(item), on_error="raise")
    kind = FeatureFlagClient(OneFlag(item))
    is_answer = isinstance(expected, Answer)
    enabled = expected.enabled if is_answer else expected
    for _ in range(2):  # the first question compiles, and fills the tables of buckets
        assert is_same(outcome(item.is_enabled, **call), enabled)
        assert is_same(outcome(raising.is_enabled, "x", **call), enabled)
        default_or_answer = outcome(kind.is_enabled, "x", DEFAULT, **call)
        assert is_same(default_or_answer, enabled if is_answer else DEFAULT)
        told = outcome(kind.explain, "x", DEFAULT, **call)
        if is_answer:
            check_explanation(told, expected)
        else:
            assert told.enabled is DEFAULT
            assert told.reason is Reason.ERROR
            assert (type(told.error), str(told.error)) == expected
            assert outcome(raising.explain, "x", **call) == expected


@try_flags
@given(flags, st.lists(st.tuples(calls, times), min_size=1, max_size=4))
def test_every_answer_is_that_of_the_naive_evaluator(
    item: FeatureFlagStoreItem, asked: list[tuple[dict[str, Any], float]]
) -> None:
    """Clients and items give its answers, its reasons and its errors, at any time."""
    for call, now in asked:
        check_answers(item, call, NaiveEvaluator(now))


@pytest.mark.parametrize("symbol", MADE_OPERATORS)
@settings(try_flags, max_examples=20)
@given(st.data())
def test_every_operator_agrees_on_every_argument(
    symbol: str, data: st.DataObject
) -> None:
    """It holds exactly if the naive one holds, and it raises nothing."""
    check = Check.factory(f"a__{symbol}", data.draw(MADE_OPERATORS[symbol]))
    for argument in [*SCALARS, *ODD, *FORMED]:
        expected = bool(COMPARISONS[symbol](argument, check.value))
        assert check.check(argument) is expected, argument


@try_flags
@given(conditions, st.lists(arguments, min_size=1, max_size=4))
def test_a_condition_alone_holds_if_no_check_fails(
    condition: Condition, asked: list[dict[str, Any]]
) -> None:
    """`Condition.check` raises and returns what the naive evaluator does."""
    naive = NaiveEvaluator(NOW)

    def holds(call: dict[str, Any]) -> bool:
        return naive.failed_check(condition.to_dict(), call) is None

    for call in asked:
        for _ in range(2):
            assert outcome(condition.check, **call) == outcome(holds, call)


@try_flags
@given(flags, st.lists(calls, min_size=1, max_size=3))
def test_a_stored_flag_answers_by_what_was_stored(
    item: FeatureFlagStoreItem, asked: list[dict[str, Any]]
) -> None:
    """A flag that was written and read, copied or pickled has its own plain data."""
    outcome(item.is_enabled, **asked[0])
    copies = [copy.copy(item), pickled(item)]
    # Some values cannot be stored, such as one that JSON cannot express.
    with contextlib.suppress(InvalidArgumentError):
        copies.append(FeatureFlagStoreItem.deserialize(item.serialize()))
    for each in copies:
        for call in asked:
            check_answers(each, call, NaiveEvaluator(NOW))


# Replaced methods


def fail(*args: Any) -> Any:
    """Raise an error."""
    raise LookupError(str(len(args)))


replacements = st.sampled_from(
    [
        lambda *_: True,
        lambda *_: False,
        lambda *_: [],
        lambda *_: "yes",
        lambda argument, value: argument is value,
        fail,
    ]
)


@try_flags
@given(flags, operators, replacements, st.booleans(), calls)
def test_a_replaced_comparison_is_called(
    item: FeatureFlagStoreItem,
    operator: str | None,
    replacement: Any,
    in_class: bool,
    call: dict[str, Any],
) -> None:
    """It is called from then on until it is put back, in a class and in an object."""
    check_answers(item, call, NaiveEvaluator(NOW))
    replaced = NaiveEvaluator(NOW, {**COMPARISONS, operator: replacement})
    if in_class:
        kind = Operator.OPERATOR_MAP[operator]
        with patch.object(kind, "compare", lambda _, *pair: replacement(*pair)):
            # Flags are then decided by methods alone, and `check` tells no bucket.
            check_answers(item, call, replaced, knows_bucket=False)
        check_answers(item, call, NaiveEvaluator(NOW))
        return
    meta = item.raw_meta
    for check in [check for each in meta.conditions for check in each.own_checks]:
        if operator == check.operator.SYMBOL:
            check.operator.compare = replacement  # type: ignore[method-assign]
    check_answers(
        flag_of(item.raw_is_enabled, meta.conditions, meta.bucketer), call, replaced
    )


bucketer_checks = st.sampled_from(
    [
        lambda _: True,
        lambda _: False,
        lambda _: "mine",
        lambda arguments: "a" in arguments,
        sorted,
        fail,
    ]
)


@try_flags
@given(flags, bucketer_checks, st.booleans(), calls)
def test_a_replaced_check_of_a_bucketer_is_called(
    item: FeatureFlagStoreItem, replacement: Any, in_class: bool, call: dict[str, Any]
) -> None:
    """It is called from then on until it is put back, in a class and in an object."""
    check_answers(item, call, NaiveEvaluator(NOW))
    bucketer = item.raw_meta.bucketer
    replaced = NaiveEvaluator(NOW, bucketer_check=replacement)
    if in_class:

        def check(_: Any, **arguments: Any) -> Any:
            return replacement(arguments)

        patched = patch.object(type(bucketer), "check", check)
    else:
        patched = patch.object(bucketer, "check", lambda **kwargs: replacement(kwargs))
    with patched:
        check_answers(item, call, replaced)
    check_answers(item, call, NaiveEvaluator(NOW))
