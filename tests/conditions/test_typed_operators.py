# SPDX-License-Identifier: Apache-2.0
"""The operators whose values have a form: what holds, and what is refused.

The naive evaluator of `test_evaluation_property.py` tries random arguments.
"""

from __future__ import annotations

import json
import time
from datetime import date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest

from flipper import Condition, FeatureFlagClient, MemoryFeatureFlagStore
from flipper.bucketing import Percentage, PercentageBucketer
from flipper.conditions.check import Check
from flipper.conditions.operators.dates import BeforeOperator
from flipper.conditions.operators.interface import AbstractOperator
from flipper.conditions.operators.operator import Operator
from flipper.conditions.operators.typed import TypedOperator
from flipper.contrib.storage import FeatureFlagStoreItem
from flipper.exceptions import InvalidArgumentError, InvalidFlagDataError
from flipper.explanation import Reason
from support.flag_builders import make_item

if TYPE_CHECKING:
    from collections.abc import Iterator

UTC = timezone.utc
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


class Text(str):
    """A text that answers wrongly to the methods of `str`."""

    __slots__ = ()

    def startswith(self, *_: Any) -> bool:
        """Do not look."""
        return True

    endswith = __contains__ = startswith

    def casefold(self) -> str:
        """Return something else."""
        return "x"


class Incomparable:
    """An entry whose `==` fails."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise ArithmeticError


class OddZone(tzinfo):
    """A time zone whose methods fail."""

    def utcoffset(self, _: datetime | None) -> timedelta:
        """Fail."""
        raise LookupError


@pytest.fixture
def _in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set another time zone than UTC for this process."""
    if not hasattr(time, "tzset"):
        pytest.skip("this system has no tzset")
    with monkeypatch.context() as environment:
        environment.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


