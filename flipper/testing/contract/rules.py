# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: S101  (these are tests)
"""Rules about flags that have rules, beside flipper-client 1.x too."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from ...arguments import RESERVED_KEY
from ...client import FeatureFlagClient
from ...conditions import Condition
from ...rules import Rollout, Rule, Rules, Split
from ..items import fill
from ..waiting import at_once
from .base import ContractBase

if TYPE_CHECKING:
    from collections.abc import Callable

RULES = Rules(
    [
        Rule(Condition(country="SE") & ~Condition(plan="free"), "blue", "Sweden"),
        Rule(Condition(age__gte=18, age__lt=65) | Rollout(0.25, "user_id"), True),
        Rule(
            Condition.from_dict(
                {"a": [{"variable": "a", "value": 1, "operator": "gt"}]}
            ),
            Split({"blue": 0.5, "grün": 0.25}, by=("user_id", "user.id")),
        ),
    ],
    variants={"blue": {"colour": "#00f", "sizes": [1, 2.5, None]}, "grün": "✓"},
)
"""Rules with every kind of expression, and most of what rules can serve."""


class RulesRules(ContractBase):
    """A flag keeps its rules through every write, and its state is safe for all."""

    def test_rules_survive_every_write(
        self, store: Any, client: FeatureFlagClient
    ) -> None:
        """Every other write keeps the rules, and rules keep everything but a bucketer.

        The state has to be that of the last write after each of them.
        """
        fill(store, "f", is_enabled=True)
        client.set_rules("f", RULES)
        writes: list[tuple[bool, Callable[[], object]]] = [
            (True, lambda: None),
            (False, lambda: client.disable("f")),
            (False, lambda: client.set_client_data("f", {"n": 1})),
            (True, lambda: client.enable("f")),
            (True, lambda: client.set_client_data("f", {"n": 2})),
            (True, lambda: client.set_rules("f", RULES)),
            (False, lambda: client.disable("f")),
            (False, lambda: client.set_rules("f", RULES)),
            (False, lambda: client.set_conditions("f", [])),
            (True, lambda: client.enable("f")),
            (True, lambda: client.add_condition("f", Condition(b=2))),
        ]
        for number, (state, write) in enumerate(writes):
            write()
            assert store.get("f").raw_is_enabled is state, f"write {number}"
            assert client.get_rules("f") == RULES
            answer = client.is_enabled("f", a=1, b=2, age=19)
            assert answer is state, f"write {number}"
        assert client.variant("f", country="SE", b=2)["sizes"] == [1, 2.5, None]
        assert client.is_enabled("f", age=19, b=3) is False
        data = {"list": [1], "dict": {"a": [1]}, "n": 2}
        assert client.get_client_data("f") == data
        (listed,) = store.list()
        assert listed.rules == RULES
        assert listed.is_enabled(country="SE") is True
        client.set_rules("f", None)
        assert client.get_rules("f") is None
        assert client.is_enabled("f") is True
        assert client.get_client_data("f") == data

    def test_the_state_of_a_flag_with_rules_can_be_set(
        self, store: Any, client: FeatureFlagClient
    ) -> None:
        """`set` switches a flag with rules, and `set_meta` keeps its state."""
        client.create("f")
        client.set_rules("f", [Rule()])
        for state in (True, False):
            store.set("f", state)
            assert store.get("f").is_enabled() is state
            store.set_meta("f", store.get("f").raw_meta)
            assert store.get("f").is_enabled() is state
            assert client.get_rules("f") == Rules([Rule()])

    def test_writers_of_rules_and_of_the_rest_lose_nothing(self, store: Any) -> None:
        """Threads that set rules, data and conditions lose none of each other's."""
        store.create("f", is_enabled=True)
        client = FeatureFlagClient(store, on_error="raise")
        times = 5

        def describe(thread: int) -> None:
            for number in range(times):
                client.set_client_data("f", {f"{thread}-{number}": number})

        def limit() -> None:
            for number in range(times):
                client.add_condition("f", Condition(**{f"v{number}": number}))

        def rule() -> None:
            for number in range(times):
                client.set_rules("f", [Rule(Condition(a=number), True)])

        at_once(partial(describe, 1), partial(describe, 2), limit, rule)
        meta = client.get_meta("f")
        assert len(meta["client_data"]) == 2 * times
        assert sum(len(condition) for condition in meta["conditions"]) == times
        assert client.get_rules("f") == Rules([Rule(Condition(a=times - 1), True)])
        assert client.is_enabled("f", a=times - 1) is True

    def test_the_document_of_a_flag_with_rules_is_off(
        self, store: Any, client: FeatureFlagClient
    ) -> None:
        """flipper-client 1.x, which does not know rules, answers off for everybody."""
        client.create("f", is_enabled=True, client_data={"a": 1})
        client.set_rules("f", RULES)
        document = json.loads(self.read_document(store, "f") or b"")
        assert document["is_enabled"] is False
        assert document["meta"]["bucketer"] == {"type": "NoOpBucketer", "rules": 1}
        envelope = {"version": 1, "is_enabled": True, **RULES.to_dict()}
        assert document["meta"]["client_data"] == {"a": 1, RESERVED_KEY: envelope}

    def test_a_flag_with_rules_that_flipper_client_has_written_has_its_state(
        self, store: Any, client: FeatureFlagClient
    ) -> None:
        """Its `disable` switches a flag off, and its `enable` lets the rules decide."""
        client.create("f", is_enabled=True)
        client.set_rules("f", [Rule(Condition(a=1), True)])
        written = json.loads(self.read_document(store, "f") or b"")
        written["meta"]["bucketer"] = {"type": "NoOpBucketer"}
        for state in (True, False):
            name = f"f-{state}"
            document = json.dumps(
                {**written, "feature_name": name, "is_enabled": state}
            )
            self.write_document(store, name, document.encode())
            assert store.get(name).is_enabled(a=1) is state
            assert store.get(name).is_enabled(a=2) is False
            client.disable(name)
            assert store.get(name).is_enabled(a=1) is False
            stored = json.loads(self.read_document(store, name) or b"")
            assert stored["is_enabled"] is False
            client.enable(name)
            assert store.get(name).is_enabled(a=1) is True
