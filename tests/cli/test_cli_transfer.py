# SPDX-License-Identifier: Apache-2.0
"""Commands that move flags: export, import, diff, copy, plan and apply."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import redis
from terminal import Terminal
from test_cli_flags import break_document

from flipper import Condition, FeatureFlagClient, store_from_url
from flipper.cli.changes import flags_of
from flipper.client import store_of
from servers import Proxy, unmeasured

if TYPE_CHECKING:
    from servers import PostgresServer, RedisServer

FILE = """
version = 1

[flags.shop]
enabled = true
conditions = [{ age__gte = 18 }]

[flags.news]
enabled = false
"""


def documents(client: FeatureFlagClient) -> dict[str, bytes]:
    """Return what the store of a client has."""
    found = flags_of(store_of(client))
    return {name: item.serialize() for name, item in found.items()}


def fill(client: FeatureFlagClient, count: int) -> None:
    """Create flags of several kinds, quickly."""
    for number in range(count):
        name = f"flag-{number:05}"
        client.create(name, is_enabled=number % 2 == 0, client_data={"n": number})
        if number % 50 == 0:
            client.add_condition(name, Condition(age__gte=number, city="Malmö"))


@pytest.mark.parametrize("form", ["toml", "json"])
def test_what_is_exported_can_be_imported(
    flipper: Any, client: FeatureFlagClient, form: str
) -> None:
    """The flags are the same, with their dates."""
    fill(client, 60)
    assert flipper("export", f"a.{form}").err == f"Wrote 60 flags to a.{form}.\n"
    assert flipper("export", "--format", form).out == (
        Path(f"a.{form}").read_text(encoding="utf-8")
    )
    target = "sqlite:///b.db"
    result = flipper("import", f"a.{form}", "--url", target, "--yes")
    assert result.code == 0
    assert result.err == "60 created, 0 changed, 0 deleted.\n"
    assert flipper("diff", "sqlite:///flipper.db", target).code == 0
    assert flipper("diff", f"a.{form}", target).out == "No changes.\n"
    with store_from_url(target) as store:
        assert documents(FeatureFlagClient(store)) == documents(client)


def test_an_export_that_leaves_something_out_says_so(
    flipper: Any, client: FeatureFlagClient
) -> None:
    """Otherwise a backup would be incomplete, and nobody would know."""
    client.create("sound")
    break_document("broken")
    for arguments in (["export", "a.toml"], ["export"], ["export", "--json"]):
        result = flipper(*arguments)
        assert result.code == 1
        assert "Warning: " in result.err
        assert "cannot be read as flags: 1 ('broken')" in result.err
    assert "sound" in Path("a.toml").read_text()
    copied = flipper("copy", "sqlite:///flipper.db", "sqlite:///b.db", "--json")
    assert copied.code == 1
    assert copied.data["left_out"] == ["broken"]
    assert flipper("diff", "sqlite:///flipper.db", "sqlite:///b.db").code == 1


def test_import_keeps_other_flags_unless_told_to_replace(
    flipper: Any, client: FeatureFlagClient
) -> None:
    """And asks before it deletes or opens to everybody."""
    Path("a.toml").write_text(FILE)
    client.create("old", is_enabled=True)
    client.create("news", client_data={"n": 1})
    before = documents(client)
    dry = flipper("import", "a.toml", "--replace", "--dry-run")
    assert dry.code == 0
    assert "1 to create, 1 to change, 1 to delete." in dry.out
    assert documents(client) == before
    refused = flipper("import", "a.toml", "--replace")
    assert refused.code == 2
    assert "'old' will be deleted. Add --yes" in refused.err
    assert documents(client) == before
    assert flipper("import", "a.toml").code == 0
    assert {*documents(client)} == {"old", "news", "shop"}
    assert client.get_client_data("news") == {}
    assert flipper("import", "a.toml", "--replace", "--yes").code == 0
    assert {*documents(client)} == {"news", "shop"}


def test_a_file_comes_from_stdin(program: Any) -> None:
    """Then nobody can be asked, so what needs a yes is refused."""
    assert program("import", "-", input=FILE).code == 0
    opened = "version = 1\n[flags.new]\nenabled = true\n"
    refused = program("import", "-", input=opened)
    assert refused.code == 2
    assert "'new' will be on for everybody" in refused.err
    assert program("import", "-", "--yes", input=opened).code == 0
    assert program("import", "-", "--format", "json", input="{}").code == 1


@pytest.mark.parametrize("command", ["import", "plan", "apply"])
def test_a_file_with_a_mistake_changes_nothing(
    flipper: Any, client: FeatureFlagClient, command: str
) -> None:
    """The message has the line of each mistake."""
    Path("a.toml").write_text(FILE + "x = 7\n[flags.x]\nenabeld = true\n")
    client.create("old")
    before = documents(client)
    result = flipper(command, "a.toml")
    assert (result.code, result.out) == (1, "")
    assert "line 10" in result.err
    assert "line 12" in result.err
    assert documents(client) == before
    missing = flipper(command, "nix.toml")
    assert missing.code == 2
    assert "'nix.toml' does not exist" in missing.err


def test_differences_are_printed_and_are_the_exit_code(
    flipper: Any, client: FeatureFlagClient
) -> None:
    """A script can compare two stores."""
    client.create("same", is_enabled=True)
    client.create("off")
    flipper("copy", "sqlite:///flipper.db", "sqlite:///b.db")
    assert flipper("diff", "sqlite:///flipper.db", "sqlite:///b.db").code == 0
    client.enable("off")
    client.set_client_data("same", {"owner": "anna"})
    result = flipper("diff", "sqlite:///b.db", "sqlite:///flipper.db")
    assert result.code == 1
    assert result.out == (
        "~ off\n"
        "    off for everybody -> on for everybody\n"
        "~ same\n"
        "    the answer stays the same\n"
        "    client data owner: not set -> anna\n"
        "0 to create, 2 to change, 0 to delete.\n"
    )
    data = flipper("diff", "sqlite:///b.db", "sqlite:///flipper.db", "--json").data
    assert [each["feature_name"] for each in data] == ["off", "same"]
    wrong = flipper("diff", "nix", "memory://")
    assert wrong.code == 2
    assert "'nix' is neither the URL of a store nor a file" in wrong.err


def test_a_file_without_dates_is_compared_and_copied(flipper: Any) -> None:
    """The store sets the date, which is no difference."""
    Path("a.toml").write_text(FILE)
    first = flipper("copy", "a.toml", "sqlite:///b.db")
    assert (first.code, "2 of 2 verified." in first.err) == (0, True)
    assert flipper("diff", "a.toml", "sqlite:///b.db").code == 0
    assert flipper("diff", "sqlite:///b.db", "a.toml").code == 0


def test_a_copy_replaces_only_what_it_is_told_to(
    flipper: Any, client: FeatureFlagClient
) -> None:
    """A flag that somebody has changed in the target is not overwritten by accident."""
    fill(client, 3)
    target = "sqlite:///b.db"
    assert flipper("copy", "sqlite:///flipper.db", target).code == 0
    client.disable("flag-00000")
    client.create("new")
    refused = flipper("copy", "sqlite:///flipper.db", target)
    assert (refused.code, refused.out) == (1, "")
    assert "1 flag of sqlite://... differ" in refused.err
    assert "--overwrite" in refused.err
    with store_from_url(target) as store:
        assert not FeatureFlagClient(store).exists("new")
    copied = flipper("copy", "sqlite:///flipper.db", target, "--overwrite", "--json")
    assert copied.code == 0
    assert copied.data == {"flags": 4, "copied": 2, "different": [], "left_out": []}


# -- copies to servers -----------------------------------------------------------------


def copy_command(target: str) -> list[str]:
    """Return the command that copies the store of this folder."""
    return [sys.executable, "-m", "flipper", "copy", "sqlite:///flipper.db", target]


@pytest.mark.redis
def test_a_copy_that_was_killed_is_completed_by_the_next_one(
    redis_server: RedisServer, client: FeatureFlagClient, program: Any
) -> None:
    """No flag is lost, and none is written half."""
    fill(client, 1000)
    address = redis_server.url
    database = redis.Redis.from_url(address)
    database.flushdb()
    with Proxy(redis_server.host, redis_server.port) as proxy:
        proxy.delay(0.005)  # so that the copy is not complete before it is killed
        slow = copy_command(f"redis://{proxy.host}:{proxy.port}/0")
        copying = subprocess.Popen(slow, env=unmeasured(), stderr=subprocess.DEVNULL)
        while database.dbsize() < 20:
            assert copying.poll() is None
            time.sleep(0.001)
        copying.send_signal(signal.SIGKILL)
        copying.wait()
    assert database.dbsize() < 1000
    result = program("copy", "sqlite:///flipper.db", address)
    assert (result.code, result.out) == (0, "")
    assert "1,000 of 1,000 verified." in result.err
    with store_from_url(address) as store:
        assert documents(FeatureFlagClient(store)) == documents(client)
    again = program("copy", "sqlite:///flipper.db", address)
    assert "Copied 0 flags; 1,000 were the same already." in again.err
    database.flushdb()
    database.close()


@pytest.mark.postgres
def test_a_copy_to_postgresql_is_verified(
    postgres_server: PostgresServer,
    postgres_conninfo: str,
    client: FeatureFlagClient,
    program: Any,
) -> None:
    """Nothing is lost on the way there and back."""
    fill(client, 200)
    parts = psycopg.conninfo.conninfo_to_dict(postgres_conninfo)
    address = (
        f"postgresql://{parts['user']}@{postgres_server.host}:{postgres_server.port}"
        f"/{parts['dbname']}"
    )
    assert (
        "200 of 200 verified." in program("copy", "sqlite:///flipper.db", address).err
    )
    assert program("copy", address, "sqlite:///back.db").code == 0
    assert program("diff", "sqlite:///flipper.db", "sqlite:///back.db").code == 0


def test_progress_is_shown_in_a_terminal_only(
    client: FeatureFlagClient, program: Any
) -> None:
    """A pipe and a log file get the result alone."""
    fill(client, 200)
    with Terminal.flipper("copy", "sqlite:///flipper.db", "sqlite:///b.db") as terminal:
        assert terminal.wait() == 0
    assert "Copying" in terminal.output
    assert "200 of 200 verified." in terminal.output
    result = program("copy", "sqlite:///flipper.db", "sqlite:///c.db")
    assert result.err == (
        "Copied 200 flags; 0 were the same already. 200 of 200 verified.\n"
    )


# -- plans -----------------------------------------------------------------------------


def test_a_plan_says_what_would_change_and_for_whom(
    flipper: Any, client: FeatureFlagClient
) -> None:
    """Without changing it; flags that the file lacks are named."""
    Path("a.toml").write_text(FILE)
    client.create("old", is_enabled=True)
    client.create("shop", is_enabled=True)
    before = documents(client)
    result = flipper("plan", "a.toml")
    assert result.code == 0
    assert result.out == (
        "+ news\n"
        "    the answer stays the same\n"
        "~ shop\n"
        "    on for everybody -> on for age >= 18\n"
        "1 to create, 1 to change, 0 to delete.\n"
    )
    assert "Not in the file, and left alone: 1 (old). --prune deletes" in result.err
    pruned = flipper("plan", "a.toml", "--prune")
    assert "- old\n    on for everybody -> off for everybody\n" in pruned.out
    assert documents(client) == before


def test_a_kept_plan_is_applied_as_long_as_it_is_true(
    flipper: Any, client: FeatureFlagClient
) -> None:
    """If a flag has changed since, nothing at all is written."""
    Path("a.toml").write_text(FILE)
    client.create("news", is_enabled=True)
    assert "apply it with: flipper apply p.json" in (
        flipper("plan", "a.toml", "--out", "p.json").err
    )
    client.set_client_data("news", {"owner": "anna"})
    before = documents(client)
    outdated = flipper("apply", "p.json", "--yes")
    assert (outdated.code, documents(client)) == (1, before)
    assert "'news' changed since the plan was made; nothing was written" in outdated.err
    flipper("plan", "a.toml", "--out", "p.json")
    assert flipper("apply", "p.json").code == 0
    assert flipper("plan", "a.toml").out == "No changes.\n"
    assert "--prune belongs to `flipper plan`" in (
        flipper("apply", "p.json", "--prune").err
    )


def test_a_plan_that_prunes_deletes_after_a_yes(
    flipper: Any, client: FeatureFlagClient
) -> None:
    """What would be deleted is in the question."""
    Path("a.toml").write_text(FILE)
    client.create("old")
    refused = flipper("apply", "a.toml", "--prune")
    assert (refused.code, {*documents(client)}) == (2, {"old"})
    assert "'old' will be deleted." in refused.err
    assert flipper("apply", "a.toml", "--prune", "--yes").err.endswith(
        "2 created, 0 changed, 1 deleted.\n"
    )
    assert {*documents(client)} == {"news", "shop"}


@pytest.mark.parametrize(
    "plan",
    [
        {"flipper_plan": 2, "changes": []},
        {"flipper_plan": 1},
        {"flipper_plan": 1, "changes": [{}]},
        {"flipper_plan": 1, "changes": ["a"]},
        {
            "flipper_plan": 1,
            "changes": [{"feature_name": "a", "before": None, "after": None}],
        },
        {
            "flipper_plan": 1,
            "changes": [{"feature_name": "a", "before": None, "after": {"x": 1}}],
        },
    ],
    ids=str,
)
def test_a_damaged_plan_is_refused(flipper: Any, plan: Any) -> None:
    """It may have been edited, or made by another version."""
    Path("p.json").write_text(json.dumps(plan))
    result = flipper("apply", "p.json", "--yes")
    assert result.code == 2
    assert "plan again" in result.err
    assert flipper("list", "--json").data == []


def test_what_was_written_before_an_error_is_counted(
    flipper: Any, client: FeatureFlagClient
) -> None:
    """So that people know where they stand; applying again goes on from there."""
    Path("a.toml").write_text(
        "version = 1\n" + "".join(f"[flags.{n}]\nenabled = false\n" for n in "abc")
    )
    break_document("b")
    result = flipper("apply", "a.toml")
    assert result.code == 1
    assert "1 of 3 flags were written before this:" in result.err
    assert "'b' was changed by somebody else" in result.err
    assert {*documents(client)} == {"a"}


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files")
@pytest.mark.parametrize("words", [("export", "kept"), ("plan", "new.toml", "--out")])
def test_a_file_that_cannot_be_written_stays_as_it_was(
    client: FeatureFlagClient, folder: Path, words: tuple[str, ...]
) -> None:
    """On a full disk, the former export or plan is still there, and nothing else."""
    client.create("A", client_data={"text": "x" * 300_000})
    (folder / "new.toml").write_text("version = 1\n[flags.A]\nenabled = true\n")
    kept = folder / "kept"
    kept.write_text("former")
    kept.chmod(0o640)
    before = {path.name for path in folder.iterdir()}
    options = ["--format", "toml"] if words[0] == "export" else ["kept"]
    command = shlex.join([sys.executable, "-m", "flipper", *words, *options])
    limited = f"ulimit -f 300; exec {command}"  # of 512 bytes
    done = subprocess.run(["sh", "-c", limited], capture_output=True, check=False)
    assert done.returncode == 1
    assert b"File too large: kept" in done.stderr
    assert kept.read_text() == "former"
    after = {path.name for path in folder.iterdir()}
    assert after - before <= {"flipper.db-wal", "flipper.db-shm"}
    done = subprocess.run(shlex.split(command), check=False)
    assert done.returncode == 0
    assert len(kept.read_text()) > 300_000
    assert kept.stat().st_mode & 0o777 == 0o640


def test_a_plan_keeps_halves_of_characters(flipper: Any, folder: Path) -> None:
    """JSON files can have them, so a plan that is made of one can be applied."""
    flag = {"enabled": False, "client_data": {"half": "\ud800"}}
    flags = {"version": 1, "flags": {"A": flag}}
    (folder / "flags.json").write_text(json.dumps(flags))
    assert flipper("plan", "flags.json", "--out", "kept.json").code == 0
    assert flipper("apply", "kept.json").code == 0
    assert flipper("meta", "get", "A", "--json").data == {"half": "\ud800"}


def test_several_flags_that_toml_cannot_express_are_one_error(
    flipper: Any, client: FeatureFlagClient
) -> None:
    """The message is a sentence, and names each of them."""
    for name in ("A", "B"):
        client.create(name, client_data={"x": None})
    result = flipper("export")
    assert result.code == 1
    assert "The file to write has 2 mistakes:\n  feature 'A': " in result.err


@pytest.mark.parametrize("is_plan", [True, False], ids=["plan", "flags"])
@pytest.mark.parametrize("place", ["pipe.toml", "-"])
def test_a_pipe_is_read_once(
    flipper: Any, program: Any, folder: Path, place: str, is_plan: bool
) -> None:
    """What apply reads may be a pipe or stdin, for flags and for a plan."""
    (folder / "flags.toml").write_text(FILE)
    assert flipper("plan", "flags.toml", "--out", "plan.json").code == 0
    text = (folder / ("plan.json" if is_plan else "flags.toml")).read_text()
    if place != "-":
        os.mkfifo(folder / place)
        writing = threading.Thread(target=(folder / place).write_text, args=(text,))
        writing.start()
    result = program("apply", place, "--yes", input=text)
    assert result.code == 0
    assert result.err.endswith("\n2 created, 0 changed, 0 deleted.\n")


def test_a_file_is_not_replaced_by_no_flags(flipper: Any, folder: Path) -> None:
    """An export from the wrong folder leaves the file as it was."""
    kept = folder / "flags.toml"
    kept.write_text(FILE)
    result = flipper("export", "flags.toml")
    assert result.code == 1
    assert "There are no flags; flags.toml was left as it is" in result.err
    assert kept.read_text() == FILE
