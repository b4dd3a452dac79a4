# SPDX-License-Identifier: Apache-2.0
"""The links, paths and commands in the documents of the project."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("**/*.md"))]
# Documents that name files of the project in their text.
GUIDES = [
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").glob("**/*.md")),
]

LINK = re.compile(r"\[[^]]*\]\(([^)#:]+)(?:#[^)]*)?\)")
ANCHORED = re.compile(r"\]\(([^)#:\s]*)#([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
FENCED = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)
ITEM = re.compile(r" *(?:[-*]|\d+\.) ")
PATH = re.compile(r"`((?:flipper|tests|docs|examples)/[^` ]*)`")
TARGET = re.compile(r"\bmake ([a-z-]+)")


def relative(path: Path) -> str:
    """Return the path of a file in the checkout."""
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_linked_files_exist(document: Path) -> None:
    """Every file that a document links to exists."""
    targets = LINK.findall(document.read_text(encoding="utf-8"))
    assert not [t for t in targets if not (document.parent / t).exists()]


def anchors(document: Path) -> set[str]:
    """Return the anchors of the headings, as web views of repositories make them."""
    text = FENCED.sub("", document.read_text(encoding="utf-8"))
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in HEADING.findall(text)
    }


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_linked_headings_exist(document: Path) -> None:
    """Every heading that a document links to exists, also outside of the site."""
    text = FENCED.sub("", document.read_text(encoding="utf-8"))
    missing = [
        f"{target}#{anchor}"
        for target, anchor in ANCHORED.findall(text)
        if not anchor.startswith("flipper.")  # made from a docstring
        and anchor not in anchors(document.parent / target if target else document)
    ]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_lists_are_lists_on_the_site_too(document: Path) -> None:
    """An empty line is above each list, and inner lists are indented by four spaces.

    Web views of repositories need neither, but the Markdown of the site does.
    """
    text = FENCED.sub("", document.read_text(encoding="utf-8"))
    wrong, before = [], ""
    for line in text.splitlines():
        if ITEM.match(line):
            indent = len(line) - len(line.lstrip())
            if indent % 4 or (before and not _is_in_list(before)):
                wrong.append(line)
        if not line or ITEM.match(line) or not line.startswith(" "):
            before = line
    assert not wrong


def _is_in_list(line: str) -> bool:
    return bool(ITEM.match(line)) or line.startswith(" ")


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("on/off, synchronised store", "It takes {} times as long as a function"),
        ("one == and one &gt; check", "with two checks {} times"),
        ("sticky rollout, a new user each", "in a rollout {} times"),
    ],
)
def test_the_readme_has_the_figures_of_the_chart(row: str, told: str) -> None:
    """README.md tells what was measured, as docs/benchmark.svg shows it."""
    chart = (ROOT / "docs" / "benchmark.svg").read_text(encoding="utf-8")
    texts = re.findall(r"<text[^>]*>([^<]+)</text>", chart)
    figure = f"{float(texts[texts.index(row) + 1]):.2g}"
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert told.format(figure) in readme


@pytest.mark.parametrize("document", GUIDES, ids=relative)
def test_paths_in_guides_exist(document: Path) -> None:
    """Every path that a guide names exists."""
    paths = PATH.findall(document.read_text(encoding="utf-8"))
    named = {path for path in paths if "NAME" not in path}  # to be filled in by readers
    missing = {path for path in named if not any(ROOT.glob(path))}
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_commands_of_make_exist(document: Path) -> None:
    """Every `make` command that a document names is a rule of the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    rules = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    text = document.read_text(encoding="utf-8")
    commands = re.findall(r"^make .+$", text, re.MULTILINE) + re.findall(
        r"`(make [^`]+)`", text
    )
    named = {name for line in commands for name in TARGET.findall(line)}
    assert named <= rules
