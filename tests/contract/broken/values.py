# SPDX-License-Identifier: Apache-2.0
"""Stores that change names or values, or share objects with the caller."""

from __future__ import annotations

import json
from typing import Any

from stores import Rows, Subclass

from broken import breaks
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.contrib.util.date import now

# Names


class Renames(Subclass):
    """Stores flags under other names than it is given."""

    def stored_name(self, feature_name: str) -> str:
        """Return the name under which the flag is stored."""
        raise NotImplementedError

    def get(self, feature_name: str) -> Any:
        """Read by the stored name."""
        item = super().get(self.stored_name(feature_name))
        return item and FeatureFlagStoreItem(
            feature_name, item.raw_is_enabled, item.raw_meta
        )

    def delete(self, feature_name: str) -> None:
        """Remove by the stored name."""
        super().delete(self.stored_name(feature_name))

    def _put(self, item: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
        self.rows[self.stored_name(item.feature_name)] = item.serialize()
        return item


@breaks("test_names_that_look_alike_are_different_flags")
class IgnoresCase(Renames):
    """Ignores the case of names."""

    def stored_name(self, feature_name: str) -> str:
        """Return it in lower case."""
        return feature_name.lower()


@breaks("test_any_text_names_a_flag", "test_names_that_look_alike_are_different_flags")
class TrimsNames(Renames):
    """Removes spaces around names."""

    def stored_name(self, feature_name: str) -> str:
        """Return it without spaces around it."""
        return feature_name.strip()


@breaks("test_a_long_name_names_a_flag")
class CutsNames(Renames):
    """Stores only the beginning of long names."""

    def stored_name(self, feature_name: str) -> str:
        """Return its beginning."""
        return feature_name[:40]


# Values


@breaks("test_client_data_comes_back_as_it_was")
class RoundsNumbers(Subclass):
    """Reads large integers as floats."""

    def get(self, feature_name: str) -> Any:
        """Read integers as some other languages do."""
        row = self.rows.get(feature_name)
        if row is None:
            return None
        fields = json.loads(row, parse_int=lambda digits: _rounded(int(digits)))
        return FeatureFlagStoreItem.deserialize(json.dumps(fields))


def _rounded(number: int) -> float:
    return number if abs(number) < 2**53 else float(number)


@breaks("test_conditions_keep_their_order")
class SortsConditions(Rows):
    """Sorts the conditions."""

    def _decode(self, feature_name: str, document: bytes) -> FeatureFlagStoreItem:
        item = super()._decode(feature_name, document)
        meta = item.raw_meta
        meta.conditions.sort(key=lambda condition: json.dumps(condition.to_dict()))
        return item.replace(meta=meta)


@breaks("test_conditions_come_back_as_they_were")
class ForgetsChecksOnNone(Subclass):
    """Drops checks whose value is `None`."""

    def set_meta(self, feature_name: str, meta: Any) -> None:
        """Write the metadata without these checks."""
        fields = meta.to_dict()
        for condition in fields["conditions"]:
            for name, checks in condition.items():
                condition[name] = [c for c in checks if c["value"] is not None]
        super().set_meta(feature_name, FeatureFlagStoreMeta.from_dict(fields))


@breaks("test_bucketers_come_back_as_they_were")
class ForgetsTheWhitelist(Subclass):
    """Drops the key whitelist of the bucketer, which chooses other users."""

    def set_meta(self, feature_name: str, meta: Any) -> None:
        """Write the metadata without the key whitelist."""
        fields = meta.to_dict()
        fields["bucketer"].pop("key_whitelist", None)
        super().set_meta(feature_name, FeatureFlagStoreMeta.from_dict(fields))


@breaks("test_the_created_date_stays")
class SetChangesTheCreatedDate(Subclass):
    """`set` changes the created date."""

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Write the state, and the date."""
        super().set(feature_name, is_enabled)
        item = self.get(feature_name)
        meta = item.raw_meta
        meta.created_date += 1
        self._put(item.replace(meta=meta))


# Objects that are shared with the caller


class KeepsObjects(Subclass):
    """Stores objects without copying them."""

    def get(self, feature_name: str) -> Any:
        """Return the stored object."""
        return self.rows.get(feature_name)

    def _put(self, item: Any) -> Any:
        self.rows[item.feature_name] = item
        return item


class SharedItem(FeatureFlagStoreItem):
    """An item that shares its metadata with the caller."""

    __slots__ = ("fields",)

    def __init__(self, feature_name: str, is_enabled: Any, meta: Any) -> None:
        self._take(feature_name, is_enabled, meta)
        self.fields = {**meta.to_dict(), "client_data": meta.client_data}

    @property
    def meta(self) -> dict[str, Any]:
        """The metadata object itself."""
        return self.fields

    @property
    def raw_meta(self) -> Any:
        """The metadata object itself."""
        return self._meta


@breaks("test_changing_given_metadata_changes_no_flag")
class KeepsGivenMetadata(KeepsObjects):
    """`set_meta` stores the caller's metadata object."""

    def set_meta(self, feature_name: str, meta: Any) -> None:
        """Store the metadata object."""
        item = self.rows[feature_name]
        kept = FeatureFlagStoreItem.__new__(FeatureFlagStoreItem)
        kept._take(feature_name, item.raw_is_enabled, meta)
        self._put(kept)


@breaks("test_changing_given_client_data_changes_no_flag")
class KeepsGivenClientData(KeepsObjects):
    """`create` stores the caller's dict."""

    def create(
        self, feature_name: str, is_enabled: bool = False, client_data: Any = None
    ) -> Any:
        """Store the dict."""
        kept = FeatureFlagStoreItem.__new__(FeatureFlagStoreItem)
        kept._take(feature_name, is_enabled, FeatureFlagStoreMeta(now(), client_data))
        return self._put(kept)


@breaks(
    "test_changing_what_was_got_changes_no_flag",
    "test_a_change_that_raises_changes_nothing",
)
class ReturnsWhatItStores(KeepsObjects):
    """`get` returns the stored metadata object."""

    def _put(self, item: Any) -> Any:
        shared = SharedItem(item.feature_name, item.raw_is_enabled, item.raw_meta)
        return super()._put(shared)


@breaks("test_an_item_stays_what_it_was")
class ChangesItemsInPlace(KeepsObjects):
    """Items that were returned before change with the flag."""

    def _put(self, item: Any) -> Any:
        kept = self.rows.get(item.feature_name)
        if kept is None:
            return super()._put(item)
        kept._take(item.feature_name, item.raw_is_enabled, item.raw_meta)
        return kept
