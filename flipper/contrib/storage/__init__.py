# SPDX-License-Identifier: Apache-2.0
"""The records that stores keep: a flag, and its metadata."""

from .item import FeatureFlagStoreItem
from .meta import FeatureFlagStoreMeta

__all__ = ["FeatureFlagStoreItem", "FeatureFlagStoreMeta"]