# For each operator: a value, arguments for which it holds, and others.
CASES: list[tuple[str, Any, list[Any], list[Any]]] = [
    ("startswith", "a", ["a", "ab"], ["", "A", "ba", None, 1, ["a"], b"a", Text("b")]),
    ("startswith", ["a", "b"], ["ab", "b"], ["c", "", Text("c")]),
    ("startswith", [], [], ["", "a"]),
    ("endswith", "@x.se", ["ada@x.se", Text("@x.se")], ["@x.se.ru", "@X.SE", None]),
    ("endswith", ("a", "b"), ["xa", "xb"], ["ax", Text("c")]),
    ("contains", "b", ["abc", "b", Text("b")], ["B", "", "ac", ["b"], Text("a")]),
    ("contains", ["a", "z"], ["az", "xyz"], ["b"]),
    ("istartswith", "É", ["école", "École"], ["ecole", Text("a"), 1]),
    ("iendswith", "STRASSE", ["straße", "Strasse"], ["Straßen"]),
    ("icontains", ["Q", "b"], ["aBc", "q"], ["a", Text("X")]),
    ("matches", r"^\d+$", ["1", "123"], ["", "1a", "1\n", 1, None, b"1", "1" * 2049]),
    ("matches", f"[{'a' * 498}]", ["a"], ["b"]),
    ("matches", "b|^c", ["abc", "c", "1" * 2047 + "b"], ["ac", ""]),
    (
        "before",
        NOON,
        [
            "2026-01-31T11:59:59.999Z",
            "2026-01-31 12:59+01:00",
            "2026-01-31",
            date(2026, 1, 31),
            NOON - timedelta(microseconds=1),
            NOON.astimezone(timezone(timedelta(hours=9))) - timedelta(seconds=1),
            NOON.timestamp() - 1,
            0,
            -(10**30),
        ],
        [
            *(NOON, NOON.timestamp(), "2026-01-31T12:00:00Z", "2026-02-01", 10**30),
            *("2026-01-31T11:00:00", "2026-01-32", "20260130", "", "now", "0", None),
            *(datetime(2026, 1, 1), datetime(2026, 1, 1, tzinfo=OddZone())),  # noqa: DTZ001
            *(True, float("nan"), float("-inf"), [], b"2026-01-01", Decimal(1)),
            *("2026-01-30T24:00Z", "2026-01-30T11:00+24:00", "2026-01-30T11:00+01:99"),
        ],
    ),
    ("after", "2026-01-31T13:00+01:00", [NOON + timedelta(seconds=1)], [NOON, "x"]),
    ("after", date(2026, 1, 31), ["2026-01-31T00:00:01Z"], ["2026-01-31"]),
    ("after", 0, [0.5, "1970-01-01T00:00:00.000001Z"], [0, "1969-12-31T23:59:60Z"]),
    ("semver_eq", "v1.2.3", ["1.2.3", "V1.2.3+x"], ["1.2.3-a", "1.2", 1, None, "a"]),
    (
        "semver_gt",
        "1.0.0-rc.1",
        ["1.0.0", "1.0.0-rc.1.1", "1.0.0-rc.2", "1.0.0-rc.10", "1.0.0-rc.a", "1.0.1-a"],
        ["1.0.0-rc", "1.0.0-beta", "1.0.0-1", "1.0.0-rc.1+z", "01.0.1", "1.0.2-", 2],
    ),
    ("semver_gte", "2.1.0", ["2.1.0", "2.10.0", "10.0.0"], ["2.1.0-a", "2.0.99", ""]),
    ("semver_lt", "2.1.0", ["2.1.0-a", "2.0.99"], ["2.1.0", "2.1.0-01", "2.0.0-a..b"]),
    ("semver_lte", "2.1.0", ["2.1.0+a", "2.0.0"], ["2.1.1", "2.0", "2.0.0+", "٢.0.0"]),
    (
        "num_gt",
        18,
        [19, "19", " 18.5 ", "+1e2", Decimal("18.1"), Fraction(37, 2), "1e2", 10**400],
        [
            *(18, "18", "", "x", "1_9", "nan", "inf", "1e999", "٢٠", None, True, [19]),
            *(float("inf"), float("nan"), 19j, b"19", "9" * 401, Decimal("Infinity")),
        ],
    ),
    ("num_eq", "0.1", [0.1, "0.10", Decimal("0.1")], [1, False, "0.1.0"]),
    ("num_eq", 0, [0, "0", "-0", 0.0], [False, None, "", "false"]),
    ("num_gte", 2**53, [2**53, str(2**53 + 1)], [2**53 - 1]),
    ("num_lt", 10, ["9", -1, 9.99], ["10", "a", True]),
    ("num_gt", 10, ["9" * 400], ["9" * 401]),
    ("semver_lt", "1.0.0", [f"1.0.0-{'a' * 250}"], [f"1.0.0-{'a' * 251}"]),
    ("num_lte", -1.5, ["-1.5", -2], [-1, "-1.4"]),
    (
        "in_cidr",
        "10.0.0.0/8",
        ["10.1.2.3", ip_address("10.0.0.0"), "::ffff:10.1.2.3"],
        ["11.0.0.0", "::1", 167772161, b"\n\1\2\3", "10.1.2", "10.0.0.0/8", None, ""],
    ),
    ("in_cidr", ["2001:db8::/32", "1.2.3.4"], ["1.2.3.4", "2001:db8::5"], ["1.2.3.5"]),
    ("in_cidr", ip_network("::/0"), ["::1", "::ffff:1.1.1.1"], ["1.1.1.1"]),
    ("any_of", ["a", "b"], [["b", "c"], ("a",), {"a"}, "a"], [[], "ab", ["c"], None]),
    ("any_of", [1, None, ["x"]], [[["x"]], [True], None], [[], {"x": 1}, [[]]]),
    ("all_of", ["a", "b"], [["b", "c", "a"], {"a", "b"}], ["a", ["a"], [], None]),
    ("all_of", [], [[], "a", None], []),
    ("none_of", ["a", "b"], [[], ["c"], "c", "ab", None], ["a", ["c", "b"]]),
    ("iany_of", ["A", 1], ["a", "A", ["b", "a"], 1], ["b", [], None, ["1"]]),
    ("iall_of", ["A", "b"], [["B", "a", 5], {"a", "B"}], ["a", [], None, ["ab"]]),
    (
        "has_size",
        2,
        [[1, 2], (1, 2), {1, 2}],
        ["ab", [], [1, 2, 3], {1: 2, 3: 4}, None],
    ),
    ("has_size", [1, None], [[1], list("abcdef")], [[], "a", 1, None]),
    ("has_size", [0, 1], [[], [5]], [[1, 2], None]),
    (
        "json_type",
        "number",
        [1, 0.5, Decimal(1), Fraction(1, 3)],
        [True, "1", None, [1]],
    ),
    ("json_type", "string", ["", "a"], [b"a", 1, None]),
    ("json_type", "boolean", [True, False], [0, 1, "true", None]),
    ("json_type", "array", [[], (1,), {1}], ["a", {}, None]),
    ("json_type", "object", [{}, {"a": 1}], [[], "{}", None]),
    ("none_of", ["a", 1], [["c"]], [[Incomparable()], Incomparable()]),
    ("exists", True, ["", 0, False, []], [None]),
    ("exists", False, [None], ["", 0, False]),
]


