# SPDX-License-Identifier: Apache-2.0
"""Commands that examine, follow and serve a store: doctor, watch, serve-thrift."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from terminal import Terminal
from test_cli_flags import break_document

from flipper import store_from_url
from flipper.bucketing import LinearRampPercentage, PercentageBucketer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flipper import FeatureFlagClient

AWAY = {
    "redis": "redis://localhost:1",
    "sentinel": "redis+sentinel://localhost:1/main",
    "cluster": "redis+cluster://localhost:1",
    "unix": "unix:///no/such.sock",
    "postgresql": "postgresql://localhost:1/x",
    "consul": "consul://localhost:1/flags",
    "s3": "s3://bucket?endpoint_url=http://localhost:1",
    "thrift": "thrift://localhost:1",
    "sqlite": "sqlite:////no/such/folder/x.db",
    "cached": "redis://localhost:1?ttl=30",
    "cached consul": "consul://localhost:1/flags?ttl=30",
}


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let boto3 find credentials, which open nothing."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.mark.parametrize("kind", AWAY)
def test_a_store_whose_server_is_away_has_an_exit_code_of_its_own(
    flipper: Any, kind: str
) -> None:
    """No driver's error passes for another failure, and no copy for an empty store."""
    url = AWAY[kind]
    for arguments in (
        ["list", "--url", url],
        ["show", "x", "--url", url],
        ["create", "x", "--url", url],
        ["check", "x", "--url", url],
        ["diff", url, "memory://"],
        ["copy", "memory://", url],
        ["doctor", "--url", url],
    ):
        result = flipper(*arguments)
        assert result.code == 4, (arguments, result)
        assert "Traceback" not in result.err
        if arguments[0] != "doctor":
            assert result.out == ""
            assert "Error: " in result.err


# -- doctor ----------------------------------------------------------------------------


def findings(result: Any) -> dict[str, tuple[str, str]]:
    """Return what doctor has found, by subject."""
    return {each["subject"]: (each["result"], each["text"]) for each in result.data}


def test_a_healthy_store_has_nothing_to_note(
    flipper: Any, client: FeatureFlagClient
) -> None:
    """Each examination is ok, and the flag for the trial is gone."""
    client.create("x")
    result = flipper("doctor", "--json")
    assert result.code == 0
    found = findings(result)
    assert {each[0] for each in found.values()} == {"ok"}
    assert {*found} == {
        *("versions", "reading", "flags", "documents", "names", "clock", "writing"),
        "change signal",
    }
    text = flipper("doctor").out
    assert "ok      flags          1, read in" in text
    assert [each["feature_name"] for each in flipper("list", "--json").data] == ["x"]


def test_a_store_that_cannot_be_read_fails_at_once(flipper: Any) -> None:
    """What follows would fail for the same reason."""
    result = flipper("doctor", "--json", "--url", "redis://localhost:1")
    assert result.code == 4
    assert findings(result)["reading"][0] == "failed"
    assert "writing" not in findings(result)
    assert result.err.endswith("Failed: reading.\n")


def test_a_store_that_only_reads_is_noted(flipper: Any) -> None:
    """This may be intended."""
    result = flipper("doctor", "--json", "--url", "sqlite:///flipper.db?read_only=1")
    assert result.code == 0
    assert findings(result)["writing"] == ("note", "the store is read-only")


def test_doctor_writes_nothing_if_told_so(flipper: Any) -> None:
    """For stores in production."""
    result = flipper("doctor", "--json", "--read-only")
    assert result.code == 0
    assert findings(result)["writing"][0] == "note"
    assert findings(result)["change signal"][0] == "note"


def test_broken_documents_fail(flipper: Any, client: FeatureFlagClient) -> None:
    """They are named, with the remedy."""
    client.create("sound")
    for number in range(7):
        break_document(f"broken-{number}")
    result = flipper("doctor", "--json")
    assert result.code == 1
    state, text = findings(result)["documents"]
    assert state == "failed"
    assert text.startswith("7 cannot be read as flags: broken-0, broken-1, ")
    assert "and 2 more" in text
    assert "`flipper delete`" in text


def test_a_store_without_a_change_signal_is_noted(flipper: Any, program: Any) -> None:
    """Copies of it poll, so that they see changes later."""
    Path("bare.py").write_text(
        "from flipper import MemoryFeatureFlagStore\n"
        "memory = MemoryFeatureFlagStore()\n\n\nclass Bare:\n    pass\n\n\n"
        "store = Bare()\n"
        "for name in ('get', 'list', 'create', 'set', 'set_meta', 'delete'):\n"
        "    setattr(store, name, getattr(memory, name))\n"
    )
    result = program("doctor", "--json", "--app", "bare:store")
    assert result.code == 0
    assert findings(result)["change signal"] == (
        "note",
        "the store has none; copies of it poll",
    )


