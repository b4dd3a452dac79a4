# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: PLR2004, S101  (these are tests)
"""Rules about another writer that writes in the middle of a change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ...conditions import Condition
from ...contracts.update import update, updates_atomically
from ...contrib.storage import FeatureFlagStoreMeta
from ...exceptions import ConcurrentUpdateError, FlagDoesNotExistError
from ..items import adding, fill, innermost, plain
from .base import ContractBase

if TYPE_CHECKING:
    from ...client import FeatureFlagClient


class ConcurrentWriteRules(ContractBase):
    """A change keeps what another writer wrote during it."""

    def test_the_store_is_as_atomic_as_it_says(self, store: Any) -> None:
        """A store that claims to be atomic really uses its atomic step."""
        if self.atomic is None:
            pytest.skip("the class does not say whether it is atomic")
        assert updates_atomically(innermost(store)) is self.atomic

    def test_a_change_keeps_what_another_writer_wrote_meanwhile(
        self, client: FeatureFlagClient, other_writer: Any
    ) -> None:
        """When two processes change one flag at once, both changes are stored."""
        client.create("f")
        raced = other_writer(lambda s: update(s, "f", adding(data={"other": 1})))
        client.add_condition("f", Condition(a=1))
        item = plain(raced.get("f"))
        assert item["client_data"] == {"other": 1}
        assert item["checks"] == [("a", None, 1)]
        assert client.get_client_data("f") == {"other": 1}

    def test_a_change_that_loses_is_tried_again(
        self, client: FeatureFlagClient, other_writer: Any
    ) -> None:
        """A change that loses against another writer is repeated until it is stored."""
        client.create("f")
        count = iter(range(100))
        raced = other_writer(
            lambda s: update(s, "f", adding(data={str(next(count)): 1})), 5
        )
        client.add_condition("f", Condition(a=1))
        assert len(raced.get("f").meta["client_data"]) == 5
        assert len(raced.get("f").meta["conditions"]) == 1

    def test_switching_keeps_what_another_writer_wrote_meanwhile(
        self, client: FeatureFlagClient, other_writer: Any
    ) -> None:
        """Switching a flag on keeps a condition that was added meanwhile."""
        client.create("f")
        raced = other_writer(lambda s: update(s, "f", adding(condition=Condition(a=1))))
        client.enable("f")
        assert raced.get("f").raw_is_enabled is True
        assert len(raced.get("f").meta["conditions"]) == 1

    def test_set_meta_keeps_the_state_that_another_writer_set_meanwhile(
        self, store: Any, other_writer: Any
    ) -> None:
        """A flag that was switched off during `set_meta` stays off."""
        store.create("f", is_enabled=True)
        raced = other_writer(lambda s: s.set("f", False))
        store.set_meta("f", FeatureFlagStoreMeta(1, {"a": 1}))
        assert raced.get("f").raw_is_enabled is False
        assert raced.get("f").meta["client_data"] == {"a": 1}

    def test_set_of_a_flag_that_another_writer_creates_meanwhile_keeps_it(
        self, store: Any, other_writer: Any
    ) -> None:
        """`set` of a flag that was created meanwhile keeps its metadata."""
        raced = other_writer(lambda s: s.create("f", client_data={"other": 1}))
        store.set("f", True)
        assert raced.get("f").raw_is_enabled is True
        assert raced.get("f").meta["client_data"] == {"other": 1}

    def test_set_of_a_flag_that_another_writer_deletes_meanwhile_creates_it(
        self, store: Any, other_writer: Any
    ) -> None:
        """`set` of a flag that was deleted meanwhile creates an empty flag."""
        fill(store, "f")
        raced = other_writer(lambda s: s.delete("f"))
        store.set("f", True)
        assert raced.get("f").raw_is_enabled is True
        assert raced.get("f").meta["client_data"] == {}

    def test_a_change_of_a_flag_that_another_writer_deletes_meanwhile_raises(
        self, client: FeatureFlagClient, store: Any, other_writer: Any
    ) -> None:
        """A change of a flag that was deleted meanwhile raises and creates nothing."""
        fill(store, "f")
        raced = other_writer(lambda s: s.delete("f"))
        with pytest.raises(FlagDoesNotExistError):
            client.add_condition("f", Condition(a=1))
        assert raced.get("f") is None

    def test_a_change_of_a_flag_that_another_writer_replaces_meanwhile_is_of_the_new(
        self, client: FeatureFlagClient, store: Any, other_writer: Any
    ) -> None:
        """A change of a flag that was replaced meanwhile is made to the new flag."""
        fill(store, "f")
        raced = other_writer(lambda s: s.create("f", client_data={"new": 1}))
        client.set_client_data("f", {"mine": 1})
        assert raced.get("f").meta["client_data"] == {"new": 1, "mine": 1}
        assert raced.get("f").meta["conditions"] == []

    def test_a_change_that_always_loses_raises(
        self, store: Any, other_writer: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A change that loses every attempt raises and stores nothing."""
        store.create("f")
        count = iter(range(1000))
        raced = other_writer(
            lambda s: update(s, "f", adding(data={"n": next(count)})), times=1000
        )
        monkeypatch.setattr(raced, "max_attempts", 4)
        monkeypatch.setattr(raced, "longest_pause", 0)
        with pytest.raises(ConcurrentUpdateError) as caught:
            update(store, "f", adding(condition=Condition(a=1)))
        assert (caught.value.feature_name, caught.value.attempts) == ("f", 4)
        assert plain(raced.get("f"))["checks"] == []
        assert next(count) in (4, 5)  # a store may try its cached item first
