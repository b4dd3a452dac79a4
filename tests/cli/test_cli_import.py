# SPDX-License-Identifier: Apache-2.0
"""`flipper import --from`: flags of other systems, and what cannot be said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flipper import Condition
from flipper.importers import ORIGINS, flags_from
from flipper.rules import Rule

if TYPE_CHECKING:
    from flipper import FeatureFlagClient

FLAGD: dict[str, Any] = {
    "flags": {
        "banner": {
            "state": "ENABLED",
            "variants": {"on": True, "off": False},
            "defaultVariant": "off",
            "targeting": {"if": [{"ends_with": [{"var": "mail"}, "@a.org"]}, "on"]},
        },
        "odd": {
            "state": "ENABLED",
            "variants": {"on": True, "off": False},
            "defaultVariant": "off",
            "targeting": {"if": [{"some": []}, "on"]},
        },
    }
}
SIMPLE = {"version": 1, "features": {"open": {"boolean": "true"}, "shut": {}}}
REPORT = (
    "Feature 'odd' is imported switched off:\n"
    "    the operation 'some' cannot be said\n"
    "Could not be imported as they are: 1 ('odd'). Give them rules by hand, and enable "
    "them.\n"
)


@pytest.fixture(autouse=True)
def _files(folder: Path) -> None:
    (folder / "flagd.json").write_text(json.dumps(FLAGD))
    (folder / "ruby.json").write_text(json.dumps(SIMPLE))


def test_flags_are_imported_and_what_cannot_be_said_is_reported(
    flipper: Any, client: FeatureFlagClient
) -> None:
    """The exit code says that something is left to do, and other flags are kept."""
    client.create("mine", is_enabled=True)
    result = flipper("import", "--from", "flagd", "flagd.json")
    assert (result.code, result.out) == (1, "")
    assert result.err == f"{REPORT}2 created, 0 changed, 0 deleted.\n"
    assert client.is_enabled("banner", mail="x@a.org") is True
    assert client.is_enabled("banner", mail="x@b.org") is False
    assert client.is_enabled("mine") is True
    client.enable("odd")
    assert client.is_enabled("odd") is False


def test_a_dry_run_reports_and_changes_nothing(
    flipper: Any, client: FeatureFlagClient
) -> None:
    """Nor does it make a file."""
    client.create("mine")
    result = flipper(
        "import", "--from", "flagd", "flagd.json", "--dry-run", "--replace"
    )
    assert (result.code, result.err) == (1, REPORT)
    assert "+ banner" in result.out
    assert "2 to create, 0 to change, 1 to delete." in result.out
    assert [flag.name for flag in client.list()] == ["mine"]


def test_what_reaches_everybody_or_is_deleted_needs_a_yes(
    flipper: Any, client: FeatureFlagClient
) -> None:
    """As for every import."""
    client.create("mine")
    arguments = ("import", "--from", "ruby-flipper", "ruby.json", "--replace")
    refused = flipper(*arguments)
    assert refused.code == 2
    assert "'open' will be on for everybody. 'mine' will be deleted." in refused.err
    assert [flag.name for flag in client.list()] == ["mine"]
    done = flipper(*arguments, "--yes", "--json")
    assert done.code == 0
    changes = {each["feature_name"]: each["change"] for each in done.data}
    assert changes == {"mine": "delete", "open": "create", "shut": "create"}
    assert client.is_enabled("open") is True


def test_a_second_import_changes_nothing(flipper: Any) -> None:
    """So that it can be repeated until the old system is gone."""
    flipper("import", "--from", "flagd", "flagd.json")
    again = flipper("import", "--from", "flagd", "flagd.json")
    assert again.err.endswith("No changes.\n")


def test_users_follow_the_other_system_when_it_moves_them(
    flipper: Any, client: FeatureFlagClient, folder: Path
) -> None:
    """The ranges of a split are those of the file, and not the ones that move few."""
    for shares in ([0.2, 0.2, 0.6], [0.5, 0.3, 0.2]):
        rule = {"variations": ["a", "b", "c"], "weights": shares}
        feature = {"defaultValue": "z", "rules": [rule]}
        data = {"features": {"x": feature}}
        (folder / "growthbook.json").write_text(json.dumps(data))
        flipper("import", "--from", "growthbook", "growthbook.json", "--yes")
        [wanted] = flags_from("growthbook", data)
        assert client.get_rules("x") == wanted.rules


def test_a_flag_of_the_store_keeps_what_people_have_added(
    flipper: Any, client: FeatureFlagClient
) -> None:
    """Its client data; and the rules that they gave to a flag that cannot be said."""
    flipper("import", "--from", "flagd", "flagd.json")
    client.set_client_data("banner", {"owner": "anna"})
    client.set_rules("odd", [Rule(Condition(plan="pro"))])
    client.enable("odd")
    changed = json.loads(json.dumps(FLAGD))
    changed["flags"]["banner"]["state"] = "DISABLED"
    Path("flagd.json").write_text(json.dumps(changed))
    result = flipper("import", "--from", "flagd", "flagd.json", "--replace", "--yes")
    assert "Feature 'odd' is left as it is:" in result.err
    assert result.err.endswith("0 created, 1 changed, 0 deleted.\n")
    assert client.get_client_data("banner") == {"owner": "anna"}
    assert client.is_enabled("banner", mail="x@a.org") is False
    assert client.is_enabled("odd", plan="pro") is True


def test_conditions_of_an_older_flag_do_not_limit_the_imported_one(
    flipper: Any, client: FeatureFlagClient
) -> None:
    """Else users would change sides."""
    client.create("open")
    client.add_condition("open", Condition(plan="pro"))
    assert flipper("import", "--from", "ruby-flipper", "ruby.json", "-y").code == 0
    assert client.is_enabled("open", plan="free") is True


def test_a_file_may_be_yaml_or_come_from_stdin(program: Any) -> None:
    """The suffix decides, or --format; text without either is JSON."""
    yaml = "version: 1\nfeatures:\n  shut: {}\n"
    Path("a.yaml").write_text(yaml)
    for arguments, text in (
        (["a.yaml"], ""),
        (["-"], json.dumps({"features": {"shut": {}}})),
        (["-", "--format", "yaml"], yaml),
    ):
        result = program("import", "--from", "ruby-flipper", *arguments, input=text)
        assert result.code == 0, result.err


def test_a_file_of_another_suffix_is_json(flipper: Any) -> None:
    """Backups of other systems often have none."""
    Path("ruby.json").rename("backup")
    assert flipper("import", "--from", "ruby-flipper", "backup", "--yes").code == 0


@pytest.mark.parametrize("origin", ORIGINS)
def test_another_file_is_refused(flipper: Any, origin: str) -> None:
    """And nothing is changed."""
    Path("a.json").write_text('{"x": 1}')
    result = flipper("import", "--from", origin, "a.json", "--replace", "--yes")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("Error: This is not ")
    assert not Path("flipper.db").exists()


def test_mistakes_have_messages(flipper: Any) -> None:
    """Of the command line, and of the file."""
    unknown = flipper("import", "--from", "other", "flagd.json")
    assert unknown.code == 2
    assert "'other' is not one of 'unleash'" in unknown.err
    Path("a.json").write_text("{")
    broken = flipper("import", "--from", "flagd", "a.json")
    assert broken.code == 1
    assert "a.json: line 1, column 2: is not JSON" in broken.err
    toml = flipper("import", "--from", "flagd", "flagd.json", "--format", "toml")
    assert toml.code == 2
    assert "flagd has no files of TOML" in toml.err


def test_a_flag_that_no_store_can_keep_is_reported(
    flipper: Any, client: FeatureFlagClient
) -> None:
    """The others are imported."""
    Path("a.json").write_text(json.dumps({"features": {"": {}, "shut": {}}}))
    result = flipper("import", "--from", "ruby-flipper", "a.json")
    assert result.code == 1
    assert "Feature '' is not imported:\n    The feature name '' is empty" in result.err
    assert [flag.name for flag in client.list()] == ["shut"]
