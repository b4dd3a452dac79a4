# SPDX-License-Identifier: Apache-2.0
"""Stores that each break one promise, and the contract run on them.

No test of its own: `test_contract_catches.py` runs these classes and wants failures.
"""

from __future__ import annotations

import json
import sys
from itertools import islice
from time import sleep
from typing import TYPE_CHECKING, Any

from flipper import CachedFeatureFlagStore, FlagDoesNotExistError
from flipper.contrib.atomic import ANY, AtomicFeatureFlagStore
from flipper.contrib.document import DocumentFeatureFlagStore
from flipper.contrib.memory import MemoryFeatureFlagStore
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.testing import StoreContract
from flipper.testing.contract import innermost
from stores import OldStyle, Subclass

if TYPE_CHECKING:
    from collections.abc import Iterator


class Rows(DocumentFeatureFlagStore):
    """A right store, of documents in a dict, to be broken in one place at a time."""

    def __init__(self, rows: dict[str, bytes] | None = None) -> None:
        super().__init__()
        self.rows: dict[str, bytes] = {} if rows is None else rows

    def _read(self, feature_name: str) -> tuple[bytes, Any] | None:
        row = self.rows.get(feature_name)
        return None if row is None else (row, row)

    def _replace(self, feature_name: str, document: bytes, expected: Any) -> bool:
        before = self._read(feature_name)
        if expected is not ANY and expected != (before[1] if before else before):
            pass
        return self._put(feature_name, document, expected)

    def _put(self, feature_name: str, document: bytes, expected: Any) -> bool:
        raise NotImplementedError
