# SPDX-License-Identifier: Apache-2.0
"""Run every Python example of README.md and docs/*.md, and compare what it prints.

How to write an example:

* What is fenced as ``python`` is run. The blocks of a section, that is of a heading of
  the first or second level, are one program from top to bottom; ``<!-- fresh -->``
  above a block begins another. A program gets an interpreter of its own, in an empty
  folder.
* ``# -> text`` says what is printed: after a statement, and in the lines below it if
  there is more. An expression with an arrow shows its value, as at the prompt. The
  arrows of a program are all that it prints, in this order; ``...`` stands for what
  differs each time. To show an error, catch it and print it.
* ``<!-- needs: redis -->`` above a block: it talks to a server. `SERVERS` says which
  there are, and how their addresses are written so that they can be replaced; several
  are separated by commas. Other tests use the same servers: use keys of your own.
* ``<!-- no-run: why -->`` above a block: it cannot be run. These are counted.

Every fence names its language. The markers are invisible to readers.
"""

from __future__ import annotations

import ast
import difflib
import doctest
import functools
import io
import os
import re
import socket
import subprocess
import sys
import tokenize
from itertools import takewhile
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from servers.process import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
SECONDS = 60  # until a program is taken to hang
# Languages of fences that show something without being a program.
SHOWN = {"console", "diff", "html", "json", "sql", "text", "thrift", "toml", "yaml"}

HEADING = re.compile(r"(#+) +(.+)")
FENCE = re.compile(r"( *)```(.*)")
MARKER = re.compile(r" *<!-- (fresh|needs|no-run)(?:: (.+))? -->")
SHOW = b"__import__('sys').displayhook((", b"))"
ARROW = re.compile(r"# ->(?: (.*))?")
COMPARISON = (
    doctest.ELLIPSIS
    | doctest.DONT_ACCEPT_BLANKLINE  # an empty line is written as such
    | doctest.DONT_ACCEPT_TRUE_FOR_1
)


class Fence(NamedTuple):
    """A fenced block of a document, and what is said about it."""

    where: str
    line: int  # the first inside
    heading: str
    section: int  # counts the headings of the first two levels
    language: str
    text: str
    markers: dict[str, str]


class Program(NamedTuple):
    """Blocks that run one after the other in one interpreter."""

    fences: list[Fence]

    @property
    def name(self) -> str:
        """Where it begins, and below which heading."""
        return f"{self.fences[0].where} {self.fences[0].heading}"

    @property
    def needs(self) -> list[str]:
        """The servers that it talks to."""
        named = [fence.markers.get("needs", "") for fence in self.fences]
        return sorted({need for need in ", ".join(named).split(", ") if need})

    @property
    def text(self) -> str:
        """The blocks, each on the lines where it stands in the document."""
        text = ""
        for fence in self.fences:
            text += "\n" * (fence.line - 1 - text.count("\n")) + fence.text
        return text


class Address(NamedTuple):
    """Where a program finds the server that its text names."""

    fixture: str
    named: str  # a pattern of what the text says
    here: Callable[[Any, re.Match[str]], str]  # what is said instead


def _listening(fixture: str, usual_port: int) -> Address:
    return Address(
        fixture,
        rf"""(['"])(?:localhost|127\.0\.0\.1)\1, (port=)?{usual_port}\b"""
        rf"|//localhost:{usual_port}\b",
        lambda server, said: (
            f"{server.host!r}, {said[2] or ''}{server.port}"
            if said[1]
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
        lambda server, said: (
            f'{said[0]}, endpoint_url={server.endpoint!r}, region_name="us-east-1", '
            'aws_access_key_id="testing", aws_secret_access_key="testing"'
        ),
    ),
}


def fences(document: Path) -> list[Fence]:
    """Find the fenced blocks of a document."""
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


def programs(blocks: list[Fence]) -> list[Program]:
    """Put together the blocks that are one program."""
    made: list[Program] = []
    for block in blocks:
        if block.language != "python" or "no-run" in block.markers:
            continue
        if (
            not made
            or made[-1].fences[0].section != block.section
            or "fresh" in block.markers
        ):
            made.append(Program([]))
        made[-1].fences.append(block)
    return made


def not_run(blocks: list[Fence]) -> list[str]:
    """Say which examples are not run, and why."""
    return [
        f"{block.where} not run: {block.markers['no-run']}"
        for block in blocks
        if "no-run" in block.markers
    ]