def test_clocks_that_differ_are_noticed(
    flipper: Any, client: FeatureFlagClient
) -> None:
    """A ramp that has not begun lets nobody in."""
    client.create("later")
    ramp = LinearRampPercentage(0, 1, 60, time.time() + 3600)
    client.set_bucketer("later", PercentageBucketer(percentage=ramp))
    state, text = findings(flipper("doctor", "--json", "--read-only"))["clock"]
    assert (state, "later begins at " in text) == ("note", True)


# -- watch -----------------------------------------------------------------------------


def wait_until_watching(watching: Any) -> None:
    """Read stderr until the command follows changes."""
    for line in watching.stderr:
        if "Watching" in line:
            return
    pytest.fail("it has ended")


@pytest.fixture
def watching(folder: Path) -> Iterator[Any]:
    """Give a process that prints three changes as JSON."""
    process = subprocess.Popen(
        [sys.executable, "-m", "flipper", "watch", "--json", "--count", "3"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    yield process
    process.kill()
    process.communicate()


def test_changes_of_another_process_are_printed(
    watching: Any, client: FeatureFlagClient
) -> None:
    """One a line, as they happen, and the command ends after the given number."""
    wait_until_watching(watching)
    client.create("x", is_enabled=True)
    lines = [json.loads(watching.stdout.readline())]
    client.set_client_data("x", {"owner": "anna"})
    lines.append(json.loads(watching.stdout.readline()))
    client.destroy("x")
    lines.append(json.loads(watching.stdout.readline()))
    assert [(each["feature_name"], each["change"]) for each in lines] == [
        *(("x", "create"), ("x", "change"), ("x", "delete"))
    ]
    assert lines[1]["before"]["meta"]["client_data"] == {}
    assert lines[1]["after"]["meta"]["client_data"] == {"owner": "anna"}
    assert watching.wait(timeout=60) == 0


def test_ctrl_c_ends_watching(client: FeatureFlagClient) -> None:
    """That is the usual end, and no failure."""
    with Terminal.flipper("watch") as terminal:
        terminal.wait_for("Watching; Ctrl-C ends.")
        client.create("x", is_enabled=True)
        terminal.wait_for("off for everybody -> on for everybody")
        assert terminal.answer("\x03") == 0
    assert "Traceback" not in terminal.output


# -- serve-thrift ----------------------------------------------------------------------


@pytest.mark.thrift
def test_flags_are_served_to_thrift_clients(client: FeatureFlagClient) -> None:
    """A client in another process reads and writes the store of the command."""
    client.create("x", client_data={"owner": "anna"})
    server = subprocess.Popen(
        [sys.executable, "-m", "flipper", "serve-thrift", "--port", "0", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        place = json.loads(server.stdout.readline())
        url = f"thrift://{place['host']}:{place['port']}"
        with store_from_url(url) as store:
            assert store.get("x").raw_meta.client_data == {"owner": "anna"}
            store.set("x", True)
            store.create("y")
        assert client.is_enabled("x") is True
        assert client.exists("y")
        server.send_signal(signal.SIGINT)
        _, messages = server.communicate(timeout=60)
        assert server.returncode == 0
        assert messages.splitlines()[-1] == "Stopped."
        assert "Traceback" not in messages
    finally:
        server.kill()
        server.communicate()


@pytest.mark.thrift
def test_a_port_that_is_taken_is_an_error(program: Any) -> None:
    """With a message that names it."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = program("serve-thrift", "--port", str(port))
    assert result.code == 1
    assert str(port) in result.err
    assert "Traceback" not in result.err


def test_the_schema_is_json(flipper: Any) -> None:
    """Editors read it from a file."""
    schema = flipper("schema").data
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert flipper("schema", "--json").data == schema


def test_a_store_that_cannot_be_written_is_an_error(
    flipper: Any, client: FeatureFlagClient
) -> None:
    """The message says that it only reads, and nothing is changed."""
    client.create("x")
    url = "sqlite:///flipper.db?read_only=1"
    for arguments in (["create", "y"], ["disable", "x"], ["delete", "x", "--yes"]):
        result = flipper(*arguments, "--url", url)
        assert result.code == 1
        assert "read-only" in result.err.replace("only reads", "read-only")
    assert [flag.name for flag in client.list()] == ["x"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write every file")
def test_a_file_that_cannot_be_written_is_named(flipper: Any, folder: Path) -> None:
    """And not only the number of the error."""
    folder.chmod(0o500)
    result = flipper("export", "a.toml", "--url", "memory://")
    assert (result.code, "a.toml" in result.err) == (1, True)
