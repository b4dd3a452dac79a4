# SPDX-License-Identifier: Apache-2.0
"""Stores that each break one promise, and the contract to be run on them.

`test_contract_catches.py` does that, and wants these tests to fail.
"""

from __future__ import annotations

import json
import threading
from itertools import islice
from time import sleep
from typing import TYPE_CHECKING, Any

import pytest
from stores import Documents, OldStyle, Rows, Subclass, Table

from flipper.contracts.atomic import ANY
from flipper.contracts.watch import WatchQueue
from flipper.contracts.wrapper import FeatureFlagStoreWrapper
from flipper.contrib.memory import MemoryFeatureFlagStore
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.contrib.util.date import now
from flipper.exceptions import FlagDoesNotExistError, InvalidFlagDataError
from flipper.testing import StoreContract, waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(autouse=True)
def _impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait long for what a broken store will never do."""
    monkeypatch.setattr(waiting, "TIMEOUT", 5.0)


BROKEN: dict[str, tuple[str, ...]] = {}
"""The rules that have to catch a class, by its name."""


def breaks(*rules: str) -> Callable[[type[Any]], type[Any]]:
    """Make a class of tests for a broken store, whose `caught_by` are these rules."""

    def make(kind: type[Any]) -> type[Any]:
        base = Documents if issubclass(kind, Rows) else OldStyle
        own = {"kind": kind, "repetitions": 20, "seed": 1, "__module__": __name__}
        name = f"Test{kind.__name__}"
        globals()[name] = type(name, (base, StoreContract), own)
        BROKEN[name] = rules
        return kind

    return make


# -- create ----------------------------------------------------------------------------


@breaks("test_create_returns_the_new_flag")
class CreateReturnsNothing(Subclass):
    """A cache in front of it would keep that there is no flag."""

    def create(self, *args: Any, **kwargs: Any) -> Any:
        """Write the flag, and return nothing."""
        super().create(*args, **kwargs)


@breaks("test_create_over_a_flag_replaces_it_whole")
class CreateMerges(Subclass):
    """A new flag keeps the conditions of the old one."""

    def create(self, feature_name: str, *args: Any, **kwargs: Any) -> Any:
        """Write the flag with the conditions that are there."""
        before = self.get(feature_name)
        item = super().create(feature_name, *args, **kwargs)
        if before is not None:
            meta = item.raw_meta
            meta.conditions = before.raw_meta.conditions
            self.set_meta(feature_name, meta)
        return item


@breaks("test_created_date_is_now_in_whole_seconds")
class CreatedInMilliseconds(Rows):
    """Its dates lie far ahead."""

    def _now(self) -> int:
        return super()._now() * 1000


@breaks("test_a_new_flag_is_off_and_has_no_metadata")
class CreatesOn(Subclass):
    """A new flag is on unless it is said to be off."""

    def create(
        self, feature_name: str, is_enabled: bool = True, client_data: Any = None
    ) -> Any:
        """Write a new flag."""
        return super().create(feature_name, is_enabled, client_data)


@breaks("test_create_takes_state_and_client_data_by_position")
class CreateByKeyword(Subclass):
    """Its parameters are in another order."""

    def create(
        self, feature_name: str, client_data: Any = None, is_enabled: bool = False
    ) -> Any:
        """Write a new flag."""
        return super().create(feature_name, is_enabled, client_data)


# -- get, set, delete ------------------------------------------------------------------


@breaks("test_get_of_a_missing_flag_is_none")
class GetRaises(Subclass):
    """A missing flag is an error to it."""

    def get(self, feature_name: str) -> Any:
        """Read a flag that has to be there."""
        return FeatureFlagStoreItem.deserialize(self.rows[feature_name])


@breaks("test_delete_removes_this_flag_alone", "test_a_client_sees_its_own_writes")
class DeletedFlagsStay(Subclass):
    """It goes on giving what was deleted."""

    def delete(self, feature_name: str) -> None:
        """Leave the flag where it is."""


@breaks("test_delete_of_a_missing_flag_does_nothing")
class DeleteRaises(Subclass):
    """A missing flag cannot be deleted."""

    def delete(self, feature_name: str) -> None:
        """Remove a flag that has to be there."""
        del self.rows[feature_name]


@breaks(
    "test_set_changes_the_state_and_keeps_the_metadata[True]",
    "test_random_operations_agree_with_a_plain_dict",
)
class SetForgetsMetadata(Subclass):
    """Switching a flag opens it for everybody."""

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Write the state and nothing else."""
        self.create(feature_name, is_enabled)


