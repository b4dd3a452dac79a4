# SPDX-License-Identifier: Apache-2.0
"""Rules on the command line: shown, set, edited, cleared, checked and planned."""

from __future__ import annotations

import json
import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
from terminal import Terminal

from flipper import Condition
from flipper.bucketing import ConsistentHashPercentageBucketer, Percentage, Schedule
from flipper.cli.blast_radius import blast_radius
from flipper.cli.changes import Change, compare, flags_of
from flipper.cli.describe import describe_audience, state_word
from flipper.cli.rules_text import numbered_lines
from flipper.client import store_of
from flipper.conditions.expression import AllOf, AnyOf
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.events import EventType
from flipper.rules import Rollout, Rule, Rules, Split

if TYPE_CHECKING:
    from flipper import FeatureFlagClient

SWEDEN, ADULT = Condition(country="SE"), Condition(age__gte=18)
TEN, HALF = Rollout(0.1, by="user_id"), Rollout(0.5, by="user_id")
TEXT = """\
variants = { blue = "#00f", green = "#0f0" }

[[rules]]
name = "Sweden"
when = { country = "SE" }
serve = "blue"

[[rules]]
serve = { split = { blue = 0.5, green = 0.25 }, by = "user_id" }
"""
RULES = Rules(
    [
        Rule(SWEDEN, "blue", name="Sweden"),
        Rule(None, Split({"blue": 0.5, "green": 0.25}, by="user_id")),
    ],
    variants={"blue": "#00f", "green": "#0f0"},
)


def flag(is_enabled: bool, rules: Any, *conditions: Condition, by: Any = None) -> Any:
    """Make a flag with rules."""
    meta = FeatureFlagStoreMeta(1, {}, [*conditions], by)
    if rules is not None:
        meta.set_rules(rules if isinstance(rules, Rules) else Rules(rules))
    return FeatureFlagStoreItem("flag", is_enabled, meta)


def share(value: float) -> ConsistentHashPercentageBucketer:
    """Make a bucketer for a share of the users."""
    return ConsistentHashPercentageBucketer(
        key_whitelist=["id"], percentage=Percentage(value)
    )


@pytest.fixture
def shop(client: FeatureFlagClient) -> FeatureFlagClient:
    """Give a client of a store with an enabled flag that has rules."""
    client.create("shop", is_enabled=True, client_data={"owner": "ada"})
    client.set_rules("shop", RULES)
    return client


# -- words -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "state", "audience"),
    [
        ([], "partly", "nobody"),
        ([Rule()], "on", "everybody"),
        ([Rule(None, "blue")], "on", "variant blue"),
        (Rules([], "blue", off="blue"), "partly", "variant blue (off)"),
        ([Rule(SWEDEN)], "partly", "users chosen by 1 rule (country == SE: on; all ot"),
        (Rules([Rule(SWEDEN, "blue")], otherwise=True), "on", "users chosen by 1 rule"),
        ([Rule(None, TEN), Rule(SWEDEN)], "partly", "10% by user_id"),
        ([Rule(None, Rollout(1, by="id"))], "on", "100% by id"),
        (
            [Rule(None, Split({"a": 0.5, "b": 0.5}, by="id"))],
            "on",
            "a 50%, b 50% by id",
        ),
        (
            Rules([Rule(None, Split({"a": 0.5, "b": 0.5}, by="id"))], off="b"),
            "partly",
            "a 50%, b 50% by id",
        ),
        ([Rule(Condition(n=n)) for n in range(5)], "partly", "users chosen by 5 rules"),
    ],
)
def test_a_flag_with_rules_is_described(rules: Any, state: str, audience: str) -> None:
    """It is on for everybody only if each rule that can be reached serves on."""
    item = flag(True, rules)
    assert state_word(item) == state
    assert describe_audience(item).startswith(audience)
    if state == "on":
        assert item.is_enabled(id=1) is True
    assert state_word(flag(False, rules)) == "off"
    limited = flag(True, rules, ADULT)
    assert state_word(limited) == "partly"
    assert describe_audience(limited).startswith(f"age >= 18; of these, {audience}")


