# SPDX-License-Identifier: Apache-2.0
"""The records that stores keep: `item` is a flag, `meta` is its metadata.

`json_document` reads and checks the JSON document of a flag.
"""

from .item import FeatureFlagStoreItem
from .meta import FeatureFlagStoreMeta

__all__ = ["FeatureFlagStoreItem", "FeatureFlagStoreMeta"]
