# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: ARG002, S101  (these are tests)
"""Rules about writes that fail, and about `update`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ...conditions import Condition
from ...contracts.update import update
from ...contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from ...exceptions import FlagDoesNotExistError
from ..items import adding, fill, innermost, names, plain
from .base import ContractBase

if TYPE_CHECKING:
    from ...client import FeatureFlagClient


class Cancelled(Exception):  # noqa: N818  (no error of the store)
    """Raised by a test in the middle of a write."""


class WriteRules(ContractBase):
    """A write happens whole or not at all."""

    def test_values_that_cannot_be_stored_leave_the_flag_as_it_was(
        self, store: Any, client: FeatureFlagClient
    ) -> None:
        """A write that raises leaves everything as it was."""
        fill(store, "f")
        before = plain(store.get("f"))
        value = object()
        try:
            client.set_client_data("f", {"value": value})
        except (TypeError, ValueError):
            assert plain(store.get("f")) == before
        else:
            assert client.get_client_data("f")["value"] is value
            return
        for write in (
            lambda: client.create("f", client_data={"value": value}),
            lambda: client.create("new", client_data={"value": value}),
            lambda: client.add_condition("f", Condition(a=value)),
        ):
            with pytest.raises((TypeError, ValueError)):
                write()
        assert plain(store.get("f")) == before
        assert store.get("new") is None
        assert names(store.list()) == ["f"]

    def test_a_change_that_raises_changes_nothing(self, store: Any) -> None:
        """If the function that changes a flag raises, nothing is stored."""
        fill(store, "f")
        before = plain(store.get("f"))

        def change(item: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
            item.raw_meta.client_data["new"] = 1
            raise Cancelled

        with pytest.raises(Cancelled):
            update(store, "f", change)
        assert plain(store.get("f")) == before

    def test_a_write_that_the_backend_refuses_shows_nowhere(
        self,
        store: Any,
        client: FeatureFlagClient,
        other_writer: Any,  # skips where there are no hooks
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Neither the store nor a cache shows a write that the backend refused."""
        fill(store, "f", is_enabled=True)
        before = plain(store.get("f"))

        def refuse(*_: Any) -> bool:
            raise Cancelled

        monkeypatch.setattr(innermost(store), "_swap", refuse)
        for write in (
            lambda: store.set("f", False),
            lambda: store.set_meta("f", FeatureFlagStoreMeta(1)),
            lambda: store.create("f"),
            lambda: store.create("new"),
            lambda: store.set("newer", True),
            lambda: client.add_condition("f", Condition(b=2)),
        ):
            with pytest.raises(Cancelled):
                write()
        assert plain(store.get("f")) == before
        assert store.get("new") is None
        assert store.get("newer") is None
        assert names(store.list()) == ["f"]

    def test_update_of_a_missing_flag_raises(self, store: Any) -> None:
        """`update` of a missing flag raises and creates nothing."""
        with pytest.raises(FlagDoesNotExistError):
            update(store, "f", adding(data={"a": 1}))
        assert store.get("f") is None

    def test_update_returns_what_was_stored(self, store: Any) -> None:
        """`update` returns the flag as it was stored; events announce that."""
        fill(store, "f", is_enabled=False)
        after = update(store, "f", lambda item: item.replace(is_enabled=True))
        assert after.raw_is_enabled is True
        assert plain(after) == plain(store.get("f"))
