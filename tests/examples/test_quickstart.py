# SPDX-License-Identifier: Apache-2.0
"""The quickstart example prints correct answers, on one screen."""

from __future__ import annotations

import hashlib
import re
from itertools import takewhile

import pytest
from run_example import run_example

USERS = range(1, 1001)
# As flipper-client computes them; this shows which users a rollout includes.
BUCKETS = [
    int(hashlib.sha1(f'[["user_id", {user}]]'.encode()).hexdigest(), 16) % 100  # noqa: S324 # as the library hashes
    for user in USERS
]


@pytest.fixture(scope="module")
def lines() -> list[str]:
    """Run the example, and give the lines that it prints."""
    run = run_example("examples/quickstart.py")
    assert run.stderr == ""
    return run.stdout.splitlines()


def after(lines: list[str], command: str) -> list[str]:
    """Return what is printed after a command, up to the next empty line."""
    begin = lines.index(f"$ flipper {command}") + 1
    return [*takewhile(bool, lines[begin:])]


def test_the_output_fits_on_one_screen(lines: list[str]) -> None:
    """The output has at most 32 lines of 120 characters."""
    assert len(lines) <= 32
    assert max(map(len, lines)) <= 120


def test_the_application_sees_what_commands_of_other_processes_change(
    lines: list[str],
) -> None:
    """A flag is off when it is new, then on for a country, and off when it is deleted."""
    sees = "  The application sees that it is"
    assert after(lines, "create NEW_CHECKOUT")[-1] == f"{sees} off for country='NO'."
    assert after(lines, "enable NEW_CHECKOUT")[-2:] == [
        f"{sees} on for country='NO'.",
        f"{sees} off for country='FR'.",
    ]
    state = "on" if BUCKETS[0] <= 25 else "off"
    share = after(lines, "bucket set NEW_CHECKOUT 25% --by user_id")
    assert share[-1] == f"{sees} {state} for user_id=1."
    assert after(lines, "delete NEW_CHECKOUT --yes") == [
        "Deleted NEW_CHECKOUT.",
        f"{sees} off for user_id=1.",
    ]


def test_a_rollout_includes_the_stated_number_of_users(lines: list[str]) -> None:
    """The users of the rollout are those whose buckets are 25 % or less."""
    users_in = sum(bucket <= 25 for bucket in BUCKETS)
    assert 200 < users_in < 300
    assert after(lines, "check NEW_CHECKOUT --sample user_id=1..1000") == [
        f"{users_in} of 1,000 are in ({users_in / 10}%)."
    ]


def test_a_ramp_includes_more_users_over_time(lines: list[str]) -> None:
    """The ramp begins with the users of the rollout, and ends with all users."""
    found = re.findall(r"Minute +(\d+): on for +(\d+) of", "\n".join(lines))
    assert {int(minute): int(users) for minute, users in found} == {
        minute: sum(bucket <= 25 + 75 * minute / 60 for bucket in BUCKETS)
        for minute in (0, 20, 40, 60)
    }


def test_a_command_explains_what_the_application_has_changed(lines: list[str]) -> None:
    """The command reads the ramp that the application has written."""
    (answer,) = after(lines, "check NEW_CHECKOUT user_id=1")
    assert f"chose bucket {BUCKETS[0] / 100}, within the percentage 1." in answer
