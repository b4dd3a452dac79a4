# SPDX-License-Identifier: Apache-2.0
"""Finds, runs and checks the Python examples of a Markdown document.

How to write an example:

* A block that is fenced as ``python`` is run. The blocks of a section, that is of a
  heading of the first or second level, are one program from top to bottom;
  ``<!-- fresh -->`` above a block begins a new one, and ``<!-- continued -->`` goes on
  with the program of the section above. Each program runs in an interpreter of its own,
  in an empty folder.
* ``# -> text`` is the expected output: beside a statement, and in the lines below it if
  there are several. An expression with an arrow prints its value, as at the prompt. The
  arrows of a program are its whole output, in this order; ``...`` stands for what
  differs each time. To show an error, catch it and print it.
* ``<!-- needs: redis -->`` above a block: it needs a server, or several that are
  separated by commas. `SERVERS` lists them, and how their addresses are written so that
  they can be replaced. Other tests use the same servers, so use your own keys.
* ``<!-- release: package 1.2 -->`` above a block: it needs this release of a package,
  and the program is skipped with an older one.
* ``<!-- no-run: why -->`` above a block: it cannot be run. These blocks are counted.

`console_examples.py` runs commands. Every fence names its language. Readers do not see
the markers.
"""

from __future__ import annotations

import ast
import difflib
import doctest
import functools
import io
import os
import re
import subprocess
import sys
import tokenize
from importlib.metadata import version
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
TIMEOUT = 60  # seconds
# Languages of fences that are shown and not run.
SHOWN = {"console", "diff", "html", "json", "sql", "text", "thrift", "toml", "yaml"}

HEADING = re.compile(r"(#+) +(.+)")
FENCE = re.compile(r"( *)```(.*)")
MARKERS = "fresh|continued|needs|no-run|beside|port|file|release"
MARKER = re.compile(rf" *<!-- ({MARKERS})(?:: (.+))? -->")
COMMAND = re.compile(r"^\$ flipper\b", re.MULTILINE)
SHOW = b"__import__('sys').displayhook((", b"))"
ARROW = re.compile(r"# ->(?: (.*))?")
COMPARISON = (
    doctest.ELLIPSIS
    | doctest.DONT_ACCEPT_BLANKLINE  # an empty line is written as such
    | doctest.DONT_ACCEPT_TRUE_FOR_1
)


class Fence(NamedTuple):
    """A fenced block of a document, and the markers above it."""

    where: str
    line: int  # the first inside
    heading: str
    section: int  # counts the headings of the first two levels
    language: str
    text: str
    markers: dict[str, str]

    @property
    def is_run(self) -> bool:
        """Whether this is an example of a language that can be run."""
        return self.language == "python" or self.is_of_session

    @property
    def is_of_session(self) -> bool:
        """Whether this is an example of commands, or a file for them."""
        if self.language == "console":
            return bool(COMMAND.search(self.text)) or "continued" in self.markers
        return "file" in self.markers


class Program(NamedTuple):
    """Blocks that run one after the other in one interpreter, or in one shell."""

    fences: list[Fence]

    @property
    def name(self) -> str:
        """The place where it begins, and its heading."""
        return f"{self.fences[0].where} {self.fences[0].heading}"

    @property
    def needs(self) -> list[str]:
        """The servers that it needs."""
        named = [fence.markers.get("needs", "") for fence in self.fences]
        return sorted({need for need in ", ".join(named).split(", ") if need})

    @property
    def releases(self) -> list[str]:
        """The oldest releases of packages with which it runs, as "package 1.2"."""
        named = [fence.markers.get("release") for fence in self.fences]
        return sorted({release for release in named if release})

    def skip_with_older_releases(self) -> None:
        """Skip the test if an installed package is older than it has to be."""
        for release in self.releases:
            package, needed = release.split()
            installed = version(package)
            if _parts(installed) < _parts(needed):
                pytest.skip(
                    f"it needs {package} {needed}, and {installed} is installed"
                )

    @property
    def text(self) -> str:
        """The blocks, each in the same lines as in the document."""
        text = ""
        for fence in self.fences:
            text += "\n" * (fence.line - 1 - text.count("\n")) + fence.text
        return text


