# SPDX-License-Identifier: Apache-2.0
"""Runs every example of README.md and docs/, and compares its output."""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING, Any

import console_examples
import pytest
from document_examples import (
    ROOT,
    SERVERS,
    Program,
    examples_not_run,
    faults,
    fences,
    programs,
    run_and_compare,
)
from terminal_session import environment_of_checkout

from flipper import store_from_url
from servers.process import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]


class ThriftServer(Server):
    """The server of this library, as README.md starts it."""

    def find_programs(self) -> None:
        """Find nothing, since only Python is needed."""

    def command(self) -> list[str]:
        """Return the command, which keeps flags in memory."""
        module = (sys.executable, "-m", "flipper.contrib.thrift.server")
        return [
            *(*module, "--host", self.host, "--port", str(self.port)),
            *("--store", "memory"),
        ]

    def answers(self) -> bool:
        """Return whether it accepts a connection."""
        socket.create_connection((self.host, self.port), timeout=5).close()
        return True


@pytest.fixture
def thrift_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThriftServer]:
    """Give a Thrift server without flags."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with ThriftServer() as server:
        yield server


def _parameters(language: str) -> list[Any]:
    return [
        pytest.param(
            program,
            id=program.name,
            marks=[getattr(pytest.mark, need) for need in program.needs],
        )
        for document in DOCUMENTS
        if document.exists()
        for program in programs(fences(document), language)
    ]


@pytest.mark.parametrize("program", _parameters("python"))
def test_an_example_prints_what_it_says(
    program: Program, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Each example runs, and prints what is written beside it."""
    if program.name.startswith("fastapi.md"):  # which Python 3.15 has not yet
        pytest.importorskip("fastapi", reason="pydantic-core has no wheel for it")
    program.skip_with_older_releases()
    servers = {
        need: request.getfixturevalue(SERVERS[need].fixture) for need in program.needs
    }
    run_and_compare(program, tmp_path, servers)


@pytest.mark.parametrize("program", _parameters("console"))
def test_commands_print_what_the_document_says(
    program: Program, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Each command runs in a terminal, which shows what is written below it."""
    servers = {
        need: request.getfixturevalue(SERVERS[need].fixture) for need in program.needs
    }
    if "redis" in servers:  # may be shared with an earlier run
        with store_from_url(f"{servers['redis'].url}?base_key=shop") as store:
            for item in store.list():
                store.delete(item.feature_name)
    folder = tmp_path / "folder"
    folder.mkdir()
    environment = environment_of_checkout(tmp_path)
    console_examples.run_and_compare(program, folder, servers, environment)


@pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT))
)
def test_examples_are_written_correctly(
    document: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A misspelt marker or language would leave an example out."""
    assert not faults(document)
    blocks = fences(document)
    summary = [
        f"{document.name}: {len(programs(blocks))} programs of examples",
        f"{document.name}: {len(programs(blocks, 'console'))} sessions of commands",
        *examples_not_run(blocks),
    ]
    with capsys.disabled():
        print("", *summary, sep="\n")  # noqa: T201  (shown also if the test passes)


def test_the_readme_has_examples() -> None:
    """README.md has examples, so that the tests above test something."""
    assert programs(fences(ROOT / "README.md"))
    assert programs(fences(ROOT / "README.md"), "console")
