# SPDX-License-Identifier: Apache-2.0
"""The quickstart example prints correct answers, on one screen."""

from __future__ import annotations

import hashlib
import re

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


def test_the_output_fits_on_one_screen(lines: list[str]) -> None:
    """The output has at most 32 lines of 120 characters."""
    assert len(lines) <= 32
    assert max(map(len, lines)) <= 120


def test_a_flag_is_switched_on_and_an_event_is_shown(lines: list[str]) -> None:
    """The flag is off, an event is emitted, and the flag is on."""
    assert lines[1:4] == [
        "   NEW_CHECKOUT is off.",
        "   Event: somebody switched NEW_CHECKOUT on.",
        "   NEW_CHECKOUT is on.",
    ]


def test_a_condition_limits_the_flag(lines: list[str]) -> None:
    """The same flag is on for one call and off for the next."""
    assert "   In CH it is on." in lines
    assert "   In FR it is off." in lines


def test_the_rollout_includes_the_stated_number_of_users(lines: list[str]) -> None:
    """The users of the rollout are those whose buckets are 50 % or less."""
    users_in = sum(bucket <= 50 for bucket in BUCKETS)
    assert 450 < users_in < 550
    assert f"   {users_in} users are in, {users_in / 10} %." in lines
    assert f"   Asked again, {users_in} of them are in." in lines


def test_the_ramp_includes_more_users_over_time(lines: list[str]) -> None:
    """No user is in before the ramp begins, and all users are in at its end."""
    found = re.findall(r"Minute +(-?\d+): +(\d+) users", "\n".join(lines))
    assert {int(minute): int(users) for minute, users in found} == {
        -10: 0,
        1: sum(bucket <= 100 * 1 / 60 for bucket in BUCKETS),
        20: sum(bucket <= 100 * 20 / 60 for bucket in BUCKETS),
        40: sum(bucket <= 100 * 40 / 60 for bucket in BUCKETS),
        60: len(USERS),
    }


def test_answers_are_explained(lines: list[str]) -> None:
    """Five answers are explained: by conditions, by buckets, and by the default."""
    text = "\n".join(lines)
    for part in (
        "is on: its conditions look at these arguments, and every check holds.",
        "is off: the check country__in=['CH', 'NO'] says no.",
        f"drew bucket {BUCKETS[0] / 100}, up to the percentage 0.5.",
        f"drew bucket {BUCKETS[1] / 100}, beyond the percentage 0.5.",
        "is off: there is no such flag, so the default counts.",
    ):
        assert part in text
