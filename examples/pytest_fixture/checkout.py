# SPDX-License-Identifier: Apache-2.0
"""A part of an application that uses a flag in Redis."""

from redis import Redis

from flipper import FeatureFlagClient, RedisFeatureFlagStore

features = FeatureFlagClient(RedisFeatureFlagStore(Redis()))


def shipping(total: int) -> int:
    """Return the shipping costs of an order."""
    return 0 if features.is_enabled("FREE_SHIPPING", total=total) else 9