def _parts(release: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", release)]


class Address(NamedTuple):
    """The server that the text of a program names, and how its address is replaced."""

    fixture: str
    pattern: str  # of the address in the text
    replacement: Callable[[Any, re.Match[str]], str]  # returns the new text


def _listening(fixture: str, usual_port: int) -> Address:
    return Address(
        fixture,
        rf"""(['"])(?:localhost|127\.0\.0\.1)\1, (port=)?{usual_port}\b"""
        rf"|//localhost:{usual_port}\b",
        lambda server, match: (
            f"{server.host!r}, {match[2] or ''}{server.port}"
            if match[1]
            else f"//{server.host}:{server.port}"
        ),
    )


SERVERS = {
    "redis": _listening("redis_server", 6379),
    "consul": _listening("consul_server", 8500),
    "thrift": _listening("thrift_server", 9090),
    "postgres": Address(
        "postgres_conninfo",
        r'"postgresql://[^"]*"',
        lambda conninfo, _: repr(conninfo),
    ),
    "s3": Address(
        "s3_server",
        r'client\("s3"',
        lambda server, match: (
            f'{match[0]}, endpoint_url={server.endpoint!r}, region_name="us-east-1", '
            'aws_access_key_id="testing", aws_secret_access_key="testing"'
        ),
    ),
}


def fences(document: Path) -> list[Fence]:
    """Return the fenced blocks of a document."""
    return list(_fences(document.name, document.read_text(encoding="utf-8")))


def _fences(name: str, text: str) -> Iterator[Fence]:
    heading, section = "", 0
    markers: dict[str, str] = {}
    lines = iter(enumerate(text.splitlines(), start=1))
    for number, line in lines:
        if found := MARKER.fullmatch(line):
            markers[found[1]] = found[2] or ""
        elif found := FENCE.fullmatch(line):
            indent, language = found.groups()
            inside = takewhile(lambda numbered: numbered[1].strip() != "```", lines)
            block = "".join(f"{one.removeprefix(indent)}\n" for _, one in inside)
            where = f"{name}:{number}"
            yield Fence(where, number + 1, heading, section, language, block, markers)
            markers = {}
        elif line:
            markers = {}
            if found := HEADING.fullmatch(line):
                heading = found[2]
                section += len(found[1]) <= 2


def programs(blocks: list[Fence], language: str = "python") -> list[Program]:
    """Join the blocks of a language that are one program."""
    made: list[Program] = []
    for block in blocks:
        if (language == "console") != block.is_of_session or not block.is_run:
            continue
        if "no-run" in block.markers:
            continue
        is_continued = "continued" in block.markers or (
            made and made[-1].fences[-1].section == block.section
        )
        if not made or not is_continued or "fresh" in block.markers:
            made.append(Program([]))
        made[-1].fences.append(block)
    return made


def examples_not_run(blocks: list[Fence]) -> list[str]:
    """Return which examples are not run, and why."""
    return [
        f"{block.where} not run: {block.markers['no-run']}"
        for block in blocks
        if "no-run" in block.markers
    ]


def faults(document: Path) -> list[str]:
    """Return what is wrong with the way in which examples are written."""
    text, blocks = document.read_text(encoding="utf-8"), fences(document)
    found = [f"{block.where}: {fault}" for block in blocks for fault in _faults(block)]
    if len(re.findall(r"^ *```", text, re.MULTILINE)) != 2 * len(blocks):
        found.append(f"{document.name}: a fence is not closed")
    written = len(re.findall(rf"^ *<!-- *(?:{MARKERS})", text, re.MULTILINE))
    if stray := written - sum(len(block.markers) for block in blocks):
        found.append(f"{document.name}: {stray} markers are misspelt or above no fence")
    made = [*programs(blocks), *programs(blocks, "console")]
    unknown = {need for program in made for need in program.needs} - {*SERVERS}
    return found + [f"{document.name}: no server is called {need}" for need in unknown]


def _faults(block: Fence) -> Iterator[str]:
    if block.language not in {"python", *SHOWN}:
        yield f"what language is {block.language!r}?"
    if not block.is_run and block.markers:
        yield "only what is run has markers"
    if block.markers.get("no-run") == "":
        yield "why is it not run?"


def script(text: str) -> tuple[str, str]:
    """Return the code to run for a program's text, and its expected output."""
    arrows, below = {}, set()  # texts by line; lines with an arrow only
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and (found := ARROW.fullmatch(token.string)):
            arrows[token.start[0]] = found[1] or ""
            if token.line.lstrip().startswith("#"):
                below.add(token.start[0])
    beside = arrows.keys() - below
    lines = [line.encode() for line in text.splitlines(keepends=True)]
    for node in _expressions(text):
        last = node.end_lineno
        if last in beside or last + 1 in below:
            _insert(lines, last, node.end_col_offset, SHOW[1])
            _insert(lines, node.lineno, node.col_offset, SHOW[0])
    return b"".join(lines).decode(), "".join(f"{arrow}\n" for arrow in arrows.values())


def _expressions(text: str) -> list[Any]:
    """Return the expression statements, the last first since insertions move lines."""
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Expr)]
    return sorted(nodes, key=lambda node: (node.lineno, node.col_offset), reverse=True)


def _insert(lines: list[bytes], line: int, column: int, added: bytes) -> None:
    changed = lines[line - 1]
    lines[line - 1] = changed[:column] + added + changed[column:]


def run_and_compare(
    program: Program,
    folder: Path,
    servers: dict[str, Any],
    interpreter: tuple[str, ...] = (sys.executable,),
) -> None:
    """Run a program, and fail if it raises or prints anything else than it says.

    Args:
        program: what to run.
        folder: an empty folder to run it in.
        servers: the value of the fixture of each server, by name.
        interpreter: the command; the default is this interpreter with this checkout.
    """
    text = program.text
    for need, value in servers.items():
        _, pattern, replacement = SERVERS[need]
        text, count = re.subn(pattern, functools.partial(replacement, value), text)
        assert count, f"{program.name} names no address of {need}"
    code, expected = script(text)
    # Named like the document, so that a traceback points into the document.
    path = folder / program.fences[0].where.partition(":")[0]
    path.write_text(code, encoding="utf-8")
    run = subprocess.run(
        [*interpreter, path.name],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert run.returncode == 0, f"{program.name} fails\n{run.stderr}"
    if not doctest.OutputChecker().check_output(expected, run.stdout, COMPARISON):
        lines = (text.splitlines() for text in (expected, run.stdout))
        difference = "\n".join(difflib.unified_diff(*lines, "expected", "printed"))
        pytest.fail(f"{program.name}\n{difference}", pytrace=False)