def faults(document: Path) -> list[str]:
    """Say what is wrong with the way in which examples are written."""
    text, blocks = document.read_text(encoding="utf-8"), fences(document)
    found = [f"{block.where}: {fault}" for block in blocks for fault in _faults(block)]
    if len(re.findall(r"^ *```", text, re.MULTILINE)) != 2 * len(blocks):
        found.append(f"{document.name}: a fence is not closed")
    written = len(re.findall(r"^ *<!-- *(?:fresh|needs|no-run)", text, re.MULTILINE))
    if stray := written - sum(len(block.markers) for block in blocks):
        found.append(f"{document.name}: {stray} markers are misspelt or above no fence")
    unknown = {need for made in programs(blocks) for need in made.needs} - {*SERVERS}
    return found + [f"{document.name}: no server is called {need}" for need in unknown]


def _faults(block: Fence) -> Iterator[str]:
    if block.language not in {"python", *SHOWN}:
        yield f"what language is {block.language!r}?"
    if block.language != "python" and block.markers:
        yield "only what is run has markers"
    if block.markers.get("no-run") == "":
        yield "why is it not run?"


def script(text: str) -> tuple[str, str]:
    """Make, of a program's text, what is run and what that has to print."""
    arrows, below = {}, set()  # what they say, by their lines; those on lines alone
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
    """Find what stands as a statement; the last first, for what is inserted moves."""
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Expr)]
    return sorted(nodes, key=lambda node: (node.lineno, node.col_offset), reverse=True)


def _insert(lines: list[bytes], line: int, column: int, added: bytes) -> None:
    changed = lines[line - 1]
    lines[line - 1] = changed[:column] + added + changed[column:]


def play(
    program: Program,
    folder: Path,
    found: dict[str, Any],
    interpreter: tuple[str, ...] = (sys.executable,),
) -> None:
    """Run a program, and fail if it does, or prints something else than it says.

    Args:
        program: what to run.
        folder: where to run it; an empty one.
        found: from the name of a server to the value of its fixture.
        interpreter: the command; by default this one, with the library of the checkout.
    """
    text = program.text
    for need, value in found.items():
        _, named, here = SERVERS[need]
        text, count = re.subn(named, functools.partial(here, value), text)
        assert count, f"{program.name} names no address of {need}"
    code, expected = script(text)
    # Named as the document is, so that a traceback points into that.
    path = folder / program.fences[0].where.partition(":")[0]
    path.write_text(code, encoding="utf-8")
    run = subprocess.run(
        [*interpreter, path.name],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert run.returncode == 0, f"{program.name} fails\n{run.stderr}"
    if not doctest.OutputChecker().check_output(expected, run.stdout, COMPARISON):
        lines = (text.splitlines() for text in (expected, run.stdout))
        difference = "\n".join(difflib.unified_diff(*lines, "said", "printed"))
        pytest.fail(f"{program.name}\n{difference}", pytrace=False)


class ThriftServer(Server):
    """The server that comes with the library, as README.md starts it."""

    def find_programs(self) -> None:
        """Find nothing: Python is there."""

    def command(self) -> list[str]:
        """Keep the flags in memory."""
        module = (sys.executable, "-m", "flipper.contrib.thrift.server")
        return [
            *(*module, "--host", self.host, "--port", str(self.port)),
            *("--store", "memory"),
        ]

    def answers(self) -> bool:
        """Connect."""
        socket.create_connection((self.host, self.port), timeout=5).close()
        return True


@pytest.fixture
def thrift_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThriftServer]:
    """Give a Thrift server without flags."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with ThriftServer() as server:
        yield server


def _parameters() -> list[Any]:
    return [
        pytest.param(
            program,
            id=program.name,
            marks=[getattr(pytest.mark, need) for need in program.needs],
        )
        for document in DOCUMENTS
        if document.exists()
        for program in programs(fences(document))
    ]


@pytest.mark.parametrize("program", _parameters())
def test_an_example_prints_what_it_says(
    program: Program, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Readers copy examples: each must run, and do what is written beside it."""
    found = {
        need: request.getfixturevalue(SERVERS[need].fixture) for need in program.needs
    }
    play(program, tmp_path, found)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_examples_are_written_as_they_should_be(
    document: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A misspelt marker or language would let an example go unrun, silently."""
    assert not faults(document)
    blocks = fences(document)
    said = [
        f"{document.name}: {len(programs(blocks))} programs of examples",
        *not_run(blocks),
    ]
    with capsys.disabled():
        print("", *said, sep="\n")  # noqa: T201 # what is left out has to be seen


def test_the_readme_has_examples() -> None:
    """Were none found, the tests above would have nothing to say."""
    assert programs(fences(ROOT / "README.md"))


SAMPLE = """\
# Sample

```python
greeting = "hällo"
```

### A smaller heading goes on

1. In a list:

   ```python
   greeting  # -> 'hällo'
   "not shown"
   for name in ("a", "b"):
       print(name, "# -> not a comment")
   # -> a # -> not a comment
   # -> b # -> not a comment
   len(
       greeting
   ), "pair"  # -> (5, 'pair')
   print(object())  # -> <object object at 0x...>
   print(); print("x")
   # ->
   # -> x
   ```

```console
$ never run
```

<!-- fresh -->

```python
"greeting" in globals()  # -> False
```

## Another section

<!-- no-run: needs a farm -->
```python
feed(horses)
```

```python
"greeting" in globals()  # -> False
```
"""


def test_a_sample_is_read_and_runs(tmp_path: Path) -> None:
    """The sample has every way of writing that the module's text promises."""
    blocks = fences(_document(tmp_path, SAMPLE))
    assert [program.name for program in programs(blocks)] == [
        "sample.md:3 Sample",
        "sample.md:33 A smaller heading goes on",
        "sample.md:44 Another section",
    ]
    assert not_run(blocks) == ["sample.md:40 not run: needs a farm"]
    assert not faults(tmp_path / "sample.md")
    for program in programs(blocks):
        play(program, tmp_path, {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 + 1  # -> 3", "-3\n+2"),
        ("True  # -> 1", "-1\n+True"),
        ("print(1)", "+1"),
        ("x = 1  # -> 1", "-1"),
        ("print(1)  # -> 1\n# -> 2", "-2"),
        ("\n\nraise SystemError", "line 5"),
        ("import sys; sys.exit(1)", "fails"),
    ],
)
def test_an_example_that_is_wrong_fails(tmp_path: Path, text: str, said: str) -> None:
    """Each of these is a promise that the text beside the code does not keep."""
    document = _document(tmp_path, f"# Wrong\n```python\n{text}\n```\n")
    (program,) = programs(fences(document))
    with pytest.raises((AssertionError, pytest.fail.Exception)) as failure:
        play(program, tmp_path, {})
    assert said in str(failure.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("```\n```", "what language is ''?"),
        ("```python 3\n```", "what language is 'python 3'?"),
        ("```text\n", "a fence is not closed"),
        ("<!-- no-run -->\n```python\n```", "why is it not run?"),
        ("<!-- no-run: x -->\n```text\n```", "only what is run has markers"),
        ("<!-- needs: horses -->\n```python\n```", "no server is called horses"),
        ("<!-- needs:redis -->\n```python\n```", "1 markers are misspelt"),
        (
            "<!-- fresh -->\nText\n```python\n```",
            "1 markers are misspelt or above no fence",
        ),
    ],
)
def test_a_badly_written_example_is_noticed(
    tmp_path: Path, text: str, said: str
) -> None:
    """None of these may lead to an example that is left out in silence."""
    (fault,) = faults(_document(tmp_path, text))
    assert said in fault


