# SPDX-License-Identifier: Apache-2.0
"""Each mistake in a file is reported with its line, its column and the remedy."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import pytest

from flipper.exceptions import FlagFileError
from flipper.flag_files import parse_flags, read_flags

if TYPE_CHECKING:
    from pathlib import Path

RIGHT = """\
#:schema ./flags.schema.json
version = 1

[flags.NEW_CHECKOUT]
enabled = true
created_date = 1767225600
conditions = [
    { country__in = ["SE", "NO"], age__gte = 18 },
    [
        { variable = "plan", operator = "ne", value = "free" },
        { variable = "plan", operator = "ne", value = "trial" },
    ],
]
client_data = { owner = "payments", tickets = [1, 2] }

[flags.NEW_CHECKOUT.bucketer]
type = "ConsistentHashPercentageBucketer"
key_whitelist = ["user_id"]
percentage = 0.25

[flags."horse sounds"]
enabled = false
bucketer.type = "PercentageBucketer"
bucketer.percentage.type = "LinearRampPercentage"
bucketer.percentage.initial_value = 0.0
bucketer.percentage.final_value = 1.0
bucketer.percentage.ramp_duration = 86_400
bucketer.percentage.initial_time = 1767225600
"""


class Mistake(NamedTuple):
    """An edit of the file above, and what is said about it."""

    before: str
    after: str
    line: int
    column: int
    remedy: str


MISTAKES = {
    "no version": Mistake("version = 1\n", "\n", 1, 1, "version = 1"),
    "newer version": Mistake(
        "version = 1", "version = 2", 2, 11, "upgrade the library"
    ),
    "text as version": Mistake("version = 1", 'version = "1"', 2, 11, "version = 1"),
    "misspelt key at the top": Mistake(
        "[flags.NEW_CHECKOUT]", "[flag.NEW_CHECKOUT]", 4, 2, "'flags'"
    ),
    "state as text": Mistake(
        "enabled = true", 'enabled = "on"', 5, 11, "write true or false"
    ),
    "capital letter": Mistake(
        "enabled = true", "enabled = True", 5, 11, "true and false"
    ),
    "misspelt key": Mistake(
        "enabled = false", "enabeld = false", 22, 1, "did you mean 'enabled'?"
    ),
    "no state": Mistake("enabled = false\n", "", 21, 8, "enabled = false"),
    "date": Mistake(
        "= 1767225600\ncond", "= 2026-01-01T00:00:00Z\ncond", 6, 16, "1767225600"
    ),
    "unknown operator": Mistake("age__gte", "age__gtee", 8, 35, "did you mean 'gte'?"),
    "value of an operator": Mistake(
        "age__gte = 18",
        "age__matches = '(?=1)'",
        *(8, 50, "which is not a supported regular expression: at position 0"),
    ),
    "date of an operator": Mistake(
        "age__gte = 18",
        "age__after = 2026-01-31",
        *(8, 48, "which no flag can hold; write it as a text in quotes"),
    ),
    "operator in a check": Mistake(
        'operator = "ne", value = "t',
        'operator = "nee", value = "t',
        11,
        41,
        "did you mean 'ne'?",
    ),
    "check without value": Mistake(', value = "trial"', "", 11, 9, "value = 18"),
    "one value for in": Mistake('["SE", "NO"]', "5", 8, 21, "needs a list"),
    "a condition alone": Mistake(
        'conditions = [\n    { country__in = ["SE", "NO"], age__gte = 18 },',
        "conditions = { country = 'SE' }\nx = [",
        7,
        14,
        "write a list of conditions",
    ),
    "date in client data": Mistake(
        "[1, 2]", "[1, 2026-01-01]", 14, 51, "as a text in quotes"
    ),
    "client data no table": Mistake(
        '{ owner = "payments", tickets = [1, 2] }',
        '"payments"',
        14,
        15,
        "a table of names and values",
    ),
    "unknown bucketer": Mistake(
        '"ConsistentHashPercentage',
        '"ConsistentPercentage',
        17,
        8,
        "did you mean 'ConsistentHashPercentageBucketer'?",
    ),
    "one name as white list": Mistake(
        '["user_id"]', '"user_id"', 18, 17, '["user_id"]'
    ),
    "percentage of 25": Mistake(
        "percentage = 0.25", "percentage = 25", 19, 14, "0.25 for 25 %"
    ),
    "percentage as text": Mistake(
        "percentage = 0.25", 'percentage = "25 %"', 19, 14, "a number from 0 to 1"
    ),
    "no percentage": Mistake("percentage = 0.25\n", "", 16, 21, "percentage = 0.25"),
    "ramp without beginning": Mistake(
        "bucketer.percentage.initial_time = 1767225600\n",
        "",
        24,
        10,
        "initial_time = 1767225600",
    ),
    "ramp in milliseconds": Mistake(
        "initial_time = 1767225600",
        "initial_time = 1767225600000",
        28,
        36,
        "seconds since 1970",
    ),
    "negative ramp": Mistake("86_400", "-86_400", 27, 37, "seconds, 0 or more"),
    "unknown ramp": Mistake(
        "LinearRamp", "LinearRamps", 24, 28, "did you mean 'LinearRampPercentage'?"
    ),
    "flag given twice": Mistake(
        '[flags."horse sounds"]', "[flags.NEW_CHECKOUT]", 21, 20, "remove or rename"
    ),
    "key given twice": Mistake(
        "enabled = false", "enabled = false\nenabled = true", 23, 15, "remove or rename"
    ),
    "quote missing": Mistake(
        '"user_id"]', '"user_id]', 18, 27, "close the text with the quote"
    ),
    "bracket missing": Mistake("    ],\n]", "    ],", 13, 1, "a bracket is missing"),
    "no equals sign": Mistake(
        "enabled = false", "enabled false", 22, 9, "name = value"
    ),
    "name without quotes": Mistake('"horse sounds"', "horse sounds", 21, 14, "bracket"),
    "empty name": Mistake('"horse sounds"', '""', 21, 8, "1 to 1000 bytes"),
}


def test_the_file_is_right_before_it_is_edited() -> None:
    """The mistakes below are in the edits."""
    assert [item.feature_name for item in parse_flags(RIGHT, "toml")] == [
        "NEW_CHECKOUT",
        "horse sounds",
    ]


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_reported_with_line_column_and_remedy(mistake: Mistake) -> None:
    """Whoever edits the file by hand finds the place, and what to write instead."""
    assert RIGHT.count(mistake.before) == 1
    with pytest.raises(FlagFileError) as caught:
        parse_flags(RIGHT.replace(mistake.before, mistake.after), "toml")
    places = {(p.line, p.column): str(p) for p in caught.value.problems}
    assert (mistake.line, mistake.column) in places, caught.value
    said = places[mistake.line, mistake.column]
    assert said.startswith(f"line {mistake.line}, column {mistake.column}: ")
    assert mistake.remedy in said


def test_all_mistakes_are_reported_in_the_order_of_the_file() -> None:
    """Nobody wants to start the program once for each mistake."""
    text = RIGHT
    edits = ["state as text", "unknown operator", "percentage of 25", "negative ramp"]
    for name in edits:
        text = text.replace(MISTAKES[name].before, MISTAKES[name].after)
    with pytest.raises(
        FlagFileError, match=r"^flags\.toml has 4 mistakes:\n  line 5"
    ) as caught:
        parse_flags(text, "toml", where="flags.toml")
    problems = caught.value.problems
    assert [problem.line for problem in problems] == [5, 8, 19, 27]
    assert [problem.key for problem in problems] == [
        "enabled",
        "conditions[0].age__gtee",
        "bucketer.percentage",
        "bucketer.percentage.ramp_duration",
    ]
    assert {problem.feature_name for problem in problems} == {
        "NEW_CHECKOUT",
        "horse sounds",
    }


def test_a_long_list_of_mistakes_is_cut_in_the_message_only() -> None:
    """A log record of a megabyte helps nobody."""
    flags = "".join(f"[flags.f{number}]\n" for number in range(150))
    with pytest.raises(FlagFileError, match=r"and 50 more$") as caught:
        parse_flags(f"version = 1\n{flags}", "toml")
    assert len(caught.value.problems) == 150


JSON_MISTAKES = {
    "comma missing": ('1, "flags"', '1 "flags"', 1, 15, "missing comma"),
    "flag given twice": ('"B"', '"A"', 1, 50, "remove or rename"),
    "state as text": ("true", '"true"', 1, 43, "write true or false"),
    "not a number": ("0.5", "NaN", 1, 130, "a number from 0 to 1"),
    "unknown key": ("bucketer", "buckter", 1, 73, "did you mean 'bucketer'?"),
}
JSON = json.dumps(
    {
        "version": 1,
        "flags": {
            "A": {"enabled": True},
            "B": {
                "enabled": True,
                "bucketer": {"type": "PercentageBucketer", "percentage": 0.5},
            },
        },
    }
)


@pytest.mark.parametrize(
    ("before", "after", "line", "column", "remedy"),
    JSON_MISTAKES.values(),
    ids=JSON_MISTAKES,
)
def test_a_mistake_in_json_is_reported_with_its_place(
    before: str, after: str, line: int, column: int, remedy: str
) -> None:
    """JSON is written by hand, too."""
    assert parse_flags(JSON, "json")
    with pytest.raises(FlagFileError) as caught:
        parse_flags(JSON.replace(before, after, 1), "json")
    places = {(p.line, p.column): str(p) for p in caught.value.problems}
    assert remedy in places.get((line, column), ""), caught.value


YAML = """\
version: 1
flags:
  NO:                      # a name, not false
    enabled: true
    client_data:
      since: 2026-01-01    # a text, not a date
      at: 12:30
      answer: yes
      number: 012
    conditions:
      - country__in: [SE, NO]
        age__gte: 18
  OFF:
    enabled: false
    bucketer: {type: PercentageBucketer, percentage: 1e-1}