def test_every_part_of_an_expression_is_in_words() -> None:
    """With brackets where the order would not be clear, and a line for each rule."""
    named = Rollout([(0.5, 0.75)], by=("user.id", "id"), seed="x")
    schedule = Rollout(Schedule([(0, 0.25)]), by="id", hash="flagd")
    rules = Rules(
        [
            Rule((SWEDEN | ADULT) & ~Condition(a=1, b=2), False, name="first"),
            Rule(SWEDEN & ~ADULT | named, schedule),
            Rule(~(SWEDEN | ADULT), "blue"),
            Rule(AnyOf(), "blue"),
            Rule(AllOf(), True),
        ],
        off="blue",
    )
    assert numbered_lines(rules) == [
        "1. (country == SE or age >= 18) and not (a == 1 and b == 2): off (first)",
        (
            "2. (country == SE and not age >= 18) or in 25% by user.id or id (seed x): "
            "25% now (25% from 1970-01-01 00:00:00 UTC) by id (hash flagd)"
        ),
        "3. not (country == SE or age >= 18): variant blue (off)",
        "4. nobody: variant blue (off)",
        "5. everybody: on",
        "all others: off",
    ]


RANGES = Split({"a": [(0, 0.5)], "b": [(0.5, 1)]}, by="id")


@pytest.mark.parametrize(
    ("before", "after", "sentences"),
    [
        (flag(True, [Rule(None, TEN)]), flag(True, [Rule(None, TEN, "x")]), []),
        (
            flag(True, [Rule(None, TEN)]),
            flag(True, [Rule(None, HALF)]),
            ["everybody: 10% by user_id -> 50% by user_id"],
        ),
        (
            flag(True, [Rule(SWEDEN), Rule(None, TEN)]),
            flag(True, [Rule(SWEDEN), Rule(None, Rollout(0.1, by="id"))]),
            [
                "all others: 10% by user_id -> 10% by id",
                "other users than before are chosen, because other buckets are",
            ],
        ),
        (
            flag(True, [Rule(SWEDEN)]),
            flag(True, None),
            [
                (
                    "rules removed: on for users chosen by 1 rule (country == SE: on; "
                    "all others: off) -> on for everybody"
                )
            ],
        ),
        (
            flag(True, None, by=share(0.1)),
            flag(True, [Rule(ADULT)]),
            ["10% by id -> users chosen by 1 rule (age >= 18: on; all others: off)"],
        ),
        (
            flag(True, [Rule(SWEDEN)]),
            flag(True, [Rule(ADULT), Rule(SWEDEN)]),
            ["added: age >= 18: on"],
        ),
        (
            flag(True, [Rule(ADULT), Rule(SWEDEN, TEN)]),
            flag(True, [Rule(SWEDEN, TEN)]),
            ["removed: age >= 18: on"],
        ),
        (
            flag(True, [Rule(ADULT, False), Rule(SWEDEN)]),
            flag(True, [Rule(SWEDEN), Rule(ADULT, False)]),
            ["the order of the rules changes"],
        ),
        (
            flag(True, Rules([], RANGES)),
            flag(True, Rules([], Split({"a": 0.4, "b": 0.6}, by="id").keeping(RANGES))),
            [
                "everybody: a 50%, b 50% by id -> a 40%, b 60% by id",
                "10% of the users leave their variant",
            ],
        ),
        (
            flag(True, Rules([], "a", {"a": 1})),
            flag(True, Rules([], "b", {"a": 1, "b": [2]})),
            ["everybody: variant a -> variant b", "variant b: not set -> [2]"],
        ),
        (
            flag(False, Rules([], "a", off="b")),
            flag(False, Rules([], "a", off="a")),
            ["off for everybody; if enabled: the variant that counts as off: b -> a"],
        ),
        (
            flag(False, None),
            flag(False, [Rule(None, TEN)]),
            ["off for everybody; if enabled: everybody -> 10% by user_id"],
        ),
        (
            flag(True, Rules([], "a")),
            flag(True, None),
            ["on for everybody; variant a -> everybody"],
        ),
        (
            flag(True, [Rule(None, TEN)]),
            flag(True, [Rule(None, TEN)], ADULT),
            ["now needs age >= 18; who does not meet it is excluded"],
        ),
        (flag(True, [Rule(SWEDEN)]), None, [Any]),
    ],
)
def test_a_change_of_rules_says_for_whom_the_answer_changes(
    before: Any, after: Any, sentences: list[Any]
) -> None:
    """As far as that can be told; and nothing if no answer changes."""
    found = blast_radius(Change("flag", before, after))
    if sentences == [Any]:
        assert found[0].endswith("-> off for everybody")
        assert not found[0].startswith("rules removed")
    else:
        assert found == sentences


