# SPDX-License-Identifier: Apache-2.0
"""Runs the commands in a Markdown document, and compares what they print.

How to write an example:

* A block that is fenced as ``console`` is run if a line begins with ``$ flipper``, or
  ``<!-- continued -->`` is above it. The blocks of a section are one session of one
  shell, as the programs of `document_examples.py` are, with the same markers; it begins
  in an empty folder.
* A line that begins with ``$ `` is a command; lines with ``>`` below continue it. All
  other lines are what a terminal of 88 columns shows then. ``...`` stands for what
  differs each time. Where a question is answered, the line ends with the answer:
  ``Continue? [y/N]: y``.
* ``<!-- beside -->`` above a block: its one command has a terminal of its own, and runs
  until the end of the section. The blocks below it run meanwhile.
* ``<!-- file: shop.py -->`` above a block of any language: it is written to this file
  in the folder of the commands, before those below it run.
* ``<!-- port: 9091 -->``: another port that is free is used in place of this one.
"""

from __future__ import annotations

import difflib
import doctest
import functools
import re
from contextlib import ExitStack
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from document_examples import SERVERS
from terminal_session import Session, without_colours

from servers.process import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from document_examples import Fence, Program

_PROMPT = "$ "
_CONTINUED = re.compile(r">(?: (.*))?")
_ANSWER = re.compile(r"\[y/N\]: (.*)$", re.MULTILINE)
_COMPARISON = doctest.ELLIPSIS | doctest.DONT_ACCEPT_BLANKLINE


class Command(NamedTuple):
    """A command, and what the document says that a terminal shows."""

    text: str
    expected: str


def commands(text: str) -> list[Command]:
    """Return the commands of a block."""
    found: list[tuple[list[str], list[str]]] = []
    for line in text.splitlines():
        if line.startswith(_PROMPT):
            found.append(([line.removeprefix(_PROMPT)], []))
        elif found and not found[-1][1] and (more := _CONTINUED.fullmatch(line)):
            found[-1][0].append(more[1] or "")
        else:
            assert found, f"{line!r} is the output of no command"
            found[-1][1].append(line)
    return [
        Command("\n".join(command), "".join(f"{line}\n" for line in output))
        for command, output in found
    ]


def run_and_compare(
    program: Program,
    folder: Path,
    servers: dict[str, Any],
    environment: dict[str, str],
) -> None:
    """Run the commands of a section, and fail if one prints anything else.

    Args:
        program: the blocks.
        folder: an empty folder to run them in.
        servers: the value of the fixture of each server, by name.
        environment: of the shell; its `PATH` says which `flipper` is run.
    """
    replace = _replacement(program, servers)
    printed: list[str] = []
    with ExitStack() as beside:
        waiting = []
        for is_beside, group in _groups(program):
            if name := group[0].markers.get("file"):
                (folder / name).write_text(group[0].text, encoding="utf-8")
                continue
            todo = [each for block in group for each in commands(replace(block.text))]
            session = Session(
                [each.text for each in todo],
                folder,
                environment,
                [answer for each in todo for answer in _ANSWER.findall(each.expected)],
            )
            beside.enter_context(session)
            if is_beside:
                assert len(todo) == 1, f"{group[0].where} has not one command"
                session.read_until(lambda s=session: "\n" in "".join(s.outputs))
                waiting.append((todo, session))
            else:
                printed += _differences(todo, session.read())
        for todo, session in waiting:
            session.read_until(lambda t=todo, s=session: not _differences(t, s.outputs))
            printed += _differences(todo, session.outputs)
    if printed:
        pytest.fail("\n".join([program.name, *printed]), pytrace=False)


def _replacement(program: Program, servers: dict[str, Any]) -> Any:
    """Return a function that puts the addresses of this run into a text."""
    changes: list[tuple[str, Any]] = []
    for need, value in servers.items():
        _, pattern, replacement = SERVERS[need]
        changes.append((pattern, functools.partial(replacement, value)))
    ports = [block.markers.get("port") for block in program.fences]
    changes += [(rf"\b{port}\b", str(free_port())) for port in ports if port]
    for pattern, _ in changes:
        assert re.search(pattern, program.text), f"{program.name} has no {pattern}"

    def replace(text: str) -> str:
        for pattern, new in changes:
            text = re.sub(pattern, new, text)
        return text

    return replace


def _groups(program: Program) -> list[tuple[bool, list[Fence]]]:
    """Return the blocks that share a shell; true for one that runs beside others.

    A file is a group of its own, so the commands below it have another shell.
    """
    groups: list[tuple[bool, list[Fence]]] = []
    is_alone = True
    for block in program.fences:
        was_alone, is_alone = is_alone, bool({"beside", "file"} & {*block.markers})
        if is_alone or was_alone:
            groups.append(("beside" in block.markers, []))
        groups[-1][1].append(block)
    return groups


def _differences(todo: list[Command], outputs: list[str]) -> list[str]:
    """Return how the outputs differ from what is expected."""
    found = []
    for (command, expected), output in zip_longest(todo, outputs):
        shown = "(not run)\n" if output is None else _as_seen(output)
        is_same = doctest.OutputChecker().check_output(expected, shown, _COMPARISON)
        if output is None or not is_same:
            lines = (text.splitlines() for text in (expected, shown))
            found.append(f"$ {command}")
            found += difflib.unified_diff(*lines, "expected", "printed", lineterm="")
    return found


def _as_seen(output: str) -> str:
    """Return a text without colours, and without spaces that nobody sees."""
    lines = without_colours(output).splitlines()
    return "".join(f"{line.rstrip()}\n" for line in lines)