"""


def test_yaml_has_the_types_of_json() -> None:
    """What is no number, no boolean and no null in JSON is a text."""
    first, second = parse_flags(YAML, "yaml")
    assert (first.feature_name, second.feature_name) == ("NO", "OFF")
    assert first.meta["client_data"] == {
        "since": "2026-01-01",
        "at": "12:30",
        "answer": "yes",
        "number": "012",
    }
    assert first.is_enabled(country="NO", age=18)
    assert second.meta["bucketer"]["percentage"]["value"] == 0.1


YAML_MISTAKES = {
    "state as word": ("enabled: true", "enabled: yes", 4, 14, "write true or false"),
    "name is null": ("NO:  ", "null:", 3, 3, "put it in quotes"),
    "tag": ("12:30", "!!binary YQ==", 7, 11, "!!binary"),
    "anchor": ("[SE, NO]", "&x [SE]\n      - country__in: *x", 11, 22, "anchor"),
    "flag given twice": ("OFF:", "NO:", 13, 3, "remove or rename"),
    "tab": ("  OFF:", "\tOFF:", 13, 1, "indentation"),
    "two documents": ("  OFF:", "---\nx:", 13, 1, "not YAML"),
}


@pytest.mark.parametrize(
    ("before", "after", "line", "column", "remedy"),
    YAML_MISTAKES.values(),
    ids=YAML_MISTAKES,
)
def test_a_mistake_in_yaml_is_reported_with_its_place(
    before: str, after: str, line: int, column: int, remedy: str
) -> None:
    """And what YAML would silently take for something else is refused or a text."""
    with pytest.raises(FlagFileError) as caught:
        parse_flags(YAML.replace(before, after, 1), "yaml")
    places = {(p.line, p.column): str(p) for p in caught.value.problems}
    assert remedy.replace("!!", "tag:yaml.org,2002:") in places.get(
        (line, column), ""
    ), caught.value


@pytest.mark.parametrize("format_name", ["toml", "json", "yaml"])
def test_text_that_is_not_utf_8_is_reported_with_its_place(format_name: str) -> None:
    """An editor with another encoding is set right."""
    with pytest.raises(
        FlagFileError, match=r"line 2, column 3: .*save the file as UTF-8"
    ):
        parse_flags("#\né\xff".encode()[:-2] + b"x\xff", format_name)
    assert parse_flags(b"\xef\xbb\xbf" + RIGHT.encode(), "toml")


def test_the_file_is_named(tmp_path: Path) -> None:
    """A program may read several."""
    path = tmp_path / "flags.toml"
    path.write_text("version = 1", encoding="utf-8")
    with pytest.raises(FlagFileError, match=f"^{path}: line 1, column 1: "):
        read_flags(path)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ("5", "percentage.entries: is the number 5; write entries, as entries = [[17"),
        ("[]", "percentage.entries: is a list; write entries, as entries = [[17"),
        (
            "[5]",
            "entries[0]: is the number 5; write a time and a share, as [1767225600, ",
        ),
        (
            "[[5]]",
            "entries[0]: is a list; write a time and a share, as [1767225600, 0.25]",
        ),
        (
            "[['x', 1]]",
            "entries[0][0]: is the text 'x'; write seconds since 1970, as 1767",
        ),
        (
            "[[1767225600000, 1]]",
            "entries[0][0]: is the number 1767225600000; write sec",
        ),
        (
            "[[5, 0], [5, 1]]",
            "entries[1][0]: is not later than 5 before it; sort the ent",
        ),
        (
            "[[5, 25]]",
            "entries[0][1]: is the number 25; write a number from 0 to 1, such a",
        ),
        (
            "[[5, {type = 'Schedule'}]]",
            "entries[0][1]: is a schedule in a schedule; write",
        ),
        (
            "[[5, {type = 'Ramp'}]]",
            "entries[0][1].type: the type 'Ramp' is unknown; known: L",
        ),
    ],
)
def test_a_mistake_in_a_schedule_is_reported(entries: str, message: str) -> None:
    """With the place in the list of its entries."""
    schedule = f'{{ type = "Schedule", entries = {entries} }}'
    bucketer = f'bucketer = {{ type = "PercentageBucketer", percentage = {schedule} }}'
    with pytest.raises(FlagFileError) as caught:
        parse_flags(f"version = 1\n[flags.A]\nenabled = true\n{bucketer}", "toml")
    assert message in str(caught.value)
    assert len(caught.value.problems) == 1


RULES = """\
version = 1
[flags.A]
enabled = true
otherwise = { rollout = 0.5, by = "user_id" }
variants = { blue = 1, green = [1] }
off = "green"

