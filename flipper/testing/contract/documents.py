# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: S101  (these are tests)
"""Rules about the stored documents, read and written without the store."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ...client import FeatureFlagClient
from ...conditions import Condition
from ...contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from ...exceptions import FlagDoesNotExistError, InvalidFlagDataError
from ..items import names, plain
from ..samples import BROKEN_DOCUMENTS, BUCKETERS, DOCUMENT, FOREIGN_DOCUMENTS, for_each
from .base import ContractBase

if TYPE_CHECKING:
    from collections.abc import Callable


class DocumentRules(ContractBase):
    """What is stored byte for byte, and what happens to documents that are broken."""

    def test_a_flag_is_stored_byte_for_byte(self, store: Any) -> None:
        """The document is exactly the one that flipper-client 1.x reads and writes."""
        store.create("X", is_enabled=True)
        meta = FeatureFlagStoreMeta(1_500_000_000, {"a": "é"}, [Condition(a__gt=1)])
        store.set_meta("X", meta)
        assert self.read_document(store, "X") == DOCUMENT

    def test_every_write_is_in_the_document(
        self, store: Any, client: FeatureFlagClient
    ) -> None:
        """Every write reaches the stored document, not only a cache."""
        writes: list[Callable[[], object]] = [
            lambda: client.create("f", client_data={"a": 1}),
            lambda: client.enable("f"),
            lambda: client.add_condition("f", Condition(a=1)),
            lambda: client.set_bucketer("f", BUCKETERS["consistent"]),
            lambda: client.set_client_data("f", {"b": 2}),
            lambda: store.set("f", False),
        ]
        for write in writes:
            write()
            document = self.read_document(store, "f")
            assert document is not None
            assert document == store.get("f").serialize()
        client.destroy("f")
        assert self.read_document(store, "f") is None

    def test_a_document_of_an_older_release_is_read(
        self, store: Any, client: FeatureFlagClient
    ) -> None:
        """Documents that older releases wrote are read as they are."""
        self.write_document(store, "X", DOCUMENT)
        assert store.get("X").serialize() == DOCUMENT
        assert [item.serialize() for item in store.list()] == [DOCUMENT]
        assert client.is_enabled("X", a=2)
        assert not client.is_enabled("X", a=1)

    def test_a_document_may_be_written_in_other_ways(self, store: Any) -> None:
        """Other spacing, encoding or order of the same JSON gives the same flag."""
        expected = plain(FeatureFlagStoreItem.deserialize(DOCUMENT))

        def read(name: str, document: bytes) -> None:
            named = document.replace(b'"X"', json.dumps(name).encode())
            self.write_document(store, name, named)
            assert plain(store.get(name)) == {**expected, "feature_name": name}

        for_each(FOREIGN_DOCUMENTS, read)

    def test_reading_writes_nothing(
        self, store: Any, client: FeatureFlagClient
    ) -> None:
        """Reading a flag does not write its document again."""
        document = FOREIGN_DOCUMENTS["indented"]
        self.write_document(store, "X", document)
        store.get("X")
        list(store.list())
        client.is_enabled("X", a=2, unknown=3)
        client.explain("X", a=2)
        client.get_meta("X")
        assert self.read_document(store, "X") == document

    def test_a_broken_document_is_an_error_where_it_is_read(
        self, store: Any, client: FeatureFlagClient
    ) -> None:
        """A broken document answers the default, and no change is written over it."""
        asking = FeatureFlagClient(store)
        errors: tuple[type[Exception], ...] = (InvalidFlagDataError,)
        if self.broken_is_missing:
            errors += (FlagDoesNotExistError,)

        def refuse(name: str, document: bytes) -> None:
            self.write_document(store, name, document)
            if self.broken_is_missing:
                assert store.get(name) is None
            else:
                with pytest.raises(InvalidFlagDataError):
                    store.get(name)
            assert asking.is_enabled(name) is False
            assert asking.is_enabled(name, default=True) is True
            for write in (
                lambda: client.get_meta(name),
                lambda: client.enable(name),
                lambda: client.add_condition(name, Condition(a=1)),
                lambda: store.set(name, True),
                lambda: store.set_meta(name, FeatureFlagStoreMeta(1)),
            ):
                with pytest.raises(errors):
                    write()
            assert self.read_document(store, name) == document

        for_each(BROKEN_DOCUMENTS, refuse)

    def test_broken_documents_do_not_hide_the_others(self, store: Any) -> None:
        """`list` leaves broken documents out and gives all other flags."""
        every = self._create_many(store, 3)

        def leave_out(name: str, document: bytes) -> None:
            self.write_document(store, name, document)
            assert sorted(names(store.list())) == every

        for_each(BROKEN_DOCUMENTS, leave_out)

    def test_broken_documents_are_replaced_and_removed(self, store: Any) -> None:
        """`create` and `delete` work on a flag whose document is broken."""

        def repair(name: str, document: bytes) -> None:
            self.write_document(store, name, document)
            store.create(name, is_enabled=True)
            assert store.get(name).raw_is_enabled is True
            self.write_document(store, f"{name}-2", document)
            store.delete(f"{name}-2")
            assert store.get(f"{name}-2") is None
            assert self.read_document(store, f"{name}-2") is None

        for_each(BROKEN_DOCUMENTS, repair)
