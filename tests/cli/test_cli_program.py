# SPDX-License-Identifier: Apache-2.0
"""The whole program: its help, its options, its exit codes, and its completion."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
from terminal import Terminal, without_colours

from flipper.cli.program import COMMANDS
from flipper.cli.program import program as root

if TYPE_CHECKING:
    from flipper import FeatureFlagClient


def all_commands() -> list[tuple[str, ...]]:
    """Return the words of each command."""
    found: list[tuple[str, ...]] = []
    context = click.Context(root)
    for name in COMMANDS:
        command = root.get_command(context, name)
        if isinstance(command, click.Group):
            found += [(name, each) for each in command.list_commands(context)]
        else:
            found.append((name,))
    return found


@pytest.mark.parametrize("words", [(), *all_commands()], ids=" ".join)
def test_each_command_has_help_that_fits_a_terminal(
    flipper: Any, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 80 columns no line is broken by the terminal, and each option is explained."""
    monkeypatch.setenv("COLUMNS", "80")
    result = flipper(*words, "--help")
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "--json" in result.out
    assert "\\b" not in result.out
    options = result.out.partition("Options:")[2].partition("Commands:")[0]
    # An option whose help is only its default, or which has none.
    assert not re.search(
        r"^  -\S+(, -\S+)?( [A-Z|a-z\[\]=.]+)*( {2,}\[default[^\]]*\])?$",
        options,
        re.MULTILINE,
    )
    assert flipper(*words, "-h").out == result.out


def test_every_command_takes_json() -> None:
    """Scripts need not know which commands print what."""
    context = click.Context(root)
    for words in all_commands():
        command: Any = root
        for word in words:
            command = command.get_command(context, word)
        assert any("--json" in option.opts for option in command.params), words


def test_a_wrong_command_gets_the_nearest_one(flipper: Any) -> None:
    """Or the way to the list of them."""
    result = flipper("creat", "x")
    assert (result.code, result.out) == (2, "")
    assert "There is no command 'creat'; did you mean 'create'?" in result.err
    assert "see flipper -h" in flipper("zzz").err
    assert "did you mean 'add'?" in flipper("condition", "ad", "x").err


def test_options_of_the_store_stand_before_or_after_the_command(flipper: Any) -> None:
    """Both are common among programs."""
    flipper("create", "x", "--url", "sqlite:///a.db")
    for arguments in (
        ["--url", "sqlite:///a.db", "--json", "list"],
        ["list", "--url", "sqlite:///a.db", "--json"],
    ):
        assert [each["feature_name"] for each in flipper(*arguments).data] == ["x"]


