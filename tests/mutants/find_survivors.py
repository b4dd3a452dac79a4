# SPDX-License-Identifier: Apache-2.0
"""Tests the tests of the rules: `make mutants`.

mutmut makes copies of the rules (evaluation, conditions, bucketing), called mutants,
each with one small change, and runs the tests on each. A mutant survives if all tests
pass. It has to be in `reviewed.txt`, with the reason why it changes no answer.
Otherwise this program prints it and ends with status 1: a test is missing.

mutmut works in `build/mutants`; `mutmut browse` there shows its results. Its settings
are in `pyproject.toml`. Arguments of this program are handed to `mutmut run`, for
example `flipper.conditions.check*`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "mutants"
REVIEWED = Path(__file__).with_name("reviewed.txt")
COPIED = ["flipper", "flipper_thrift", "tests", "pyproject.toml"]
# A reason that begins so: what ends the tests of such a mutant, one that fails or the
# time limit of mutmut, depends on the order in which mutmut runs them, that of a set.
ENDLESS = "Never ends"
RULES = ["evaluation.py", "explanation.py", "conditions/**/*.py", "bucketing/**/*.py"]

# A property in a class, with its body.
_PROPERTY = re.compile(
    r"^    @property\n"
    r"(    def (\w+)\(self\)[^\n]*:\n(?:(?:        [^\n]*)?\n)+?)"
    r"(?=\n    \S|\n\S|\Z)",
    re.MULTILINE,
)
# "x_function__mutmut_1" or "xǁClassǁmethod__mutmut_1", after the name of the module.
_NAME = re.compile(r"(?P<module>.*)\.x(?:_|ǁ(?P<kind>\w+)ǁ)(?P<name>\w+)__mutmut_\d+")


class Mutant(NamedTuple):
    """A change, told apart by its text and not by line numbers.

    Attributes:
        function: its file and name, such as `flipper/conditions/check.py Check.key`.
        diff: the changed lines without indentation; in the list of reviewed mutants,
            empty for all mutants of the function.
    """

    function: str
    diff: str = ""

    def __str__(self) -> str:
        """Return the lines that `reviewed.txt` would have."""
        return f"{self.function}\n{self.diff}\n"


def copy_sources() -> None:
    """Copy what mutmut needs to `build/mutants`.

    mutmut changes no function that has a decorator, except class methods and static
    methods. So `@property` before a function becomes `name = property(name)` after it.
    """
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, WORK / name, ignore=ignored)
        else:
            shutil.copy(source, WORK / name)
    for path in [path for each in RULES for path in (WORK / "flipper").glob(each)]:
        text = path.read_text("utf-8")
        path.write_text(without_property_decorators(text), "utf-8")


def without_property_decorators(text: str) -> str:
    """Return the source of a module with `name = property(name)` instead."""
    return _PROPERTY.sub(
        lambda found: f"{found[1].rstrip()}\n\n    {found[2]} = property({found[2]})\n",
        text,
    )


def mutmut(*arguments: str) -> str:
    """Run a command of mutmut that prints something, and return that."""
    command = [sys.executable, "-m", "mutmut", *arguments]
    done = subprocess.run(command, cwd=WORK, check=True, capture_output=True)
    return done.stdout.decode()


def survivors() -> list[Mutant]:
    """Return the mutants that no test has noticed."""
    found = []
    for line in mutmut("results").splitlines():
        name, _, status = line.strip().partition(": ")
        # Without a test, or with tests that took too long, nothing was noticed either.
        if status and status not in ("killed", "not checked"):
            found.append(described(name))
    return found


def described(name: str) -> Mutant:
    """Return a mutant by its name in mutmut."""
    lines = mutmut("show", name).splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("@@"))
    changed = [line for line in lines[start:] if line.startswith(("+", "-"))]
    found = _NAME.fullmatch(name)
    if found is None:
        raise ValueError(name)
    path = found["module"].replace(".", "/") + ".py"
    function = ".".join(filter(None, [found["kind"], found["name"]]))
    diff = "\n".join(f"{line[0]} {line[1:].strip()}" for line in changed)
    return Mutant(f"{path} {function}", diff)


def reviewed_mutants(text: str) -> dict[Mutant, str]:
    """Return the reviewed mutants in the text of `reviewed.txt`, with their reasons."""
    found: dict[Mutant, str] = {}
    reason = ""
    for block in re.split(r"\n\s*\n", text):
        first, *lines = block.strip().splitlines()
        if first.startswith("flipper/"):
            found[Mutant(first, "\n".join(lines))] = reason
        elif not first.startswith("# "):
            reason = " ".join([first, *lines])
    return found


def main() -> int:
    """Make and test the mutants; return the status of the program."""
    copy_sources()
    command = [sys.executable, "-m", "mutmut", "run", *sys.argv[1:]]
    # Random flags find a change in the first few examples or hardly ever.
    random_flags = {"FLIPPER_TEST_EXAMPLES": "20", "FLIPPER_TEST_NO_SHRINK": "1"}
    # mutmut runs the tests in the order of a set.
    environment = {**os.environ, **random_flags, "PYTHONHASHSEED": "0"}
    status = subprocess.run(command, cwd=WORK, check=False, env=environment).returncode
    if status:
        return status  # the tests fail without any change; mutmut has said why
    reviewed = reviewed_mutants(REVIEWED.read_text("utf-8"))
    survived = survivors()
    missed = [
        mutant
        for mutant in survived
        if mutant not in reviewed and Mutant(mutant.function) not in reviewed
    ]
    used = {*survived, *(Mutant(mutant.function) for mutant in survived)}
    unused = [
        mutant
        for mutant, reason in reviewed.items()
        if mutant not in used and not reason.startswith(ENDLESS)
    ]
    if unused and len(sys.argv) == 1:
        print("\nReviewed mutants that do not survive any more; remove them:\n")
        print(*unused, sep="\n")
    if missed:
        print("\nNo test notices these mutants:\n")
        print(*missed, sep="\n")
    print(f"\n{len(survived)} mutants survive, {len(missed)} of them not reviewed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
