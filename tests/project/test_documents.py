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
    *sorted((ROOT / "docs").glob("*.md")),
]

LINK = re.compile(r"\[[^]]*\]\(([^)#:]+)(?:#[^)]*)?\)")
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
