# SPDX-License-Identifier: Apache-2.0
"""Commands that list, show, create, enable, disable and delete flags."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from flipper import FeatureFlagClient


def break_document(name: str) -> None:
    """Store what is not a flag."""
    with sqlite3.connect("flipper.db") as connection:
        connection.execute(
            "INSERT OR REPLACE INTO feature_flags (name, item) VALUES (?, ?)",
            (name, b'{"feature_name": 5'),
        )
    connection.close()


def test_a_new_flag_is_off(flipper: Any, client: FeatureFlagClient) -> None:
    """Creating a flag changes nothing for anybody."""
    result = flipper("create", "new", "-d", "owner=anna", "-d", "n=1")
    assert (result.code, result.out) == (0, "")
    assert result.err == "Created new. It is off; if enabled, on for everybody.\n"
    assert client.is_enabled("new") is False
    assert client.get_client_data("new") == {"owner": "anna", "n": 1}


def test_a_flag_that_exists_is_not_created_again(
    flipper: Any, client: FeatureFlagClient
) -> None:
    """A second `create` would lose what the first one has."""
    client.create("old", is_enabled=True, client_data={"owner": "anna"})
    result = flipper("create", "old")
    assert result.code == 1
    assert "'old' exists already" in result.err
    assert client.is_enabled("old") is True
    assert client.get_client_data("old") == {"owner": "anna"}


@pytest.mark.parametrize("name", ["", " ", "a" * 1001])
def test_a_name_that_stores_refuse_is_wrong_usage(flipper: Any, name: str) -> None:
    """The message says which names are allowed."""
    result = flipper("create", "--", name)
    assert result.code == 2
    assert "use a text of 1 to 1000 bytes" in result.err
    assert flipper("list", "--json").data == []


def test_a_flag_for_everybody_needs_a_yes(
    flipper: Any, client: FeatureFlagClient
) -> None:
    """Without a terminal nobody can be asked, so the command is refused."""
    client.create("old")
    for arguments in (["create", "new", "--enabled"], ["enable", "old"]):
        result = flipper(*arguments)
        assert result.code == 2
        assert "will be on for everybody. Add --yes" in result.err
        assert "Usage:" not in result.err
    assert not client.exists("new")
    assert client.is_enabled("old") is False
    assert flipper("create", "new", "--enabled", "--yes").code == 0
    assert flipper("enable", "old", "-y").code == 0
    assert client.is_enabled("new") is client.is_enabled("old") is True


def test_enabling_for_some_needs_no_yes(
    flipper: Any, client: FeatureFlagClient
) -> None:
    """Only a change for everybody is confirmed."""
    client.create("some")
    flipper("bucket", "set", "some", "10%")
    result = flipper("enable", "some")
    assert result.code == 0
    assert "It is on for some: 10% of calls, at random." in result.err
    assert flipper("disable", "some").err.startswith("Disabled some. It is off")


def test_enabling_what_is_enabled_needs_no_yes(
    flipper: Any, client: FeatureFlagClient
) -> None:
    """Nothing changes for anybody."""
    client.create("on", is_enabled=True)
    assert flipper("enable", "on").code == 0


def test_a_flag_is_deleted_after_a_yes(flipper: Any, client: FeatureFlagClient) -> None:
    """Deleting cannot be undone."""
    client.create("old")
    refused = flipper("delete", "old")
    assert (refused.code, client.exists("old")) == (2, True)
    assert "'old' will be deleted. Add --yes" in refused.err
    assert flipper("delete", "old", "--yes").err == "Deleted old.\n"
    assert not client.exists("old")


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "nix"],
        ["enable", "nix"],
        ["enable", "nix", "--yes"],
        ["disable", "nix"],
        ["delete", "nix", "--yes"],
        ["condition", "add", "nix", "a=1"],
        ["condition", "set", "nix", "a=1"],
        ["condition", "clear", "nix"],
        ["bucket", "set", "nix", "10%"],
        ["bucket", "ramp", "nix", "--over", "1h"],
        ["bucket", "clear", "nix"],
        ["meta", "get", "nix"],
        ["meta", "set", "nix", "a=1"],
        ["check", "nix"],
        ["check", "nix", "--sample", "a=1..2"],
    ],
    ids=" ".join,
)
def test_a_flag_that_does_not_exist_has_an_exit_code_of_its_own(
    flipper: Any, arguments: list[str]
) -> None:
    """Scripts tell a wrong name from a flag that is off."""
    result = flipper(*arguments)
    assert (result.code, result.out) == (3, "")
    assert result.err.endswith(
        "Error: Feature nix does not exist; `flipper list` prints the names of all "
        "flags\n"
    )
    assert flipper("list", "--json").data == []


def test_flags_are_listed_by_name(flipper: Any, client: FeatureFlagClient) -> None:
    """Each with its state, and whom it is on for."""
    client.create("shop-b", is_enabled=True)
    client.create("shop-a")
    client.create("other")
    flipper("bucket", "set", "shop-a", "25%", "--by", "user_id")
    flipper("enable", "shop-a")
    assert flipper("list").out == (
        "Name    State   For\n"
        "other   off     everybody\n"
        "shop-a  partly  25% by user_id\n"
        "shop-b  on      everybody\n"
    )
    names = [flag["feature_name"] for flag in flipper("list", "shop-*", "--json").data]
    assert names == ["shop-a", "shop-b"]
    assert "other" not in flipper("list", "--enabled").out


def test_an_empty_list_says_so_on_stderr(flipper: Any) -> None:
    """A script that reads stdout gets no flags."""
    result = flipper("list")
    assert (result.code, result.out) == (0, "")
    assert result.err.endswith("No flags.\n")
    assert "No flag matches 'x*'." in flipper("list", "x*").err


def test_a_flag_is_shown_with_all_that_it_has(
    flipper: Any, client: FeatureFlagClient
) -> None:
    """Several conditions and data are one a line."""
    client.create("flag", client_data={"owner": "anna", "tags": ["a"]})
    flipper("condition", "add", "flag", "age >= 18", "country in SE,NO")
    flipper("condition", "add", "flag", "plan != free")
    lines = flipper("show", "flag").out.splitlines()
    assert lines[:7] == [
        "Name:        flag",
        "State:       off",
        "Conditions:  age >= 18 and country in SE,NO",
        "             plan != free",
        "Bucketer:    everybody",
        "Client data: owner = anna",
        '             tags = ["a"]',
    ]
    data = flipper("show", "flag", "--json").data
    assert data["feature_name"] == "flag"
    assert data["meta"]["client_data"] == {"owner": "anna", "tags": ["a"]}
    assert data["audience"].startswith("age >= 18 and country in SE,NO and plan")


def test_names_are_printed_so_that_a_terminal_only_shows_them(
    flipper: Any, client: FeatureFlagClient
) -> None:
    """A flag's name could otherwise clear the screen or change the text before it."""
    name = "a\x1b[2J\u202eb\x9b\tc"
    client.create(name)
    for arguments in (["list"], ["list", "--json"], ["show", name], ["export"]):
        result = flipper(*arguments)
        assert result.code == 0
        assert (result.out + result.err).replace("\n", "").isprintable()
    assert flipper("list", "--json").data[0]["feature_name"] == name
    assert flipper("delete", name).err.replace("\n", "").isprintable()


