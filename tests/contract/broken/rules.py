# SPDX-License-Identifier: Apache-2.0
"""Stores that lose rules, or the state of flags with rules."""

from __future__ import annotations

import json
from time import sleep
from typing import Any

from stores import Subclass

from broken import breaks
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta


@breaks("test_rules_survive_every_write")
class DropsRules(Subclass):
    """`set_meta` keeps the application's own client data only."""

    def set_meta(self, feature_name: str, meta: Any) -> None:
        """Write the metadata without the rules."""
        super().set_meta(
            feature_name,
            FeatureFlagStoreMeta(
                meta.created_date, meta.client_data, meta.conditions, None
            ),
        )


@breaks("test_the_state_of_a_flag_with_rules_can_be_set")
class KeepsTheStateBesideRules(Subclass):
    """`set` changes the state in the document, which does not count."""

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Write the state."""
        row = json.loads(self.rows[feature_name])
        row["is_enabled"] = is_enabled
        self.rows[feature_name] = json.dumps(row).encode()


@breaks("test_writers_of_rules_and_of_the_rest_lose_nothing")
class ReturnsOldFlags(Subclass):
    """Every second read is of the flag as it was before the last write."""

    def __init__(self, rows: dict[str, bytes]) -> None:
        super().__init__(rows)
        self.old: dict[str, bytes] = {}
        self.reads = 0

    def get(self, feature_name: str) -> Any:
        """Read the row, or the row that was there before."""
        self.reads += 1
        sleep(0.0001)
        row = self.rows.get(feature_name)
        if self.reads % 2:
            row = self.old.get(feature_name, row)
        return None if row is None else FeatureFlagStoreItem.deserialize(row)

    def _put(self, item: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
        if item.feature_name in self.rows:
            self.old[item.feature_name] = self.rows[item.feature_name]
        return super()._put(item)


@breaks("test_a_flag_with_rules_that_flipper_client_has_written_has_its_state")
class AlwaysReadsTheMark(Subclass):
    """Reads every flag with rules as if nobody else had written it."""

    def get(self, feature_name: str) -> Any:
        """Read the row, with the mark."""
        row = self.rows.get(feature_name)
        if row is None:
            return None
        fields = json.loads(row)
        if "__rules__" in fields["meta"]["client_data"]:
            fields["meta"]["bucketer"]["rules"] = 1
        return FeatureFlagStoreItem.deserialize(json.dumps(fields))


@breaks("test_the_document_of_a_flag_with_rules_is_off")
class WritesTheRealState(Subclass):
    """Writes the state that `raw_is_enabled` gives into the document."""

    def _put(self, item: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
        row = {**item.to_dict(), "is_enabled": item.raw_is_enabled}
        self.rows[item.feature_name] = json.dumps(row).encode()
        return item
