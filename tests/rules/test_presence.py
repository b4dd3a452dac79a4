# SPDX-License-Identifier: Apache-2.0
"""`exists` in rules, which is decided also if its argument is not given."""

from __future__ import annotations

from typing import Any

import pytest

from flipper import Condition, FeatureFlagClient, MemoryFeatureFlagStore
from flipper.rules import Rule


@pytest.mark.parametrize("name", ["plan", "user.plan"])
@pytest.mark.parametrize("value", [True, False])
def test_a_rule_asks_for_an_argument_by_name_or_path(name: str, value: bool) -> None:
    """An argument that is not given, or is `None`, does not exist."""
    client = FeatureFlagClient(MemoryFeatureFlagStore())
    client.create("x", is_enabled=True)
    client.set_rules("x", [Rule(Condition(**{f"{name}__exists": value}))])
    given: list[dict[str, Any]] = [{name: "pro"}, {name: ""}, {name: 0}]
    absent: list[dict[str, Any]] = [{}, {"other": 1}, {name: None}]
    if "." in name:
        given.append({"user": {"plan": "pro"}})
        absent += [{"user": {}}, {"user": {"plan": None}}, {"user": None}]
    for arguments, exists in [(given, True), (absent, False)]:
        for each in arguments:
            assert client.is_enabled("x", **each) is (exists is value), each
            assert client.explain("x", **each).enabled is (exists is value), each
