# SPDX-License-Identifier: Apache-2.0
"""Commands for conditions, bucketers and client data, and the texts that they read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import pytest

from flipper import Condition
from flipper.bucketing import (
    ConsistentHashPercentageBucketer,
    LinearRampPercentage,
    NoOpBucketer,
    PercentageBucketer,
)
from flipper.cli.condition_text import format_condition, parse_condition
from flipper.cli.percentages import (
    format_duration,
    format_share,
    parse_duration,
    parse_share,
)
from flipper.client import store_of

if TYPE_CHECKING:
    from flipper import FeatureFlagClient

CHECKS = {
    "age = 18": {"age": 18},
    "age==18": {"age": 18},
    "age != 18": {"age__ne": 18},
    "age>18": {"age__gt": 18},
    "age >= 18": {"age__gte": 18},
    "age<18": {"age__lt": 18},
    "age <= 18": {"age__lte": 18},
    "country in SE,NO": {"country__in": ["SE", "NO"]},
    "country not in SE": {"country__not_in": ["SE"]},
    'country in["SE"]': {"country__in": ["SE"]},
    "age__gte=18": {"age__gte": 18},
    "country__in=SE,NO": {"country__in": ["SE", "NO"]},
    "in in a": {"in__in": ["a"]},
    "email endswith @x.se": {"email__endswith": "@x.se"},
    'email endswith ["@x.se","@y.se"]': {"email__endswith": ["@x.se", "@y.se"]},
    "zip startswith 018": {"zip__startswith": "018"},
    'zip startswith "18 "': {"zip__startswith": "18 "},
    "name icontains a,b": {"name__icontains": "a,b"},
    "name matches [0-9]+$": {"name__matches": "[0-9]+$"},
    'name matches "^a \\\\d"': {"name__matches": r"^a \d"},
    "day before 2026-01-31": {"day__before": "2026-01-31"},
    "day after 1770000000": {"day__after": 1770000000},
    "version semver_gte 2.1.0": {"version__semver_gte": "2.1.0"},
    "age num_gt 18": {"age__num_gt": 18},
    "ip in_cidr 10.0.0.0/8,::1": {"ip__in_cidr": ["10.0.0.0/8", "::1"]},
    "tags any_of a,1": {"tags__any_of": ["a", 1]},
    "plan exists true": {"plan__exists": True},
    "plan__exists=false": {"plan__exists": False},
    'plan = "a and b = 1"': {"plan": "a and b = 1"},
    "plan = salt and pepper": {"plan": "salt and pepper"},
    'size = "> 3"': {"size": "> 3"},
    "url = https://a.b/?c=d": {"url": "https://a.b/?c=d"},
}


@pytest.mark.parametrize(("text", "keywords"), CHECKS.items())
def test_a_check_is_read(text: str, keywords: dict[str, Any]) -> None:
    """Signs, words, and the keywords of the library mean the same."""
    assert parse_condition([text]).to_dict() == Condition(**keywords).to_dict()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("age", "not a check"),
        ("age =", "not a check"),
        ("= 18", "not a check"),
        ("age ~ 18", "not a check"),
        ("age between 1 and 2", "not a check"),
        ("plan exists", "not a check"),
        ("plan exists = true", "two signs"),
        ("plan exists yes", "use True or False"),
        ("day before soon", "use an aware datetime"),
        ("name matches (a", "a parenthesis is not closed"),
        ("plan = a and email endswith b", "two checks"),
        ("email__endswith startswith b", "two operators"),
        ("age => 18", "two signs"),
        ("age === 18", "two signs"),
        ("age >> 18", "two signs"),
        ("age >= 18 and plan = pro", "two checks"),
        ("country in SE or plan in a", "two checks"),
        ("age__gte >= 18", "two operators"),
        ("age__between=18", "the operators are"),
        ("country in SE,,NO", "empty entry"),
    ],
)
def test_a_check_that_cannot_be_read_is_refused(text: str, message: str) -> None:
    """A guess could let in the wrong users."""
    with pytest.raises(click.UsageError, match=message):
        parse_condition([text])


def test_a_check_is_given_once() -> None:
    """Of two checks with one keyword, the second would replace the first."""
    with pytest.raises(click.UsageError, match="given twice"):
        parse_condition(["age > 1", "age__gt = 2"])


def test_a_condition_is_written_as_it_is_typed() -> None:
    """`show` and plans print what can be used again."""
    made = parse_condition(["age >= 18", "country in SE,NO", 'a != "> 1"', "b=null"])
    assert format_condition(made) == (
        'age >= 18 and country in SE,NO and a != "> 1" and b == null'
    )
    assert format_condition(Condition()) == "no checks"


def test_nested_lists_are_written_as_json() -> None:
    """Without brackets the entries would be divided otherwise."""
    text = format_condition(Condition(point__in=[[1, 2], [3, 4]]))
    assert text == "point in [[1, 2], [3, 4]]"
    assert format_condition(Condition(point__in=[])) == "point in []"


def test_conditions_are_added_set_and_cleared(
    flipper: Any, client: FeatureFlagClient
) -> None:
    """Adding makes one condition of all checks; setting replaces all conditions."""
    client.create("flag")
    assert flipper("condition", "add", "flag", "age >= 18", "plan = pro").code == 0
    assert flipper("condition", "add", "flag", "country in SE").code == 0
    assert len(client.get_meta("flag")["conditions"]) == 2
    assert flipper("condition", "set", "flag", "age < 5").err == (
        "Changed flag. It is off; if enabled, on for age < 5.\n"
    )
    assert len(client.get_meta("flag")["conditions"]) == 1
    assert flipper("condition", "clear", "flag").code == 0
    assert client.get_meta("flag")["conditions"] == []


def test_clearing_what_restricts_an_enabled_flag_needs_a_yes(
    flipper: Any, client: FeatureFlagClient
) -> None:
    """It would switch the flag on for everybody."""
    client.create("flag", is_enabled=True)
    flipper("condition", "add", "flag", "age >= 18")
    before = client.get_meta("flag")
    refused = flipper("condition", "clear", "flag")
    assert (refused.code, client.get_meta("flag")) == (2, before)
    assert flipper("condition", "clear", "flag", "--yes").code == 0
    flipper("bucket", "set", "flag", "10%")
    before = client.get_meta("flag")
    for arguments in (["set", "flag", "100%"], ["clear", "flag"]):
        refused = flipper("bucket", *arguments)
        assert (refused.code, client.get_meta("flag")) == (2, before)
    assert flipper("bucket", "clear", "flag", "--yes").code == 0
    assert client.is_enabled("flag") is True


def test_a_refused_check_writes_nothing(
    flipper: Any, client: FeatureFlagClient
) -> None:
    """Not even the valid checks beside it."""
    client.create("flag")
    before = client.get_meta("flag")
    result = flipper("condition", "add", "flag", "age >= 18", "plan => 1")
    assert result.code == 2
    assert "'plan => 1' has two signs" in result.err
    assert client.get_meta("flag") == before


def bucketer_of(client: FeatureFlagClient, name: str) -> Any:
    """Return the bucketer of a flag, as the store has it."""
    item: Any = store_of(client).get(name)
    return item.raw_meta.bucketer


def test_a_share_of_the_calls_is_let_in(
    flipper: Any, client: FeatureFlagClient
) -> None:
    """At random, or the same users each time."""
    client.create("flag")
    assert flipper("bucket", "set", "flag", "25%").code == 0
    assert type(bucketer_of(client, "flag")) is PercentageBucketer
    assert bucketer_of(client, "flag").percentage == 0.25
    flipper("bucket", "set", "flag", "0.5", "--by", "user_id", "--by", "shop")
    made = bucketer_of(client, "flag")
    assert type(made) is ConsistentHashPercentageBucketer
    assert sorted(made.key_whitelist) == ["shop", "user_id"]
    flipper("bucket", "clear", "flag")
    assert type(bucketer_of(client, "flag")) is NoOpBucketer


def test_a_new_percentage_keeps_the_arguments_that_are_hashed(
    flipper: Any, client: FeatureFlagClient
) -> None:
    """Users who are in stay in, unless other arguments or chance are asked for."""
    client.create("x")
    flipper("bucket", "set", "x", "10%", "--by", "user_id")
    assert "20% by user_id" in flipper("bucket", "set", "x", "20%").err
    assert "by user_id" in flipper("bucket", "ramp", "x", "--over", "2h").err
    assert "by team" in flipper("bucket", "set", "x", "20%", "--by", "team").err
    refused = flipper("bucket", "set", "x", "30%", "--by", "team", "--random")
    assert (refused.code, "contradict" in refused.err) == (2, True)
    assert "20% by team" in flipper("show", "x").out
    assert "at random" in flipper("bucket", "set", "x", "30%", "--random").err
    assert "at random" in flipper("bucket", "set", "x", "40%").err


def test_a_ramp_begins_now(flipper: Any, client: FeatureFlagClient) -> None:
    """And goes from one share to another in a given time."""
    client.create("flag")
    result = flipper("bucket", "ramp", "flag", "--to", "50%", "--over", "2h")
    assert result.code == 0
    assert "(0% to 50% in 2h from " in result.err
    ramp = bucketer_of(client, "flag").own_percentage
    assert type(ramp) is LinearRampPercentage
    assert (ramp.initial_value, ramp.final_value, ramp.ramp_duration) == (0, 0.5, 7200)
    assert 0 <= ramp.dt < 60


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("25%", 0.25),
        ("0.25", 0.25),
        ("0", 0),
        ("100%", 1),
        ("0.5 %", 0.005),
        (".5", 0.5),
    ],
)
def test_a_percentage_is_read(text: str, share: float) -> None:
    """With its sign, or as a fraction."""
    assert parse_share(text) == share


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("25", "do you mean 25%?"),
        ("1", "1% or 100%"),
        ("101%", "0% to 100%"),
        ("-5%", "0% to 100%"),
        ("a", "not a percentage"),
        ("nan", "not a percentage"),
        ("1_0%", "not a percentage"),
        ("inf%", "not a percentage"),
        ("%", "not a percentage"),
        ("", "not a percentage"),
    ],
)
def test_a_percentage_that_could_mean_another_is_refused(
    text: str, message: str
) -> None:
    """1 could be one percent or all."""
    with pytest.raises(click.BadParameter, match=message):
        parse_share(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("2h", 7200), ("7d", 604_800), ("1h30m", 5400)],
)
def test_a_duration_is_read_and_written(text: str, seconds: int) -> None:
    """In the largest units that express it."""
    assert parse_duration(text) == seconds
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    "text", ["90", "h", "", "1y", "-1h", "1 h", "0s", "9" * 400 + "d"]
)
def test_a_duration_that_cannot_be_used_is_refused(text: str) -> None:
    """Without a unit it could be minutes as well as seconds."""
    with pytest.raises(click.BadParameter, match="duration"):
        parse_duration(text)


def test_percentages_are_written_without_zeros() -> None:
    """With four digits after the point at most."""
    assert [*map(format_share, (0, 0.25, 1, 1 / 3, 0.00001))] == [
        *("0%", "25%", "100%", "33.3333%", "0.001%")
    ]


def test_client_data_is_merged_and_printed(
    flipper: Any, client: FeatureFlagClient
) -> None:
    """Keys that are not named stay."""
    client.create("flag", client_data={"owner": "anna", "n": 1})
    assert flipper("meta", "set", "flag", "n=2", "tags=[1]").code == 0
    expected = {"owner": "anna", "n": 2, "tags": [1]}
    assert client.get_client_data("flag") == expected
    assert flipper("meta", "get", "flag").out == "owner=anna\nn=2\ntags=[1]\n"
    assert flipper("meta", "get", "flag", "--json").data == expected
    assert flipper("meta", "get", "flag", "owner").out == "anna\n"
    assert flipper("meta", "get", "flag", "owner", "--json").data == "anna"
    missing = flipper("meta", "get", "flag", "nix")
    assert (missing.code, missing.out) == (1, "")
    assert "its keys: n, owner, tags" in missing.err


def test_no_client_data_is_said_on_stderr(
    flipper: Any, client: FeatureFlagClient
) -> None:
    """A script that reads stdout gets nothing, or an empty object."""
    client.create("flag")
    result = flipper("meta", "get", "flag")
    assert (result.code, result.out) == (0, "")
    assert "has no client data" in result.err
    assert flipper("meta", "get", "flag", "--json").data == {}
