# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: PLR2004, S101  (these are tests)
"""Rules about what a flag holds: client data, conditions, bucketer, created date."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ...bucketing import NoOpBucketer, Percentage, PercentageBucketer
from ...conditions import Condition
from ...contracts.update import update
from ...contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from ..items import adding, answers, checks, fill, plain
from ..samples import BUCKETERS, CLIENT_DATA, CONDITIONS, for_each
from .base import ContractBase

if TYPE_CHECKING:
    from ...client import FeatureFlagClient


class ValueRules(ContractBase):
    """What is stored comes back as it was, and is a copy."""

    def test_client_data_comes_back_as_it_was(self, store: Any) -> None:
        """No type and no character of client data may change."""
        store.create("f", client_data=CLIENT_DATA)
        store.create("g")
        update(store, "g", adding(data=CLIENT_DATA))
        for name in ("f", "g"):
            data = store.get(name).meta["client_data"]
            assert data == CLIENT_DATA
            # As JSON, since 1, 1.0 and True are equal to Python.
            assert json.dumps(data, sort_keys=True) == json.dumps(
                CLIENT_DATA, sort_keys=True
            )

    def test_conditions_come_back_as_they_were(
        self, store: Any, client: FeatureFlagClient
    ) -> None:
        """A stored condition gives the same answers as the one that was written."""

        def keep(_: str, condition: Condition) -> None:
            client.create("f", is_enabled=True)
            client.add_condition("f", condition)
            assert plain(store.get("f"))["checks"] == checks(condition.to_dict())
            meta = FeatureFlagStoreMeta(1, None, [condition])
            same = FeatureFlagStoreItem("f", True, meta)
            assert answers(store.get("f")) == answers(same)

        for_each(CONDITIONS, keep)

    def test_conditions_keep_their_order(
        self, store: Any, client: FeatureFlagClient
    ) -> None:
        """`explain` names the first condition that fails, so their order counts."""
        every = list(CONDITIONS.values())
        client.create("f", is_enabled=True)
        client.set_conditions("f", every)
        expected = [check for each in every for check in checks(each.to_dict())]
        assert plain(store.get("f"))["checks"] == expected

    def test_bucketers_come_back_as_they_were(
        self, store: Any, client: FeatureFlagClient
    ) -> None:
        """A stored bucketer chooses the same users as the one that was written."""

        def keep(_: str, bucketer: Any) -> None:
            client.create("f", is_enabled=True)
            client.set_bucketer("f", bucketer)
            assert store.get("f").meta["bucketer"] == bucketer.to_dict()
            if bucketer.get_type() == "ConsistentHashPercentageBucketer":
                users = range(100)
                expected = [bucketer.check(user_id=user) for user in users]
                item = store.get("f")
                assert [item.is_enabled(user_id=user) for user in users] == expected

        for_each(BUCKETERS, keep)

    def test_the_created_date_stays(
        self, store: Any, client: FeatureFlagClient
    ) -> None:
        """Only `create` sets the created date."""
        client.create("f")
        store.set_meta("f", FeatureFlagStoreMeta(1_234_567_890))
        client.enable("f")
        client.add_condition("f", Condition(a=1))
        client.set_client_data("f", {"a": 1})
        store.set("f", False)
        assert store.get("f").meta["created_date"] == 1_234_567_890

    def test_changing_given_client_data_changes_no_flag(
        self, store: Any, client: FeatureFlagClient
    ) -> None:
        """A store copies client data, so callers may go on using their dict."""
        data: dict[str, Any] = {"list": [1], "dict": {"a": 1}}
        client.create("f", client_data=data)
        client.create("g", client_data=data)
        client.set_client_data("g", {"later": data})
        before = plain(store.get("f")), plain(store.get("g"))
        data["list"].append(2)
        data["dict"]["b"] = 2
        data["new"] = 3
        assert (plain(store.get("f")), plain(store.get("g"))) == before

    def test_changing_given_metadata_changes_no_flag(self, store: Any) -> None:
        """A store copies metadata, so callers may use it again for another flag."""
        meta = FeatureFlagStoreMeta(1, {"a": [1]}, [Condition(a=1)])
        store.create("f")
        store.set_meta("f", meta)
        before = plain(store.get("f"))
        meta.client_data["a"].append(2)
        meta.client_data["b"] = 2
        meta.conditions.append(Condition(b=2))
        meta.bucketer = PercentageBucketer(Percentage(0))
        meta.created_date = 2
        assert plain(store.get("f")) == before

    def test_changing_what_was_got_changes_no_flag(
        self, store: Any, client: FeatureFlagClient
    ) -> None:
        """A store returns copies, so what callers do to them changes no flag."""
        created = fill(store, "f")
        before = plain(store.get("f"))
        for item in (created, store.get("f"), *store.list()):
            item.meta["client_data"]["list"].append("changed")
            item.meta["conditions"].clear()
            item.meta["bucketer"]["type"] = "changed"
            if isinstance(item, FeatureFlagStoreItem):
                meta = item.raw_meta
                meta.client_data["list"].append("changed")
                meta.conditions.clear()
                meta.bucketer = NoOpBucketer()
                meta.created_date = 0
        client.get_client_data("f")["list"].append("changed")
        client.get_meta("f")["conditions"][0].clear()
        assert plain(store.get("f")) == before

    def test_an_item_stays_what_it_was(
        self, store: Any, client: FeatureFlagClient
    ) -> None:
        """Later writes do not change an item that was read before them."""
        fill(store, "f", is_enabled=True)
        item = store.get("f")
        before = plain(item)
        client.set_client_data("f", {"list": None, "new": 1})
        client.add_condition("f", Condition(b=2))
        client.disable("f")
        client.destroy("f")
        assert plain(item) == before
