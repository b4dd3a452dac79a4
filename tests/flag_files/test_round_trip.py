# SPDX-License-Identifier: Apache-2.0
"""What is exported is imported again, to the same stored document, or not at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flag_items import ITEMS, RULES, documents, inexpressible
from hypothesis import given, settings

from flipper.bucketing import Percentage, PercentageBucketer, PercentageFactory
from flipper.bucketing.percentage.base import AbstractPercentage
from flipper.conditions import Condition
from flipper.conditions.operators.interface import AbstractOperator
from flipper.conditions.operators.operator import Operator
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.exceptions import FlagFileError, InvalidArgumentError
from flipper.flag_files import (
    parse_flags,
    parse_rules,
    read_flags,
    write_flags,
    write_rules,
)
from flipper.rules import Rule, Rules
from flipper.testing.samples import BUCKETERS, CLIENT_DATA, CONDITIONS, NAMES


def item(
    name: str = "X",
    *,
    is_enabled: Any = True,
    data: dict[str, Any] | None = None,
    conditions: tuple[Condition, ...] = (),
    bucketer: Any = None,
) -> FeatureFlagStoreItem:
    """Make a flag."""
    meta = FeatureFlagStoreMeta(1, data, list(conditions), bucketer)
    return FeatureFlagStoreItem(name, is_enabled, meta)


@pytest.mark.parametrize("format_name", ["toml", "json"])
@settings(max_examples=50, deadline=None, database=None)
@given(items=ITEMS)
def test_every_flag_comes_back_as_it_was_or_is_refused(
    format_name: str, items: list[FeatureFlagStoreItem]
) -> None:
    """The stored bytes are the same, and a flag is refused for a reason only."""
    lost = {each.feature_name for each in items if inexpressible(each, format_name)}
    if lost:
        with pytest.raises(FlagFileError) as caught:
            write_flags(items, format_name)
        assert {problem.feature_name for problem in caught.value.problems} == lost
        return
    text = write_flags(items, format_name)
    read = parse_flags(text.encode(), format_name)
    assert documents(read) == documents(items)
    assert write_flags(reversed(read), format_name) == text


@settings(max_examples=50, deadline=None, database=None)
@given(items=ITEMS)
def test_yaml_reads_json(items: list[FeatureFlagStoreItem]) -> None:
    """JSON with characters that can be printed is YAML, and means the same."""
    kept = [each for each in items if not inexpressible(each, "yaml")]
    data = json.loads(write_flags(kept, "json"))
    text = json.dumps(data, ensure_ascii=False)
    for character in "\x7f\x85\u2028\ud800\udc00":  # no text, in YAML
        text = text.replace(character, f"\\u{ord(character):04x}")
    assert documents(parse_flags(text, "yaml")) == documents(kept)


@pytest.mark.parametrize("format_name", ["toml", "json"])
def test_the_samples_of_the_contract_come_back(format_name: str) -> None:
    """Every name, value, condition and bucketer that stores are tested with."""
    kept = {
        name: value
        for name, value in CLIENT_DATA.items()
        if format_name == "json" or "null" not in json.dumps(value)
    }
    items = [
        *(item(name) for name in NAMES.values()),
        *(item(f"data {name}", data={name: kept[name]}) for name in kept),
        *(
            item(f"condition {name}", conditions=(condition,))
            for name, condition in CONDITIONS.items()
            if format_name == "json" or "null" not in json.dumps(_values(condition))
        ),
        *(item(f"bucketer {n}", bucketer=b) for n, b in BUCKETERS.items()),
    ]
    text = write_flags(items, format_name)
    assert documents(parse_flags(text, format_name)) == documents(items)


def _values(condition: Condition) -> list[Any]:
    return [check.value for check in condition.own_checks]


def test_a_file_is_sorted_short_and_the_same_each_time() -> None:
    """It is kept under version control: a change of one flag changes its lines only."""
    first = [item("b"), item("a", conditions=(Condition(x=1), Condition(y__gt=2)))]
    assert write_flags(first, "toml") == write_flags(reversed(first), "toml")
    assert write_flags(first, "toml") == (
        "version = 1\n"
        "\n"
        "[flags.a]\n"
        "enabled = true\n"
        "conditions = [\n"
        "    { x = 1 },\n"
        "    { y__gt = 2 },\n"
        "]\n"
        "created_date = 1\n"
        "\n"
        "[flags.b]\n"
        "enabled = true\n"
        "created_date = 1\n"
    )


def test_a_condition_that_keywords_cannot_express_is_a_list_of_checks() -> None:
    """Two checks of one variable with one operator, or a name with two underscores."""
    twice = Condition.from_dict(
        {
            "age": [
                {"variable": "age", "operator": "ne", "value": 1},
                {"variable": "age", "operator": "ne", "value": 2},
            ]
        }
    )
    named = Condition(user__name__first="Ada")
    items = [item("a", conditions=(twice,)), item("b", conditions=(named,))]
    text = write_flags(items, "toml")
    assert '{ variable = "age", operator = "ne", value = 2 }' in text
    assert '{ variable = "user__name__first", value = "Ada" }' in text
    assert documents(parse_flags(text, "toml")) == documents(items)


class Near(AbstractOperator):
    """An operator as an application registers it."""

    SYMBOL = "near.*"

    def compare(self, expected: Any, actual: Any) -> bool:
        """Compare roughly."""
        return abs(expected - actual) < 1


class Growing(AbstractPercentage):
    """A percentage as an application registers it."""

    value = 0.5

    @classmethod
    def get_type(cls) -> str:
        """Return its type."""
        return "test.Growing"

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return super().to_dict()

    @classmethod
    def from_dict(cls, fields: Any) -> Growing:
        """Make it from plain data."""
        return cls()


def test_classes_of_an_application_go_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is registered can be written and read."""
    monkeypatch.setitem(Operator.OPERATOR_MAP, "near.*", Near)
    monkeypatch.setitem(PercentageFactory.PERCENTAGE_MAP, Growing.get_type(), Growing)
    condition = Condition(**{"age__near.*": 18})
    items = [item(conditions=(condition,), bucketer=PercentageBucketer(Growing()))]
    for format_name in ("toml", "json"):
        text = write_flags(items, format_name)
        assert documents(parse_flags(text, format_name)) == documents(items)
    monkeypatch.delitem(Operator.OPERATOR_MAP, "near.*")
    with pytest.raises(FlagFileError, match=r"'near\.\*' is unknown"):
        parse_flags(text, "json")


