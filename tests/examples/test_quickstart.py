# SPDX-License-Identifier: Apache-2.0
"""The demo tells the truth, on one screen."""

from __future__ import annotations

import hashlib
import re

import pytest
from run_example import run_example

USERS = range(1, 1001)
# Published by the original library: anybody can recompute whom a rollout lets in.
BUCKETS = [
    int(hashlib.sha1(f'[["user_id", {user}]]'.encode()).hexdigest(), 16) % 100  # noqa: S324 # as the library hashes
    for user in USERS
]


@pytest.fixture(scope="module")
def story() -> list[str]:
    """Run the demo, and give its lines."""
    run = run_example("examples/quickstart.py")
    assert run.stderr == ""
    return run.stdout.splitlines()


def test_it_fits_on_one_screen(story: list[str]) -> None:
    """What scrolls away is not read."""
    assert len(story) <= 32
    assert max(map(len, story)) <= 120


def test_a_flag_goes_on_and_somebody_hears_of_it(story: list[str]) -> None:
    """Off, the event, on: in this order."""
    assert story[1:4] == [
        "   NEW_CHECKOUT is off.",
        "   Event: somebody switched NEW_CHECKOUT on.",
        "   NEW_CHECKOUT is on.",
    ]


def test_a_condition_limits_it(story: list[str]) -> None:
    """The same flag is on for one call and off for the next."""
    assert "   For country='CH' it is on." in story
    assert "   For country='FR' it is off." in story


def test_the_rollout_is_of_the_users_it_says(story: list[str]) -> None:
    """The share is that of the users whose buckets reach up to 50 %."""
    users_in = sum(bucket <= 50 for bucket in BUCKETS)
    assert 450 < users_in < 550
    assert f"   It is on for {users_in} users, {users_in / 10} %." in story
    assert f"   On the second try, it is on for {users_in} of them." in story


def test_the_ramp_is_as_far_as_its_clock(story: list[str]) -> None:
    """Nobody before it begins, everybody at its end, in between by the minute."""
    told = re.findall(r"Minute +(-?\d+): on for +(\d+) users", "\n".join(story))
    assert {int(minute): int(users) for minute, users in told} == {
        -10: 0,
        1: sum(bucket <= 100 * 1 / 60 for bucket in BUCKETS),
        20: sum(bucket <= 100 * 20 / 60 for bucket in BUCKETS),
        40: sum(bucket <= 100 * 40 / 60 for bucket in BUCKETS),
        60: len(USERS),
    }


def test_answers_are_explained(story: list[str]) -> None:
    """A condition that holds, one that does not, two buckets, and a missing flag."""
    told = "\n".join(story)
    for part in (
        "is on: every check on these arguments holds.",
        "is off: the check country__in=['CH', 'NO'] does not hold.",
        f"chose bucket {BUCKETS[0] / 100}, within the percentage 0.5.",
        f"chose bucket {BUCKETS[1] / 100}, above the percentage 0.5.",
        "is off: there is no such flag, so the answer is the default.",
    ):
        assert part in told
