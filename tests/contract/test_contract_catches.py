# SPDX-License-Identifier: Apache-2.0
"""The contract catches stores that break one of its rules."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import broken_stores  # noqa: F401  (adds all stores to `RULES`)
import pytest
from broken import RULES

from flipper.testing import StoreContract
from servers import unmeasured

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RULES_IN_USE = sorted({rule for rules in RULES.values() for rule in rules})
BROKEN = [(name, rule) for name, rules in RULES.items() for rule in rules]
CORRECT = [("TestCorrectStore", rule) for rule in RULES_IN_USE]


@pytest.fixture(scope="module")
def outcomes() -> dict[tuple[str, str], str]:
    """Run the rules with a pytest of their own, and give the outcome of each."""
    tests = [f"broken_stores.py::{name}::{rule}" for name, rule in [*BROKEN, *CORRECT]]
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
    found = {(name, rule): outcome for outcome, name, rule in line.findall(run.stdout)}
    assert found, run.stdout + run.stderr
    return found


@pytest.mark.parametrize(("name", "rule"), BROKEN)
def test_a_broken_store_is_caught(
    outcomes: dict[tuple[str, str], str], name: str, rule: str
) -> None:
    """Each rule fails on a store that breaks it."""
    assert outcomes[name, rule] == "FAILED"


def test_a_correct_store_passes(outcomes: dict[tuple[str, str], str]) -> None:
    """Each of these rules passes on a store that keeps it."""
    assert {rule: outcomes[name, rule] for name, rule in CORRECT} == dict.fromkeys(
        RULES_IN_USE, "PASSED"
    )


def test_every_rule_has_a_store_that_breaks_it() -> None:
    """A rule without such a store might never fail."""
    every = {name for name in dir(StoreContract) if name.startswith("test")}
    assert every == {rule.partition("[")[0] for rule in RULES_IN_USE}
