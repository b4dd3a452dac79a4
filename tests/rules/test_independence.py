# SPDX-License-Identifier: Apache-2.0
"""Rollouts of different flags are independent, and splits have the shares they say.

The users are random but fixed: the seed is printed if a test fails.
"""

from __future__ import annotations

import random
import sys
from itertools import combinations
from math import sqrt

from flipper.rules.rollout import Rollout
from flipper.rules.split import Split

SEED = 20_260_701
COUNT = 100_000
FLAGS = 50
SHARE = 0.1
LARGEST_DEVIATION = 4  # standard deviations


def users() -> list[str]:
    """Return the ids of users, all different."""
    sys.stdout.write(f"seed {SEED}\n")
    draw = random.Random(SEED)  # noqa: S311  (no secret)
    return [f"{draw.getrandbits(32):08x}-{number}" for number in range(COUNT)]


def members(rollout: Rollout, feature_name: str, ids: list[str]) -> int:
    """Return the users that are in as the bits of a number, one in each byte."""
    return int.from_bytes(bytes(map(rollout.compile(feature_name), ids)), "little")


def chi_squared(masks: list[int]) -> tuple[float, float]:
    """Return the sum and the largest of the squared deviations of all pairs.

    If two flags are independent, the number of users that both let in is distributed
    hypergeometrically, so its deviation has a mean square of 1.
    """
    total = largest = 0.0
    sizes = [mask.bit_count() for mask in masks]
    for (a, first), (b, second) in combinations(zip(sizes, masks, strict=True), 2):
        mean = a * b / COUNT
        variance = mean * (COUNT - a) * (COUNT - b) / (COUNT * (COUNT - 1))
        square = ((first & second).bit_count() - mean) ** 2 / variance
        total, largest = total + square, max(largest, square)
    return total, largest


def test_flags_choose_their_users_independently() -> None:
    """Every pair of 50 flags at 10 % overlaps as much as chance gives."""
    ids = users()
    rollout = Rollout(SHARE, by="user_id")
    masks = [members(rollout, f"FLAG_{number}", ids) for number in range(FLAGS)]
    deviation = sqrt(COUNT * SHARE * (1 - SHARE))
    for mask in masks:
        assert abs(mask.bit_count() - COUNT * SHARE) < LARGEST_DEVIATION * deviation
    pairs = FLAGS * (FLAGS - 1) // 2
    total, largest = chi_squared(masks)
    sys.stdout.write(f"chi-squared {total:.0f}, {pairs} pairs, largest {largest:.1f}\n")
    # The sum has the mean `pairs` and the variance 2 * `pairs`. Of 1,225 pairs, the
    # largest deviation is above 5 with a probability of less than 0.001.
    assert abs(total - pairs) < LARGEST_DEVIATION * sqrt(2 * pairs)
    assert largest < 5**2


def test_flags_with_the_same_seed_are_noticed() -> None:
    """Otherwise the test above would pass for every hash."""
    ids = users()
    rollout = Rollout(SHARE, by="user_id", seed="shared")
    masks = [members(rollout, name, ids) for name in ("A", "B")]
    assert masks[0] == masks[1]
    assert chi_squared(masks)[1] > 1000


def test_each_variant_has_its_share() -> None:
    """Within four standard deviations, also for users without a variant."""
    ids = users()
    for number, shares in enumerate(
        [
            {"blue": 0.5, "green": 0.3, "red": 0.2},
            {"small": 0.001, "large": 0.9},
            {f"{n}": 1 / 7 for n in range(7)},
        ]
    ):
        served = list(map(Split(shares, by="id").compile(f"SPLIT_{number}"), ids))
        rest = max(0.0, 1 - sum(shares.values()))
        for name, share in [*shares.items(), (None, rest)]:
            deviation = sqrt(COUNT * share * (1 - share))
            allowed = LARGEST_DEVIATION * deviation + 1e-6
            assert abs(served.count(name) - COUNT * share) <= allowed, (number, name)