@pytest.mark.parametrize(
    ("symbol", "value", "others", "holds"),
    [
        (symbol, value, arguments, holds)
        for symbol, value, good, bad in CASES
        for arguments, holds in ((good, True), (bad, False))
    ],
)
def test_an_operator_holds_for_these_arguments(
    symbol: str, value: Any, others: list[Any], holds: bool
) -> None:
    """Compiled or called, in memory or stored; no argument raises an error."""
    condition = Condition(**{f"a__{symbol}": value})
    stored = Condition.from_dict(json.loads(json.dumps(condition.to_dict())))
    for argument in others:
        shown = (symbol, value, argument)
        assert condition.check(a=argument) is holds, shown
        assert stored.check(a=argument) is holds, shown
        assert condition.own_checks[0].check(argument) is holds, shown


NO_TEXT = "is not a text; use a text, or a list of texts"
TOO_LONG = (
    "has 501 characters; use a regular expression of at most 500, or several checks"
)
TOO_LARGE = (
    "is too large a regular expression; use a shorter one, or smaller numbers in braces"
)
NO_ZONE = (
    "has no time zone; use an aware datetime, as datetime(2026, 1, 31, "
    "tzinfo=timezone.utc)"
)
NO_DATE = (
    "is not a date with a time zone; use an aware datetime, a date, an ISO text as "
    "'2026-01-31' or '2026-01-31T12:00:00Z', or seconds since 1970"
)
NO_NETWORK = (
    "is not a network; use a network as '10.0.0.0/8' or '2001:db8::/32', or a list of "
    "networks"
)
NO_NETWORK_BUT_ADDRESS = (
    "has '10.1.2.3/8', an address and no network; use '10.0.0.0/8' for the whole "
    "network, or the address without '/' for this one"
)
NO_VARIANT = 'is not the name of a variant; use text, or a list, as ["blue"]'
REFUSED: list[tuple[str, list[Any], str]] = [
    ("startswith", [None, 1, ["a", 1], {"a": 1}, b"a"], NO_TEXT),
    ("icontains", [None, 1, [None]], NO_TEXT),
    (
        "matches",
        [None, 1, ["a"]],
        "is not a text; use a regular expression, as '^[a-z]+$'",
    ),
    ("matches", ["a" * 501], TOO_LONG),
    ("matches", ["(a{1,100}){100}", "((){1000}){1000}"], TOO_LARGE),
    ("before", [datetime(2026, 1, 1)], NO_ZONE),  # noqa: DTZ001  (what is tested)
    ("after", [None, True, "2026", "2026-01-31T12:00", "soon"], NO_DATE),
    ("after", [float("nan"), [], "2026-02-29"], NO_DATE),
    (
        "semver_gt",
        [None, 1, 1.2, "1.2", "x", "1.2.3.4", "1" * 300],
        "is not a semantic version; use a text as '2.1.0' or '2.1.0-beta.1'",
    ),
    (
        "num_lt",
        [None, True, "x", float("inf"), "nan", [1]],
        "is not a finite number; use a number as 18, or its text",
    ),
    ("in_cidr", [None, 1, ["::1", 5]], NO_NETWORK),
    *(
        ("in_cidr", [bad], f"has '{bad}', which {NO_NETWORK}")
        for bad in ("x", "::/129")
    ),
    ("in_cidr", ["10.1.2.3/8", ["::1", "10.1.2.3/8"]], NO_NETWORK_BUT_ADDRESS),
    *(
        (
            symbol,
            [None, "a", {"a": 1}, {1}],
            "is not a list; use a list, as ['beta', 'staff']",
        )
        for symbol in ("any_of", "iall_of")
    ),
    (
        "has_size",
        [None, "2", True, 1.5, [1], [None, 1], [1, 2, 3]],
        "is not a size; use a number as 2, or a range as [1, None]",
    ),
    (
        "json_type",
        [None, "null", "text", 1],
        "is not a type of JSON; use 'string', 'number', 'boolean', 'array', 'object'",
    ),
    ("exists", [None, 1, "true", 0], "is not a truth value; use True or False"),
    ("enabled", [None, 1, "true", 0], "is not a truth value; use True or False"),
    ("variant", [None, 1, ["a", 1], {"a": 1}], NO_VARIANT),
]