@breaks("test_set_of_a_missing_flag_creates_it")
class SetNeedsTheFlag(Subclass):
    """It sets nothing where nothing is."""

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Write the state of a flag that is there."""
        if feature_name in self.rows:
            super().set(feature_name, is_enabled)


@breaks("test_a_deleted_flag_comes_back_empty")
class DeletesByAMark(Subclass):
    """What is deleted is only not shown."""

    def __init__(self, rows: dict[str, bytes]) -> None:
        super().__init__(rows)
        self.marked: set[str] = set()

    def get(self, feature_name: str) -> Any:
        """Read what is not marked."""
        return None if feature_name in self.marked else super().get(feature_name)

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Write the state and take the mark away."""
        self.marked.discard(feature_name)
        super().set(feature_name, is_enabled)

    def delete(self, feature_name: str) -> None:
        """Mark the flag."""
        self.marked.add(feature_name)


@breaks("test_update_of_a_missing_flag_raises")
class UpdateCreates(Rows):
    """A change begins a flag where there is none."""

    def _write(self, feature_name: str, change: Any, make: Any = None) -> Any:
        new = make or (lambda: self._new(feature_name, False))
        return super()._write(feature_name, change, new)


@breaks("test_update_returns_what_was_stored")
class UpdateReturnsTheOld(Rows):
    """Who changed a flag is told what it was."""

    def update(self, feature_name: str, change: Any) -> Any:
        """Change the flag."""
        before = self.get(feature_name)
        super().update(feature_name, change)
        return before


# -- list ------------------------------------------------------------------------------


@breaks("test_an_empty_store_lists_nothing")
class ListNeedsFlags(Subclass):
    """That there is nothing is an error to it."""

    def list(self, limit: int | None = None, offset: int = 0) -> Iterator[Any]:
        """List the flags."""
        next(iter(self.rows))
        return super().list(limit, offset)


@breaks("test_list_gives_every_flag_once_and_whole")
class ListsTwice(Subclass):
    """A flag that was seen twice is listed twice."""

    def list(self, limit: int | None = None, offset: int = 0) -> Iterator[Any]:
        """List every flag and then the first again."""
        every = [*super().list()]
        stop = None if limit is None else offset + limit
        return iter((every + every[:1])[offset:stop])


@breaks("test_list_gives_every_flag_once_and_whole")
class ListsWhatIsOn(Subclass):
    """A flag that is off is not listed."""

    def list(self, limit: int | None = None, offset: int = 0) -> Iterator[Any]:
        """List the flags that are on."""
        stop = None if limit is None else offset + limit
        on = (item for item in super().list() if item.raw_is_enabled)
        # Before the page is cut, so that nothing but the rule itself notices.
        return islice(on, offset, stop)


@breaks("test_list_is_an_iterator")
class ListsAList(Subclass):
    """It makes all items at once."""

    def list(self, limit: int | None = None, offset: int = 0) -> Any:
        """List the flags in a list."""
        return [*super().list(limit, offset)]


@breaks("test_list_gives_at_most_limit_flags")
class TakesNoneForAll(Subclass):
    """A limit of 0 is none to it."""

    def list(self, limit: int | None = None, offset: int = 0) -> Iterator[Any]:
        """List the flags."""
        return super().list(limit or None, offset)


@breaks("test_list_leaves_out_offset_flags", "test_pages_cover_every_flag_exactly_once")
class IgnoresTheOffset(Subclass):
    """Every page is the first."""

    def list(self, limit: int | None = None, offset: int = 0) -> Iterator[Any]:
        """List the flags."""
        return super().list(limit)


@breaks("test_list_takes_limit_and_offset_by_position")
class ExchangesLimitAndOffset(Subclass):
    """Its parameters are in another order."""

    def list(self, offset: int = 0, limit: int | None = None) -> Iterator[Any]:
        """List the flags."""
        return super().list(limit, offset)


