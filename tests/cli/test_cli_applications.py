# SPDX-License-Identifier: Apache-2.0
"""The option `--app`: the client of an application, whose listeners hear of changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

APPLICATION = '''
"""An application with a client, listeners, and a store of its own."""

import json
import sys

from flipper import FeatureFlagClient, MemoryFeatureFlagStore, store_from_url
from flipper.events import EventType

print("the application starts")
client = FeatureFlagClient(store_from_url("sqlite:///app.db"))


def listen(event):
    def listener(feature_name, *arguments, **named):
        with open("events.txt", "a") as file:
            print(event.name, feature_name, len(arguments), sorted(named), file=file)

    client.events.on(event, listener)


for event in EventType:
    listen(event)


class Shop:
    flags = client


def make_client():
    return client


class OwnItem:
    def __init__(self, item):
        self.feature_name = item.feature_name
        self.raw_is_enabled = item.raw_is_enabled
        self.meta = item.meta

    def is_enabled(self, **_):
        return self.raw_is_enabled


class OwnStore:
    """Has the six methods, no close, and items of a class of its own."""

    def __init__(self):
        self._store = MemoryFeatureFlagStore()
        self._store.create("own", is_enabled=True, client_data={"owner": "anna"})

    def get(self, feature_name):
        found = self._store.get(feature_name)
        return None if found is None else OwnItem(found)

    def list(self, limit=None, offset=0):
        yield None
        for item in self._store.list(limit=limit, offset=offset):
            yield OwnItem(item)

    def create(self, feature_name, is_enabled=False, client_data=None):
        self._store.create(feature_name, is_enabled, client_data)
        return self.get(feature_name)

    def set(self, feature_name, is_enabled):
        self._store.set(feature_name, is_enabled)

    def set_meta(self, feature_name, meta):
        self._store.set_meta(feature_name, meta)

    def delete(self, feature_name):
        self._store.delete(feature_name)


own = OwnStore()
number = 5


def fails():
    raise SystemExit("no database")
'''


@pytest.fixture(autouse=True)
def _application(folder: Path) -> None:
    """Write the application's module into the folder."""
    (folder / "shop.py").write_text(APPLICATION)


def events() -> list[str]:
    """Return the events that the listeners have heard since the last call."""
    path = Path("events.txt")
    if not path.exists():
        return []
    heard = path.read_text().splitlines()
    path.unlink()
    return heard


def pair(name: str, feature_name: str, rest: str) -> list[str]:
    """Return the two events of a change."""
    return [f"{when}_{name} {feature_name} {rest}" for when in ("PRE", "POST")]


def test_listeners_hear_of_what_each_command_changes(program: Any) -> None:
    """An application that invalidates caches by events sees changes by the command."""

    def run(*arguments: str) -> list[str]:
        result = program(*arguments, "--app", "shop:client", "--yes")
        if result.code == 2:  # it has no --yes
            result = program(*arguments, "--app", "shop:client")
        assert result.code == 0, result.err
        return events()

    created = "0 ['client_data', 'is_enabled']"
    assert run("create", "a") == pair("CREATE", "a", created)
    assert run("enable", "a") == pair("ENABLE", "a", "0 []")
    assert run("disable", "a") == pair("DISABLE", "a", "0 []")
    assert run("condition", "add", "a", "b=1") == pair("ADD_CONDITION", "a", "1 []")
    assert run("condition", "set", "a", "b=1") == pair("SET_CONDITIONS", "a", "1 []")
    assert run("condition", "clear", "a") == pair("SET_CONDITIONS", "a", "1 []")
    assert run("bucket", "set", "a", "5%") == pair("SET_BUCKETER", "a", "1 []")
    assert run("bucket", "clear", "a") == pair("SET_BUCKETER", "a", "1 []")
    assert run("meta", "set", "a", "b=1") == pair("SET_CLIENT_DATA", "a", "1 []")
    assert run("delete", "a") == pair("DESTROY", "a", "0 []")
    assert run("list") == run("doctor", "--read-only") == []


