# SPDX-License-Identifier: Apache-2.0
"""The ranges of buckets that GrowthBook gives the variations of an experiment.

Source: GrowthBook's description of its SDKs. The ranges are for a `Split` with the hash
"growthbook" or "growthbook-v1". A namespace is a `Rollout` of its range with the hash
"growthbook-v1"; the seed is "__" and the name of the namespace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_TOLERANCE: Final = 0.01  # of the sum of the weights


def equal_weights(count: int) -> list[float]:
    """Return the weights of variations that have none: all the same."""
    return [1 / count] * count if count > 0 else []


def variation_ranges(
    count: int, coverage: float = 1.0, weights: Sequence[float] | None = None
) -> list[tuple[float, float]]:
    """Return the range of each variation, as (start, end) in fractions from 0 to 1.

    Args:
        count: how many variations there are.
        coverage: the share of each variation's range that is used, from its start on;
            a value outside of 0 to 1 counts as 0 or 1.
        weights: the shares of the variations; if there are not `count` of them, or
            their sum is not about 1, all variations have the same share.
    """
    own = list(weights or ())
    if len(own) != count or abs(sum(own) - 1) > _TOLERANCE:
        own = equal_weights(count)
    used = min(max(coverage, 0), 1)
    ranges = []
    start = 0.0
    for weight in own:
        ranges.append((start, start + used * weight))
        start += weight
    return ranges
