# SPDX-License-Identifier: Apache-2.0
"""Flags with rules while some processes still run the published flipper-client."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
from test_interop import address

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["address"]

CONTEXTS: list[dict[str, Any]] = [
    {},
    *({"user_id": number} for number in range(20)),
    {"country": "SE", "user_id": 1},
    {"country": "CH", "user_id": 1},
    {"age": 20},
]
RULES: list[dict[str, Any]] = [
    {"when": {"all": [{"country": "SE"}, {"not": {"plan": "free"}}]}, "serve": "blue"},
    {"when": {"rollout": 0.5, "by": "user_id"}, "serve": True},
]
TWO_BACKENDS = [
    pytest.param(name, marks=getattr(pytest.mark, name))
    for name in ("redis", "postgres")
]
OLD_WRITES: dict[str, Callable[[Any, str], object]] = {
    "disable": lambda old, name: old.disable(name),
    "enable": lambda old, name: old.enable(name),
    "set_client_data": lambda old, name: old.set_client_data(name, {"theirs": [1]}),
    "add_condition": lambda old, name: old.add_condition(name, {"age__gte": 18}),
    "set_bucketer": lambda old, name: old.set_bucketer(
        name, {"class": "PercentageBucketer", "percentage": {"class": "Percentage"}}
    ),
}


@pytest.mark.interop
@pytest.mark.parametrize("address", TWO_BACKENDS, indirect=True)
def test_rules_are_safe_beside_flipper_client(
    agents: dict[str, Any], address: tuple[str, str]
) -> None:
    """Rules survive the writes of the original, which never answers on by itself.

    Its `disable` switches the flag off in this library, and its `enable` lets the rules
    decide.
    """
    old, new = agents["original"], agents["ours"]
    assert old.version() == "original"
    for method, write in OLD_WRITES.items():
        name = f"rules-{uuid.uuid4().hex[:6]}"
        new.write(
            {
                name: {
                    "is_enabled": True,
                    "client_data": {"ours": 1},
                    "conditions": [],
                    "bucketer": None,
                }
            }
        )
        assert all(old.answers(name, CONTEXTS))
        new.set_rules(name, RULES)
        assert not any(old.answers(name, CONTEXTS))
        expected = new.answers(name, CONTEXTS)
        assert 0 < sum(expected) < len(CONTEXTS)
        assert expected[21] is True  # in Sweden
        write(old, name)
        assert new.rules(name) == RULES
        if method == "enable":
            assert new.answers(name, CONTEXTS) == expected
            new.disable(name)  # which this library can undo for both
        assert not any(old.answers(name, CONTEXTS))
        assert not any(new.answers(name, CONTEXTS))
        new.enable(name)
        assert new.answers(name, CONTEXTS) == expected
        assert not any(old.answers(name, CONTEXTS))
        assert new.rules(name) == RULES
        data = {"ours": 1, **({"theirs": [1]} if method == "set_client_data" else {})}
        assert new.client_data(name) == data
        old.disable(name)
        assert not any(new.answers(name, CONTEXTS))
        old.enable(name)
        assert new.answers(name, CONTEXTS) == expected
        old.destroy(name)
        assert name not in new.names()
