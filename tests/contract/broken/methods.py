# SPDX-License-Identifier: Apache-2.0
"""Stores that break a rule of a method that reads or writes a single flag."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stores import Rows, Subclass

from broken import breaks
from flipper.contrib.storage import FeatureFlagStoreItem
from flipper.exceptions import FlagDoesNotExistError

if TYPE_CHECKING:
    from collections.abc import Sequence

# get_many


@breaks("test_many_flags_are_read_as_each_of_them")
class ReadsManyWithoutTheLast(Rows):
    """Reading many flags at once loses the last one."""

    def _read_many(self, feature_names: Sequence[str]) -> dict[str, bytes]:
        return super()._read_many(feature_names[:-1])


# create


@breaks("test_create_returns_the_new_flag")
class CreateReturnsNothing(Subclass):
    """`create` returns nothing, so that a cache would keep that there is no flag."""

    def create(self, *args: Any, **kwargs: Any) -> Any:
        """Write the flag, and return nothing."""
        super().create(*args, **kwargs)


@breaks("test_create_over_a_flag_replaces_it_whole")
class CreateMerges(Subclass):
    """`create` keeps the conditions of an old flag."""

    def create(self, feature_name: str, *args: Any, **kwargs: Any) -> Any:
        """Write the flag with the conditions of the old one."""
        before = self.get(feature_name)
        item = super().create(feature_name, *args, **kwargs)
        if before is not None:
            meta = item.raw_meta
            meta.conditions = before.raw_meta.conditions
            self.set_meta(feature_name, meta)
        return item


@breaks("test_created_date_is_now_in_whole_seconds")
class CreatedInMilliseconds(Rows):
    """The created date is in milliseconds."""

    def _now(self) -> int:
        return super()._now() * 1000


@breaks("test_a_new_flag_is_off_and_has_no_metadata")
class CreatesOn(Subclass):
    """`create` without a state creates a flag that is on."""

    def create(
        self, feature_name: str, is_enabled: bool = True, client_data: Any = None
    ) -> Any:
        """Write a new flag."""
        return super().create(feature_name, is_enabled, client_data)


@breaks("test_create_takes_state_and_client_data_by_position")
class CreateByKeyword(Subclass):
    """The parameters of `create` are in another order."""

    def create(
        self, feature_name: str, client_data: Any = None, is_enabled: bool = False
    ) -> Any:
        """Write a new flag."""
        return super().create(feature_name, is_enabled, client_data)


# get, set, delete


@breaks("test_get_of_a_missing_flag_is_none")
class GetRaises(Subclass):
    """`get` of a missing flag raises."""

    def get(self, feature_name: str) -> Any:
        """Read a flag that has to exist."""
        return FeatureFlagStoreItem.deserialize(self.rows[feature_name])


@breaks("test_delete_removes_this_flag_alone", "test_a_client_sees_its_own_writes")
class DeletedFlagsStay(Subclass):
    """`delete` deletes nothing."""

    def delete(self, feature_name: str) -> None:
        """Delete nothing."""


@breaks("test_delete_of_a_missing_flag_does_nothing")
class DeleteRaises(Subclass):
    """`delete` of a missing flag raises."""

    def delete(self, feature_name: str) -> None:
        """Remove a flag that has to exist."""
        del self.rows[feature_name]


@breaks(
    "test_set_changes_the_state_and_keeps_the_metadata[True]",
    "test_random_operations_agree_with_a_plain_dict",
)
class SetForgetsMetadata(Subclass):
    """`set` removes the conditions, which opens the flag for everybody."""

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Write the state and nothing else."""
        self.create(feature_name, is_enabled)


@breaks("test_set_of_a_missing_flag_creates_it")
class SetNeedsTheFlag(Subclass):
    """`set` does not create a missing flag."""

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Write the state of a flag that exists."""
        if feature_name in self.rows:
            super().set(feature_name, is_enabled)


@breaks("test_a_deleted_flag_comes_back_empty")
class DeletesByAMark(Subclass):
    """A deleted flag is only hidden, and comes back with its metadata."""

    def __init__(self, rows: dict[str, bytes]) -> None:
        super().__init__(rows)
        self.hidden: set[str] = set()

    def get(self, feature_name: str) -> Any:
        """Read a flag that is not hidden."""
        return None if feature_name in self.hidden else super().get(feature_name)

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Write the state, and show the flag again."""
        self.hidden.discard(feature_name)
        super().set(feature_name, is_enabled)

    def delete(self, feature_name: str) -> None:
        """Hide the flag."""
        self.hidden.add(feature_name)


# update


@breaks("test_update_of_a_missing_flag_raises")
class UpdateCreates(Rows):
    """`update` creates a missing flag."""

    def _write(self, feature_name: str, change: Any, make: Any = None) -> Any:
        new = make or (lambda: self._new(feature_name, False))
        return super()._write(feature_name, change, new)


@breaks("test_update_returns_what_was_stored")
class UpdateReturnsTheOld(Rows):
    """`update` returns the flag as it was before."""

    def update(self, feature_name: str, change: Any) -> Any:
        """Change the flag."""
        before = self.get(feature_name)
        super().update(feature_name, change)
        return before


# set_meta


@breaks("test_set_meta_of_a_missing_flag_raises")
class SetMetaCreates(Subclass):
    """`set_meta` creates a missing flag."""

    def set_meta(self, feature_name: str, meta: Any) -> None:
        """Create the flag, and write the metadata."""
        if feature_name not in self.rows:
            self.create(feature_name)
        super().set_meta(feature_name, meta)


@breaks("test_set_meta_of_a_missing_flag_raises")
class SetMetaChecksTheMetadataFirst(Subclass):
    """`set_meta` of a missing flag complains of the metadata instead of the flag."""

    def set_meta(self, feature_name: str, meta: Any) -> None:
        """Write the metadata."""
        meta.to_dict()
        super().set_meta(feature_name, meta)


@breaks("test_set_meta_replaces_the_metadata_and_keeps_the_state[False]")
class SetMetaSwitchesOn(Subclass):
    """`set_meta` switches the flag on."""

    def set_meta(self, feature_name: str, meta: Any) -> None:
        """Write the metadata and the state."""
        super().set_meta(feature_name, meta)
        self._put(FeatureFlagStoreItem(feature_name, True, meta))


@breaks("test_set_meta_takes_away_what_is_not_in_it")
class SetMetaMerges(Subclass):
    """`set_meta` keeps conditions that are not in the new metadata."""

    def set_meta(self, feature_name: str, meta: Any) -> None:
        """Write the metadata over the metadata."""
        item = self.get(feature_name)
        if item is None:
            raise FlagDoesNotExistError.for_flag(feature_name)
        merged = item.raw_meta
        merged.update(
            meta.created_date,
            meta.client_data,
            meta.conditions or None,
            meta.bucketer,
        )
        self._put(FeatureFlagStoreItem(feature_name, item.raw_is_enabled, merged))
