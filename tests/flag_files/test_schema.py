# SPDX-License-Identifier: Apache-2.0
"""The JSON Schema and the parser say the same about every file."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest
from flag_items import ITEMS, WeekdayBucketer, inexpressible
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from flipper.conditions.operators.operator import GreaterThanOperator, Operator
from flipper.exceptions import FlagFileError
from flipper.flag_files import parse_flags, schema, write_flags

VALIDATOR = Draft202012Validator(schema())
# What is put in place of a value, or under a name.
VALUES: list[Any] = [
    *(None, True, False, 0, 1, 0.5, 1.5, 25, -1, 2**60, 1e300, "", "x", "gt", "yes"),
    *([], ["a"], [1], {}, {"a": 1}, {"type": "NoOpBucketer"}, {"type": "x"}, [[{}]]),
    {"type": "Percentage", "value": 0.5},
    {"type": "PercentageBucketer", "percentage": 0.5},
    {"type": "PercentageBucketer", "percentage": 0.5, "key_whitelist": []},
    {"type": "PercentageBucketer"},
    {"type": "LinearRampPercentage", "initial_value": 0},
    [{"variable": "a", "value": 1}],
    [{"variable": "a", "value": 1, "operator": "in"}],
    [{"variable": "a", "value": 1, "operator": None}],
    [{"a": 1, "b__in": 1, "c__in": "x"}],
    [{"a__b": 1}],
    [{"a__endswith": "b", "a__contains": ["b", 1]}],
    [{"a__exists": 1}],
    [{"variable": "a", "value": 1, "operator": "startswith"}],
    [{"variable": "a", "value": "a", "operator": "all_of"}],
    *(
        [[0, 0.5]],
        [[0, 0.5, 1]],
        [0, 0.5],
        "unleash",
        "unleash-variants:9",
        "__rules__",
    ),
    {"rollout": 0.5, "by": "user_id"},
    {"rollout": [[0.25, 0.5]], "by": ["user_id", "id"], "seed": "x", "hash": "flagd"},
    {"rollout": {"type": "Percentage", "value": 0.5}, "by": "user_id"},
    {"split": {"blue": 0.5}, "by": "user_id"},
    {"split": {"blue": [[0, 0.5]]}, "by": []},
    {"serve": True},
    {"when": {"a": 1}, "serve": "blue", "name": None},
    {"all": [{"a": 1}, {"not": {"b__in": ["x"]}}]},
    {"any": [], "all": []},
    [{"serve": True}],
]
NAMES = [
    *("enabled", "enabeld", "conditions", "bucketer", "created_date", "client_data"),
    *("version", "flags", "$schema", "type", "percentage", "key_whitelist", "variable"),
    *(
        "operator",
        "value",
        "a__gt",
        "a__endswith",
        "a__any_of",
        "a__exists",
        "a__b",
        "a__b__gt",
        "a___gt",
        "__gt",
        "__",
        "a__gt\n",
    ),
    *("a__", "a__b__c", "", " ", "\n", "a\0", "initial_value", "ramp_duration"),
    *("rules", "otherwise", "variants", "off", "when", "serve", "name", "all", "any"),
    *("not", "rollout", "split", "by", "seed", "hash", "blue", "__rules__"),
]
# What JSON Schema cannot express.
OTHERWISE_REFUSED = re.compile(
    "is not among the variants|of the Split (have the sum|overlap)|ends before it start"
)


def is_accepted(data: Any) -> bool:
    """Return whether the parser accepts data."""
    try:
        parse_flags(json.dumps(data), "json")
    except FlagFileError as error:
        return all(OTHERWISE_REFUSED.search(each.message) for each in error.problems)
    return True


def parts(value: Any) -> list[Any]:
    """Return every table and list in a value, and the value itself."""
    found = [value] if isinstance(value, (dict, list)) else []
    entries = value.values() if isinstance(value, dict) else value
    for entry in entries if found else ():
        found += parts(entry)
    return found


@st.composite
def mutations(draw: Any) -> Any:
    """Return the data of a file, with a value or a name replaced here and there."""
    # What a bucketer of an application's own accepts is not in the schema.
    items = [
        each
        for each in draw(ITEMS)
        if not inexpressible(each, "yaml")
        and not isinstance(each.raw_meta.bucketer, WeekdayBucketer)
    ]
    data = json.loads(write_flags(items, "json"))
    for _ in range(draw(st.integers(0, 3))):
        part = draw(st.sampled_from(parts(data)))
        value = copy.deepcopy(draw(st.sampled_from(VALUES)))
        if isinstance(part, list):
            part.insert(draw(st.integers(0, len(part))), value)
            continue
        keys = st.sampled_from([*part, *NAMES])
        if draw(st.booleans()) and part:
            part.pop(draw(st.sampled_from(list(part))))
        else:
            part[draw(keys)] = value
    return data


def test_the_schema_is_one() -> None:
    """Editors and validators can load it, and explain every key."""
    made = schema()
    Draft202012Validator.check_schema(made)
    assert json.loads(json.dumps(made)) == made
    flag = made["$defs"]["flag"]["properties"]
    assert all("description" in made["$defs"].get(key, flag[key]) for key in flag)


@settings(max_examples=120, deadline=None, database=None)
@given(data=mutations())
def test_schema_and_parser_agree(data: Any) -> None:
    """An editor shows a mistake if and only if the library will."""
    assert VALIDATOR.is_valid(data) == is_accepted(data)


EXAMPLES: dict[str, tuple[Any, bool]] = {
    "nothing": ({"version": 1, "flags": {}}, True),
    "address": ({"$schema": "x.json", "version": 1, "flags": {}}, True),
    "no flags": ({"version": 1}, False),
    "newer": ({"version": 2, "flags": {}}, False),
    "true as version": ({"version": True, "flags": {}}, False),
    "list": ([], False),
    **{
        f"enabled {state!r}": ({"version": 1, "flags": {"A": {"enabled": state}}}, good)
        for state, good in [
            (True, True),
            (0, True),
            (None, True),
            ("on", False),
            (2, False),
        ]
    },
    **{
        f"condition {key}": (
            {
                "version": 1,
                "flags": {"A": {"enabled": True, "conditions": [{key: [1]}]}},
            },
            good,
        )
        for key, good in [
            *(("a", True), ("a__gt", True), ("a__b__gt", True), ("__gt", True)),
            *(("a__b", False), ("a__", False), ("a___gt", False), ("a__gt\n", False)),
            *(("a__b__c", False), ("a_b", True), ("a__GT", False), ("a____gt", True)),
        ]
    },
    **{
        f"rules {json.dumps(more)}": (
            {"version": 1, "flags": {"A": {"enabled": True, **more}}},
            good,
        )
        for more, good in [
            ({"rules": []}, True),
            ({"rules": [{}]}, False),
            ({"rules": [{"serve": True}]}, True),
            ({"rules": [{"serve": 1}]}, False),
            ({"rules": [{"serve": ""}]}, False),
            ({"rules": [{"serve": {"rollout": 0.5}}]}, False),
            ({"rules": [{"serve": {"rollout": 0.5, "by": "id"}}]}, True),
            ({"rules": [{"serve": {"rollout": 50, "by": "id"}}]}, False),
            ({"rules": [{"serve": {"rollout": 0.5, "by": {"id": 1}}}]}, False),
            ({"rules": [{"serve": {"rollout": 0.5, "by": ["a", "a"]}}]}, False),
            ({"rules": [{"serve": {"split": {}, "by": "id"}}]}, False),
            ({"rules": [{"serve": {"split": {"a": 0.5}, "by": "id"}}]}, True),
            ({"rules": [{"serve": True, "when": {"not": {"a": 1}}}]}, True),
            ({"rules": [{"serve": True, "when": {"not": {"a": 1}, "b": 1}}]}, False),
            ({"rules": [{"serve": True, "when": {"all": [], "any": []}}]}, False),
            ({"rules": [{"serve": True, "when": {"a__b": 1}}]}, False),
            ({"rules": [{"serve": True, "when": True}]}, False),
            ({"rules": [], "bucketer": {"type": "NoOpBucketer"}}, False),
            ({"otherwise": "blue", "off": "blue", "variants": {"blue": None}}, True),
            ({"otherwise": None}, False),
            ({"off": True}, False),
            ({"client_data": {"__rules__": {}}}, False),
        ]
    },
}


EXAMPLES.update(
    {
        f"{symbol} {value!r}": (
            {
                "version": 1,
                "flags": {"A": {"enabled": True, "conditions": [written]}},
            },
            good,
        )
        for symbol, value, good in [
            *(("contains", "a", True), ("contains", ["a"], True)),
            *(("contains", 1, False), ("contains", ["a", 1], False)),
            *(("matches", "^a$", True), ("matches", ["a"], False)),
            *(("matches", "a" * 501, False), ("before", "2026-01-31", True)),
            *(("after", 0, True), ("after", True, False), ("after", None, False)),
            *(("semver_gt", "1.2.3", True), ("semver_gt", 1, False)),
            *(("num_lt", "1.5", True), ("num_lt", False, False)),
            *(("in_cidr", "10.0.0.0/8", True), ("in_cidr", ["::/0"], True)),
            *(("in_cidr", 10, False), ("all_of", [1, "a"], True)),
            *(("all_of", "a", False), ("exists", False, True), ("exists", 0, False)),
        ]
        for written in (
            {f"a__{symbol}": value},
            [{"variable": "a", "operator": symbol, "value": value}],
        )
    }
)


@pytest.mark.parametrize(("data", "is_good"), EXAMPLES.values(), ids=EXAMPLES)
def test_schema_and_parser_are_right(data: Any, is_good: bool) -> None:
    """Were both wrong, they would agree, too."""
    assert is_accepted(data) is is_good
    assert VALIDATOR.is_valid(data) is is_good


def test_the_schema_knows_what_an_application_registers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The schema is made of what is registered when it is asked for."""
    data = {
        "version": 1,
        "flags": {"A": {"enabled": True, "conditions": [{"a__~=": 1}]}},
    }
    assert not VALIDATOR.is_valid(data)
    monkeypatch.setitem(Operator.OPERATOR_MAP, "~=", GreaterThanOperator)
    assert Draft202012Validator(schema()).is_valid(data)
    assert is_accepted(data)