@pytest.mark.parametrize("format_name", ["toml", "json"])
@settings(max_examples=50, deadline=None, database=None)
@given(rules=RULES)
def test_rules_alone_come_back_as_they_were(format_name: str, rules: Rules) -> None:
    """An editor has the rules of one flag."""
    own = item()
    meta = own.raw_meta
    meta.set_rules(rules)
    if inexpressible(own.replace(meta=meta), format_name):
        with pytest.raises(FlagFileError, match="use JSON"):
            write_rules(rules, format_name)
        return
    text = write_rules(rules, format_name)
    # As text, because NaN differs from itself, and because JSON joins two surrogates.
    read = parse_rules(text, format_name)
    assert json.dumps(read.to_dict()) == json.dumps(rules.to_dict())
    assert write_rules(read, format_name) == text


def test_a_file_shows_the_state_of_a_flag_with_rules() -> None:
    """In a store it is beside the rules, under a name that is reserved."""
    meta = FeatureFlagStoreMeta(1, {"owner": "ada"}, [Condition(x=1)])
    meta.set_rules(Rules([Rule(Condition(a=1), "blue")], variants={"blue": [1]}))
    text = write_flags([FeatureFlagStoreItem("a", True, meta)], "toml")
    assert text == (
        "version = 1\n"
        "\n"
        "[flags.a]\n"
        "enabled = true\n"
        "conditions = [\n"
        "    { x = 1 },\n"
        "]\n"
        "created_date = 1\n"
        "variants = { blue = [1] }\n"
        "\n"
        "[flags.a.client_data]\n"
        'owner = "ada"\n'
        "\n"
        "[[flags.a.rules]]\n"
        "when = { a = 1 }\n"
        'serve = "blue"\n'
    )
    assert '"enabled": true' in write_flags(parse_flags(text, "toml"), "json")


REFUSED: dict[str, tuple[FeatureFlagStoreItem, str, str]] = {
    "null": (item(data={"a": [None]}), "toml", "null; use JSON"),
    "half a character": (item(data={"a": "\ud800"}), "toml", "use JSON"),
    "state": (item(is_enabled="yes"), "json", "'yes'; write true or false"),
    "percentage": (
        item(bucketer=PercentageBucketer(Percentage(25))),
        "toml",
        "0.25 for 25 %",
    ),
    "membership": (item(conditions=(Condition(a__in=5),)), "toml", "needs a list"),
    "date": (item(data={"a": object()}), "json", "use values that JSON can express"),
}


@pytest.mark.parametrize(
    ("flag", "format_name", "remedy"), REFUSED.values(), ids=REFUSED
)
def test_a_flag_that_cannot_be_written_is_named(
    flag: FeatureFlagStoreItem, format_name: str, remedy: str
) -> None:
    """The error names the flag and the remedy, and is the only result."""
    with pytest.raises(FlagFileError, match="'X'") as caught:
        write_flags([item("fine"), flag], format_name)
    assert remedy in str(caught.value)
    assert caught.value.feature_name == "X"


def test_all_flags_that_cannot_be_written_are_named() -> None:
    """Who exports thousands of flags corrects all mistakes at once."""
    items = [item(name, data={"a": None}) for name in ("A", "B")]
    with pytest.raises(FlagFileError, match="2 mistakes") as caught:
        write_flags([*items, item("C"), item("C")][:-1], "toml")
    assert [problem.feature_name for problem in caught.value.problems] == ["A", "B"]


def test_a_flag_is_given_once() -> None:
    """Two flags of one name would be one in the file."""
    with pytest.raises(FlagFileError, match="'A': is given twice"):
        write_flags([item("A"), item("A")], "json")


def test_formats_are_known_by_their_names_and_suffixes(tmp_path: Any) -> None:
    """A mistake in them names those that there are."""
    for name in ("f.json", "F.JSON"):
        (tmp_path / name).write_text(write_flags([item()], "json"), encoding="utf-8")
        assert documents(read_flags(tmp_path / name)) == documents([item()])
    (tmp_path / "f.conf").write_text(write_flags([item()], "toml"), encoding="utf-8")
    assert len(read_flags(tmp_path / "f.conf", format="toml")) == 1
    with pytest.raises(InvalidArgumentError, match=r"\*\.toml, \*\.json or \*\.yaml"):
        read_flags(tmp_path / "f.conf")
    with pytest.raises(InvalidArgumentError, match="toml, json"):
        write_flags([], "yaml")
    with pytest.raises(FileNotFoundError):
        read_flags(tmp_path / "missing.toml")