def test_the_url_comes_from_the_option_then_the_environment(
    flipper: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then from the folder; only that is announced."""
    monkeypatch.setenv("FLIPPER_URL", "sqlite:///environment.db")
    assert flipper("create", "x", "--url", "sqlite:///option.db").err.startswith("Crea")
    assert flipper("create", "y").err.startswith("Created")
    monkeypatch.setenv("FLIPPER_URL", "")
    assert flipper("create", "z").err.startswith("New store: sqlite:///flipper.db")
    assert flipper("create", "zz").err.startswith("Created")
    assert {path.name for path in Path().glob("*.db")} == {
        *("option.db", "environment.db", "flipper.db")
    }


@pytest.mark.parametrize("option", ["--url", "--app"])
def test_an_empty_option_is_not_the_default(flipper: Any, option: str) -> None:
    """A script whose variable is not set would change another store."""
    result = flipper("create", "x", option, "")
    assert result.code == 2
    assert "is empty" in result.err
    assert not Path("flipper.db").exists()


def test_two_places_of_flags_are_refused(flipper: Any) -> None:
    """One of them would be ignored."""
    result = flipper("list", "--url", "memory://", "--app", "m:c")
    assert result.code == 2
    assert "leave one of them out" in result.err


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("rediss//x", "URL"),
        ("redos://x", "did you mean redis://?"),
        ("sqlite://x.db", "three slashes"),
        ("redis://localhost?nix=1", "nix"),
    ],
)
def test_a_wrong_url_is_wrong_usage(flipper: Any, url: str, message: str) -> None:
    """The message says what is wrong in it."""
    result = flipper("list", "--url", url)
    assert result.code == 2
    assert message in result.err


READING = [
    ["list"],
    ["show", "x"],
    ["check", "x"],
    ["export"],
    ["meta", "get", "x"],
    ["doctor", "--read-only"],
]


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_reading_makes_no_store(flipper: Any, command: list[str]) -> None:
    """A command in the wrong folder, or with a wrong path, leaves no file behind."""
    result = flipper(*command)
    assert result.code in {0, 3}
    assert "There is no flipper.db in this folder; `flipper create` makes" in result.err
    result = flipper(*command, "--url", "sqlite:///typo.db")
    assert result.code == 4
    assert "There is no SQLite file 'typo.db'" in result.err
    assert not list(Path().iterdir())


def test_the_program_is_python_m_flipper(program: Any) -> None:
    """Results go to stdout, messages to stderr."""
    result = program("create", "new")
    assert (result.code, result.out) == (0, "")
    assert result.err == (
        "New store: sqlite:///flipper.db (choose another by --url or FLIPPER_URL).\n"
        "Created new. It is off; if enabled, on for everybody.\n"
    )
    assert program("list").out == "Name  State  For\nnew   off    everybody\n"
    assert program("--version").out.startswith("flipper, version ")
    nothing = program()  # the stream and the exit code depend on click
    assert (nothing.out + nothing.err).startswith("Usage: flipper [OPTIONS] COMMAND")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_any_encoding_of_stdout_will_do(program: Any, encoding: str) -> None:
    """JSON and TOML keep their meaning; text shows what cannot be printed escaped."""
    name = "käthe-😀"
    program("create", name)
    plain = {"PYTHONIOENCODING": encoding}
    listed = json.loads(program("list", "--json", **plain).out)
    assert listed[0]["feature_name"] == name
    exported = program("export", **plain)
    assert program("import", "-", "--dry-run", input=exported.out).code == 0
    assert "0 to create" in program("plan", "-", input=exported.out).out or (
        "No changes." in program("plan", "-", input=exported.out).out
    )
    assert program("list", **plain).code == 0


def test_a_reader_that_has_seen_enough_is_no_fault(
    program: Any, client: FeatureFlagClient
) -> None:
    """`flipper list | head` prints no message about the pipe."""
    for number in range(2000):
        client.create(f"a-rather-long-name-of-a-flag-{number:050}")
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m flipper list | head -1"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.startswith("Name")
    assert done.stderr == ""


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:s3cret@host/db",
        "postgres:/user:s3cret@host",
        "redis://host/0?db=1&password=s3cret",
    ],
)
@pytest.mark.parametrize(
    "words",
    [
        *(["import"], ["plan"], ["apply"], ["export"], ["show"], ["list"], ["check"]),
        *(["list", "--app"], [], ["diff", "x.toml"], ["list", "A"], ["meta", "set"]),
    ],
    ids=" ".join,
)
def test_messages_show_no_secrets_of_a_url_in_the_wrong_place(
    flipper: Any, words: list[str], url: str
) -> None:
    """A URL may be taken for a file, a flag or a command; its password is not shown."""
    result = flipper(*words, url)
    assert result.out == ""
    assert "s3cret" not in result.err


# -- confirmation and colours in a terminal --------------------------------------------


def test_ctrl_c_while_the_program_is_loaded_shows_no_traceback() -> None:
    """It ends the program as Ctrl-C does later."""
    code = """
import sys
from flipper.cli import main
class Interrupting:
    def find_spec(self, name, *_):
        if name == "flipper.cli.program":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupting())
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (130, b"")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no descriptors to close")
@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("list <&- >&-", 0, ""),
        ("export >&-", 0, ""),
        ("enable A --yes >&-", 0, "Enabled A."),
        ("check A >&-", 1, ""),
        ("check A 2>&-", 1, ""),
        ("delete A <&-", 2, "Add --yes"),
        ("import - <&-", 1, "the key 'flags' is missing"),
    ],
)
def test_closed_streams_change_no_exit_code(
    client: FeatureFlagClient, words: str, code: int, message: str
) -> None:
    """A command that is started without stdin or stdout does the same as with them."""
    client.create("A")
    result = subprocess.run(
        ["/bin/sh", "-c", f'"$0" -m flipper {words}', sys.executable],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == code
    assert message in result.stderr
    assert "NoneType" not in result.stderr


def test_a_question_is_answered_in_a_terminal(client: FeatureFlagClient) -> None:
    """No is the default, and changes nothing."""
    client.create("old")
    for answer, code in (("\n", 1), ("n\n", 1), ("y\n", 0)):
        with Terminal.flipper("enable", "old") as terminal:
            terminal.wait_for("Continue? [y/N]:")
            assert terminal.answer(answer) == code
            assert ("Nothing was changed." in terminal.output) is (code == 1)
        assert client.is_enabled("old") is (code == 0)


def test_ctrl_c_at_a_question_changes_nothing(client: FeatureFlagClient) -> None:
    """The exit code is the one that shells expect."""
    client.create("old")
    with Terminal.flipper("delete", "old") as terminal:
        terminal.wait_for("Continue? [y/N]:")
        assert terminal.answer("\x03") == 130
        assert "Stopped." in terminal.output
        assert "Traceback" not in terminal.output
    assert client.exists("old")


def test_tables_are_coloured_in_a_terminal_only(client: FeatureFlagClient) -> None:
    """And not where the variable NO_COLOR asks for none."""
    client.create("on", is_enabled=True)
    for arguments in (["list"], ["show", "on"], ["doctor", "--read-only"]):
        with Terminal.flipper(*arguments) as terminal:
            assert terminal.wait() == 0
        assert "\x1b[" in terminal.output
        with Terminal.flipper(*arguments, NO_COLOR="1") as terminal:
            assert terminal.wait() == 0
        # Bold is no colour, and rich keeps it.
        assert not re.search(r"\x1b\[(3|9|4)\d", terminal.output)


def test_a_table_fits_a_narrow_terminal(client: FeatureFlagClient) -> None:
    """Long names and conditions are folded, and nothing of them is lost."""
    client.create("a" * 100, is_enabled=True)
    client.create("short")
    with Terminal.flipper("list", columns=40) as terminal:
        assert terminal.wait() == 0
    lines = without_colours(terminal.output).splitlines()
    assert max(map(len, lines)) <= 40
    assert "".join(lines).count("a") >= 100


# -- completion ------------------------------------------------------------------------


def complete(shell: str, line: str, program: Any, **environment: str) -> list[str]:
    """Return what the program answers to a shell, without the types of the entries."""
    *_, last = words = line.split(" ")
    asked = {
        "_FLIPPER_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": last if shell == "fish" else str(len(words) - 1),
        **environment,
    }
    answer = program(**asked)
    assert answer.err == ""
    lines = answer.out.splitlines()
    if shell == "bash":
        return [entry.partition(",")[2] for entry in lines if entry]
    if shell == "zsh":
        return lines[1::3]
    found = re.findall(r"^(?:plain,)?([^\t\n]+)", answer.out, re.MULTILINE)
    return [entry for entry in found if entry not in {"plain", "_", "value"}]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_commands_and_names_of_flags_are_completed(
    shell: str, program: Any, client: FeatureFlagClient
) -> None:
    """As each shell asks for it."""
    for name in ("shop-a", "shop-b", "other", "a\nb"):
        client.create(name)
    assert complete(shell, "flipper sh", program) == ["show"]
    assert complete(shell, "flipper condition a", program) == ["add"]
    assert complete(shell, "flipper show shop", program) == ["shop-a", "shop-b"]
    assert complete(shell, "flipper bucket set o", program) == ["other"]
    assert "--yes" in complete(shell, "flipper delete --", program)
    assert complete(shell, "flipper show ", program) == ["other", "shop-a", "shop-b"]


def test_names_of_the_store_of_the_url_are_completed(program: Any) -> None:
    """Wherever the option stands."""
    program("create", "there", "--url", "sqlite:///a.db")
    for line in (
        "flipper --url sqlite:///a.db show t",
        "flipper show --url sqlite:///a.db t",
        "flipper show --url=sqlite:///a.db t",
    ):
        assert complete("bash", line, program) == ["there"]
    url = "sqlite:///a.db"
    assert complete("bash", "flipper show t", program, FLIPPER_URL=url) == ["there"]


def test_completion_is_silent_and_creates_nothing(program: Any, folder: Path) -> None:
    """A key must not write a file, or print an error into the line that is typed."""
    assert complete("bash", "flipper show x", program) == []
    assert not list(folder.iterdir())
    away = "redis://localhost:1"
    assert complete("bash", "flipper show x", program, FLIPPER_URL=away) == []
    assert complete("bash", "flipper show --app nix:nix x", program) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_is_printed(flipper: Any, shell: str) -> None:
    """As text to be evaluated, or within JSON."""
    result = flipper("completion", shell)
    assert result.code == 0
    assert "_FLIPPER_COMPLETE" in result.out
    assert flipper("completion", shell, "--json").data["script"] in result.out
    assert flipper("completion", "csh").code == 2


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_names_of_flags(
    program: Any, client: FeatureFlagClient, folder: Path
) -> None:
    """A real one, by the function that the script defines."""
    client.create("shop-a")
    client.create("shop-b")
    command = folder / "bin" / "flipper"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m flipper "$@"\n')
    command.chmod(0o755)
    script = """
        eval "$(flipper completion bash)"
        COMP_WORDS=(flipper show shop) COMP_CWORD=2
        _flipper_completion flipper
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "PATH": f"{command.parent}:{os.environ['PATH']}"},
    )
    assert (done.stdout, done.stderr) == ("shop-a\nshop-b\n", "")


@pytest.mark.parametrize("options", ["", "&read_only=1"])
def test_a_copy_whose_server_is_away_is_unreachable(flipper: Any, options: str) -> None:
    """A copy has no errors of an outage of its own, but its server has."""
    url = f"redis://127.0.0.1:1/0?sync=1&on_start_failure=empty{options}"
    result = flipper("list", "--url", url)
    assert result.code == 4
    assert "refused" in result.err