# -- the commands ----------------------------------------------------------------------


def test_rules_are_set_shown_and_cleared(
    flipper: Any, client: FeatureFlagClient
) -> None:
    """What is shown can be set again."""
    client.create("shop", is_enabled=True, client_data={"owner": "ada"})
    Path("r.toml").write_text(TEXT)
    done = flipper("rules", "set", "shop", "r.toml")
    assert done.code == 0
    assert done.err.startswith("    on for everybody -> on for users chosen by 2 rules")
    assert "\nChanged shop. It is on for some: users chosen by 2 rules" in done.err
    assert client.get_rules("shop") == RULES
    assert client.get_client_data("shop") == {"owner": "ada"}
    assert flipper("rules", "show", "shop").out == TEXT
    assert flipper("rules", "show", "shop", "--json").data == RULES.to_dict()
    refused = flipper("rules", "clear", "shop")
    assert (refused.code, client.get_rules("shop")) == (2, RULES)
    assert "The flag 'shop' will be on for everybody. Add --yes" in refused.err
    cleared = flipper("rules", "clear", "shop", "--yes")
    assert "rules removed: on for users" in cleared.err
    assert client.get_rules("shop") is None
    assert "has no rules" in flipper("rules", "clear", "shop").err
    assert flipper("rules", "show", "shop").code == 1


def test_rules_for_everybody_are_confirmed(
    flipper: Any, client: FeatureFlagClient
) -> None:
    """A file is as dangerous as the command enable."""
    client.create("shop", is_enabled=True)
    client.set_rules("shop", [Rule(SWEDEN)])
    Path("r.json").write_text('{"rules": [{"serve": true}]}')
    refused = flipper("rules", "set", "shop", "r.json")
    assert (refused.code, client.is_enabled("shop")) == (2, False)
    assert flipper("rules", "set", "shop", "r.json", "--yes").code == 0
    assert client.is_enabled("shop") is True


@pytest.mark.usefixtures("shop")
def test_a_file_of_rules_with_mistakes_changes_nothing(
    flipper: Any, client: FeatureFlagClient
) -> None:
    """All mistakes are reported with their places."""
    Path("r.toml").write_text('off = 1\n[[rules]]\nwhen = { a__b = 1 }\nserve = "x"\n')
    result = flipper("rules", "set", "shop", "r.toml")
    assert result.code == 1
    assert "r.toml: line 3, column 10: rules[0].when.a__b: the operator" in result.err
    Path("r.toml").write_text('variants = { a = 1 }\n[[rules]]\nserve = "b"\n')
    result = flipper("rules", "set", "shop", "r.toml")
    assert "r.toml: line 3, column 9: rules[0].serve: The variant 'b' is" in result.err
    Path("r.toml").write_text("")
    assert "has no rules" in flipper("rules", "set", "shop", "r.toml").err
    Path("r.toml").write_text("version = 1\n[flags.shop]\nenabled = true\n")
    assert "the key is unknown" in flipper("rules", "set", "shop", "r.toml").err
    assert client.get_rules("shop") == RULES