def test_listeners_hear_of_each_flag_that_is_imported(program: Any) -> None:
    """With one pair of events for each thing that changes, and none for the rest."""
    Path("a.toml").write_text(
        "version = 1\n[flags.a]\nenabled = true\nclient_data = {n = 1}\n"
        "[flags.b]\nenabled = false\nconditions = [{age__gte = 18}]\n"
    )
    run = ("apply", "a.toml", "--app", "shop:client", "--yes")
    created = "0 ['client_data', 'is_enabled']"
    assert program(*run).code == 0
    heard = events()
    assert sorted(heard) == sorted(
        pair("CREATE", "a", created)
        + pair("CREATE", "b", created)
        + pair("SET_CONDITIONS", "b", "1 []")
    )
    assert heard[:2] == pair("CREATE", "a", created)
    Path("a.toml").write_text(
        "version = 1\n[flags.a]\nenabled = false\nclient_data = {n = 2}\n"
    )
    imported = ("import", "a.toml", "--replace", "--app", "shop:client", "--yes")
    assert program(*imported).code == 0
    assert sorted(events()) == sorted(
        pair("SET_CLIENT_DATA", "a", "1 []")
        + pair("DISABLE", "a", "0 []")
        + pair("DESTROY", "b", "0 []")
    )
    assert program(*imported).err.endswith("No changes.\n")
    assert events() == []


@pytest.mark.parametrize("path", ["client", "Shop.flags", "make_client"])
def test_the_client_is_found_by_its_path(program: Any, path: str) -> None:
    """An attribute of the module or of a class, or a function that returns it."""
    result = program("create", "x", "--json", "--app", f"shop:{path}")
    assert result.code == 0
    assert (
        result.data["feature_name"] == "x"
    )  # what the application prints is elsewhere
    assert "the application starts" in result.err


def test_a_store_with_items_of_its_own_class_will_do(program: Any) -> None:
    """It has six methods and no more, and its list has gaps."""
    place = ("--app", "shop:own")
    assert program("list", *place).out.splitlines()[1] == "own   on     everybody"
    assert "owner = anna" in program("show", "own", *place).out
    assert program("check", "own", *place).code == 0
    assert program("check", "own", "--sample", "a=1..3", *place).out.startswith(
        "3 of 3"
    )
    assert program("disable", "own", *place).code == 0
    assert "5%" in program("bucket", "set", "own", "5%", *place).err
    assert program("bucket", "clear", "own", *place).code == 0
    assert program("condition", "add", "own", "a=1", *place).code == 0
    assert program("create", "x", *place).code == 0
    assert program("delete", "own", "--yes", *place).code == 0
    assert "[flags.own]" in program("export", *place).out
    Path("a.toml").write_text("version = 1\n[flags.own]\nenabled = false\n")
    assert program("apply", "a.toml", *place).err.endswith("0 deleted.\n")
    assert program("doctor", *place).code == 0


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("shop", "write module:client"),
        (":client", "write module:client"),
        ("shop:", "write module:client"),
        ("nix:client", "No module named 'nix'"),
        ("shop:nix", "has no attribute 'nix'"),
        ("shop:number", "is of the class int"),
        ("shop:fails", "SystemExit: no database"),
    ],
)
def test_an_application_that_cannot_be_loaded_is_wrong_usage(
    program: Any, place: str, message: str
) -> None:
    """The message says why."""
    result = program("list", "--app", place)
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert "Traceback" not in result.err


def test_a_listener_that_fails_ends_the_command(program: Any) -> None:
    """With its error, and not with a traceback."""
    with Path("shop.py").open("a") as file:
        file.write(
            "\n\ndef refuse(*_, **__):\n    raise ValueError('not on Fridays')\n\n\n"
            "client.events.on(EventType.PRE_CREATE, refuse)\n"
        )
    result = program("create", "x", "--app", "shop:client")
    assert result.code == 1
    assert "not on Fridays" in result.err
    assert "Traceback" not in result.err
    assert program("list", "--json", "--app", "shop:client").data == []