[[flags.A.rules]]
name = "first"
when = { any = [{ country = "SE" }, { not = { age__gte = 18 } }] }
serve = "blue"

[[flags.A.rules]]
when.rollout = 0.25
when.by = ["user_id", "id"]
serve = { split = { blue = 0.5, green = 0.25 }, by = "user_id" }
"""
RULES_MISTAKES = {
    "operator": Mistake("age__gte", "age__gtee", 10, 47, "did you mean 'gte'?"),
    "date": Mistake('"SE"', "2026-01-01", 10, 29, "as a text in quotes"),
    "not a list": Mistake(
        'any = [{ country = "SE" }, { not = { age__gte = 18 } }]',
        "any = { age = 18 }",
        *(10, 16, "write a list"),
    ),
    "not an expression": Mistake(
        '{ country = "SE" }', "5", 10, 17, "is the number 5; write a table"
    ),
    "misspelt key": Mistake("when = {", "wen = {", 10, 1, "did you mean 'when'?"),
    "two kinds": Mistake(
        "{ not = {", "{ all = [], not = {", 10, 37, "'not' is unknown; use all"
    ),
    "nothing served": Mistake('serve = "blue"\n', "", 8, 1, "serve = true"),
    "unknown variant": Mistake(
        'serve = "blue"', 'serve = "bleu"', 11, 9, "did you mean 'blue'?"
    ),
    "unknown variant of a split": Mistake(
        "split = { blue", "split = { red", 16, 9, "'red' is not among the variants"
    ),
    "unknown off": Mistake(
        'off = "green"', 'off = "none"', 6, 7, "'none' is not among"
    ),
    "off is no text": Mistake('off = "green"', "off = true", 6, 7, "use text"),
    "number as variant": Mistake('serve = "blue"', "serve = 1", 11, 9, "write true, f"),
    "name is no text": Mistake('"first"', "1", 8, 1, "is not text; use text"),
    "percent": Mistake("rollout = 0.5,", "rollout = 50,", 4, 25, "0.5 for 50 %"),
    "percent in a split": Mistake("blue = 0.5", "blue = 50", 16, 28, "0.5 for 50 %"),
    "sum of shares": Mistake("blue = 0.5", "blue = 0.9", 16, 9, "have the sum 1.15"),
    "no argument": Mistake(', by = "user_id" }\nvar', "}\nvar", 4, 1, "by = "),
    "empty argument": Mistake('"id"]', '""]', 14, 1, "is not the name of an argument"),
    "misspelt seed": Mistake(
        'by = "user_id" }\nvar', "by = 'x', sed = '1' }\nvar", 4, 40, "'seed'"
    ),
    "variants as list": Mistake(
        "{ blue = 1, green = [1] }", "['blue']", 5, 12, "write a table of names"
    ),
    "date in a variant": Mistake("[1]", "[2026-01-01]", 5, 33, "as a text in quotes"),
    "bucketer": Mistake(
        'off = "green"', 'bucketer.type = "NoOpBucketer"', 6, 1, "serve a share of the"
    ),
    "reserved name": Mistake(
        'off = "green"', "client_data.__rules__ = 1", 6, 13, "is the name under which"
    ),
}


@pytest.mark.parametrize("mistake", RULES_MISTAKES.values(), ids=RULES_MISTAKES)
def test_a_mistake_in_rules_is_reported_with_its_place(mistake: Mistake) -> None:
    """Rules are the longest part of a file, so they have most mistakes."""
    assert parse_flags(RULES, "toml")
    assert RULES.count(mistake.before) == 1
    with pytest.raises(FlagFileError) as caught:
        parse_flags(RULES.replace(mistake.before, mistake.after), "toml")
    places = {(p.line, p.column): str(p) for p in caught.value.problems}
    assert mistake.remedy in places.get((mistake.line, mistake.column), ""), str(
        caught.value
    )


def test_all_mistakes_in_rules_are_reported_together() -> None:
    """Those that need no other part of the file to be right."""
    text = RULES
    for name in ("operator", "percent", "percent in a split", "variants as list"):
        text = text.replace(RULES_MISTAKES[name].before, RULES_MISTAKES[name].after)
    with pytest.raises(FlagFileError) as caught:
        parse_flags(text, "toml")
    assert [problem.line for problem in caught.value.problems] == [4, 5, 10, 16]


def test_rules_that_are_no_list_are_reported() -> None:
    """With an example of a list."""
    text = "version = 1\n[flags.A]\nenabled = true\nrules = 'all'"
    with pytest.raises(FlagFileError, match=r"line 4, column 9: .* write a list of"):
        parse_flags(text, "toml")


def test_an_empty_name_of_a_variant_is_reported() -> None:
    """At the variants, and not at every rule that serves one."""
    text = RULES.replace("{ blue = 1,", "{ '' = 1, blue = 1,")
    with pytest.raises(FlagFileError, match=r"line 5, column 12: .* is empty"):
        parse_flags(text, "toml")


def test_an_expression_that_is_nested_too_deeply_is_reported() -> None:
    """Stores would refuse it."""
    when = "{ not = " * 30 + "{ a = 1 }" + " }" * 30
    rules = f"rules = [{{ when = {when}, serve = true }}]"
    text = f"version = 1\n[flags.A]\nenabled = true\n{rules}"
    with pytest.raises(FlagFileError, match="more than 20 levels deep"):
        parse_flags(text, "toml")


def test_too_many_rules_are_reported() -> None:
    """Without naming one of them."""
    many = "[[flags.A.rules]]\nserve = true\n" * 1001
    with pytest.raises(FlagFileError, match=r"rules: A flag cannot have 1001 rules"):
        parse_flags(f"version = 1\n[flags.A]\nenabled = true\n{many}", "toml")


def test_every_missing_key_is_reported() -> None:
    """Several keys may be missing in one table."""
    ramp = '{ type = "LinearRampPercentage", initial_value = 0 }'
    bucketer = f'bucketer = {{ type = "PercentageBucketer", percentage = {ramp} }}'
    with pytest.raises(FlagFileError) as caught:
        parse_flags(f"version = 1\n[flags.A]\nenabled = true\n{bucketer}", "toml")
    for key in ("final_value", "ramp_duration", "initial_time"):
        assert f"{key!r} is missing" in str(caught.value)
