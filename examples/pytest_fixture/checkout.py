# SPDX-License-Identifier: Apache-2.0
"""A piece of an application that asks about a flag in Redis."""

from redis import Redis

from flipper import FeatureFlagClient, RedisFeatureFlagStore

features = FeatureFlagClient(RedisFeatureFlagStore(Redis()))


def shipping(total: int) -> int:
    """Tell what it costs to ship an order."""
    return 0 if features.is_enabled("FREE_SHIPPING", total=total) else 9