@pytest.mark.parametrize(
    ("symbol", "value", "problem"),
    [(symbol, value, remedy) for symbol, values, remedy in REFUSED for value in values],
)
def test_a_value_that_means_nothing_is_refused(
    symbol: str, value: Any, problem: str
) -> None:
    """The error names the check, the value and the remedy."""
    with pytest.raises(InvalidArgumentError) as caught:
        Condition(**{f"a__{symbol}": value})
    shown = repr(value) if len(repr(value)) <= 100 else f"{repr(value)[:100]}..."
    assert str(caught.value) == f"The value {shown} of the check a__{symbol} {problem}"
    assert caught.value.value == value or value != value  # noqa: PLR0124  (NaN)


def test_an_error_shows_the_first_hundred_characters_of_a_value() -> None:
    """Three dots stand for the rest."""
    for length, shown in [(98, "b" * 98 + "'"), (99, "b" * 99 + "...")]:
        with pytest.raises(InvalidArgumentError) as caught:
            Condition(a__num_eq="b" * length)
        message = f"The value '{shown} of the check a__num_eq is not a finite number"
        assert str(caught.value).startswith(message)


def test_a_stored_value_that_means_nothing_is_a_broken_document() -> None:
    """So the flag answers the default, and is not on for everybody."""
    item = make_item(Condition(a__endswith="b"))
    document = item.serialize().replace(b'"b"', b"5")
    with pytest.raises(InvalidFlagDataError, match="a__endswith is not a text"):
        FeatureFlagStoreItem.deserialize(document)


@pytest.mark.usefixtures("_in_tokyo")
def test_dates_and_networks_are_kept_as_text() -> None:
    """JSON has neither; a datetime is kept in UTC."""
    later = NOON.astimezone(timezone(timedelta(hours=2, minutes=3, seconds=4)))
    for value, kept in [
        (later, "2026-01-31T12:00:00+00:00"),
        (date(2026, 1, 31), "2026-01-31"),
        ("2026-01-31T12:00Z", "2026-01-31T12:00Z"),
        (5, 5),
    ]:
        (check,) = Condition(a__before=value).own_checks
        assert check.value == kept
        assert check.to_dict()["value"] == kept
    for value in ("10.0.0.0/8", [ip_network("10.0.0.0/8")]):
        assert Condition(a__in_cidr=value).own_checks[0].value == ["10.0.0.0/8"]


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        *(("1970-01-02", 86400), (date(1970, 1, 2), 86400), (NOON, NOON.timestamp())),
        *(("1970-01-01T00:01:01Z", 61), ("1970-01-01t01:00z", 3600)),
        *(("1970-01-01T01:30+01:30", 0), ("1970-01-01T00:00-02:15", 8100)),
        *(("1970-01-01T00:00-0215", 8100), ("1970-01-01T00:00+02", -7200)),
        *(("1970-01-01T00:00:01.5Z", 1.5), ("1970-01-01T00:00:00.25+00:00", 0.25)),
        *(("1970-01-01T00:00:00.000001Z", 1e-6), (-2.5, -2.5)),
        ("1970-01-01T00:00:00.123456789Z", 0.123456),
        *(("1970-01-01", 0), ("1970-01-01T00:00", None), ("1970-01-01Z", None)),
    ],
)
@pytest.mark.usefixtures("_in_tokyo")
def test_a_date_means_an_instant(given: Any, seconds: float | None) -> None:
    """In seconds since 1970; a date is midnight in UTC, wherever the computer is."""
    assert BeforeOperator.meaning(given) == seconds


def test_a_date_that_utc_cannot_express_is_refused() -> None:
    """Python's first and last hours do not exist in every time zone."""
    first = datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))
    with pytest.raises(InvalidArgumentError, match="use an aware datetime"):
        Condition(a__before=first)


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        *(({}, False), ({"plan": None}, False), ({"plan": "pro"}, True)),
        *(({"age": 20}, False), ({"age": 20, "plan": ""}, True)),
        *(({"age": 9, "plan": ""}, False), ({"age": 9}, False)),
    ],
)
def test_exists_is_decided_without_its_argument(
    call: dict[str, Any], answer: bool
) -> None:
    """Every other check is left out then."""
    condition = Condition(plan__exists=True, age__gt=18)
    item = make_item(condition)
    assert condition.check(**call) is answer
    assert item.is_enabled(**call) is answer
    told = item.decide(call)
    assert told[0] is answer
    if not answer:
        key = "age__gt" if call.get("age") == 9 else "plan__exists"
        assert told[1].key == key


def test_a_check_without_its_argument_leaves_the_bucketer_in_charge() -> None:
    """Only a given argument makes the conditions decide alone."""
    client = FeatureFlagClient(MemoryFeatureFlagStore())
    client.create("x", is_enabled=True)
    client.add_condition("x", Condition(plan__exists=False))
    client.set_bucketer("x", PercentageBucketer(Percentage(0)))
    assert client.explain("x").reason is Reason.BUCKETER
    assert client.is_enabled("x") is False
    assert client.explain("x", plan=None).reason is Reason.CONDITION_MATCHED
    assert client.is_enabled("x", plan="pro") is False


