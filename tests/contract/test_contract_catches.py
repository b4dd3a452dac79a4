# SPDX-License-Identifier: Apache-2.0
"""The contract can fail: stores that break one promise are caught, each by its rule."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from broken_stores import BROKEN

from flipper.testing import StoreContract
from servers import unmeasured

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RULES = sorted({rule for rules in BROKEN.values() for rule in rules})
CAUGHT = [(name, rule) for name, rules in BROKEN.items() for rule in rules]
RIGHT = [("TestRight", rule) for rule in RULES]


@pytest.fixture(scope="module")
def outcomes() -> dict[tuple[str, str], str]:
    """Run every rule that is asked for, by a pytest of its own; give how each ended."""
    tests = [f"broken_stores.py::{name}::{rule}" for name, rule in [*CAUGHT, *RIGHT]]
    run = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-c", ROOT / "pyproject.toml"),
            *("--rootdir", HERE, "--noconftest", "-p", "no:cacheprovider"),
            *("-q", "--tb=no", "-rA", *tests),
        ],
        cwd=HERE,
        env=unmeasured(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    line = re.compile(r"^(\w+) broken_stores\.py::(\w+)::(\S+)", re.MULTILINE)
    found = {(name, rule): how for how, name, rule in line.findall(run.stdout)}
    assert found, run.stdout + run.stderr
    return found


@pytest.mark.parametrize(("name", "rule"), CAUGHT)
def test_a_broken_store_is_caught(
    outcomes: dict[tuple[str, str], str], name: str, rule: str
) -> None:
    """A rule that passes whatever a store does is no rule."""
    assert outcomes[name, rule] == "FAILED"


def test_a_right_store_is_let_pass(outcomes: dict[tuple[str, str], str]) -> None:
    """A rule that fails whatever a store does is none either."""
    assert {rule: outcomes[name, rule] for name, rule in RIGHT} == dict.fromkeys(
        RULES, "PASSED"
    )


def test_every_rule_catches_something() -> None:
    """A new rule comes with a store that breaks it: else nobody knows it can fail."""
    every = {name for name in dir(StoreContract) if name.startswith("test")}
    assert every == {rule.partition("[")[0] for rule in RULES}
