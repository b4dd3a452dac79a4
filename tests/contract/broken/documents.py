# SPDX-License-Identifier: Apache-2.0
"""Stores that break a rule of documents, of failed writes or of other processes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from stores import Rows, Subclass

from broken import breaks
from flipper.contrib.storage import FeatureFlagStoreItem
from flipper.exceptions import InvalidFlagDataError

if TYPE_CHECKING:
    from collections.abc import Iterator


# Documents


@breaks("test_a_flag_is_stored_byte_for_byte")
class StoresOtherBytes(Rows):
    """Stores other bytes than flipper-client does."""

    def _replace(self, feature_name: str, document: bytes, expected: Any) -> bool:
        compact = json.dumps(json.loads(document), separators=(",", ":")).encode()
        return super()._replace(feature_name, compact, expected)


@breaks(
    "test_every_write_is_in_the_document",
    "test_a_write_is_seen_by_a_store_opened_again",
)
class WritesLater(Subclass):
    """Keeps writes in memory instead of making them."""

    def __init__(self, rows: dict[str, bytes]) -> None:
        super().__init__(rows)
        self.unwritten: dict[str, bytes] = {}

    def get(self, feature_name: str) -> Any:
        """Read what was kept."""
        row = self.unwritten.get(feature_name)
        return None if row is None else FeatureFlagStoreItem.deserialize(row)

    def _put(self, item: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
        self.unwritten[item.feature_name] = item.serialize()
        return item


@breaks("test_a_document_may_be_written_in_other_ways")
class ReadsASCIIOnly(Subclass):
    """Cannot read documents with letters beyond ASCII."""

    def get(self, feature_name: str) -> Any:
        """Read a flag in ASCII."""
        row = self.rows.get(feature_name)
        return row and FeatureFlagStoreItem.deserialize(row.decode("ascii"))


@breaks("test_a_document_of_an_older_release_is_read")
class NeedsAMark(Rows):
    """Cannot read documents without a mark of its own."""

    def _read(self, feature_name: str) -> tuple[bytes, Any] | None:
        found = super()._read(feature_name)
        return found if found and found[0].endswith(b" ") else None

    def _replace(self, feature_name: str, document: bytes, expected: Any) -> bool:
        return super()._replace(feature_name, document + b" ", expected)


@breaks("test_reading_writes_nothing")
class WritesWhatItReads(Rows):
    """Rewrites documents when it reads them."""

    def _read(self, feature_name: str) -> tuple[bytes, Any] | None:
        found = super()._read(feature_name)
        if found is not None:
            self.rows[feature_name] = json.dumps(json.loads(found[0])).encode()
        return found


# Broken documents


@breaks("test_a_broken_document_is_an_error_where_it_is_read")
class TakesBrokenForMissing(Subclass):
    """Takes a flag with a broken document for missing."""

    def get(self, feature_name: str) -> Any:
        """Read a flag; return `None` if its document is broken."""
        try:
            return super().get(feature_name)
        except InvalidFlagDataError:
            return None


@breaks("test_broken_documents_do_not_hide_the_others")
class ListStopsAtBroken(Subclass):
    """`list` raises at a broken document."""

    def list(self, limit: int | None = None, offset: int = 0) -> Iterator[Any]:
        """List the flags."""
        stop = None if limit is None else offset + limit
        return (self.get(name) for name in sorted(self.rows)[offset:stop])


@breaks("test_broken_documents_are_replaced_and_removed")
class DeleteReadsFirst(Subclass):
    """`delete` of a flag with a broken document raises."""

    def delete(self, feature_name: str) -> None:
        """Remove a flag that can be read."""
        if self.get(feature_name) is not None:
            super().delete(feature_name)


# Writes that fail, and other processes


@breaks("test_values_that_cannot_be_stored_leave_the_flag_as_it_was")
class RemovesBeforeItWrites(Subclass):
    """Removes a flag before it replaces it, also if the write fails."""

    def _put(self, item: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
        self.rows.pop(item.feature_name, None)
        return super()._put(item)


@breaks("test_what_another_process_destroys_during_a_write_stays_destroyed")
class CreatesWhatItChanges(Rows):
    """`update` creates a flag that another process has deleted."""

    def _write(self, feature_name: str, change: Any, make: Any = None) -> Any:
        return super()._write(
            feature_name, change, make or (lambda: self._new(feature_name, False))
        )
