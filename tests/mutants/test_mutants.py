# SPDX-License-Identifier: Apache-2.0
"""What `make mutants`, which takes minutes, needs before it runs."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest
from find_survivors import REVIEWED, ROOT, RULES, Mutant, reviewed_mutants
from find_survivors import without_property_decorators as rewritten

if TYPE_CHECKING:
    from pathlib import Path

MODULES = [path for each in RULES for path in sorted((ROOT / "flipper").glob(each))]


def functions_of(path: Path) -> set[str]:
    """Return the names of the functions and methods of a module."""
    found = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        inner = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
        found |= {
            prefix + each.name for each in inner if isinstance(each, ast.FunctionDef)
        }
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_mutmut_can_change_every_property(path: Path) -> None:
    """No decorator is left on one that has a body, and the class has the same names."""
    text = path.read_text("utf-8")
    changed = rewritten(text)
    assert "    @property\n    def" not in changed
    made = changed.count(" = property(")
    assert made == text.count("    @property\n    def")
    ast.parse(changed)


def test_every_reviewed_mutant_has_a_reason_and_a_function() -> None:
    """A function that is gone takes its mutants out of the list."""
    reviewed = reviewed_mutants(REVIEWED.read_text("utf-8"))
    assert reviewed
    for mutant, reason in reviewed.items():
        assert len(reason) > 20, mutant
        path, name = mutant.function.split()
        assert name in functions_of(ROOT / path), mutant


def test_a_mutant_is_found_by_its_text() -> None:
    """A paragraph is a reason for the mutants after it; comments are left out."""
    text = (
        "# A comment\n# of two lines\n\nOnly the message\ndiffers.\n\n"
        "flipper/a.py f\n- old\n+ new\n\nflipper/a.py C.__repr__\n\n"
        "Another reason.\n\nflipper/b.py g\n- x\n+ y\n"
    )
    assert reviewed_mutants(text) == {
        Mutant("flipper/a.py f", "- old\n+ new"): "Only the message differs.",
        Mutant("flipper/a.py C.__repr__"): "Only the message differs.",
        Mutant("flipper/b.py g", "- x\n+ y"): "Another reason.",
    }
