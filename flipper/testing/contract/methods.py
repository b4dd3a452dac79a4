# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: PLR2004, S101  (these are tests)
"""Rules about the six methods of a store, except `list`."""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Any

import pytest

from ...bucketing import NoOpBucketer, Percentage, PercentageBucketer
from ...conditions import Condition
from ...contracts.update import get_many
from ...contrib.storage import FeatureFlagStoreMeta
from ...exceptions import FlagDoesNotExistError
from ..items import fill, names, plain
from ..samples import for_each
from .base import ContractBase

if TYPE_CHECKING:
    from ...client import FeatureFlagClient


class MethodRules(ContractBase):
    """What `create`, `get`, `set`, `delete` and `set_meta` promise."""

    def test_create_returns_the_new_flag(self, store: Any) -> None:
        """`create` returns the whole new flag, because caches keep what it returns."""
        item = store.create("f", is_enabled=True, client_data={"a": [1]})
        assert plain(item) == plain(store.get("f"))
        assert (item.feature_name, item.raw_is_enabled) == ("f", True)
        assert item.meta["client_data"] == {"a": [1]}

    def test_a_new_flag_is_off_and_has_no_metadata(self, store: Any) -> None:
        """A flag that nobody has configured is off for everybody."""
        store.create("f")
        item = store.get("f")
        assert item.raw_is_enabled is False
        assert {**item.meta, "created_date": 0} == {
            "client_data": {},
            "created_date": 0,
            "conditions": [],
            "bucketer": {"type": "NoOpBucketer"},
        }

    def test_create_takes_state_and_client_data_by_position(self, store: Any) -> None:
        """The order of the three parameters is part of the promise."""
        store.create("f", True, {"a": 1})
        item = store.get("f")
        assert item.raw_is_enabled is True
        assert item.meta["client_data"] == {"a": 1}

    def test_created_date_is_now_in_whole_seconds(self, store: Any) -> None:
        """The date is a whole number of seconds since the epoch, in every store."""
        date = store.create("f").meta["created_date"]
        assert type(date) is int
        assert abs(date - time()) < 3600  # the clock of a server may differ
        assert store.get("f").meta["created_date"] == date

    def test_create_over_a_flag_replaces_it_whole(self, store: Any) -> None:
        """Nothing of the old flag may switch the new one on or off for anybody."""
        fill(store, "f")
        store.create("f", client_data={"new": 1})
        item = store.get("f")
        assert item.raw_is_enabled is False
        assert item.meta["client_data"] == {"new": 1}
        assert item.meta["conditions"] == []
        assert item.meta["bucketer"] == {"type": "NoOpBucketer"}
        assert item.meta["created_date"] != 1

    def test_get_of_a_missing_flag_is_none(self, store: Any) -> None:
        """The client answers the caller's default for a missing flag: no error."""
        store.create("other")
        assert store.get("f") is None

    def test_many_flags_are_read_as_each_of_them(self, store: Any) -> None:
        """Reading flags in one round trip gives the same as `get` of each of them."""
        for name in ("on", "off", "filled"):
            store.create(name, is_enabled=name == "on")
        fill(store, "filled")
        wanted = ["off", "missing", "filled", "on"]
        for _ in range(2):  # a cache may answer the second time
            found = get_many(store, wanted)
            assert {*found} == {*wanted}
            for name, item in found.items():
                one = store.get(name)
                assert (item and plain(item)) == (one and plain(one))
            assert found["missing"] is None
        assert get_many(store, []) == {}
        store.set("off", True)
        store.delete("on")
        found = get_many(store, ["off", "on"])
        assert found["off"].raw_is_enabled is True
        assert found["on"] is None

    def test_a_missing_flag_is_found_once_it_is_created(self, store: Any) -> None:
        """A cache may remember that a flag is missing, but only until it is created."""
        assert store.get("f") is None
        store.create("f")
        assert store.get("f") is not None

    @pytest.mark.parametrize("is_enabled", [True, False])
    def test_set_changes_the_state_and_keeps_the_metadata(
        self, store: Any, is_enabled: bool
    ) -> None:
        """Switching a flag off and on again keeps its conditions and bucketer."""
        fill(store, "f", is_enabled=not is_enabled)
        before = plain(store.get("f"))
        assert store.set("f", is_enabled) is None
        assert plain(store.get("f")) == {**before, "is_enabled": is_enabled}

    def test_set_of_a_missing_flag_creates_it(self, store: Any) -> None:
        """`set` of a missing flag makes the same flag as `create`."""
        for name, is_enabled in (("on", True), ("off", False)):
            assert store.set(name, is_enabled) is None
            created = plain(store.create("other", is_enabled))
            item = plain(store.get(name))
            assert abs(item["created_date"] - created["created_date"]) < 3600
            created.update(feature_name=name, created_date=item["created_date"])
            assert item == created

    def test_delete_removes_this_flag_alone(self, store: Any) -> None:
        """A deleted flag reads like one that never existed; the others stay."""
        store.create("f", is_enabled=True)
        fill(store, "other")
        other = plain(store.get("other"))
        assert store.delete("f") is None
        assert store.get("f") is None
        assert plain(store.get("other")) == other
        assert names(store.list()) == ["other"]

    def test_delete_of_a_missing_flag_does_nothing(self, store: Any) -> None:
        """Deleting a missing flag raises nothing, so two processes may clean up."""
        store.create("other")
        assert store.delete("f") is None
        assert names(store.list()) == ["other"]

    def test_a_deleted_flag_comes_back_empty(self, store: Any) -> None:
        """A new flag has nothing of a deleted flag of the same name."""
        fill(store, "f")
        store.delete("f")
        store.set("f", True)
        assert plain(store.get("f"))["client_data"] == {}
        assert store.get("f").meta["conditions"] == []

    @pytest.mark.parametrize("is_enabled", [True, False])
    def test_set_meta_replaces_the_metadata_and_keeps_the_state(
        self, store: Any, is_enabled: bool
    ) -> None:
        """`set_meta` replaces all metadata and leaves the flag on or off."""
        store.create("f", is_enabled, {"old": 1})
        meta = FeatureFlagStoreMeta(
            1_500_000_000,
            {"new": 2},
            [Condition(age__gt=18)],
            PercentageBucketer(Percentage(0.5)),
        )
        assert store.set_meta("f", meta) is None
        item = store.get("f")
        assert item.raw_is_enabled is is_enabled
        assert item.meta == meta.to_dict()

    def test_set_meta_takes_away_what_is_not_in_it(self, store: Any) -> None:
        """`set_meta` replaces and does not merge: a removed condition is gone."""
        fill(store, "f")
        store.set_meta("f", FeatureFlagStoreMeta(7))
        assert store.get("f").meta == FeatureFlagStoreMeta(7).to_dict()

    def test_set_meta_of_a_missing_flag_raises(self, store: Any) -> None:
        """`set_meta` of a missing flag raises, whatever the metadata is."""
        store.create("other")

        def refuse(_: str, meta: Any) -> None:
            with pytest.raises(FlagDoesNotExistError, match="Feature f does not exist"):
                store.set_meta("f", meta)
            assert store.get("f") is None

        metas = {"metadata": FeatureFlagStoreMeta(1), "dict": {}, "junk": "junk"}
        for_each({**metas, "none": None}, refuse)
        assert names(store.list()) == ["other"]

    def test_a_client_sees_its_own_writes(self, client: FeatureFlagClient) -> None:
        """The process that writes sees its own write in the next answer."""
        client.create("f")
        assert not client.is_enabled("f")
        client.enable("f")
        assert client.is_enabled("f")
        client.add_condition("f", Condition(is_admin=True))
        assert not client.is_enabled("f", is_admin=False)
        client.set_conditions("f", [])
        assert client.is_enabled("f", is_admin=False)
        client.set_bucketer("f", PercentageBucketer(Percentage(0)))
        assert not client.is_enabled("f")
        client.set_bucketer("f", NoOpBucketer())
        client.set_client_data("f", {"a": 1})
        client.set_client_data("f", {"b": 2})
        assert client.get_client_data("f") == {"a": 1, "b": 2}
        client.disable("f")
        assert not client.is_enabled("f")
        client.destroy("f")
        assert not client.exists("f")
        assert client.is_enabled("f", default=True)