@breaks("test_pages_cover_every_flag_exactly_once")
class ListsInNoOrder(Subclass):
    """Each page is cut from another order."""

    turns = 0

    def list(self, limit: int | None = None, offset: int = 0) -> Iterator[Any]:
        """List the flags, begun at another one each time."""
        self.turns += 1
        every = [*super().list()]
        turned = every[self.turns :] + every[: self.turns]
        stop = None if limit is None else offset + limit
        return iter(turned[offset:stop])


@breaks("test_list_leaves_out_what_is_deleted_meanwhile")
class ListsNothings(Subclass):
    """A flag deleted meanwhile is listed as nothing."""

    def list(self, limit: int | None = None, offset: int = 0) -> Iterator[Any]:
        """List by names that were read before."""
        stop = None if limit is None else offset + limit
        return (self.get(name) for name in sorted(self.rows)[offset:stop])


@breaks("test_flags_that_stay_are_listed_whatever_others_do")
class ListsWhatChanges(Subclass):
    """It walks through rows that others change meanwhile."""

    def list(self, limit: int | None = None, offset: int = 0) -> Iterator[Any]:
        """List the rows as they are."""
        stop = None if limit is None else offset + limit
        return islice(self._walk(), offset, stop)

    def _walk(self) -> Iterator[Any]:
        for row in self.rows.values():
            sleep(0.001)
            yield FeatureFlagStoreItem.deserialize(row)


# -- set_meta --------------------------------------------------------------------------


@breaks("test_set_meta_of_a_missing_flag_raises")
class SetMetaCreates(Subclass):
    """A flag begins to exist because it was described."""

    def set_meta(self, feature_name: str, meta: Any) -> None:
        """Write the metadata, of no matter what."""
        if feature_name not in self.rows:
            self.create(feature_name)
        super().set_meta(feature_name, meta)


@breaks("test_set_meta_of_a_missing_flag_raises")
class SetMetaLooksAtItFirst(Subclass):
    """Metadata that is none is complained of before the flag is looked for."""

    def set_meta(self, feature_name: str, meta: Any) -> None:
        """Write the metadata."""
        meta.to_dict()
        super().set_meta(feature_name, meta)


@breaks("test_set_meta_replaces_the_metadata_and_keeps_the_state[False]")
class SetMetaSwitchesOn(Subclass):
    """A flag is on once it is described."""

    def set_meta(self, feature_name: str, meta: Any) -> None:
        """Write the metadata and the state."""
        super().set_meta(feature_name, meta)
        self._put(FeatureFlagStoreItem(feature_name, True, meta))


@breaks("test_set_meta_takes_away_what_is_not_in_it")
class SetMetaMerges(Subclass):
    """What was there before stays."""

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


# -- names and values ------------------------------------------------------------------