def test_a_stored_document_that_is_not_a_flag_can_be_deleted(
    flipper: Any, client: FeatureFlagClient
) -> None:
    """Otherwise nobody could get rid of it with the command."""
    client.create("sound")
    break_document("broken")
    shown = flipper("show", "broken")
    assert shown.code == 1
    assert "'broken' cannot be read" in shown.err
    assert "`flipper delete`" in shown.err
    assert flipper("create", "broken").code == 1
    assert flipper("check", "broken").code == 1
    listed = flipper("list")
    assert listed.code == 0
    assert "broken" not in listed.out
    assert "Warning: SQLiteFeatureFlagStore holds a document under 'broken'" in (
        listed.err
    )
    refused = flipper("delete", "broken")
    assert refused.code == 2
    assert "'broken', which is not a flag, will be deleted" in refused.err
    assert flipper("delete", "broken", "--yes").code == 0
    assert flipper("create", "broken").code == 0


def test_many_broken_documents_are_summed_up(
    flipper: Any, client: FeatureFlagClient
) -> None:
    """A warning for each of hundreds would hide the result."""
    for number in range(9):
        break_document(f"broken-{number}")
    *warnings, last = flipper("list").err.splitlines()
    assert len([line for line in warnings if line.startswith("Warning: ")]) == 5
    assert last == "Warning: 4 more stored documents are not flags; they are left out"
