# SPDX-License-Identifier: Apache-2.0
"""Flags, switches and samples of django-waffle become flags for the same users."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from imported import client_of, only

from flipper.bucketing import Percentage, PercentageBucketer
from flipper.exceptions import InvalidArgumentError
from flipper.importers import ImportedFlag, flags_from

if TYPE_CHECKING:
    from collections.abc import Iterator


def row(model: str, pk: Any = 1, /, **fields: Any) -> dict[str, Any]:
    """Return a row of a dump."""
    return {"model": model, "pk": pk, "fields": fields}


def flag(name: str = "BETA", /, **fields: Any) -> dict[str, Any]:
    """Return a flag that is on for nobody, but for what is given."""
    nobody = {
        "everyone": None,
        "percent": None,
        "testing": False,
        "superusers": False,
        "staff": False,
        "authenticated": False,
        "languages": "",
        "groups": [],
        "users": [],
        "rollout": False,
        "note": "",
    }
    return row("waffle.flag", **{"name": name, **nobody, **fields})


def is_on(given: dict[str, Any], *others: dict[str, Any], **context: Any) -> bool:
    """Return whether the flag is on."""
    return bool(client_of("waffle", [given, *others]).is_enabled("BETA", **context))


def test_everyone_overrides_all_else() -> None:
    """Then the flag needs no rules."""
    assert only("waffle", [flag()]) == ImportedFlag("BETA", False)
    on = flag(everyone=True, percent="5.0", staff=True)
    assert only("waffle", [on]) == ImportedFlag("BETA", True)
    off = flag(everyone=False, superusers=True, users=[1], testing=True)
    assert only("waffle", [off]) == ImportedFlag("BETA", False)


@pytest.mark.parametrize(
    ("field", "argument"),
    [
        ("superusers", "is_superuser"),
        ("staff", "is_staff"),
        ("authenticated", "is_authenticated"),
    ],
)
def test_kinds_of_users_are_arguments(field: str, argument: str) -> None:
    """Somebody without the argument does not count."""
    given = flag(**{field: True})
    assert is_on(given, **{argument: True})
    assert not is_on(given, **{argument: False})
    assert not is_on(given)


def test_any_attribute_is_enough() -> None:
    """As users of the flag expect who have set several."""
    given = flag(users=[3, 4], languages="en, pt-br", groups=[["testers"]])
    assert is_on(given, user_id=3, language="de", groups=[])
    assert is_on(given, user_id=9, language="pt-br", groups=[])
    assert is_on(given, user_id=9, language="de", groups=["testers", "others"])
    assert not is_on(given, user_id=9, language="de", groups=["others"])
    assert not is_on(given)


def test_groups_are_named() -> None:
    """A dump has them by key, unless it has natural keys."""
    given = flag(groups=[7])
    assert is_on(given, row("auth.group", 7, name="testers"), groups=["testers"])
    found = only("waffle", [given])
    assert not found.is_enabled
    assert "the name of the group 7 is not in the dump" in found.problems[0]


def test_a_percentage_becomes_a_rollout_by_user() -> None:
    """The cookie of a visitor is not known to flipper, and the import says so."""
    given = flag(percent="25.0")
    client = client_of("waffle", [given])
    share = sum(client.is_enabled("BETA", user_id=user) for user in range(4000)) / 4000
    assert 0.22 < share < 0.28
    assert not client.is_enabled("BETA")
    (note,) = only("waffle", [given]).notes
    assert "25% of the visitors" in note
    assert "by user_id" in note
    assert only("waffle", [flag(percent="100")]) == ImportedFlag("BETA", True)
    assert only("waffle", [flag(percent="0.0")]) == ImportedFlag("BETA", False)


def test_the_testing_mode_is_noted() -> None:
    """It keeps nobody from using the flag."""
    found = only("waffle", [flag(testing=True, staff=True)])
    assert found.is_enabled
    assert found.problems == ()
    assert "testing mode" in found.notes[0]


def test_switches_and_samples_are_flags() -> None:
    """A sample is on for a share of the calls."""
    assert only("waffle", [row("waffle.switch", name="S", active=True)]).is_enabled
    assert not only("waffle", [row("waffle.switch", name="S", active=False)]).is_enabled
    sample = only("waffle", [row("waffle.sample", name="S", percent="30.0")])
    assert sample.is_enabled
    assert type(sample.bucketer) is PercentageBucketer
    assert sample.bucketer.to_dict() == PercentageBucketer(Percentage(0.3)).to_dict()
    for percent, is_enabled in (("0", False), ("100.0", True)):
        found = only("waffle", [row("waffle.sample", name="S", percent=percent)])
        assert (found.is_enabled, found.bucketer) == (is_enabled, None)


def test_a_name_that_is_used_twice_is_reported() -> None:
    """Flags, switches and samples have names of their own in django-waffle."""
    rows = [row("waffle.switch", name="BETA", active=True), flag(everyone=True)]
    first, second = flags_from("waffle", rows)
    assert first == ImportedFlag("BETA", True)
    assert not second.is_enabled
    assert "a flag has the same name" in second.problems[0]


@pytest.mark.parametrize(
    "fields",
    [
        {"percent": "many"},
        {"percent": "101"},
        {"percent": "NaN"},
        {"everyone": "yes"},
        {"users": [["ann"]]},
        {"users": 3},
        {"groups": [[]]},
        {"languages": 3, "groups": 5},
    ],
)
def test_what_cannot_be_read_is_off(fields: dict[str, Any]) -> None:
    """And is reported."""
    found = only("waffle", [flag(**fields)])
    assert found.problems
    assert not found.is_enabled


@pytest.mark.parametrize(
    "data",
    [
        *({}, None, 3, [1], [{"model": "waffle.flag"}], [{"fields": {}}]),
        [row("waffle.flag")],
        [row("waffle.switch", name=[])],
    ],
)
def test_another_file_is_refused(data: Any) -> None:
    """The error says how to write the right one."""
    with pytest.raises(InvalidArgumentError, match="dumpdata waffle"):
        list(flags_from("waffle", data))


@pytest.fixture
def cli(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[Any]:
    """Give a function that runs the command in an empty folder."""
    from flipper.cli.program import run

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLIPPER_URL", "sqlite:///flags.db")
    return lambda *arguments: (run(arguments), capsys.readouterr())


def test_the_command_imports_a_dump(cli: Any) -> None:
    """It stores the bucketer of a sample, and prints the notes."""
    rows = [flag(percent="10"), row("waffle.sample", name="S", percent="30.0")]
    Path("waffle.json").write_text(json.dumps(rows))
    code, printed = cli("import", "--from", "waffle", "waffle.json", "--yes")
    assert code == 0
    assert "Feature 'BETA': it was on for 10% of the visitors" in printed.err
    _, printed = cli("list")
    assert "30%" in printed.out