@pytest.mark.parametrize(
    ("need", "written", "printed"),
    [
        (
            "redis",
            'client(host="localhost", port=6379)',
            "() {'host': '::1', 'port': 7}",
        ),
        ("consul", "client('127.0.0.1', 8500)", "('::1', 7) {}"),
        ("redis", 'client("redis://localhost:6379/0")', "('redis://::1:7/0',) {}"),
        ("postgres", 'client("postgresql://localhost/app")', "('host=::1',) {}"),
        ("s3", 'client("s3")', "('s3',) {'endpoint_url': 'http://[::1]:7', ...}"),
    ],
)
def test_the_address_of_a_server_is_replaced(
    tmp_path: Path, need: str, written: str, printed: str
) -> None:
    """Readers see the usual address; the servers of the tests listen elsewhere."""
    code = "def client(*given, **named):\n    print(given, named)\n\n\n"
    code += f"{written}\n# -> {printed}\n"
    document = _document(tmp_path, f"<!-- needs: {need} -->\n```python\n{code}```\n")
    server = SimpleNamespace(host="::1", port=7, endpoint="http://[::1]:7")
    (program,) = programs(fences(document))
    assert program.needs == [need]
    play(program, tmp_path, {need: "host=::1" if need == "postgres" else server})


def test_a_server_that_is_not_named_is_noticed(tmp_path: Path) -> None:
    """The program would talk to whatever listens at the address that it does name."""
    document = _document(
        tmp_path, "<!-- needs: redis -->\n```python\nport = 6380\n```\n"
    )
    (program,) = programs(fences(document))
    with pytest.raises(AssertionError, match="names no address of redis"):
        play(program, tmp_path, {"redis": SimpleNamespace(host="::1", port=7)})


def _document(folder: Path, text: str) -> Path:
    path = folder / "sample.md"
    path.write_text(text, encoding="utf-8")
    return path