def test_rules_are_edited(
    flipper: Any, shop: FeatureFlagClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the editor of the user; users who need not move stay in their variants."""
    before = [shop.variant("shop", user_id=number) for number in range(300)]
    monkeypatch.setenv("EDITOR", "sed -i s/0.5,/0.6,/")
    result = flipper("rules", "edit", "shop")
    assert result.code == 0, result.err
    assert "blue 50%, green 25%, off 25% by user_id -> blue 60%, green" in result.err
    after = [shop.variant("shop", user_id=number) for number in range(300)]
    moved = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
    assert moved
    assert {*moved} == {(None, "#00f")}
    stored = shop.get_rules("shop")
    assert "blue = [[" in flipper("rules", "show", "shop").out
    monkeypatch.setenv("EDITOR", "sed -i s/0.6/0.6/")
    assert flipper("rules", "edit", "shop").err == "Nothing was changed.\n"
    monkeypatch.setenv("EDITOR", "sed -i 's/blue = 0.6, green = 0.25/green = 0.25/'")
    assert "blue 60%, green 25%, off 15% by user_id -> green 25%, off 75%" in (
        flipper("rules", "edit", "shop").err
    )
    assert shop.get_rules("shop") != stored
    shop.set_rules("shop", RULES)


def test_several_splits_are_edited_with_their_ranges(
    flipper: Any, shop: FeatureFlagClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the shares alone, nobody could tell which split has which ranges."""
    first = Split({"a": [(0.5, 1)], "b": [(0, 0.25)]}, by="id")
    rules = Rules([Rule(SWEDEN, first)], Split({"a": 0.5, "b": 0.5}, by="id"))
    shop.set_rules("shop", rules)
    monkeypatch.setenv("EDITOR", "sed -i s/SE/NO/")
    assert flipper("rules", "edit", "shop").code == 0
    assert shop.get_rules("shop") == Rules(
        [Rule(Condition(country="NO"), first)], rules.otherwise
    )


def test_a_flag_without_rules_is_edited_from_a_template(
    flipper: Any, client: FeatureFlagClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lines of the template are rules if their comment signs are removed."""
    client.create("new")
    monkeypatch.setenv("EDITOR", "sed -i -e 's/^# *$//' -e 's/^# //' -e 1d")
    result = flipper("rules", "edit", "new")
    assert result.code == 0, result.err
    assert len(client.get_rules("new") or ()) == 2


def test_text_with_mistakes_is_kept(
    flipper: Any, shop: FeatureFlagClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has to write the rules again because of one letter."""
    monkeypatch.setenv("EDITOR", 'sed -i \'s/serve = "blue"/serve = "bleu"/\'')
    result = flipper("rules", "edit", "shop")
    assert result.code == 1
    assert "line 6, column 9: rules[0].serve: The variant 'bleu'" in result.err
    assert shop.get_rules("shop") == RULES
    (command,) = [line for line in result.err.splitlines() if "rules set shop" in line]
    kept = Path(command.rpartition(" ")[2])
    assert kept.read_text() == TEXT.replace('serve = "blue"', 'serve = "bleu"')
    kept.write_text(TEXT.replace("Sweden", "corrected"))
    assert flipper("rules", "set", "shop", str(kept)).code == 0
    assert (shop.get_rules("shop") or [])[0].name == "corrected"
    kept.unlink()


def test_who_edits_in_a_terminal_is_asked_to_go_on(shop: FeatureFlagClient) -> None:
    """The next time, the editor opens the same text."""
    script = Path("edit.py")
    script.write_text(
        "import pathlib, sys\n"
        "path = pathlib.Path(sys.argv[-1])\n"
        "text = path.read_text()\n"
        "broken = 'serve = 5' in text\n"
        "old, new = ('serve = 5', 'serve = true') if broken else "
        "('serve = \"blue\"', 'serve = 5')\n"
        "path.write_text(text.replace(old, new))\n"
    )
    editor = f"{sys.executable} {script.resolve()}"
    with Terminal.flipper("rules", "edit", "shop", EDITOR=editor) as terminal:
        terminal.wait_for("Edit it again?")
        assert terminal.answer("y\n") == 0, terminal.output
    assert (shop.get_rules("shop") or [])[0].serve is True


def test_a_change_meanwhile_is_not_undone(
    flipper: Any, shop: FeatureFlagClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An editor may be open for hours; the text is kept, and nothing is written."""

    def edit(filename: str) -> None:
        shop.set_rules("shop", [Rule(ADULT)])
        path = Path(filename)
        path.write_text(path.read_text().replace("Sweden", "mine"))

    monkeypatch.setattr(click, "edit", edit)
    result = flipper("rules", "edit", "shop")
    assert result.code == 1
    assert "changed by somebody else meanwhile; nothing was written" in result.err
    assert shop.get_rules("shop") == Rules([Rule(ADULT)])
    kept = Path(result.err.split("rules set shop ")[1].split()[0])
    assert "mine" in kept.read_text()
    kept.unlink()


def test_a_bucketer_is_refused_beside_rules(
    flipper: Any, shop: FeatureFlagClient
) -> None:
    """It would not decide anything."""
    for arguments in (["set", "shop", "10%"], ["clear", "shop", "--yes"]):
        result = flipper("bucket", *arguments)
        assert result.code == 1
        assert "has rules, which decide instead of a bucketer" in result.err
    assert shop.get_rules("shop") == RULES


# -- all other commands ----------------------------------------------------------------


@pytest.mark.usefixtures("shop")
def test_a_flag_is_shown_in_its_real_state(flipper: Any) -> None:
    """A document has another state, and the rules in the client data."""
    shown = flipper("show", "shop").out
    assert "State:       partly" in shown
    assert "Rules:       1. country == SE: variant blue (Sweden)\n" in shown
    assert (
        "             2. all others: blue 50%, green 25%, off 25% by user_id" in shown
    )
    assert "Variants:    blue = #00f\n             green = #0f0\n" in shown
    assert "Client data: owner = ada\n" in shown
    data = flipper("show", "shop", "--json").data
    assert data["is_enabled"] is True
    assert data["meta"]["client_data"] == {"owner": "ada"}
    assert data["meta"]["rules"] == RULES.to_dict()
    assert "__rules__" not in json.dumps(data)
    assert "__rules__" not in flipper("export").out
    assert "__rules__" not in flipper("meta", "get", "shop").out
    assert "partly  users chosen by 2 rules" in flipper("list").out


@pytest.mark.usefixtures("shop")
def test_check_says_which_rule_and_which_variant(flipper: Any) -> None:
    """And the value of the variant, also if the flag is off."""
    on = flipper("check", "shop", "country=SE")
    assert on.code == 0
    assert on.out == (
        "Feature 'shop' is on: its rule 1 ('Sweden') holds and serves 'blue'.\n"
        "The value of the variant 'blue' is #00f.\n"
    )
    data = flipper("check", "shop", "user_id=1", "--json").data
    assert (data["rule"], data["variant"], data["value"]) == (2, "blue", "#00f")
    off = flipper("check", "shop", "--json")
    assert (off.code, off.data["variant"], off.data["value"]) == (1, None, False)
    typed = flipper("check", "shop", "country=1")
    assert "Warning: country=1 is a number, but the check country" in typed.err


def test_the_off_variant_is_the_value_of_a_disabled_flag(
    flipper: Any, shop: FeatureFlagClient
) -> None:
    """As the library answers."""
    shop.set_rules("shop", Rules([], True, {"none": 0}, off="none"))
    shop.disable("shop")
    result = flipper("check", "shop")
    assert result.code == 1
    assert "The value of the variant 'none' is 0.\n" in result.out
    assert flipper("check", "shop", "--json").data["value"] == 0
    assert shop.variant("shop", "default") == 0


@pytest.mark.usefixtures("shop")
def test_a_sample_has_the_share_of_each_variant(
    flipper: Any, shop: FeatureFlagClient
) -> None:
    """They are the answers of the library."""
    answers = [shop.variant("shop", user_id=number) for number in range(1, 401)]
    blue, green = answers.count("#00f"), answers.count("#0f0")
    sample = ("check", "shop", "--sample", "user_id=1..400")
    assert flipper(*sample).out.splitlines() == [
        f"{blue + green} of 400 are in ({(blue + green) / 4:g}%).",
        f"    blue: {blue} ({blue / 4:g}%)",
        f"    green: {green} ({green / 4:g}%)",
    ]
    data = flipper(*sample, "--json").data
    assert data["variants"]["green"] == {"enabled": green, "share": green / 400}


def test_a_sample_asks_other_flags_too(flipper: Any, shop: FeatureFlagClient) -> None:
    """A prerequisite is decided for each value of the sample."""
    shop.create("half", is_enabled=True)
    shop.set_rules("half", [Rule(None, HALF)])
    shop.set_rules("shop", [Rule(Condition(half__enabled=True))])
    admitted = sum(shop.is_enabled("shop", user_id=number) for number in range(200))
    assert 0 < admitted < 200
    sample = flipper("check", "shop", "--sample", "user_id=0..199", "--json").data
    assert sample["enabled"] == admitted


def test_a_flag_cannot_depend_on_itself(flipper: Any, shop: FeatureFlagClient) -> None:
    """Neither by rules that are set nor by flags of a file."""
    shop.create("other")
    shop.set_rules("other", [Rule(Condition(shop__enabled=True))])
    Path("r.toml").write_text(
        "[[rules]]\nwhen = { other__enabled = true }\nserve = true"
    )
    refused = flipper("rules", "set", "shop", "r.toml")
    assert refused.code == 2
    assert "'shop' would depend on itself: 'shop' -> 'other' -> 'shop'" in refused.err
    flipper("export", "a.toml")
    text = Path("a.toml").read_text()
    assert 'when = { country = "SE" }' in text
    circle = text.replace(
        'when = { country = "SE" }', "when = { other__enabled = true }"
    )
    Path("a.toml").write_text(circle)
    for command in ("plan", "apply", "import"):
        assert "would depend on itself" in flipper(command, "a.toml").err
    assert shop.get_rules("shop") == RULES


def test_rules_go_through_files_and_copies(
    flipper: Any, shop: FeatureFlagClient
) -> None:
    """Export, import, copy and diff keep every byte."""
    shop.create("off")
    shop.set_rules("off", Rules([Rule(None, HALF)], "blue"))
    for form in ("toml", "json"):
        assert flipper("export", f"a.{form}").code == 0
        assert flipper("plan", f"a.{form}").out == "No changes.\n"
        target = f"sqlite:///{form}.db"
        assert flipper("import", f"a.{form}", "--url", target).code == 0
        assert flipper("diff", "sqlite:///flipper.db", target).out == "No changes.\n"
    assert flipper("copy", "sqlite:///flipper.db", "sqlite:///c.db").code == 0
    assert flipper("diff", "sqlite:///flipper.db", "sqlite:///c.db").code == 0


def test_an_applied_file_moves_only_users_who_must_move(
    flipper: Any, shop: FeatureFlagClient
) -> None:
    """A file has shares, and the store has the ranges that make them."""
    flipper("export", "a.toml")
    text = Path("a.toml").read_text()
    Path("a.toml").write_text(text.replace("blue = 0.5, green = 0.25", "blue = 0.6"))
    planned = flipper("plan", "a.toml", "--out", "p.json")
    assert "    all others: blue 50%, green 25%, off 25% by user_id -> " in planned.out
    assert "25% of the users leave their variant\n" in planned.out
    assert flipper("apply", "p.json").code == 0
    assert flipper("plan", "a.toml").out == "No changes.\n"
    split = (shop.get_rules("shop") or [])[1].serve
    assert isinstance(split, Split)
    assert split.ranges["blue"][0] == (0, 0.6)
    wider = text.replace("blue = 0.5, green = 0.25", "blue = 0.3, green = 0.5")
    Path("a.toml").write_text(wider)
    assert flipper("apply", "a.toml").code == 0
    assert flipper("plan", "a.toml").out == "No changes.\n"
    kept = [flipper("plan", "a.toml", "--json").data, flags_of(store_of(shop))]
    assert kept[0] == []
    assert compare(kept[1], kept[1].values()) == []


def test_a_copy_is_exact(flipper: Any, shop: FeatureFlagClient) -> None:
    """A copy gives each user the variant of the original, whatever was there."""
    assert flipper("copy", "sqlite:///flipper.db", "sqlite:///c.db").code == 0
    shop.set_rules("shop", Rules([], Split({"a": 0.25, "b": 0.5}, by="user_id")))
    copied = flipper("copy", "sqlite:///flipper.db", "sqlite:///c.db", "--overwrite")
    assert (copied.code, copied.err.splitlines()[-1]) == (
        0,
        "Copied 1 flag; 0 were the same already. 1 of 1 verified.",
    )


def test_rules_are_announced_as_client_data(client: FeatureFlagClient) -> None:
    """With the rules under their reserved name, as set_rules of a client does it."""
    heard: list[Any] = []
    for event in EventType:
        if event.name.startswith("POST_"):
            name = event.name.removeprefix("POST_")
            client.events.on(
                event,
                lambda _, *args, name=name, **kwargs: heard.append((name, *args)),
            )

    def apply(before: Any, after: Any) -> list[Any]:
        heard.clear()
        Change("flag", before, after).apply(client)
        return heard

    off, on = flag(False, [Rule(SWEDEN)]), flag(True, [Rule(SWEDEN)])
    announced = {"__rules__": Rules([Rule(SWEDEN)]).to_dict()}
    assert apply(None, off) == [("CREATE",), ("SET_CLIENT_DATA", announced)]
    assert apply(off, on) == [("ENABLE",)]
    bucketed = flag(True, None, by=share(0.5))
    assert [name for name, *_ in apply(on, bucketed)] == [
        "SET_CLIENT_DATA",
        "SET_BUCKETER",
    ]
    assert apply(bucketed, on) == [("SET_CLIENT_DATA", announced)]
    assert apply(on, flag(True, None)) == [("SET_CLIENT_DATA", {})]


def test_doctor_reports_flags_that_the_original_has_written(
    flipper: Any, shop: FeatureFlagClient
) -> None:
    """A flag that counts as off since may have been meant to be on."""
    assert "ok      rules          1 flags" in flipper("doctor", "--read-only").out
    write_as_original("shop")
    found = flipper("doctor", "--read-only")
    assert found.code == 0
    assert "note    rules          1 were last written by flipper" in found.out
    assert "1.x: 'shop', which counts as off; `flipper enable`" in found.out
    assert flipper("enable", "shop").code == 0
    assert "ok      rules" in flipper("doctor", "--read-only").out
    assert shop.is_enabled("shop", country="SE") is True


def write_as_original(name: str) -> None:
    """Write a flag as flipper-client 1.x does, which drops the mark of its bucketer."""
    with sqlite3.connect("flipper.db") as connection:
        query = "SELECT item FROM feature_flags WHERE name = ?"
        (document,) = connection.execute(query, (name,)).fetchone()
        fields = json.loads(document)
        del fields["meta"]["bucketer"]["rules"]
        update = "UPDATE feature_flags SET item = ? WHERE name = ?"
        connection.execute(update, (json.dumps(fields).encode(), name))
    connection.close()