def test_exists_is_decided_in_a_condition_of_a_subclass() -> None:
    """Also in a call without arguments, in which other conditions are not asked."""

    class Mine(Condition):
        __slots__ = ()

    item = make_item(Mine(plan__exists=True))
    assert item.is_enabled() is False
    assert item.is_enabled(age=1) is False
    assert item.is_enabled(plan="pro") is True


def test_an_operator_may_ask_for_all_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    """`NEEDS_CONTEXT` marks it, and `compare_context` gets them."""

    class SameOperator(AbstractOperator):
        SYMBOL = "same_as"
        NEEDS_CONTEXT = True

        def compare(self, expected: Any, actual: Any) -> bool:
            raise AssertionError

        def compare_context(self, context: Any, variable: str, value: Any) -> bool:
            return bool(context.get(variable) == context.get(value))

    monkeypatch.setitem(Operator.OPERATOR_MAP, "same_as", SameOperator)
    condition = Condition(a__same_as="b", c=1)
    for call, answer in [
        *(({}, True), ({"a": 1}, False), ({"b": 1}, False)),
        *(({"a": 1, "b": 1}, True), ({"a": 1, "b": 1, "c": 2}, False)),
    ]:
        assert condition.check(**call) is answer
        assert make_item(condition).is_enabled(**call) is answer


def test_an_operator_that_needs_the_context_may_compare_the_argument_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`compare` gets the argument, or `None` if it is not given, and the value."""

    class MissingOrOperator(AbstractOperator):
        SYMBOL = "missing_or"
        NEEDS_CONTEXT = True

        def compare(self, expected: Any, actual: Any) -> bool:
            return expected is None or bool(expected == actual)

    monkeypatch.setitem(Operator.OPERATOR_MAP, "missing_or", MissingOrOperator)
    condition = Condition(a__missing_or="b")
    (check,) = condition.own_checks
    for call, answer in [({}, True), ({"a": "b"}, True), ({"a": 1, "c": "b"}, False)]:
        assert condition.check(**call) is answer
        assert check.check_context(call) is answer
        assert make_item(condition).is_enabled(**call) is answer


def test_a_replaced_compare_context_is_called() -> None:
    """In the class of the operator, and in an operator."""
    kind = Operator.OPERATOR_MAP["exists"]
    with patch.object(kind, "compare_context", return_value=False):
        assert Condition(a__exists=True).check(a=1) is False
    condition = Condition(a__exists=True)
    operator: Any = condition.own_checks[0].operator
    operator.compare_context = lambda *_: False
    assert condition.check(a=1) is False


@pytest.mark.parametrize("symbol", [row[0] for row in CASES])
def test_a_replaced_compare_is_called(symbol: str) -> None:
    """In its class, in the base class, and in an operator; until it is put back."""
    value, good = next((row[1], row[2]) for row in CASES if row[0] == symbol and row[2])
    condition = Condition(**{f"a__{symbol}": value})
    stored = condition.own_checks[0].value
    assert condition.check(a=good[0]) is True
    for kind in (Operator.OPERATOR_MAP[symbol], TypedOperator):
        with patch.object(kind, "compare", return_value=False) as compare:
            assert condition.check(a=good[0]) is False
            compare.assert_called_once_with(good[0], stored)
        assert condition.check(a=good[0]) is True
    changed = Condition(**{f"a__{symbol}": value})
    changed.own_checks[0].operator.compare = lambda *_: False  # type: ignore[method-assign]
    assert changed.check(a=good[0]) is False
    assert condition.check(a=good[0]) is True


def test_a_subclass_is_asked_itself() -> None:
    """It may override `compare` or `check`."""
    kind = Operator.OPERATOR_MAP["endswith"]

    class Mine(kind):  # type: ignore[misc,valid-type]
        def compare(self, expected: Any, actual: Any) -> bool:
            return bool(expected == actual)

    class MyCheck(Check):
        def check(self, value: Any) -> Any:
            return value == "mine"

    mine = Check("a", "b", Mine())
    assert mine.typed_operator is None
    assert MyCheck("a", "b", kind()).typed_operator is None
    assert Check("a", "b", kind()).typed_operator is kind
    assert Check("a", "b", Operator.factory("gt")).typed_operator is None
    with pytest.raises(InvalidArgumentError):
        Check("a", 5, Mine())