class Renames(Subclass):
    """It keeps flags under other names than it is given."""

    def renamed(self, feature_name: str) -> str:
        """Return the name to keep it under."""
        raise NotImplementedError

    def get(self, feature_name: str) -> Any:
        """Read by the other name."""
        item = super().get(self.renamed(feature_name))
        return item and FeatureFlagStoreItem(
            feature_name, item.raw_is_enabled, item.raw_meta
        )

    def delete(self, feature_name: str) -> None:
        """Remove by the other name."""
        super().delete(self.renamed(feature_name))

    def _put(self, item: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
        self.rows[self.renamed(item.feature_name)] = item.serialize()
        return item


@breaks("test_names_that_look_alike_are_different_flags")
class IgnoresCase(Renames):
    """Two flags are one."""

    def renamed(self, feature_name: str) -> str:
        """Return it in small letters."""
        return feature_name.lower()


@breaks("test_any_text_names_a_flag", "test_names_that_look_alike_are_different_flags")
class TrimsNames(Renames):
    """A name with a space is another one."""

    def renamed(self, feature_name: str) -> str:
        """Return it without spaces around."""
        return feature_name.strip()


@breaks("test_a_long_name_names_a_flag")
class CutsNames(Renames):
    """A long name is a shorter one."""

    def renamed(self, feature_name: str) -> str:
        """Return its beginning."""
        return feature_name[:40]


@breaks("test_client_data_comes_back_as_it_was")
class RoundsNumbers(Subclass):
    """Large integers come back as floats."""

    def get(self, feature_name: str) -> Any:
        """Read as other languages do."""
        row = self.rows.get(feature_name)
        if row is None:
            return None
        fields = json.loads(row, parse_int=lambda digits: _rounded(int(digits)))
        return FeatureFlagStoreItem.deserialize(json.dumps(fields))


def _rounded(number: int) -> float:
    return number if abs(number) < 2**53 else float(number)


@breaks("test_conditions_keep_their_order")
class SortsConditions(Rows):
    """The first condition is another one than was first."""

    def _decode(self, feature_name: str, document: bytes) -> FeatureFlagStoreItem:
        item = super()._decode(feature_name, document)
        meta = item.raw_meta
        meta.conditions.sort(key=lambda condition: json.dumps(condition.to_dict()))
        return item.replace(meta=meta)


@breaks("test_conditions_come_back_as_they_were")
class ForgetsChecksOnNone(Subclass):
    """A check on nothing is none to it."""

    def set_meta(self, feature_name: str, meta: Any) -> None:
        """Write the checks that have a value."""
        fields = meta.to_dict()
        for condition in fields["conditions"]:
            for name, checks in condition.items():
                condition[name] = [c for c in checks if c["value"] is not None]
        super().set_meta(feature_name, FeatureFlagStoreMeta.from_dict(fields))


@breaks("test_bucketers_come_back_as_they_were")
class ForgetsTheWhitelist(Subclass):
    """Another part of the users is in."""

    def set_meta(self, feature_name: str, meta: Any) -> None:
        """Write all but the list of names."""
        fields = meta.to_dict()
        fields["bucketer"].pop("key_whitelist", None)
        super().set_meta(feature_name, FeatureFlagStoreMeta.from_dict(fields))


@breaks("test_the_created_date_stays")
class SetMakesFlagsYounger(Subclass):
    """Switching a flag dates it anew."""

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Write the state, and the date."""
        super().set(feature_name, is_enabled)
        item = self.get(feature_name)
        meta = item.raw_meta
        meta.created_date += 1
        self._put(item.replace(meta=meta))


# -- objects that are given and got ----------------------------------------------------


class Live(Subclass):
    """It keeps objects, without copying any of them."""

    def get(self, feature_name: str) -> Any:
        """Give the very object."""
        return self.rows.get(feature_name)

    def _put(self, item: Any) -> Any:
        self.rows[item.feature_name] = item
        return item


class LiveItem(FeatureFlagStoreItem):
    """An item that keeps what it is given, and gives what it keeps."""

    __slots__ = ("fields",)

    def __init__(self, feature_name: str, is_enabled: Any, meta: Any) -> None:
        self._take(feature_name, is_enabled, meta)
        self.fields = {**meta.to_dict(), "client_data": meta.client_data}

    @property
    def meta(self) -> dict[str, Any]:
        """The metadata, no copy."""
        return self.fields

    @property
    def raw_meta(self) -> Any:
        """The metadata, no copy."""
        return self._meta


@breaks("test_changing_given_metadata_changes_no_flag")
class KeepsWhatIsGiven(Live):
    """The caller's metadata is the flag's."""

    def set_meta(self, feature_name: str, meta: Any) -> None:
        """Keep the very metadata."""
        item = self.rows[feature_name]
        kept = FeatureFlagStoreItem.__new__(FeatureFlagStoreItem)
        kept._take(feature_name, item.raw_is_enabled, meta)
        self._put(kept)


@breaks("test_changing_given_client_data_changes_no_flag")
class KeepsGivenClientData(Live):
    """The caller's dict is the flag's."""

    def create(
        self, feature_name: str, is_enabled: bool = False, client_data: Any = None
    ) -> Any:
        """Keep the very dict."""
        kept = FeatureFlagStoreItem.__new__(FeatureFlagStoreItem)
        kept._take(feature_name, is_enabled, FeatureFlagStoreMeta(now(), client_data))
        return self._put(kept)


@breaks(
    "test_changing_what_was_got_changes_no_flag",
    "test_a_change_that_raises_changes_nothing",
)
class GivesWhatItKeeps(Live):
    """The reader's metadata is the flag's."""

    def _put(self, item: Any) -> Any:
        live = LiveItem(item.feature_name, item.raw_is_enabled, item.raw_meta)
        return super()._put(live)


@breaks("test_an_item_stays_what_it_was")
class ChangesItemsInPlace(Live):
    """An item that was handed out changes with the flag."""

    def _put(self, item: Any) -> Any:
        kept = self.rows.get(item.feature_name)
        if kept is None:
            return super()._put(item)
        kept._take(item.feature_name, item.raw_is_enabled, item.raw_meta)
        return kept


# -- writes that fail ------------------------------------------------------------------


@breaks("test_values_that_cannot_be_stored_leave_the_flag_as_it_was")
class RemovesBeforeItWrites(Subclass):
    """What cannot be written takes away what was there."""

    def _put(self, item: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
        self.rows.pop(item.feature_name, None)
        return super()._put(item)


class NaiveCache(FeatureFlagStoreWrapper):
    """A cache that believes in what it has, right or wrong."""

    def __init__(self, store: Any) -> None:
        super().__init__(store)
        self.known: dict[str, Any] = {}

    def get(self, feature_name: str) -> Any:
        """Read what is not known."""
        if feature_name not in self.known:
            self.known[feature_name] = super().get(feature_name)
        return self.known[feature_name]

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Write, and forget what was known."""
        super().set(feature_name, is_enabled)
        self.known.pop(feature_name, None)

    def set_meta(self, feature_name: str, meta: Any) -> None:
        """Write, and forget what was known."""
        super().set_meta(feature_name, meta)
        self.known.pop(feature_name, None)

    def create(self, *args: Any, **kwargs: Any) -> Any:
        """Write, and remember that."""
        item = super().create(*args, **kwargs)
        self.known[item.feature_name] = item
        return item

    def delete(self, feature_name: str) -> None:
        """Remove, and forget what was known."""
        super().delete(feature_name)
        self.known.pop(feature_name, None)


class ForgetfulCache(NaiveCache):
    """A cache that does not hear of every write."""

    def delete(self, feature_name: str) -> None:
        """Remove the flag, and go on knowing it."""
        self._store.delete(feature_name)


class StubbornCache(NaiveCache):
    """A cache that goes on believing that there is no such flag."""

    def create(self, *args: Any, **kwargs: Any) -> Any:
        """Write, and know nothing of it."""
        return self._store.create(*args, **kwargs)


class HastyCache(NaiveCache):
    """A cache that believes in a write before it is made."""

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Remember, and then write."""
        item = self.get(feature_name)
        if item is not None:
            self.known[feature_name] = item.replace(is_enabled=is_enabled)
        self._store.set(feature_name, is_enabled)


# -- several processes -----------------------------------------------------------------


@breaks("test_what_another_process_destroys_during_a_write_stays_destroyed")
class MakesWhatItChanges(Rows):
    """A change of a missing flag makes one."""

    def _write(self, feature_name: str, change: Any, make: Any = None) -> Any:
        return super()._write(
            feature_name, change, make or (lambda: self._new(feature_name, False))
        )


# -- documents -------------------------------------------------------------------------


@breaks("test_a_flag_is_stored_byte_for_byte")
class StoresOtherBytes(Rows):
    """Its documents are shorter."""

    def _replace(self, feature_name: str, document: bytes, expected: Any) -> bool:
        compact = json.dumps(json.loads(document), separators=(",", ":")).encode()
        return super()._replace(feature_name, compact, expected)


@breaks(
    "test_every_write_is_in_the_document",
    "test_a_write_is_seen_by_a_store_opened_again",
)
class WritesLater(Subclass):
    """It keeps writes for a while before it makes them."""

    def __init__(self, rows: dict[str, bytes]) -> None:
        super().__init__(rows)
        self.later: dict[str, bytes] = {}

    def get(self, feature_name: str) -> Any:
        """Read what is not written yet."""
        row = self.later.get(feature_name)
        return None if row is None else FeatureFlagStoreItem.deserialize(row)

    def _put(self, item: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
        self.later[item.feature_name] = item.serialize()
        return item


@breaks("test_a_document_may_be_written_in_other_ways")
class ReadsItsOwnSpelling(Subclass):
    """It reads only what it could have written."""

    def get(self, feature_name: str) -> Any:
        """Read a flag in plain letters."""
        row = self.rows.get(feature_name)
        return row and FeatureFlagStoreItem.deserialize(row.decode("ascii"))


@breaks("test_a_document_of_an_older_release_is_read")
class NeedsAVersion(Rows):
    """A document without a mark of its own is none to it."""

    def _read(self, feature_name: str) -> tuple[bytes, Any] | None:
        found = super()._read(feature_name)
        return found if found and found[0].endswith(b" ") else None

    def _replace(self, feature_name: str, document: bytes, expected: Any) -> bool:
        return super()._replace(feature_name, document + b" ", expected)


@breaks("test_reading_writes_nothing")
class WritesWhatItReads(Rows):
    """It mends the documents that it reads."""

    def _read(self, feature_name: str) -> tuple[bytes, Any] | None:
        found = super()._read(feature_name)
        if found is not None:
            self.rows[feature_name] = json.dumps(json.loads(found[0])).encode()
        return found


@breaks("test_a_broken_document_is_an_error_where_it_is_read")
class TakesBrokenForMissing(Subclass):
    """A flag that cannot be read is none, and may be written over."""

    def get(self, feature_name: str) -> Any:
        """Read a flag, or do not."""
        try:
            return super().get(feature_name)
        except InvalidFlagDataError:
            return None


@breaks("test_broken_documents_do_not_hide_the_others")
class ListStopsAtBroken(Subclass):
    """One broken document, and there is no list."""

    def list(self, limit: int | None = None, offset: int = 0) -> Iterator[Any]:
        """List what is there."""
        stop = None if limit is None else offset + limit
        return (self.get(name) for name in sorted(self.rows)[offset:stop])


@breaks("test_broken_documents_are_replaced_and_removed")
class DeleteReadsFirst(Subclass):
    """What cannot be read cannot be removed."""

    def delete(self, feature_name: str) -> None:
        """Remove a flag that is one."""
        if self.get(feature_name) is not None:
            super().delete(feature_name)


# -- threads and rivals ----------------------------------------------------------------


@breaks(
    "test_a_change_keeps_what_another_writer_wrote_meanwhile",
    "test_a_change_that_loses_is_tried_again",
    "test_switching_keeps_what_another_writer_wrote_meanwhile",
    "test_set_meta_keeps_the_state_that_another_writer_set_meanwhile",
    "test_set_of_a_flag_that_another_writer_creates_meanwhile_keeps_it",
    "test_set_of_a_flag_that_another_writer_deletes_meanwhile_creates_it",
    "test_a_change_of_a_flag_that_another_writer_deletes_meanwhile_raises",
    "test_a_change_of_a_flag_that_another_writer_replaces_meanwhile_is_of_the_new",
    "test_two_processes_lose_nothing",
)
class LosesUpdates(Rows):
    """It writes whatever is there by now."""

    def _read(self, feature_name: str) -> tuple[bytes, Any] | None:
        found = super()._read(feature_name)
        sleep(0.0005)  # long enough for the others to read it too
        return found

    def _replace(self, feature_name: str, document: bytes, expected: Any) -> bool:
        return super()._replace(feature_name, document, ANY)


class Slow(MemoryFeatureFlagStore):
    """It takes a while between reading and writing."""

    def __init__(self, _: dict[str, bytes]) -> None:
        super().__init__()
        self.loaded = threading.Event()

    def _load(self, feature_name: str) -> Any:
        loaded = super()._load(feature_name)
        self.loaded.set()
        sleep(0.002)
        return loaded


@breaks(
    "test_threads_that_add_conditions_lose_none",
    "test_threads_that_set_client_data_lose_none",
    "test_switching_and_describing_at_once_lose_nothing",
)
class LosesUpdatesOfThreads(Slow):
    """It writes whatever is there by now, without a document."""

    def _swap(self, item: FeatureFlagStoreItem, expected: Any) -> bool:
        return super()._swap(item, ANY)


@breaks(
    "test_a_change_of_a_flag_that_another_writer_deletes_meanwhile_raises",
    "test_a_change_does_not_bring_a_deleted_flag_back",
)
class BringsBack(Slow):
    """What is gone by now is as good as what was there."""

    def _swap(self, item: FeatureFlagStoreItem, expected: Any) -> bool:
        self.loaded.clear()
        gone = item.feature_name not in self._items
        return super()._swap(item, ANY if gone else expected)

    def _remove(self, feature_name: str) -> None:
        self.loaded.wait(1)  # for a change to be half-way
        super()._remove(feature_name)


@breaks("test_a_change_that_always_loses_raises")
class GivesUpInSilence(Rows):
    """A write that lost too often is taken for made."""

    losses = 0

    def _replace(self, feature_name: str, document: bytes, expected: Any) -> bool:
        if super()._replace(feature_name, document, expected):
            self.losses = 0
            return True
        self.losses += 1
        return self.losses > 0


@breaks("test_readers_see_whole_writes")
class WritesInTwoSteps(Subclass):
    """For a moment a flag is half of two."""

    def set_meta(self, feature_name: str, meta: Any) -> None:
        """Write the client data, then the rest."""
        item = self.get(feature_name)
        if item is not None:
            half = item.raw_meta
            half.client_data = meta.client_data
            self._put(item.replace(meta=half))
            sleep(0.001)
        super().set_meta(feature_name, meta)


@breaks("test_the_store_is_as_atomic_as_it_says")
class SaysItIsAtomic(Rows):
    """Its own `set` goes round what would make it atomic."""

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Write as it likes."""
        super().set(feature_name, is_enabled)


# -- the change signal -----------------------------------------------------------------


@breaks("test_every_write_is_reported")
class ReportsNoDeletion(Rows):
    """A copy of it would keep what is gone."""

    def _remove(self, feature_name: str) -> None:
        self.rows.pop(feature_name, None)


@breaks("test_what_another_process_writes_is_reported")
class ReportsItsOwn(Rows):
    """It tells what it knows without a server."""

    def watch(self) -> WatchQueue:
        """Listen to this store alone."""
        self.own = WatchQueue(str)
        return self.own

    def report(self, feature_name: str) -> None:
        """Tell who listens to this store."""
        if hasattr(self, "own"):
            self.own.report(feature_name)


class _LastOnly(WatchQueue):
    """Has room for one name."""

    def report(self, *feature_names: str) -> None:
        """Forget the one before."""
        with self._changed:
            self._names.clear()
        super().report(*feature_names)


@breaks("test_changes_at_once_are_all_reported")
class ReportsTheLast(Rows):
    """Who is slow to ask misses what came in between."""

    def watch(self) -> WatchQueue:
        """Listen with little memory."""
        queue = _LastOnly(lambda: self.rows.watches.remove(queue))
        self.rows.watches.append(queue)
        return queue


def _cached(cache: type[Any], *rules: str) -> None:
    """Make a class of tests for a cache over a right store."""

    def make_store(self: Any) -> Any:
        return cache(Rows(Table()))

    name = f"Test{cache.__name__}"
    own = {"make_store": make_store, "atomic": None, "__module__": __name__}
    globals()[name] = type(name, (Documents, StoreContract), own)
    BROKEN[name] = rules


_cached(
    NaiveCache,
    "test_a_slow_read_does_not_undo_a_write",
    *(
        f"{rule}[{listener}]"
        for rule in (
            "test_what_another_process_has_just_created_can_be_written",
            "test_what_another_process_has_just_destroyed_is_missing",
        )
        for listener in ("listener", "no-listener")
    ),
)
_cached(StubbornCache, "test_a_missing_flag_is_found_once_it_is_created")
_cached(ForgetfulCache, "test_a_client_sees_its_own_writes")
_cached(HastyCache, "test_a_write_that_the_backend_refuses_shows_nowhere")


class TestRight(Documents, StoreContract):
    """What all the others are made of keeps every rule that catches them."""

    repetitions = 10
    seed = 1
